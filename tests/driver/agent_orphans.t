#!/usr/bin/python3
"""Containers whose agent has lost its record of them: it ends its own, and touches nobody else's."""
import glob
import json
import os
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import mock_ecs  # noqa: E402
from agent_rig import TASK, Rig, Tap, check, equal, free_port  # noqa: E402

SLOW = 60  # seconds that anything here may take
OWNER = "org.berth.agent"
POLITE = "trap 'exit 3' TERM; while :; do sleep 0.1; done"


class Neighbour(Rig):
    """Another agent with its own data and its own control plane, on the Docker Engine of a rig."""

    def start(self, host):
        self.socket, self.docker_dir, self.image, self.settings = host.socket, host.docker_dir, host.image, host.settings
        self._certificates()
        self.mock = mock_ecs.MockEcs(tls=(self.dir + "/server.pem", self.dir + "/server.key"))

    def stop(self):
        self.kill_agent(signal.SIGTERM)
        self._remove_groups()
        self.mock.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


rig, tap = Rig(), Tap()
other = Neighbour()


def running(of, name, *containers, **more):
    arn = of.run(name, *(containers or [of.container(command=POLITE, stopTimeout=20)]), **more)
    of.mock.wait_report(arn, "RUNNING", SLOW)
    return arn


def comes_up(of, **settings):
    opened = len(of.mock.opened)
    of.start_agent(**settings)
    of.mock.wait("its channels", lambda: len(of.mock.opened) >= opened + 2, SLOW)


def loses(of, *names):
    """The agent dies, and the records of these tasks go; without names, all of its data."""
    of.kill_agent()
    if not names:
        shutil.rmtree(of.dir + "/data")
    for name in names:
        os.unlink("%s/data/tasks/%s.json" % (of.dir, name))


def gone(*arns):
    rig.mock.wait("the end of %r" % (arns,), lambda: not any(map(rig.containers, arns)), SLOW)


def state(container):
    seen = rig.inspect(container)["State"]
    return seen["Running"], seen["StartedAt"]


def stranger(name, *labels):
    words = [w for label in labels for w in ("--label", label)]
    return rig.docker("run", "-d", "--name", name, *words, rig.image, "sleep", "10000")


def told(of, arn):
    return [line for line in of.log().splitlines() if arn in line and "no record" in line]


def only_its_own():
    port = free_port()
    ports = {"portMappings": [{"containerPort": 1, "hostPort": port}]}
    mine = [running(rig, "mine1", rig.container(command=POLITE, stopTimeout=20, **ports)), running(rig, "mine2")]
    theirs = running(other, "theirs")
    owners = [rig.inspect(rig.containers(a)[0])["Config"]["Labels"][OWNER] for a in mine + [theirs]]
    check(owners[0] == owners[1] != owners[2], "two agents of one machine are told apart: %r" % owners)
    left = [stranger("stock", "com.amazonaws.ecs.task-arn=" + TASK + "stock"), stranger("plain"),
            stranger("copied", "com.amazonaws.ecs.task-arn=" + TASK + "copied", OWNER + "=i-1:" + other.dir + "/data")]
    left += rig.containers(theirs)
    before = [state(c) for c in left]
    loses(rig)
    comes_up(rig)
    gone(*mine)
    equal([len(told(rig, a)) for a in mine], [1, 1])
    equal([state(c) for c in left], before)
    equal(rig.mock.wait_report(mine[0], "STOPPED", SLOW)["containers"][0]["exitCode"], 3)  # it had its time to stop
    again = running(rig, "again", rig.container(**ports))
    kept = state(rig.containers(again)[0])
    loses(other)
    comes_up(other)
    gone(theirs)
    equal(len(told(other, theirs)), 1)
    equal([state(c) for c in left[:3] + rig.containers(again)], before[:3] + [kept])
    rig.docker("rm", "-f", *left[:3])


def one_record():
    stays, lost = running(rig, "stays"), running(rig, "lost")
    before = state(rig.containers(stays)[0])
    loses(rig, "lost")
    comes_up(rig)
    end = rig.mock.wait_report(lost, "STOPPED", SLOW)
    equal(end["reason"], "TaskStateError: the agent has no record of this task")
    equal([(c["containerName"], c["exitCode"]) for c in end["containers"]], [("app", 3)])
    gone(lost)
    equal((state(rig.containers(stays)[0]), {r["status"] for r in rig.mock.reports(stays)}), (before, {"RUNNING"}))
    rig.mock.wait("the end of its record", lambda: "cleaned up" in rig.log(), SLOW)
    check(not os.path.exists(rig.dir + "/data/tasks/lost.json"), "it is not kept as if it were known")


def asked_for_again():
    """The payload that brought the task comes once more, as it was not acknowledged: one end, no second start."""
    slow = rig.container(command="echo x >> /out/asked; trap '' TERM; while :; do sleep 0.1; done", stopTimeout=8,
                         mountPoints=[rig.OUT_MOUNT])
    arn = running(rig, "asked", slow, volumes=[rig.out_volume()])
    loses(rig, "asked")
    comes_up(rig)
    rig.mock.payload("asked-again", rig.task("asked", slow, volumes=[rig.out_volume()]))
    rig.mock.wait_ack("asked-again")
    rig.mock.wait_report(arn, "STOPPED", SLOW)
    gone(arn)
    time.sleep(1)  # for what should not happen
    equal((rig.containers(arn), rig.written("asked").count("x")), ([], 1))


def shared():
    """A task of two containers that share a pause container's process ids."""
    return [rig.container(name, POLITE, stopTimeout=20) for name in ("one", "two")]


def pause_is_last():
    arn = running(rig, "shared", *shared(), pidMode="task")
    equal(len(rig.containers(arn)), 3)
    names = {rig.inspect(c)["Name"][1:]: rig.inspect(c)["Config"]["Labels"]["com.amazonaws.ecs.container-name"]
             for c in rig.containers(arn)}
    loses(rig)
    since = "%f" % time.time()
    comes_up(rig)
    gone(arn)
    died = rig.docker("events", "--since", since, "--until", "%f" % time.time(), "--filter", "event=die",
                      "--format", "{{.Actor.Attributes.name}} {{.Actor.Attributes.exitCode}}")
    ends = [line.split() for line in died.splitlines() if line.split()[0] in names]
    equal(sorted((names[n], code) for n, code in ends[:2]), [("one", "3"), ("two", "3")])
    equal([names[n] for n, _ in ends[2:]], ["~internal~ecs~pause~namespace"])
    equal(sorted(c["containerName"] for c in rig.mock.wait_report(arn, "STOPPED", SLOW)["containers"]), ["one", "two"])


def killed_in_the_middle():
    points = ["agent.orphans_found", "agent.stopped", "agent.stopped:3", "agent.removed", "agent.removed:3",
              "agent.reported", "agent.volumes_removed"]
    for n, point in enumerate(points):
        arn = running(rig, "killed%d" % n, *shared(), pidMode="task")
        loses(rig)
        rig.start_agent(BERTH_FAULT=point)
        equal((point, rig.agent.wait(SLOW)), (point, -signal.SIGKILL))
        comes_up(rig)
        gone(arn)


def set_aside():
    """What cannot be read, and what another machine's agent left, is for a person to look at."""
    bad, copied = running(rig, "bad"), running(rig, "copied")
    containers = rig.containers(bad) + rig.containers(copied)
    before = [state(c) for c in containers]
    rig.kill_agent()
    file = rig.dir + "/data/tasks/bad.json"
    with open(file) as f:
        good = f.read()
    with open(file, "w") as f:
        f.write(good[:100])
    comes_up(rig)
    check("left alone" in rig.log(), "it says so")
    for id_ in "i-0fedcba9876543210", "i-0123456789abcdef0":
        rig.kill_agent()
        comes_up(rig, BERTH_INSTANCE_ID=id_)
        equal([state(c) for c in containers], before)
    check(glob.glob(rig.dir + "/data/tasks.of-*/bad.json.bad"), "and is where it was put")
    rig.kill_agent()
    rig.docker("rm", "-f", *containers)
    shutil.rmtree(rig.dir + "/data")
    comes_up(rig)


def upgraded():
    """Containers of a version that set no such label: those of known tasks are adopted, others are left alone."""
    arn = running(rig, "old", rig.container(stopTimeout=1))
    rig.kill_agent()
    seen = rig.inspect(rig.containers(arn)[0])
    rig.docker("rm", "-f", seen["Id"])
    labels = ["%s=%s" % label for label in seen["Config"]["Labels"].items() if label[0] != OWNER]
    made = stranger(seen["Name"][1:], *labels)
    unknown = stranger("old-unknown", "com.amazonaws.ecs.task-arn=" + TASK + "old-unknown")
    saved = rig.saved("old")
    saved["containers"][0]["docker_id"] = made
    with open(rig.dir + "/data/tasks/old.json", "w") as f:
        json.dump(saved, f)
    before = state(made), state(unknown)
    comes_up(rig)
    rig.mock.payload("old-stays", {"arn": arn, "desiredStatus": "RUNNING"})
    rig.mock.wait_ack("old-stays")
    time.sleep(1)  # for what should not happen
    equal((state(made), state(unknown)), before)
    rig.stop_task(arn)
    rig.mock.wait_report(arn, "STOPPED", SLOW)
    equal(state(made)[0], False)
    rig.docker("rm", "-f", unknown)


CASES = [
    ("two agents on one engine lose their data in turn: only its own containers go", only_its_own),
    ("one record is lost: that task ends and is reported, the others go on", one_record),
    ("a payload for a task that is being ended starts nothing", asked_for_again),
    ("the pause container is stopped after those that it holds together", pause_is_last),
    ("an agent that is killed meanwhile goes on with what is left", killed_in_the_middle),
    ("tasks whose records were set aside are left alone", set_aside),
    ("so are containers of a version that set no label", upgraded),
]

try:
    rig.start()
    rig.settings.update({"BERTH_PULL_BEHAVIOR": "prefer-cached", "BERTH_CLEANUP_WAIT": "10m"})
    other.start(rig)
    comes_up(rig)
    comes_up(other)
    for claim, function in CASES:
        tap.case(claim, function, lambda: rig.log_tail() + other.log_tail())
    tap.case("every request was signed right", lambda: equal((rig.mock.bad_signatures, other.mock.bad_signatures), ([], [])))
finally:
    try:
        other.stop()
    finally:
        rig.stop()
sys.exit(tap.end())
