#!/usr/bin/python3
"""Images of a registry that wants a password, from the task definition's secret to the running container;
how far images are, from Docker's words to the command line; and digests. All of it real."""
import json
import os
import subprocess
import sys

LIB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(LIB, "lib"))
sys.path.insert(0, os.path.join(LIB, "api", "lib"))
from agent_rig import Rig, within  # noqa: E402
from berth_test import Berth, tap  # noqa: E402
from private_registry import PASSWORD, USER, PrivateRegistry  # noqa: E402
from slow_registry import SlowRegistry  # noqa: E402

MIB = 1024 * 1024
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}]})


def define(ecs, family, image, secret=None, role=None, **more):
    container = {"name": "app", "image": image, "memory": 16, "command": ["sleep", "1000"], "stopTimeout": 2}
    if secret:
        container["repositoryCredentials"] = {"credentialsParameter": secret}
    if role:
        more["executionRoleArn"] = role
    ecs.register_task_definition(family=family, containerDefinitions=[container], **more)
    return family


def run(ecs, family):
    return ecs.run_task(taskDefinition=family)["tasks"][0]["taskArn"]


def task(ecs, arn):
    return ecs.describe_tasks(tasks=[arn])["tasks"][0]


def reached(ecs, arn, status, seconds=40):
    return within(seconds, lambda: (lambda t: t["lastStatus"] == status and t)(task(ecs, arn)))


def forget(rig, arn, image):
    """So that the next task has to pull."""
    for container in rig.containers(arn):
        rig.docker("rm", "-f", container)
    rig.docker("rmi", image)


def secrets(rig, daemon, ecs):
    registry = PrivateRegistry(rig)
    role = daemon.client("iam").create_role(RoleName="puller", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    store = daemon.client("secretsmanager")
    words = {"right": {"username": USER, "password": PASSWORD}, "wrong": {"username": USER, "password": "no"},
             "odd": ["neither"]}
    arns = {name: store.create_secret(Name="registry/" + name, SecretString=json.dumps(value))["ARN"]
            for name, value in words.items()}
    try:
        tap.raises("ClientException", lambda: define(ecs, "norole", registry.image, arns["right"]),
                   "no execution role: the definition is refused", 400, "executionRoleArn")
        arn = run(ecs, define(ecs, "private", registry.image, arns["right"], role))
        seen = reached(ecs, arn, "RUNNING")
        tap.ok(seen, "a private image runs", task(ecs, arn))
        tap.ok(seen and seen["containers"][0].get("imageDigest", "").startswith("sha256:"), "its digest is told", seen)
        ecs.stop_task(task=arn)
        reached(ecs, arn, "STOPPED")
        forget(rig, arn, registry.image)
        for secret, reason in ((arns["wrong"], "unauthorized"), (arns["odd"], "no JSON object with username"),
                               (arns["right"][:-7] + "-nobody", "ResourceNotFoundException")):
            arn = run(ecs, define(ecs, "refused", registry.image, secret, role))
            seen = reached(ecs, arn, "STOPPED")
            told = seen["containers"][0].get("reason", "") if seen else ""
            tap.ok(told.startswith("CannotPullContainerError: ") and reason in told, "refused: " + reason, told or seen)
        disk = subprocess.run(["grep", "-rl", PASSWORD, rig.dir + "/data"], capture_output=True, text=True)
        tap.is_(disk.stdout, "", "the agent keeps no password on disk")
        with open(daemon.log) as log:
            tap.ok(PASSWORD not in rig.log() + log.read(), "and nobody has it in a log")
    finally:
        registry.stop()


def large(rig, slow):
    folder = rig.dir + "/large"
    os.makedirs(folder)
    with open(folder + "/noise", "wb") as f:
        f.write(os.urandom(8 * MIB))
    with open(folder + "/Dockerfile", "w") as f:
        f.write("FROM %s\nCOPY noise /noise\n" % rig.image)
    name = "127.0.0.1:%d/large:1" % rig.registry_port
    rig.docker("build", "-q", "-t", name, folder)
    rig.docker("push", "-q", name)
    rig.docker("rmi", name)
    return "127.0.0.1:%d/large:1" % slow.port


def progress(rig, daemon, ecs, slow):
    berth = lambda *words: daemon.verb(*words).stdout
    admin = daemon.client("berth")
    slow.rate = MIB
    arn = run(ecs, define(ecs, "large", large(rig, slow)))
    percents = []

    def look():
        for pull in admin.describe_image_pulls(Tasks=[arn])["ImagePulls"]:
            if not percents or percents[-1] != pull["Percent"]:
                percents.append(pull["Percent"])
        return len([p for p in percents if 0 < p < 100]) > 2
    tap.ok(within(40, look), "it is told while it comes", percents)
    shown = berth("task", "show", arn.split("/")[-1])
    tap.ok(" % " in shown and " MB" in shown and "app" in shown, "berth task show says how far it is", shown)
    tap.ok(max(map(len, shown.splitlines())) <= 80, "in 80 columns", shown)
    tree = json.loads(berth("task", "show", arn.split("/")[-1], "--json"))
    pull = tree[0].get("imagePulls", [{}])[0]
    tap.ok(0 < pull.get("Percent", 0) <= 100 and pull["TotalBytes"] >= 8 * MIB, "and --json", pull)
    shown = berth("task", "show", arn.split("/")[-1], "--wait")
    tap.like(shown, "RUNNING", "--wait shows it running")
    tap.ok(percents == sorted(percents), "it only grows", percents)
    seen = task(ecs, arn)
    tap.ok(seen["createdAt"] <= seen["pullStartedAt"] < seen["pullStoppedAt"] <= seen["startedAt"],
           "the times of the pull are in their order", seen)
    took = (seen["pullStoppedAt"] - seen["pullStartedAt"]).total_seconds()
    tap.ok(took > 4, "and the pull took its time", took)
    tap.is_(admin.describe_image_pulls(Tasks=[arn])["ImagePulls"], [], "what runs needs no progress")
    digest = rig.docker("image", "inspect", "--format", "{{index .RepoDigests 0}}",
                        seen["containers"][0]["image"]).split("@")[1]
    tap.is_(seen["containers"][0]["imageDigest"], digest, "the digest is the image's own")
    tap.ok(max(map(len, berth("task", "show", arn.split("/")[-1]).splitlines())) <= 80, "80 columns with a digest too")
    slow.fail = 1000
    arn = run(ecs, define(ecs, "broken", "127.0.0.1:%d/none:1" % slow.port))
    failed = within(20, lambda: [p for p in admin.describe_image_pulls(Tasks=[arn])["ImagePulls"]
                                 if p["Status"] == "FAILED"])
    tap.ok(failed and "503" in failed[0]["Reason"], "a try that failed is told with its reason", failed)
    tap.like(berth("task", "show", arn.split("/")[-1]), "failed, trying again", "and shown")
    ecs.stop_task(task=arn)


rig = Rig()
try:
    rig.start()
    slow = SlowRegistry(rig.registry_port)
    with Berth(role="all") as daemon:
        client = daemon.client("ecs")
        with rig.watched(tap):
            daemon.client("berth").create_zone(ZoneName="home-1a")
            rig.start_agent(BERTH_ENDPOINT=daemon.endpoint, BERTH_CA=daemon.ca, AWS_SESSION_TOKEN="",
                            AWS_ACCESS_KEY_ID=daemon.access_key, AWS_SECRET_ACCESS_KEY=daemon.secret_key,
                            BERTH_INSTANCE_ID="", BERTH_CLUSTER="",
                            BERTH_PULL_RETRY="1s")  # long enough for a failure between two tries to be seen
            within(20, lambda: client.list_clusters()["clusterArns"] and
                   client.list_container_instances()["containerInstanceArns"])
            secrets(rig, daemon, client)
            progress(rig, daemon, client, slow)
    slow.stop()
finally:
    rig.stop()
tap.done()
