#!/usr/bin/python3
"""Simulated stock agents, 1.70.0 and 1.105.1, live a whole life with a real berthd: nobody helps."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from berth_test import Berth, tap
from payload_types import check
from stock_agent import StockAgent

EVERYTHING = dict(
    family="all", networkMode="bridge", cpu="512", memory="256",
    volumes=[{"name": "empty"}, {"name": "path", "host": {"sourcePath": "/srv/x"}},
             {"name": "kept", "dockerVolumeConfiguration": {
                 "scope": "shared", "autoprovision": True, "driver": "local",
                 "labels": {"a": "b"}, "driverOpts": {"type": "tmpfs"}}}],
    containerDefinitions=[
        {"name": "app", "image": "bb:1", "cpu": 64, "memory": 64, "memoryReservation": 32,
         "essential": True, "entryPoint": ["sh", "-c"], "command": ["serve"],
         "environment": [{"name": "FOO", "value": "bar"}],
         "portMappings": [{"containerPort": 8080}, {"containerPort": 53, "hostPort": 5353,
                                                    "protocol": "udp"}],
         "mountPoints": [{"sourceVolume": "empty", "containerPath": "/e", "readOnly": False},
                         {"sourceVolume": "kept", "containerPath": "/k", "readOnly": True}],
         "dependsOn": [{"containerName": "side", "condition": "START"}],
         "startTimeout": 30, "stopTimeout": 5, "user": "1000:1000", "workingDirectory": "/",
         "hostname": "h", "privileged": False, "readonlyRootFilesystem": True,
         "dnsServers": ["10.0.0.2"], "dnsSearchDomains": ["x"], "interactive": True,
         "pseudoTerminal": True, "dockerLabels": {"user": "label"},
         "dockerSecurityOptions": ["no-new-privileges"],
         "ulimits": [{"name": "nofile", "softLimit": 100, "hardLimit": 200}],
         "logConfiguration": {"logDriver": "json-file", "options": {"max-size": "1m"}},
         "extraHosts": [{"hostname": "db", "ipAddress": "10.0.0.1"}],
         "healthCheck": {"command": ["CMD-SHELL", "true"], "interval": 5, "retries": 2},
         "linuxParameters": {"capabilities": {"add": ["SYS_PTRACE"], "drop": ["NET_RAW"]},
                             "devices": [{"hostPath": "/dev/null", "containerPath": "/dev/n",
                                          "permissions": ["read"]}],
                             "initProcessEnabled": True, "sharedMemorySize": 16, "maxSwap": 0,
                             "swappiness": 10, "tmpfs": [{"containerPath": "/t", "size": 8,
                                                          "mountOptions": ["rw"]}]}},
        {"name": "side", "image": "bb:1", "memory": 16, "essential": False, "command": ["sleep"],
         "volumesFrom": []}])


def definition(ecs, family, **container):
    ecs.register_task_definition(family=family, containerDefinitions=[
        {"name": "app", "image": "bb:1", "cpu": 10, "memory": 32, "essential": True, **container}])


def described(ecs, arn):
    return ecs.describe_tasks(cluster="default", tasks=[arn])["tasks"][0]


def instance(ecs, agent):
    return ecs.describe_container_instances(
        cluster="default", containerInstances=[agent.disk["arn"]])["containerInstances"][0]


def becomes(agent, ecs, arn, **wanted):
    """DescribeTasks shows these members; else what it shows."""
    def there():
        task = described(ecs, arn)
        return all(task.get(k) == v for k, v in wanted.items()) and task
    return agent.wait(there, 30)


def test_checker():
    """The checker itself: what it must not let pass."""
    good = {"messageId": "m", "clusterArn": "c", "containerInstanceArn": "i", "seqNum": 2, "tasks": [
        {"arn": "arn:aws:ecs:home-1:000000000001:task/default/" + "1" * 32, "desiredStatus": "RUNNING",
         "overrides": "{}", "containers": [{"name": "a", "image": "b", "memory": 4, "dockerConfig": {
             "hostConfig": "{\"NetworkMode\":\"bridge\"}"}}]}]}
    tap.is_(check(good, "1.105.1"), [], "the checker takes a good payload")

    def worse(path, value):
        import copy
        tree = copy.deepcopy(good)
        at = tree
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value
        return tree
    task, app = ("tasks", 0), ("tasks", 0, "containers", 0)
    for path, value in [((*task, "memory"), "128"), ((*app, "cpu"), 1.5), ((*app, "essential"), 1),
                        ((*app, "overrides"), {}), ((*app, "environment"), [{"name": "a"}]),
                        ((*app, "overrides"), "{\"environment\":[]}"), ((*task, "containers"), []),
                        ((*app, "dockerConfig", "hostConfig"), {"NetworkMode": "bridge"}),
                        ((*app, "dockerConfig", "hostConfig"), "{\"ShmSize\":\"1\"}"),
                        ((*app, "name"), "service-connect"), ((*task, "version"), 1),
                        ((*task, "volumes"), [{"name": "v", "type": "host"}]),
                        ((*app, "mountPoints"), [{"sourceVolume": "x"}]), (("clusterArn",), None),
                        ((*task, "networkMode"), "host"), ((*app, "healthCheckType"), "docker"),
                        (("tasks",), []), ((*task, "roleCredentials"), {"roleArn": "r"})]:
        tap.ok(check(worse(path, value), "1.105.1"), f"and not {'.'.join(map(str, path))} = {value!r}")


def test_life(berth, ecs, dialect):
    agent = StockAgent(berth, dialect, cluster=None, attributes=[{"name": "dialect", "value": dialect}])
    agent.start()
    actions = [c[0] for c in agent.calls]
    tap.ok(agent.wait(lambda: instance(ecs, agent)["agentConnected"]), f"{dialect}: it joins and is connected")
    if dialect == "1.70.0":
        tap.is_(actions[:3], ["RegisterContainerInstance", "CreateCluster", "RegisterContainerInstance"],
                "without a cluster it makes the default one and registers again")
    tap.ok(any(a.get("value") == dialect for a in instance(ecs, agent)["attributes"]),
           f"{dialect}: its own attribute is known")
    versions = instance(ecs, agent)["versionInfo"]
    tap.is_(versions["agentVersion"], dialect, f"{dialect}: its version came with the channel")
    ecs.register_task_definition(**EVERYTHING)
    ran = ecs.run_task(cluster="default", taskDefinition="all", placementConstraints=[
        {"type": "memberOf", "expression": f"attribute:dialect == {dialect}"}],
        overrides={"containerOverrides": [{"name": "side", "command": ["x"], "environment": [
            {"name": "E", "value": "1"}]}]})
    tap.is_(ran["failures"], [], f"{dialect}: a task is placed")
    arn = ran["tasks"][0]["taskArn"]
    task = becomes(agent, ecs, arn, lastStatus="RUNNING")
    tap.ok(task, f"{dialect}: a task runs", [agent.faults, described(ecs, arn)])
    tap.is_(agent.faults, [], f"{dialect}: every member of its payload is what the agent's decoder takes")
    tap.is_([c["networkBindings"][1]["hostPort"] for c in task["containers"] if c["name"] == "app"],
            [5353], f"{dialect}: its ports are reported")
    tap.ok(becomes(agent, ecs, arn, healthStatus="HEALTHY"), f"{dialect}: health comes by telemetry")
    agent.tasks[arn].containers[0].health = "UNHEALTHY"
    tap.ok(becomes(agent, ecs, arn, healthStatus="UNHEALTHY"), f"{dialect}: and changes")
    agent.exit_container(arn, "side", 7)
    tap.ok(agent.wait(lambda: [c.get("exitCode") for c in described(ecs, arn)["containers"]
                               if c["name"] == "side"] == [7]), f"{dialect}: a side car's exit is known")
    tap.is_(described(ecs, arn)["lastStatus"], "RUNNING", f"{dialect}: and ends nothing")
    if dialect != "1.70.0":
        tap.is_(task["containers"][0].get("imageDigest"), "sha256:" + "0" * 64,
                "the digest came with an early PENDING report")
    ecs.stop_task(cluster="default", task=arn, reason="enough")
    task = becomes(agent, ecs, arn, lastStatus="STOPPED")
    tap.is_((task["stopCode"], task["stoppedReason"],
             [c["exitCode"] for c in task["containers"] if c["name"] == "app"]),
            ("UserInitiated", "enough", [143]), f"{dialect}: it is stopped by a payload")
    return agent


def test_service(berth, ecs, agent):
    definition(ecs, "web", portMappings=[{"containerPort": 80}])
    ecs.create_service(cluster="default", serviceName="web", taskDefinition="web", desiredCount=3)
    counts = lambda: ecs.describe_services(cluster="default", services=["web"])["services"][0]
    tap.ok(agent.wait(lambda: counts()["runningCount"] == 3, 30), "a service's tasks run on both agents")
    mine = next(t for t in agent.tasks.values() if t.known == "RUNNING")
    agent.exit_container(mine.arn, "app", 1)
    tap.ok(agent.wait(lambda: mine.arn not in ecs.list_tasks(cluster="default", serviceName="web")["taskArns"]
                      and counts()["runningCount"] == 3, 20), "one that dies is replaced")


def test_restart(berth, ecs, agent):
    """Killed; a container ends meanwhile; started again from its disk."""
    arn = agent.disk["arn"]
    running = [t for t in agent.tasks.values() if t.known == "RUNNING"]
    definition(ecs, "one")
    payloads = len(agent.payloads)
    agent.kill()
    tap.ok(agent.wait(lambda: not instance(ecs, agent)["agentConnected"]),
           "a killed agent is disconnected at once")
    dead = running[0]
    dead.known = dead.desired = "STOPPED"
    dead.containers[0].known, dead.containers[0].exit_code = "STOPPED", 137
    dead.stopped_at = time.time()
    again = StockAgent(berth, agent.dialect, disk=agent.disk).start()
    tap.is_(again.disk["arn"], arn, "started again it has its ARN again")
    tap.ok(again.wait(lambda: instance(ecs, again)["agentConnected"]), "and is connected")
    task = becomes(again, ecs, dead.arn, lastStatus="STOPPED")
    tap.is_(task and task["containers"][0]["exitCode"], 137, "what ended meanwhile is told, with its code")
    tap.ok(all(described(ecs, t.arn)["lastStatus"] == "RUNNING" for t in running[1:]),
           "what runs still runs", [described(ecs, t.arn) for t in running[1:]])
    tap.ok(not any(p["tasks"][0]["arn"] in [t.arn for t in running] for p in again.payloads),
           "and is not sent again", again.payloads)
    tap.ok(len(agent.payloads) == payloads, "the dead process heard nothing more")
    return again


def test_reconnect(berth, ecs, agent):
    definition(ecs, "slow")
    agent.hold_acks = True
    cut = agent.acs_opened
    arn = ecs.start_task(
        cluster="default", taskDefinition="slow",
        containerInstances=[agent.disk["arn"]])["tasks"][0]["taskArn"]
    sent = lambda: [p for p in agent.payloads if p["tasks"][0]["arn"] == arn]
    tap.ok(agent.wait(lambda: len(sent()) == 1), "a payload that is not acknowledged")
    StockAgent.drop(agent.acs)
    tap.ok(agent.wait(lambda: agent.acs_opened > cut and agent.acs), "after a cut the agent comes back")
    tap.ok(becomes(agent, ecs, arn, lastStatus="RUNNING"), "its report is as good as an acknowledgement")
    agent.hold_acks = False
    opened = agent.acs_opened
    with agent.acs.sending:
        agent.acs.send_frame(8, b"\x03\xe8ConnectionExpired: Reconnect to continue")
    tap.ok(agent.wait(lambda: agent.acs_opened > opened and instance(ecs, agent)["agentConnected"]),
           "an agent that rotates its connection gets a close frame and a new session")
    tap.ok(agent.closes[-1] == 1000 or agent.closes[-1] == "the peer closed", "both sides closed in order",
           agent.closes)
    berth.restart()
    tap.ok(agent.wait(lambda: agent.acs and instance(ecs, agent)["agentConnected"], 30),
           "berthd itself started again: the agent is connected again")
    tap.is_(described(ecs, arn)["lastStatus"], "RUNNING", "and its task is what it was")


def test_draining(berth, ecs, agents):
    first, second = agents
    first.call("UpdateContainerInstancesState", {
        "cluster": "default", "containerInstances": [first.disk["arn"]], "status": "DRAINING"})
    tap.is_(instance(ecs, first)["status"], "DRAINING", "an agent may drain itself")
    mine = lambda: [a for a in ecs.list_tasks(cluster="default", serviceName="web",
                                              containerInstance=first.disk["arn"])["taskArns"]]
    tap.ok(first.wait(lambda: not mine() and ecs.describe_services(
        cluster="default", services=["web"])["services"][0]["runningCount"] == 3, 30),
        "its service tasks move away", mine())
    first.call("UpdateContainerInstancesState", {
        "cluster": "default", "containerInstances": [first.disk["arn"]], "status": "ACTIVE"})


def test_lost(berth, ecs, agents):
    """agents.lost_seconds is 8 here: long enough for a living agent that a busy machine holds up."""
    first, second = agents
    kept = [t for t in second.tasks.values() if t.known == "RUNNING"]
    services = {a for a in ecs.list_tasks(cluster="default", serviceName="web")["taskArns"]}
    mine = [t for t in kept if t.arn in services]
    tap.ok(mine, "the second agent has tasks of the service")
    second.kill()
    tap.ok(first.wait(lambda: len([t for t in first.tasks.values() if t.known == "RUNNING"
                                   and t.spec["family"] == "web"]) == 3, 30),
           "an agent is gone for too long: its service tasks run elsewhere")
    back = StockAgent(berth, second.dialect, disk=second.disk).start()
    tap.ok(back.wait(lambda: all(t.known == "STOPPED" for t in mine), 30),
           "back again it is told to stop those that were replaced")
    others = [t for t in kept if t not in mine]
    tap.ok(others and all(t.known == "RUNNING" and described(ecs, t.arn)["lastStatus"] == "RUNNING"
                          for t in others), "a task of no service goes on there as if nothing had been")
    return back


def test_timing(agents):
    slow = [c for a in agents for c in a.calls if c[1] >= 5]
    tap.is_(slow, [], "no call took 5 s")
    tap.is_([a.faults for a in agents], [[]] * len(agents), "no payload had a fault")
    tap.is_([a.waiting for a in agents], [[]] * len(agents), "no task had to wait for room on its instance")
    for a in agents:
        numbers = [p["seqNum"] for p in a.payloads]
        tap.is_(numbers, sorted(set(numbers)), f"{a.dialect}: sequence numbers only grow")


test_checker()
with Berth(role="all", config="[agents]\nlost_seconds=8\n[reconcile]\nsweep_seconds=600\n") as berth:
    for zone in ("home-1a", "home-1b"):
        berth.client("berth").create_zone(ZoneName=zone)
    ecs = berth.client("ecs")
    agents = [test_life(berth, ecs, dialect) for dialect in ("1.70.0", "1.105.1")]
    test_service(berth, ecs, agents[1])
    agents[1] = test_restart(berth, ecs, agents[1])
    test_reconnect(berth, ecs, agents[1])
    test_draining(berth, ecs, agents)
    agents[1] = test_lost(berth, ecs, agents)
    test_timing(agents)
    agents[1].kill()
    tap.ok(berth.wait_for(lambda: berth.sql("SELECT 1 FROM container_instances WHERE lost_at IS NOT NULL"), 30),
           "gone once more, with no sweep for 600 s, it is given up again")
    for agent in agents:
        agent.kill()
    if tap.failed:
        berth.show_log(60)
tap.done()
