#!/usr/bin/python3
"""What the agent serves to containers and to its machine, on a real Docker Engine."""
import json
import os
import re
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import mock_ecs  # noqa: E402
from agent_rig import Rig, Tap, TASK, check, equal  # noqa: E402

rig, tap = Rig(), Tap()
ID = "c0ffee00-1111-4222-8333-444455556666"


def credentials(id_=ID, secret=mock_ecs.SECRET, expiration="2099-11-22T15:00:00Z"):
    return {"credentialsId": id_, "roleArn": "arn:aws:iam::000000000001:role/app",
            "accessKeyId": mock_ecs.KEY, "secretAccessKey": secret,
            "sessionToken": mock_ecs.TOKEN, "expiration": expiration}


def environment(arn):
    lines = rig.inspect(rig.containers(arn)[0])["Config"]["Env"]
    return dict(line.split("=", 1) for line in lines)


def path_of(arn, name="ECS_CONTAINER_METADATA_URI_V4"):
    uri = environment(arn)[name]
    check(uri.startswith("http://169.254.170.2/"), uri)
    return uri[len("http://169.254.170.2"):]


def serves_credentials():
    arn = rig.run("role", rig.container(stopTimeout=1), roleCredentials=credentials())
    rig.mock.wait_report(arn, "RUNNING")
    acks = rig.mock.said("acs", "IAMRoleCredentialsAckRequest")
    equal(acks, [{"credentialsId": ID, "expiration": "2099-11-22T15:00:00Z", "messageId": "run-role"}])
    path = environment(arn)["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
    equal(path, "/v2/credentials/" + ID)
    right = {"RoleArn": "arn:aws:iam::000000000001:role/app", "AccessKeyId": mock_ecs.KEY,
             "SecretAccessKey": mock_ecs.SECRET, "Token": mock_ecs.TOKEN,
             "Expiration": "2099-11-22T15:00:00Z"}
    equal(rig.ask(path), (200, right))
    equal(rig.ask("/v1/credentials?id=" + ID), (200, right))
    for wrong, code in (("/v2/credentials/" + ID[:-1], "InvalidIdInRequest"),
                        ("/v2/credentials/", "NoIdInRequest"), ("/v1/credentials", "NoIdInRequest")):
        status, tree = rig.ask(wrong)
        equal((status, tree["code"], tree["HTTPErrorCode"]), (400, code, 400))
    check("credentials of \"arn:aws:iam::000000000001:role/app\" given to 127.0.0.1 for task " + arn
          in rig.log(), "who got them is written down")


def secrets_stay_in_memory():
    files = [os.path.join(d, f) for d, _, names in os.walk(rig.dir + "/data") for f in names]
    check(len(files) >= 2, "there are files to look at")
    for name in files:
        with open(name) as f:
            text = f.read()
        # the agent's own key is the mock's, and is not kept in its data directory either
        check(mock_ecs.SECRET.replace("/", "\\/") not in text and mock_ecs.SECRET not in text, name)
        check(mock_ecs.TOKEN not in text, name)
    check(mock_ecs.SECRET not in rig.log(), "nor in the log")


def renews_credentials():
    rig.mock.send("IAMRoleCredentialsMessage", {
        "messageId": "cr-1", "taskArn": TASK + "role", "roleType": "TaskApplication",
        "roleCredentials": credentials(expiration="2099-11-22T16:00:00Z")})
    rig.mock.wait("ack", lambda: [m for m in rig.mock.said("acs", "IAMRoleCredentialsAckRequest")
                                  if m["messageId"] == "cr-1"])
    equal(rig.ask("/v2/credentials/" + ID)[1]["Expiration"], "2099-11-22T16:00:00Z")
    for bad in ({"messageId": "cr-2", "taskArn": TASK + "unknown", "roleCredentials": credentials()},
                {"messageId": "cr-2", "taskArn": TASK + "role", "roleCredentials": credentials("")},
                {"taskArn": TASK + "role", "roleCredentials": credentials()}):
        rig.mock.send("IAMRoleCredentialsMessage", bad)
    rig.mock.payload("fence")
    rig.mock.wait_ack("fence")
    equal([m["messageId"] for m in rig.mock.said("acs", "IAMRoleCredentialsAckRequest")],
          ["run-role", "cr-1"])


def credentials_end_with_the_agent_and_the_task():
    rig.mock.wait("its record", lambda: rig.saved("role")["reported"] == 1)
    rig.kill_agent()
    rig.start_agent()
    query = rig.mock.wait("the channel", lambda: rig.mock.channel("acs")).query
    equal(query["sendCredentials"], "true")
    equal(rig.ask("/v2/credentials/" + ID)[0], 400)
    rig.mock.send("IAMRoleCredentialsMessage", {
        "messageId": "cr-3", "taskArn": TASK + "role", "roleType": "TaskApplication",
        "roleCredentials": credentials()})
    rig.mock.wait("credentials again", lambda: rig.ask("/v2/credentials/" + ID)[0] == 200)
    rig.stop_task(TASK + "role")
    rig.mock.wait_report(TASK + "role", "STOPPED")
    equal(rig.ask("/v2/credentials/" + ID)[0], 400)
    bad = rig.task("noid", rig.container(), roleCredentials=credentials(""))
    rig.mock.payload("noid", bad)
    reason = rig.mock.wait_report(TASK + "noid", "STOPPED")["reason"]
    check("credentialsId" in reason, reason)


def two_containers():
    return rig.run("meta", rig.container("web", cpu=64, memory=32, portMappings=[{"containerPort": 80}],
                                         containerArn="arn:aws:ecs:home-1:1:container/default/meta/1",
                                         mountPoints=[rig.OUT_MOUNT], stopTimeout=1,
                                         dockerConfig={"config": '{"Labels": {"mine": "yes"}}',
                                                       "hostConfig": '{"NetworkMode": "bridge"}'}),
                   rig.container("brief", "exit 3", essential=False), volumes=[rig.out_volume()],
                   cpu=0.5, memory=128, launchType="EC2", serviceName="shop")


def describes_tasks():
    arn = two_containers()
    rig.mock.wait_report(arn, "RUNNING")
    rig.wait_said(arn, "brief", "STOPPED")
    inspected = {c["Config"]["Labels"]["com.amazonaws.ecs.container-name"]: c
                 for c in map(rig.inspect, rig.containers(arn))}
    env = dict(line.split("=", 1) for line in inspected["web"]["Config"]["Env"])
    v4 = env["ECS_CONTAINER_METADATA_URI_V4"].replace("http://169.254.170.2", "")
    v3 = env["ECS_CONTAINER_METADATA_URI"].replace("http://169.254.170.2", "")
    check(re.fullmatch("/v4/[0-9a-f-]{36}", v4) and v3 == "/v3" + v4[3:], v4)
    check(v4 not in str(inspected["brief"]["Config"]["Env"]), "each container has its own id")
    status, web = rig.ask(v4)
    seen = inspected["web"]
    equal(status, 200)
    equal((web["DockerId"], "/" + web["DockerName"], web["Name"], web["Image"], web["ImageID"]),
          (seen["Id"], seen["Name"], "web", rig.image, seen["Image"]))
    equal((web["DesiredStatus"], web["KnownStatus"], web["Type"]), ("RUNNING", "RUNNING", "NORMAL"))
    equal(web["Limits"], {"CPU": 64, "Memory": 32})
    equal(web["Networks"], [{"NetworkMode": "bridge", "IPv4Addresses": [
        seen["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]]}])
    host_port = int(seen["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"])
    equal(web["Ports"], [{"ContainerPort": 80, "Protocol": "tcp", "HostPort": host_port,
                          "HostIp": "0.0.0.0"}])
    equal(web["Volumes"], [{"Source": rig.out, "Destination": "/out"}])
    equal((web["Labels"]["mine"], web["Labels"]["com.amazonaws.ecs.task-arn"]), ("yes", arn))
    equal(web["ContainerARN"], "arn:aws:ecs:home-1:1:container/default/meta/1")
    equal(web["CreatedAt"], seen["Created"])
    equal(web["StartedAt"][:19], seen["State"]["StartedAt"][:19])
    check("ContainerARN" not in rig.ask(v3)[1] and "HostIp" not in rig.ask(v3)[1]["Ports"][0], "v3")
    status, task = rig.ask(v4 + "/task")
    equal((task["Cluster"], task["TaskARN"], task["Family"], task["Revision"], task["DesiredStatus"],
           task["KnownStatus"], task["Limits"], task["LaunchType"], task["ServiceName"]),
          ("default", arn, "fam", "3", "RUNNING", "RUNNING", {"CPU": 0.5, "Memory": 128}, "EC2", "shop"))
    brief = next(c for c in task["Containers"] if c["Name"] == "brief")
    equal((brief["KnownStatus"], brief["ExitCode"]), ("STOPPED", 3))
    check(brief["FinishedAt"][:4] == brief["StartedAt"][:4] == "%d" % time.gmtime().tm_year, brief)
    check("LaunchType" not in rig.ask(v3 + "/task")[1], "v3 is the older form")


def tells_tags():
    arn = TASK + "meta"
    web = rig.said_of(arn, "web", "RUNNING")["runtimeId"]
    v4 = path_of_container(web)
    rig.mock.answers["ListTagsForResource"] = {"tags": [{"key": "team", "value": "sea"}]}
    status, task = rig.ask(v4 + "/taskWithTags")
    equal((status, task["TaskARN"], task["TaskTags"], task["ContainerInstanceTags"]),
          (200, arn, {"team": "sea"}, {"team": "sea"}))
    asked = [r["resourceArn"] for r in rig.mock.called("ListTagsForResource")]
    equal((asked[0].split(":")[5].split("/")[0], asked[1]), ("container-instance", arn))
    refusals = [(400, "AccessDeniedException", "not yours")] * 2
    rig.mock.refuse["ListTagsForResource"] = list(refusals)
    task = rig.ask(v4 + "/taskWithTags")[1]
    check("TaskTags" not in task and "ContainerInstanceTags" not in task, task)
    equal(task["Errors"], [{"ErrorField": field, "ErrorCode": "AccessDeniedException", "ResourceARN": of,
                            "ErrorMessage": "not yours"}
                           for field, of in zip(("ContainerInstanceTags", "TaskTags"), asked)])
    rig.mock.refuse["ListTagsForResource"] = list(refusals)
    check("Errors" not in rig.ask(v4.replace("/v4/", "/v3/") + "/taskWithTags")[1], "v3 says no errors")
    equal(rig.ask(v4 + "/associations/elastic-inference"), (200, {"Associations": None}))
    equal(rig.ask(v4 + "/associations/elastic-inference/one")[0], 404)


def tells_counters():
    arn = TASK + "meta"
    web, brief = (rig.said_of(arn, n, "STOPPED" if n == "brief" else "RUNNING")["runtimeId"]
                  for n in ("web", "brief"))
    path = next(p for p in (path_of_container(c) for c in (web, brief)))
    status, stats = rig.ask(path + "/stats")
    equal((status, stats["id"]), (200, web))
    check(stats["cpu_stats"]["system_cpu_usage"] > stats["precpu_stats"]["system_cpu_usage"] > 0,
          "with the reading before")
    equal({k: v.get("id") for k, v in rig.ask(path + "/task/stats")[1].items()}, {web: web, brief: None})
    equal(rig.ask(path_of_container(brief) + "/stats"), (200, {}))
    equal(rig.ask(path_of_container(brief).replace("/v4/", "/v3/") + "/stats"), (200, None))


def path_of_container(docker_id):
    env = dict(line.split("=", 1) for line in rig.inspect(docker_id)["Config"]["Env"])
    return env["ECS_CONTAINER_METADATA_URI_V4"].replace("http://169.254.170.2", "")


def refuses_what_it_does_not_know():
    nobody = "/v4/00000000-0000-4000-8000-000000000000"
    equal([rig.ask(p)[0] for p in (nobody, nobody + "/task", nobody + "/stats", nobody + "/task/stats",
                                   "/v2/metadata", "/v2/metadataWithTags", "/v2/stats", "/", "/v4", "/v9/x",
                                   path_of_container(rig.containers(TASK + "meta")[0]) + "/nothing")],
          [500, 500, 400, 400, 400, 400, 400, 404, 404, 404, 404])
    equal(rig.ask("/v4/x", "POST", b"")[0], 405)


def raw(bytes_, wait=8):
    with socket.create_connection(("127.0.0.1", rig.endpoint_port), wait) as s:
        s.settimeout(wait)
        s.sendall(bytes_)
        answer = b""
        try:
            while True:
                piece = s.recv(65536)
                if not piece:
                    return answer
                answer += piece
        except ConnectionResetError:
            return answer


def is_bounded():
    check(raw(b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 "), "no HTTP")
    check(raw(b"GET / HTTP/1.1\r\nx: " + b"y" * 9000).startswith(b"HTTP/1.1 413 "), "a long head")
    check(raw(b"PUT / HTTP/1.1\r\nContent-Length: 9999\r\n\r\n").startswith(b"HTTP/1.1 413 "), "body")
    check(raw(b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").startswith(b"HTTP/1.1 400 "), "")
    began = time.monotonic()
    idle = [socket.create_connection(("127.0.0.1", rig.endpoint_port)) for _ in range(64)]
    equal(rig.ask("/v4/x")[0], 500)
    check(3 < time.monotonic() - began < 9, "silent callers are dropped after 5 s, others wait")
    for s in idle:
        s.close()
    time.sleep(1.6)  # the rate's allowance fills up again
    answers = [rig.ask("/v4/x")[0] for _ in range(120)]
    check(answers.count(500) >= 60 and answers.count(429) >= 10, "more than 40 a second: %r" % answers)
    time.sleep(1)
    equal(rig.ask("/v4/x")[0], 500)


def introspects():
    port = rig.introspection_port
    status, about = rig.ask("/v1/metadata", port=port)
    equal((about["Cluster"], about["ContainerInstanceArn"]),
          ("default", mock_ecs.ARN + "container-instance/default/0123"))
    check(about["Version"].startswith("Berth container agent - v"), about)
    tasks = rig.ask("/v1/tasks", port=port)[1]["Tasks"]
    listed = next(t for t in tasks if t["Arn"] == TASK + "meta")
    equal((listed["KnownStatus"], listed["Family"], listed["Version"],
           sorted(c["Name"] for c in listed["Containers"])), ("RUNNING", "fam", "3", ["brief", "web"]))
    docker_id = listed["Containers"][0]["DockerId"]
    for query in "taskarn=" + TASK + "meta", "dockerid=" + docker_id, "dockerid=" + docker_id[:12]:
        equal(rig.ask("/v1/tasks?" + query, port=port), (200, listed))
    equal(rig.ask("/v1/tasks?dockerid=" + docker_id[:20], port=port)[0], 404)
    equal(rig.ask("/v1/tasks?taskarn=x&dockerid=y", port=port)[0], 400)
    equal(rig.ask("/", port=port), (200, {"AvailableCommands": ["/v1/metadata", "/v1/tasks"]}))


def introspects_to_its_own_only():
    gateway = rig.subnet.split("/")[0]
    wget = "wget -qO- http://%s:%d/v1/metadata" % (gateway, rig.introspection_port)
    arn = rig.run("inside", rig.container(command="until " + wget + " > /out/inside; do sleep 0.2; done", mountPoints=[rig.OUT_MOUNT]),
                  volumes=[rig.out_volume()])
    equal(rig.mock.wait_report(arn, "STOPPED")["containers"][0]["exitCode"], 0)
    equal(json.loads(rig.written("inside"))["Cluster"], "default")
    other = rig.docker("run", "--rm", rig.image, "sh", "-c", wget + " 2>&1 || true")
    check("403" in other, other)


def protects():
    arn = rig.run("guarded", rig.container(stopTimeout=1), roleCredentials=credentials("role-2"))
    rig.mock.wait_report(arn, "RUNNING")
    path = path_of(arn, "ECS_AGENT_URI") + "/task-protection/v1/state"
    rig.mock.answers["UpdateTaskProtection"] = {"failures": [], "protectedTasks": [
        {"taskArn": arn, "protectionEnabled": True, "expirationDate": 1763827200.5}]}
    rig.mock.answers["GetTaskProtection"] = {"protectedTasks": [], "failures": [
        {"arn": arn, "reason": "MISSING", "detail": "d"}]}
    equal(rig.ask(path, "PUT", b'{"ProtectionEnabled": true, "ExpiresInMinutes": 60}'), (200, {
        "protection": {"TaskArn": arn, "ProtectionEnabled": True,
                       "ExpirationDate": "2025-11-22T16:00:00Z"}}))
    equal(rig.mock.called("UpdateTaskProtection"), [{
        "cluster": "default", "tasks": [arn], "protectionEnabled": True, "expiresInMinutes": 60}])
    equal(rig.ask(path), (200, {"failure": {"Arn": arn, "Reason": "MISSING", "Detail": "d"}}))
    for body in b"{}", b'{"ProtectionEnabled": 1}', b'{"ProtectionEnabled": true, "x": 1}', b"[":
        status, tree = rig.ask(path, "PUT", body)
        equal((status, tree["error"]["Code"]), (400, "InvalidParameterException"))
    rig.mock.refuse["GetTaskProtection"] = [(400, "AccessDeniedException", "no")]
    equal(rig.ask(path), (403, {"error": {"Arn": arn, "Code": "AccessDeniedException",
                                          "Message": "no"}}))
    roleless = path_of(TASK + "meta", "ECS_AGENT_URI") + "/task-protection/v1/state"
    equal(rig.ask(roleless)[0], 403)
    equal(rig.ask("/api/nobody/task-protection/v1/state")[0], 404)
    equal(rig.mock.bad_signatures, [])


def keeps_its_ids():
    arn = TASK + "meta"
    web = rig.said_of(arn, "web", "RUNNING")["runtimeId"]
    before = rig.ask(path_of_container(web))
    rig.kill_agent(signal.SIGTERM)
    rig.start_agent()
    rig.mock.wait("the agent", lambda: listens())
    rig.mock.wait("the same answer", lambda: rig.ask(path_of_container(web)) == before)


def listens():
    try:
        return rig.ask("/v1/metadata", port=rig.introspection_port)[0] == 200
    except OSError:
        return False


CASES = [
    ("a task's role credentials are served by their id, and who asked is written down",
     serves_credentials),
    ("secrets are in memory only", secrets_stay_in_memory),
    ("credentials are renewed by message", renews_credentials),
    ("credentials are gone with the agent's restart until sent again, and with the task's end",
     credentials_end_with_the_agent_and_the_task),
    ("containers and tasks are described, in both versions", describes_tasks),
    ("tasks are described with tags, and without associations", tells_tags),
    ("counters of a container and of a task are told", tells_counters),
    ("what is not known is refused as the protocol has it", refuses_what_it_does_not_know),
    ("the machine's tasks are listed", introspects),
    ("nobody else is told of them", introspects_to_its_own_only),
    ("task protection is passed on in the name of the task's role", protects),
    ("a container's id outlives the agent", keeps_its_ids),
    ("sizes, time, connections and rate are bounded", is_bounded),
]

try:
    rig.start()
    rig.start_agent()
    rig.mock.channel("acs")
    for claim, function in CASES:
        tap.case(claim, function, rig.log_tail)
finally:
    rig.stop()
sys.exit(tap.end())
