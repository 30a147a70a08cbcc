#!/usr/bin/python3
"""The admin service's accounts and keys, IAM's GetUser, dry runs and client tokens."""

import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from berth_test import Berth, tap


def test_accounts(berth, admin):
    made = admin.create_account(Name="guest", AccountId="210987654321")
    tap.is_((made["Account"]["AccountId"], made["AccessKey"]["AccountId"]), ("210987654321", "210987654321"), "an account is made with a key")
    tap.is_([a["Name"] for a in admin.list_accounts()["Accounts"]], ["admin", "guest"], "and listed")
    tap.raises("ResourceAlreadyExistsException", lambda: admin.create_account(Name="guest"), "a name is used once", status=409)
    tap.raises("InvalidParameterException", lambda: admin.create_account(Name="x" * 65), "and has a bound")
    tap.raises("InvalidParameterException", lambda: admin.create_account(Name="n", AccountId="12345678901x"), "an id has twelve digits")
    tap.raises("ResourceNotFoundException", lambda: admin.create_access_key(AccountId="000000000001"), "no account, no key", status=404)


def test_keys(berth, admin):
    key = admin.create_access_key(AccountId="210987654321", UserName="eve")["AccessKey"]
    tap.is_((key["UserName"], key["Status"], len(key["SecretAccessKey"])), ("eve", "Active", 40), "a key is made for a user")
    mine = dict(access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])
    tap.is_(berth.client("sts", **mine).get_caller_identity()["Arn"], "arn:aws:iam::210987654321:user/eve", "who the key is")
    user = berth.client("iam", **mine).get_user()["User"]
    tap.is_((user["UserName"], user["Arn"], user["Path"]), ("eve", "arn:aws:iam::210987654321:user/eve", "/"), "IAM tells the same")
    iam = berth.client("iam")
    tap.is_(iam.get_user(UserName="admin")["User"]["UserName"], "admin", "a user by name")
    tap.raises("NoSuchEntity", lambda: iam.get_user(UserName="nobody"), "or that there is none", status=404)
    tap.raises("NoSuchEntity", lambda: iam.get_user(UserName="eve"), "nor one of another account", status=404)
    listed = admin.list_access_keys(AccountId="210987654321")["AccessKeys"]
    tap.ok(len(listed) == 2 and not any("SecretAccessKey" in k for k in listed), "keys are listed without their secrets", listed)
    tap.raises("ResourceInUseException", lambda: admin.delete_access_key(AccessKeyId=berth.access_key), "nobody saws off the key he signs with", status=409)
    admin.delete_access_key(AccountId="210987654321", AccessKeyId=key["AccessKeyId"])
    tap.is_(len(admin.list_access_keys(AccountId="210987654321")["AccessKeys"]), 1, "a key is deleted")
    tap.raises("ResourceNotFoundException", lambda: admin.delete_access_key(AccountId="210987654321", AccessKeyId=key["AccessKeyId"]), "once")
    tap.raises("InvalidParameterException", lambda: admin.create_access_key(UserName="a b"), "a user's name has no space")


def test_status(admin):
    status = admin.get_status()
    parts = {p["Name"]: p["Health"] for p in status["Parts"]}
    tap.is_((status["Region"], parts["database"], parts["daemons"]), ("home-1", "OK", "DEGRADED"), "the status says that nothing reconciles here")
    tap.ok(any("role" in p.get("Remedy", "") for p in status["Parts"]), "and what to do about it")


def test_dry_run(berth):
    ec2 = berth.client("ec2")
    tap.raises("DryRunOperation", lambda: ec2.create_key_pair(KeyName="dry", DryRun=True), "a dry run says that it would have gone well",
               status=412, message="Request would have succeeded, but DryRun flag is set.")
    tap.is_(ec2.describe_key_pairs()["KeyPairs"], [], "and does nothing")
    ec2.create_key_pair(KeyName="wet")
    tap.raises("InvalidKeyPair.Duplicate", lambda: ec2.create_key_pair(KeyName="wet", DryRun=True), "but says first what is wrong")


def test_tokens(berth):
    """CreateService carries a token; sixteen equal calls make one service."""
    ecs = berth.client("ecs")
    ecs.create_cluster(clusterName="default")
    ecs.register_task_definition(family="web", containerDefinitions=[{"name": "app", "image": "bb:1", "memory": 16}])
    call = dict(serviceName="web", taskDefinition="web", desiredCount=1, clientToken="token-1")
    answers, barrier = [], threading.Barrier(16)

    def one():
        client = berth.client("ecs")
        barrier.wait()
        try:
            answers.append(client.create_service(**call)["service"]["serviceArn"])
        except Exception as e:
            answers.append(e)

    threads = [threading.Thread(target=one) for _ in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    tap.ok(len(answers) == 16 and len(set(map(str, answers))) == 1 and isinstance(answers[0], str), "sixteen equal calls get one answer", answers)
    tap.is_(berth.sql("SELECT count(*) FROM services"), [["1"]], "and make one service")
    berth.restart()
    tap.is_(berth.client("ecs").create_service(**call)["service"]["serviceArn"], answers[0], "after a restart too")
    tap.raises("InvalidParameterException", lambda: berth.client("ecs").create_service(**{**call, "desiredCount": 2}),
               "another request with the token is refused")


with Berth() as berth:
    admin = berth.client("berth")
    test_accounts(berth, admin)
    test_keys(berth, admin)
    test_status(admin)
    test_dry_run(berth)
    test_tokens(berth)
tap.done()
