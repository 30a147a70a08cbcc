#!/usr/bin/python3
"""Images in the hands of the agent, on the real Docker Engine and a registry of its own: when they are
pulled, how often and by whom, what goes wrong on the way, and when they go again."""
import json
import os
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent_rig import Rig, Tap, check, equal  # noqa: E402
from private_registry import PASSWORD, USER, PrivateRegistry  # noqa: E402
from slow_registry import SlowRegistry  # noqa: E402

rig = Rig()
tap = Tap()
MIB = 1024 * 1024


def within(seconds, what, find):
    end = time.monotonic() + seconds
    while True:
        found = find()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError("waited %s s in vain for %s" % (seconds, what))
        time.sleep(0.1)


def image(name, mib=0, registry=None, keep=False):
    """Puts an image of its own layers into the registry, named by the way through the slow one."""
    registry = registry or rig.registry_port
    folder = "%s/image-%s" % (rig.dir, name)
    os.makedirs(folder)
    with open(folder + "/" + name, "wb") as f:
        f.write(os.urandom(1000 + mib * MIB))
    with open(folder + "/Dockerfile", "w") as f:
        f.write("FROM %s\nCOPY %s /%s\n" % (rig.image, name, name))
    pushed = "127.0.0.1:%d/%s:1" % (registry, name)
    rig.docker("build", "-q", "-t", pushed, folder)
    rig.docker("push", "-q", pushed)
    if not keep:
        rig.docker("rmi", pushed)
    return "127.0.0.1:%d/%s:1" % (slow.port, name)


def is_here(name):
    return subprocess.run(["docker", "-H", "unix://" + rig.socket, "image", "inspect", name],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def digest_of(name):
    """As the registry itself has it."""
    host, _, tag = name.rpartition(":")
    address, _, path = host.partition("/")
    request = urllib.request.Request(
        "http://%s/v2/%s/manifests/%s" % (address.replace(str(slow.port), str(rig.registry_port)), path, tag),
        method="HEAD", headers={"Accept": "application/vnd.docker.distribution.manifest.v2+json"})
    with urllib.request.urlopen(request) as answer:
        return answer.headers["Docker-Content-Digest"]


def restart(**settings):
    rig.kill_agent()
    calls = len(rig.mock.called("RegisterContainerInstance"))
    rig.start_agent(**settings)
    rig.mock.wait("registration", lambda: len(rig.mock.called("RegisterContainerInstance")) > calls)
    rig.mock.wait("new channel", lambda: rig.mock.channels.get("acs") and rig.mock.channels["acs"].open)


def run(id_, name, command="sleep 1000"):
    return rig.run(id_, rig.container(command=command, image=name, stopTimeout=1))


def running(arn, seconds=40):
    return rig.mock.wait_report(arn, "RUNNING", seconds)


def stopped(arn, seconds=60):
    return rig.mock.wait_report(arn, "STOPPED", seconds)


def reason_of(arn):
    return stopped(arn)["containers"][0]["reason"]


def end(*arns):
    for arn in arns:
        rig.stop_task(arn)
    for arn in arns:
        stopped(arn)


# -- pulling

def equal_pulls():
    name = image("shared", mib=2)
    slow.rate = MIB
    arns = [run("shared%d" % n, name) for n in range(3)]
    reports = [running(arn) for arn in arns]
    equal(slow.pulls("shared"), 1)
    for report in reports:
        check(report["pullStartedAt"] < report["pullStoppedAt"], "a pull takes its time")
        equal(report["containers"][0]["imageDigest"], digest_of(name))
    end(*arns)


def progress_is_told():
    name = image("watched", mib=6)
    before = len(rig.mock.said("tcs", "PublishImagePullsRequest"))
    slow.rate = 2 * MIB
    arn = run("watched", name)
    running(arn)
    # the last one comes within a second after the end
    told = rig.mock.wait("the end of the pull", lambda: [
        c for m in rig.mock.said("tcs", "PublishImagePullsRequest")[before:] for t in m["tasks"]
        if t["taskArn"] == arn for c in t["containers"] if c["status"] == "PULLED"] and
        rig.mock.said("tcs", "PublishImagePullsRequest")[before:])
    mine = [c for m in told for t in m["tasks"] if t["taskArn"] == arn for c in t["containers"]]
    equal({c["containerName"] for c in mine}, {"app"})
    percents = [c["percent"] for c in mine]
    equal(percents, sorted(percents))
    check(any(0 < p < 100 for p in percents) and percents[-1] == 100, percents)
    check(max(c["totalBytes"] for c in mine) > 6 * MIB, mine)
    stamps = [m["timestamp"] for m in told]
    check(all(b - a > 0.9 for a, b in zip(stamps, stamps[1:])), "not more than one a second: %r" % stamps)
    end(arn)


def nobody_waits():
    """A pull ends with the last task that waits for it, and one that is wanted again begins anew."""
    name = image("unwanted", mib=8)
    slow.rate, slow.broken_blobs = MIB, 0
    first, second = run("unwanted1", name), run("unwanted2", name)
    within(20, "bytes", lambda: slow.open_blobs)
    end(first)
    time.sleep(0.6)  # three times as long as a pull that is cancelled goes on
    check(slow.open_blobs and not slow.broken_blobs, "a pull goes on while another task waits for it")
    end(second)
    within(20, "the end of the transfer", lambda: not slow.open_blobs)
    check(slow.broken_blobs, "which was in its middle")
    check(not is_here(name), "the image has not come")
    slow.rate = 0
    again = run("unwanted3", name)
    equal(running(again)["containers"][0]["imageDigest"], digest_of(name))
    equal(slow.pulls("unwanted"), 2)
    end(again)


def docker_cancelled():
    """Pulls that Docker gave up since who asked for them had gone."""
    with open(rig.docker_dir + "/dockerd.log") as f:
        return f.read().count("context canceled")


def nobody_waits_for_silence():
    name = image("silent", mib=1)
    slow.stall = 1
    ended = docker_cancelled()
    arn = run("silent", name)
    within(20, "silence", lambda: slow.open_blobs and not slow.stall)
    end(arn)
    within(20, "Docker to know", lambda: docker_cancelled() > ended)  # before, it would join both pulls
    again = run("silent2", name)  # far sooner than silence ends a pull
    equal(running(again)["containers"][0]["imageDigest"], digest_of(name))
    end(again)


def tries_again():
    name = image("flaky")
    slow.fail = 3
    arn = run("flaky", name)
    report = running(arn)
    equal(slow.pulls("flaky"), 4)
    check("reason" not in report["containers"][0], report)
    end(arn)
    slow.fail = 1000
    arn = run("broken", image("broken"))
    check(reason_of(arn).startswith("CannotPullContainerError: "), reason_of(arn))
    check("503" in reason_of(arn), reason_of(arn))
    equal(slow.pulls("broken"), 5)


def stands_still():
    restart(BERTH_PULL_IDLE="2s")
    slow.stall = 1
    arn = run("stalled", image("stalled", mib=2))
    running(arn)
    equal(slow.pulls("stalled"), 2)
    end(arn)


def takes_too_long():
    restart(BERTH_PULL_TIMEOUT="3s")
    slow.rate = 100 * 1000
    arn = run("endless", image("endless", mib=6))
    reason = reason_of(arn)
    check("CannotPullContainerError" in reason and "longer than 3 s" in reason, reason)


def says_no_such_image():
    reason = reason_of(run("none", "127.0.0.1:%d/none:1" % slow.port))
    check(reason.startswith("CannotPullContainerError: ") and "not found" in reason, reason)
    equal(slow.pulls("none"), 1)


# -- behaviours

def down():
    """The image's name when nobody answers for it."""
    name = "127.0.0.1:%d/bb:1" % dead.port
    rig.docker("tag", rig.image, name)
    return name


def behaviour_default():
    restart()
    name = image("usual")
    arns = [run("usual1", name)]
    running(arns[0])
    arns.append(run("usual2", name))
    running(arns[1])
    equal(slow.pulls("usual"), 2)
    lost = run("usual3", down())
    report = running(lost, 60)
    check(report["containers"][0]["reason"].startswith("CannotPullContainerError"), report)
    end(lost, *arns)


def behaviour_always():
    restart(ECS_IMAGE_PULL_BEHAVIOR="always")
    reason = reason_of(run("always", down()))
    check(reason.startswith("CannotPullContainerError"), reason)


def behaviour_once():
    restart(BERTH_PULL_BEHAVIOR="once")
    name = image("once")
    arns = [run("once1", name)]
    running(arns[0])
    equal(slow.pulls("once"), 1)
    arns.append(run("once2", name))
    report = running(arns[1])
    equal(report["containers"][0]["imageDigest"], digest_of(name))
    check("pullStartedAt" not in report, report)
    restart(BERTH_PULL_BEHAVIOR="once")
    arns.append(run("once3", name))
    running(arns[2])
    equal(slow.pulls("once"), 1)
    reason = reason_of(run("once4", down()))
    check(reason.startswith("CannotPullContainerError"), "what others loaded was never pulled: " + reason)
    end(*arns)


def behaviour_prefer_cached():
    restart(BERTH_PULL_BEHAVIOR="prefer-cached")
    here = run("here", down())
    report = running(here)
    check("reason" not in report["containers"][0] and "pullStartedAt" not in report, report)
    absent = run("absent", image("absent"))
    check("pullStartedAt" in running(absent), "what is not here is pulled")
    equal(slow.pulls("absent"), 1)
    end(here, absent)


# -- who may pull

def configured_credentials():
    registry = PrivateRegistry(rig)
    port, name = registry.port, registry.image
    try:
        with open(registry.client + "/config.json") as f:
            auths = json.load(f)["auths"]
        plain = {"http://127.0.0.1:%d/v1/" % port: {"username": USER, "password": PASSWORD, "email": "a@b"}}
        for n, (kind, data) in enumerate((("dockercfg", auths), ("dockercfg", {"auths": auths}), ("docker", plain))):
            restart(ECS_ENGINE_AUTH_TYPE=kind, ECS_ENGINE_AUTH_DATA=json.dumps(data))
            arn = run("auth%d" % n, name)
            running(arn)
            end(arn)
            for container in rig.containers(arn):
                rig.docker("rm", "-f", container)
            rig.docker("rmi", name)
        restart()
        reason = reason_of(run("nobody", name))
        check("CannotPullContainerError" in reason and "no basic auth credentials" in reason, reason)
        plain["http://127.0.0.1:%d/v1/" % port]["password"] = "wrong"
        restart(ECS_ENGINE_AUTH_TYPE="docker", ECS_ENGINE_AUTH_DATA=json.dumps(plain))
        reason = reason_of(run("wrong", name))
        check("CannotPullContainerError" in reason and "unauthorized" in reason, reason)
        check(PASSWORD not in open(rig.log_path).read(), "the log has no password")
        rig.kill_agent()
        rig.start_agent(BERTH_ENGINE_AUTH_TYPE="docker", BERTH_ENGINE_AUTH_DATA="{\"a\": {\"auth\": \"x\"}}")
        check(rig.agent.wait(10) != 0 and "BERTH_ENGINE_AUTH_DATA" in rig.log(), "nonsense is refused at the start")
    finally:
        registry.stop()


# -- clean-up

SOON = {"BERTH_IMAGE_CLEANUP_INTERVAL": "1s", "BERTH_IMAGE_MINIMUM_CLEANUP_AGE": "1s",
        "BERTH_CLEANUP_WAIT": "1s", "BERTH_DISK_CHECK": "500ms"}


def cleaned_by_age():
    restart()
    names = [image("old%d" % n) for n in range(3)]
    others = image("theirs", keep=True)
    others = "127.0.0.1:%d/theirs:1" % rig.registry_port
    for n, name in enumerate(names[:2]):
        arn = run("old%d" % n, name, "exit 0")
        stopped(arn)
    live = run("live", names[2])
    running(live)
    check(all(is_here(n) for n in names), "nothing goes before its time")
    restart(**SOON)  # and their ages are known to the next agent
    within(30, "the old images to go", lambda: not is_here(names[0]) and not is_here(names[1]))
    time.sleep(3)  # some rounds more
    check(is_here(names[2]), "what a live task uses stays")
    check(is_here(others), "what others pulled stays")
    end(live)
    within(30, "the last one to go", lambda: not is_here(names[2]))
    restart(**SOON, ECS_ENABLE_UNTRACKED_IMAGE_CLEANUP="true", NON_ECS_IMAGE_MINIMUM_CLEANUP_AGE="1s",
            ECS_EXCLUDE_UNTRACKED_IMAGE=rig.image)
    within(30, "the image of others to go, as told", lambda: not is_here(others))
    check(is_here(rig.image), "but for what is to be kept")


def not_cleaned():
    restart(**SOON, ECS_DISABLE_IMAGE_CLEANUP="true", BERTH_DISK_MIN_FREE="99", BERTH_DISK_PATH="/proc/..")
    name = image("kept")
    stopped(run("kept", name, "exit 0"))
    within(20, "the containers to go", lambda: not rig.containers("arn:aws:ecs:home-1:000000000001:task/default/kept"))
    time.sleep(3)
    check(is_here(name), "clean-up is off")


def cleaned_for_space():
    disk = rig.dir + "/disk"
    os.mkdir(disk)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", disk], check=True)
    try:
        restart(BERTH_DISK_PATH=disk, BERTH_DISK_MIN_FREE="30", BERTH_DISK_CHECK="500ms")
        names = [image("space%d" % n) for n in range(2)]
        over = run("space0", names[0], "exit 0")
        stopped(over)
        live = run("space1", names[1])
        running(live)
        time.sleep(2)
        check(is_here(names[0]) and rig.containers(over), "there is room: nothing goes before three hours")
        with open(disk + "/full", "wb") as f:
            f.write(bytes(16 * MIB))
        within(20, "containers and image of the task that is over to go",
               lambda: not rig.containers(over) and not is_here(names[0]))
        check(is_here(names[1]) and rig.containers(live), "what lives stays")
        end(live)
        within(20, "the rest", lambda: not is_here(names[1]))
        os.unlink(disk + "/full")
    finally:
        rig.kill_agent()
        subprocess.run(["umount", disk], check=True)


def killed_while_pulling():
    restart()
    name = image("late", mib=4)
    slow.rate = MIB
    arn = run("late", name)
    within(20, "the pull", lambda: slow.pulls("late"))
    restart()
    slow.rate = 0
    equal(running(arn)["containers"][0]["imageDigest"], digest_of(name))
    end(arn)


CASES = [
    ("equal pulls are one, and its digest is told", equal_pulls),
    ("progress is told, once a second at most", progress_is_told),
    ("a pull ends when the last task that waits for it is stopped", nobody_waits),
    ("be it silent", nobody_waits_for_silence),
    ("a registry that fails is asked again, up to five times", tries_again),
    ("an image that is not there is not asked for again", says_no_such_image),
    ("a pull that stands still is begun again", stands_still),
    ("a pull that takes too long is given up", takes_too_long),
    ("default: ask always, run what is here when nobody answers", behaviour_default),
    ("always: ask always, and fail", behaviour_always),
    ("once: ask until it was pulled, also by the agent before", behaviour_once),
    ("prefer-cached: ask only for what is not here", behaviour_prefer_cached),
    ("credentials of the configuration, in each form", configured_credentials),
    ("kill -9 in the middle of a pull", killed_while_pulling),
    ("old images go, but none that is needed nor another's", cleaned_by_age),
    ("clean-up can be turned off", not_cleaned),
    ("a full disk: what is not needed goes at once", cleaned_for_space),
]

try:
    rig.start()
    slow = SlowRegistry(rig.registry_port)
    dead = SlowRegistry(rig.registry_port)
    dead.stop()
    rig.start_agent()
    only = sys.argv[1:]
    for claim, function in CASES:
        slow.fail, slow.stall, slow.rate = 0, 0, 0
        if not only or function.__name__ in only:
            tap.case(claim, function, rig.log_tail)
    slow.stop()
finally:
    rig.stop()
sys.exit(tap.end())
