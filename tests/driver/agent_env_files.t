#!/usr/bin/python3
"""Environment files: fetched with the task's execution role from an S3-compatible store."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import mock_ecs  # noqa: E402
from agent_rig import TASK, Rig, Tap, check, equal  # noqa: E402
from mock_s3 import MockS3  # noqa: E402

rig, tap = Rig(), Tap()
ROLE = {"credentialsId": "cred-exec", "roleArn": "arn:aws:iam::000000000001:role/exec",
        "accessKeyId": "ASIAEXECEXECEXECEXEC", "secretAccessKey": "exec/secret+", "sessionToken": "exec//token==",
        "expiration": "2030-01-01T00:00:00Z"}
REASON = "ResourceInitializationError: failed to download env files: "


def task(name, *keys, role=ROLE, **more):
    files = [{"value": "arn:aws:s3:::" + key, "type": "s3"} for key in keys]
    credentials = {"executionRoleCredentials": role} if role else {}
    return rig.task(name, rig.container(environmentFiles=files, stopTimeout=1, **more), **credentials)


def start(name, *keys, **more):
    rig.mock.payload("m-" + name, task(name, *keys, **more))
    rig.mock.wait_ack("m-" + name)
    return TASK + name


def environment(arn):
    rig.wait_said(arn, "app", "RUNNING")
    return dict(e.split("=", 1) for e in rig.inspect(rig.containers(arn)[0])["Config"]["Env"])


def fetched():
    s3.objects["/conf/a b/ünï+1.env"] = (
        "# a comment\nONE=1\r\nQUOTED=\"x y\" \nEQUALS=a=b\nMINE=file\nEMPTY=\n=nothing\nwords\n"
        "#OFF=1\nLAST=no end").encode()
    s3.objects["/conf/two.env"] = b"ONE=second\nTWO=2\n"
    env = environment(start("files", "conf/a b/ünï+1.env", "conf/two.env", environment={"MINE": "own"}))
    for name, value in {"ONE": "1", "QUOTED": "\"x y\" ", "EQUALS": "a=b", "MINE": "own", "LAST": "no end",
                        "TWO": "2", "PATH": "/bin"}.items():
        equal((name, env.get(name)), (name, value))
    check(not {"EMPTY", "OFF", "#OFF", "words", ""} & set(env), env)
    equal({key for _, key in s3.asked}, {ROLE["accessKeyId"]})


def stopped(name, words, *keys, **more):
    report = rig.mock.wait_report(start(name, *keys, **more), "STOPPED", 40)
    check(report["reason"].startswith(REASON) and words in report["reason"], report["reason"])
    check("exitCode" not in report["containers"][0], report)
    check(report["containers"][0]["reason"].startswith("ResourceInitializationError: "), report)
    equal(rig.containers(TASK + name), [])


def refused():
    s3.objects["/conf/long.env"] = b"A=" + b"x" * (64 * 1024)
    s3.objects["/conf/large.env"] = b"A=1\n" * (300 * 1024)
    s3.objects["/conf/binary.env"] = b"A=\xff\xfe\n"
    s3.objects["/conf/many.env"] = b"".join(b"N%d=1\n" % n for n in range(1001))
    stopped("missing", "404 NoSuchKey", "conf/missing.env")
    stopped("long", "longer than 65536", "conf/long.env")
    stopped("large", "conf/large.env", "conf/large.env")
    stopped("binary", "not text", "conf/binary.env")
    stopped("many", "more than 1000", "conf/many.env")
    stopped("dots", "does not name an object", "conf/../secret.env")
    stopped("nobody", "unable to find execution role credentials", "conf/two.env", role=None)
    stopped("stranger", "403", "conf/two.env", role=dict(ROLE, secretAccessKey="other"))
    del s3.bad[:]  # that one was wrong by intent


def busy():
    s3.refuse[:] = [(503, "SlowDown"), (500, "InternalError")]
    equal(environment(start("busy", "conf/two.env"))["TWO"], "2")
    equal(s3.refuse, [])
    s3.refuse[:] = [(503, "SlowDown")] * 5
    stopped("busier", "503 SlowDown", "conf/two.env")


def credentials_come_later():
    """The agent dies with the task on disk and no credentials; they are sent to the next one."""
    rig.kill_agent()
    rig.start_agent(BERTH_FAULT="agent.acknowledged")
    rig.mock.channel("acs")
    rig.mock.payload("m-later", task("later", "conf/two.env"))
    rig.agent.wait(20)
    asked = len(s3.asked)
    rig.start_agent()
    rig.mock.channel("acs")
    with open("%s/data/tasks/later.json" % rig.dir) as saved:
        check("secret" not in saved.read(), "secrets stay off the disk")
    rig.mock.wait("the pull", lambda: rig.saved("later")["containers"][0]["at"] == 1)
    equal((len(s3.asked), rig.containers(TASK + "later")), (asked, []))
    rig.mock.send("IAMRoleCredentialsMessage", {
        "messageId": "cr-later", "taskArn": TASK + "later", "roleType": "TaskExecution", "roleCredentials": ROLE})
    equal(environment(TASK + "later")["TWO"], "2")


def own_keys():
    rig.kill_agent()
    s3.keys["AKIAOWN"] = ("own secret", None)
    rig.start_agent(BERTH_S3_ACCESS_KEY_ID="AKIAOWN", BERTH_S3_SECRET_ACCESS_KEY="own secret")
    equal(environment(start("own", "conf/two.env", role=None))["TWO"], "2")
    equal(s3.asked[-1], ("/conf/two.env", "AKIAOWN"))


def no_store():
    attributes = lambda: [a["name"] for a in rig.mock.called("RegisterContainerInstance")[-1]["attributes"]]
    check("ecs.capability.env-files.s3" in attributes(), "the capability is told")
    rig.kill_agent()
    calls = len(rig.mock.called("RegisterContainerInstance"))
    rig.start_agent(BERTH_S3_ENDPOINT="")
    rig.mock.wait("registration", lambda: len(rig.mock.called("RegisterContainerInstance")) > calls)
    stopped("nowhere", "BERTH_S3_ENDPOINT is not set", "conf/two.env")
    check("ecs.capability.env-files.s3" not in attributes(), "and is not without a store")


s3 = None
try:
    rig.start()
    s3 = MockS3(mock_ecs.REGION, tls=(rig.dir + "/server.pem", rig.dir + "/server.key"))
    s3.keys[ROLE["accessKeyId"]] = (ROLE["secretAccessKey"], ROLE["sessionToken"])
    rig.settings.update({"BERTH_PULL_BEHAVIOR": "prefer-cached", "BERTH_S3_ENDPOINT": s3.url,
                         "BERTH_S3_CA": rig.dir + "/ca.pem"})
    rig.start_agent()
    rig.mock.channel("acs")
    tap.case("files become the container's environment", fetched, rig.log_tail)
    tap.case("what cannot be had ends the task and says why", refused, rig.log_tail)
    tap.case("a busy store is asked again", busy, rig.log_tail)
    tap.case("a task waits for credentials that were lost with the agent", credentials_come_later, rig.log_tail)
    tap.case("the agent's own keys", own_keys, rig.log_tail)
    tap.case("no store", no_store, rig.log_tail)
    tap.case("every request was signed right", lambda: equal((s3.bad, rig.mock.bad_signatures), ([], [])))
finally:
    if s3:
        s3.stop()
    rig.stop()
sys.exit(tap.end())
