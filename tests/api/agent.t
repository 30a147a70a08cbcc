#!/usr/bin/python3
"""What an agent lives through: registration, its two channels, payloads, reports, the end."""

import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from agent_sim import ATTRIBUTES, Agent, Refused
from berth_test import BUILD, REGION, Berth, run, tap
from stock_agent import StockAgent


def refused(call, code, claim):
    try:
        call().close()
    except Refused as e:
        return tap.is_(e.code, code, claim)
    return tap.ok(False, claim, "it was let in")


def row(berth, columns, arn):
    return berth.sql(f"SELECT {columns} FROM container_instances"
                     f" WHERE container_instance_id = '{arn.rsplit('/', 1)[1]}'")[0]


def task_row(berth, columns, task_id):
    return berth.sql(f"SELECT {columns} FROM tasks WHERE task_id = '{task_id}'")[0]


def place_task(berth, agent, definition, task_id):
    """A task as placement leaves it: PENDING on the instance, its agent woken."""
    berth.sql(f"""
        INSERT INTO tasks (task_id, account_id, cluster_id, task_definition_id, ci_id, task_group, started_by,
            cpu, memory_mib, last_status, placed_at, overrides)
        SELECT '{task_id}', i.account_id, i.cluster_id, d.task_definition_id, i.ci_id, 'family:web', 'test', 64, 64,
            'PENDING', now(), '{{"containerOverrides": [{{"name": "app", "environment": [{{"name": "FOO", "value": "over"}}]}}, {{"name": "side"}}]}}'
        FROM container_instances i, task_definitions d
        WHERE i.container_instance_id = '{agent.arn.rsplit('/', 1)[1]}' AND d.family = '{definition}';
        INSERT INTO containers (task_key, name, position, image)
        SELECT t.task_key, part ->> 'name', n, part ->> 'image' FROM tasks t JOIN task_definitions d USING (task_definition_id),
            jsonb_array_elements(d.definition -> 'containerDefinitions') WITH ORDINALITY AS e (part, n)
        WHERE t.task_id = '{task_id}';
        SELECT pg_notify('berth_wake', 'channel:' || ci_id) FROM tasks WHERE task_id = '{task_id}'""")


def register_definition(berth):
    berth.client("ecs").register_task_definition(
        family="web", cpu="256", memory="128", volumes=[{"name": "scratch"}, {"name": "tmp", "host": {"sourcePath": "/srv/x"}}],
        containerDefinitions=[
            {"name": "app", "image": "bb:1", "cpu": 64, "memory": 64, "memoryReservation": 32, "essential": True,
             "entryPoint": ["sh", "-c"], "command": ["serve"], "environment": [{"name": "FOO", "value": "bar"}, {"name": "A", "value": ""}],
             "portMappings": [{"containerPort": 8080}, {"containerPort": 53, "hostPort": 5353, "protocol": "udp"}],
             "mountPoints": [{"sourceVolume": "scratch", "containerPath": "/scratch"}],
             "healthCheck": {"command": ["CMD-SHELL", "true"], "interval": 5, "timeout": 2, "retries": 2},
             "dockerLabels": {"user": "label"}, "stopTimeout": 5,
             "linuxParameters": {"capabilities": {"drop": ["NET_RAW"]}, "sharedMemorySize": 16},
             "ulimits": [{"name": "nofile", "softLimit": 100, "hardLimit": 200}],
             "logConfiguration": {"logDriver": "json-file", "options": {"max-size": "1m"}},
             "extraHosts": [{"hostname": "db", "ipAddress": "10.0.0.1"}]},
            {"name": "side", "image": "bb:1", "memory": 16, "essential": False, "command": ["sleep", "3"]}])


def check_payload(berth, agent, message, task_id):
    tap.is_(message["containerInstanceArn"], agent.arn, "a payload names the container instance")
    tap.like(message["clusterArn"], ":cluster/default", "and the cluster's ARN")
    tap.ok(isinstance(message["seqNum"], int) and message["seqNum"] > 1, "and a sequence number")
    task = message["tasks"][0]
    tap.is_((len(message["tasks"]), task["arn"], task["desiredStatus"], task["family"], task["version"], task["overrides"]),
            (1, f"arn:aws:ecs:{REGION}:{berth.account_id}:task/default/{task_id}", "RUNNING", "web", "1", "{}"),
            "one task, RUNNING, with family and version as texts")
    tap.is_((task["cpu"], task["memory"]), (0.25, 128), "the task's sizes are vCPUs and MiB")
    app, side = task["containers"]
    tap.is_([(k, type(app[k])) for k in ("cpu", "memory", "essential", "stopTimeout")],
            [("cpu", int), ("memory", int), ("essential", bool), ("stopTimeout", int)], "sizes of containers are integers")
    tap.is_(app["environment"], {"AWS_EXECUTION_ENV": "AWS_ECS_EC2", "FOO": "over", "A": ""},
            "the environment is one map, overrides merged")
    tap.is_(app["portMappings"], [{"containerPort": 8080, "hostPort": 0, "protocol": "tcp"},
                                  {"containerPort": 53, "hostPort": 5353, "protocol": "udp"}], "ports as asked for")
    tap.is_([(v["name"], v["type"], v["host"]) for v in task["volumes"]],
            [("scratch", "host", {}), ("tmp", "host", {"sourcePath": "/srv/x"})], "a host volume has its host object, empty or not")
    config, host = (json.loads(app["dockerConfig"][k]) for k in ("config", "hostConfig"))
    tap.is_(config["Healthcheck"], {"Test": ["CMD-SHELL", "true"], "Interval": 5000000000, "Timeout": 2000000000, "Retries": 2,
                                    "StartPeriod": 0}, "Docker's health check is in nanoseconds")
    tap.is_((config["Labels"], app["healthCheckType"]), ({"user": "label"}, "docker"), "labels, and who checks health")
    tap.is_(host, {"NetworkMode": "bridge", "MemoryReservation": 32 << 20, "ExtraHosts": ["db:10.0.0.1"],
                   "Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}], "CapDrop": ["NET_RAW"], "ShmSize": 16 << 20,
                   "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}}, "Docker's host configuration is a JSON text")
    tap.is_(side["essential"], False, "and the side container")


def test_registration(berth, agent):
    tap.raises("ClusterNotFoundException", agent.register, "no cluster, no registration", message="Cluster not found.")
    berth.aws("ecs", "create-cluster", "--cluster-name", "default")
    first = agent.register(tags=[{"key": "tk", "value": "tv"}])
    sent = {(a["name"], a.get("value")) for a in ATTRIBUTES}
    got = {(a["name"], a.get("value")) for a in first["attributes"]}
    tap.ok(sent <= got, "every attribute comes back as it was sent", sent - got)
    tap.ok(("ecs.availability-zone", "home-1a") in got, "and the zone beside them")
    tap.is_((first["status"], first["agentConnected"], first["tags"]), ("ACTIVE", False, [{"key": "tk", "value": "tv"}]), "it is ACTIVE")
    again = Agent(berth)
    again.register(containerInstanceArn=agent.arn, attributes=[a for a in ATTRIBUTES if a["name"] != "stack"])
    tap.is_(again.arn, agent.arn, "registering with its ARN again keeps the ARN")
    tap.is_(berth.sql("SELECT registrations, attributes @> '[{\"name\": \"stack\"}]' FROM container_instances"), [["2", "t"]],
            "and keeps custom attributes, which agents leave out then")
    tap.raises("ClientException", lambda: Agent(berth).register(containerInstanceArn=agent.arn[:-32] + "0" * 32),
               "an ARN that does not exist is refused")
    tap.raises("InvalidParameterException", lambda: Agent(berth).register(totalResources=[]), "so is one without resources")
    tap.is_(agent.endpoints()["endpoint"], f"https://127.0.0.1:{berth.channel_port}/acs/", "it is told where to connect")


def test_sessions(berth, agent):
    first = agent.acs()
    kind, beat = first.receive()
    tap.is_((kind, beat["healthy"]), ("HeartbeatMessage", True), "the first thing on the control channel is a heartbeat")
    tap.is_(row(berth, "channel_owner IS NOT NULL, agent_version, docker_version", agent.arn),
            ["t", "1.70.0", "DockerVersion: 20.10.24+dfsg1"], "the row knows the channel and the agent's versions")
    first.send("HeartbeatAckRequest", {"messageId": beat["messageId"]})
    refused(agent.acs, "InvalidInstanceException", "a second session is refused while the first lives")
    _, beat = first.receive("HeartbeatMessage")
    first.send("HeartbeatAckRequest", {"messageId": beat["messageId"]})
    tap.ok(berth.wait_for(lambda: berth.sql("SELECT what FROM history WHERE kind = 'channel' AND what LIKE 'a second session%'")),
           "and that is on record")
    time.sleep(6)
    refused(agent.acs, "InvalidInstanceException", "it stays refused when the first has answered its probe")
    second = berth.wait_for(lambda: try_acs(agent), seconds=12, step=0.5)
    tap.ok(second, "a first session that does not answer its probe makes room")
    tap.raises_eof(first, "and is closed")
    return second


def try_acs(agent):
    try:
        return agent.acs()
    except Refused:
        return None


def test_refusals(berth, agent):
    stranger = Agent(berth, secret_key="x" * 40)
    stranger.arn, stranger.endpoints = agent.arn, agent.endpoints
    refused(stranger.acs, "AccessDeniedException", "a wrong signature opens no channel")
    lost = Agent(berth)
    lost.arn = agent.arn[:-32] + "0" * 32
    refused(lost.acs, "InvalidInstanceException", "nor does an instance that does not exist")
    refused(lambda: agent.acs(clusterArn="other"), "InvalidClusterException", "nor another cluster's name")
    refused(lambda: agent.connect(f"https://127.0.0.1:{berth.channel_port}/nothing/", {"a": "b"}), "BadRequestException",
            "nor another path")


def test_payload(berth, agent, acs):
    task = "1" * 32
    place_task(berth, agent, "web", task)
    _, message = acs.receive("PayloadMessage")
    check_payload(berth, agent, message, task)
    acs.cut()
    tap.ok(berth.wait_for(lambda: row(berth, "channel_owner IS NULL", agent.arn) == ["t"]), "a cut connection frees the channel")
    acs = agent.acs()
    _, again = acs.receive("PayloadMessage")
    tap.is_(again["tasks"][0]["arn"], message["tasks"][0]["arn"], "what was not acknowledged comes again on the next session")
    tap.ok(again["seqNum"] > message["seqNum"], "with a higher sequence number")
    agent.ack(acs, again)
    tap.ok(berth.wait_for(lambda: task_row(berth, "acked_status", task) == ["RUNNING"]), "an acknowledgement is recorded")
    acs.close()
    berth.wait_for(lambda: row(berth, "channel_owner IS NULL", agent.arn) == ["t"])
    acs = agent.acs()
    tap.ok(acs.none_within("PayloadMessage", 1), "and what was acknowledged does not come again")
    return acs, task


def test_reports(berth, agent, acs, task):
    arn = f"arn:aws:ecs:{REGION}:{berth.account_id}:task/default/{task}"
    running = dict(cluster="default", task=arn, status="RUNNING", reason="", pullStartedAt=1764000000.5, pullStoppedAt=1764000001.25,
                   containers=[{"containerName": "app", "status": "RUNNING", "runtimeId": "524a823b", "networkBindings": [
                       {"bindIP": "0.0.0.0", "containerPort": 8080, "hostPort": 32768, "protocol": "tcp"},
                       {"bindIP": "0.0.0.0", "containerPort": 53, "hostPort": 5353, "protocol": "udp"}]},
                       {"containerName": "side", "status": "RUNNING", "runtimeId": "2c03", "networkBindings": []}])
    tap.is_(agent.ecs.submit_task_state_change(**running)["acknowledgment"], "ACCEPT", "a report is acknowledged")
    state = task_row(berth, "last_status, ever_running, dynamic_tcp, dynamic_udp, extract(epoch FROM pull_started_at)::float8, version", task)
    tap.is_(state[:5], ["RUNNING", "t", "{32768}", "{5353}", "1764000000"], "status, ports and times are kept")
    agent.ecs.submit_task_state_change(**running)
    tap.is_(task_row(berth, "version", task), state[5:], "the same report again changes nothing")
    agent.ecs.submit_task_state_change(cluster="default", task=arn, status="PENDING", reason="")
    tap.is_(task_row(berth, "last_status", task), ["RUNNING"], "a late PENDING does not undo RUNNING")
    agent.ecs.submit_task_state_change(cluster="default", task=arn, status="RUNNING", reason="", containers=[
        {"containerName": "side", "status": "STOPPED", "exitCode": 7, "networkBindings": []}])
    tap.is_(berth.sql("SELECT last_status, exit_code FROM containers WHERE name = 'side'"), [["STOPPED", "7"]], "a side container's exit is kept")
    berth.sql(f"UPDATE tasks SET desired_status = 'STOPPED', stop_code = 'UserInitiated', stopped_reason = 'enough' WHERE task_id = '{task}';"
              f" SELECT pg_notify('berth_wake', 'channel:' || ci_id) FROM tasks WHERE task_id = '{task}'")
    _, stop = acs.receive("PayloadMessage")
    tap.is_(stop["tasks"], [{"arn": arn, "desiredStatus": "STOPPED", "taskClusterArn": f"arn:aws:ecs:{REGION}:{berth.account_id}:cluster/default"}],
            "a stop is a payload too")
    agent.ack(acs, stop)
    agent.ecs.submit_task_state_change(cluster="default", task=arn, status="STOPPED", reason="", executionStoppedAt=1764000100.0, containers=[
        {"containerName": "app", "status": "STOPPED", "exitCode": 143, "networkBindings": []}])
    tap.is_(task_row(berth, "last_status, stop_code, stopped_reason, stopped_at IS NOT NULL", task), ["STOPPED", "UserInitiated", "enough", "t"],
            "who asked for the stop is kept")
    agent.ecs.submit_task_state_change(cluster="default", task=arn, status="RUNNING", reason="")
    tap.is_(task_row(berth, "last_status", task), ["STOPPED"], "nothing undoes STOPPED")
    tap.raises("InvalidParameterException", lambda: agent.ecs.submit_task_state_change(cluster="default", task=arn[:-32] + "0" * 32, status="RUNNING"),
               "a task that does not exist is told in the way that agents drop", message="The referenced task was not found.")


def test_stop_reasons(berth, agent, acs):
    cases = [
        ("2" * 32, True, {"containerName": "app", "status": "STOPPED", "exitCode": 1}, "EssentialContainerExited", "Essential container in task exited"),
        ("3" * 32, False, {"containerName": "app", "status": "STOPPED", "reason": "CannotPullContainerError: no such host"},
         "TaskFailedToStart", "Task failed to start"),
        ("4" * 32, False, {"containerName": "app", "status": "STOPPED", "exitCode": 0}, "EssentialContainerExited", "Essential container in task exited"),
    ]
    for task, ran, container, code, reason in cases:
        place_task(berth, agent, "web", task)
        agent.ack(acs, acs.receive("PayloadMessage")[1])
        if ran:
            agent.ecs.submit_task_state_change(cluster="default", task=task, status="RUNNING", reason="")
        agent.ecs.submit_task_state_change(cluster="default", task=task, status="STOPPED", reason="", containers=[{**container, "networkBindings": []}])
        tap.is_(task_row(berth, "stop_code, stopped_reason", task), [code, reason], f"{container} gives {code}")
    task = "5" * 32
    berth.sql("SELECT 1")
    acs.close()
    berth.wait_for(lambda: row(berth, "channel_owner IS NULL", agent.arn) == ["t"])
    place_task(berth, agent, "web", task)
    berth.sql(f"UPDATE tasks SET desired_status = 'STOPPED', stop_code = 'UserInitiated' WHERE task_id = '{task}'")
    acs = agent.acs()
    tap.ok(berth.wait_for(lambda: task_row(berth, "last_status", task) == ["STOPPED"]), "a task stopped before its agent heard of it ends at once")
    tap.ok(acs.none_within("PayloadMessage", 0.5), "and its agent is not told")
    return acs


def test_telemetry(berth, agent, acs):
    task = "6" * 32
    place_task(berth, agent, "web", task)
    agent.ack(acs, acs.receive("PayloadMessage")[1])
    agent.ecs.submit_task_state_change(cluster="default", task=task, status="RUNNING", reason="")
    tcs = agent.tcs()
    head = "Authorization: AWS4-HMAC-SHA256 Credential=x\r\nHost: h:1\r\nX-Amz-Date: 20261122T090905Z\r\n\r\n"
    metadata = {"cluster": "default", "containerInstance": agent.arn, "fin": True, "messageId": "m"}
    tcs.send("PublishMetricsRequest", {"metadata": {**metadata, "idle": True}, "timestamp": 1795338545.204}, prefix=head)
    tap.is_(tcs.receive()[0], "AckPublishMetric", "metrics are acknowledged, header lines and all")
    tcs.send("PublishHealthRequest", {"metadata": metadata, "timestamp": 1795338705.22, "tasks": [
        {"taskArn": f"arn:aws:ecs:{REGION}:{berth.account_id}:task/default/{task}", "taskDefinitionFamily": "web", "taskDefinitionVersion": "1",
         "containers": [{"containerName": "app", "healthStatus": "HEALTHY", "statusSince": 1795338701.608}]}]}, prefix=head)
    tap.is_(tcs.receive("AckPublishHealth")[0], "AckPublishHealth", "health is acknowledged")
    tap.ok(berth.wait_for(lambda: task_row(berth, "health_status", task) == ["HEALTHY"]), "and makes the task HEALTHY")
    tcs.send("PublishInstanceStatusRequest", {"metadata": {"cluster": "default", "containerInstance": agent.arn, "requestId": "r"}, "timestamp": 1.5,
                                              "statuses": [{"type": "ContainerRuntime", "status": "OK", "lastUpdated": -6795364578.871}]}, prefix=head)
    tap.is_(tcs.receive("AckPublishInstanceStatus")[0], "AckPublishInstanceStatus", "the runtime's status too, negative times and all")
    tap.ok(berth.wait_for(lambda: row(berth, "runtime_status", agent.arn) == ["OK"]), "it is kept")
    big = {"metadata": metadata, "pad": "x" * 200000}
    tcs.send_in_parts("PublishMetricsRequest", big, 32768)
    tap.is_(tcs.receive("AckPublishMetric")[0], "AckPublishMetric", "messages in fragments are joined")
    tcs.close()


def test_restart(berth, agent, acs):
    berth.restart(9)
    tap.raises_eof(acs, "killing the daemon cuts the channel")
    acs = berth.wait_for(lambda: try_acs(agent), seconds=5, step=0.2)
    tap.ok(acs, "the next daemon here takes the channel over at once")
    return acs


def test_end(berth, agent, acs):
    tap.raises("InvalidParameterException", lambda: agent.ecs.deregister_container_instance(containerInstance=agent.arn),
               "an instance with tasks is not deregistered", message="Found running tasks on the instance.")
    gone = agent.ecs.deregister_container_instance(containerInstance=agent.arn, force=True)["containerInstance"]
    tap.is_(gone["status"], "INACTIVE", "unless the caller insists")
    tap.raises_eof(acs, "then its channel is closed")
    refused(agent.acs, "InactiveInstanceException", "and not opened again")
    tap.is_(berth.sql("SELECT count(*) FROM tasks WHERE last_status <> 'STOPPED'"), [["0"]], "its tasks have ended")


INSTANCES = """
INSERT INTO hosts (host_id, zone_name, uri, state, vcpus, memory_mib) VALUES ('h-00000000000000001', 'home-1b', 'test:///x', 'up', 64, 65536);
INSERT INTO images (image_id, account_id, name, architecture, ssh_user, location, state, disk_format, disk_sha256, virtual_bytes, snapshot_id)
  VALUES ('ami-00000000000000001', '{account}', 'img', 'x86_64', 'admin', '/', 'available', 'qcow2', 'x', 1, 'snap-00000000000000001');
INSERT INTO reservations (reservation_id, account_id) VALUES ('r-00000000000000001', '{account}');
INSERT INTO instances (instance_id, account_id, reservation_id, launch_index, image_id, instance_type, vcpus, memory_mib, zone_name, host_id,
    subnet_id, private_ip, mac, domain_uuid, eni_id, root_volume_id, root_volume_gib, root_device_name, instance_profile)
  SELECT 'i-0000000000000000' || n, '{account}', 'r-00000000000000001', n, 'ami-00000000000000001', 't3.micro', 2, 1024, 'home-1b', 'h-00000000000000001',
    'subnet-00000000000000001', '172.31.16.4'::inet + n, ('06:00:00:00:00:0' || n)::macaddr, gen_random_uuid(),
    'eni-0000000000000000' || n, 'vol-0000000000000000' || n, 8, '/dev/sda1', 'ecsInstanceRole' FROM generate_series(1, 4) n"""


def test_own_tags(berth, one, two):
    """What metadata with tags asks for: the instance's and the task's, and no more."""
    task = one.arn.replace("container-instance", "task")[:-32] + "7" * 32
    wanted = [{"key": "team", "value": "a"}]
    for arn in (one.arn, task):
        berth.client("ecs").tag_resource(resourceArn=arn, tags=wanted)
        tap.is_(one.ecs.list_tags_for_resource(resourceArn=arn)["tags"], wanted, f"an agent reads the tags of its {arn.split(':')[5].split('/')[0]}")
    cluster = berth.client("ecs").describe_clusters()["clusters"][0]["clusterArn"]
    for agent, arn in ((two, one.arn), (two, task), (one, cluster), (one, task[:-32] + "e" * 32), (one, "x"), (one, one.arn + "/")):
        tap.raises("AccessDeniedException", lambda: agent.ecs.list_tags_for_resource(resourceArn=arn), f"of nothing else: {arn[-45:]}", 400)
    for call in (lambda: one.ecs.get_task_protection(cluster="default", tasks=[task]), lambda: one.ecs.tag_resource(resourceArn=task, tags=wanted),
                 lambda: one.ecs.describe_tasks(tasks=[task])):
        tap.raises("AccessDeniedException", call, "and what its agent has no need for it may not do, for its own tasks either", 400)


def test_stock_life(berth, dialect, instance):
    """All that a stock agent calls, with nothing but its instance's credentials."""
    ecs = berth.client("ecs")
    keys = session_agent(berth, instance).keys
    agent = StockAgent(berth, dialect, keys=keys)
    tap.ok(agent.call("CreateCluster", {"clusterName": "default"})["cluster"], f"{dialect}, in its instance's name: asks for the cluster")
    agent.start()
    state = lambda: ecs.describe_container_instances(containerInstances=[agent.disk["arn"]])["containerInstances"][0]
    tap.ok(agent.wait(lambda: state()["agentConnected"] and agent.tcs_opened), f"{dialect}: opens both channels", agent.refused)
    arn = ecs.start_task(taskDefinition="web", containerInstances=[agent.disk["arn"]])["tasks"][0]["taskArn"]
    tap.ok(agent.wait(lambda: ecs.describe_tasks(tasks=[arn])["tasks"][0]["lastStatus"] == "RUNNING"), f"{dialect}: runs a task and reports it")
    for named in (agent.disk["arn"], arn):
        tap.is_(agent.call("ListTagsForResource", {"resourceArn": named}).get("tags"), [], f"{dialect}: reads tags")
    agent.call("UpdateContainerInstancesState", {"cluster": "default", "containerInstances": [agent.disk["arn"]], "status": "DRAINING"})
    tap.is_(state()["status"], "DRAINING", f"{dialect}: drains itself")
    ecs.stop_task(task=arn)
    tap.ok(agent.wait(lambda: ecs.describe_tasks(tasks=[arn])["tasks"][0]["lastStatus"] == "STOPPED"), f"{dialect}: stops the task")
    tap.is_((agent.faults, agent.refused), ([], []), f"{dialect}: and nothing was refused")
    agent.kill()


def session_agent(berth, instance):
    return Agent(berth, *run(os.path.join(BUILD, "tests/api/make_session"), berth.config_file, berth.account_id, instance).split())


def test_own_instance(berth):
    """Agents with the credentials of their instances, as bootstrap hands them out."""
    berth.sql(INSTANCES.format(account=berth.account_id))
    one, two = session_agent(berth, "i-00000000000000001"), session_agent(berth, "i-00000000000000002")
    first = one.register()
    values = {a["name"]: a.get("value") for a in first["attributes"]}
    tap.is_((first["ec2InstanceId"], values["ecs.availability-zone"], values["ecs.instance-type"], values["ecs.ami-id"]),
            ("i-00000000000000001", "home-1b", "t3.micro", "ami-00000000000000001"), "an agent is registered as the instance it runs on")
    tap.is_(session_agent(berth, "i-00000000000000001").register()["containerInstanceArn"], one.arn,
            "an agent that lost its memory gets its ARN back")
    two.register()
    tap.ok(one.arn != two.arn, "another instance is another container instance")
    tap.raises("AccessDeniedException", lambda: two.register(containerInstanceArn=one.arn), "it cannot register as the first")
    tap.raises("AccessDeniedException", lambda: two.ecs.deregister_container_instance(containerInstance=one.arn), "nor deregister it")
    tap.raises("AccessDeniedException", lambda: two.ecs.update_container_instances_state(containerInstances=[one.arn], status="DRAINING"), "nor drain it")
    liar = session_agent(berth, "i-00000000000000002")
    liar.arn, liar.endpoints = one.arn, two.endpoints
    refused(liar.acs, "AccessDeniedException", "nor open its channel")
    place_task(berth, one, "web", "7" * 32)
    tap.raises("InvalidParameterException", lambda: two.ecs.submit_task_state_change(cluster="default", task="7" * 32, status="STOPPED"), "nor report for its tasks")
    tap.is_(one.ecs.submit_task_state_change(cluster="default", task="7" * 32, status="RUNNING")["acknowledgment"], "ACCEPT", "which the first may")
    test_own_tags(berth, one, two)
    acs = one.acs()
    tap.is_(acs.receive()[0], "HeartbeatMessage", "the first opens its own channel")
    acs.close()
    berth.sql("UPDATE instances SET instance_type = 't3.large' WHERE instance_id = 'i-00000000000000001'")
    tap.raises("ClientException", one.register, "an instance does not change its type", message="was previously registered as t3.micro")
    berth.sql("UPDATE instances SET desired = 'terminated' WHERE instance_id = 'i-00000000000000002'")
    tap.raises("ClientException", two.register, "nor does a terminated one register")


def raises_eof(sock, claim, seconds=10):
    try:
        while True:
            sock.receive(seconds=seconds)
    except (EOFError, ConnectionError):
        return tap.ok(True, claim)
    except TimeoutError:
        return tap.ok(False, claim, "it stays open")


tap.raises_eof = raises_eof
with Berth() as berth:
    berth.sql("INSERT INTO zones (zone_name, zone_id) VALUES ('home-1a', 'home1-az1'), ('home-1b', 'home1-az2') ON CONFLICT DO NOTHING")
    agent = Agent(berth)
    test_registration(berth, agent)
    register_definition(berth)
    test_refusals(berth, agent)
    acs = test_sessions(berth, agent)
    acs, task = test_payload(berth, agent, acs)
    test_reports(berth, agent, acs, task)
    acs = test_stop_reasons(berth, agent, acs)
    test_telemetry(berth, agent, acs)
    acs = test_restart(berth, agent, acs)
    test_end(berth, agent, acs)
    test_own_instance(berth)
    for number, dialect in ((3, "1.70.0"), (4, "1.105.1")):
        test_stock_life(berth, dialect, f"i-0000000000000000{number}")
tap.done()
