#!/usr/bin/python3
"""berth secret and berth parameter, beside the stock command."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from berth_test import Berth, tap

SECRET = "hunter2 ünter\nzwei"


def secrets(berth):
    made = berth.verb("secret", "put", "db/password", "--explain", value=SECRET + "\n")
    tap.ok(made.returncode == 0 and made.stdout.startswith("arn:aws:secretsmanager:home-1:"), "a secret is made", made)
    tap.ok("hunter2" not in made.stdout + made.stderr and "--secret-string file:///dev/stdin" in made.stderr,
           "--explain teaches the stock command without the value", made.stderr)
    stock = berth.aws("secretsmanager", "get-secret-value", "--secret-id", "db/password")
    tap.is_(stock["SecretString"], SECRET, "the stock command reads it: as it was given, but for the last newline")
    tap.is_(berth.verb("secret", "show", "db/password", "--value").stdout, SECRET + "\n", "and so does the verb")
    told = berth.verb("secret", "show", "db/password")
    tap.ok("hunter2" not in told.stdout and json.loads(told.stdout)["Name"] == "db/password",
           "its value is shown only when asked for", told.stdout)
    file = os.path.join(berth.root, "value")
    with open(file, "w") as f:
        f.write("second")
    again = berth.verb("secret", "put", "db/password", file)
    tap.is_((again.returncode, berth.verb("secret", "show", "db/password", "--value").stdout), (0, "second\n"),
            "put again gives it a new value")
    tap.ok("db/password" in berth.verb("secret", "list").stdout, "it is listed")
    for value, why in (("", "empty"), ("\n", "empty"), ("a\0b", "no text")):
        refused = berth.verb("secret", "put", "db/password", value=value)
        tap.ok(refused.returncode == 2 and why in refused.stderr, f"a value {value!r} is refused", refused)
    tap.is_(berth.verb("secret", "put", "a", "b", "c").returncode, 2, "a value is no argument")
    tap.is_(berth.verb("secret", "delete", "db/password", "--now").returncode, 0, "it is deleted")
    tap.is_(berth.verb("secret", "show", "db/password").returncode, 3, "then it is not found")


def parameters(berth):
    made = berth.verb("parameter", "put", "/web/key", "--explain", value="k1")
    tap.ok(made.stdout == "version 1\n" and "k1" not in made.stderr, "a parameter is made", made)
    tap.is_(berth.verb("parameter", "put", "/web/key", value="k2").stdout, "version 2\n", "and changed")
    stock = berth.aws("ssm", "get-parameter", "--name", "/web/key", "--with-decryption")["Parameter"]
    tap.is_((stock["Type"], stock["Value"]), ("SecureString", "k2"), "it is a SecureString unless told otherwise")
    told = berth.verb("parameter", "show", "/web/key")
    tap.ok("k2" not in told.stdout and '"Value"' not in told.stdout and json.loads(told.stdout)["Version"] == 2,
           "its value is shown only when asked for", told.stdout)
    tap.is_(berth.verb("parameter", "show", "/web/key", "--value").stdout, "k2\n", "then it is")
    berth.verb("parameter", "put", "/web/level", "--type", "String", value="debug\n")
    rows = json.loads(berth.verb("parameter", "list", "--json").stdout)
    tap.is_([(r["Name"], r["Type"]) for r in rows], [("/web/key", "SecureString"), ("/web/level", "String")], "both are listed")
    tap.is_(berth.verb("parameter", "delete", "/web/key").returncode, 0, "one is deleted")
    tap.is_(berth.verb("parameter", "show", "/web/key").returncode, 3, "then it is not found")
    tap.ok("never from the command line" in berth.verb("help", "secret", "put").stdout +
           berth.verb("secret", "put", "--help").stdout, "help says where values come from")


with Berth() as berth:
    secrets(berth)
    parameters(berth)
tap.done()
