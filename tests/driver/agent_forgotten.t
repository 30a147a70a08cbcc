#!/usr/bin/python3
"""The agent and berthd, when berthd has forgotten the container instance, was told to deregister it, or is an
older copy of itself; and an agent that has lost its own memory. A real Docker Engine tells what runs."""
import os
import shutil
import signal
import sys

LIB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(LIB, "lib"))
sys.path.insert(0, os.path.join(LIB, "api", "lib"))
from agent_rig import Rig  # noqa: E402
from berth_test import Berth, tap  # noqa: E402

SLOW = 60  # seconds that anything here may take
STOPPED = 2 # in an agent's record
REGION_DATABASE = "berth_home_1"


class Machine:
    """A machine that is no guest, with its agent."""

    def __init__(self, rig, berth):
        self.rig, self.berth, self.ecs = rig, berth, berth.client("ecs")
        admin = berth.client("berth")
        admin.create_zone(ZoneName="home-1a")
        self.ecs.create_cluster()
        self.id = admin.create_external_instance(Address="10.0.0.9", User="root")["External"]["InstanceId"]
        self.keys = admin.create_external_credentials(InstanceId=self.id)
        for family in ("web", "lone"):
            self.ecs.register_task_definition(family=family, containerDefinitions=[
                {"name": "app", "image": rig.image, "memory": 32, "entryPoint": ["sleep"], "command": ["10000"], "stopTimeout": 2}])

    def start(self, cleanup_wait="1h"):
        self.rig.start_agent(
            BERTH_ENDPOINT=self.berth.endpoint, BERTH_CA=self.berth.ca, BERTH_CLUSTER="default", BERTH_INSTANCE_ID=self.id,
            BERTH_CLEANUP_WAIT=cleanup_wait, AWS_ACCESS_KEY_ID=self.keys["AccessKeyId"],
            AWS_SECRET_ACCESS_KEY=self.keys["SecretAccessKey"], AWS_SESSION_TOKEN=self.keys["SessionToken"])

    def connected(self):
        """ARN of the container instance that is connected, once it is one."""
        def find():
            arns = self.ecs.list_container_instances()["containerInstanceArns"]
            found = self.ecs.describe_container_instances(containerInstances=arns)["containerInstances"] if arns else []
            return next((c["containerInstanceArn"] for c in found if c["agentConnected"]), None)
        return self.berth.wait_for(find, SLOW, 0.2)

    def away(self):
        self.rig.kill_agent(signal.SIGKILL)
        self.berth.wait_for(lambda: self.berth.sql(
            "SELECT count(*) FROM container_instances WHERE channel_owner IS NOT NULL") == [["0"]], SLOW, 0.2)

    def task(self, arn):
        found = self.ecs.describe_tasks(tasks=[arn])["tasks"]
        return found[0] if found else None

    def run(self):
        arn = self.ecs.run_task(taskDefinition="lone")["tasks"][0]["taskArn"]
        if not self.berth.wait_for(lambda: self.task(arn)["lastStatus"] == "RUNNING", SLOW, 0.2):
            raise RuntimeError(f"no task runs: {self.task(arn)}")
        return arn

    def service(self):
        """The tasks of the service, when as many as it wants are running."""
        arns = self.ecs.list_tasks(serviceName="web")["taskArns"]
        found = self.ecs.describe_tasks(tasks=arns)["tasks"] if arns else []
        return len(found) == 2 and all(t["lastStatus"] == "RUNNING" for t in found) and {t["taskArn"] for t in found}

    def why(self):
        shown = self.ecs.describe_services(services=["web"])["services"][0]
        return "\n".join([str(shown["deployments"])] + [e["message"] for e in shown["events"][:5]])

    def runs(self):
        """What runs in Docker: a task for each container."""
        return sorted(self.rig.docker("ps", "--format", '{{.Label "com.amazonaws.ecs.task-arn"}}').split())

    def settles(self, before, more, claim):
        """The service has other tasks than before; they and more run, each once, and nothing else."""
        new = self.berth.wait_for(lambda: self.service() and not self.service() & before and self.service(), SLOW, 0.2)
        tap.ok(new, f"{claim}: the service has its tasks there, new ones", self.why())
        expected = sorted((new or set()) | more)
        tap.ok(self.berth.wait_for(lambda: self.runs() == expected, SLOW, 0.2),
               f"{claim}: each runs once, and none of those before", f"{self.runs()}\n{expected}")
        return new

    def ended(self, arns, reason, claim):
        shown = [self.task(arn) for arn in sorted(arns)]
        tap.is_({(t["lastStatus"], t["desiredStatus"], t.get("stoppedReason")) for t in shown}, {("STOPPED", "STOPPED", reason)},
                f"{claim}: the tasks are over, and say why")
        tap.is_({c["lastStatus"] for t in shown for c in t["containers"]}, {"STOPPED"}, f"{claim}: so are their containers")


class Copies:
    """Copies of the region's database, and the way back to one, while berthd is down."""

    def __init__(self, berth):
        self.berth = berth

    def _while_down(self, *statements):
        self.berth.stop(signal.SIGKILL)
        for one in statements:
            self.berth.sql(one, "postgres", "postgres")
        self.berth.start()

    def make(self, name):
        self._while_down(f"CREATE DATABASE {name} TEMPLATE {REGION_DATABASE} OWNER berth_owner")

    def go_back(self, name):
        self._while_down(f"DROP DATABASE {REGION_DATABASE} WITH (FORCE)",
                         f"CREATE DATABASE {REGION_DATABASE} TEMPLATE {name} OWNER berth_owner")


def deregister(m, arn):
    m.ecs.deregister_container_instance(containerInstance=arn, force=True)


FORCED = "Container instance deregistration forced by user."


def forced_while_away(m, arn, old, lone):
    m.away()
    deregister(m, arn)
    m.ended(old | {lone}, FORCED, "deregistered while away")
    tap.is_(m.runs(), sorted(old | {lone}), "deregistered while away: Docker runs them still, as nobody has told it")
    m.start()
    tap.is_(m.connected(), arn, "deregistered while away: the agent is the same container instance again")
    new = m.settles(old, set(), "deregistered while away")
    m.ended(old | {lone}, FORCED, "and after the agent's reports")
    return new


def forced_while_connected(m, arn, old):
    lone = m.run()
    deregister(m, arn)
    m.berth.wait_for(lambda: "acs channel is not open" in m.rig.log(), SLOW, 0.2)
    tap.like([l for l in m.rig.log().splitlines() if "acs channel" in l], "InactiveInstanceException",
             "deregistered while connected: the agent's channel ends, and it is told why")
    m.ended(old | {lone}, FORCED, "deregistered while connected")
    tap.is_((m.runs(), m.rig.agent.poll()), (sorted(old | {lone}), None), "deregistered while connected: as with stock agents, tasks go on until it is started again")
    m.rig.kill_agent(signal.SIGTERM)
    m.start()
    tap.is_(m.connected(), arn, "deregistered while connected: then it is the same container instance")
    return m.settles(old, set(), "deregistered while connected")


def rows_gone(m, copies, arn, old, lone):
    copies.go_back("before")
    new = m.settles(old, set(), "forgotten while it runs")
    now = m.connected()
    tap.ok(now and now != arn, "forgotten while it runs: the agent is a new container instance", now)
    tap.is_([m.task(a) for a in old | {lone}], [None] * 3, "forgotten while it runs: nobody sees the former tasks")
    m.run()
    m.away()
    copies.go_back("before")
    m.start()
    new = m.settles(new, set(), "forgotten while it was away")
    tap.ok(m.connected() not in (None, arn, now), "forgotten while it was away: the agent is a new container instance")
    return new


def older_copy(m, copies, old):
    """Payloads after the copy was made must not make the agent deaf to what the copy sends."""
    stays, ends, arn = m.run(), m.run(), m.connected()
    container = m.rig.containers(stays)
    copies.make("older")
    m.connected()
    after = {m.run() for _ in range(3)}
    m.ecs.stop_task(task=ends)
    m.berth.wait_for(lambda: m.task(ends)["lastStatus"] == "STOPPED", SLOW, 0.2)
    m.berth.wait_for(lambda: m.rig.saved(ends.split("/")[-1])["stopped_us"], SLOW, 0.2)  # or the agent would tell it again
    number = lambda: int(m.berth.sql("SELECT max(sequence) FROM container_instances")[0][0])
    last = number()
    m.berth.wait_for(lambda: m.rig.saved(ends.split("/")[-1])["reported"] == STOPPED, SLOW, 0.2)
    m.away()
    copies.go_back("older")
    tap.ok(number() < last, "an older copy: its numbers are smaller")
    m.start()
    tap.is_(m.connected(), arn, "an older copy: the agent is who it was")
    expected = sorted(old | {stays})
    tap.ok(m.berth.wait_for(lambda: m.runs() == expected, SLOW, 0.2), "an older copy: tasks that it does not know are stopped",
           f"{m.runs()}\n{expected}")
    tap.is_((m.rig.containers(stays), m.task(stays)["lastStatus"], m.service()), (container, "RUNNING", old),
            "an older copy: those that it knows go on where they were")
    tap.ok(after.isdisjoint(m.runs()), "none of them twice")
    tap.ok(m.berth.wait_for(lambda: m.task(ends)["lastStatus"] == "STOPPED", SLOW, 0.2) and "exitCode" in m.task(ends)["containers"][0],
           "an older copy: of a task that ended since the agent tells the end once more", m.task(ends))
    return stays


def older_copy_of_forgotten(m, copies, old):
    """Tasks end after the copy was made, and the agent cleans them up: a service's, and one of nobody's."""
    lone = m.run()
    copies.make("later")
    m.connected()
    m.away()
    m.start(cleanup_wait="1s")
    m.connected()
    lost = sorted(old)[0]
    m.rig.docker("kill", *m.rig.containers(lone), *m.rig.containers(lost))
    record = lambda arn: os.path.exists("%s/data/tasks/%s.json" % (m.rig.dir, arn.split("/")[-1]))
    tap.ok(m.berth.wait_for(lambda: m.service() and not record(lone) and not record(lost), SLOW, 0.2),
           "an older copy, forgotten tasks: they ended, one was replaced, and the agent has no record of them")
    since = m.service()
    m.away()
    copies.go_back("later")
    tap.is_([m.task(a)["lastStatus"] for a in (lone, lost)], ["RUNNING"] * 2, "an older copy, forgotten tasks: they run for it")
    m.start()
    gone = lambda: m.task(lone)["lastStatus"] == m.task(lost)["lastStatus"] == "STOPPED"
    tap.ok(m.berth.wait_for(gone, SLOW, 0.2), "an older copy, forgotten tasks: the agent says that it does not know them")
    m.ended({lone, lost}, "TaskStateError: the agent does not know this task", "an older copy, forgotten tasks")
    new = m.berth.wait_for(lambda: m.service() and lost not in m.service() and m.service(), SLOW, 0.2) or set()
    tap.ok((new & old, new & (since - old)) == (old - {lost}, set()),
           "an older copy, forgotten tasks: the service replaced its one, and kept the other", m.why())
    return new


def agent_forgets(m, old, lone):
    arn = m.connected()
    m.away()
    shutil.rmtree(m.rig.dir + "/data")
    m.start()
    tap.is_(m.connected(), arn, "an agent without its memory: the machine is the same container instance")
    m.settles(old, set(), "an agent without its memory")  # it ends what it ran
    tap.is_([m.rig.containers(a) for a in sorted(old | {lone})], [[]] * 3, "an agent without its memory: nothing of theirs is left")
    m.ended(old | {lone}, "The agent registered anew and does not know its tasks any more.", "an agent without its memory")


rig = Rig()
try:
    rig.start()
    with Berth(role="all") as daemon:
        with rig.watched(tap):
            machine = Machine(rig, daemon)
            copies = Copies(daemon)
            machine.ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=2)
            copies.make("before")
            machine.start()
            first = machine.connected()
            tasks = machine.settles(set(), set(), "at first")
            tasks = forced_while_away(machine, first, tasks, machine.run())
            tasks = forced_while_connected(machine, first, tasks)
            tasks = rows_gone(machine, copies, first, tasks, machine.run())
            stays = older_copy(machine, copies, tasks)
            tasks = older_copy_of_forgotten(machine, copies, tasks)
            agent_forgets(machine, tasks, stays)
finally:
    rig.stop()
tap.done()
