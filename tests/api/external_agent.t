#!/usr/bin/python3
"""Credentials of an agent on a machine that is nobody's guest: short ones, renewed over its channel."""

import os
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "lib"), os.path.join(HERE, "..", "lib")]
from agent_rig import Rig
from agent_sim import Agent, Refused
from berth_test import Berth, tap

SECONDS = 16


def gone(berth, keys):
    """The code with which credentials are refused; None while they are good."""
    sts = berth.client("sts", *keys)
    try:
        sts.get_caller_identity()
        return None
    except sts.exceptions.ClientError as e:
        return e.response["Error"]["Code"]


def external(berth, address):
    admin = berth.client("berth")
    one = admin.create_external_instance(Address=address, User="root")["External"]["InstanceId"]
    made = admin.create_external_credentials(InstanceId=one)
    tap.is_((made["Endpoint"], made["RegionName"]), (berth.endpoint, "home-1"), "credentials come with where they are for")
    return one, (made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])


def ids(berth, one):
    return {r[0] for r in berth.sql(f"SELECT access_key_id FROM sessions WHERE subject = '{one}'", "berth_identity")}


def container_instance(berth):
    ecs = berth.client("ecs")
    arns = ecs.list_container_instances()["containerInstanceArns"]
    found = ecs.describe_container_instances(containerInstances=arns)["containerInstances"] if arns else []
    return next((c for c in found if c["agentConnected"]), None)


def test_by_hand(berth):
    """Each message in the test's hand."""
    one, keys = external(berth, "10.0.0.8")
    agent = Agent(berth, *keys)
    agent.register()
    acs = agent.acs()
    _, renewed = acs.receive("BerthCredentialsMessage", seconds=SECONDS)
    new = renewed["accessKeyId"], renewed["secretAccessKey"], renewed["sessionToken"]
    tap.ok(gone(berth, keys) is None, "new credentials come while the old ones are good")
    tap.is_(gone(berth, new), None, "and are good themselves")
    tap.raises("AccessDeniedException", lambda: berth.client("ecs", *new).list_clusters(), "for no more than an agent's calls")
    acs.close()
    after = Agent(berth, *new)
    after.arn = agent.arn
    acs = berth.wait_for(lambda: after.acs())
    tap.ok(berth.wait_for(lambda: gone(berth, keys) == "InvalidClientTokenId", 12, 0.3),
           "a channel opened with them ends the old ones", gone(berth, keys))
    _, message = acs.receive()
    tap.is_(message.get("healthy"), True, "that channel works")
    acs.close()
    tap.ok(berth.wait_for(lambda: gone(berth, new) in ("ExpiredToken", "InvalidClientTokenId"), SECONDS + 10, 0.5),
           "an agent that stays away: they end by themselves", gone(berth, new))
    try:
        after.acs().close()
        tap.ok(False, "with those no channel is opened")
    except Refused as e:
        tap.is_(e.code, "AccessDeniedException", "with those no channel is opened")
    except berth.client("ecs").exceptions.ClientError as e:
        tap.like(e, "xpired", "with those no channel is opened")
    berth.client("berth").remove_external_instance(InstanceId=one, Force=True)
    return one


def test_agent(berth, rig):
    one, keys = external(berth, "10.0.0.9")
    start = lambda: rig.start_agent(
        BERTH_ENDPOINT=berth.endpoint, BERTH_CA=berth.ca, BERTH_CLUSTER="default", BERTH_INSTANCE_ID=one, BERTH_ROTATION="4s",
        AWS_ACCESS_KEY_ID=keys[0], AWS_SECRET_ACCESS_KEY=keys[1], AWS_SESSION_TOKEN=keys[2])
    start()
    first = berth.wait_for(lambda: container_instance(berth), 30, 0.2)
    tap.ok(first and first["ec2InstanceId"] == one, "our agent joins with them")
    seen = ids(berth, one)
    tap.ok(berth.wait_for(lambda: seen.isdisjoint(ids(berth, one)), 3 * SECONDS, 0.5), "its first ones are taken out of use")
    seen = ids(berth, one)
    tap.ok(berth.wait_for(lambda: seen.isdisjoint(ids(berth, one)), 3 * SECONDS, 0.5), "and so are the next")
    tap.ok(gone(berth, keys) and berth.wait_for(lambda: container_instance(berth), 10, 0.2),
           "long after the end of its first ones it is connected")
    kept = os.path.join(rig.dir, "data", "credentials.json")
    tap.is_(os.stat(kept).st_mode & 0o777, 0o600, "what it has now is in its folder, for nobody else")
    rig.kill_agent(signal.SIGKILL)
    berth.wait_for(lambda: not container_instance(berth))
    start()
    again = berth.wait_for(lambda: container_instance(berth), 20, 0.2)
    tap.is_(again and again["containerInstanceArn"], first["containerInstanceArn"],
            "killed and started with its first configuration it is there again")
    made = berth.client("berth").create_external_credentials(InstanceId=one)
    with open(rig.config) as f:
        lines = f.read()
    for old, new in zip(keys, (made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])):
        lines = lines.replace(old, new)
    with open(rig.config + ".new", "w") as f:
        f.write(lines)
    os.rename(rig.config + ".new", rig.config)
    tap.ok(berth.wait_for(lambda: ids(berth, one) and not {made["AccessKeyId"]} & ids(berth, one), 3 * SECONDS, 0.5) and
           berth.wait_for(lambda: container_instance(berth), 10, 0.2),
           "a new configuration (berth agent renew) is taken by the running agent, and followed in turn")
    berth.client("berth").remove_external_instance(InstanceId=one, Force=True)
    berth.client("berth").delete_external_credentials(InstanceId=one)
    tap.is_(ids(berth, one), set(), "removed: none are left")


rig = Rig()
try:
    rig.start()
    with Berth(role="all", config=f"[agents]\nexternal_seconds={SECONDS}\n") as berth:
        berth.client("berth").create_zone(ZoneName="home-1a")
        berth.client("ecs").create_cluster()
        with rig.watched(tap):
            test_by_hand(berth)
            test_agent(berth, rig)
finally:
    rig.stop()
tap.done()
