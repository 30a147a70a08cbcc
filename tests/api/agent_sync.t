#!/usr/bin/python3
"""What berthd and agents tell each other so that both know the same: tasks, resources, tags, health, ends."""

import json
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from agent_sim import ATTRIBUTES, Agent, Refused
from berth_test import REGION, Berth, tap
from stock_agent import StockAgent

TRUST = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}]})


def described(ecs, arn):
    return ecs.describe_tasks(cluster="default", tasks=[arn])["tasks"][0]


def instance(ecs, agent, **more):
    return ecs.describe_container_instances(
        cluster="default", containerInstances=[agent.disk["arn"]], **more)["containerInstances"][0]


def connected(ecs, agent, seconds=10):
    return agent.wait(lambda: instance(ecs, agent)["agentConnected"], seconds)


def run_on(ecs, agent, family="web"):
    arn = ecs.start_task(cluster="default", taskDefinition=family,
                         containerInstances=[agent.disk["arn"]])["tasks"][0]["taskArn"]
    agent.wait(lambda: described(ecs, arn)["lastStatus"] == "RUNNING")
    return arn


def status(agent, arn):
    return agent.tasks[arn].known


# -- full sync
def test_manifest(berth, ecs, dialect):
    """A container instance that was deregistered by force: its agent still runs what it had."""
    agent = StockAgent(berth, dialect).start()
    connected(ecs, agent)
    orphan = run_on(ecs, agent)
    tap.ok(agent.wait(lambda: agent.manifests), f"{dialect}: a session brings one manifest")
    agent.kill()
    ecs.deregister_container_instance(cluster="default", containerInstance=agent.disk["arn"], force=True)
    tap.is_((described(ecs, orphan)["lastStatus"], status(agent, orphan)), ("STOPPED", "RUNNING"),
            f"{dialect}: a task is over for the control plane, not for its agent")
    back = StockAgent(berth, dialect, disk=agent.disk)
    back.register()
    wanted = ecs.start_task(cluster="default", taskDefinition="web", containerInstances=[back.disk["arn"]])
    tap.is_(wanted["tasks"], [], f"{dialect}: nothing is placed before it is connected")
    back.start()
    connected(ecs, back)
    wanted = run_on(ecs, back)
    tap.ok(back.wait(lambda: status(back, orphan) == "STOPPED", 20),
           f"{dialect}: when it is back, what is not to run there is stopped")
    tap.is_(set(back.named), {orphan}, f"{dialect}: the agent named that and nothing else")
    tap.ok("TaskStopVerificationAck" not in back.types and
           [p["tasks"][0] for p in back.payloads if p["tasks"][0]["arn"] == orphan and
            p["tasks"][0]["desiredStatus"] == "STOPPED"],
           f"{dialect}: by an ordinary payload: the confirmation of its own loses containers", back.types)
    tap.is_((status(back, wanted), described(ecs, wanted)["lastStatus"]), ("RUNNING", "RUNNING"),
            f"{dialect}: what is to run there goes on")
    history = berth.sql("SELECT what FROM history WHERE kind = 'channel' AND object_id = "
                        f"'{back.disk['arn'][-32:]}' AND what LIKE 'the agent ran 1 tasks%'")
    tap.ok(history and orphan[-32:] in history[0][0], f"{dialect}: and that is on record", history)
    tap.is_({tuple(sorted(t)) for m in agent.manifests + back.manifests for t in m["tasks"]},
            {("desiredStatus", "taskArn", "taskClusterArn")}, f"{dialect}: a manifest has the members that it knows, no more")
    numbers = [m["timeline"] for m in back.manifests] + [p["seqNum"] for p in back.payloads]
    tap.is_(len(set(numbers)), len(numbers), f"{dialect}: manifests and payloads share one sequence")
    tap.is_(agent.faults + back.faults, [], f"{dialect}: all that came is what the decoder takes")
    return back, wanted


def test_lies(berth, ecs):
    """An agent names what is to run there, what is nobody's, and things that are none."""
    agent = Agent(berth)
    agent.register(attributes=ATTRIBUTES + [{"name": "ecs.capability.full-sync"}])
    acs = agent.acs()
    wanted = ecs.start_task(cluster="default", taskDefinition="web",
                            containerInstances=[agent.arn])["tasks"][0]["taskArn"]
    agent.ack(acs, acs.receive("PayloadMessage")[1])
    acs.close()
    acs = berth.wait_for(lambda: agent.acs())
    stranger = wanted.rsplit("/", 1)[0] + "/" + "e" * 32
    _, manifest = acs.receive("TaskManifestMessage", seconds=10)
    tap.is_([t["taskArn"] for t in manifest["tasks"]], [wanted], "a manifest names what is to run")
    named = [wanted, stranger, None, 7, "", "x", "a/b", "arn:aws:ecs:x:1:task/default/" + "z" * 32, "'; --/" + "0" * 31]
    for message_id in ("other", manifest["messageId"], manifest["messageId"]):
        acs.send("TaskStopVerificationMessage", {"messageId": message_id, "stopCandidates": [
            {"taskArn": a, "taskClusterArn": "c", "desiredStatus": "STOPPED"} for a in named]})
    _, stop = acs.receive("PayloadMessage")
    tap.is_([(t["arn"], t["desiredStatus"]) for t in stop["tasks"]], [(stranger, "STOPPED")],
            "of what an agent names, only what the rows want there no more is stopped")
    tap.ok(acs.none_within("PayloadMessage", 1), "and once")
    tap.is_(described(ecs, wanted)["desiredStatus"], "RUNNING", "what they want goes on")
    acs.send("TaskStopVerificationMessage", {"messageId": manifest["messageId"], "stopCandidates": "x"})
    acs.close()
    ecs.deregister_container_instance(cluster="default", containerInstance=agent.arn, force=True)


def opened(agent, **changes):
    """A session, as soon as the one before it is over."""
    try:
        return agent.acs(**changes)
    except Refused:
        return None


def test_forgotten(berth, ecs):
    """Our own agent learns which tasks it has acknowledged, and says which of these it does not know."""
    agent = Agent(berth)
    agent.register(attributes=ATTRIBUTES + [{"name": "ecs.capability.full-sync"}])
    start = lambda: ecs.start_task(cluster="default", taskDefinition="web", containerInstances=[agent.arn])["tasks"][0]["taskArn"]
    submit = lambda arn, status, **more: agent.ecs.submit_task_state_change(cluster="default", task=arn, status=status, **more)
    acs = agent.acs(agentHash="berth")
    acs.receive("TaskManifestMessage")
    acked, runs, silent = [(start(), acs.receive("PayloadMessage")[1]) for _ in range(3)]
    agent.ack(acs, acked[1])
    berth.wait_for(lambda: berth.sql("SELECT 1 FROM tasks WHERE acked_status = 'RUNNING' AND task_id = '%s'" % acked[0][-32:]))
    acs.close()
    acked, runs, silent = acked[0], runs[0], silent[0]
    submit(runs, "RUNNING", containers=[{"containerName": "app", "status": "RUNNING"}])
    acs = berth.wait_for(lambda: opened(agent, agentHash="berth"))
    _, manifest = acs.receive("TaskManifestMessage")
    tap.is_({t["taskArn"]: t.get("acknowledged") for t in manifest["tasks"]}, {acked: True, runs: True, silent: None},
            "our agent: a manifest tells the tasks that were acknowledged, or told to run, from others")
    ends = lambda arn: (described(ecs, arn)["lastStatus"], described(ecs, arn).get("stopCode"), described(ecs, arn).get("stoppedReason"))
    for arn in runs, acked:
        submit(arn, "STOPPED", reason="TaskStateError: unknown", containers=[])
    tap.is_((ends(runs), ends(acked)), (("STOPPED", "TerminationNotice", "TaskStateError: unknown"),
                                        ("STOPPED", "TaskFailedToStart", "TaskStateError: unknown")),
            "its report that it does not know them ends them, and says why")
    submit(silent, "RUNNING")
    submit(silent, "STOPPED", reason="of a kind", containers=[{"containerName": "app", "status": "STOPPED", "exitCode": 3}])
    told = "STOPPED", "EssentialContainerExited", "Essential container in task exited"
    tap.is_(ends(silent), told, "a report with the ends of containers is what it was")
    submit(silent, "STOPPED", reason="TaskStateError: unknown", containers=[])
    tap.is_((ends(silent), described(ecs, silent)["containers"][0]["exitCode"]), (told, 3), "and the other changes nothing after it")
    acs.close()
    ecs.deregister_container_instance(cluster="default", containerInstance=agent.arn, force=True)


def test_old(berth, ecs):
    agent = StockAgent(berth, "1.60.0").start()
    connected(ecs, agent)
    arn = run_on(ecs, agent)
    tap.is_(described(ecs, arn)["lastStatus"], "RUNNING", "an agent of v1.60 joins and runs tasks")
    time.sleep(6)
    tap.ok("TaskManifestMessage" not in agent.types, "one that does not say full-sync gets no manifest")
    ecs.stop_task(cluster="default", task=arn)
    tap.ok(agent.wait(lambda: described(ecs, arn)["lastStatus"] == "STOPPED"), "and stops them")
    tap.is_(agent.faults, [], "every payload was to its decoder's taste")
    agent.kill()
    ecs.deregister_container_instance(cluster="default", containerInstance=agent.disk["arn"], force=True)


# -- resources, attributes, tags
def test_resources(berth, ecs, agent):
    ecs.register_task_definition(family="ports", containerDefinitions=[
        {"name": "app", "image": "bb:1", "memory": 16, "portMappings": [
            {"containerPort": 80, "hostPort": 22}]}])
    ecs.register_task_definition(family="udp", containerDefinitions=[
        {"name": "app", "image": "bb:1", "memory": 16, "portMappings": [
            {"containerPort": 80, "hostPort": 22, "protocol": "udp"}]}])
    start = lambda family: ecs.start_task(cluster="default", taskDefinition=family,
                                          containerInstances=[agent.disk["arn"]])
    tap.is_([f["reason"] for f in start("ports")["failures"]], ["RESOURCE:PORTS"],
            "a port that the agent reserves is given to no task")
    ran = start("udp")
    tap.is_(ran["failures"], [], "the same number in UDP is another port")
    ecs.stop_task(cluster="default", task=ran["tasks"][0]["taskArn"])
    agent.wait(lambda: described(ecs, ran["tasks"][0]["taskArn"])["lastStatus"] == "STOPPED")
    before = instance(ecs, agent)
    agent.memory_mib, agent.ports = 1500, {"PORTS": ["51678"], "PORTS_UDP": ["22"]}
    again = agent.register_once("default")
    tap.is_(again["containerInstanceArn"], agent.disk["arn"], "registered with other resources it is the same")
    after = instance(ecs, agent)
    shown = {r["name"]: r.get("stringSetValue") or r["integerValue"] for r in after["registeredResources"]}
    tap.is_((shown["MEMORY"], shown["PORTS"], shown["PORTS_UDP"], after["version"] > before["version"]),
            (1500, ["51678"], ["22"], True), "which are what it has now")
    tap.is_([f["reason"] for f in start("udp")["failures"]], ["RESOURCE:PORTS"], "and what placement goes by")
    tap.is_(start("ports")["failures"], [], "both ways")


def test_attributes(berth, ecs, agent):
    name = "colour"
    agent.custom = [{"name": name, "value": "red"}]
    full = agent.attributes() + agent.custom
    answer = agent.call("RegisterContainerInstance", {
        "cluster": "default", "containerInstanceArn": agent.disk["arn"], "attributes": full,
        "totalResources": [{"name": "CPU", "type": "INTEGER", "integerValue": 2048},
                           {"name": "MEMORY", "type": "INTEGER", "integerValue": 1500}]})["containerInstance"]
    tap.ok({"name": name, "value": "red"} in answer["attributes"], "a custom attribute that comes later is kept")
    ecs.put_attributes(cluster="default", attributes=[
        {"name": name, "value": "blue", "targetType": "container-instance", "targetId": agent.disk["arn"]}])
    agent.register_once("default")
    shown = {a["name"]: a.get("value") for a in instance(ecs, agent)["attributes"]}
    tap.is_(shown[name], "blue", "what a person set stays when the agent does not name it")
    cluster_arn = f"arn:aws:ecs:{REGION}:{berth.account_id}:cluster/default"
    for cluster in (cluster_arn, "default", None):
        asked = {"containerInstance": agent.disk["arn"]}
        tap.ok(agent.call("DiscoverPollEndpoint", {**asked, **({"cluster": cluster} if cluster else {})}),
               f"cluster {cluster} is understood")


def test_tags(berth, ecs):
    agent = StockAgent(berth, "1.105.1", tags=[{"key": "rack", "value": "r1"}]).start()
    connected(ecs, agent)
    tags = instance(ecs, agent, include=["TAGS"])["tags"]
    tap.is_(tags, [{"key": "rack", "value": "r1"}], "tags of the registration are the container instance's")
    got = agent.call("ListTagsForResource", {"resourceArn": agent.disk["arn"]})["tags"]
    tap.is_(got, tags, "as the agent reads them for taskWithTags")
    arn = ecs.start_task(cluster="default", taskDefinition="web", containerInstances=[agent.disk["arn"]],
                         tags=[{"key": "team", "value": "a"}])["tasks"][0]["taskArn"]
    tap.is_(agent.call("ListTagsForResource", {"resourceArn": arn})["tags"], [{"key": "team", "value": "a"}],
            "and its task's")
    shown = ecs.describe_tasks(cluster="default", tasks=[arn], include=["TAGS"])["tasks"][0]["tags"]
    tap.is_((shown, described(ecs, arn)["tags"]), ([{"key": "team", "value": "a"}], []),
            "DescribeTasks shows them when asked")
    agent.tags = [{"key": "rack", "value": "r2"}]
    agent.register_once("default")
    tap.is_(instance(ecs, agent, include=["TAGS"])["tags"], agent.tags, "registered again with other tags: those")
    return agent


def test_update(ecs, agent):
    tap.raises("NoUpdateAvailableException", lambda: ecs.update_container_agent(
        cluster="default", containerInstance=agent.disk["arn"]), "there is no update of an agent by this way", 400)
    tap.raises("InvalidParameterException", lambda: ecs.update_container_agent(
        cluster="default", containerInstance="0" * 32), "and none of one that is not there", 400)


# -- health
def test_health(ecs, agent):
    """One agent left: the service's task can only be replaced there."""
    ecs.register_task_definition(family="checked", containerDefinitions=[
        {"name": "app", "image": "bb:1", "memory": 16, "healthCheck": {"command": ["CMD", "true"]}}])
    ecs.create_service(cluster="default", serviceName="checked", taskDefinition="checked", desiredCount=1,
                       deploymentConfiguration={"minimumHealthyPercent": 0, "maximumPercent": 100})
    listed = lambda: ecs.list_tasks(cluster="default", serviceName="checked")["taskArns"]
    agents = {a.disk["arn"]: a for a in agent}
    healthy = lambda: [a for a in listed() if described(ecs, a).get("healthStatus") == "HEALTHY"]
    first = agent[0].wait(healthy, 20)
    tap.ok(first, "a service's task is HEALTHY")
    ill = first[0]
    host = agents[described(ecs, ill)["containerInstanceArn"]]
    host.tasks[ill].containers[0].health = "UNHEALTHY"
    tap.ok(host.wait(lambda: status(host, ill) == "STOPPED", 20), "UNHEALTHY, it is stopped")
    tap.ok(host.wait(lambda: [a for a in healthy() if a != ill], 20), "and another takes its place", listed())
    task = host.wait(lambda: described(ecs, ill)["lastStatus"] == "STOPPED" and described(ecs, ill))
    tap.like(task["stoppedReason"], "failed container health checks", "for that reason")
    tap.is_(task["stopCode"], "ServiceSchedulerInitiated", "stopped by the scheduler")
    ecs.update_service(cluster="default", service="checked", desiredCount=0)
    ecs.delete_service(cluster="default", service="checked", force=True)


# -- a busy database
def test_busy(berth, ecs, agent):
    """Somebody holds the cluster's, its services' and its container instances' rows for seconds."""
    arn = run_on(ecs, agent)
    holder = subprocess.Popen(
        ["psql", "-X", "-q", "-h", berth.sockets, "-U", "berth_owner", "-d", "berth_home_1", "-c",
         "BEGIN; SELECT 1 FROM clusters FOR NO KEY UPDATE; SELECT 1 FROM services FOR NO KEY UPDATE;"
         " SELECT 1 FROM container_instances FOR NO KEY UPDATE; SELECT pg_sleep(8)"], stdout=subprocess.DEVNULL)
    time.sleep(1)
    agent.calls.clear()
    report = dict(cluster="default", task=arn, reason="", status="RUNNING", containers=[
        {"containerName": "app", "status": "RUNNING", "runtimeId": "r", "networkBindings": []}])
    agent.call("SubmitContainerStateChange", {"cluster": "default", "task": arn, "containerName": "app",
                                              "status": "RUNNING", "networkBindings": []})
    agent.call("SubmitTaskStateChange", report)
    agent.call("DiscoverPollEndpoint", {"cluster": "default", "containerInstance": agent.disk["arn"]})
    agent.exit_container(arn, "app", 5)
    taken = described(ecs, arn)["containers"][0].get("exitCode")
    slowest = max(c[1] for c in agent.calls)
    tap.ok(holder.poll() is None, "the rows are still locked")
    tap.ok(taken == 5 and slowest < 3, "and all reports were answered", (agent.calls, taken))
    holder.wait()


def test_order(ecs, agent):
    """Containers before their task; the same thing many times."""
    agent.start_delay = 3600
    arn = ecs.start_task(cluster="default", taskDefinition="web",
                         containerInstances=[agent.disk["arn"]])["tasks"][0]["taskArn"]
    agent.wait(lambda: agent.task(arn))
    one = {"cluster": "default", "task": arn, "containerName": "app"}
    for _ in range(2):
        agent.call("SubmitContainerStateChange", {**one, "status": "RUNNING", "runtimeId": "abc", "networkBindings": [
            {"bindIP": "0.0.0.0", "containerPort": 1, "hostPort": 33333, "protocol": "tcp"}]})
    task = described(ecs, arn)
    tap.is_((task["lastStatus"], task["containers"][0]["lastStatus"], task["containers"][0]["runtimeId"]),
            ("PENDING", "RUNNING", "abc"), "a container may be RUNNING before its task is")
    agent.call("SubmitContainerStateChange", {**one, "status": "STOPPED", "exitCode": 4})
    agent.call("SubmitTaskStateChange", {"cluster": "default", "task": arn, "status": "STOPPED", "reason": ""})
    agent.call("SubmitTaskStateChange", {"cluster": "default", "task": arn, "status": "RUNNING", "reason": "", "containers": [
        {"containerName": "app", "status": "RUNNING", "runtimeId": "late", "networkBindings": []}]})
    task = described(ecs, arn)
    tap.is_((task["lastStatus"], task["containers"][0]["exitCode"], task["containers"][0]["runtimeId"],
             task["stopCode"]), ("STOPPED", 4, "abc", "EssentialContainerExited"),
            "RUNNING after STOPPED changes nothing of either")
    agent.start_delay = 0.05


# -- ends, as people see them
def why(berth, agent):
    out = berth.verb("why", agent.disk["arn"].rsplit("/", 1)[1])
    return out.stdout + out.stderr


def test_ends(berth, ecs, agent):
    tap.ok(connected(ecs, agent), "a connected agent")
    shown = why(berth, agent)
    tap.ok("last message at" in shown and "disconnected at" not in shown, "berth why: its last message", shown)
    agent.kill()
    tap.ok(agent.wait(lambda: not instance(ecs, agent)["agentConnected"]), "killed it is not connected")
    shown = why(berth, agent)
    tap.ok("disconnected at" in shown and "because" in shown, "berth why: since when, and the cause", shown)
    tap.ok(agent.wait(lambda: "given up at" in why(berth, agent), 20), "and later that it is given up (lost_seconds)")
    back = StockAgent(berth, agent.dialect, disk=agent.disk).start()
    tap.ok(connected(ecs, back), "back again it is connected")
    tap.ok(back.wait(lambda: "given up at" not in why(berth, back)), "and given up no more", why(berth, back))
    back.mute = True
    StockAgent.drop(back.tcs)
    tap.ok(back.wait(lambda: "heartbeats were not answered" in why(berth, back), 20),
           "berth why: one that answers no heartbeat", why(berth, back))
    back.mute = False
    connected(ecs, back, 20)
    return back


# -- credentials that did not arrive
def open_roles(berth, ecs):
    """An agent that asked for its tasks' credentials, and was cut off before it had them."""
    arn = berth.client("iam").create_role(RoleName="app", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    agent = Agent(berth)
    agent.register(attributes=ATTRIBUTES + [{"name": "com.amazonaws.ecs.capability." + n} for n in (
        "task-iam-role", "docker-remote-api.1.17", "docker-remote-api.1.18")])
    ecs.register_task_definition(family="role", taskRoleArn=arn, containerDefinitions=[
        {"name": "app", "image": "bb:1", "memory": 16}])
    acs = agent.acs()
    ecs.start_task(cluster="default", taskDefinition="role", containerInstances=[agent.arn])
    _, message = acs.receive("PayloadMessage")
    acs.send("IAMRoleCredentialsAckRequest", {"messageId": message["messageId"], "expiration": "x", "credentialsId":
                                              message["tasks"][0]["roleCredentials"]["credentialsId"]})
    agent.ack(acs, message)
    berth.wait_for(lambda: berth.sql("SELECT 1 FROM task_credentials WHERE acked"))
    acs.close()
    forgetful = agent.acs(sendCredentials="true")
    forgetful.receive("IAMRoleCredentialsMessage")
    forgetful.close()
    tap.is_(berth.sql("SELECT acked FROM task_credentials"), [["f"]], "credentials that were sent and not acknowledged")
    return Listening(agent.acs(sendCredentials="false"))


class Listening(threading.Thread):
    """A session that answers heartbeats until credentials come."""

    def __init__(self, acs):
        super().__init__(daemon=True)
        self.acs, self.heard = acs, None
        self.start()

    def run(self):
        while not self.heard:
            kind, message = self.acs.receive(seconds=60)
            if kind == "HeartbeatMessage":
                self.acs.send("HeartbeatAckRequest", {"messageId": message["messageId"]})
            elif kind == "IAMRoleCredentialsMessage":
                self.heard = message


def test_roles(listening):
    listening.join(60)
    tap.is_((listening.heard or {}).get("roleType"), "TaskApplication",
            "come again in the next session, though the agent says that it needs none")
    listening.acs.close()


with Berth(role="all", config="[agents]\nlost_seconds=5\nsuspect_seconds=12\n") as berth:
    for zone in ("home-1a", "home-1b"):
        berth.client("berth").create_zone(ZoneName=zone)
    ecs = berth.client("ecs")
    ecs.create_cluster(clusterName="default")
    ecs.register_task_definition(family="web", containerDefinitions=[
        {"name": "app", "image": "bb:1", "memory": 16, "essential": True}])
    test_old(berth, ecs)
    listening = open_roles(berth, ecs)
    agent, _ = test_manifest(berth, ecs, "1.70.0")
    newer, _ = test_manifest(berth, ecs, "1.105.1")
    test_lies(berth, ecs)
    test_forgotten(berth, ecs)
    test_resources(berth, ecs, agent)
    test_attributes(berth, ecs, agent)
    tagged = test_tags(berth, ecs)
    test_update(ecs, tagged)
    test_health(ecs, [agent, newer, tagged])
    test_busy(berth, ecs, agent)
    test_order(ecs, agent)
    agent = test_ends(berth, ecs, agent)
    test_roles(listening)
    for one in (agent, newer, tagged):
        one.kill()
tap.done()
