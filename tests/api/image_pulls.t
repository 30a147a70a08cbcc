#!/usr/bin/python3
"""How far images are, as an agent tells and clients read; and what agents get for a private registry."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from berth_test import Berth, tap
from stock_agent import StockAgent

TRUST = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}]})


def pull(name="app", **more):
    return {"containerName": name, "status": "PULLING", "percent": 40, "currentBytes": 400, "totalBytes": 1000,
            "layers": 3, "layersDone": 1, **more}


def tell(agent, *tasks):
    agent.tcs.signed_frame({"type": "PublishImagePullsRequest", "message": {
        "metadata": agent.metadata(), "timestamp": time.time(),
        "tasks": [{"taskArn": arn, "containers": pulls} for arn, pulls in tasks]}})


def seen(admin, *arns):
    return admin.describe_image_pulls(Cluster="default", Tasks=list(arns))["ImagePulls"]


def registry(berth, ecs, agent):
    iam = berth.client("iam")
    role = iam.create_role(RoleName="exec", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    secret = f"arn:aws:secretsmanager:home-1:{berth.account_id}:secret:registry-AbCdEf"
    container = {"name": "app", "image": "r.example/a:1", "memory": 64,
                 "repositoryCredentials": {"credentialsParameter": secret}}
    tap.raises("ClientException", lambda: ecs.register_task_definition(family="x", containerDefinitions=[container]),
               "credentials need somebody to read them", 400, "When you are specifying repositoryCredentials, "
               "you must also specify a value for 'executionRoleArn'.")
    made = ecs.register_task_definition(family="x", containerDefinitions=[container], executionRoleArn=role)
    tap.ok("ecs.capability.private-registry-authentication.secretsmanager" in
           [a["name"] for a in made["taskDefinition"]["requiresAttributes"]], "only agents that can are asked")
    arn = ecs.run_task(taskDefinition="x")["tasks"][0]["taskArn"]
    tap.ok(agent.wait(lambda: arn in agent.tasks) or arn in agent.tasks, "the task is sent")
    spec = agent.tasks[arn].spec
    tap.is_(spec["containers"][0]["registryAuthentication"],
            {"type": "asm", "asmAuthData": {"credentialsParameter": secret, "region": "home-1"}},
            "with the name of the secret as agents take it")
    tap.ok(spec["executionRoleCredentials"]["accessKeyId"].startswith("ASIA"), "and the role's credentials")
    return arn


def progress(berth, ecs, agent, arn):
    admin = berth.client("berth")
    tap.is_(seen(admin, arn), [], "nothing is known before it is told")
    tell(agent, (arn, [pull()]))
    got = berth.wait_for(lambda: seen(admin, arn))
    tap.is_([{k: v for k, v in p.items() if k != "ToldAt"} for p in got or []], [
        {"TaskArn": arn, "ContainerName": "app", "Image": "r.example/a:1", "Status": "PULLING", "Percent": 40,
         "CurrentBytes": 400, "TotalBytes": 1000, "Layers": 3, "LayersDone": 1}], "what was told is shown")
    for n in range(60, 90):
        tell(agent, (arn, [pull(percent=n)]))
    tap.ok(berth.wait_for(lambda: seen(admin, arn)[0]["Percent"] == 89), "the newest word counts")
    tell(agent, (arn, [pull(status="FAILED", reason="ä" * 3000)]))
    got = berth.wait_for(lambda: seen(admin, arn)[0]["Status"] == "FAILED" and seen(admin, arn)[0])
    tap.is_(got and got["Reason"], "ä" * 255, "a reason is cut")
    tap.is_(berth.sql("SELECT count(*) FROM history WHERE what ILIKE '%pull%'"), [["0"]], "none of it is history")
    tap.is_(seen(admin, "0" * 32, "nonsense"), [], "unknown tasks have none")
    tap.raises("ClusterNotFoundException", lambda: admin.describe_image_pulls(Cluster="no", Tasks=[arn]),
               "a cluster that is not there")


def hostile(berth, ecs, agent, arn):
    admin = berth.client("berth")
    other = StockAgent(berth, "1.70.0", cluster="default").start()
    other.wait(lambda: other.tcs)
    tell(other, (arn, [pull(percent=3)]))
    for odd in ([pull("nobody")], [pull(status="EATING")], [pull(status=3)], [pull(None)], [None], [3], "x", None,
                [pull("x" * 300)], [{"containerName": "app"}]):
        tell(agent, (arn, odd))
    tell(agent, ("", [pull()]), (None, [pull()]), ("no-arn", [pull()]), ("a/" + "x" * 5000, [pull()]))
    tell(agent, (arn, [pull(f"n{i}") for i in range(3000)]))
    tell(agent, (arn, [pull(percent=10 ** 12, currentBytes=-4, totalBytes="many", layers=-1, layersDone=10 ** 15)]))
    got = berth.wait_for(lambda: seen(admin, arn)[0]["Percent"] == 100 and seen(admin, arn)[0])
    tap.is_(got and (got["CurrentBytes"], got["TotalBytes"], got["Layers"], got["LayersDone"]), (0, 0, 0, 10000),
            "numbers that make no sense are bounded")
    tap.is_(len(seen(admin, arn)), 1, "no row of a container that is not there, nor by another's agent")
    tap.is_(agent.tcs_opened, 1, "the channel goes on")
    other.kill()
    made = admin.create_account(Name="other")
    key = admin.create_access_key(AccountId=made["Account"]["AccountId"])["AccessKey"]
    foreign = berth.client("berth", key["AccessKeyId"], key["SecretAccessKey"])
    tap.raises("AccessDeniedException", lambda: seen(foreign, arn), "another account reads nothing")


with Berth(role="all") as berth:
    ecs = berth.client("ecs")
    berth.sql("INSERT INTO zones (zone_name, zone_id) VALUES ('home-1a', 'a') ON CONFLICT DO NOTHING")
    ecs.create_cluster()
    agent = StockAgent(berth, "1.105.1", cluster="default")
    agent.start_delay = 3600
    agent.start()
    agent.wait(lambda: agent.acs and agent.tcs)
    arn = registry(berth, ecs, agent)
    progress(berth, ecs, agent, arn)
    hostile(berth, ecs, agent, arn)
    agent.kill()
tap.done()
