#!/usr/bin/python3
"""Protection from scale-in: the calls, what the scheduler makes of it, and its end."""
import datetime
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from berth_test import Berth, tap
from ecs_agents import Agents

ONE = [{"name": "web", "image": "nginx", "memory": 64, "cpu": 10}]


def running(ecs):
    return sorted(ecs.list_tasks(serviceName="web")["taskArns"])


def set_up(ecs, agents):
    ecs.register_task_definition(family="web", containerDefinitions=ONE)
    agents.add("home-1a")
    agents.start()
    ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=3)
    ecs.get_waiter("services_stable").wait(services=["web"], WaiterConfig={"Delay": 1, "MaxAttempts": 30})


def calls(ecs):
    arn = running(ecs)[0]
    before = datetime.datetime.now(datetime.timezone.utc)
    answer = ecs.update_task_protection(cluster="default", tasks=[arn], protectionEnabled=True,
                                        expiresInMinutes=60)
    tap.is_(answer["failures"], [], "a service's task is protected")
    shown = answer["protectedTasks"][0]
    tap.is_((shown["taskArn"], shown["protectionEnabled"]), (arn, True), "and said to be")
    left = shown["expirationDate"] - before
    tap.ok(datetime.timedelta(minutes=59) < left < datetime.timedelta(minutes=61), "for an hour", left)
    got = ecs.get_task_protection(cluster="default", tasks=[arn.split("/")[-1], "f" * 32])
    tap.is_(got["protectedTasks"], [shown], "asked for by its id, the same is told")
    tap.is_([(f["arn"], f["reason"]) for f in got["failures"]], [(arn.rsplit("/", 1)[0] + "/" + "f" * 32,
                                                                  "MISSING")], "another is missing")
    alone = ecs.run_task(taskDefinition="web")["tasks"][0]["taskArn"]
    refused = ecs.update_task_protection(cluster="default", tasks=[alone], protectionEnabled=True)
    tap.is_([f["reason"] for f in refused["failures"]], ["TASK_NOT_VALID"], "only services' tasks")
    tap.raises("InvalidParameterException", lambda: ecs.update_task_protection(
        cluster="default", tasks=[arn], protectionEnabled=True, expiresInMinutes=2881), "too long", 400)
    tap.raises("InvalidParameterException", lambda: ecs.get_task_protection(
        cluster="default", tasks=[]), "no task", 400)
    return arn


def scale_in(berth, ecs, arn):
    ecs.update_service(service="web", desiredCount=0)
    tap.ok(berth.wait_for(lambda: running(ecs) == [arn]), "scaling in leaves the protected task alone")
    ecs.update_task_protection(cluster="default", tasks=[arn], protectionEnabled=False)
    tap.ok(berth.wait_for(lambda: running(ecs) == []), "it goes once its protection is taken away")


def expiry(berth, ecs):
    ecs.update_service(service="web", desiredCount=1)
    ecs.get_waiter("services_stable").wait(services=["web"], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    arn = running(ecs)[0]
    ecs.update_task_protection(cluster="default", tasks=[arn], protectionEnabled=True)
    berth.sql("UPDATE tasks SET protected_until = now() + interval '2 s' WHERE protected_until > now()")
    ecs.update_service(service="web", desiredCount=0)
    tap.is_(running(ecs), [arn], "a task is protected until the time is over")
    tap.ok(berth.wait_for(lambda: running(ecs) == []), "and stops then, with nobody asking")


with Berth(role="all") as daemon:
    client = daemon.client("ecs")
    client.create_cluster()
    simulated = Agents(daemon, "default")
    try:
        set_up(client, simulated)
        scale_in(daemon, client, calls(client))
        expiry(daemon, client)
    finally:
        simulated.stop()
tap.done()
