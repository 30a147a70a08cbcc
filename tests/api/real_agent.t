#!/usr/bin/python3
"""Our own agent on a private Docker Engine against the control plane: a task from RunTask to its end."""

import os
import sys
import types

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "lib"), os.path.join(HERE, "..", "lib")]
from agent_rig import Rig
from berth_test import BUILD, REGION, Berth, run, tap

INSTANCE = """
INSERT INTO zones (zone_name, zone_id) VALUES ('home-1a', 'home1-az1') ON CONFLICT DO NOTHING;
INSERT INTO hosts (host_id, zone_name, uri, state, vcpus, memory_mib) VALUES ('h-00000000000000001', 'home-1a', 'test:///x', 'up', 64, 65536);
INSERT INTO images (image_id, account_id, name, architecture, ssh_user, location, state, disk_format, disk_sha256, virtual_bytes, snapshot_id)
  VALUES ('ami-00000000000000001', '{account}', 'img', 'x86_64', 'admin', '/', 'available', 'qcow2', 'x', 1, 'snap-00000000000000001');
INSERT INTO reservations (reservation_id, account_id) VALUES ('r-00000000000000001', '{account}');
INSERT INTO instances (instance_id, account_id, reservation_id, launch_index, image_id, instance_type, vcpus, memory_mib, zone_name, host_id,
    subnet_id, private_ip, mac, domain_uuid, eni_id, root_volume_id, root_volume_gib, root_device_name, instance_profile)
  VALUES ('i-00000000000000001', '{account}', 'r-00000000000000001', 0, 'ami-00000000000000001', 't3.micro', 2, 1024, 'home-1a', 'h-00000000000000001',
    'subnet-00000000000000001', '172.31.16.4', '06:00:00:00:00:01', gen_random_uuid(), 'eni-00000000000000001', 'vol-00000000000000001', 8, '/dev/sda1',
    'ecsInstanceRole')"""


def describe(berth, arn):
    return berth.client("ecs").describe_tasks(cluster="default", tasks=[arn])["tasks"][0]


def wait_status(berth, arn, status, seconds=40):
    return berth.wait_for(lambda: describe(berth, arn)["lastStatus"] == status and describe(berth, arn), seconds, 0.2)


def connected(berth):
    ecs = berth.client("ecs")
    arns = ecs.list_container_instances(cluster="default")["containerInstanceArns"]
    if not arns:
        return None
    found = ecs.describe_container_instances(cluster="default", containerInstances=arns)["containerInstances"]
    return found[0] if found[0]["agentConnected"] else None


def test_task(berth, rig):
    ecs = berth.client("ecs")
    ecs.register_task_definition(family="web", containerDefinitions=[
        {"name": "app", "image": rig.image, "memory": 32, "portMappings": [{"containerPort": 8080}], "stopTimeout": 2,
         "entryPoint": ["sh", "-c"], "environment": [{"name": "WORD", "value": "hello from a task"}],
         "command": ["mkdir /tmp/w; echo $WORD $AWS_EXECUTION_ENV > /tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w"]}])
    answer = ecs.run_task(cluster="default", taskDefinition="web")
    tap.is_((len(answer["tasks"]), answer["failures"]), (1, []), "RunTask places a task")
    arn = answer["tasks"][0]["taskArn"]
    task = wait_status(berth, arn, "RUNNING")
    if not tap.ok(task, "it runs", describe(berth, arn)):
        return
    binding = task["containers"][0]["networkBindings"][0]
    tap.is_(rig.fetch(binding["hostPort"]), "hello from a task AWS_ECS_EC2\n", "and serves its page on the port that was told")
    ecs.stop_task(cluster="default", task=arn, reason="seen enough")
    ended = wait_status(berth, arn, "STOPPED")
    tap.ok(ended, "StopTask ends it")
    tap.is_((ended["stopCode"], ended["stoppedReason"]), ("UserInitiated", "seen enough"), "for the reason that was given")
    tap.ok("exitCode" in ended["containers"][0], "with an exit code")


def test_failure(berth, rig):
    ecs = berth.client("ecs")
    ecs.register_task_definition(family="none", containerDefinitions=[
        {"name": "app", "image": rig.image.replace("bb:1", "absent:9"), "memory": 32}])
    arn = ecs.run_task(cluster="default", taskDefinition="none")["tasks"][0]["taskArn"]
    ended = wait_status(berth, arn, "STOPPED", 90)
    tap.ok(ended and ended["stopCode"] == "TaskFailedToStart", "a task whose image does not exist fails to start", ended)
    tap.like((ended or describe(berth, arn))["containers"][0].get("reason"), "CannotPullContainerError", "and its container says why")


def test_restarts(berth, rig):
    before = connected(berth)["containerInstanceArn"]
    arn = berth.client("ecs").run_task(cluster="default", taskDefinition="web")["tasks"][0]["taskArn"]
    tap.ok(wait_status(berth, arn, "RUNNING"), "one more task runs")
    berth.restart(9)
    tap.ok(berth.wait_for(lambda: connected(berth), 30, 0.2), "the agent is back soon after the control plane was killed")
    rig.kill_agent()
    rig.start_agent(**rig.berth_settings)
    again = berth.wait_for(lambda: connected(berth), 30, 0.2)
    tap.is_(again and again["containerInstanceArn"], before, "a killed agent comes back as the same container instance")
    tap.is_(describe(berth, arn)["lastStatus"], "RUNNING", "the task ran through all that")
    tap.is_(len(rig.containers(arn)), 1, "in one container")
    berth.client("ecs").stop_task(cluster="default", task=arn)
    tap.ok(wait_status(berth, arn, "STOPPED"), "and is stopped in the end")


with Berth(role="all") as berth:
    rig = Rig()
    rig.mock = types.SimpleNamespace(url=berth.endpoint, stop=lambda: None, client_died=lambda: None, bad_signatures=[])
    try:
        rig.dockerd("start", rig.bridge, rig.subnet)
        rig._registry()
        rig._image()
        berth.sql(INSTANCE.format(account=berth.account_id))
        berth.aws("ecs", "create-cluster", "--cluster-name", "default")
        keys = run(os.path.join(BUILD, "tests/api/make_session"), berth.config_file, berth.account_id, "i-00000000000000001").split()
        rig.berth_settings = dict(
            BERTH_ENDPOINT=berth.endpoint, BERTH_REGION=REGION, BERTH_CA=berth.ca, BERTH_CLUSTER="default",
            BERTH_INSTANCE_ID="i-00000000000000001", AWS_ACCESS_KEY_ID=keys[0], AWS_SECRET_ACCESS_KEY=keys[1], AWS_SESSION_TOKEN=keys[2])
        rig.start_agent(**rig.berth_settings)
        there = berth.wait_for(lambda: connected(berth), 30, 0.2)
        if tap.ok(there, "the agent registers and connects", rig.log()):
            tap.is_(there["ec2InstanceId"], "i-00000000000000001", "as the instance it runs on")
            test_task(berth, rig)
            test_failure(berth, rig)
            test_restarts(berth, rig)
        if tap.failed:
            print("".join("# agent: " + line for line in rig.log().splitlines(True)[-60:]))
            berth.show_log()
    finally:
        rig.stop()
tap.done()
