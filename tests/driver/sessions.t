#!/usr/bin/python3
"""The command line on a machine made a container instance over a loopback sshd: install, exec, logs,
upgrade, roll-back, remove, with berthd, a private Docker Engine and the real agent in its container."""
import os
import shutil
import signal
import subprocess
import sys
import time
import types

LIB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(LIB, "lib"))
sys.path.insert(0, os.path.join(LIB, "api", "lib"))
from agent_rig import Rig, free_port  # noqa: E402
from berth_test import BUILD, Berth, run, tap  # noqa: E402

TALK = "n=0; while :; do n=$((n+1)); echo line $n; echo odd $n >&2; sleep 0.2; done"


class Machine:
    """sshd on 127.0.0.1 with keys of its own, and a profile of the command line."""

    def __init__(self, rig, berth):
        self.rig, self.dir, self.port = rig, rig.dir + "/ssh", free_port()
        self.folder = rig.dir + "/agent"
        os.makedirs(self.dir)
        for name in ("host", "user"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{self.dir}/{name}")
        shutil.copy(self.dir + "/user.pub", self.dir + "/authorized")
        with open(self.dir + "/host.pub") as key:
            line = key.read()
        with open(self.dir + "/known", "w") as f:
            f.write(f"[127.0.0.1]:{self.port} {line}")
        open(self.dir + "/nobody", "w").close()
        with open(self.dir + "/config", "w") as f:
            f.write(f"ListenAddress 127.0.0.1:{self.port}\nHostKey {self.dir}/host\nPidFile none\n"
                    f"AuthorizedKeysFile {self.dir}/authorized\nStrictModes no\nUsePAM no\n"
                    "PermitRootLogin yes\nPasswordAuthentication no\n")
        os.makedirs("/run/sshd", exist_ok=True)
        self.sshd = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", self.dir + "/config"],
                                     stderr=open(self.dir + "/log", "w"))
        self.env, self.berth = berth.profile(), berth.verb

    def popen(self, *words):
        with open(self.dir + "/output", "w") as out:
            return subprocess.Popen([os.path.join(BUILD, "berth"), *words], env=self.env, stdout=out,
                                    stderr=subprocess.STDOUT, start_new_session=True)

    def output(self):
        with open(self.dir + "/output") as f:
            return f.read()

    def install(self, known="known"):
        return self.berth("agent", "install", "--host", "root@127.0.0.1", "--port", str(self.port),
                          "--identity", self.dir + "/user", "--known-hosts", f"{self.dir}/{known}",
                          "--docker-socket", self.rig.socket, "--folder", self.folder)

    def stop(self):
        self.sshd.terminate()
        self.sshd.wait()


def good(done, claim):
    return tap.ok(done.returncode == 0, claim, f"{done.returncode}\n{done.stdout}{done.stderr}")


def installs(m, berth, ecs):
    done = m.install(known="nobody")
    tap.ok(done.returncode == 1 and not os.path.exists(m.folder), "a host key that is not known is refused", done.stderr)
    tap.is_(berth.sql("SELECT count(*) FROM external_instances"), [["0"]], "and nothing was made for it")
    done = m.install()
    if not good(done, "berth agent install makes a machine a container instance"):
        return None
    machine = done.stdout.split()[-1]
    there = ecs.describe_container_instances(containerInstances=ecs.list_container_instances()["containerInstanceArns"])
    tap.is_([(c["ec2InstanceId"], c["agentConnected"]) for c in there["containerInstances"]], [(machine, True)],
            "which is connected, under the machine's id")
    tap.is_(m.berth("agent", "status").stdout.splitlines()[1].split()[5][:3], m.rig.docker("version", "-f", "{{.Server.Version}}")[:3],
            "berth agent status shows Docker's version alone")
    again = m.install()
    tap.ok(again.returncode == 1 and machine in again.stderr, "a second agent there is refused by name", again.stderr)
    return machine


def execs(m, task):
    def shell(command, **more):
        return m.berth("exec", task[:10], "--", "sh", "-c", command, **more)
    done = m.berth("exec", task, "-c", "one", "--", "sh", "-c", "echo out; echo err >&2; exit 42")
    tap.is_((done.returncode, done.stdout, done.stderr), (42, "out\n", "err\n"), "exec passes exit code and both outputs")
    done = shell("cat; echo end", value="a\nb'\"\n")
    tap.is_((done.returncode, done.stdout), (0, "a\nb'\"\nend\n"), "standard input is piped")
    done = subprocess.run(["script", "-qec", f"{BUILD}/berth exec {task} -- sh -c 'test -t 0 && test -t 1 && exit 7'", "/dev/null"],
                          env=m.env, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    tap.is_(done.returncode, 7, "with a terminal here there is one in the container")
    hostile = ["a b", "it's", '"q"', "$(touch /tmp/owned)", "`id`", ";exit 9", "new\nline", "\\", "*", "", "--help", "!x"]
    done = m.berth("exec", task, "--", "sh", "-c", 'for a; do printf "<%s>" "$a"; done', "sh", *hostile)
    tap.is_(done.stdout, "".join(f"<{a}>" for a in hostile), "hostile words arrive as they are")
    done = m.berth("exec", task, "-c", "three", "--", "true")
    tap.ok(done.returncode == 3 and "one, two" in done.stderr, "an unknown container is refused with those there are", done.stderr)
    tap.is_(m.berth("exec", "0" * 32, "--", "true").returncode, 3, "an unknown task too")
    why = m.berth("why", task).stdout
    tap.ok("exec in container \"one\"" in why and "exit 42" in why and ":user/admin" in why, "berth why tells who asked for what", why)
    tap.ok("new\nline" not in why and "new\\nline" in why, "on one line")


def logs(m, berth, ecs, task):
    done = m.berth("logs", task, "-c", "one", "--tail", "2")
    tap.ok(done.returncode == 0 and len(done.stdout.splitlines()) + len(done.stderr.splitlines()) == 2, "logs of one container, the last lines", done)
    done = m.berth("logs", task, "--tail", "1")
    tap.ok(f"{task[:12]} one | " in done.stdout + done.stderr and f"{task[:12]} two | two speaks" in done.stdout,
           "logs of all containers of a task are told apart", done)
    ecs.create_service(serviceName="talk", taskDefinition="talk", desiredCount=1)
    first = berth.wait_for(lambda: running(ecs), 30, 0.2)
    follow = m.popen("logs", "-f", "talk")
    ecs.update_service(service="talk", desiredCount=2)
    both = berth.wait_for(lambda: len(running(ecs) or []) == 2 and running(ecs), 30, 0.2)
    ids = {arn.rsplit("/", 1)[1][:12] for arn in both or []}
    seen, end = set(), time.monotonic() + 20
    text = ""
    while time.monotonic() < end and not (ids and ids <= seen):
        text = m.output()
        seen = {line.split(" ")[0] for line in text.splitlines() if " t | line " in line}
        time.sleep(0.1)
    tap.ok(first and len(ids) == 2 and ids <= seen, "logs -f of a service follows two tasks, one of them new", text[-2000:])
    ecs.stop_task(task=first[0])
    berth.wait_for(lambda: first[0] not in (running(ecs) or []), 20, 0.2)
    tap.ok(follow.poll() is None, "and survives a task's end")
    os.killpg(follow.pid, signal.SIGTERM)
    follow.wait()
    ecs.update_service(service="talk", desiredCount=0)
    quiet = m.popen("logs", "-f", "-c", "two", task)
    clients = lambda: subprocess.run(["pgrep", "-f", f"{m.rig.socket} logs --follow"], stdout=subprocess.PIPE, text=True).stdout.split()
    tap.ok(berth.wait_for(clients, 20, 0.1), "logs -f follows one that says nothing")
    os.killpg(quiet.pid, signal.SIGKILL)
    quiet.wait()
    tap.ok(berth.wait_for(lambda: not clients(), 20, 0.2), "and leaves nothing behind there when it is killed", clients())


def running(ecs):
    arns = ecs.list_tasks(serviceName="talk")["taskArns"]
    found = ecs.describe_tasks(tasks=arns)["tasks"] if arns else []
    return [t["taskArn"] for t in found if t["lastStatus"] == "RUNNING"]


def upgrades(m, rig, berth, ecs, task):
    before = rig.containers(ecs.describe_tasks(tasks=[task])["tasks"][0]["taskArn"])
    agent = rig.docker("inspect", "-f", "{{.Id}}", "berth-agent")
    done = m.berth("agent", "upgrade")
    good(done, "berth agent upgrade replaces the agent")
    tap.ok(rig.docker("inspect", "-f", "{{.Id}}", "berth-agent") != agent, "by another container")
    arn = ecs.describe_tasks(tasks=[task])["tasks"][0]["taskArn"]
    tap.is_(rig.containers(arn), before, "while a task keeps its containers")
    bad = rig.dir + "/bad.tar"
    tree = rig.dir + "/badtree"
    os.makedirs(tree + "/bin")
    shutil.copy("/bin/busybox", tree + "/bin/false")
    run("images/container-archive.sh", tree, bad, "berth-agent:latest", '{"Entrypoint":["/bin/false"]}')
    done = m.berth("agent", "upgrade", "--image", bad, "--timeout", "6")
    tap.ok(done.returncode == 1 and "the former agent is back" in done.stderr, "an agent that does not connect is rolled back", done.stderr)
    there = ecs.describe_container_instances(containerInstances=ecs.list_container_instances()["containerInstanceArns"])
    tap.ok(there["containerInstances"][0]["agentConnected"], "the former one is connected")
    tap.is_(rig.containers(arn), before, "and the task keeps its containers still")


def credentials(berth, machine):
    return {row[0] for row in berth.sql(f"SELECT access_key_id FROM sessions WHERE subject = '{machine}'", "berth_identity")}


def said(rig):
    return subprocess.run(["docker", "-H", "unix://" + rig.socket, "logs", "berth-agent"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True).stdout


def settings_of(m):
    with open(m.folder + "/etc/agent.conf") as f:
        return dict(line.rstrip("\n").split("=", 1) for line in f)


def good_keys(berth, settings):
    sts = berth.client("sts", *(settings["AWS_" + name] for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")))
    try:
        return sts.get_caller_identity()
    except sts.exceptions.ClientError:
        return None


def renews(m, rig, berth, ecs, machine, task):
    """The credentials of a machine that was away have ended: those in its settings, and those it was sent."""
    connected = lambda: ecs.describe_container_instances(
        containerInstances=ecs.list_container_instances()["containerInstanceArns"])["containerInstances"][0]["agentConnected"]
    arn = ecs.describe_tasks(tasks=[task])["tasks"][0]["taskArn"]
    before = rig.containers(arn)
    rig.docker("stop", "berth-agent")
    berth.client("berth").delete_external_credentials(InstanceId=machine)
    old = settings_of(m)
    tap.ok(berth.wait_for(lambda: not connected() and not good_keys(berth, old), 60, 0.5), "an agent is away, and its credentials end")
    rig.docker("start", "berth-agent")
    refusal = berth.wait_for(lambda: "security token included in the request is invalid" in said(rig), 30, 0.2)
    tap.ok(refusal and not connected(), "it is back, and not let in", said(rig)[-1000:])
    tap.is_(m.berth("agent", "renew", "mi-00000000000000000").returncode, 3, "berth agent renew refuses a machine that is none")
    tap.is_(credentials(berth, machine), set(), "and makes no credentials for anybody")
    done = m.berth("agent", "renew", machine)
    tap.ok((done.returncode, done.stdout) == (0, "renewed\n"), "berth agent renew gives the agent new ones", f"{done.returncode}\n{done.stdout}{done.stderr}")
    settings = settings_of(m)
    tap.is_((os.stat(m.folder + "/etc/agent.conf").st_mode & 0o777, {settings["AWS_ACCESS_KEY_ID"]}), (0o600, credentials(berth, machine)),
            "in its settings, for root alone; they are the only ones")
    tap.ok(not any(settings[name] in done.stdout + done.stderr for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")), "and are not shown")
    tap.ok(berth.wait_for(connected, 60, 0.2), "the running agent takes them and connects", said(rig)[-1000:])
    tap.is_((rig.containers(arn), ecs.describe_tasks(tasks=[task])["tasks"][0]["lastStatus"]), (before, "RUNNING"), "its task went on all the time")


def removes(m, rig, berth, ecs, machine, task):
    done = m.berth("agent", "remove", machine)
    tap.ok(done.returncode == 1 and "tasks are there" in done.stderr, "a machine with tasks is not removed", done.stderr)
    good(m.berth("agent", "remove", machine, "--force"), "unless forced")
    tap.is_(rig.docker("ps", "-aq"), "", "then no container is left")
    tap.ok(not os.path.exists(m.folder), "nor a file")
    tap.is_(berth.sql("SELECT count(*) FROM sessions", "berth_identity"), [["0"]], "nor credentials")
    done = m.berth("exec", task, "--", "true")
    tap.ok(done.returncode == 1 and "STOPPED" in done.stderr, "exec in a stopped task says why it stopped", done.stderr)


rig = Rig()
machine = None
rig.mock = types.SimpleNamespace(stop=lambda: None)
try:
    rig.dockerd("start", rig.bridge, rig.subnet)
    rig._registry()
    rig._image()
    with Berth(role="all") as daemon:
        machine = Machine(rig, daemon)
        client = daemon.client("ecs")
        daemon.client("berth").create_zone(ZoneName="home-1a")
        made = installs(machine, daemon, client)
        if made:
            client.register_task_definition(family="pair", containerDefinitions=[
                {"name": "one", "image": rig.image, "memory": 32, "entryPoint": ["sh", "-c"], "command": [TALK], "stopTimeout": 2},
                {"name": "two", "image": rig.image, "memory": 32, "entryPoint": ["sh", "-c"], "stopTimeout": 2,
                 "command": ["echo two speaks; exec sleep 1000"]}])
            client.register_task_definition(family="talk", containerDefinitions=[
                {"name": "t", "image": rig.image, "memory": 32, "entryPoint": ["sh", "-c"], "command": [TALK], "stopTimeout": 2}])
            arn = client.run_task(taskDefinition="pair")["tasks"][0]["taskArn"]
            task = arn.rsplit("/", 1)[1]
            up = daemon.wait_for(lambda: client.describe_tasks(tasks=[task])["tasks"][0]["lastStatus"] == "RUNNING", 30, 0.2)
            tap.ok(up, "a task runs there", rig.docker("logs", "berth-agent"))
            execs(machine, task)
            logs(machine, daemon, client, task)
            upgrades(machine, rig, daemon, client, task)
            renews(machine, rig, daemon, client, made, task)
            removes(machine, rig, daemon, client, made, task)
        if tap.failed:
            daemon.show_log(20)
finally:
    if machine:
        machine.stop()
    rig.stop()
tap.done()
