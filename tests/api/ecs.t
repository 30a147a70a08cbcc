#!/usr/bin/python3
"""ECS by the stock CLI and boto3: clusters, definitions, tasks, services, with agents simulated."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from berth_test import Berth, tap
from ecs_agents import Agents

ONE = [{"name": "web", "image": "nginx", "memory": 128, "cpu": 100,
        "portMappings": [{"containerPort": 80}]}]


def clusters(berth, ecs):
    made = ecs.create_cluster(clusterName="blue", tags=[{"key": "team", "value": "a"}])["cluster"]
    tap.is_(made["clusterArn"], f"arn:aws:ecs:home-1:{berth.account_id}:cluster/blue", "cluster ARN")
    tap.is_(ecs.create_cluster(clusterName="blue")["cluster"]["status"], "ACTIVE", "created again alike")
    tap.raises("InvalidParameterException", lambda: ecs.create_cluster(
        clusterName="blue", settings=[{"name": "containerInsights", "value": "enabled"}]),
        "created again otherwise", 400, "inconsistent")
    answer = ecs.describe_clusters(clusters=["blue", "red"], include=["TAGS", "STATISTICS"])
    tap.is_(answer["clusters"][0]["tags"], [{"key": "team", "value": "a"}], "cluster tags")
    tap.is_([f["reason"] for f in answer["failures"]], ["MISSING"], "an unknown cluster is a failure")
    tap.ok(answer["failures"][0]["arn"].endswith("/red"), "the failure ends with the name")
    tap.is_(ecs.delete_cluster(cluster="blue")["cluster"]["status"], "INACTIVE", "cluster deleted")
    tap.is_(ecs.list_clusters()["clusterArns"], [], "and not listed")
    tap.is_(berth.aws("ecs", "describe-clusters", "--clusters", "blue")["clusters"][0]["status"],
            "INACTIVE", "but described")
    tap.raises("ClusterNotFoundException", lambda: ecs.list_tasks(cluster="blue"),
               "nothing else knows it", 400, "Cluster not found.")
    tap.is_(ecs.create_cluster(clusterName="blue")["cluster"]["tags"], [], "its name may be used again")
    ecs.delete_cluster(cluster="blue")
    berth.aws("ecs", "create-cluster")
    tap.is_(ecs.describe_clusters()["clusters"][0]["clusterName"], "default", "default cluster")


def definitions(berth, ecs):
    first = ecs.register_task_definition(family="web", containerDefinitions=ONE)["taskDefinition"]
    tap.ok(first["taskDefinitionArn"].endswith(":task-definition/web:1"), "first revision")
    tap.is_((first["status"], first["networkMode"], first["compatibilities"]),
            ("ACTIVE", "bridge", ["EXTERNAL", "EC2"]), "normalised definition")
    container = first["containerDefinitions"][0]
    tap.is_(container["portMappings"], [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}],
            "normalised ports")
    tap.is_((container["essential"], container["environment"], container["mountPoints"],
             container["volumesFrom"]), (True, [], [], []), "normalised container")
    fargate = ecs.register_task_definition(
        family="far", cpu="0.25 vCPU", memory="1GB", networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"], containerDefinitions=[{"name": "a", "image": "b"}])
    tap.is_((fargate["taskDefinition"]["cpu"], fargate["taskDefinition"]["memory"]),
            ("256", "1024"), "sizes with units")
    bad = [
        ("no memory", dict(family="x", containerDefinitions=[{"name": "a", "image": "b"}]),
         "At least one of 'memory' or 'memoryReservation'"),
        ("no container", dict(family="x", containerDefinitions=[]), "Container definitions"),
        ("bad family", dict(family="a b", containerDefinitions=ONE), "Invalid family name"),
        ("unknown volume", dict(family="x", containerDefinitions=[
            {**ONE[0], "mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]}]),
         "Unknown volume 'v'."),
        ("cycle", dict(family="x", containerDefinitions=[
            {"name": "a", "image": "i", "memory": 8, "dependsOn": [{"containerName": "b", "condition": "START"}]},
            {"name": "b", "image": "i", "memory": 8, "dependsOn": [{"containerName": "a", "condition": "START"}]}]),
         "cycle"),
        ("Fargate size", dict(family="x", cpu="256", memory="4096", networkMode="awsvpc",
                              requiresCompatibilities=["FARGATE"], containerDefinitions=ONE),
         "No Fargate configuration"),
    ]
    for name, request, words in bad:
        tap.raises("ClientException", lambda: ecs.register_task_definition(**request),
                   f"refused: {name}", 400, words)
    for _ in range(10):
        ecs.register_task_definition(family="many", containerDefinitions=ONE)
    arns = ecs.list_task_definitions(familyPrefix="many")["taskDefinitionArns"]
    tap.is_([a.rsplit(":", 1)[1] for a in arns], [str(n) for n in range(1, 11)], "numeric order")
    paged = berth.aws("ecs", "list-task-definitions", "--family-prefix", "many", "--page-size", "3",
                      "--sort", "DESC")["taskDefinitionArns"]
    tap.is_(paged, arns[::-1], "pages, backwards")
    tap.raises("ClientException", lambda: ecs.deregister_task_definition(taskDefinition="many"),
               "deregister needs a revision", 400, "Revision is missing.")
    tap.is_(ecs.deregister_task_definition(taskDefinition="many:10")["taskDefinition"]["status"],
            "INACTIVE", "deregistered")
    tap.is_(ecs.describe_task_definition(taskDefinition="many")["taskDefinition"]["revision"], 9,
            "latest ACTIVE")
    tap.raises("ClientException", lambda: ecs.describe_task_definition(taskDefinition="nobody"),
               "unknown definition", 400, "Unable to describe task definition.")
    tap.is_(ecs.list_task_definition_families(familyPrefix="w")["families"], ["web"], "families")


def tasks(berth, ecs):
    tap.raises("InvalidParameterException", lambda: ecs.run_task(taskDefinition="web"),
               "no container instance", 400, "No Container Instances were found in your cluster.")
    agents = Agents(berth, "default")
    names = [agents.add("home-1a"), agents.add("home-1b")]
    agents.start()
    answer = ecs.run_task(taskDefinition="web", count=4, startedBy="me",
                          tags=[{"key": "a", "value": "b"}],
                          overrides={"containerOverrides": [{"name": "web", "memory": 256}]})
    tap.is_((len(answer["tasks"]), answer["failures"]), (4, []), "four tasks placed")
    task = answer["tasks"][0]
    tap.is_((task["lastStatus"], task["desiredStatus"], task["group"], task["startedBy"]),
            ("PENDING", "RUNNING", "family:web", "me"), "a new task")
    tap.is_(task["containers"][0]["memory"], "256", "memory overridden")
    places = [t["containerInstanceArn"] for t in answer["tasks"]]
    tap.is_(sorted(places.count(p) for p in set(places)), [2, 2], "spread over the zones")
    arns = [t["taskArn"] for t in answer["tasks"]]
    berth.aws("ecs", "wait", "tasks-running", "--tasks", *arns)
    tap.ok(True, "waiter tasks-running")
    tap.is_(sorted(ecs.list_tasks(startedBy="me", family="web")["taskArns"]), sorted(arns), "listed")
    instance = ecs.describe_container_instances(containerInstances=[names[0]])["containerInstances"][0]
    remaining = {r["name"]: r for r in instance["remainingResources"]}
    tap.is_((remaining["CPU"]["integerValue"], remaining["MEMORY"]["integerValue"],
             instance["runningTasksCount"]), (2048 - 200, 4096 - 512, 2), "room is derived")
    big = ecs.run_task(taskDefinition="web", count=2, overrides={"cpu": "2000"})
    tap.is_(([f["reason"] for f in big["failures"]], big["tasks"]), (["RESOURCE:CPU"] * 2, []),
            "what does not fit says why")
    far = ecs.run_task(taskDefinition="web", placementConstraints=[
        {"type": "memberOf", "expression": "attribute:ecs.availability-zone == home-1b"}])
    tap.is_(far["tasks"][0]["containerInstanceArn"].rsplit("/")[-1], names[1], "memberOf")
    tap.raises("InvalidParameterException", lambda: ecs.run_task(
        taskDefinition="web", placementConstraints=[{"type": "memberOf", "expression": "a =="}]),
        "a wrong expression", 400, "expression")
    tap.raises("UnsupportedFeatureException", lambda: ecs.run_task(
        taskDefinition="web", launchType="FARGATE"), "no Fargate", 400, "FARGATE")
    ecs.put_attributes(attributes=[{"name": "disk", "value": "ssd", "targetId": names[0]}])
    found = berth.aws("ecs", "list-container-instances", "--filter",
                      "attribute:disk == ssd and runningTasksCount > 1")["containerInstanceArns"]
    tap.is_([a.rsplit("/")[-1] for a in found], [names[0]], "filter of container instances")
    stopped = ecs.stop_task(task=arns[0], reason="enough")["task"]
    tap.is_((stopped["desiredStatus"], stopped["stoppedReason"], stopped["stopCode"]),
            ("STOPPED", "enough", "UserInitiated"), "stop asked")
    for arn in ecs.list_tasks()["taskArns"]:
        ecs.stop_task(task=arn)
    berth.aws("ecs", "wait", "tasks-stopped", "--tasks", *arns)
    tap.is_(ecs.list_tasks()["taskArns"], [], "stopped tasks are hidden")
    tap.is_(len(ecs.list_tasks(desiredStatus="STOPPED")["taskArns"]), 5, "but listed when asked")
    tap.is_(ecs.describe_tasks(tasks=["0" * 32])["failures"][0]["reason"], "MISSING", "unknown task")
    tap.raises("InvalidParameterException", lambda: ecs.stop_task(task="0" * 32), "unknown to stop",
               400, "The referenced task was not found.")
    started = ecs.start_task(taskDefinition="web", containerInstances=[names[1], "f" * 32])
    tap.is_((started["tasks"][0]["containerInstanceArn"].rsplit("/")[-1],
             started["failures"][0]["reason"]), (names[1], "MISSING"), "StartTask")
    ecs.stop_task(task=started["tasks"][0]["taskArn"])
    return agents, names


def service(ecs, name="web"):
    return ecs.describe_services(services=[name])["services"][0]


def messages(ecs, name="web"):
    return [e["message"] for e in service(ecs, name)["events"]]


def is_steady(ecs, name="web"):
    s = service(ecs, name)
    return len(s["deployments"]) == 1 and s["runningCount"] == s["desiredCount"] and \
        s["deployments"][0]["rolloutState"] == "COMPLETED"


def services(berth, ecs, agents, names):
    made = ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=4)["service"]
    tap.is_((made["status"], made["runningCount"], len(made["deployments"]),
             made["deployments"][0]["status"]), ("ACTIVE", 0, 1, "PRIMARY"), "a new service")
    tap.is_(made["deploymentConfiguration"], {
        "maximumPercent": 200, "minimumHealthyPercent": 100,
        "deploymentCircuitBreaker": {"enable": False, "rollback": False}}, "defaults")
    tap.is_(ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=4)
            ["service"]["serviceArn"], made["serviceArn"], "created again alike")
    tap.raises("InvalidParameterException", lambda: ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=5), "created again otherwise", 400,
        "Creation of service was not idempotent.")
    berth.aws("ecs", "wait", "services-stable", "--services", "web")
    tap.ok(berth.wait_for(lambda: is_steady(ecs)), "waiter services-stable; deployment completed")
    said = messages(ecs)
    tap.ok(any(m == "(service web) has reached a steady state." for m in said), "steady event", said)
    tap.ok(any(m.startswith("(service web) has started 4 tasks: (task ") for m in said),
           "start event", said)
    running = ecs.describe_tasks(tasks=ecs.list_tasks(serviceName="web")["taskArns"])["tasks"]
    zones = [t["availabilityZone"] for t in running]
    tap.is_((zones.count("home-1a"), zones.count("home-1b")), (2, 2), "spread over zones by default")
    tap.is_((running[0]["startedBy"], running[0]["group"]),
            (made["deployments"][0]["id"], "service:web"), "tasks name their deployment")

    ecs.stop_task(task=running[0]["taskArn"])
    tap.ok(berth.wait_for(lambda: is_steady(ecs) and running[0]["taskArn"] not in
                          ecs.list_tasks(serviceName="web")["taskArns"]), "a stopped task is replaced")

    ecs.register_task_definition(family="web", containerDefinitions=[{**ONE[0], "image": "nginx:2"}])
    rolled = ecs.update_service(service="web", taskDefinition="web")["service"]
    tap.is_([d["status"] for d in rolled["deployments"]], ["PRIMARY", "ACTIVE"], "a new deployment")
    tap.ok(berth.wait_for(lambda: is_steady(ecs)), "rolled out", service(ecs))
    now = ecs.describe_tasks(tasks=ecs.list_tasks(serviceName="web")["taskArns"])["tasks"]
    tap.is_({t["taskDefinitionArn"].rsplit(":")[-1] for t in now}, {"2"}, "all tasks are new")

    ecs.update_service(service="web", desiredCount=2)
    tap.ok(berth.wait_for(lambda: is_steady(ecs)), "scaled in")
    left = ecs.describe_tasks(tasks=ecs.list_tasks(serviceName="web")["taskArns"])["tasks"]
    tap.is_(sorted(t["availabilityZone"] for t in left), ["home-1a", "home-1b"],
            "one is left in each zone")


def failures(berth, ecs, agents, names):
    ecs.update_container_instances_state(containerInstances=[names[0]], status="DRAINING")

    def moved():
        found = ecs.describe_tasks(tasks=ecs.list_tasks(serviceName="web")["taskArns"])["tasks"]
        return is_steady(ecs) and all(t["availabilityZone"] == "home-1b" for t in found)
    tap.ok(berth.wait_for(moved), "draining moves tasks away")
    ecs.update_container_instances_state(containerInstances=[names[0]], status="ACTIVE")

    before = ecs.list_tasks(serviceName="web")["taskArns"]
    agents.disconnect(names[1], 1000)
    tap.ok(berth.wait_for(lambda: is_steady(ecs) and not set(before) & set(
        ecs.list_tasks(serviceName="web")["taskArns"])), "tasks of a lost agent are replaced")
    agents.connect(names[1])
    tap.ok(berth.wait_for(lambda: all(t["lastStatus"] == "STOPPED" for t in
                                      ecs.describe_tasks(tasks=before)["tasks"])),
           "and stopped when it is back: nothing runs twice")
    tap.ok(berth.wait_for(lambda: service(ecs)["runningCount"] == 2), "two run", service(ecs))

    ecs.register_task_definition(family="huge", containerDefinitions=[{**ONE[0], "memory": 100000}])
    ecs.create_service(serviceName="huge", taskDefinition="huge", desiredCount=1)
    text = berth.wait_for(lambda: [m for m in messages(ecs, "huge") if "unable to place" in m])
    tap.like(text, "has insufficient memory available. For more information", "placement event")
    tap.is_(len(text or []), 1, "told once")
    why = berth.client("berth").explain(Id="huge")
    tap.is_(why["Kind"], "service", "explained by name")
    tap.like(why["Summary"], "must come free (the task is larger than the whole instance",
             "the smallest change that would make it fit")
    placement = {f["Name"]: f["Value"] for s in why["Sections"] if s["Title"] == "Placement"
                 for f in s["Facts"]}
    tap.is_(placement["refused by memory"], placement["container instances looked at"],
            "how many instances refuse, by rule")
    task = ecs.list_tasks(serviceName="huge")["taskArns"][0]
    tap.like(berth.client("berth").explain(Id=task)["Summary"], "waits for a place", "a task, by ARN")
    for name, kind in ((names[0], "container-instance"), ("default", "cluster")):
        tap.is_(berth.client("berth").explain(Id=name)["Kind"], kind, f"explained: {kind}")
    ecs.delete_service(service="huge", force=True)

    agents.fail("service:bad")
    ecs.create_service(serviceName="bad", taskDefinition="web", desiredCount=2,
                       deploymentConfiguration={"deploymentCircuitBreaker": {
                           "enable": True, "rollback": False}})
    tap.ok(berth.wait_for(lambda: service(ecs, "bad")["deployments"][0]["rolloutState"] == "FAILED", 20),
           "the circuit breaker opens", service(ecs, "bad"))
    tap.ok(any("deployment failed: tasks failed to start" in m for m in messages(ecs, "bad")),
           "and says so", messages(ecs, "bad"))
    tap.ok(service(ecs, "bad")["deployments"][0]["failedTasks"] >= 3, "failed tasks are shown")


def daemon(berth, ecs, agents, names):
    ecs.create_service(serviceName="each", taskDefinition="web", schedulingStrategy="DAEMON")
    tap.ok(berth.wait_for(lambda: is_steady(ecs, "each")), "a daemon service is steady")
    tap.is_(service(ecs, "each")["desiredCount"], 2, "desiredCount is the number of instances")
    new = agents.add("home-1a")
    tap.ok(berth.wait_for(lambda: service(ecs, "each")["runningCount"] == 3), "a new instance gets one")
    tap.is_(len(ecs.list_tasks(serviceName="each", containerInstance=new)["taskArns"]), 1, "its own")


def deletion(berth, ecs):
    tap.raises("InvalidParameterException", lambda: ecs.delete_service(service="web"),
               "delete above 0", 400, "The service cannot be stopped while it is scaled above 0.")
    tap.is_(ecs.delete_service(service="web", force=True)["service"]["status"], "DRAINING", "draining")
    tap.ok(berth.wait_for(lambda: service(ecs)["status"] == "INACTIVE"), "INACTIVE when all stopped")
    tap.raises("ServiceNotActiveException", lambda: ecs.update_service(service="web", desiredCount=1),
               "not active", 400, "Service was not ACTIVE.")
    tap.raises("ServiceNotFoundException", lambda: ecs.update_service(service="none", desiredCount=1),
               "not found", 400, "Service not found.")
    again = ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=1)["service"]
    tap.is_(again["status"], "ACTIVE", "the name may be used again")
    tap.raises("ClusterContainsContainerInstancesException", lambda: ecs.delete_cluster(
        cluster="default"), "a cluster in use stays", 400)
    arn = again["serviceArn"]
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "x", "value": "1"}, {"key": "y", "value": "2"}])
    ecs.untag_resource(resourceArn=arn, tagKeys=["x"])
    tap.is_(ecs.list_tags_for_resource(resourceArn=arn)["tags"], [{"key": "y", "value": "2"}], "tags")
    names = {s["name"]: s["value"] for s in ecs.list_account_settings(effectiveSettings=True)["settings"]}
    tap.is_(names["taskLongArnFormat"], "enabled", "account settings")


with Berth(role="all") as berth:
    ecs = berth.client("ecs")
    clusters(berth, ecs)
    definitions(berth, ecs)
    agents, names = tasks(berth, ecs)
    try:
        services(berth, ecs, agents, names)
        failures(berth, ecs, agents, names)
        daemon(berth, ecs, agents, names)
        deletion(berth, ecs)
    finally:
        agents.stop()
tap.done()
