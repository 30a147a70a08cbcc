#!/usr/bin/python3
"""Every member of every action that is built gets hostile values: none may cost more than a refusal.

A good request of each action is made from its model and what is there in this region; then one member
after the other, at any depth, is replaced. Whatever comes back must be an answer or the caller's fault:
a 5xx, a cut connection or a dead daemon is a finding. ONLY and SHIFT in the environment narrow and vary it.
"""

import copy
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from berth_test import Berth, tap
from sweep import Sweep, built, furnish

SQL = "x'; DROP TABLE tasks; --"
TEXTS = ["", SQL, "\\'; SELECT pg_sleep(60); --", "$1", "%s%n%s%n", "../../../../etc/shadow", "-rf", "a" * 70000,
         "\u0001\u001b[2J", "\uffff", "\U0001f4a3" * 300, "*" * 300, "null", "'", '"', "${x}", "$(reboot)`reboot`", "a\r\nSet-Cookie: x",
         "(" * 5000, "{\"a\":" * 200, "arn:aws:ecs:home-1:000000000000:task/default/" + "0" * 32, "arn:", "+" * 40, "AAAA",
         "i-ffffffffffffffff0", "9" * 400, "-9223372036854775808-9223372036854775807", "1e309", "0x7fffffff"]
NUMBERS = [-1, 0, 2**31 - 1, -2**31, 2**31, 2**63 - 1, -2**63, 65536]
DOUBLES = [-1.0, 1e308, -1e308, 5e-324, 0.0]
TIMES = ["1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1000-01-01T00:00:00Z"]
EPOCHS = [0, -1, 1e18, -1e300, 253402300799, 0.1]
JSON_WRONG = [None, True, 1, 1.5, "x", [], {}, [None], [[]], {"a": {}}]
SHIFT = int(os.environ.get("SHIFT", "0"))  # other texts at other places: 0 to 25
ONLY = os.environ.get("ONLY", "")          # part of "service:Action"
SKIP = {"berth:DeleteAccessKey", "berth:UpdateAccessKey"}  # could take away the key that asks


class Hostile(Sweep):
    def places(self, shape, path=(), depth=0, wire_json=False):
        if depth > 5:
            return
        if shape.type_name == "structure":
            for name, member in shape.members.items():
                yield from self.places(member, path + (name,), depth + 1, wire_json)
        elif shape.type_name == "list":
            yield path, "list", shape
            yield from self.places(shape.member, path + (0,), depth + 1, wire_json)
        elif shape.type_name == "map":
            yield path + ("key",), "map", shape
            yield from self.places(shape.value, path + ("key",), depth + 1, wire_json)
        else:
            yield path, shape.type_name, shape

    def values(self, kind, shape, is_json, number):
        """A few of the hostile ones, others at each place, so that all come up many times."""
        if kind == "string":
            return [TEXTS[(number * 5 + i + SHIFT) % len(TEXTS)] for i in range(5)]
        if kind in ("integer", "long"):
            return NUMBERS
        if kind in ("float", "double"):
            return DOUBLES
        if kind == "timestamp":
            return EPOCHS if is_json else TIMES
        if kind == "blob":
            return [b"", b"\0\xff" * 3000]
        return []

    def put(self, tree, path, value, shape):
        at, here = tree, shape
        for n, part in enumerate(path):
            last = n == len(path) - 1
            here = here.members[part] if here.type_name == "structure" else here.member if here.type_name == "list" else here.value
            if isinstance(at, list):
                if not at:
                    at.append(None)
                part = 0
            if last:
                at[part] = value
                return
            inside = at.get(part) if isinstance(at, dict) else at[part]
            if not isinstance(inside, (dict, list)):
                inside = [] if here.type_name == "list" else self.minimal(here) if here.type_name == "structure" else {}
                at[part] = inside
            at = inside

    def operation(self, model, operation):
        shape, faults = operation.input_shape, []
        if not shape:
            return faults
        is_json = model.metadata["protocol"] == "json"
        label = f"{model.signing_name}:{operation.name}"
        base = self.base(label, shape)
        fault = self.send(model, operation, base, f"{label} as it should be")
        if fault:
            faults.append(fault)
        if self.last not in (200, 412):
            print(f"#  good {label}: {self.said}")
        for number, (path, kind, of) in enumerate(self.places(shape)):
            values = list(self.values(kind, of, is_json, number))
            if is_json:
                values += [JSON_WRONG[number % len(JSON_WRONG)], JSON_WRONG[(number * 3 + 1) % len(JSON_WRONG)]]
            if kind == "list" and of.member.type_name == "string":
                values += [[self.good(of.member, path[-1][:-1])] * 3, ["x"] * 1500]
            for value in values:
                tree = copy.deepcopy(base)
                self.put(tree, path, value, shape)
                shown = ".".join(map(str, path))
                fault = self.send(model, operation, tree, f"{label} {shown}={str(value)[:60]!r}")
                if fault:
                    faults.append(fault)
        return faults


with Berth(config="[hosts]\nnetwork_cidr=127.65.0.0/16\n") as berth:
    hostile = Hostile(berth, *furnish(berth))
    for service, name in built():
        label = f"{service}:{name}"
        if label in SKIP or ONLY not in label:
            continue
        model = berth.client(service).meta.service_model
        asked, taken = hostile.asked, hostile.taken
        faults = hostile.operation(model, model.operation_model(name))
        tap.ok(not faults, f"{label}: {hostile.asked - asked} hostile requests, {hostile.taken - taken} of them taken", "\n".join(faults[:12]))
        if berth.daemon.poll() is not None:
            tap.ok(False, f"berthd died of {label}")
            berth.show_log(60)
            berth.start()
    print(f"# {hostile.asked} requests")
    tap.ok(berth.client("sts").get_caller_identity()["Account"] == berth.account_id, "after all of it the API serves")
    tap.ok(berth.sql("SELECT count(*) FROM tasks"), "and every table is there")
tap.done()
