#!/usr/bin/python3
"""berth secret and berth parameter, beside the stock command."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from berth_test import BUILD, Berth, tap

SECRET = "hunter2 ünter\nzwei"


def profile(berth):
    home = os.path.join(berth.root, "home")
    os.makedirs(home)
    with open(os.path.join(home, "config"), "w") as f:
        f.write(f"[profile berth]\nregion=home-1\nendpoint_url={berth.endpoint}\nca_bundle={berth.ca}\n")
    with open(os.path.join(home, "credentials"), "w") as f:
        f.write(f"[berth]\naws_access_key_id={berth.access_key}\naws_secret_access_key={berth.secret_key}\n")
    return home


def verb(home, *words, value=""):
    return subprocess.run([os.path.join(BUILD, "berth"), *words], input=value, text=True, capture_output=True,
                          env={**os.environ, "BERTH_HOME": home})


def secrets(berth, home):
    made = verb(home, "secret", "put", "db/password", "--explain", value=SECRET + "\n")
    tap.ok(made.returncode == 0 and made.stdout.startswith("arn:aws:secretsmanager:home-1:"), "a secret is made", made)
    tap.ok("hunter2" not in made.stdout + made.stderr and "--secret-string file:///dev/stdin" in made.stderr,
           "--explain teaches the stock command without the value", made.stderr)
    stock = berth.aws("secretsmanager", "get-secret-value", "--secret-id", "db/password")
    tap.is_(stock["SecretString"], SECRET, "the stock command reads it: as it was given, but for the last newline")
    tap.is_(verb(home, "secret", "show", "db/password", "--value").stdout, SECRET + "\n", "and so does the verb")
    told = verb(home, "secret", "show", "db/password")
    tap.ok("hunter2" not in told.stdout and json.loads(told.stdout)["Name"] == "db/password",
           "its value is shown only when asked for", told.stdout)
    file = os.path.join(home, "value")
    with open(file, "w") as f:
        f.write("second")
    again = verb(home, "secret", "put", "db/password", file)
    tap.is_((again.returncode, verb(home, "secret", "show", "db/password", "--value").stdout), (0, "second\n"),
            "put again gives it a new value")
    tap.ok("db/password" in verb(home, "secret", "list").stdout, "it is listed")
    for value, why in (("", "empty"), ("\n", "empty"), ("a\0b", "no text")):
        refused = verb(home, "secret", "put", "db/password", value=value)
        tap.ok(refused.returncode == 2 and why in refused.stderr, f"a value {value!r} is refused", refused)
    tap.is_(verb(home, "secret", "put", "a", "b", "c").returncode, 2, "a value is no argument")
    tap.is_(verb(home, "secret", "delete", "db/password", "--now").returncode, 0, "it is deleted")
    tap.is_(verb(home, "secret", "show", "db/password").returncode, 3, "then it is not found")


def parameters(berth, home):
    made = verb(home, "parameter", "put", "/web/key", "--explain", value="k1")
    tap.ok(made.stdout == "version 1\n" and "k1" not in made.stderr, "a parameter is made", made)
    tap.is_(verb(home, "parameter", "put", "/web/key", value="k2").stdout, "version 2\n", "and changed")
    stock = berth.aws("ssm", "get-parameter", "--name", "/web/key", "--with-decryption")["Parameter"]
    tap.is_((stock["Type"], stock["Value"]), ("SecureString", "k2"), "it is a SecureString unless told otherwise")
    told = verb(home, "parameter", "show", "/web/key")
    tap.ok("k2" not in told.stdout and '"Value"' not in told.stdout and json.loads(told.stdout)["Version"] == 2,
           "its value is shown only when asked for", told.stdout)
    tap.is_(verb(home, "parameter", "show", "/web/key", "--value").stdout, "k2\n", "then it is")
    verb(home, "parameter", "put", "/web/level", "--type", "String", value="debug\n")
    rows = json.loads(verb(home, "parameter", "list", "--json").stdout)
    tap.is_([(r["Name"], r["Type"]) for r in rows], [("/web/key", "SecureString"), ("/web/level", "String")], "both are listed")
    tap.is_(verb(home, "parameter", "delete", "/web/key").returncode, 0, "one is deleted")
    tap.is_(verb(home, "parameter", "show", "/web/key").returncode, 3, "then it is not found")
    tap.ok("never from the command line" in verb(home, "help", "secret", "put").stdout +
           verb(home, "secret", "put", "--help").stdout, "help says where values come from")


with Berth() as berth:
    home = profile(berth)
    secrets(berth, home)
    parameters(berth, home)
tap.done()
