#!/usr/bin/python3
"""The agent on a real Docker Engine, against a mock control plane over TLS."""
import json
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from agent_rig import AGENT, Rig, Tap, TASK, check, equal, free_port  # noqa: E402

rig, tap = Rig(), Tap()


def registers():
    rig.mock.clusters.clear()
    rig.start_agent()
    rig.mock.channel("acs")
    equal(rig.mock.called("CreateCluster"), [{"clusterName": "default"}])
    request = rig.mock.called("RegisterContainerInstance")[-1]
    check("containerInstanceArn" not in request, "a first registration names no ARN")
    names = {a["name"]: a.get("value") for a in request["attributes"]}
    equal(names["ecs.os-type"], "linux")
    check("com.amazonaws.ecs.capability.docker-remote-api.1.21" in names, "docker API is told")
    totals = {r["name"]: r for r in request["totalResources"]}
    equal(totals["CPU"]["integerValue"], os.cpu_count() * 1024)
    check(totals["MEMORY"]["integerValue"] > 100, "memory is told")
    check("22" in totals["PORTS"]["stringSetValue"], "reserved ports are told as text")
    query = rig.mock.channel("acs").query
    equal(query["clusterArn"], "default")
    equal(query["sendCredentials"], "true")
    equal(query["protocolVersion"], "2")
    check(query["dockerVersion"].startswith("DockerVersion: "), "docker's version is told")
    rig.mock.wait("heartbeat", lambda: rig.mock.said("acs", "HeartbeatAckRequest"))


def runs_one():
    arn = rig.run("one", rig.container(command="sleep 1; exit 7"))
    running = rig.mock.wait_report(arn, "RUNNING")
    equal(running["cluster"], "default")
    equal(running["reason"], "")
    check(abs(running["pullStartedAt"] - time.time()) < 60, "the pull's time is told in seconds")
    entry = running["containers"][0]
    equal(entry["networkBindings"], [])
    check(re.fullmatch("sha256:[0-9a-f]{64}", entry["imageDigest"]), "the digest is told")
    stopped = rig.mock.wait_report(arn, "STOPPED")
    equal([c["exitCode"] for c in stopped["containers"]], [7])
    equal(rig.containers(arn), [entry["runtimeId"]])
    check(stopped["executionStoppedAt"] > running["pullStartedAt"], "the end's time is told")
    name = rig.inspect(entry["runtimeId"])["Name"]
    check(re.fullmatch("/ecs-fam-3-app-[0-9a-f]{20}", name), name)


def builds_as_asked():
    arn = rig.run("built", rig.container(
        command="echo $FOO-$BAR", entryPoint=["sh", "-c"], environment={"FOO": "a b", "BAR": "ü=1"},
        cpu=77, memory=48, dockerConfig={
            "config": '{"labels": {"mine": "yes"}, "User": "7:8", "Env": ["NOT=merged"]}',
            "hostConfig": '{"NetworkMode": "none", "ReadonlyRootfs": true,'
                          ' "Memory": 1, "CapDrop": ["ALL"]}'}))
    end = rig.mock.wait_report(arn, "STOPPED")
    equal(end["containers"][0]["exitCode"], 0)
    seen = rig.inspect(rig.containers(arn)[0])
    equal(rig.docker("logs", seen["Id"]), "a b-ü=1")
    equal(seen["Config"]["User"], "7:8")
    equal(seen["Config"]["Labels"]["mine"], "yes")
    equal(seen["Config"]["Labels"]["com.amazonaws.ecs.task-arn"], arn)
    equal(seen["Config"]["Labels"]["com.amazonaws.ecs.container-name"], "app")
    host = seen["HostConfig"]
    equal((host["CpuShares"], host["Memory"]), (77, 48 * 1024 * 1024))
    equal((host["NetworkMode"], host["ReadonlyRootfs"], host["CapDrop"]), ("none", True, ["ALL"]))


def serves_ports():
    fixed = free_port()
    web = rig.container("web", "mkdir -p /tmp/w; echo hello > /tmp/w/index.html;"
                        " exec httpd -f -p 80 -h /tmp/w", stopTimeout=1,
                        portMappings=[{"containerPort": 80},
                                      {"containerPort": 80, "hostPort": fixed, "protocol": "tcp"},
                                      {"containerPort": 53, "protocol": "udp"}])
    arn = rig.run("ports", web)
    bindings = rig.mock.wait_report(arn, "RUNNING")["containers"][0]["networkBindings"]
    equal(sorted((b["containerPort"], b["protocol"]) for b in bindings),
          [(53, "udp"), (80, "tcp"), (80, "tcp")])
    for port in [b["hostPort"] for b in bindings if b["protocol"] == "tcp"]:
        equal(rig.fetch(port), "hello\n")
    check(fixed in [b["hostPort"] for b in bindings], "the fixed port is reported")
    other = rig.run("ports2", rig.container(portMappings=[{"containerPort": 1, "hostPort": fixed}]))
    refused = rig.mock.wait_report(other, "STOPPED")["containers"][0]
    check(refused["reason"].startswith("CannotStartContainerError: "), refused["reason"])
    check("exitCode" not in refused, "a container that never ran has no exit code")
    rig.stop_task(arn)
    end = rig.mock.wait_report(arn, "STOPPED")["containers"][0]
    equal(end["networkBindings"], bindings)


def serves_ranges():
    mapping = {"containerPortRange": "9000-9003", "protocol": "tcp"}
    arns = [rig.run("range%d" % n, rig.container(portMappings=[mapping, {"containerPort": 80}],
                                                 stopTimeout=1)) for n in range(2)]
    firsts = set()
    for arn in arns:
        one, row = sorted(rig.mock.wait_report(arn, "RUNNING")["containers"][0]["networkBindings"],
                          key=lambda b: "hostPortRange" in b)
        first, last = map(int, row["hostPortRange"].split("-"))
        equal((row["containerPortRange"], row["protocol"], row["bindIP"], last - first),
              ("9000-9003", "tcp", "0.0.0.0", 3))
        equal(one["containerPort"], 80)
        ports = rig.inspect(rig.containers(arn)[0])["NetworkSettings"]["Ports"]
        equal([int(ports["%d/tcp" % p][0]["HostPort"]) for p in range(9000, 9004)],
              list(range(first, last + 1)))
        firsts.add(first)
        rig.stop_task(arn)
    equal(len(firsts), 2)


def stops():
    polite = rig.run("polite", rig.container(
        command="trap 'exit 3' TERM; while :; do sleep 0.1; done", stopTimeout=20))
    deaf = rig.run("deaf", rig.container(
        command="trap '' TERM; while :; do sleep 0.1; done", stopTimeout=1))
    for arn in polite, deaf:
        rig.mock.wait_report(arn, "RUNNING")
        rig.stop_task(arn)
    equal(rig.mock.wait_report(polite, "STOPPED")["containers"][0]["exitCode"], 3)
    equal(rig.mock.wait_report(deaf, "STOPPED")["containers"][0]["exitCode"], 137)


def essential_and_not():
    arn = rig.run("crew", rig.container("main", "while [ ! -e /out/end ]; do sleep 0.1; done; exit 4",
                                        mountPoints=[rig.OUT_MOUNT]),
                  rig.container("helper", "trap 'exit 0' TERM; while :; do sleep 0.1; done",
                                essential=False),
                  rig.container("short", "sleep 1; exit 9", essential=False),
                  volumes=[rig.out_volume()])
    rig.mock.wait_report(arn, "RUNNING")
    equal(rig.wait_said(arn, "short", "STOPPED")["exitCode"], 9)
    equal([r["status"] for r in rig.mock.reports(arn) for c in r["containers"]
           if c["containerName"] == "short" and c["status"] == "STOPPED"], ["RUNNING"])
    open(rig.out + "/end", "w").close()
    end = rig.mock.wait_report(arn, "STOPPED")
    equal({c["containerName"]: c["exitCode"] for c in end["containers"]}, {"main": 4, "helper": 0})


def links_and_volumes():
    rig.docker("volume", "create", "kept")
    arn = rig.run(
        "linked",
        rig.container("db", "echo data > /own/f; echo shared > /kept/f; echo task > /task/f;"
                      " mkdir /tmp/w; cp /own/f /tmp/w/; exec httpd -f -p 80 -h /tmp/w", stopTimeout=1,
                      mountPoints=[{"sourceVolume": "own", "containerPath": "/own"},
                                   {"sourceVolume": "kept", "containerPath": "/kept"},
                                   {"sourceVolume": "task", "containerPath": "/task"}]),
        rig.container("app", "while ! wget -qO- http://store/f > /out/linked; do sleep 0.1; done;"
                      " cat /task/f /own/f >> /out/linked; touch /ro/x || echo read-only >> /out/linked",
                      links=["db:store"], volumesFrom=[{"sourceContainer": "db", "readOnly": True}],
                      mountPoints=[rig.OUT_MOUNT, {"sourceVolume": "out", "containerPath": "/ro",
                                                   "readOnly": True}]),
        volumes=[rig.out_volume(), {"name": "own", "type": "host", "host": {}},
                 {"name": "kept", "type": "docker",
                  "dockerVolumeConfiguration": {"scope": "shared", "autoprovision": False}},
                 {"name": "task", "type": "docker",
                  "dockerVolumeConfiguration": {"scope": "task", "driver": "local",
                                                "labels": {"a": "b"}}}])
    rig.mock.wait_report(arn, "STOPPED")
    equal(rig.written("linked"), "data\ntask\ndata\nread-only\n")
    missing = rig.run("novolume", rig.container(mountPoints=[{"sourceVolume": "v", "containerPath": "/v"}]),
                      volumes=[{"name": "v", "type": "docker",
                                "dockerVolumeConfiguration": {"scope": "shared"}}])
    reason = rig.mock.wait_report(missing, "STOPPED")["containers"][0]["reason"]
    check(reason.startswith("CannotCreateContainerError: "), reason)


def ordered():
    log = lambda name, rest="": "echo %s >> /out/order; %s" % (name, rest)
    on = lambda name, condition: [{"containerName": name, "condition": condition}]
    mine = lambda name, command, **more: rig.container(
        name, command, mountPoints=[rig.OUT_MOUNT], stopTimeout=1, **more)
    health = {"config": '{"Healthcheck": {"Test": ["CMD", "test", "-e", "/tmp/well"],'
                        ' "Interval": 1000000000, "Timeout": 1000000000, "Retries": 9}}'}
    arn = rig.run(
        "ordered",
        mine("last", log("last", "sleep 1000"), dependsOn=on("well", "HEALTHY")),
        mine("well", log("well", "sleep 1; touch /tmp/well; sleep 1000"), healthCheckType="docker",
             dockerConfig=health, dependsOn=on("good", "SUCCESS")),
        mine("good", log("good", "exit 0"), essential=False, dependsOn=on("any", "COMPLETE")),
        mine("any", log("any", "sleep 0.5; exit 5"), essential=False, dependsOn=on("first", "START")),
        mine("first", log("first", "sleep 1000")), volumes=[rig.out_volume()])
    rig.mock.wait_report(arn, "RUNNING", 30)
    rig.mock.wait("the last", lambda: rig.written("order").count("\n") == 5)
    equal(rig.written("order").split(), ["first", "any", "good", "well", "last"])
    rig.mock.wait("health", lambda: [m for m in rig.mock.said("tcs", "PublishHealthRequest")
                                     if m["tasks"][0]["containers"][0]["healthStatus"] == "HEALTHY"])
    rig.stop_task(arn)
    rig.mock.wait_report(arn, "STOPPED", 40)
    ends = {c["containerName"]: c for r in rig.mock.reports(arn) for c in r["containers"]
            if c["status"] == "STOPPED"}
    finished = {n: rig.inspect(c["runtimeId"])["State"]["FinishedAt"] for n, c in ends.items()}
    check(finished["last"] < finished["well"], "dependants stop first: %r" % finished)


def unmet_dependencies():
    fails = rig.run("unmet", rig.container("a", "exit 1", essential=False),
                    rig.container("b", dependsOn=[{"containerName": "a", "condition": "SUCCESS"}]))
    rig.mock.wait_report(fails, "STOPPED")
    b = rig.said_of(fails, "b", "STOPPED")
    equal((b["exitCode"], b.get("runtimeId")), (143, None))
    slow = rig.run("slow", rig.container("a", startTimeout=1, essential=False, stopTimeout=1),
                   rig.container("b", dependsOn=[{"containerName": "a", "condition": "COMPLETE"}]))
    rig.mock.wait_report(slow, "STOPPED")
    equal(rig.said_of(slow, "b", "STOPPED")["exitCode"], 143)
    circle = rig.run("circle",
                     rig.container("a", dependsOn=[{"containerName": "b", "condition": "START"}]),
                     rig.container("b", dependsOn=[{"containerName": "a", "condition": "START"}]))
    reason = rig.mock.wait_report(circle, "STOPPED")["reason"]
    equal(reason, "Task dependencies cannot be resolved, taskArn: " + circle)
    equal(rig.containers(circle), [])


def out_of_memory():
    arn = rig.run("oom", rig.container(
        command="exec dd if=/dev/zero of=/dev/null bs=64M count=4", memory=8))
    entry = rig.mock.wait_report(arn, "STOPPED")["containers"][0]
    equal(entry["exitCode"], 137)
    check(entry["reason"].startswith("OutOfMemoryError: "), entry["reason"])


def out_of_memory_unseen():
    """Docker misses the notice of a process that the kernel kills while it still starts to watch; the kernel's
    log has it, in which this test writes in the kernel's place."""
    wait = "until [ -e /out/$ME ]; do sleep 0.05; done; exit 137"
    arns = [rig.run(me, rig.container(command=wait, environment={"ME": me}, mountPoints=[rig.OUT_MOUNT]),
                    volumes=[rig.out_volume()]) for me in ("starved", "killed")]
    for arn in arns:
        rig.mock.wait_report(arn, "RUNNING")
    group = "/ecs/" + rig.containers(arns[0])[0]
    with open("/dev/kmsg", "w") as log:
        log.write("<6>oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,"
                  "oom_memcg=%s,task_memcg=%s,task=dd,pid=1,uid=0\n" % (group, group))
    ends = []
    for arn in arns:
        open(rig.out + "/" + arn.rsplit("/", 1)[1], "w").close()
        ends.append(rig.mock.wait_report(arn, "STOPPED")["containers"][0])
    equal([e["exitCode"] for e in ends], [137, 137])
    equal([e.get("reason") for e in ends],
          ["OutOfMemoryError: container killed due to memory usage", None])


def no_such_image():
    image = "127.0.0.1:%d/absent:1" % rig.registry_port
    arn = rig.run("absent", rig.container(image=image))
    report = rig.mock.wait_report(arn, "STOPPED")
    entry = report["containers"][0]
    check(entry["reason"].startswith("CannotPullContainerError: "), entry["reason"])
    check("runtimeId" not in entry and "exitCode" not in entry, "it never was")
    check("pullStoppedAt" in report, "the pull's times are told")


def refuses_nonsense():
    bad = rig.task("bad", rig.container(memory="128"))
    rig.mock.payload("nonsense", bad, rig.task("good", rig.container(command="exit 0")))
    report = rig.mock.wait_report(TASK + "bad", "STOPPED")
    check(report["reason"].startswith("UnrecogniedTaskError: Error loading task - "), report["reason"])
    equal(report["containers"], [])
    rig.mock.wait_report(TASK + "good", "STOPPED")
    check(not [m for m in rig.mock.said("acs", "AckRequest") if m["messageId"] == "nonsense"],
          "a payload with a bad task is not acknowledged")
    rig.mock.payload("unknown", {"arn": TASK + "never-seen", "desiredStatus": "STOPPED"})
    rig.mock.wait_ack("unknown")
    report = rig.mock.wait_report(TASK + "never-seen", "STOPPED")
    check(report["reason"].startswith("TaskStateError: "), report["reason"])
    rig.mock.send("NoSuchMessage", {"a": 1})
    rig.mock.channel().frame(1, b"{")
    rig.mock.payload("empty")
    rig.mock.wait_ack("empty")


def manifest():
    arn = rig.run("stray", rig.container(stopTimeout=1))
    kept = rig.run("kept", rig.container(stopTimeout=1))
    for a in arn, kept:
        rig.mock.wait_report(a, "RUNNING")
    listed = [{"taskArn": kept, "taskClusterArn": "c", "desiredStatus": "RUNNING"}]
    for timeline, id_ in (5, "man-1"), (5, "man-2"):
        rig.mock.send("TaskManifestMessage", {"messageId": id_, "clusterArn": "c", "generatedAt": 1,
                                              "timeline": timeline, "tasks": listed})
    rig.mock.wait_ack("man-1")
    asked = rig.mock.wait("candidates", lambda: rig.mock.said("acs", "TaskStopVerificationMessage"))[0]
    equal([c["taskArn"] for c in asked["stopCandidates"]], [arn])
    rig.mock.send("TaskStopVerificationAck", {"messageId": "man-1", "generatedAt": 1,
                                              "stopTasks": asked["stopCandidates"]})
    equal(rig.mock.wait_report(arn, "STOPPED")["containers"][0]["exitCode"], 137)
    check(not [m for m in rig.mock.said("acs", "AckRequest") if m["messageId"] == "man-2"],
          "an old timeline is not answered")
    equal([r["status"] for r in rig.mock.reports(kept)], ["RUNNING"])
    rig.stop_task(kept)
    rig.mock.wait_report(kept, "STOPPED")


def reports_until_accepted():
    rig.mock.refuse["SubmitTaskStateChange"] = [(500, "ServerException", "x"),
                                                (400, "ClientException", "y")]
    arn = rig.run("stubborn", rig.container(command="exit 0"))
    rig.mock.wait_report(arn, "STOPPED")
    equal(rig.mock.refuse["SubmitTaskStateChange"], [])
    rig.mock.refuse["SubmitTaskStateChange"] = [(400, "InvalidParameterException", "no such task")]
    dropped = rig.run("dropped", rig.container(command="exit 0"))
    rig.mock.wait("the refusal", lambda: not rig.mock.refuse["SubmitTaskStateChange"])
    later = rig.run("later", rig.container(command="exit 0"))
    rig.mock.wait_report(later, "STOPPED")
    check(len(rig.mock.reports(dropped)) <= 1, "a report that is refused for good is not sent again")


def channel_comes_back():
    before = len([k for k, _ in rig.mock.opened if k == "acs"])
    rig.mock.channel().close(1000)
    rig.mock.wait("another channel", lambda: len([k for k, _ in rig.mock.opened if k == "acs"]) > before)
    equal(rig.mock.channel().query["sendCredentials"], "false")
    rig.mock.refuse_upgrade = [("acs", 400, {"InvalidClusterException": "x"})] * 2
    rig.mock.channel().drop()
    rig.mock.wait("two refusals", lambda: len([1 for k, _ in rig.mock.opened if k == "acs refused"]) == 2)
    arn = rig.run("after", rig.container(command="exit 0"))
    rig.mock.wait_report(arn, "STOPPED")
    rig.mock.channel().frame(9, b"are you there")
    rig.mock.wait("pong", lambda: ("acs", "pong", b"are you there") in rig.mock.messages)
    big = "x" * 80000
    rig.mock.send("HeartbeatMessage", {"healthy": True, "messageId": big})
    rig.mock.wait("a long answer", lambda: {"messageId": big} in rig.mock.said("acs", "HeartbeatAckRequest"))


def telemetry():
    arn = rig.run("measured", rig.container(command="while :; do :; done", stopTimeout=1))
    rig.mock.wait_report(arn, "RUNNING")

    def measured():
        for m in rig.mock.said("tcs", "PublishMetricsRequest"):
            for t in m.get("taskMetrics", []):
                if t["taskArn"] == arn and t["containerMetrics"][0]["cpuStatsSet"]["max"] > 5:
                    return t["containerMetrics"][0]
    metric = rig.mock.wait("cpu use", measured)
    check(metric["cpuStatsSet"]["max"] <= 100, "percent of the whole machine")
    check("memoryStatsSet" in metric and metric["networkStatsSet"]["rxBytes"]["sampleCount"] == 1, metric)
    rig.stop_task(arn)
    rig.mock.wait("the runtime's state", lambda: [
        m for m in rig.mock.said("tcs", "PublishInstanceStatusRequest")
        if m["statuses"][0]["status"] == "OK"])
    check(any(m["metadata"].get("idle") for m in rig.mock.said("tcs", "PublishMetricsRequest")),
          "an idle machine says so")


def asks_little():
    """Calls are counted once the agent is warm; a second task shows that nothing comes late."""
    def both():
        for name in "counted", "next":
            rig.mock.wait_report(rig.run(name, rig.container()), "RUNNING")

    rig.mock.wait_report(rig.run("warm", rig.container()), "RUNNING")
    calls = rig.docker_calls(both)
    id_, = rig.containers(TASK + "counted")
    name = rig.inspect(id_)["Name"].strip("/")
    counted = [c.replace(id_, "ID").replace(name, "NAME") for c in calls if (id_ in c or name in c) and "/stats" not in c]
    equal(counted, ["POST /containers/create?name=NAME", "POST /containers/ID/start",
                    "GET /containers/ID/json"])
    equal([c for c in calls if c.startswith("GET /info")], [])
    equal(len([c for c in calls if "/images/" in c]), 2 * 2)
    for name in "warm", "counted", "next":
        rig.stop_task(TASK + name)


def starts_while_others_stop():
    stubborn = [rig.run("stubborn%d" % n, rig.container(command="trap '' TERM; while :; do sleep 1; done", stopTimeout=60))
                for n in range(14)]
    for arn in stubborn:
        rig.mock.wait_report(arn, "RUNNING", 60)
    for n, arn in enumerate(stubborn):
        rig.mock.payload("stop-stubborn%d" % n, {"arn": arn, "desiredStatus": "STOPPED"})
    for n in range(len(stubborn)):
        rig.mock.wait_ack("stop-stubborn%d" % n)
    rig.mock.wait_report(rig.run("new", rig.container(stopTimeout=1)), "RUNNING", 50)
    check(not any(r["status"] == "STOPPED" for arn in stubborn for r in rig.mock.reports(arn)),
          "no stop was over before the start")
    for arn in stubborn:
        rig.docker("kill", rig.containers(arn)[0])
    rig.stop_task(TASK + "new")
    for arn in stubborn + [TASK + "new"]:
        rig.mock.wait_report(arn, "STOPPED", 60)


def survives_kill():
    lives = rig.run("lives", rig.container(command="echo run >> /out/lives; sleep 1000", stopTimeout=1,
                                           mountPoints=[rig.OUT_MOUNT]), volumes=[rig.out_volume()])
    dies = rig.run("dies", rig.container(command="while [ ! -e /out/die ]; do sleep 0.05; done; exit 6",
                                         mountPoints=[rig.OUT_MOUNT]), volumes=[rig.out_volume()])
    removed = rig.run("removed", rig.container())
    for arn in lives, dies, removed:
        rig.mock.wait_report(arn, "RUNNING")
    ids = rig.containers(lives)
    for id_ in "lives", "dies", "removed":
        rig.mock.wait("its record", lambda: rig.saved(id_)["reported"] == 1)
    rig.kill_agent()
    open(rig.out + "/die", "w").close()
    rig.docker("wait", rig.containers(dies)[0])
    rig.docker("rm", "-f", rig.containers(removed)[0])
    before = len(rig.mock.reports(lives))
    rig.start_agent()
    equal(rig.mock.wait_report(dies, "STOPPED")["containers"][0]["exitCode"], 6)
    gone = rig.mock.wait_report(removed, "STOPPED")["containers"][0]
    check(gone["reason"].startswith("ContainerVanishedError: "), gone["reason"])
    arns = [r.get("containerInstanceArn") for r in rig.mock.called("RegisterContainerInstance")]
    check(arns[-1] and arns[-1] == rig.mock.called("DiscoverPollEndpoint")[-1]["containerInstance"],
          "it registers again as what it was")
    rig.mock.channel("acs")
    equal(len(rig.mock.reports(lives)), before)
    equal(rig.containers(lives), ids)
    rig.mock.payload("again", rig.task("lives", rig.container()))
    rig.mock.wait_ack("again")
    rig.stop_task(lives)
    equal(rig.mock.wait_report(lives, "STOPPED")["containers"][0]["exitCode"], 137)
    equal(rig.written("lives"), "run\n")


def survives_docker(command):
    def case():
        arn = rig.run("docker-" + command, rig.container(
            command="trap 'exit 0' TERM; while :; do sleep 0.1; done"))
        rig.mock.wait_report(arn, "RUNNING")
        rig.dockerd("kill" if command == "kill" else "quit")
        later = rig.run("during-" + command, rig.container(command="sleep 1; exit 8"))
        rig.dockerd("restart")
        end = rig.mock.wait_report(arn, "STOPPED", 40)["containers"][0]
        check("exitCode" in end, end)
        equal(rig.mock.wait_report(later, "STOPPED", 40)["containers"][0]["exitCode"], 8)
        equal(len(rig.containers(later)), 1)
    return case


def start_docker_forgot():
    """As when Docker, or the machine, dies before Docker has written that the container runs."""
    arn = rig.run("forgot", rig.container())
    rig.mock.wait_report(arn, "RUNNING")
    id_, = rig.containers(arn)
    rig.dockerd("kill")
    path = "%s/data/containers/%s/config.v2.json" % (rig.docker_dir, id_)
    with open(path) as f:
        config = json.load(f)
    config["State"].update({"Running": False, "Pid": 0, "StartedAt": "0001-01-01T00:00:00Z"})
    with open(path, "w") as f:
        json.dump(config, f)
    rig.dockerd("restart")
    check("DockerStateError" in rig.mock.wait_report(arn, "STOPPED", 40)["containers"][0]["reason"], arn)


def removed_behind_its_back():
    arn = rig.run("vanish", rig.container())
    rig.mock.wait_report(arn, "RUNNING")
    rig.docker("rm", "-f", rig.containers(arn)[0])
    equal(rig.mock.wait_report(arn, "STOPPED")["containers"][0]["exitCode"], 137)


def record_cannot_be_written():
    """What the agent's loop does meanwhile makes it try no sooner; the task itself goes on."""
    arn = rig.run("unwritten", rig.container())
    rig.mock.wait_report(arn, "RUNNING")
    tasks = rig.dir + "/data/tasks"
    os.rename(tasks, tasks + ".away")
    tries = lambda: rig.log().count("cannot write")
    try:
        rig.docker("kill", rig.containers(arn)[0])
        rig.mock.wait_report(arn, "STOPPED")
        rig.mock.wait("a try", tries)
        time.sleep(1.5) # what came a moment later is tried once, too
        before = tries()
        for _ in range(4):
            rig.docker("run", "--rm", "--network", "none", rig.image, "true")
        check(tries() - before <= 1, (before, tries()))
    finally:
        os.rename(tasks + ".away", tasks)
    rig.mock.wait("it is written when that can be", lambda: rig.saved("unwritten")["status"] == 2)


def cached_image_without_registry():
    rig.registry.kill()
    rig.registry.wait()
    arn = rig.run("cached", rig.container(command="exit 0"))
    entry = rig.mock.wait_report(arn, "STOPPED", 40)["containers"][0]
    equal(entry["exitCode"], 0)
    check(entry["reason"].startswith("CannotPullContainerError: "), entry["reason"])


def cleans_up():
    rig.kill_agent(signal.SIGTERM)
    equal(rig.agent.returncode, 0)
    rig.start_agent(BERTH_CLEANUP_WAIT="1s", BERTH_PULL_BEHAVIOR="prefer-cached")
    arn = rig.run("brief", rig.container(command="echo > /v/f",
                                         mountPoints=[{"sourceVolume": "v", "containerPath": "/v"}]),
                  volumes=[{"name": "v", "host": {}}])
    rig.mock.wait_report(arn, "STOPPED")
    rig.mock.wait("clean-up of all", lambda: not os.path.exists(rig.dir + "/data/tasks/brief.json")
                  and not os.listdir(rig.dir + "/data/tasks"), 30)
    equal(rig.docker("ps", "-aq", "--filter", "label=com.amazonaws.ecs.task-arn"), "")
    equal(rig.docker("volume", "ls", "-q"), "kept")


def channel_rules():
    rig.kill_agent(signal.SIGTERM)
    rig.start_agent(BERTH_INACTIVITY="400ms", BERTH_PUBLISH="10m")
    rig.mock.channel("acs")
    rig.mock.heartbeats = False
    count = lambda: len([1 for k, _ in rig.mock.opened if k == "acs"])
    before = count()
    rig.mock.wait("a silent channel to be given up", lambda: count() >= before + 2)
    rig.mock.heartbeats = True
    rig.kill_agent(signal.SIGTERM)
    rig.start_agent(BERTH_ROTATION="1200ms")
    goodbye = b"\x03\xe8ConnectionExpired: Reconnect to continue"
    rig.mock.wait("a goodbye", lambda: goodbye in rig.mock.said("acs", "close"))
    before = count()
    rig.mock.wait("the next channel", lambda: count() > before)


def many_at_once():
    tasks = [rig.task("burst%d" % n, rig.container(stopTimeout=1)) for n in range(12)]
    rig.mock.payload("burst", *tasks)
    rig.mock.wait_ack("burst")
    for task in tasks:
        rig.mock.wait_report(task["arn"], "RUNNING", 40)
    for task in tasks:
        rig.stop_task(task["arn"])
    for task in tasks:
        equal(rig.mock.wait_report(task["arn"], "STOPPED", 40)["containers"][0]["exitCode"], 137)


def its_command_line():
    run = lambda *words: subprocess.run([AGENT, *words], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env={"PATH": os.environ["PATH"]})
    check(run("--version").stdout.startswith(b"berth-agent "), "it tells its version")
    equal(run("--nonsense").returncode, 2)
    equal(run("--config", rig.config, "--healthcheck").returncode, 0)
    second = run("--config", rig.config)
    equal(second.returncode, 1)
    check(b"another agent" in second.stderr, second.stderr)
    rig.kill_agent()
    equal(run("--config", rig.config, "--healthcheck").returncode, 1)
    nothing = run("--config", rig.dir + "/absent")
    check(nothing.returncode == 1 and b"BERTH_ENDPOINT is not set" in nothing.stderr, nothing.stderr)


def trusts_its_ca_only():
    rig.kill_agent()
    before = len(rig.mock.calls) + len(rig.mock.bad_signatures)
    rig.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "x.key", "-out", "x.pem",
                "-days", "2", "-subj", "/CN=another ca")
    rig.start_agent(BERTH_CA=rig.dir + "/x.pem")
    rig.mock.wait("the refusal", lambda: "the certificate is refused" in rig.log())
    equal(len(rig.mock.calls) + len(rig.mock.bad_signatures), before)
    rig.kill_agent()
    rig.start_agent(BERTH_ENDPOINT=rig.mock.url.replace("127.0.0.1", "127.0.0.2"))
    rig.mock.wait("the refusal of another name", lambda: "the certificate is refused" in rig.log())
    equal(len(rig.mock.calls) + len(rig.mock.bad_signatures), before)


def small():
    times = []
    for _ in range(3):
        rig.kill_agent(signal.SIGTERM)
        calls = len(rig.mock.called("RegisterContainerInstance"))
        began = time.monotonic()
        rig.start_agent(BERTH_PULL_BEHAVIOR="prefer-cached")
        rig.mock.wait("registration", lambda: len(rig.mock.called("RegisterContainerInstance")) > calls)
        times.append(time.monotonic() - began)
    print("# from start to registration: %d ms" % (min(times) * 1000))
    sanitized = "san" in os.environ.get("BUILD", "")
    check(sanitized or min(times) < 0.2, "it starts at once: %r" % times)
    arn = rig.run("small", rig.container(command="exit 0"))
    rig.mock.wait_report(arn, "STOPPED")
    time.sleep(3)  # its workers go after being idle for 2 s
    print("# resident memory: %d KiB" % rig.memory_kib())
    check(sanitized or rig.memory_kib() < 8 * 1024,
          "%d KiB" % rig.memory_kib())
    check(rig.mock.bad_signatures == [], rig.mock.bad_signatures)


CASES = [
    ("it registers, makes the default cluster, opens its channels", registers),
    ("a task runs and its exit code is reported", runs_one),
    ("containers are made as the task says", builds_as_asked),
    ("ports are published, reported, and refused when taken", serves_ports),
    ("a range of ports is in one row on the host, and told as one", serves_ranges),
    ("stopping asks first and kills after the timeout", stops),
    ("an essential exit stops the task, another is reported in time", essential_and_not),
    ("links, shared and read-only volumes work", links_and_volumes),
    ("containers start and stop in the order of their dependencies", ordered),
    ("dependencies that cannot be met stop the task", unmet_dependencies),
    ("a container out of memory says so", out_of_memory),
    ("one says so as well when Docker missed it", out_of_memory_unseen),
    ("an image that is not there says so", no_such_image),
    ("tasks that make no sense are reported, others go on", refuses_nonsense),
    ("a manifest stops strays, once confirmed", manifest),
    ("reports are sent until they are accepted", reports_until_accepted),
    ("a channel that ends is opened again", channel_comes_back),
    ("many tasks at once start and stop", many_at_once),
    ("metrics, health and the runtime's state are told", telemetry),
    ("a container removed by another is reported", removed_behind_its_back),
    ("a record that cannot be written is tried again in time", record_cannot_be_written),
    ("a container is made and started by three calls", asks_little),
    ("a task starts while more others stop than workers start", starts_while_others_stop),
    ("kill -9 of the agent loses and doubles nothing", survives_kill),
    ("a restart of Docker is survived", survives_docker("restart")),
    ("a crash of Docker is survived", survives_docker("kill")),
    ("a container whose start Docker forgot has stopped", start_docker_forgot),
    ("without its registry an image that is here will do", cached_image_without_registry),
    ("stopped tasks are cleaned up with their volumes", cleans_up),
    ("a silent channel is given up, an old one renewed", channel_rules),
    ("its command line", its_command_line),
    ("it trusts its CA and the server's name only", trusts_its_ca_only),
    ("it is small, and every request was signed right", small),
]

try:
    rig.start()
    only = sys.argv[1:]
    for claim, function in CASES:
        if not only or claim == CASES[0][0] or any(word in claim for word in only):
            tap.case(claim, function, rig.log_tail)
finally:
    rig.stop()
sys.exit(tap.end())
