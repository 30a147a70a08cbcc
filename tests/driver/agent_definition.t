#!/usr/bin/python3
"""Every member of a task definition on its whole way: RegisterTaskDefinition, the payload, the
agent, and what the real Docker Engine says of the container."""
import os
import sys

LIB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(LIB, "lib"))
sys.path.insert(0, os.path.join(LIB, "api", "lib"))
from agent_rig import Rig, within  # noqa: E402
from berth_test import Berth, tap  # noqa: E402

MIB = 1024 * 1024
SECOND = 1000 * 1000 * 1000

# name, members of the container definition, {path in docker inspect: value}
BRIDGE = [
    ("plain", {}, {"HostConfig.NetworkMode": "bridge", "HostConfig.Privileged": False,
                   "HostConfig.ReadonlyRootfs": False, "HostConfig.Memory": 16 * MIB,
                   "HostConfig.RestartPolicy.Name": ""}),
    ("sizes", {"cpu": 77, "memory": 32, "memoryReservation": 16},
     {"HostConfig.CpuShares": 77, "HostConfig.Memory": 32 * MIB, "HostConfig.MemoryReservation": 16 * MIB}),
    ("command", {"entryPoint": ["/bin/sh", "-c"], "command": ["exec sleep 999"]},
     {"Config.Entrypoint": ["/bin/sh", "-c"], "Config.Cmd": ["exec sleep 999"]}),
    ("identity", {"user": "7:8", "workingDirectory": "/tmp", "hostname": "harbour",
                  "dockerLabels": {"mine": "ä b"}},
     {"Config.User": "7:8", "Config.WorkingDir": "/tmp", "Config.Hostname": "harbour",
      "Config.Labels.mine": "ä b"}),
    ("names", {"dnsServers": ["10.1.2.3"], "dnsSearchDomains": ["a.example"],
               "extraHosts": [{"hostname": "db", "ipAddress": "10.9.9.9"}]},
     {"HostConfig.Dns": ["10.1.2.3"], "HostConfig.DnsSearch": ["a.example"],
      "HostConfig.ExtraHosts": ["db:10.9.9.9"]}),
    ("locked", {"readonlyRootFilesystem": True, "dockerSecurityOptions": ["no-new-privileges"],
                "linuxParameters": {"capabilities": {"add": ["NET_ADMIN"], "drop": ["MKNOD"]}}},
     {"HostConfig.ReadonlyRootfs": True, "HostConfig.SecurityOpt": ["no-new-privileges"],
      "HostConfig.CapAdd": ["NET_ADMIN"], "HostConfig.CapDrop": ["MKNOD"]}),
    ("linux", {"linuxParameters": {
        "initProcessEnabled": True, "sharedMemorySize": 5,
        "devices": [{"hostPath": "/dev/null", "containerPath": "/dev/nothing", "permissions": ["read"]}],
        "tmpfs": [{"containerPath": "/scratch", "size": 3, "mountOptions": ["noexec"]}]},
        "ulimits": [{"name": "nofile", "softLimit": 100, "hardLimit": 200}],
        "systemControls": [{"namespace": "net.ipv4.ip_default_ttl", "value": "33"}]},
     {"HostConfig.Init": True, "HostConfig.ShmSize": 5 * MIB,
      "HostConfig.Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/nothing",
                              "CgroupPermissions": "r"}],
      "HostConfig.Tmpfs": {"/scratch": "size=3m,noexec"},
      "HostConfig.Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}],
      "HostConfig.Sysctls": {"net.ipv4.ip_default_ttl": "33"}}),
    ("terminal", {"interactive": True, "pseudoTerminal": True, "stopTimeout": 3,
                  "logConfiguration": {"logDriver": "json-file", "options": {"max-size": "1m"}}},
     {"Config.OpenStdin": True, "Config.Tty": True, "Config.StopTimeout": 3,
      "HostConfig.LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}}),
    ("health", {"healthCheck": {"command": ["CMD-SHELL", "true"], "interval": 7, "timeout": 3,
                                "retries": 2, "startPeriod": 9}},
     {"Config.Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 7 * SECOND,
                             "Timeout": 3 * SECOND, "Retries": 2, "StartPeriod": 9 * SECOND}}),
    ("variables", {"environment": [{"name": "A", "value": "b=c"}]}, {}),
]
# Docker makes it anywhere; where these tests run it may not be allowed to start it
PRIVILEGED = [("privileged", {"privileged": True}, {"HostConfig.Privileged": True})]
ALONE = {
    "host": [("host", {}, {"HostConfig.NetworkMode": "host"})],
    "none": [("none", {"disableNetworking": True}, {"HostConfig.NetworkMode": "none"})],
}


def value_at(tree, path):
    for key in path.split("."):
        tree = (tree or {}).get(key)
    return tree


def start(rig, ecs, family, table, **more):
    ecs.register_task_definition(family=family, containerDefinitions=[
        dict({"name": name, "image": rig.image, "memory": 16, "command": ["sleep", "1000"],
              "stopTimeout": 2}, **members) for name, members, _ in table], **more)
    return ecs.run_task(taskDefinition=family)["tasks"][0]["taskArn"]


def running(rig, ecs, arn):
    ecs.get_waiter("tasks_running").wait(tasks=[arn], WaiterConfig={"Delay": 1, "MaxAttempts": 40})
    return {c["Config"]["Labels"]["com.amazonaws.ecs.container-name"]: c
            for c in map(rig.inspect, rig.containers(arn))}


def compare(seen, table):
    for name, _, wanted in table:
        got = {path: value_at(seen.get(name), path) for path in wanted}
        tap.is_(got, wanted, "%s is as the definition says" % name)


def definitions(rig, ecs):
    arns = {"privileged": start(rig, ecs, "privileged", PRIVILEGED)}
    made = within(20, lambda: rig.containers(arns["privileged"]))
    compare({"privileged": rig.inspect(made[0])}, PRIVILEGED)
    arns["bridge"] = start(rig, ecs, "all", BRIDGE)
    for mode, table in ALONE.items():
        arns[mode] = start(rig, ecs, mode, table, networkMode=mode)
    seen = running(rig, ecs, arns["bridge"])
    compare(seen, BRIDGE)
    env = seen["variables"]["Config"]["Env"]
    tap.ok("A=b=c" in env and "AWS_EXECUTION_ENV=AWS_ECS_EC2" in env, "environment", env)
    for mode, table in ALONE.items():
        compare(running(rig, ecs, arns[mode]), table)
    for arn in arns.values():
        ecs.stop_task(task=arn)


def group_value(name, version1, version2):
    root = "/sys/fs/cgroup/"
    path = root + "ecs/%s/%s" % (name, version2)
    if not os.path.exists(root + "cgroup.controllers"):
        path = root + "%s/ecs/%s/%s" % (version1.split(".")[0], name, version1)
    try:
        with open(path) as f:
            return f.read().strip()
    except FileNotFoundError:
        return None


def no_sizes(rig, ecs):
    """Beside tasks with groups: what one container may take is what its task may take."""
    ecs.register_task_definition(family="small", containerDefinitions=[
        {"name": "a", "image": rig.image, "cpu": 200, "memory": 16, "command": ["sleep", "1000"], "stopTimeout": 2}])
    arn = ecs.run_task(taskDefinition="small")["tasks"][0]["taskArn"]
    seen = running(rig, ecs, arn)["a"]
    tap.is_(seen["HostConfig"]["CgroupParent"], "/ecs", "a task that is one container has no group beside that one's")
    weight = group_value(seen["Id"], "cpu.shares", "cpu.weight")
    tap.ok(weight in ("200", "8"), "which has its weight among tasks", weight)
    tap.is_(group_value(seen["Id"], "memory.limit_in_bytes", "memory.max"), str(16 * MIB), "and its memory")
    ecs.stop_task(task=arn)
    tap.ok(within(30, lambda: group_value(seen["Id"], "memory.limit_in_bytes", "memory.max") is None), "and goes with it")


def sizes(rig, ecs):
    hungry = "x=$(dd if=/dev/zero bs=1M count=40 2>/dev/null | tr '\\0' a); sleep 1000"
    ecs.register_task_definition(family="sized", cpu="256", memory="32", containerDefinitions=[
        {"name": "a", "image": rig.image, "command": ["sleep", "1000"], "stopTimeout": 2},
        {"name": "b", "image": rig.image, "command": ["sh", "-c", hungry], "essential": False}])
    arn = ecs.run_task(taskDefinition="sized")["tasks"][0]["taskArn"]
    seen = running(rig, ecs, arn)
    task_id = arn.split("/")[-1]
    tap.is_(seen["a"]["HostConfig"]["CgroupParent"], "/ecs/" + task_id, "the task has a control group")
    tap.is_(group_value(task_id, "memory.limit_in_bytes", "memory.max"), str(32 * MIB), "with its memory")
    quota = group_value(task_id, "cpu.cfs_quota_us", "cpu.max")
    tap.ok(quota in ("25000", "25000 100000"), "and its quarter of a CPU", quota)
    over = within(20, lambda: [c for c in ecs.describe_tasks(tasks=[arn])["tasks"][0]["containers"]
                               if c["name"] == "b" and c["lastStatus"] == "STOPPED"])
    tap.is_(over and over[0].get("exitCode"), 137, "a container that takes more than the task may is killed")
    ecs.stop_task(task=arn)
    tap.ok(within(30, lambda: group_value(task_id, "memory.limit_in_bytes", "memory.max") is None),
           "the group goes with the task")


def policies(rig, ecs):
    """What the agent is told of a restart policy, and which instances may be."""
    wanted = {"enabled": True, "ignoredExitCodes": [3]}
    container = {"name": "app", "image": rig.image, "memory": 16, "command": ["sleep", "1000"],
                 "stopTimeout": 1, "restartPolicy": wanted}
    made = ecs.register_task_definition(family="restarts", containerDefinitions=[container])["taskDefinition"]
    tap.is_(made["containerDefinitions"][0]["restartPolicy"], wanted, "the policy is as it was sent")
    tap.ok({"name": "ecs.capability.container-restart-policy"} in made["requiresAttributes"],
           "only agents that restart may have it", made["requiresAttributes"])
    arn = ecs.run_task(taskDefinition="restarts")["tasks"][0]["taskArn"]
    running(rig, ecs, arn)
    sent = rig.saved(arn.split("/")[-1])["payload"]["containers"][0]["restartPolicy"]
    tap.is_(sent, dict(wanted, restartAttemptPeriod=300), "the agent is told it, with the period")
    ecs.stop_task(task=arn)
    tap.raises("ClientException", lambda: ecs.register_task_definition(
        family="restarts", containerDefinitions=[dict(container, restartPolicy=dict(
            wanted, restartAttemptPeriod=59))]), "a period under 60 s is refused")


def in_container(rig, id_, *words):
    return rig.docker("exec", id_, *words)


def shared(rig, ecs, settings):
    """Two containers in the process and IPC namespaces of one task."""
    orphan = "(sleep 0.3 &); exec sleep 1000"
    ecs.register_task_definition(family="shared", pidMode="task", ipcMode="task", containerDefinitions=[
        {"name": name, "image": rig.image, "memory": 16, "command": ["sh", "-c", orphan], "stopTimeout": 1}
        for name in ("one", "two")])
    arn = ecs.run_task(taskDefinition="shared")["tasks"][0]["taskArn"]
    seen = running(rig, ecs, arn)
    pause = seen.pop("~internal~ecs~pause~namespace")
    tap.is_(sorted(seen), ["one", "two"], "the task has its containers and a pause container")
    tap.is_(pause["Config"]["Image"], "berth/pause:1", "of an image that the agent brings")
    ids = [seen[name]["Id"] for name in sorted(seen)]
    for kind in "pid", "ipc":
        spaces = {in_container(rig, i, "readlink", "/proc/self/ns/" + kind) for i in ids}
        tap.is_(len(spaces), 1, "one %s namespace" % kind)
    listed = in_container(rig, ids[0], "ps", "-o", "pid,args").splitlines()
    tap.is_(len([line for line in listed if line.split()[1:] == ["sleep", "1000"]]), 2,
            "each sees the other's process")
    tap.ok(listed[1].split()[1] == "/pause", "the first is the pause container's", listed)
    tap.ok(within(10, lambda: "Z" not in in_container(rig, ids[0], "ps", "-o", "stat")),
           "and what was orphaned is reaped")
    described = ecs.describe_tasks(tasks=[arn])["tasks"][0]
    tap.is_(sorted(c["name"] for c in described["containers"]), ["one", "two"], "no report names it")
    rig.kill_agent()
    rig.start_agent(**settings)
    within(20, lambda: "registered as" in rig.log())
    tap.is_(sorted(rig.containers(arn)), sorted(ids + [pause["Id"]]), "an agent that comes back adopts all")
    ecs.stop_task(task=arn)
    ended = within(20, lambda: not [i for i in ids + [pause["Id"]] if rig.inspect(i)["State"]["Running"]])
    ends = [rig.inspect(i)["State"]["FinishedAt"] for i in ids + [pause["Id"]]] if ended else [""]
    tap.ok(ended and max(ends) == ends[-1], "the pause container stops last", ends)
    tap.ok(within(30, lambda: not rig.containers(arn)), "and goes with the task")


def pause_killed(rig, ecs):
    arn = ecs.run_task(taskDefinition="shared")["tasks"][0]["taskArn"]
    seen = running(rig, ecs, arn)
    rig.docker("kill", seen["~internal~ecs~pause~namespace"]["Id"])
    ecs.get_waiter("tasks_stopped").wait(tasks=[arn], WaiterConfig={"Delay": 1, "MaxAttempts": 40})
    codes = [c.get("exitCode") for c in ecs.describe_tasks(tasks=[arn])["tasks"][0]["containers"]]
    tap.is_(codes, [137, 137], "without it the task ends")


rig = Rig()
try:
    rig.start()
    with Berth(role="all") as daemon:
        client = daemon.client("ecs", newer=True)
        with rig.watched(tap):
            daemon.client("berth").create_zone(ZoneName="home-1a")
            settings = {
                "BERTH_ENDPOINT": daemon.endpoint, "BERTH_CA": daemon.ca, "AWS_SESSION_TOKEN": "",
                "AWS_ACCESS_KEY_ID": daemon.access_key, "AWS_SECRET_ACCESS_KEY": daemon.secret_key,
                "BERTH_INSTANCE_ID": "", "BERTH_CLUSTER": "", "BERTH_CLEANUP_WAIT": "5s"}
            rig.start_agent(**settings)
            within(20, lambda: client.list_clusters()["clusterArns"] and
                   client.list_container_instances()["containerInstanceArns"])
            definitions(rig, client)
            no_sizes(rig, client)
            sizes(rig, client)
            policies(rig, client)
            shared(rig, client, settings)
            pause_killed(rig, client)
finally:
    rig.stop()
tap.done()
