#!/usr/bin/python3
"""Secrets by the stock CLI and boto3: versions, stages, deletion; values sealed at rest."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from berth_test import Berth, tap

FIRST = '{"user": "app", "password": "first-clear-password"}'
SECOND = '{"user": "app", "password": "second-clear-password"}'
TOKEN = "a" * 32


def versions(berth, sm):
    made = sm.create_secret(Name="app/db", SecretString=FIRST, Description="of the database",
                            Tags=[{"Key": "team", "Value": "a"}])
    arn = made["ARN"]
    tap.ok(arn.startswith(f"arn:aws:secretsmanager:home-1:{berth.account_id}:secret:app/db-")
           and len(arn.rsplit("-", 1)[1]) == 6, "an ARN with a suffix", arn)
    tap.raises("ResourceExistsException", lambda: sm.create_secret(Name="app/db", SecretString="x"),
               "not twice", 400)
    got = sm.get_secret_value(SecretId="app/db")
    tap.is_((got["SecretString"], got["VersionStages"], got["VersionId"], got["ARN"]),
            (FIRST, ["AWSCURRENT"], made["VersionId"], arn), "read by name")
    put = sm.put_secret_value(SecretId=arn, SecretString=SECOND, ClientRequestToken=TOKEN)
    tap.is_((put["VersionId"], put["VersionStages"]), (TOKEN, ["AWSCURRENT"]), "a new version")
    tap.is_(sm.put_secret_value(SecretId=arn, SecretString=SECOND, ClientRequestToken=TOKEN)
            ["VersionId"], TOKEN, "put again by the same token")
    tap.is_(berth.aws("secretsmanager", "get-secret-value", "--secret-id", arn)["SecretString"],
            SECOND, "by ARN: the new one")
    tap.is_(sm.get_secret_value(SecretId="app/db", VersionStage="AWSPREVIOUS")["SecretString"],
            FIRST, "the previous one by its stage")
    tap.is_(sm.get_secret_value(SecretId="app/db", VersionId=made["VersionId"])["SecretString"],
            FIRST, "and by its id")
    third = sm.put_secret_value(SecretId=arn, SecretString="third", VersionStages=["TRY"])
    tap.is_(sm.get_secret_value(SecretId=arn)["SecretString"], SECOND, "a stage of one's own")
    stages = sm.describe_secret(SecretId=arn)["VersionIdsToStages"]
    tap.is_(stages, {TOKEN: ["AWSCURRENT"], made["VersionId"]: ["AWSPREVIOUS"],
                     third["VersionId"]: ["TRY"]}, "stages by version")
    sm.update_secret(SecretId=arn, SecretString="fourth", Description="new words")
    row = sm.describe_secret(SecretId=arn)
    tap.is_((row["VersionIdsToStages"][TOKEN], row["Description"], row["Tags"]),
            (["AWSPREVIOUS"], "new words", [{"Key": "team", "Value": "a"}]), "updated")
    tap.ok(made["VersionId"] not in row["VersionIdsToStages"], "the oldest has no stage any more")
    tap.raises("ResourceNotFoundException", lambda: sm.get_secret_value(
        SecretId=arn, VersionStage="NONE"), "an unknown stage", 400, "staging label: NONE")
    tap.raises("ResourceNotFoundException", lambda: sm.get_secret_value(SecretId="nobody"),
               "an unknown secret", 400, "can't find the specified secret")
    binary = bytes(range(256))
    sm.create_secret(Name="blob", SecretBinary=binary)
    tap.is_(sm.get_secret_value(SecretId="blob")["SecretBinary"], binary, "bytes come back")
    tap.raises("InvalidParameterException", lambda: sm.create_secret(Name="a b", SecretString="x"),
               "a bad name", 400)
    tap.raises("ResourceNotFoundException", lambda: sm.get_secret_value(
        SecretId=arn.replace(berth.account_id, "999999999999")), "another account's ARN", 400)


def going(berth, sm):
    sm.create_secret(Name="old", SecretString="x")
    pages = list(sm.get_paginator("list_secrets").paginate(PaginationConfig={"PageSize": 1}))
    tap.is_([s["Name"] for p in pages for s in p["SecretList"]], ["app/db", "blob", "old"],
            "listed, by pages of one")
    gone = sm.delete_secret(SecretId="old", RecoveryWindowInDays=7)
    left = (gone["DeletionDate"] - sm.describe_secret(SecretId="old")["DeletedDate"]).total_seconds()
    tap.ok(abs(left - 7 * 86400) < 60, "goes in seven days", left)
    tap.raises("InvalidRequestException", lambda: sm.get_secret_value(SecretId="old"),
               "unreadable until then", 400, "marked for deletion")
    tap.is_([s["Name"] for s in sm.list_secrets()["SecretList"]], ["app/db", "blob"], "not listed")
    tap.raises("ResourceExistsException", lambda: sm.create_secret(Name="old", SecretString="y"),
               "its name is still taken", 400)
    sm.restore_secret(SecretId="old")
    tap.is_(sm.get_secret_value(SecretId="old")["SecretString"], "x", "restored")
    tap.raises("InvalidParameterException", lambda: sm.delete_secret(
        SecretId="old", RecoveryWindowInDays=3), "no window of three days", 400)
    before = sm.describe_secret(SecretId="old")["ARN"]
    berth.aws("secretsmanager", "delete-secret", "--secret-id", "old",
              "--force-delete-without-recovery")
    tap.raises("ResourceNotFoundException", lambda: sm.describe_secret(SecretId="old"), "gone", 400)
    tap.ok(sm.create_secret(Name="old", SecretString="z")["ARN"] != before, "made anew: another ARN")


with Berth() as berth:
    sm = berth.client("secretsmanager")
    versions(berth, sm)
    going(berth, sm)
    dump = subprocess.run(["pg_dump", "-h", berth.sockets, "-U", "berth_owner", "berth_home_1"],
                          text=True, capture_output=True, check=True).stdout
    with open(berth.log) as log:
        text = log.read()
    tap.ok("app/db" in dump, "the dump has the secret")
    for clear in ("first-clear-password", "second-clear-password"):
        tap.ok(clear not in dump and clear not in text, f"and not its value; nor has the log: {clear}")
tap.done()
