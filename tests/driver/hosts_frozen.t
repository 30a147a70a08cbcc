#!/usr/bin/python3
"""A libvirtd of this machine (a unix socket) that stands still: every call answers as ever, tasks are
placed, images imported; the host is told to be down, and all goes on when it moves again. So it does when
libvirtd dies and its service manager starts it again."""
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../lib"), os.path.join(HERE, "../api/lib")]
from berth_test import Berth, tap  # noqa: E402
from ecs_agents import Agents  # noqa: E402
from far_hosts import FarHosts, Pool, Region, within  # noqa: E402

AWAY_S = 90
ANSWER_S = 8  # of a call that does not wait, on a busy machine; a look at a frozen host takes 15
INSTANCES = 7  # more than there are workers for guests


def quickly(claim, call):
    began = time.monotonic()
    try:
        return call()
    finally:
        took = time.monotonic() - began
        tap.ok(took < ANSWER_S, claim + " answers", "after %.1f s" % took)


def signal(far, name):
    far.do("inside", 1, "sh", "-c", "kill -%s $(cat /run/libvirtd.pid)" % name)


def is_running(region, ids):
    return [region.state(i) for i in ids] == ["running"] * len(ids)


def task_runs(ecs):
    """A task is placed and runs by steps that know nothing of libvirt."""
    task = quickly("RunTask", lambda: ecs.run_task(taskDefinition="web")["tasks"][0]["taskArn"])
    began = time.monotonic()
    within(60, "its task runs", lambda: ecs.describe_tasks(
        tasks=[task])["tasks"][0]["lastStatus"] == "RUNNING")
    tap.ok(time.monotonic() - began < ANSWER_S, "soon")


def service_follows(ecs, count):
    """A service is brought to its count by the workers for rows."""
    quickly("UpdateService", lambda: ecs.update_service(service="web", desiredCount=count))
    began = time.monotonic()
    within(60, "the service has %d tasks" % count, lambda: ecs.describe_services(
        services=["web"])["services"][0]["runningCount"] == count)
    tap.ok(time.monotonic() - began < ANSWER_S, "soon")


def calls(region, pool, ecs, first):
    ids = quickly("RunInstances", lambda: region.launch(INSTANCES))
    time.sleep(1)  # so that every worker that may has met the host
    service_follows(ecs, 2)
    task_runs(ecs)
    told = quickly("DescribeInstances", region.living)
    tap.is_(len(told), INSTANCES + 1, "all of them")
    quickly("GetConsoleOutput", lambda: region.ec2.get_console_output(InstanceId=first, Latest=True))
    quickly("StopInstances", lambda: region.ec2.stop_instances(InstanceIds=[first]))
    quickly("TerminateInstances", lambda: region.ec2.terminate_instances(InstanceIds=[ids[0]]))
    quickly("CheckHost", lambda: pool.admin.check_host(HostId=pool.one))
    quickly("GetStatus", pool.admin.get_status)
    return ids


def breaks(berth):
    """Whether a call that was under way has ended, which leaves no lasting trace but the log's."""
    with open(berth.log) as log:
        return "connection broke" in log.read()


def is_down(region, pool, ecs):
    down = within(AWAY_S, "the host is told to be down", lambda: pool.is_down(pool.one))
    tap.ok(any(w in down["Detail"] for w in ("connection broke", "does not answer")),
           "because it does not answer", down["Detail"])
    tap.raises("InsufficientInstanceCapacity",
               lambda: quickly("RunInstances", lambda: region.launch(1)),
               "a launch is refused, with the reason", message="is down: ")
    service_follows(ecs, 1)
    task_runs(ecs)
    tap.like(quickly("Explain", lambda: pool.why(pool.one)), "not reached since", "why tells since when")


with FarHosts(1) as far, Berth(role="all", config="[reconcile]\nsweep_seconds=2\n") as berth:
    pool, region, ecs = Pool(berth.client("berth")), Region(berth), berth.client("ecs")
    pool.one = pool.add(far.uri(1, "unix"))
    within(AWAY_S, "the host is well", lambda: pool.is_well(pool.one))
    ecs.create_cluster(clusterName="default")
    agents = Agents(berth, "default")
    agents.add("home-1a")
    agents.start()
    ecs.register_task_definition(family="web", containerDefinitions=[
        {"name": "web", "image": "busybox", "memory": 64}])
    ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=0)
    first = region.launch(1)
    within(AWAY_S, "an instance runs", lambda: is_running(region, first))
    signal(far, "STOP")
    try:
        ids = calls(region, pool, ecs, first[0])
        is_down(region, pool, ecs)
        within(AWAY_S, "calls that were under way have ended", lambda: breaks(berth))
    finally:
        signal(far, "CONT")
    within(AWAY_S, "it moves again: it is well", lambda: pool.is_well(pool.one))
    within(2 * AWAY_S, "what was launched meanwhile runs", lambda: is_running(region, ids[1:]))
    within(AWAY_S, "what was stopped is stopped", lambda: region.state(first[0]) == "stopped")
    within(AWAY_S, "what was terminated is gone", lambda: region.state(ids[0]) == "terminated")
    tap.is_(far.domains(1, running=True), sorted("apitest-" + i for i in ids[1:]),
            "each has one domain")
    signal(far, "KILL")
    more = within(AWAY_S, "libvirtd was killed: a launch is taken again", lambda: region.launch(1))
    within(AWAY_S, "and runs", lambda: is_running(region, more))
    tap.ok(is_running(region, ids[1:]), "what ran runs still")
    tap.is_(far.domains(1, running=True), sorted("apitest-" + i for i in ids[1:] + more),
            "each has one domain still")
    agents.stop()
    region.ec2.terminate_instances(InstanceIds=region.living())
    within(2 * AWAY_S, "all end", lambda: not region.living())
tap.done()
