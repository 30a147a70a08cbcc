#!/usr/bin/python3
"""Kills of the agent and of Docker at random moments of tasks' lives: none is lost, none runs twice.
ROUNDS says how many (8); SEED repeats a run."""
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent_rig import Rig, Tap, check, equal  # noqa: E402

rig, tap = Rig(37), Tap()
rounds = int(os.environ.get("ROUNDS", "8"))
seed = int(os.environ.get("SEED", str(time.time_ns() % 1000000)))
chance = random.Random(seed)


def a_round(number):
    """One task that ends by itself and one that is stopped, with a kill somewhere in between."""
    # every fourth kill is Docker's; a restart of it ends the containers it lost sight of
    docker = number % 4 == 3
    log = "echo x >> /out/%s%d; " % ("%s", number)
    ends, stays = ("k%d-%s" % (number, name) for name in ("ends", "stays"))
    mounts = {"mountPoints": [rig.OUT_MOUNT], "stopTimeout": 1}
    moment = chance.uniform(0, 1.5)

    def run():
        rig.mock.channel("acs")
        volumes = [rig.out_volume()]
        tasks = [rig.task(ends, rig.container(command=(log % "ends") + "sleep 0.3; exit 5", **mounts),
                          volumes=volumes),
                 rig.task(stays, rig.container(command=(log % "stays") + "exec sleep 1000", **mounts),
                          volumes=volumes)]
        began = time.monotonic()
        for n, task in enumerate(tasks):
            rig.mock.payload("m%d-%d" % (number, n), task)
        while time.monotonic() < began + moment:
            time.sleep(0.01)
        if docker:
            rig.dockerd("kill")
            rig.dockerd("restart")
        else:
            rig.kill_agent()
            opened = len(rig.mock.opened)
            rig.start_agent()
            rig.mock.wait("the channels", lambda: len(rig.mock.opened) >= opened + 2)
        rig.mock.channel("acs")
        for n, task in enumerate(tasks):  # what was not acknowledged is sent again, and more does no harm
            rig.mock.payload("again%d-%d" % (number, n), task)
            rig.mock.wait_ack("again%d-%d" % (number, n))
        end = rig.mock.wait_report(tasks[0]["arn"], "STOPPED", 60)["containers"][0]
        check(docker or end["exitCode"] == 5, end)
        rig.mock.wait("its start", lambda: any(
            r["status"] in ("RUNNING", "STOPPED") for r in rig.mock.reports(tasks[1]["arn"])), 60)
        if not docker:
            check(not [r for r in rig.mock.reports(tasks[1]["arn"]) if r["status"] == "STOPPED"],
                  "a kill of the agent stops nothing")
        rig.mock.payload("stop%d" % number, {"arn": tasks[1]["arn"], "desiredStatus": "STOPPED"})
        rig.mock.wait_report(tasks[1]["arn"], "STOPPED", 60)
        for name, task in ("ends", tasks[0]), ("stays", tasks[1]):
            check(len(rig.containers(task["arn"])) <= 1, "one container each")
            check(rig.written("%s%d" % (name, number)).count("x") <= 1, "which ran once")
            check(docker or rig.written("%s%d" % (name, number)) == "x\n", "and ran")
    tap.case("round %d: %s killed after %.2f s" % (number, "docker" if docker else "the agent", moment),
             run, rig.log_tail)


try:
    rig.start()
    print("# SEED=%d ROUNDS=%d" % (seed, rounds), flush=True)
    rig.start_agent(BERTH_PULL_BEHAVIOR="prefer-cached", BERTH_CLEANUP_WAIT="10m")
    rig.settings["BERTH_PULL_BEHAVIOR"] = "prefer-cached"
    for n in range(rounds):
        a_round(n)
    tap.case("every request was signed right", lambda: equal(rig.mock.bad_signatures, []))
finally:
    rig.stop()
sys.exit(tap.end())
