#!/usr/bin/python3
"""The agent and berthd together, with a real Docker Engine: a service runs, heals, and ends."""
import os
import signal
import sys
import time

LIB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(LIB, "lib"))
sys.path.insert(0, os.path.join(LIB, "api", "lib"))
from agent_rig import Rig  # noqa: E402
from berth_test import Berth, tap  # noqa: E402

WEB = "mkdir -p /tmp/w; hostname > /tmp/w/index.html; trap 'exit 0' TERM; httpd -p 80 -h /tmp/w;" \
      " while :; do sleep 0.1; done"


def within(seconds, what, find):
    """The first true value of find(), which may raise while it is early."""
    end = time.monotonic() + seconds
    while True:
        found = find()
        if found or time.monotonic() > end:
            tap.ok(found, what, "not within %d s" % seconds)
            return found
        time.sleep(0.2)


def tasks(ecs, **which):
    arns = ecs.list_tasks(**which)["taskArns"]
    return ecs.describe_tasks(tasks=arns)["tasks"] if arns else []


def start_agent(rig, berth):
    rig.start_agent(BERTH_ENDPOINT=berth.endpoint, BERTH_CA=berth.ca, AWS_SESSION_TOKEN="",
                    AWS_ACCESS_KEY_ID=berth.access_key, AWS_SECRET_ACCESS_KEY=berth.secret_key,
                    BERTH_INSTANCE_ID="", BERTH_CLUSTER="")


def joins(rig, berth, ecs):
    berth.client("berth").create_zone(ZoneName="home-1a")
    start_agent(rig, berth)
    within(20, "the agent joins a cluster that it made", lambda: [
        c for c in ecs.describe_container_instances(
            containerInstances=ecs.list_container_instances()["containerInstanceArns"]
            or ["none"])["containerInstances"] if c["agentConnected"]]
           if ecs.list_clusters()["clusterArns"] else None)


def runs_service(rig, ecs):
    ecs.register_task_definition(family="web", containerDefinitions=[{
        "name": "web", "image": rig.image, "memory": 32, "cpu": 10, "entryPoint": ["sh", "-c"],
        "command": [WEB], "portMappings": [{"containerPort": 80}]}])
    ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=2)
    ecs.get_waiter("services_stable").wait(services=["web"], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    pages = {rig.fetch(b["hostPort"]) for t in tasks(ecs, serviceName="web")
             for b in t["containers"][0]["networkBindings"]}
    tap.is_(len(pages), 2, "two tasks serve their pages")


def heals(rig, ecs):
    before = tasks(ecs, serviceName="web")
    rig.docker("rm", "-f", before[0]["containers"][0]["runtimeId"])
    within(40, "a killed container is replaced by a new task", lambda: len(
        [t for t in tasks(ecs, serviceName="web") if t["lastStatus"] == "RUNNING"
         and t["taskArn"] != before[0]["taskArn"]]) == 2)
    gone = ecs.describe_tasks(tasks=[before[0]["taskArn"]])["tasks"][0]
    tap.is_((gone["lastStatus"], gone["containers"][0].get("exitCode")), ("STOPPED", 137),
            "its end is told with the exit code")


def survives(rig, berth, ecs):
    running = sorted(t["taskArn"] for t in tasks(ecs, serviceName="web"))
    berth.stop(signal.SIGKILL)
    rig.kill_agent()
    berth.start()
    start_agent(rig, berth)
    within(30, "both come back after kill -9", lambda: ecs.describe_container_instances(
        containerInstances=ecs.list_container_instances()["containerInstanceArns"])
        ["containerInstances"][0]["agentConnected"])
    tap.is_(len(ecs.list_container_instances()["containerInstanceArns"]), 1, "as the same instance")
    tap.is_(sorted(t["taskArn"] for t in tasks(ecs, serviceName="web")), running, "with the same tasks")


def runs_once(ecs, rig):
    ecs.register_task_definition(family="once", containerDefinitions=[
        {"name": "a", "image": rig.image, "memory": 32, "entryPoint": ["sh", "-c"],
         "command": ['exit "$CODE"'], "environment": [{"name": "CODE", "value": "1"}]}])
    arn = ecs.run_task(taskDefinition="once", overrides={"containerOverrides": [
        {"name": "a", "environment": [{"name": "CODE", "value": "7"}]}]})["tasks"][0]["taskArn"]
    ecs.get_waiter("tasks_stopped").wait(tasks=[arn], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    task = ecs.describe_tasks(tasks=[arn])["tasks"][0]
    tap.is_((task["containers"][0]["exitCode"], task["stopCode"]), (7, "EssentialContainerExited"),
            "a task runs once and tells its exit code")


def ends(rig, ecs):
    ecs.update_service(service="web", desiredCount=0)
    within(40, "a service that wants none has none", lambda: not tasks(ecs, serviceName="web"))
    within(20, "and nothing runs in Docker", lambda: rig.docker("ps", "-q") == "")


rig = Rig()
try:
    rig.start()
    with Berth(role="all") as daemon:
        client = daemon.client("ecs")
        with rig.watched(tap):
            joins(rig, daemon, client)
            runs_service(rig, client)
            heals(rig, client)
            survives(rig, daemon, client)
            runs_once(client, rig)
            ends(rig, client)
finally:
    rig.stop()
tap.done()
