#!/usr/bin/python3
"""What goes wrong between agents and berthd: bad frames, bad order, a busy database, two of one identity."""

import http.client
import json
import os
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from agent_sim import Agent, Refused
from berth_test import REGION, Berth, tap
from stock_agent import CallError, StockAgent


def instance(ecs, agent):
    return ecs.describe_container_instances(
        cluster="default", containerInstances=[agent.disk["arn"]])["containerInstances"][0]


def run_on(ecs, agent, family="web"):
    """A task on this agent, RUNNING."""
    started = ecs.start_task(cluster="default", taskDefinition=family,
                             containerInstances=[agent.disk["arn"]])
    arn = started["tasks"][0]["taskArn"]
    agent.wait(lambda: described(ecs, arn)["lastStatus"] == "RUNNING")
    return arn


def described(ecs, arn):
    return ecs.describe_tasks(cluster="default", tasks=[arn])["tasks"][0]


def alone(berth, agent):
    """The same machine's identity, with each frame in the test's hand."""
    other = Agent(berth)
    other.arn = agent.disk["arn"]
    return other


def closed(socket_, seconds=10):
    try:
        while True:
            socket_.receive(seconds=seconds)
    except (EOFError, ConnectionError):
        return True
    except TimeoutError:
        return False


def test_bad_frames(berth, ecs, quiet):
    """quiet has no channel of its own: each bad peer takes its place. The daemon's other agent must not notice."""
    head = "\r\n\r\n"
    ends = [("text that is not UTF-8", lambda s: s.send_frame(1, b"\xff\xfe{}")),
            ("a reserved opcode", lambda s: s.send_frame(3, b"x")),
            ("a frame without mask", lambda s: s.sock.sendall(b"\x81\x02{}")),
            ("a message of 2 MiB", lambda s: s.send_frame(1, b"x" * (2 << 20))),
            ("a length of 2^62", lambda s: s.sock.sendall(b"\x81\xff" + struct.pack("!Q", 1 << 62) + b"abcd")),
            ("a continuation of nothing", lambda s: s.send_frame(0, b"x")),
            ("a ping of 200 bytes", lambda s: s.send_frame(9, b"x" * 200))]
    for what, bad in ends:
        acs = quiet.wait(lambda: try_acs(berth, quiet), 30)
        try:
            bad(acs)
        except OSError:
            pass  # it was cut off in the middle
        tap.ok(closed(acs), f"{what}: the channel is closed")
    acs = quiet.wait(lambda: try_acs(berth, quiet), 30)
    for text in ("", "{", "[]", "null", "{\"type\":1}", "{\"type\":\"AckRequest\"}",
                 "{\"type\":\"AckRequest\",\"message\":{\"messageId\":5}}",
                 "{\"type\":\"AckRequest\",\"message\":{\"messageId\":\"none\"}}",
                 "{\"type\":\"AckRequest\",\"message\":{\"messageId\":\"" + "'; DROP TABLE tasks; --" + "\"}}",
                 "{\"type\":\"Strange\",\"message\":{\"messageId\":\"m\"}}", head + "{}",
                 "{\"type\":\"NackRequest\",\"message\":{\"messageId\":\"m\"}}",
                 "{\"type\":\"NackRequest\",\"message\":{\"messageId\":\"m\",\"reason\":[]}}",
                 "{\"a\":" * 3000, "{\"type\":\"a\",\"type\":\"b\",\"message\":{}}"):
        acs.send_frame(1, text.encode())
    acs.send_in_parts("HeartbeatAckRequest", {"messageId": "m", "pad": "x" * 90000}, 32768)
    acs.send_frame(9, b"still there?")
    acs.sock.settimeout(5)
    while True:
        opcode, data = acs.frame()
        if opcode == 10:
            break
    tap.is_(data, b"still there?", "JSON that is none, or of another kind, ends nothing")
    acs.close()


def try_acs(berth, agent):
    try:
        return alone(berth, agent).acs()
    except (Refused, OSError):
        return None


def test_bad_telemetry(berth, ecs, agent, arn):
    tcs = alone(berth, agent).tcs()
    metadata = {"cluster": "default", "containerInstance": agent.disk["arn"], "fin": True, "messageId": "m"}
    for tasks in (None, "x", [None], [{}], [{"taskArn": 5}], [{"taskArn": arn, "containers": "x"}],
                  [{"taskArn": arn, "containers": [None, {"containerName": 1}, {"containerName": "app", "healthStatus": "FINE"}]}],
                  [{"taskArn": "arn:aws:ecs:x:1:task/default/" + "0" * 32, "containers": [{"containerName": "a", "healthStatus": "HEALTHY"}]}]):
        tcs.send("PublishHealthRequest", {"metadata": metadata, "tasks": tasks, "timestamp": -1e300})
        tap.is_(tcs.receive(seconds=5)[0], "AckPublishHealth", f"health of {json.dumps(tasks)[:50]} is acknowledged and ignored")
    tap.is_(described(ecs, arn)["healthStatus"], "UNKNOWN", "and changes nothing")
    tcs.send_frame(1, b"Authorization: x\r\nno empty line")
    tcs.send("StopTelemetrySessionMessage", {})
    tcs.send("PublishMetricsRequest", {"metadata": metadata}, prefix="Host: x\r\n\r\n")
    tap.is_(tcs.receive(seconds=5)[0], "AckPublishMetric", "lines without JSON end nothing")
    tcs.close()


def test_reports(berth, ecs, agent):
    """Every order of PENDING, RUNNING, STOPPED ends the same way."""
    import itertools
    for order in itertools.permutations(("PENDING", "RUNNING", "STOPPED")):
        agent.start_delay = 3600
        arn = ecs.start_task(cluster="default", taskDefinition="web",
                             containerInstances=[agent.disk["arn"]])["tasks"][0]["taskArn"]
        agent.wait(lambda: agent.task(arn))
        for status in order * 2:
            containers = [] if status == "PENDING" else [
                {"containerName": "app", "status": status, "networkBindings": [],
                 **({"exitCode": 3} if status == "STOPPED" else {"runtimeId": "r"})}]
            agent.call("SubmitTaskStateChange", {"cluster": "default", "task": arn, "status": status,
                                                 "reason": "", "containers": containers})
        task = described(ecs, arn)
        tap.is_((task["lastStatus"], task["containers"][0]["lastStatus"], task["containers"][0].get("exitCode")),
                ("STOPPED", "STOPPED", 3), f"reports {' '.join(order)}, twice: it ends STOPPED with its code")
    agent.start_delay = 0.05
    for task in ("arn:aws:ecs:%s:%s:task/default/%s" % (REGION, berth.account_id, "f" * 32), "x", ""):
        try:
            agent.call("SubmitTaskStateChange", {"cluster": "default", "task": task, "status": "STOPPED", "reason": "", "containers": []})
            code = "200"
        except CallError as e:
            code = e.code
        tap.is_(code, "InvalidParameterException", f"a report of task {task[-34:]!r} is refused in the way that ends it")
    arn = run_on(ecs, agent)
    for odd in ({"reason": "x" * 5000}, {"containers": [{"containerName": "none", "status": "RUNNING", "networkBindings": []}]},
                {"containers": [{"containerName": "app", "status": "RUNNING", "reason": "y" * 2000, "networkBindings": []}]},
                {"pullStartedAt": 1795338658.409, "pullStoppedAt": -6795364578.871},
                {"managedAgents": [{"containerName": "app", "managedAgentName": "ExecuteCommandAgent", "status": "STOPPED", "reason": "r"}]},
                {"cluster": "arn:aws:ecs:%s:%s:cluster/default" % (REGION, berth.account_id)}):
        try:
            agent.call("SubmitTaskStateChange", {"cluster": "default", "task": arn, "status": "RUNNING", "reason": "", "containers": [], **odd})
            good = True
        except CallError as e:
            good = e
        tap.ok(good is True, f"a report with {str(odd)[:60]} is taken", good)


def test_busy(berth, ecs, agent):
    """Someone holds the task's row: the answer is late, but the row is not needed for others' answers."""
    arn = run_on(ecs, agent)
    other = run_on(ecs, agent)
    holder = subprocess.Popen(
        ["psql", "-X", "-q", "-h", berth.sockets, "-U", "berth_owner", "-d", "berth_home_1", "-c",
         f"BEGIN; SELECT 1 FROM tasks WHERE task_id = '{arn.rsplit('/', 1)[1]}' FOR UPDATE; SELECT pg_sleep(4)"],
        stdout=subprocess.DEVNULL)
    time.sleep(0.5)
    began = time.monotonic()
    agent.exit_container(other, "app", 0)
    tap.ok(described(ecs, other)["lastStatus"] == "STOPPED" and time.monotonic() - began < 2,
           "with one task's row locked, another's report is taken at once")
    agent.calls.clear()
    agent.exit_container(arn, "app", 9)
    slowest = max(c[1] for c in agent.calls)
    tap.ok(described(ecs, arn)["containers"][0].get("exitCode") == 9 and slowest < 5,
           "the locked one's is taken when the lock goes, within the agent's 5 s", agent.calls)
    holder.wait()


def test_rival(berth, ecs, agent):
    """A copied disk: two machines with one identity."""
    opened = agent.acs_opened
    for _ in range(3):
        try:
            alone(berth, agent).acs().close()
            tap.ok(False, "a second session with the same identity is refused")
        except Refused as e:
            tap.is_((e.status, e.code), (400, "InvalidInstanceException"), "a second session with the same identity is refused")
    tap.ok(agent.acs_opened == opened and agent.acs, "the first keeps its channel")
    why = json.dumps(berth.client("berth").explain(Id=agent.disk["arn"].rsplit("/", 1)[1]), default=str)
    tap.like(why, "a second session", "and it is told why")
    tap.like(why, "127.0.0.1", "with the address it came from")


def test_connected(berth, ecs, agent):
    """An agent that no longer answers is shown as disconnected after suspect_seconds (5 here)."""
    agent.mute = True
    StockAgent.drop(agent.tcs)
    began = time.monotonic()
    tap.ok(agent.wait(lambda: agent.closes, 60), "an agent that answers no heartbeat is given up")
    agent.mute = False
    tap.ok(agent.wait(lambda: instance(ecs, agent)["agentConnected"], 20), "and may come back")


def test_end(berth, ecs, agent):
    arn = agent.disk["arn"]
    agent.wait(lambda: agent.acs)
    ecs.deregister_container_instance(cluster="default", containerInstance=arn, force=True)
    tap.ok(agent.wait(lambda: ("InactiveInstanceException" in [r[1] for r in agent.refused])),
           "after deregistration the upgrade is refused with InactiveInstanceException: the agent waits an hour", agent.refused)
    try:
        alone(berth, agent).acs()
    except Refused as e:
        status, body = e.args[0].split(" ", 1)
        tree = json.loads(body)
        tap.ok(list(tree) == ["InactiveInstanceException"] and isinstance(tree["InactiveInstanceException"], str),
               "in the form the agent decodes: one member, a text", body)
    again = StockAgent(berth, agent.dialect, disk=agent.disk)
    again.running = True
    try:
        again.register()
        code = instance(ecs, again)["status"]
    except Exception as e:
        code = str(e)
    tap.is_(code, "ACTIVE", "an agent that is started again with its disk is a container instance again")


with Berth(role="all", config="[agents]\nlost_seconds=600\nsuspect_seconds=5\n") as berth:
    for zone in ("home-1a", "home-1b"):
        berth.client("berth").create_zone(ZoneName=zone)
    ecs = berth.client("ecs")
    ecs.create_cluster(clusterName="default")
    ecs.register_task_definition(family="web", containerDefinitions=[
        {"name": "app", "image": "bb:1", "memory": 16, "essential": True}])
    agent = StockAgent(berth, "1.105.1").start()
    bystander = StockAgent(berth, "1.70.0").start()
    quiet = StockAgent(berth, "1.70.0")
    quiet.register()
    quiet.wait(lambda: instance(ecs, agent)["agentConnected"] and instance(ecs, bystander)["agentConnected"]
               and bystander.tcs_opened)
    opened = bystander.acs_opened, bystander.tcs_opened
    test_bad_frames(berth, ecs, quiet)
    test_bad_telemetry(berth, ecs, agent, run_on(ecs, agent))
    test_reports(berth, ecs, agent)
    test_busy(berth, ecs, agent)
    test_rival(berth, ecs, agent)
    tap.is_((bystander.acs_opened, bystander.tcs_opened), opened, "through all of it the other agent kept its channels")
    test_connected(berth, ecs, agent)
    test_end(berth, ecs, agent)
    tap.is_(berth.daemon.poll(), None, "berthd lives")
    for one in (agent, bystander):
        one.kill()
tap.done()
