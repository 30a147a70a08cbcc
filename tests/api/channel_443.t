#!/usr/bin/python3
"""Agents' channels on port 443: endpoints without a port, with which any certificate for the host does, while stock
agents look for "host:port" in it otherwise."""

import os
import re
import shutil
import ssl
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from berth_test import Berth, make_tls, tap
from stock_agent import StockAgent

ADDRESS = "127.44.%d.%d" % (os.getpid() >> 8 & 255, os.getpid() & 255)  # 443 is there once a machine


class At(Berth):
    """berthd on an address of its own, with a certificate that names that address and no port."""

    def prepare(self):
        super().prepare()
        self.endpoint = f"https://{ADDRESS}:{self.port}"
        folder = os.path.join(self.state_dir, "tls")
        shutil.rmtree(folder)
        self.ca = make_tls(folder, [f"IP:{ADDRESS}"])

    def config_text(self):
        return re.sub("(listen_address|advertise)=.*", rf"\1={ADDRESS}", super().config_text())


class At443(At):
    def config_text(self):
        return re.sub("channel_port=.*", "channel_port=443", super().config_text())


def lives(berth, ecs, dialect):
    agent = StockAgent(berth, dialect).start()
    there = agent.wait(lambda: ecs.describe_container_instances(
        containerInstances=[agent.disk["arn"]])["containerInstances"][0]["agentConnected"])
    tap.ok(there, f"{dialect}: connects", agent.closes)
    tap.ok(agent.wait(lambda: agent.tcs_opened), f"{dialect}: by telemetry too")
    arn = ecs.start_task(taskDefinition="web", containerInstances=[agent.disk["arn"]])["tasks"][0]["taskArn"]
    tap.ok(agent.wait(lambda: ecs.describe_tasks(tasks=[arn])["tasks"][0]["lastStatus"] == "RUNNING"), f"{dialect}: and runs a task")
    agent.kill()


with At443() as berth:
    berth.client("berth").create_zone(ZoneName="home-1a")
    ecs = berth.client("ecs")
    ecs.create_cluster()
    ecs.register_task_definition(family="web", containerDefinitions=[{"name": "app", "image": "i", "memory": 16}])
    found = ecs.discover_poll_endpoint()
    tap.is_((found["endpoint"], found["telemetryEndpoint"]), (f"https://{ADDRESS}/acs/", f"https://{ADDRESS}/tcs/"),
            "with channel_port = 443 the endpoints have no port")
    for dialect in ("1.70.0", "1.105.1"):
        lives(berth, ecs, dialect)

with At() as berth:
    berth.client("berth").create_zone(ZoneName="home-1a")
    berth.client("ecs").create_cluster()
    agent = StockAgent(berth, "1.70.0")
    agent.register()
    url = agent.discover()["endpoint"]
    tap.is_(url, f"https://{ADDRESS}:{berth.channel_port}/acs/", "with another port they have it")
    try:
        agent.connect(url, agent.acs_parameters())
        tap.ok(False, "and the same certificate does not do for a stock agent")
    except ssl.SSLCertVerificationError as e:
        tap.like(e, f"{ADDRESS}:{berth.channel_port}", "and the same certificate does not do for a stock agent")
tap.done()
