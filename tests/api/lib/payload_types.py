"""What the Amazon agent's decoder takes of a PayloadMessage, and what its engine can run.

check(message, dialect) gives the list of faults, empty for a payload that an agent of that version
decodes whole: a member of the wrong JSON type makes it drop the message without a word, so every
type is told here. Members of later versions are unknown to earlier agents and passed over.
"""

import json
import re

TEXT, INT, NUM, BOOL = "text", "int", "num", "bool"
ARN = re.compile(r"^arn:[a-z-]+:ecs:[a-z0-9-]+:[0-9]{12}:task/([A-Za-z0-9_-]+/)?[0-9a-f-]+$")


class List:
    def __init__(self, of):
        self.of = of


class Map:
    """Names to texts."""


NAMES = List(TEXT)
CREDENTIALS = {m: TEXT for m in ("credentialsId", "roleArn", "accessKeyId", "secretAccessKey",
                                 "sessionToken", "expiration")}
INTERFACE = {
    "attachmentArn": TEXT, "ec2Id": TEXT, "macAddress": TEXT,
    "ipv4Addresses": List({"privateAddress": TEXT, "primary": BOOL}),
    "ipv6Addresses": List({"address": TEXT}), "domainName": NAMES, "domainNameServers": NAMES,
    "privateDnsName": TEXT, "subnetGatewayIpv4Address": TEXT, "interfaceAssociationProtocol": TEXT,
    "interfaceVlanProperties": {"vlanId": TEXT, "trunkInterfaceMacAddress": TEXT}}
VOLUME = {
    "name": TEXT, "type": TEXT, "host": {"sourcePath": TEXT},
    "dockerVolumeConfiguration": {"scope": TEXT, "autoprovision": BOOL, "driver": TEXT,
                                  "driverOpts": Map(), "labels": Map()},
    "efsVolumeConfiguration": {"fileSystemId": TEXT, "rootDirectory": TEXT, "transitEncryption": TEXT,
                               "transitEncryptionPort": INT,
                               "authorizationConfig": {"accessPointId": TEXT, "iam": TEXT}}}
CONTAINER = {
    "name": TEXT, "containerArn": TEXT, "image": TEXT, "cpu": INT, "memory": INT, "essential": BOOL,
    "entryPoint": NAMES, "command": NAMES, "environment": Map(),
    "environmentFiles": List({"value": TEXT, "type": TEXT}),
    "portMappings": List({"containerPort": INT, "hostPort": INT, "protocol": TEXT,
                          "containerPortRange": TEXT}),
    "links": NAMES,
    "mountPoints": List({"sourceVolume": TEXT, "containerPath": TEXT, "readOnly": BOOL}),
    "volumesFrom": List({"sourceContainer": TEXT, "readOnly": BOOL}),
    "dependsOn": List({"containerName": TEXT, "condition": TEXT}),
    "startTimeout": INT, "stopTimeout": INT, "overrides": TEXT,
    "dockerConfig": {"version": TEXT, "config": TEXT, "hostConfig": TEXT},
    "healthCheckType": TEXT,
    "registryAuthentication": {"type": TEXT,
                               "ecrAuthData": {"registryId": TEXT, "region": TEXT,
                                               "endpointOverride": TEXT, "useExecutionRole": BOOL},
                               "asmAuthData": {"credentialsParameter": TEXT, "region": TEXT}},
    "logsAuthStrategy": TEXT,
    "secrets": List({m: TEXT for m in ("name", "valueFrom", "region", "containerPath", "type",
                                       "provider", "target")}),
    "firelensConfiguration": {"type": TEXT, "options": Map()},
    "managedAgents": List({"name": TEXT, "properties": Map()})}
CONTAINER_LATER = {
    "restartPolicy": {"enabled": BOOL, "ignoredExitCodes": List(INT), "restartAttemptPeriod": INT},
    "credentialSpecs": NAMES, "privileged": BOOL, "networkInterfaceNames": NAMES,
    "linuxParameters": {"capabilities": {"add": NAMES, "drop": NAMES},
                        "devices": List({"hostPath": TEXT, "containerPath": TEXT,
                                         "permissions": NAMES}),
                        "initProcessEnabled": BOOL, "sharedMemorySize": INT}}
TASK = {
    "arn": TEXT, "desiredStatus": TEXT, "family": TEXT, "version": TEXT,
    "taskDefinitionAccountId": TEXT, "overrides": TEXT, "volumes": List(VOLUME), "cpu": NUM,
    "memory": INT, "networkMode": TEXT, "elasticNetworkInterfaces": List(INTERFACE),
    "roleCredentials": CREDENTIALS, "executionRoleCredentials": CREDENTIALS, "pidMode": TEXT,
    "ipcMode": TEXT,
    "proxyConfiguration": {"type": TEXT, "containerName": TEXT, "properties": Map()},
    "associations": List({"containers": NAMES, "content": {"encoding": TEXT, "value": TEXT},
                          "name": TEXT, "type": TEXT}),
    "launchType": TEXT, "serviceName": TEXT,
    "attachments": List({"attachmentArn": TEXT, "attachmentType": TEXT,
                         "attachmentProperties": List({"name": TEXT, "value": TEXT})})}
TASK_LATER = {"taskClusterArn": TEXT, "zone": TEXT, "group": TEXT, "enableFaultInjection": BOOL}
CONFIG_TYPES = {
    "User": str, "WorkingDir": str, "Hostname": str, "Domainname": str, "Labels": dict,
    "Healthcheck": dict, "StopSignal": str, "Tty": bool, "OpenStdin": bool, "NetworkDisabled": bool}
HOST_TYPES = {
    "NetworkMode": str, "Privileged": bool, "ReadonlyRootfs": bool, "CapAdd": list, "CapDrop": list,
    "Dns": list, "DnsSearch": list, "ExtraHosts": list, "SecurityOpt": list, "Ulimits": list,
    "LogConfig": dict, "MemoryReservation": int, "MemorySwap": int, "MemorySwappiness": int,
    "ShmSize": int, "Tmpfs": dict, "Devices": list, "Init": bool, "Sysctls": dict, "PidsLimit": int}
VOLUME_OBJECTS = {"host": "host", "docker": "dockerVolumeConfiguration",
                  "efs": "efsVolumeConfiguration"}


def is_newer(dialect):
    return tuple(int(part) for part in dialect.split(".")) >= (1, 86, 0)


def _is_int(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _plain(value, kind):
    return {TEXT: isinstance(value, str), BOOL: isinstance(value, bool), INT: _is_int(value),
            NUM: _is_int(value) or isinstance(value, float)}[kind]


class Checker:
    def __init__(self, dialect):
        self.newer = is_newer(dialect)
        self.faults = []
        self.container = {**CONTAINER, **(CONTAINER_LATER if self.newer else {})}
        self.task = {**TASK, **(TASK_LATER if self.newer else {})}

    def fault(self, where, what):
        self.faults.append(f"{where}: {what}")

    def typed(self, where, value, kind):
        """value has the type; null is as absent."""
        if value is None:
            return
        if isinstance(kind, str):
            if not _plain(value, kind):
                self.fault(where, f"{value!r} is no {kind}")
        elif isinstance(kind, List):
            if not isinstance(value, list):
                return self.fault(where, f"{value!r} is no list")
            for n, part in enumerate(value):
                self.typed(f"{where}[{n}]", part, kind.of)
        elif isinstance(kind, Map):
            if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
                self.fault(where, f"{value!r} is no map of texts")
        elif not isinstance(value, dict):
            self.fault(where, f"{value!r} is no object")
        else:
            for name in kind.keys() & value.keys():
                self.typed(f"{where}.{name}", value[name], kind[name])

    def docker_text(self, where, text, types):
        """JSON in a text, in the types of Docker's Engine API."""
        try:
            tree = json.loads(text)
        except (TypeError, ValueError):
            self.fault(where, f"{text!r} is no JSON in a text")
            return {}
        for name, value in tree.items():
            kind = types.get(name)
            good = _is_int(value) if kind is int else kind and isinstance(value, kind)
            if not good:
                self.fault(f"{where}.{name}", f"{value!r} is not what Docker takes")
        return tree

    def runnable_container(self, where, container, task):
        docker = container.get("dockerConfig") or {}
        config = self.docker_text(f"{where}.config", docker.get("config", "{}"), CONFIG_TYPES)
        host = self.docker_text(f"{where}.hostConfig", docker.get("hostConfig", "{}"), HOST_TYPES)
        if not container.get("name") or container["name"] == "service-connect":
            self.fault(where, "no name, or one with a meaning of its own")
        if not container.get("image"):
            self.fault(where, "no image")
        overrides = json.loads(container.get("overrides") or "{}")
        if set(overrides) - {"command"}:
            self.fault(where, f"overrides {overrides} reject the task")
        if container.get("healthCheckType") == "docker" and "Test" not in config.get("Healthcheck", {}):
            self.fault(where, "its health is to be checked, but how is not said")
        mode = task.get("networkMode") or "bridge"
        if mode in ("host", "none", "bridge") and host.get("NetworkMode", "bridge") != mode:
            self.fault(where, f"hostConfig's network is not {mode}")
        if task.get("memory") and container.get("memory", 0) > task["memory"]:
            self.fault(where, "more memory than its task has")
        volumes = {v["name"] for v in task.get("volumes") or []}
        for mount in container.get("mountPoints") or []:
            if mount.get("sourceVolume") not in volumes:
                self.fault(where, f"mounts volume {mount.get('sourceVolume')} of no task")
        names = {c.get("name") for c in task["containers"]}
        for edge in container.get("dependsOn") or []:
            if edge["containerName"] not in names or \
                    edge["condition"] not in ("START", "COMPLETE", "SUCCESS", "HEALTHY"):
                self.fault(where, f"depends on {edge}")

    def runnable_task(self, where, task):
        if not task.get("containers"):
            self.fault(where, "RUNNING without containers: the agent would spin")
            return
        for volume in task.get("volumes") or []:
            wanted = VOLUME_OBJECTS.get(volume.get("type", "host"))
            if not volume.get("name") or not wanted or not isinstance(volume.get(wanted), dict):
                self.fault(where, f"volume {volume} lacks the object of its type")
        for member in ("roleCredentials", "executionRoleCredentials"):
            if task.get(member) and not task[member].get("credentialsId"):
                self.fault(where, f"{member} without credentialsId reject the task")
        for n, container in enumerate(task["containers"]):
            self.runnable_container(f"{where}.containers[{n}]", container, task)

    def message(self, message):
        self.typed("message", message, {"messageId": TEXT, "clusterArn": TEXT, "seqNum": INT,
                                        "containerInstanceArn": TEXT, "generatedAt": INT,
                                        "tasks": List(self.task)})
        for n, task in enumerate(message.get("tasks") or []):
            self.typed(f"tasks[{n}].containers", task.get("containers"), List(self.container))
        if self.faults:
            return
        if not message.get("messageId"):
            self.fault("message", "no messageId")
        if self.newer and not (message.get("clusterArn") and message.get("containerInstanceArn")):
            self.fault("message", "no clusterArn or containerInstanceArn: dropped")
        if len(message.get("tasks") or []) != 1:
            self.fault("message", "not one task")
        for n, task in enumerate(message.get("tasks") or []):
            if not ARN.match(task.get("arn") or ""):
                self.fault(f"tasks[{n}]", f"arn {task.get('arn')!r}")
            if task.get("desiredStatus") not in ("RUNNING", "STOPPED"):
                self.fault(f"tasks[{n}]", f"desiredStatus {task.get('desiredStatus')!r}")
            elif task["desiredStatus"] == "RUNNING":
                self.runnable_task(f"tasks[{n}]", task)


def check(message, dialect):
    checker = Checker(dialect)
    checker.message(message)
    return checker.faults
