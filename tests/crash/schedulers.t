#!/usr/bin/python3
"""Kills berthd at each fault point of calls and of the ECS schedulers, starts it again, and sees the
same end as without a kill: what was asked for is there once, and nothing else.

First calls alone: a client that got no answer makes its call again. Then the life of a service
with simulated agents; a journey without a kill writes down the points it passes, and a point that is
passed often is tried at its first pass, in the middle and near the end. Arguments: points to try
instead (service.planned:3)."""

import collections
import http.client
import json
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "api", "lib"))
from berth_test import Berth, tap  # noqa: E402
from ecs_agents import Agents  # noqa: E402
from raw import Raw  # noqa: E402
from botocore.exceptions import ConnectionError as Refused, HTTPClientError  # noqa: E402

# KeyError: an answer cut off behind its headers, which botocore takes for an empty one
GONE = (HTTPClientError, Refused, http.client.HTTPException, ConnectionError, KeyError)
ONE = [{"name": "web", "image": "nginx", "memory": 128, "cpu": 100}]


class Mortal:
    """A berthd that dies once at a point, and clients that then call again."""

    def __init__(self, berth):
        self.berth = berth
        self.deaths = 0
        self.on_restart = lambda: None

    def start(self, fault=None, trace=None):
        berth = self.berth
        berth.stop()
        self.deaths = 0
        for name, value in (("BERTH_FAULT", fault), ("BERTH_FAULT_TRACE", trace)):
            berth.env.pop(name, None)
            if value:
                berth.env[name] = value
        berth.start()
        self.on_restart()

    def revive(self, wait=0):
        """Starts berthd again if it died as it was told to."""
        until = time.monotonic() + wait
        while self.berth.daemon.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        if self.berth.daemon.poll() is None:
            return
        assert self.berth.daemon.returncode == -signal.SIGKILL, self.berth.daemon.returncode
        self.deaths += 1
        self.berth.daemon.stdout.close()
        self.berth.env.pop("BERTH_FAULT", None)
        self.berth.start()
        self.on_restart()

    def call(self, function, *args, **kw):
        for _ in range(3):
            self.revive()
            try:
                return function(*args, **kw)
            except GONE:
                self.revive(wait=5)
        return function(*args, **kw)

    def wait(self, what, check, seconds=40):
        until = time.monotonic() + seconds
        value = None
        while time.monotonic() < until:
            value = self.call(check)
            if value is True:
                return
            time.sleep(0.05)
        raise AssertionError(f"{what}: {value!r}")


def connect(names):
    """Agents come back one by one; the first must not take every task that waits."""
    for name in names:
        berth.sql("UPDATE container_instances SET channel_owner = (SELECT daemon_id FROM daemons LIMIT 1),"
                  f" connected_at = now(), disconnect_cause = NULL WHERE container_instance_id = '{name}'")
        agents.wake(name)


def equal(got, expected, what):
    assert got == expected, f"{what}: {got!r}, not {expected!r}"


def case(claim, function, *args):
    try:
        function(*args)
        return tap.ok(True, claim)
    except Exception as e:  # noqa: BLE001: each failure is one line of the test
        berth.show_log(8)
        return tap.ok(False, claim, f"{type(e).__name__}: {e}")


# -- calls: killed between handling, commit and answer, then made again
def number(statement):
    return int(berth.sql(statement)[0][0])


def run_token(name, token, count=1):
    answer = raw.call("ecs", "RunTask", {"cluster": "calls", "taskDefinition": "calls", "count": count,
                                         "startedBy": name, "clientToken": token})
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def calls(ec2, ecs):
    """(name, call with a fresh name, how many of it there may be after it was answered)"""
    instances = dict(ImageId=image, InstanceType="lab1.small", MinCount=2, MaxCount=2)
    return [
        ("RunInstances with a token", lambda n: ec2.run_instances(**instances, ClientToken=n),
         lambda n: f"SELECT count(*) FROM instances WHERE client_token = '{n}'", 2),
        ("RunTask with a token", lambda n: run_token(n, n, 2),
         lambda n: f"SELECT count(*) FROM tasks WHERE started_by = '{n}'", 2),
        ("CreateService", lambda n: ecs.create_service(
            cluster="calls", serviceName=n, taskDefinition="calls", desiredCount=0, clientToken=n),
         lambda n: f"SELECT count(*) FROM services JOIN deployments USING (service_id)"
                   f" WHERE service_name = '{n}'", 1),
        ("CreateCluster", lambda n: ecs.create_cluster(clusterName=n),
         lambda n: f"SELECT count(*) FROM clusters WHERE cluster_name = '{n}'", 1),
        ("CreateTags", lambda n: ec2.create_tags(Resources=[image], Tags=[{"Key": n, "Value": "v"}]),
         lambda n: f"SELECT count(*) FROM tags WHERE key = '{n}'", 1),
    ]


def killed_call(point, call, count, expected):
    """The answer to the repeated call is the one answer there is from then on."""
    name = "n" + os.urandom(6).hex()
    mortal.start(fault=point)
    try:
        call(name)
        raise AssertionError("it was answered")
    except GONE:
        pass
    mortal.revive(wait=5)
    equal(mortal.deaths, 1, "deaths")
    equal(number(count(name)), expected if point.startswith("call.committed") else 0, "there before")
    first = call(name)
    equal(number(count(name)), expected, "there after")
    again = call(name)
    equal(number(count(name)), expected, "there after one more")
    for answer in (first, again):
        answer.pop("ResponseMetadata", None)
    equal(again, first, "answered again")


def killed_registration(point):
    """It has no token: a repeated one may make one revision more, and the numbers have no hole."""
    family = "n" + os.urandom(6).hex()
    mortal.start(fault=point)
    mortal.call(ecs.register_task_definition, family=family, containerDefinitions=ONE)
    equal(mortal.deaths, 1, "deaths")
    revisions = [a.rsplit(":")[-1] for a in
                 ecs.list_task_definitions(familyPrefix=family)["taskDefinitionArns"]]
    equal(revisions, ["1", "2"] if point == "call.committed" else ["1"], "revisions")


def token_of_another_request():
    name = "n" + os.urandom(6).hex()
    run_token(name, name)
    answer = raw.call("ecs", "RunTask", {"cluster": "calls", "taskDefinition": "calls", "count": 7,
                                         "startedBy": name, "clientToken": name})
    equal((answer.status, answer.error()[0]), (400, "ConflictException"), "refused")
    equal(number(f"SELECT count(*) FROM tasks WHERE started_by = '{name}'"), 1, "tasks")


# -- a service's life
def told(cluster, words):
    """The sum of the numbers in the events of this form."""
    events = berth.sql("SELECT message FROM service_events JOIN services USING (service_id) JOIN clusters"
                       f" USING (cluster_id) WHERE cluster_name = '{cluster}' ORDER BY 1")
    found = [re.search(words, e[0]) for e in events]
    return sum(int(f.group(1)) if f.groups() else 1 for f in found if f)


def steady(cluster, running):
    s = ecs.describe_services(cluster=cluster, services=["web"])["services"][0]
    seen = (s["runningCount"], s["pendingCount"], len(s["deployments"]), s["deployments"][0]["rolloutState"])
    return seen == (running, 0, 1, "COMPLETED") or seen


def journey(fault=None, trace=None):
    global journeys
    journeys += 1
    cluster = f"c{journeys}"
    agents.cluster = cluster
    mortal.on_restart = lambda: None
    mortal.start()
    ecs.create_cluster(clusterName=cluster)
    names = [agents.add("home-1a"), agents.add("home-1b")]
    mortal.on_restart = lambda: connect(names)
    mortal.start(fault, trace)
    at = {"cluster": cluster}
    mortal.call(ecs.create_service, **at, serviceName="web", taskDefinition="web:1", desiredCount=3)
    mortal.wait("three", lambda: steady(cluster, 3))
    mortal.call(ecs.update_service, **at, service="web", desiredCount=5)
    mortal.wait("five", lambda: steady(cluster, 5))
    mortal.call(ecs.update_service, **at, service="web", taskDefinition="web:2")
    mortal.wait("the new definition", lambda: steady(cluster, 5))
    mortal.call(ecs.update_service, **at, service="web", desiredCount=2)
    mortal.wait("two", lambda: steady(cluster, 2))
    run = json.loads(mortal.call(raw.call, "ecs", "RunTask", {
        **at, "taskDefinition": "web:1", "count": 2, "startedBy": "me", "clientToken": cluster}).body)
    equal(len(run["tasks"]), 2, "tasks run")
    arns = [t["taskArn"] for t in run["tasks"]]
    mortal.wait("they run", lambda: {t["lastStatus"] for t in ecs.describe_tasks(
        **at, tasks=arns)["tasks"]} == {"RUNNING"})
    web = mortal.call(lambda: ecs.describe_tasks(
        **at, tasks=ecs.list_tasks(**at, serviceName="web")["taskArns"])["tasks"])
    equal(sorted(t["availabilityZone"] for t in web), ["home-1a", "home-1b"], "zones of the two")
    mortal.call(ecs.update_container_instances_state, **at, containerInstances=[names[0]],
                status="DRAINING")

    def moved():
        found = ecs.describe_container_instances(**at, containerInstances=[names[0]])
        alone = [t for t in run["tasks"] if t["containerInstanceArn"].endswith(names[0])]
        left = found["containerInstances"][0]["runningTasksCount"]
        return (steady(cluster, 2) is True and left == len(alone)) or (steady(cluster, 2), left)
    mortal.wait("moved", moved)
    for task in run["tasks"]:
        mortal.call(ecs.stop_task, **at, task=task["taskArn"], reason="enough")
    try:
        mortal.call(ecs.delete_service, **at, service="web", force=True)
    except ecs.exceptions.ServiceNotFoundException:
        equal(mortal.deaths, 1, "deaths before a service that is gone")  # told to the repeated call
    mortal.wait("the end", lambda: berth.sql(
        "SELECT DISTINCT status FROM services JOIN clusters USING (cluster_id)"
        f" WHERE cluster_name = '{cluster}'".replace("status", "services.status")) == [["INACTIVE"]])
    mortal.wait("all stopped", lambda: berth.sql(
        "SELECT count(*) FROM tasks JOIN clusters USING (cluster_id)"
        f" WHERE cluster_name = '{cluster}' AND last_status <> 'STOPPED'") == [["0"]])
    check_books(cluster)
    mortal.on_restart = lambda: None
    return mortal.deaths == 1


def killed_life(point):
    """Steps are merged differently from run to run: a point passed less often than traced is killed at its first pass."""
    if not journey(point):
        equal(journey(point.split(":")[0] + ":1"), True, "its death")


def check_books(cluster):
    of = (f"FROM tasks t JOIN clusters USING (cluster_id) LEFT JOIN services s USING (service_id)"
          f" LEFT JOIN task_definitions d ON d.task_definition_id = t.task_definition_id"
          f" WHERE cluster_name = '{cluster}'")
    equal(berth.sql(f"SELECT s.service_name, d.revision, count(*) {of} GROUP BY 1, 2 ORDER BY 1, 2"),
          [["web", "1", "5"], ["web", "2", "6"], ["", "1", "2"]], "tasks there ever were")
    equal(berth.sql("SELECT count(DISTINCT service_id), count(*), count(DISTINCT deployment_id) FROM"
                    " deployments JOIN services USING (service_id) JOIN clusters USING (cluster_id)"
                    f" WHERE cluster_name = '{cluster}'"), [["1", "2", "2"]], "services, deployments")
    equal(told(cluster, r"has started (\d+) tasks"), 11, "told starts")
    equal(told(cluster, r"has stopped (\d+) running tasks"), 11, "told stops")
    equal(berth.sql(f"SELECT count(*) {of} AND t.ever_running AND t.stop_code IS NULL"), [["0"]],
          "stopped without a reason")


def points():
    trace = os.path.join(berth.root, "trace")
    journey(trace=trace)
    with open(trace) as f:
        count = collections.Counter(f.read().split())
    missing = {"call.handled", "call.committed", "service.written", "service.planned", "cluster.written",
               "cluster.placed", "container_instance.written", "container_instance.seen"} - set(count)
    equal(missing, set(), "points not passed")
    for name, passes in sorted(count.items()):
        # each call is one of its own; how often a step is made differs a little between journeys
        tries = range(1, passes + 1, 2) if name == "call.committed" else {
            1, max(1, passes // 2), max(1, passes * 3 // 4)}
        if name.startswith("history."):
            continue  # passed once at the start of each daemon; it has a case of its own
        wanted.extend(f"{name}:{n}" for n in sorted(tries))


def old_tasks_go(point):
    berth.sql("UPDATE tasks SET stopped_at = stopped_at - interval '100 days' WHERE task_key IN"
              " (SELECT task_key FROM tasks WHERE last_status = 'STOPPED' LIMIT 10)")
    ended = "SELECT count(*) FROM tasks WHERE stopped_at < now() - interval '95 days'"
    equal(number(ended), 10, "tasks that ended long ago")
    mortal.start(fault=point)
    mortal.wait("its death", lambda: mortal.deaths == 1)
    mortal.wait("forgotten", lambda: number(ended) == 0)


wanted = sys.argv[1:]
journeys = 0
with Berth(role="all") as berth:
    mortal, raw = Mortal(berth), Raw(berth)
    ec2, ecs, admin = berth.client("ec2"), berth.client("ecs"), berth.client("berth")
    ecs.create_cluster(clusterName="calls")
    agents = Agents(berth, "calls")
    for revision in (1, 2):
        ecs.register_task_definition(family="web", containerDefinitions=ONE)
    ecs.register_task_definition(family="calls", containerDefinitions=[{**ONE[0], "cpu": 1, "memory": 8}])
    if not wanted:
        berth.role = "api"  # or the reconciler would say what it sees of this host and image, which are not there
        berth.restart()
        image = ec2.register_image(Name="debian", ImageLocation="debian-12", Architecture="x86_64",
                                   RootDeviceName="/dev/xvda")["ImageId"]
        admin.put_instance_type(InstanceType="lab1.small", VCpus=1, MemoryMiB=128)
        admin.add_host(Uri="test:///default", ZoneName="home-1a", SharePercent=50)
        berth.role = "api"
        mortal.start()  # nobody looks at the host any more, and calls it down
        berth.sql("UPDATE images SET state = 'available', disk_format = 'qcow2',"
                  " disk_sha256 = repeat('0', 64), disk_bytes = 1000, virtual_bytes = 2147483648")
        berth.sql("UPDATE hosts SET state = 'up', vcpus = 64, memory_mib = 65536, architecture = 'x86_64',"
                  " accelerator = 'tcg', hostname = 'lab', seen_at = now()")
        place = agents.add("home-1a", cpu=4096, memory=4096)
        mortal.on_restart = lambda: connect([place])
        for point in ("call.handled", "call.committed"):
            for name, call, count, expected in calls(ec2, ecs):
                case(f"{name}, killed at {point}, made again", killed_call, point, call, count, expected)
            case(f"RegisterTaskDefinition, killed at {point}", killed_registration, point)
        case("RunTask with the token of another request", token_of_another_request)
        berth.role = "all"
    agents.start()
    try:
        if not wanted:
            case("a service's life without a kill, whose points are written down", points)
        for point in wanted:
            case(f"a service's life, killed at {point}", killed_life, point)
        if not sys.argv[1:]:
            for point in ("janitor.between", "janitor.swept"):
                case(f"ended tasks are forgotten, killed at {point}", old_tasks_go, point)
    finally:
        agents.stop()
tap.done()
