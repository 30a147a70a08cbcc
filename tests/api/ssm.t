#!/usr/bin/python3
"""Parameters by the stock CLI and boto3: versions, paths, types; values sealed at rest."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from berth_test import Berth, tap

SECRET = "correct-horse-battery-staple"
SECOND = "another-clear-value-entirely"


def values(berth, ssm):
    made = ssm.put_parameter(Name="/app/db/password", Value=SECRET, Type="SecureString",
                             Description="of the database")
    tap.is_((made["Version"], made["Tier"]), (1, "Standard"), "the first version is 1")
    tap.raises("ParameterAlreadyExists", lambda: ssm.put_parameter(
        Name="/app/db/password", Value=SECOND, Type="SecureString"), "not twice", 400)
    made = berth.aws("ssm", "put-parameter", "--name", "/app/db/password", "--value", SECOND,
                     "--overwrite")
    tap.is_(made["Version"], 2, "overwritten by the CLI, the type kept")
    p = ssm.get_parameter(Name="/app/db/password", WithDecryption=True)["Parameter"]
    tap.is_((p["Value"], p["Type"], p["Version"], p["DataType"], p["ARN"]),
            (SECOND, "SecureString", 2, "text",
             f"arn:aws:ssm:home-1:{berth.account_id}:parameter/app/db/password"), "the newest")
    old = ssm.get_parameter(Name="/app/db/password:1", WithDecryption=True)["Parameter"]
    tap.is_((old["Value"], old["Version"], old["Selector"]), (SECRET, 1, ":1"), "an older version")
    shut = ssm.get_parameter(Name="/app/db/password")["Parameter"]["Value"]
    tap.ok(SECOND not in shut and SECRET not in shut, "without decryption its value stays shut")
    tap.is_(ssm.get_parameter(Name=p["ARN"], WithDecryption=True)["Parameter"]["Value"], SECOND,
            "by ARN")
    tap.is_([v["Value"] for v in ssm.get_parameter_history(
        Name="/app/db/password", WithDecryption=True)["Parameters"]], [SECRET, SECOND], "history")
    tap.raises("ParameterNotFound", lambda: ssm.get_parameter(Name="/nobody"), "an unknown one", 400)


def refusals(ssm):
    bad = [("/app/with space", "v", {}, "ValidationException"),
           ("aws-thing", "v", {}, "ValidationException"),
           ("a/b", "v", {}, "ValidationException"),
           ("/" + "a/" * 16 + "b", "v", {}, "HierarchyLevelLimitExceededException"),
           ("big", "x" * 8193, {}, "ValidationException"),
           ("digits", "abc", {"AllowedPattern": "^[0-9]+$"}, "ParameterPatternMismatchException"),
           ("digits", "abc", {"AllowedPattern": "("}, "InvalidAllowedPatternException")]
    for name, value, more, code in bad:
        tap.raises(code, lambda: ssm.put_parameter(Name=name, Value=value, Type="String", **more),
                   f"refused: {name[:20]} {more}", 400)
    tap.raises("ValidationException", lambda: ssm.put_parameter(Name="new", Value="v"),
               "a first version needs a type", 400, "type is required")


def lists(berth, ssm):
    for name, value, kind in (("/app/host", "db.example", "String"),
                              ("/app/ports", "1,2,3", "StringList"), ("flat", "f", "String")):
        ssm.put_parameter(Name=name, Value=value, Type=kind)
    got = ssm.get_parameters(Names=["flat", "/app/ports", "/no"])
    tap.is_(({p["Name"]: p["Value"] for p in got["Parameters"]}, got["InvalidParameters"]),
            ({"flat": "f", "/app/ports": "1,2,3"}, ["/no"]), "several at once")
    below = berth.aws("ssm", "get-parameters-by-path", "--path", "/app")["Parameters"]
    tap.is_([p["Name"] for p in below], ["/app/host", "/app/ports"], "one level of a path")
    pages = list(ssm.get_paginator("get_parameters_by_path").paginate(
        Path="/", Recursive=True, WithDecryption=True, PaginationConfig={"PageSize": 1}))
    tap.is_([p["Name"] for page in pages for p in page["Parameters"]],
            ["/app/db/password", "/app/host", "/app/ports"], "all of a tree, by pages of one")
    rows = berth.aws("ssm", "describe-parameters")["Parameters"]
    tap.is_([r["Name"] for r in rows], ["/app/db/password", "/app/host", "/app/ports", "flat"],
            "described")
    tap.is_((rows[0]["Description"], rows[0]["KeyId"], rows[0]["LastModifiedUser"]),
            ("of the database", "alias/aws/ssm", f"arn:aws:iam::{berth.account_id}:user/admin"),
            "what is known of one")
    one = ssm.describe_parameters(ParameterFilters=[{"Key": "Name", "Values": ["flat"]}])
    tap.is_([p["Name"] for p in one["Parameters"]], ["flat"], "filtered by name")
    gone = ssm.delete_parameters(Names=["flat", "/no"])
    tap.is_((gone["DeletedParameters"], gone["InvalidParameters"]), (["flat"], ["/no"]), "deleted")
    ssm.delete_parameter(Name="/app/host")
    tap.raises("ParameterNotFound", lambda: ssm.delete_parameter(Name="/app/host"), "once", 400)


def accounts(berth, ssm):
    out = subprocess.run([berth.program(), "--config", berth.config_file, "--create-admin", "other"],
                         text=True, capture_output=True, check=True).stdout
    keys = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    other = berth.client("ssm", keys["aws_access_key_id"], keys["aws_secret_access_key"])
    tap.raises("ParameterNotFound", lambda: other.get_parameter(Name="/app/db/password"),
               "another account sees nothing", 400)
    tap.raises("ParameterNotFound", lambda: other.get_parameter(
        Name=f"arn:aws:ssm:home-1:{berth.account_id}:parameter/app/db/password"),
        "nor by ARN", 400)


def images(berth, ssm):
    name = "/aws/service/ecs/optimized-ami/amazon-linux-2/recommended"
    tap.raises("ParameterNotFound", lambda: ssm.get_parameter(Name=name), "no image yet", 400)
    for digit, title in ((1, "ecs-optimized-old"), (2, "ecs-optimized-new"), (3, "other")):
        berth.sql("INSERT INTO images (image_id, account_id, name, architecture, ssh_user, location,"
                  " state, disk_format, disk_sha256, virtual_bytes, snapshot_id, created_at) VALUES"
                  f" ('ami-{digit:017d}', '{berth.account_id}', '{title}', 'x86_64', 'admin', '/x',"
                  f" 'available', 'raw', 'x', 1, 'snap-{digit}', now() + interval '{digit} s')")
    tap.is_(ssm.get_parameter(Name=name + "/image_id")["Parameter"]["Value"], f"ami-{2:017d}",
            "the newest image for container instances")
    whole = berth.aws("ssm", "get-parameters", "--names", name)["Parameters"][0]["Value"]
    tap.like(whole, f'"image_id":"ami-{2:017d}"', "with what is known of it")
    tap.raises("ValidationException", lambda: ssm.put_parameter(
        Name="/aws/service/mine", Value="v", Type="String"), "nobody writes there", 400)


with Berth() as berth:
    ssm = berth.client("ssm")
    values(berth, ssm)
    refusals(ssm)
    lists(berth, ssm)
    accounts(berth, ssm)
    images(berth, ssm)
    dump = subprocess.run(["pg_dump", "-h", berth.sockets, "-U", "berth_owner", "berth_home_1"],
                          text=True, capture_output=True, check=True).stdout
    tap.ok("/app/db/password" in dump, "the dump has the parameter")
    tap.ok(SECRET not in dump and SECOND not in dump, "and none of its values")
    with open(berth.log) as log:
        text = log.read()
    tap.ok(SECRET not in text and SECOND not in text, "nor has the log")
tap.done()
