#!/usr/bin/python3
"""The control plane goes and comes back: gone for long, without memory of the instance, or having
deregistered it; or it remembers what is over."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import mock_ecs  # noqa: E402
from agent_rig import Rig, Tap, check, equal  # noqa: E402

rig, tap = Rig(), Tap()
OLD = mock_ecs.ARN + "container-instance/default/0123"
NEW = mock_ecs.ARN + "container-instance/default/4567"
UNKNOWN = (400, "ClientException", 'container instance "%s" does not exist' % OLD)


def running(name, **more):
    arn = rig.run(name, rig.container(stopTimeout=1, **more))
    rig.wait_said(arn, "app", "RUNNING")
    return arn


def registered(count):
    """The first so many registrations, once they were made."""
    rig.mock.wait("registration %d" % count,
                  lambda: len(rig.mock.called("RegisterContainerInstance")) >= count, 60)
    return rig.mock.called("RegisterContainerInstance")[:count]


def long_away():
    """Tasks run on; what happens meanwhile is said once, later; nothing is started again."""
    stays, ends = running("stays"), running("ends", command="sleep 3; exit 9")
    before = rig.inspect(rig.containers(stays)[0])["State"]
    rig.mock.stop()
    rig.mock.wait("its end", lambda: not rig.inspect(rig.containers(ends)[0])["State"]["Running"], 20)
    rig.mock.wait("failed calls", lambda: rig.log().count("channel is not open") >= 4, 60)
    old = rig.mock
    rig.mock = mock_ecs.MockEcs(port=old.port, tls=(rig.dir + "/server.pem", rig.dir + "/server.key"))
    equal(rig.mock.wait_report(ends, "STOPPED", 60)["containers"][0]["exitCode"], 9)
    rig.mock.channel("acs")
    rig.mock.payload("back", {"arn": stays, "desiredStatus": "RUNNING"})
    time.sleep(1.5)
    equal([r["status"] for r in rig.mock.reports(ends)], ["STOPPED"])
    equal(rig.mock.reports(stays), [])
    after = rig.inspect(rig.containers(stays)[0])["State"]
    equal((after["StartedAt"], after["Running"]), (before["StartedAt"], True))
    equal(rig.mock.called("RegisterContainerInstance"), [])  # the same session goes on
    rig.stop_task(stays)
    rig.mock.wait_report(stays, "STOPPED")


def forget():
    """From now on the old ARN is not known, nor any task; a registration without it makes a new one."""
    rig.mock.answers["RegisterContainerInstance"] = {
        "containerInstance": {"containerInstanceArn": NEW, "attributes": []}}
    rig.mock.refuse["RegisterContainerInstance"] = [UNKNOWN]
    rig.mock.refuse["SubmitTaskStateChange"] = [(400, "InvalidParameterException", "no such task")] * 50


def remember():
    rig.mock.refuse.clear()
    rig.mock.answers.clear()


def all_ended(arns, already):
    rig.mock.wait("their end", lambda: not [c for a in arns for c in rig.containers(a)], 60)
    last = registered(already + 1)[-1]
    check("containerInstanceArn" not in last, "a new instance registers")
    check([a for a in last["attributes"] if a["name"] == "mine"], "with its own attributes")
    rig.mock.wait("its channel", lambda: rig.mock.channel().query["containerInstanceArn"] == NEW)


def forgotten_at_start():
    arns = [running("f1"), running("f2")]
    rig.kill_agent()
    forget()
    already = len(rig.mock.called("RegisterContainerInstance"))
    rig.start_agent()
    all_ended(arns, already)
    remember()
    later = running("f3")
    rig.stop_task(later)
    rig.mock.wait_report(later, "STOPPED")


def killed_while_forgetting():
    arns = [running("k1")]
    rig.kill_agent()
    forget()
    rig.mock.refuse["RegisterContainerInstance"] = [UNKNOWN] * 2
    already = len(rig.mock.called("RegisterContainerInstance"))
    rig.start_agent(BERTH_FAULT="agent.forgotten")
    rig.agent.wait(20)
    rig.start_agent()
    all_ended(arns, already)
    remember()


def forgotten_while_it_runs():
    arns = [running("r1")]
    forget()
    already = len(rig.mock.called("RegisterContainerInstance"))
    rig.mock.refuse_upgrade = [("acs", 400, {"InvalidInstanceException": "it does not exist"})] * 4
    rig.mock.channel("acs").drop()
    all_ended(arns, already)
    remember()


def in_the_way():
    """A session of ours that has not ended yet is no reason to forget anything."""
    arn = running("w1")
    calls = len(rig.mock.called("RegisterContainerInstance"))
    opened = len(rig.mock.opened)
    rig.mock.refuse_upgrade = [("acs", 400, {"InvalidInstanceException": "has a channel already"})] * 2
    rig.mock.channel("acs").drop()
    rig.mock.wait("the channel", lambda: [k for k, _ in rig.mock.opened[opened:] if k == "acs"], 20)
    equal(len(rig.mock.called("RegisterContainerInstance")), calls)
    rig.stop_task(arn)
    rig.mock.wait_report(arn, "STOPPED")


def expects_others():
    """Tasks that the control plane, an older copy of itself, has as running, and this agent not."""
    rig.kill_agent()
    rig.start_agent(BERTH_CLEANUP_WAIT="10m")
    runs, bad = running("expected"), running("unread")
    ended = rig.run("over", rig.container(command="exit 4"))
    rig.mock.wait_report(ended, "STOPPED")
    rig.mock.wait("its record", lambda: rig.saved("over")["stopped_us"])
    container = rig.containers(bad)
    rig.kill_agent()
    os.rename(rig.dir + "/data/tasks/unread.json", rig.dir + "/data/tasks/unread.json.bad")
    rig.start_agent(BERTH_CLEANUP_WAIT="10m")
    rig.mock.channel("acs")
    already = len(rig.mock.reports(ended))
    lost, coming, stopping = (mock_ecs.ARN + "task/default/" + name for name in ("lost", "coming", "stopping"))
    entry = lambda arn, desired="RUNNING", **more: {"taskArn": arn, "taskClusterArn": "c", "desiredStatus": desired, **more}
    rig.mock.send("TaskManifestMessage", {
        "messageId": "expects", "clusterArn": "c", "generatedAt": 1, "timeline": 1000,
        "tasks": [entry(a, acknowledged=True) for a in (runs, ended, bad, lost)] +
                 [entry(coming), entry(stopping, "STOPPED", acknowledged=True)]})
    rig.mock.wait_ack("expects")
    end = rig.mock.wait_report(lost, "STOPPED")
    equal((end["reason"], end["containers"]), ("TaskStateError: the agent does not know this task", []))
    again = rig.mock.wait("its end once more", lambda: rig.mock.reports(ended)[already:])[-1]
    equal((again["status"], [c["exitCode"] for c in again["containers"]]), ("STOPPED", [4]))
    rig.run("coming", rig.container(stopTimeout=1))
    rig.mock.wait_report(coming, "RUNNING")
    equal([{r["status"] for r in rig.mock.reports(a)} for a in (coming, stopping, runs, bad)],
          [{"RUNNING"}, set(), {"RUNNING"}, {"RUNNING"}])
    equal([rig.inspect(c)["State"]["Running"] for c in container + rig.containers(runs)], [True, True])
    for arn in runs, coming:
        rig.stop_task(arn)
        rig.mock.wait_report(arn, "STOPPED")


try:
    rig.start()
    rig.settings.update({"BERTH_PULL_BEHAVIOR": "prefer-cached", "BERTH_CLEANUP_WAIT": "1s",
                         "BERTH_ATTRIBUTES": "{\"mine\": \"yes\"}"})
    rig.start_agent()
    rig.mock.channel("acs")
    tap.case("away for long", long_away, rig.log_tail)
    tap.case("a session in the way", in_the_way, rig.log_tail)
    tap.case("forgotten while the agent is away", forgotten_at_start, rig.log_tail)
    tap.case("killed while it forgets", killed_while_forgetting, rig.log_tail)
    tap.case("forgotten while the agent runs", forgotten_while_it_runs, rig.log_tail)
    tap.case("its memory is an older one: tasks that are over here", expects_others, rig.log_tail)
    tap.case("every request was signed right", lambda: equal(rig.mock.bad_signatures, []))
finally:
    rig.stop()
sys.exit(tap.end())
