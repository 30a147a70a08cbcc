#!/usr/bin/python3
"""Kills of the agent, of Docker, of both and of the whole machine at random moments of tasks' lives:
none is lost, none runs twice. ROUNDS says how many (8); SEED repeats a run."""
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent_rig import Rig, Tap, check, equal  # noqa: E402

rig, tap = Rig(), Tap()
rounds = int(os.environ.get("ROUNDS", "8"))
seed = int(os.environ.get("SEED", str(time.time_ns() % 1000000)))
chance = random.Random(seed)
KINDS = ["agent", "docker", "agent", "both", "agent", "machine", "agent", "docker and agent"]


def comes_back():
    opened = len(rig.mock.opened)
    rig.start_agent()
    rig.mock.wait("the channels", lambda: len(rig.mock.opened) >= opened + 2, 60)


def kill_agent():
    rig.kill_agent()
    comes_back()


def kill_docker():
    """Its restart ends the containers it lost sight of."""
    rig.dockerd("kill")
    rig.dockerd("restart")


def kill_both():
    rig.kill_agent()
    rig.dockerd("kill")
    rig.dockerd("restart")
    comes_back()


def kill_both_apart():
    """Docker comes back after an agent that cannot reach it."""
    rig.dockerd("kill")
    time.sleep(chance.uniform(0, 0.3))
    rig.kill_agent()
    opened = len(rig.mock.opened)
    rig.start_agent()
    time.sleep(chance.uniform(0, 1))
    rig.dockerd("restart")
    rig.mock.wait("the channels", lambda: len(rig.mock.opened) >= opened + 2, 60)


def kill_machine():
    """Power is cut and comes back; other processes have the pids that containers had."""
    strangers = rig.power_cut()
    try:
        rig.dockerd("restart")
        comes_back()
        equal([p.poll() for p in strangers], [None] * len(strangers))
    finally:
        for stranger in strangers:
            stranger.kill()
            stranger.wait()


KILLS = {"agent": kill_agent, "docker": kill_docker, "both": kill_both, "machine": kill_machine,
         "docker and agent": kill_both_apart}


def make_tasks(number):
    """One that ends by itself, one that is stopped in the end, one that is restarted when it exits."""
    mounts = {"mountPoints": [rig.OUT_MOUNT], "stopTimeout": 1}
    policy = {"enabled": True, "restartAttemptPeriod": 0}
    says = "echo x >> /out/%s%d; "
    commands = [("ends", "sleep 0.3; exit 5", {}), ("stays", "exec sleep 1000", {}),
                ("again", "exec sleep 1000", {"restartPolicy": policy})]
    return {name: rig.task("k%d-%s" % (number, name),
                           rig.container(command=says % (name, number) + command, **dict(mounts, **more)),
                           volumes=[rig.out_volume()])
            for name, command, more in commands}


def lines(name, number):
    return rig.written("%s%d" % (name, number)).count("x")


def said(task, status):
    return [r for r in rig.mock.reports(task["arn"]) if r["status"] == status]


def lost_start(task):
    """Docker died in the middle of a start: it does not know of the process, and refuses another."""
    return any("CannotStartContainerError" in c.get("reason", "") for r in said(task, "STOPPED")
               for c in r["containers"])


def docker_forgot(task):
    """Docker's own words for it, when the process of such a start had ended by the time of the next:
    for Docker that container had never run, and nobody else can know."""
    with open(rig.docker_dir + "/dockerd.log") as log:
        return any("not cleaned up from containerd" in line and one in line
                   for line in log for one in rig.containers(task["arn"]))


def settles(number, tasks, only_agent):
    """What must be true of the tasks when all has come back."""
    end = rig.mock.wait_report(tasks["ends"]["arn"], "STOPPED", 60)["containers"][0]
    check(end["exitCode"] == 5 if only_agent else "exitCode" in end or lost_start(tasks["ends"]), end)
    rig.mock.wait("its start", lambda: said(tasks["stays"], "RUNNING") or said(tasks["stays"], "STOPPED"), 60)
    rig.mock.wait("its other start", lambda: said(tasks["again"], "RUNNING") or lost_start(tasks["again"]), 60)
    if not only_agent and lost_start(tasks["again"]):
        return
    rig.mock.wait("its line", lambda: lines("again", number) > 0, 60)
    one = rig.containers(tasks["again"]["arn"])[0]
    rig.mock.wait("it runs", lambda: rig.inspect(one)["State"]["Running"], 60)
    time.sleep(0.3)  # for what should not happen
    check(not said(tasks["again"], "STOPPED"), "what has a restart policy does not stop")
    restarts = rig.saved("k%d-again" % number)["containers"][0]["restart_count"]
    check(lines("again", number) <= restarts + 1, "a start for each restart, no more")
    if only_agent:
        equal((restarts, lines("again", number)), (0, 1))
        check(not said(tasks["stays"], "STOPPED"), "a kill of the agent stops nothing")


def a_round(number):
    kind = KINDS[number % len(KINDS)]
    moment = chance.uniform(0, 1.5)

    def run():
        rig.mock.channel("acs")
        tasks = make_tasks(number)
        began = time.monotonic()
        for name, task in tasks.items():
            rig.mock.payload("m%d-%s" % (number, name), task)
        while time.monotonic() < began + moment:
            time.sleep(0.01)
        KILLS[kind]()
        rig.mock.channel("acs")
        for name, task in tasks.items():  # what was not acknowledged is sent again, and more does no harm
            rig.mock.payload("again%d-%s" % (number, name), task)
            rig.mock.wait_ack("again%d-%s" % (number, name), 30)
        settles(number, tasks, kind == "agent")
        for name in "stays", "again":
            rig.mock.payload("stop%d-%s" % (number, name), {"arn": tasks[name]["arn"], "desiredStatus": "STOPPED"})
        for name, task in tasks.items():
            rig.mock.wait_report(task["arn"], "STOPPED", 60)
            check(len(rig.containers(task["arn"])) <= 1, "one container each")
            check(lines(name, number) <= 1 or name == "again" or kind != "agent" and docker_forgot(task),
                  "which ran once")
            check(lines(name, number) == 1 or kind != "agent", "and ran")
            for container in rig.containers(task["arn"]):
                rig.docker("rm", "-f", container)  # or each round would be slower than the one before
    tap.case("round %d: %s killed after %.2f s" % (number, kind, moment), run, rig.log_tail)


try:
    rig.start()
    print("# SEED=%d ROUNDS=%d" % (seed, rounds), flush=True)
    rig.settings.update({"BERTH_PULL_BEHAVIOR": "prefer-cached", "BERTH_CLEANUP_WAIT": "10m"})
    rig.start_agent()
    for n in range(rounds):
        a_round(n)
    tap.case("every request was signed right", lambda: equal(rig.mock.bad_signatures, []))
finally:
    rig.stop()
sys.exit(tap.end())
