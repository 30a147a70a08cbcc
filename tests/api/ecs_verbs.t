#!/usr/bin/python3
"""What people type about services, tasks and container instances: waits, and ids as lists show them."""

import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from berth_test import BUILD, Berth, tap
from ecs_agents import Agents

DEFINITION = [{"name": "web", "image": "nginx", "memory": 128, "cpu": 100}]


def waits(berth):
    """Each time what it shows is what the scheduler has come to, not what it will come to in a moment."""
    done = berth.verb("service", "create", "web", "web", "--count", "2", "--wait")
    tap.ok(done.returncode == 0 and done.stdout.split()[-5:] == ["2", "2", "0", "web:1", "COMPLETED"],
           "create --wait ends when the deployment is completed", done)
    for count in ("4", "0", "2"):
        done = berth.verb("service", "update", "web", "--count", count, "--redeploy", "--wait")
        tap.ok(done.returncode == 0 and done.stdout.split()[-5:] == [count, count, "0", "web:1", "COMPLETED"],
               f"update --count {count} --redeploy --wait, too", done)
    newest = berth.verb("service", "events", "web").stdout.splitlines()[0]
    tap.ok(newest.endswith("(service web) has reached a steady state."), "its newest event says so", newest)
    tap.is_(berth.verb("service", "wait", "web").returncode, 0, "what is steady is not waited for")
    tap.is_(berth.verb("service", "wait", "nosuch").returncode, 3, "what does not exist neither")


def looks_again(berth):
    """All tasks run, and the scheduler has not planned since: told to wait, nobody wants to know that."""
    berth.sql("UPDATE deployments SET rollout_state = 'IN_PROGRESS'")
    waiting = subprocess.Popen([os.path.join(BUILD, "berth"), "service", "wait", "web"], env=berth.profile(),
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1.5)
    tap.is_(waiting.poll(), None, "it waits for the scheduler, not for the tasks alone")
    berth.sql("SELECT pg_notify('berth_wake', 'service:' || service_id) FROM services")
    tap.is_(waiting.wait(20), 0, "and ends when that has come to its end")


def fails(berth, ecs, agents):
    agents.fail("service:bad")
    ecs.create_service(serviceName="bad", taskDefinition="web", desiredCount=1,
                       deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": False}})
    done = berth.verb("service", "wait", "bad")
    tap.ok(done.returncode == 1 and "tasks failed to start" in done.stderr and
           '"berth service events bad"' in done.stderr, "a deployment that failed ends the wait", done)
    done = berth.verb("service", "wait", "bad", "--cluster", "default")
    tap.ok('"berth service events bad --cluster default"' in done.stderr, "and names the cluster it was told", done)


def takes_short_ids(berth, ecs):
    """As lists show them; of more that begin alike, and of none, nothing is done."""
    task = berth.verb("task", "list", "--service", "web").stdout.splitlines()[1].split()[0]
    machine = berth.verb("container-instance", "list").stdout.splitlines()[1].split()[0]
    tap.is_((len(task), len(machine)), (12, 12), "lists show twelve digits of an id")
    shown = berth.verb("why", task)
    tap.ok(shown.returncode == 0 and shown.stdout.startswith(f"task {task}") and len(shown.stdout.split()[1]) == 33,
           "why takes them, and tells the whole id", shown)
    shown = berth.verb("why", machine)
    tap.ok(shown.stdout.startswith(f"container-instance {machine}"), "of a container instance, too", shown)
    shown = berth.verb("task", "show", task)
    tap.ok(shown.returncode == 0 and task in shown.stdout, "task show takes them", shown)
    for verb, status in ("drain", "DRAINING"), ("activate", "ACTIVE"):
        done = berth.verb("container-instance", verb, machine)
        states = {r["status"] for r in ecs.describe_container_instances(
            containerInstances=ecs.list_container_instances()["containerInstanceArns"])["containerInstances"]
            if f"/{machine}" in r["containerInstanceArn"]}
        tap.ok(done.returncode == 0 and states == {status}, f"container-instance {verb} takes them", (done, states))
    done = berth.verb("task", "stop", task, "--wait")
    tap.ok(done.returncode == 0 and done.stdout.splitlines()[1].split()[:1] == [task], "task stop takes them", done)
    for words in ("why",), ("task", "show"), ("task", "stop"), ("container-instance", "drain"):
        done = berth.verb(*words, "0123456789ab")
        tap.ok(done.returncode != 0 and ("0123456789ab" in done.stderr or "was not found" in done.stderr),
               f"{' '.join(words)} of none says so", done)
        tap.ok(berth.verb(*words, task[:7]).returncode != 0, f"{' '.join(words)}: seven digits are too few")
    berth.sql("UPDATE tasks SET task_id = 'abcdefab' || substr(task_id, 9) WHERE desired_status = 'RUNNING'")
    done = berth.verb("why", "abcdefab")
    tap.ok(done.returncode != 0 and "several" in done.stderr, "more that begin alike are not guessed at", done)


with Berth(role="all", config="[reconcile]\nsweep_seconds=600\n") as berth:
    ecs = berth.client("ecs")
    ecs.create_cluster()
    agents = Agents(berth, "default")
    for zone in ("home-1a", "home-1b"):
        agents.add(zone)
    agents.start()
    ecs.register_task_definition(family="web", containerDefinitions=DEFINITION)
    try:
        waits(berth)
        looks_again(berth)
        fails(berth, ecs, agents)
        takes_short_ids(berth, ecs)
    finally:
        agents.stop()
tap.done()
