#!/usr/bin/python3
"""Good requests of one account, signed by others: nobody reads or changes what is not his.

Every action that is built is asked for by another account, by an instance's session, by a task's and by an
execution role's. No answer may name anything of the owner's, and his rows must be what they were.
"""

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from agent_sim import Agent
from berth_test import BUILD, Berth, run, tap
from sweep import Sweep, built, furnish

# what a session may call at all (docs/agent.md); everything else is AccessDenied in some dialect
MAY = {
    "instance": {"CreateCluster", "DeregisterContainerInstance", "DiscoverPollEndpoint", "ListTagsForResource", "RegisterContainerInstance",
                 "SubmitAttachmentStateChanges", "SubmitContainerStateChange", "SubmitTaskStateChange", "UpdateContainerInstancesState",
                 "GetCallerIdentity"},
    "task": {"GetTaskProtection", "UpdateTaskProtection", "GetCallerIdentity"},
    "execution": {"GetParameters", "GetSecretValue", "GetCallerIdentity"},
}
# the same for everybody of the region; or answered with what the caller himself sent
COMMON = {"ec2:DescribeInstanceTypes", "ec2:DescribeInstanceTypeOfferings", "ec2:DescribeRegions", "ec2:DescribeAvailabilityZones"}
DENIED = (b"AccessDenied", b"UnauthorizedOperation")


def dump(berth, account):
    """The owner's rows as text, but for times and counters that his agents move."""
    tables = ("clusters", "services", "tasks", "task_definitions", "container_instances", "instances", "images", "key_pairs",
              "parameters", "secrets", "tags")
    out = {}
    for table in tables:
        if berth.sql(f"SELECT to_regclass('{table}') IS NOT NULL") == [["t"]]:
            out[table] = berth.sql(f"SELECT row_to_json(t)::jsonb - 'version' FROM {table} t WHERE account_id = '{account}' ORDER BY 1::text")
    return out


class As(Sweep):
    def ask(self, model, operation, label):
        shape = operation.input_shape
        if shape:
            return self.send(model, operation, self.base(label, shape), label)
        return self.send(model, operation, {}, label)


def session(berth, name, kind, subject):
    """Credentials as the daemon makes them for a task."""
    made = os.path.join(BUILD, "tests/api/make_session")
    done = subprocess.run([made, berth.config_file, berth.account_id, subject], capture_output=True, text=True, check=True)
    keys = done.stdout.split()
    berth.sql(f"UPDATE sessions SET kind = '{kind}' WHERE access_key_id = '{keys[0]}'", "berth_identity")
    return keys


with Berth(config="[hosts]\nnetwork_cidr=127.67.0.0/16\n") as berth:
    known, bases = furnish(berth)
    other = berth.client("berth").create_account(Name="foreigner")
    their = berth.client("berth").create_access_key(AccountId=other["Account"]["AccountId"])["AccessKey"]
    task_id = known["task"].rsplit("/", 1)[1]
    owned = [v.encode() for v in (known["instanceId"], known["task"], known["containerInstance"], known["secretId"], known["resourceArn"],
                                  berth.account_id, task_id)]
    callers = {
        "another account": (their["AccessKeyId"], their["SecretAccessKey"]),
        "instance": session(berth, "i", "instance", "i-0123456789abcdef0"),
        "task": session(berth, "t", "task", "f" * 32),
        "execution": session(berth, "e", "execution", "f" * 32),
    }
    before = dump(berth, berth.account_id)
    tap.ok(all(before[t] for t in ("tasks", "instances", "container_instances", "secrets")), "the owner has something to lose", before.keys())
    for who, keys in callers.items():
        sweep = As(berth, known, bases, keys)
        leaks, faults, allowed = [], [], []
        for service, name in built():
            label = f"{service}:{name}"
            model = berth.client(service).meta.service_model
            fault = sweep.ask(model, model.operation_model(name), f"{model.signing_name}:{name}")
            if fault:
                faults.append(fault)
            said = sweep.said_whole
            if who == "another account":
                echoed = str(sweep.base(f"{model.signing_name}:{name}", model.operation_model(name).input_shape or
                                        model.operation_model("GetCallerIdentity").input_shape)).encode() if model.operation_model(name).input_shape else b""
                found = [o.decode() for o in owned if o in said and not (service == "iam" and o.isdigit()) and (sweep.last == 200 and label not in COMMON) and o not in echoed]
                if found:
                    leaks.append(f"{label} tells of {found}: {said[:300]!r}")
                if service == "berth" and sweep.last == 200:
                    allowed.append(label)
            elif sweep.last == 200 and name not in MAY[who] or (name not in MAY[who] and not any(d in said for d in DENIED)):
                allowed.append(f"{label}: {sweep.last} {said[:200]!r}")
        tap.is_(faults, [], f"{who}: every request is answered")
        tap.is_(leaks, [], f"{who}: no answer names what is the owner's")
        tap.is_(allowed, [], f"{who}: nothing is taken that is not the caller's to ask")
        after = dump(berth, berth.account_id)
        tap.is_({t for t in before if before[t] != after[t]}, set(), f"{who}: the owner's rows are what they were")
        before = after
        print(f"# {who}: {sweep.asked} requests, {sweep.taken} taken")
tap.done()
