#!/usr/bin/python3
"""Debian's Ansible, unchanged, keeps a cluster: its modules find in our answers what they look for, and
see that nothing is left to do the second time."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from berth_test import REGION, Berth, tap
from ecs_agents import Agents

PLAYBOOK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ansible.yml")
CHANGES = {"a key pair, made": True, "a cluster": False, "a task definition": True, "the same task definition again": False,
           "a service": True, "the same service again": False, "more of it": True, "a task": True,
           "the task, stopped": True, "a tag": True, "a secret": True, "the service, ended": True,
           "the task definition, ended": True, "the key pair, removed": True,
           "another cluster": True, "the other cluster, removed": True}


def play(berth):
    """The result of each task of the playbook by its name, in their order."""
    done = subprocess.run(
        ["/usr/bin/ansible-playbook", "-i", "localhost,", PLAYBOOK], text=True, capture_output=True, timeout=300,
        env=berth.aws_env(AWS_URL=berth.endpoint, AWS_REGION=REGION, ANSIBLE_STDOUT_CALLBACK="json", HOME=berth.root,
                          ANSIBLE_LOCALHOST_WARNING="false", ANSIBLE_PYTHON_INTERPRETER="/usr/bin/python3"))
    tap.ok(done.returncode == 0, "the playbook ends well", done.stderr[-2000:])
    tasks = json.loads(done.stdout)["plays"][0]["tasks"]
    return {t["task"]["name"]: t["hosts"]["localhost"] for t in tasks}


with Berth(role="all") as berth:
    ecs = berth.client("ecs")
    ecs.create_cluster(clusterName="play")
    agents = Agents(berth, "play")
    for zone in ("home-1a", "home-1b"):
        agents.add(zone)
    agents.start()
    results = play(berth)
    for name, result in results.items():
        tap.ok(not result.get("failed") and result.get("changed", False) == CHANGES.get(name, False),
               f"{name}: {'changes something' if CHANGES.get(name) else 'changes nothing'}",
               [result.get(k) for k in ("msg", "exception", "changed")])
    tap.ok(set(CHANGES) <= set(results), "every task was played")
    tap.is_(results["who am I"].get("account"), berth.account_id, "the account is ours")
    tap.is_([v["is_default"] for v in results["the default network"].get("vpcs", [])], [True], "one network, the default one")
    tap.is_([t["startedBy"] for t in results["a task"].get("task", [])], ["ansible"], "its task is there")
    tap.is_(ecs.list_services(cluster="play")["serviceArns"], [], "the service is gone")
    tap.is_(ecs.list_task_definitions(familyPrefix="web")["taskDefinitionArns"], [], "the task definition is inactive")
    tap.is_(berth.client("ec2").describe_key_pairs()["KeyPairs"], [], "the key pair is gone")
    tap.is_(berth.client("secretsmanager").get_secret_value(SecretId="play/key")["SecretString"], "swordfish",
            "the secret has its value")
    agents.stop()
tap.done()
