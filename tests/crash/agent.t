#!/usr/bin/python3
"""Kills the agent at each of its fault points in turn, starts it again, and sees that the journey
ends as without a kill: each container ran once, every state was reported, nothing is left behind.

The points are not listed here: a journey without a kill writes them down first. A point that is
passed often is tried the first and the last time. Arguments: points to try instead."""
import collections
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent_rig import Rig, Tap, TASK, check, equal  # noqa: E402

rig, tap = Rig(), Tap()
number = 0


def journey(fault=None, trace=None):
    """One life: register, run a task of two with a volume, see one end by itself, stop the other,
    clean up. With a fault the agent dies once on its way and is started again at once."""
    global number
    number += 1
    id_ = "j%d" % number
    arn = TASK + id_
    rig.kill_agent()
    os.system("rm -rf '%s/data'" % rig.dir)
    rig.mock.refuse.clear()
    settings = {"BERTH_CLEANUP_WAIT": "1s", "BERTH_PULL_BEHAVIOR": "always"}
    if fault:
        settings["BERTH_FAULT"] = fault
    if trace:
        settings["BERTH_FAULT_TRACE"] = trace
    rig.start_agent(**settings)
    died = [False]

    def revive():
        if not died[0] and rig.agent.poll() is not None:
            equal(rig.agent.returncode, -signal.SIGKILL)
            died[0] = True
            settings.pop("BERTH_FAULT", None)
            rig.start_agent(**settings)

    def wait(what, find):
        def look():
            revive()
            return find()
        return rig.mock.wait("%s (%s)" % (what, fault), look, 30)

    def send(message_id, task):
        """As a control plane does: again on every new channel, until it is acknowledged."""
        sent_on = []

        def acknowledged():
            channel = rig.mock.channels.get("acs")
            if channel and channel.open and channel not in sent_on:
                sent_on.append(channel)
                rig.mock.payload(message_id, task)
            return [m for m in rig.mock.said("acs", "AckRequest") if m["messageId"] == message_id]
        wait("ack of " + message_id, acknowledged)

    reported = lambda status: [r for r in rig.mock.reports(arn) if r["status"] == status]
    tally = lambda name: "echo %s >> /out/%s; " % (name, id_)
    mounts = [rig.OUT_MOUNT, {"sourceVolume": "v", "containerPath": "/v"}]
    send("run-" + id_, rig.task(
        id_,
        rig.container("main", "trap 'exit 5' TERM; " + tally("main") + "while :; do sleep 0.05; done",
                      mountPoints=mounts, stopTimeout=10),
        rig.container("short", tally("short") + "exit 3", essential=False, mountPoints=mounts),
        volumes=[rig.out_volume(), {"name": "v", "host": {}}]))
    wait("RUNNING", lambda: reported("RUNNING"))
    wait("the main one", lambda: "main" in rig.written(id_))
    wait("the short one", lambda: rig.said_of(arn, "short", "STOPPED"))
    send("stop-" + id_, {"arn": arn, "desiredStatus": "STOPPED"})
    wait("STOPPED", lambda: reported("STOPPED"))
    wait("clean-up", lambda: os.path.isdir(rig.dir + "/data/tasks")
         and id_ + ".json" not in os.listdir(rig.dir + "/data/tasks"))
    if fault:
        wait("its death", lambda: died[0])

    equal(sorted(rig.written(id_).split()), ["main", "short"])
    equal(rig.said_of(arn, "short", "STOPPED")["exitCode"], 3)
    equal(rig.said_of(arn, "main", "STOPPED")["exitCode"], 5)
    equal(rig.containers(arn), [])
    equal(rig.docker("volume", "ls", "-q"), "")
    ids = {c["runtimeId"] for r in rig.mock.reports(arn) for c in r["containers"]
           if c["containerName"] == "main"}
    equal(len(ids), 1)
    order = [r["status"] for r in rig.mock.reports(arn)]
    equal(order, sorted(order, key=["PENDING", "RUNNING", "STOPPED"].index))


def points():
    trace = rig.dir + "/trace"
    journey(trace=trace)
    with open(trace) as f:
        count = collections.Counter(f.read().split())
    check(len(count) >= 10, "only these points were passed: %r" % count)
    for name, passes in sorted(count.items()):
        # how often a task is saved and reported differs a little from one journey to the next
        for n in sorted({1, passes if passes < 3 else max(2, passes * 2 // 3)}):
            wanted.append("%s:%d" % (name, n))


wanted = sys.argv[1:]
try:
    rig.start()
    if not wanted:
        tap.case("a journey without a kill, whose points are written down", points, rig.log_tail)
    for point in wanted:
        tap.case("killed at " + point, lambda: journey(fault=point), rig.log_tail)
finally:
    rig.stop()
sys.exit(tap.end())
