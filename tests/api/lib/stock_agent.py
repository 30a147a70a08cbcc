"""A simulated stock Amazon ECS agent, of version 1.70.0 or 1.105.1, that lives on its own ("1.60.0"
is one of the former's kind that says fewer capabilities).

Where agent_sim.py lets a test decide about every frame, this one behaves as the Amazon agent does:
it registers and compares every attribute, discovers, keeps both channels, acknowledges what its
decoder takes, "runs" tasks on an engine of its own, and reports in its own order, for ever if need
be. Waits are shorter than the real ones (PACE) so that a test sees many of them. Written from
observations of the real agent: docs/agent.md tells the protocol.

    agent = StockAgent(berth, "1.105.1").start()
    agent.wait(lambda: agent.task(arn).known == "RUNNING")
    agent.kill(); agent = StockAgent(berth, "1.105.1", disk=agent.disk).start()
"""

import http.client
import json
import random
import socket
import ssl
import threading
import time
import urllib.parse
import uuid

from agent_sim import RESOURCES, Refused, Socket
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from payload_types import check, is_newer

FRAGMENT = 32768
BACKOFF_FIRST, BACKOFF_MAX = 0.05, 1.0   # the real agent: 0.25 s to 2 min
REPORT_AGAIN = 0.2                       # 1 s to 30 s
PUBLISH = 0.5                            # 20 s
INACTIVE_WAIT = 3600

A, B = "ecs.capability.", "com.amazonaws.ecs.capability."
ALWAYS = [A + n for n in (
    "private-registry-authentication.secretsmanager", "secrets.ssm.environment-variables",
    "secrets.ssm.bootstrap.log-driver", "ecr-endpoint", "secrets.asm.environment-variables",
    "secrets.asm.bootstrap.log-driver", "container-ordering", "full-sync", "env-files.s3",
    "network.container-port-range", "docker-plugin.local", "firelens.fluentd",
    "firelens.fluentbit", "logging-driver.awsfirelens.log-driver-buffer-limit", "efs",
    "firelens.options.config.file", "firelens.options.config.s3", "execution-role-ecr-pull",
    "container-health-check", "task-cpu-mem-limit", "increased-task-cpu-limit", "external")]
ALWAYS += [B + n for n in (
    "logging-driver.awsfirelens", "ecr-auth", "privileged-container", "logging-driver.json-file",
    "logging-driver.none", "task-iam-role", "task-iam-role-network-host")]
ATTRIBUTES = {
    "1.70.0": [{"name": n} for n in ALWAYS] +
              [{"name": f"{B}docker-remote-api.1.{n}"} for n in range(17, 33)],
    "1.105.1": [{"name": n} for n in ALWAYS + [A + "container-restart-policy", A + "fault-injection",
                                               A + "firelens.non-root-user"]] +
               [{"name": f"{B}docker-remote-api.1.{n}"} for n in range(17, 33) if n not in (26, 27, 31)] +
               [{"name": "ecs.os-type-detailed", "value": "debian_12"}],
}
ATTRIBUTES["1.60.0"] = [a for a in ATTRIBUTES["1.70.0"] if a["name"] not in (
    A + "full-sync", A + "network.container-port-range", A + "docker-plugin.local")]
VALUED = [{"name": "ecs.os-type", "value": "linux"}, {"name": "ecs.os-family", "value": "LINUX"},
          {"name": "ecs.cpu-architecture", "value": "x86_64"}]


def check_manifest(message):
    """What the decoder of a TaskManifestMessage would stumble over."""
    texts = ("messageId", "clusterArn", "containerInstanceArn")
    faults = [f"manifest: {k}" for k in texts if not isinstance(message.get(k), str)]
    faults += [f"manifest: {k}" for k in ("generatedAt", "timeline") if type(message.get(k)) is not int]
    for task in message.get("tasks", [None]):
        if not isinstance(task, dict) or task.get("desiredStatus") not in ("RUNNING", "STOPPED") or \
                not all(str(task.get(k)).startswith("arn:aws:ecs:") for k in ("taskArn", "taskClusterArn")):
            faults.append(f"manifest: task {task!r}")
    return faults


class Exit(Exception):
    """The process ends; 5 is for good, 1 is for a supervisor to start it again."""

    def __init__(self, code, why):
        super().__init__(f"exit {code}: {why}")
        self.code = code


class CallError(Exception):
    def __init__(self, status, code, message):
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message = status, code, message


class StockSocket(Socket):
    """A WebSocket as Go's dialer makes it for this agent: the server's name in TLS is "host:port", a
    space in the query travels as "+" and is signed as "%20", messages go in frames of 32 KiB."""

    def __init__(self, url, credentials, region, ca):
        self.url = urllib.parse.urlsplit(url)
        self.rest = b""
        self.sending = threading.Lock()
        context = ssl.create_default_context(cafile=ca)
        raw = socket.create_connection((self.url.hostname, self.url.port or 443), timeout=30)
        self.sock = context.wrap_socket(raw, server_hostname=self.url.netloc)
        self.credentials, self.region = credentials, region
        self.upgrade(credentials, region, {})

    def upgrade(self, credentials, region, headers):
        signed = self.url._replace(query=self.url.query.replace("+", "%20"))
        request = AWSRequest(method="GET", url=signed.geturl(), data=b"")
        SigV4Auth(credentials, "ecs", region).add_auth(request)
        # Socket.upgrade would sign the query as it is sent: these headers take the place of its own
        Socket.upgrade(self, credentials, region, dict(request.headers))

    def say(self, text):
        data = text.encode()
        parts = [data[i:i + FRAGMENT] for i in range(0, len(data), FRAGMENT)] or [b""]
        with self.sending:
            for n, part in enumerate(parts):
                self.send_frame(1 if n == 0 else 0, part, final=n == len(parts) - 1)

    def hear(self, seconds):
        """The next text; pings are answered. EOFError with the close code when it is over."""
        self.sock.settimeout(seconds)
        while True:
            opcode, data = self.frame()
            if opcode == 8:
                raise EOFError(int.from_bytes(data[:2], "big") if data else 1005)
            if opcode == 9:
                with self.sending:
                    self.send_frame(10, data)
            elif opcode in (1, 2):
                return data.decode()

    def signed_frame(self, tree):
        """Telemetry goes as a signed request's head, an empty line, and the JSON."""
        body = json.dumps(tree)
        request = AWSRequest(method="GET", url=self.url.geturl().replace("+", "%20"), data=body)
        SigV4Auth(self.credentials, "ecs", self.region).add_auth(request)
        head = {"Authorization": request.headers["Authorization"], "Host": self.url.netloc,
                "X-Amz-Date": request.headers["X-Amz-Date"]}
        if self.credentials.token:
            head["X-Amz-Security-Token"] = self.credentials.token
        self.say("".join(f"{k}: {v}\r\n" for k, v in head.items()) + "\r\n" + body)


class Container:
    def __init__(self, spec):
        self.name, self.essential = spec["name"], spec.get("essential", False)
        self.checked = spec.get("healthCheckType") == "docker"
        self.health = "HEALTHY" if self.checked else None
        self.known, self.exit_code, self.reason, self.told = "NONE", None, None, None
        self.runtime_id = uuid.uuid4().hex * 2
        self.ports = spec.get("portMappings") or []
        self.bindings = []


class Task:
    def __init__(self, spec):
        self.arn, self.spec = spec["arn"], spec
        self.containers = [Container(c) for c in spec["containers"]]
        self.known, self.desired, self.told = "NONE", "RUNNING", None
        self.stopped_at = None


class StockAgent:
    ids = iter(range(1, 1 << 30))

    def __init__(self, berth, dialect="1.70.0", cluster="default", disk=None, keys=None,
                 memory_mib=1983, attributes=None, tags=None):
        self.berth, self.dialect, self.cluster = berth, dialect, cluster
        self.newer = is_newer(dialect)
        self.keys = Credentials(*(keys or (berth.access_key, berth.secret_key)))
        self.disk = disk if disk is not None else {"arn": None, "tasks": {}, "timeline": 0}
        self.tasks = {} if disk is None else disk["tasks"]
        self.disk["tasks"] = self.tasks
        self.memory_mib, self.custom, self.tags = memory_mib, attributes or [], tags
        self.ports = {r["name"]: r["stringSetValue"] for r in RESOURCES if "stringSetValue" in r}
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.running = False
        self.threads = []
        self.acs = self.tcs = None
        self.send_credentials = "true"
        self.hold_acks = False      # a test's knobs
        self.mute = False           # heartbeats are not answered
        self.start_delay, self.stop_delay = 0.05, 0.05
        self.images_fail = set()
        # what happened, for tests
        self.registered = None
        self.calls = []             # (action, seconds, error code or None)
        self.manifests, self.named = [], []  # messages, and task ARNs named in answer to them
        self.payloads, self.faults, self.refused, self.closes = [], [], [], []
        self.types, self.acs_opened, self.tcs_opened, self.published = [], 0, 0, 0
        self.waiting = []

    # -- calls
    def call(self, action, asked):
        """One signed call as the agent makes it; 5 s and it is given up (42 s in newer ones)."""
        url = self.berth.endpoint + "/"
        body = json.dumps(asked)
        request = AWSRequest(method="POST", url=url, data=body, headers={
            "Content-Type": "application/x-amz-json-1.1", "Accept-Encoding": "gzip",
            "User-Agent": f"Amazon ECS Agent - v{self.dialect} (*0e7482df) (linux)",
            "X-Amz-Target": "AmazonEC2ContainerServiceV20141113." + action})
        SigV4Auth(self.keys, "ecs", self.region()).add_auth(request)
        parts = urllib.parse.urlsplit(url)
        began, code = time.monotonic(), None
        http_ = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=42 if self.newer else 5,
            context=ssl.create_default_context(cafile=self.berth.ca))
        try:
            http_.request("POST", "/", body, dict(request.headers))
            answer = http_.getresponse()
            tree = json.loads(answer.read() or b"{}")
            if answer.status != 200:
                code = tree.get("__type", "").split("#")[-1]
                raise CallError(answer.status, code, tree.get("message", tree.get("Message", "")))
            return tree
        except (OSError, http.client.HTTPException):
            code = "NoAnswer"
            raise
        finally:
            http_.close()
            self.calls.append((action, time.monotonic() - began, code))

    def region(self):
        from berth_test import REGION
        return REGION

    # -- registration
    def attributes(self):
        return (self.custom if not self.disk["arn"] else []) + ATTRIBUTES[self.dialect] + VALUED

    def register_once(self, cluster):
        asked = {"cluster": cluster, "clientToken": str(uuid.uuid4()),
                 "instanceIdentityDocument": "", "instanceIdentityDocumentSignature": "",
                 "attributes": self.attributes(),
                 "totalResources": [dict(r, integerValue=self.memory_mib)
                                    if r["name"] == "MEMORY" else
                                    dict(r, stringSetValue=self.ports[r["name"]])
                                    if r["name"] in self.ports else r for r in RESOURCES]}
        if self.tags:
            asked["tags"] = self.tags
        if self.disk["arn"]:
            asked["containerInstanceArn"] = self.disk["arn"]
        answer = self.call("RegisterContainerInstance", asked)["containerInstance"]
        got = {a["name"]: a.get("value", "") for a in answer["attributes"]}
        for attribute in asked["attributes"]:
            if got.get(attribute["name"]) != attribute.get("value", ""):
                raise Exit(5, f"attribute {attribute} came back as {got.get(attribute['name'])!r}")
        return answer

    def register(self):
        """With no cluster configured, any failure brings a second attempt after CreateCluster."""
        try:
            answer = self.register_once(self.cluster or "default")
        except CallError as e:
            if self.cluster or self.disk["arn"]:
                raise Exit(5 if e.code == "InvalidParameterException" else 1, e)
            if "Cluster not found." in e.message:
                self.call("CreateCluster", {"clusterName": "default"})
            answer = self.register_once("default")
        self.cluster = self.cluster or "default"
        self.disk["arn"] = answer["containerInstanceArn"]
        self.registered = answer
        return answer

    def discover(self):
        asked = {"cluster": self.cluster, "containerInstance": self.disk["arn"]}
        if self.newer:
            asked["zoneId"] = ""
        answer = self.call("DiscoverPollEndpoint", asked)
        for member in ("endpoint", "telemetryEndpoint"):
            if urllib.parse.urlsplit(answer[member]).scheme not in ("http", "https"):
                raise Exit(1, f"unknown scheme: {answer[member]}")
        return answer

    def connect(self, base, parameters):
        url = base + ("" if base.endswith("/") else "/") + "ws?" + \
            urllib.parse.urlencode(sorted(parameters.items()))
        return StockSocket(url, self.keys, self.region(), self.berth.ca)

    # -- life
    def start(self):
        self.running = True
        self.register()
        self.endpoints = self.discover()
        for task in self.tasks.values():
            self.run(self.report_task, task)
        for work in (self.acs_loop, self.tcs_loop):
            self.run(work)
        return self

    def run(self, work, *arguments):
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()

    def kill(self):
        """SIGKILL: sockets vanish, what is on disk and the containers stay."""
        self.running = False
        for channel in (self.acs, self.tcs):
            if channel:
                self.drop(channel)
        for thread in self.threads:
            thread.join(timeout=10)

    @staticmethod
    def drop(channel):
        """The connection ends without a close frame, whatever its reader is doing."""
        try:
            socket.socket.shutdown(channel.sock, socket.SHUT_RDWR)
        except OSError:
            pass

    def wait(self, check_, seconds=20):
        """The first true value of check_(); None when the time is over."""
        return self.berth.wait_for(check_, seconds, 0.02)

    def pause(self, seconds):
        until = time.monotonic() + seconds
        while self.running and time.monotonic() < until:
            time.sleep(0.02)

    # -- the control channel
    def acs_parameters(self):
        return {"agentHash": "0e7482df", "agentVersion": self.dialect, "clusterArn": self.cluster,
                "containerInstanceArn": self.disk["arn"], "protocolVersion": "2", "seqNum": "1",
                "dockerVersion": "DockerVersion: 20.10.24+dfsg1",
                "sendCredentials": self.send_credentials}

    def acs_loop(self):
        backoff = BACKOFF_FIRST
        while self.running:
            try:
                self.acs = self.connect(self.endpoints["endpoint"], self.acs_parameters())
                self.acs_opened, self.send_credentials = self.acs_opened + 1, "false"
                self.acs_session()
            except Refused as e:
                self.refused.append((e.status, e.code))
                if e.code == "InactiveInstanceException":
                    return self.pause(INACTIVE_WAIT)
            except EOFError as e:
                self.closes.append(e.args[0])
                if e.args[0] in (1000, 1001, 1006, 1011, "the peer closed"):
                    backoff = BACKOFF_FIRST
            except (OSError, ValueError):
                self.closes.append(1006)
            self.end_acs()
            self.pause(backoff * random.uniform(1, 1.2))
            backoff = min(backoff * 1.5, BACKOFF_MAX)

    def end_acs(self):
        if self.acs:
            self.acs.sock.close()
        self.acs = None

    def acs_session(self):
        while self.running:
            try:
                tree = json.loads(self.acs.hear(120))
            except ValueError:
                continue
            kind, message = tree.get("type"), tree.get("message") or {}
            self.types.append(kind)
            if kind == "HeartbeatMessage" and not self.mute:
                self.answer("HeartbeatAckRequest", {"messageId": message["messageId"]})
            elif kind == "PayloadMessage":
                self.take_payload(message)
            elif kind == "IAMRoleCredentialsMessage":
                self.take_credentials(message["messageId"], message["roleCredentials"])
            elif kind == "TaskManifestMessage":
                self.take_manifest(message)

    def answer(self, kind, message):
        self.acs.say(json.dumps({"type": kind, "message": message}))

    def take_credentials(self, message_id, credentials):
        self.answer("IAMRoleCredentialsAckRequest", {
            "credentialsId": credentials["credentialsId"], "messageId": message_id,
            "expiration": credentials.get("expiration", "")})

    def ack(self, message):
        """1.70 names the cluster as configured; newer agents echo the message's ARNs."""
        if self.hold_acks:
            return
        self.answer("AckRequest", {
            "cluster": message["clusterArn"] if self.newer else self.cluster,
            "containerInstance": message["containerInstanceArn"] if self.newer else self.disk["arn"],
            "messageId": message["messageId"]})

    def take_payload(self, message):
        faults = check(message, self.dialect)
        self.payloads.append(message)
        self.faults += faults
        if faults:
            return
        for task in sorted(message["tasks"], key=lambda t: t["desiredStatus"] != "STOPPED"):
            for member in ("roleCredentials", "executionRoleCredentials"):
                if task.get(member):
                    self.take_credentials(message["messageId"], task[member])
            self.take_task(task)
        self.disk["timeline"] = max(self.disk["timeline"], message.get("seqNum", 0))
        self.ack(message)

    def take_manifest(self, message):
        self.faults += check_manifest(message)
        if message["timeline"] <= self.disk["timeline"]:
            return
        self.manifests.append(message)
        self.disk["timeline"] = message["timeline"]
        self.ack(message)
        listed = {t["taskArn"] for t in message["tasks"] if t["desiredStatus"] == "RUNNING"}
        strangers = [t.arn for t in self.tasks.values()
                     if t.desired == "RUNNING" and t.arn not in listed]
        self.named += strangers
        if strangers:
            self.answer("TaskStopVerificationMessage", {"messageId": message["messageId"],
                        "stopCandidates": [{"taskArn": a, "desiredStatus": "STOPPED",
                                            "taskClusterArn": message["clusterArn"]}
                                           for a in strangers]})

    # -- the engine
    def take_task(self, spec):
        with self.lock:
            known = self.tasks.get(spec["arn"])
            if spec["desiredStatus"] == "STOPPED":
                if not known:
                    known = self.tasks[spec["arn"]] = Task({**spec, "containers": []})
                    known.known = known.desired = "STOPPED"
                    return self.run(self.report_task, known,
                                    "TaskStateError: Agent could not progress task's state to stopped")
                if known.desired != "STOPPED":
                    known.desired = "STOPPED"
                    self.run(self.stop_task, known)
            elif not known:
                known = self.tasks[spec["arn"]] = Task(spec)
                self.run(self.start_task, known)

    def task(self, arn):
        return self.tasks.get(arn)

    def fits(self, task):
        """Newer agents keep an account of their own; what does not fit waits, still PENDING."""
        held = [t for t in self.tasks.values() if t is not task and t.known in ("RUNNING", "CREATED")]
        need = lambda t: t.spec.get("memory") or sum(c["memory"] for c in t.spec["containers"])
        ports = lambda t: {(p["protocol"], p["hostPort"]) for c in t.containers for p in c.ports
                           if p.get("hostPort")}
        return sum(map(need, held)) + need(task) <= self.memory_mib and \
            not any(ports(task) & ports(t) for t in held)

    def start_task(self, task):
        while self.newer and self.running and not self.fits(task):
            self.waiting.append(task.arn)
            self.pause(0.05)
        task.known = "CREATED"
        if self.newer:
            self.submit(task, "PENDING", "", [
                {"containerName": c.name, "status": "PENDING", "networkBindings": [],
                 "imageDigest": "sha256:" + "0" * 64} for c in task.containers])
        self.pause(self.start_delay)
        if task.desired == "STOPPED" or not self.running:
            return
        failed = [c for c, s in zip(task.containers, task.spec["containers"])
                  if s["image"] in self.images_fail]
        for c in task.containers:
            c.known = "STOPPED" if failed else "RUNNING"
            if c in failed:
                c.reason = f"CannotPullContainerError: pull of {c.name}: not found"
            c.bindings = [] if failed else [
                {"bindIP": "0.0.0.0", "containerPort": p["containerPort"], "protocol": p["protocol"],
                 "hostPort": p.get("hostPort") or 32767 + next(self.ids)} for p in c.ports]
        task.known = task.desired = "STOPPED" if failed else "RUNNING"
        task.stopped_at = time.time() if failed else None
        self.report_task(task)

    def stop_task(self, task, codes=None):
        self.pause(self.stop_delay)
        for c in task.containers:
            if c.known == "RUNNING":
                c.exit_code = (codes or {}).get(c.name, 143)
            c.known = "STOPPED"
        task.known, task.desired, task.stopped_at = "STOPPED", "STOPPED", time.time()
        self.report_task(task)

    def exit_container(self, arn, name, code):
        """A container ends by itself; an essential one takes its task along."""
        task = self.tasks[arn]
        container = next(c for c in task.containers if c.name == name)
        container.known, container.exit_code = "STOPPED", code
        if container.essential:
            self.stop_task(task)
        else:
            self.report_task(task)

    # -- reports: each container once a status, retried for ever unless the parameter is refused
    def submit(self, task, status, reason, containers, **more):
        asked = {"cluster": self.cluster, "task": task.arn, "status": status, "reason": reason,
                 "containers": containers, **more}
        while self.running:
            try:
                return self.call("SubmitTaskStateChange", asked)
            except CallError as e:
                if e.code == "InvalidParameterException":
                    return None
            except (OSError, ValueError, http.client.HTTPException):
                pass
            self.pause(REPORT_AGAIN)
        return False

    def report_task(self, task, reason=""):
        status = task.known if task.known in ("RUNNING", "STOPPED") else "PENDING"
        news = [c for c in task.containers if c.known in ("RUNNING", "STOPPED") and c.told != c.known]
        if not news and task.told == status or (status == "PENDING" and not news):
            return
        more = {"executionStoppedAt": round(task.stopped_at, 3)} if task.stopped_at else {}
        entries = []
        for c in news:
            entry = {"containerName": c.name, "status": c.known, "networkBindings": c.bindings}
            if c.bindings or c.exit_code is not None or c.known == "RUNNING":
                entry["runtimeId"] = c.runtime_id
            if c.exit_code is not None:
                entry["exitCode"] = c.exit_code
            if c.reason:
                entry["reason"] = c.reason[:1024 if self.newer else 255]
            entries.append((c, c.known, entry))
        if self.submit(task, status, reason, [e for _, _, e in entries], **more) is not False:
            task.told = status
            for c, known, _ in entries:
                c.told = known

    # -- telemetry
    def tcs_loop(self):
        while self.running:
            try:
                self.tcs = self.connect(self.endpoints["telemetryEndpoint"], {
                    "agentHash": "0e7482df", "agentVersion": self.dialect, "cluster": self.cluster,
                    "containerInstance": self.disk["arn"], "dockerVersion": "20.10.24+dfsg1"})
                self.tcs_opened += 1
                self.publish({"type": "PublishInstanceStatusRequest", "message": {
                    "metadata": {"cluster": self.cluster, "containerInstance": self.disk["arn"],
                                 "requestId": str(uuid.uuid4())}, "timestamp": time.time(),
                    "statuses": [{"type": "ContainerRuntime", "status": "OK",
                                  "lastUpdated": -6795364578.871, "lastStatusChange": time.time()}]}},
                    "AckPublishInstanceStatus")
                while self.running:
                    self.publish_round()
                    self.pause(PUBLISH)
            except (Refused, EOFError, OSError, ValueError):
                pass
            self.tcs = None
            self.pause(BACKOFF_FIRST)

    def publish(self, tree, ack):
        self.tcs.signed_frame(tree)
        while json.loads(self.tcs.hear(60)).get("type") != ack:
            pass
        self.published += 1

    def metadata(self, **more):
        return {"cluster": self.cluster, "containerInstance": self.disk["arn"], "fin": True,
                "messageId": str(uuid.uuid4()), **more}

    def publish_round(self):
        running = [t for t in list(self.tasks.values()) if t.known == "RUNNING"]
        stats = {"min": 0.0418, "max": 0.0657, "sampleCount": 11, "sum": 0.5423}
        metrics = [{"taskArn": t.arn, "taskDefinitionFamily": t.spec["family"],
                    "taskDefinitionVersion": t.spec["version"], "containerMetrics": [
                        {"containerName": c.name, "cpuStatsSet": stats,
                         "memoryStatsSet": {"min": 3, "max": 5, "sampleCount": 12, "sum": 48}}
                        for c in t.containers]} for t in running[:10]]
        message = {"metadata": self.metadata(idle=not metrics), "timestamp": round(time.time(), 3)}
        if metrics:
            message["taskMetrics"] = metrics
        if self.newer:
            message["instanceMetrics"] = {"storage": {"rootFilesystem": 41.5, "dataFilesystem": 41.5}}
        self.publish({"type": "PublishMetricsRequest", "message": message}, "AckPublishMetric")
        health = [{"taskArn": t.arn, "taskDefinitionFamily": t.spec["family"],
                   "taskDefinitionVersion": t.spec["version"], "containers": [
                       {"containerName": c.name, "healthStatus": c.health,
                        "statusSince": round(time.time(), 3)} for c in t.containers if c.checked]}
                  for t in running if any(c.checked for c in t.containers)]
        if health:
            self.publish({"type": "PublishHealthRequest", "message": {
                "metadata": self.metadata(), "tasks": health, "timestamp": round(time.time(), 3)}},
                "AckPublishHealth")
