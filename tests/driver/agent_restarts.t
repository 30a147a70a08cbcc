#!/usr/bin/python3
"""Restart policies and the agent's own death around a restart: the same container is started again,
once for each exit, and only its last stop is reported."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent_rig import Rig, Tap, check, equal  # noqa: E402

rig, tap = Rig(), Tap()
POLICY = {"enabled": True, "restartAttemptPeriod": 1, "ignoredExitCodes": [7]}
MOUNTS = {"mountPoints": [rig.OUT_MOUNT], "stopTimeout": 1}


def start(name, command, policy=POLICY, **more):
    """A task whose container writes a line at each of its starts."""
    return rig.run(name, rig.container(command="echo x >> /out/%s; %s" % (name, command),
                                       restartPolicy=policy, **dict(MOUNTS, **more)),
                   volumes=[rig.out_volume()])


def starts(name):
    return rig.written(name).count("x")


def container(name):
    return rig.saved(name)["containers"][0]


def wait_restarts(name, count, seconds=30):
    rig.mock.wait("restart %d of %s" % (count, name), lambda: container(name)["restart_count"] == count,
                  seconds)


def run_out(name, code, seconds=30):
    """How the container ended for good; with all the reports that a single end leaves."""
    arn = "arn:aws:ecs:home-1:000000000001:task/default/" + name
    end = rig.mock.wait_report(arn, "STOPPED", seconds)
    equal(end["containers"][0]["exitCode"], code)
    said = [c["status"] for r in rig.mock.reports(arn) for c in r["containers"]]
    equal(said.count("STOPPED"), 1)
    equal(len(rig.containers(arn)), 1)


def restarted():
    # runs 1.5 s twice, then ends too early for another time
    arn = start("twice", "n=$(wc -l < /out/twice); [ $n -gt 2 ] && exit 3; sleep 1.5; exit 2",
                portMappings=[{"containerPort": 80, "protocol": "tcp"}])
    said = rig.wait_said(arn, "app", "RUNNING")
    wait_restarts("twice", 1)
    ports = rig.inspect(rig.containers(arn)[0])["HostConfig"]["PortBindings"]
    equal(ports["80/tcp"][0]["HostPort"], str(said["networkBindings"][0]["hostPort"]))
    env = rig.inspect(rig.containers(arn)[0])["Config"]["Env"]
    uri = next(e for e in env if e.startswith("ECS_CONTAINER_METADATA_URI_V4=")).split("/v4/")[1]
    status, tree = rig.ask("/v4/" + uri)
    equal((status, tree["RestartCount"], tree["KnownStatus"]), (200, 1, "RUNNING"))
    equal("RestartCount" in rig.ask("/v3/" + uri)[1], False)
    run_out("twice", 3)
    equal((starts("twice"), container("twice")["restart_count"]), (3, 2))


def counted():
    """Telemetry says each restart once."""
    start("steady", "n=$(wc -l < /out/steady); [ $n -gt 2 ] && exec sleep 1000; sleep 1.2; exit 1")
    wait_restarts("steady", 2)
    sets = lambda: [c["restartStatsSet"]["restartCount"] for m in rig.mock.said("tcs", "PublishMetricsRequest")
                    for t in m.get("taskMetrics", []) if t["taskArn"].endswith("/steady")
                    for c in t["containerMetrics"]]
    rig.mock.wait("both restarts", lambda: sum(sets()) == 2, 20)
    seen = len(sets())
    rig.mock.wait("more readings", lambda: len(sets()) > seen + 2, 20)
    equal(sum(sets()), 2)


def not_restarted():
    start("ignored", "sleep 1.5; exit 7")
    start("early", "exit 4")
    start("off", "sleep 1.5; exit 5", dict(POLICY, enabled=False))
    run_out("ignored", 7)
    run_out("early", 4)
    run_out("off", 5)
    equal([starts(n) for n in ("ignored", "early", "off")], [1, 1, 1])


def stopped():
    arn = start("stopped", "exec sleep 1000")
    rig.wait_said(arn, "app", "RUNNING")
    time.sleep(1.2)  # long enough for the policy, were the exit not asked for
    rig.stop_task(arn)
    run_out("stopped", 137)
    equal(starts("stopped"), 1)


def killed_at(point):
    """The agent dies between an exit and the record of the start that follows it."""
    name = "at-" + point.split(".")[1]
    rig.kill_agent(signal.SIGTERM)
    rig.start_agent(BERTH_FAULT=point)
    rig.mock.channel("acs")
    time.sleep(0.1)
    start(name, "n=$(wc -l < /out/%s); [ $n -gt 1 ] && exec sleep 1000; sleep 1.2; exit 1" % name)
    rig.agent.wait(30)
    opened = len(rig.mock.opened)
    rig.start_agent()
    rig.mock.wait("the channels", lambda: len(rig.mock.opened) >= opened + 2)
    wait_restarts(name, 1)
    rig.mock.wait("both lines", lambda: starts(name) == 2)
    check(not [r for r in rig.mock.reports("arn:aws:ecs:home-1:000000000001:task/default/" + name)
               if r["status"] == "STOPPED"], "the task goes on")


def away():
    """The exit happens while there is no agent."""
    arn = start("away", "n=$(wc -l < /out/away); [ $n -gt 1 ] && exec sleep 1000; sleep 2; exit 1")
    rig.wait_said(arn, "app", "RUNNING")
    rig.kill_agent()
    rig.mock.wait("its end", lambda: not rig.inspect(rig.containers(arn)[0])["State"]["Running"], 20)
    rig.start_agent()
    wait_restarts("away", 1)
    rig.mock.wait("both lines", lambda: starts("away") == 2)


try:
    rig.start()
    rig.settings["BERTH_PULL_BEHAVIOR"] = "prefer-cached"
    rig.start_agent()
    rig.mock.channel("acs")
    tap.case("a container is started again, with its ports", restarted, rig.log_tail)
    tap.case("telemetry says each restart once", counted, rig.log_tail)
    tap.case("ignored codes, early ends and no policy: not started again", not_restarted, rig.log_tail)
    tap.case("what is stopped stays so", stopped, rig.log_tail)
    for point in "agent.restarting", "agent.restarted":
        tap.case("the agent dies at " + point, lambda point=point: killed_at(point), rig.log_tail)
    tap.case("an exit without an agent", away, rig.log_tail)
    tap.case("every request was signed right", lambda: equal(rig.mock.bad_signatures, []))
finally:
    rig.stop()
sys.exit(tap.end())
