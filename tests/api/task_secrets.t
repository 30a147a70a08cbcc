#!/usr/bin/python3
"""Secrets of tasks reach the container's environment by the payload, and lie nowhere else."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from berth_test import Berth, tap
from stock_agent import StockAgent

CLEAR = "clear-password-of-the-database"


def store(berth):
    ssm, sm = berth.client("ssm"), berth.client("secretsmanager")
    for name, value in (("/app/PASSWORD", CLEAR), ("/app/HOST", "db.example"), ("flat", "f")):
        ssm.put_parameter(Name=name, Value=value, Type="SecureString")
    arn = sm.create_secret(Name="app/db", SecretString=json.dumps(
        {"user": "me", "password": CLEAR, "port": 5432}))["ARN"]
    sm.put_secret_value(SecretId=arn, SecretString=json.dumps(
        {"user": "me", "password": "new-" + CLEAR, "port": 5432}))
    return arn


def definition(ecs, family, secrets, **more):
    return ecs.register_task_definition(family=family, containerDefinitions=[
        {"name": "app", "image": "busybox", "memory": 64, "secrets": [
            {"name": n, "valueFrom": v} for n, v in secrets],
         "environment": [{"name": "PLAIN", "value": "p"}], **more}])["taskDefinition"]["taskDefinitionArn"]


def run(ecs, arn, **more):
    return ecs.run_task(taskDefinition=arn, **more)["tasks"][0]["taskArn"]


def environment(agent, arn):
    """What the agent was told of the first container, without what every container has."""
    agent.wait(lambda: arn in agent.tasks)
    got = dict(agent.tasks[arn].spec["containers"][0]["environment"])
    got.pop("AWS_EXECUTION_ENV", None)
    return got


def forms(berth, ecs, agent, arn):
    account = berth.account_id
    base = f"arn:aws:ssm:home-1:{account}:parameter"
    task = run(ecs, definition(ecs, "forms", [
        ("BY_NAME", "/app/PASSWORD"), ("BY_ARN", base + "/app/PASSWORD"), ("FLAT", base + "/flat"),
        ("WHOLE", arn), ("KEY", arn + ":password::"), ("PORT", arn + ":port::"),
        ("BEFORE", arn + ":password:AWSPREVIOUS:")]))
    whole = json.dumps({"user": "me", "password": "new-" + CLEAR, "port": 5432})
    tap.is_(environment(agent, task), {
        "PLAIN": "p", "BY_NAME": CLEAR, "BY_ARN": CLEAR, "FLAT": "f", "WHOLE": whole,
        "KEY": "new-" + CLEAR, "PORT": "5432", "BEFORE": CLEAR}, "every form of a reference")
    task = run(ecs, definition(ecs, "stars", [("*", "/app/"), ("DB_*", arn)]))
    tap.is_(environment(agent, task), {
        "PLAIN": "p", "PASSWORD": CLEAR, "HOST": "db.example", "DB_user": "me",
        "DB_password": "new-" + CLEAR, "DB_port": "5432"}, "a whole path and a whole secret")
    task = run(ecs, definition(ecs, "log", [], logConfiguration={
        "logDriver": "json-file", "options": {"max-size": "1m"},
        "secretOptions": [{"name": "labels", "valueFrom": "flat"}]}))
    agent.wait(lambda: task in agent.tasks)
    host = json.loads(agent.tasks[task].spec["containers"][0]["dockerConfig"]["hostConfig"])
    tap.is_(host["LogConfig"]["Config"], {"max-size": "1m", "labels": "f"}, "a log driver's options")
    task = run(ecs, definition(ecs, "over", [("HOST", "/app/HOST")]), overrides={
        "containerOverrides": [{"name": "app", "environment": [{"name": "HOST", "value": "mine"}]}]})
    tap.is_(environment(agent, task)["HOST"], "mine", "an override is stronger")
    return task


def failures(berth, ecs, agent, arn):
    for secrets, words in (
            ([("A", "/app/NONE")], "there is no such parameter"),
            ([("A", arn + ":nokey::")], "no JSON with this key"),
            ([("A", arn[:-7] + "-nobody")], "can't find the specified secret"),
            ([("A", arn.replace(berth.account_id, "999999999999"))], "of this region and account"),
            ([("A*", "/nowhere/")], "no parameter is below")):
        task = run(ecs, definition(ecs, "bad", secrets))
        row = berth.wait_for(lambda: [t for t in ecs.describe_tasks(tasks=[task])["tasks"]
                                      if t["lastStatus"] == "STOPPED"])
        tap.is_(row and row[0]["stopCode"], "TaskFailedToStart", f"fails to start: {words}")
        tap.ok(row and row[0]["stoppedReason"].startswith("ResourceInitializationError: ")
               and words in row[0]["stoppedReason"], "and says why", row and row[0]["stoppedReason"])
        tap.ok(task not in agent.tasks, "the agent was not told of it")
    tap.ok(environment(agent, run(ecs, definition(ecs, "good", [("F", "flat")])))["F"] == "f",
           "others are sent as before")


with Berth(role="all") as berth:
    arn = store(berth)
    ecs = berth.client("ecs")
    berth.sql("INSERT INTO zones (zone_name, zone_id) VALUES ('home-1a', 'a') ON CONFLICT DO NOTHING")
    ecs.create_cluster()
    agent = StockAgent(berth, "1.70.0", cluster="default").start()
    agent.wait(lambda: agent.acs)
    task = forms(berth, ecs, agent, arn)
    failures(berth, ecs, agent, arn)
    shown = json.dumps(ecs.describe_tasks(tasks=[task]), default=str) + json.dumps(
        ecs.describe_task_definition(taskDefinition="forms"), default=str)
    dump = subprocess.run(["pg_dump", "-h", berth.sockets, "-U", "berth_owner", "berth_home_1"],
                          text=True, capture_output=True, check=True).stdout
    with open(berth.log) as log:
        text = log.read()
    tap.ok("/app/PASSWORD" in dump and CLEAR not in dump, "the database has the name, not the value")
    tap.ok(CLEAR not in text, "nor has the log")
    tap.ok(CLEAR not in shown and "db.example" not in shown, "nor what clients are shown")
    agent.kill()
tap.done()
