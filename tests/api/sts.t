#!/usr/bin/python3
"""STS through the stock tools, and the first admin account."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from berth_test import Berth, run, tap

with Berth() as berth:
    who = berth.client("sts").get_caller_identity()
    arn = f"arn:aws:iam::{berth.account_id}:user/admin"
    tap.is_((who["Account"], who["Arn"]), (berth.account_id, arn), "boto3 is told who it is")
    tap.ok(who["UserId"].startswith("AIDA"), "a user's id begins with AIDA")
    tap.is_(berth.aws("sts", "get-caller-identity")["Arn"], arn, "so is the stock CLI")
    tap.is_(berth.client("sts", region="us-east-1").get_caller_identity()["Account"],
            berth.account_id, "STS is global: any region in the scope will do")
    again = run(berth.program(), "--config", berth.config_file, "--create-admin", "admin")
    tap.like(again, berth.access_key, "making the admin account again gives the same key")
    tap.is_(berth.sql("SELECT count(*) FROM access_keys", "berth_identity"), [["1"]],
            "and makes no second one")
    mode = os.stat(os.path.join(berth.state_dir, "admin-credentials")).st_mode & 0o777
    tap.is_(oct(mode), "0o600", "the file that keeps it is its owner's alone")
    tap.is_(berth.stop(), 0, "berthd ends on SIGTERM with code 0")
    berth.sql("INSERT INTO schema_migrations VALUES ('9999-later', repeat('0', 64))")
    import subprocess
    refused = subprocess.run([berth.program(), "--config", berth.config_file], text=True,
                             capture_output=True)
    tap.ok(refused.returncode == 1 and "newer than this program" in refused.stderr,
           "berthd refuses a schema newer than itself, and says so", refused.stderr)

tap.done()
