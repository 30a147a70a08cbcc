"""What the agent's tests stand on: a scratch folder with a private Docker Engine, an image
registry, a CA, the mock control plane over TLS, and the agent itself. TAP on standard output."""
import contextlib
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request

import mock_ecs

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
AGENT = os.path.join(TOP, os.environ.get("BUILD", "build"), "berth-agent")
TASK = mock_ecs.ARN + "task/default/"


class Tap:
    """tap.case("claim", function): one line per claim; a failure shows where and the agent's log."""

    def __init__(self):
        self.count, self.failed = 0, 0

    def case(self, claim, function, on_failure=None):
        self.count += 1
        began = time.monotonic()
        try:
            function()
            print("ok %d - %s # %.1f s" % (self.count, claim, time.monotonic() - began), flush=True)
        except Exception:
            self.failed += 1
            print("not ok %d - %s" % (self.count, claim), flush=True)
            for line in traceback.format_exc().splitlines() + (on_failure() if on_failure else []):
                print("# " + line, flush=True)

    def end(self):
        print("1..%d" % self.count, flush=True)
        return 1 if self.failed else 0


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def take_octet():
    """An octet of 10.213.0.0/16 that no other rig has, and the socket that holds it for this process:
    the kernel lets go of its name when the process dies."""
    used = subprocess.run(["ip", "-o", "-4", "addr"], check=True, stdout=subprocess.PIPE).stdout.decode()
    for octet in range(1, 255):
        if " 10.213.%d." % octet not in used:
            holder = socket.socket(socket.AF_UNIX)
            try:
                holder.bind("\0berth-rig-%d" % octet)
                return octet, holder
            except OSError:
                holder.close()
    raise RuntimeError("all of 10.213.0.0/16 is taken: dead rigs' bridges? see tests/lib/sweep.sh")


class Rig:
    def __init__(self):
        """Any number of rigs may be up at a time. The bridge's name tells whose it is (tests/lib/sweep.sh)."""
        self.dir = tempfile.mkdtemp(prefix="berth-agent-")
        self.bridge = "bragt%d" % os.getpid()
        octet, self.octet_holder = take_octet()
        self.subnet = "10.213.%d.1/24" % octet
        self.docker_dir = self.dir + "/docker"
        self.socket = self.docker_dir + "/docker.sock"
        self.agent = self.registry = None
        self.settings = {}
        self.endpoint_port, self.introspection_port = free_port(), free_port()
        self.log_path = self.dir + "/agent.log"
        self.out = self.dir + "/out"   # containers write here
        os.mkdir(self.out)

    def start(self):
        self._certificates()
        self.mock = mock_ecs.MockEcs(tls=(self.dir + "/server.pem", self.dir + "/server.key"))
        self.dockerd("start", self.bridge, self.subnet)
        self._registry()
        self._image()

    def stop(self):
        self.kill_agent(signal.SIGTERM)
        if self.registry:
            self.registry.kill()
            self.registry.wait()
        try:
            for container in self.docker("ps", "-aq").split():
                self.docker("rm", "-fv", container)
        finally:
            self.dockerd("stop")
            self._remove_groups()
        self.mock.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def _run(self, *words, **more):
        return subprocess.run(words, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              **more).stdout

    def openssl(self, *words):
        return self._run("openssl", *words, cwd=self.dir)

    def _certificates(self):
        openssl = self.openssl
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
                "-days", "2", "-subj", "/CN=test ca")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out", "server.csr",
                "-subj", "/CN=test server")
        with open(self.dir + "/san", "w") as san:
            san.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2",
                "-CAcreateserial", "-extfile", "san", "-out", "server.pem")

    def _registry(self):
        self.registry_port = free_port()
        with open(self.dir + "/registry.yml", "w") as f:
            f.write("version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: %s/registry\n"
                    "http:\n  addr: 127.0.0.1:%d\n" % (self.dir, self.registry_port))
        with open(self.dir + "/registry.log", "w") as log:
            self.registry = subprocess.Popen(["docker-registry", "serve", self.dir + "/registry.yml"],
                                             stdout=log, stderr=log)
        self.image = "127.0.0.1:%d/bb:1" % self.registry_port

    def _image(self):
        root = self.dir + "/root"
        os.makedirs(root + "/bin")
        os.makedirs(root + "/tmp")
        shutil.copy("/bin/busybox", root + "/bin/busybox")
        for name in self._run("/bin/busybox", "--list").decode().split():
            if name != "busybox":
                os.symlink("busybox", root + "/bin/" + name)
        tar = self._run("tar", "-C", root, "-c", ".")
        self._run("docker", "-H", "unix://" + self.socket, "import", "-c",
                  "ENV PATH=/bin", "-", self.image, input=tar)
        for _ in range(50):
            try:
                socket.create_connection(("127.0.0.1", self.registry_port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        self.docker("push", "-q", self.image)

    def dockerd(self, command, *words):
        # its output must not be a pipe: the daemon would hold it open
        with open(self.dir + "/dockerd.out", "a") as log:
            subprocess.run([TOP + "/tests/lib/dockerd.sh", command, self.docker_dir, *words],
                           check=True, stdout=log, stderr=log)

    def power_cut(self):
        """All of Docker and of the containers dies at once; control groups go, as after a reboot. Gives
        processes that have taken dead containers' pids, where they could be had."""
        self.kill_agent()
        pids = self._run(TOP + "/tests/lib/dockerd.sh", "power", self.docker_dir).split()
        self._remove_groups()
        return [p for p in map(self._with_pid, map(int, pids)) if p]

    def _remove_groups(self):
        """The control groups of all containers, and what Docker lost in them when it was killed."""
        for file in glob.glob(self.dir + "/data/tasks/*.json"):
            task = os.path.basename(file)[:-5]
            ids = [c["docker_id"] for c in self.saved(task)["containers"] if c["docker_id"]]
            for tasks in glob.glob("/sys/fs/cgroup/*/ecs") + glob.glob("/sys/fs/cgroup/ecs"):
                for id_ in set(ids).intersection(os.listdir(tasks)):
                    self._remove_group(tasks + "/" + id_)
                self._remove_task_group(tasks + "/" + task, ids)

    def _remove_task_group(self, group, ids):
        if not os.path.isdir(group):
            return
        for id_ in set(ids).intersection(os.listdir(group)):
            self._remove_group(group + "/" + id_)
        try:
            os.rmdir(group)
        except OSError:
            pass  # a rig beside this one has a task of the same name

    @staticmethod
    def _remove_group(path):
        """The last threads of killed processes may still be on their way out."""
        for attempt in range(100):
            try:
                with open(path + "/cgroup.procs") as processes:
                    for pid in processes.read().split():
                        os.kill(int(pid), signal.SIGKILL)
                return os.rmdir(path)
            except ProcessLookupError:
                pass
            except OSError:
                if attempt == 99:
                    raise
                time.sleep(0.1)

    @staticmethod
    def _with_pid(pid):
        for _ in range(5):
            with open("/proc/sys/kernel/ns_last_pid", "w") as last:
                last.write(str(pid - 1))
            process = subprocess.Popen(["sleep", "300"])
            if process.pid == pid:
                return process
            process.kill()
            process.wait()
        return None

    def docker(self, *words):
        return self._run("docker", "-H", "unix://" + self.socket, *words).decode().strip()

    def inspect(self, name):
        return json.loads(self.docker("inspect", name))[0]

    def containers(self, task):
        """Ids of all containers of a task, stopped ones too."""
        return self.docker("ps", "-aq", "--no-trunc", "--filter",
                           "label=com.amazonaws.ecs.task-arn=" + task).split()

    def _debug(self, on):
        with open(self.docker_dir + "/daemon.json", "w") as f:
            json.dump({"debug": on}, f)
        with open(self.docker_dir + "/docker.pid") as f:
            os.kill(int(f.read()), signal.SIGHUP)

    def docker_calls(self, function):
        """What everybody asks of Docker while function runs: "METHOD /path?query" without the version, in turn.
        Docker itself tells, which is bidden to log them for that time."""
        path = self.docker_dir + "/dockerd.log"
        mark = os.path.getsize(path)

        def calls():
            with open(path) as f:
                f.seek(mark)
                # msg="Calling POST /v1.41/containers/create?name=x", and newer ones say more behind it
                found = re.findall(r'Calling ([A-Z]+) (?:/v[0-9.]+)?(/[^ "]*)', f.read())
            return [" ".join(call) for call in found]

        self._debug(True)
        try:
            for _ in range(100):
                self.docker("version")
                if calls():
                    break
                time.sleep(0.05)
            before = len(calls())
            function()
            return calls()[before:]
        finally:
            self._debug(False)

    # -- the agent

    def start_agent(self, **settings):
        """settings: lines of the configuration, and BERTH_FAULT* of the environment. No other agent runs."""
        self.mock.client_died()
        lines = {
            "BERTH_ENDPOINT": self.mock.url, "BERTH_REGION": mock_ecs.REGION,
            "BERTH_CA": self.dir + "/ca.pem", "BERTH_INSTANCE_ID": "i-0123456789abcdef0",
            "AWS_ACCESS_KEY_ID": mock_ecs.KEY, "AWS_SECRET_ACCESS_KEY": mock_ecs.SECRET,
            "AWS_SESSION_TOKEN": mock_ecs.TOKEN, "BERTH_DOCKER": self.socket,
            "BERTH_DATA_DIR": self.dir + "/data", "BERTH_BATCH": "300ms", "BERTH_PUBLISH": "500ms",
            "BERTH_ENDPOINT_PORT": self.endpoint_port,
            "BERTH_INTROSPECTION_PORT": self.introspection_port, "BERTH_STOP_TIMEOUT": "5s", "BERTH_PULL_RETRY": "200ms", "BERTH_LOG_LEVEL": "debug"}
        lines.update(self.settings)
        lines.update(settings)
        environment = {"PATH": os.environ["PATH"]}
        for name in list(lines):
            if name.startswith("BERTH_FAULT") or name.endswith("_OPTIONS"):
                environment[name] = lines.pop(name)
        # G_SLICE=always-malloc: ThreadSanitizer does not see the locks of GLib's own allocator
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "G_SLICE"):
            if name in os.environ:
                environment[name] = os.environ[name]
        self.config = self.dir + "/agent.conf"
        with open(self.config, "w") as f:
            f.writelines("%s=%s\n" % item for item in lines.items())
        self.log_start = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        with open(self.log_path, "a") as log:
            self.agent = subprocess.Popen([AGENT, "--config", self.config], env=environment,
                                          stdout=log, stderr=log)

    def kill_agent(self, signal_number=signal.SIGKILL):
        if self.agent and self.agent.poll() is None:
            self.agent.send_signal(signal_number)
        if self.agent:
            self.agent.wait(10)

    def log(self):
        with open(self.log_path) as f:
            f.seek(self.log_start)
            return f.read()

    @contextlib.contextmanager
    def watched(self, tap):
        """The agent ends with the block; its last words are shown when something failed there."""
        try:
            yield
        finally:
            if tap.failed or sys.exc_info()[0]:
                print("\n".join("# " + line for line in self.log_tail()))
            self.kill_agent(signal.SIGTERM)

    def log_tail(self):
        return self.log().splitlines()[-40:] + ["bad signatures: %r" % self.mock.bad_signatures]

    def memory_kib(self):
        with open("/proc/%d/status" % self.agent.pid) as f:
            return int(next(line for line in f if line.startswith("VmRSS")).split()[1])

    def saved(self, id_):
        """The agent's record of a task."""
        with open("%s/data/tasks/%s.json" % (self.dir, id_)) as f:
            return json.load(f)

    # -- tasks

    def container(self, name="app", command="sleep 1000", **more):
        return dict({"name": name, "image": self.image, "cpu": 10, "memory": 32, "essential": True,
                     "entryPoint": ["sh", "-c"], "command": [command]}, **more)

    def task(self, id_, *containers, **more):
        return dict({"arn": TASK + id_, "desiredStatus": "RUNNING", "family": "fam", "version": "3",
                     "containers": list(containers)}, **more)

    def run(self, id_, *containers, **more):
        """Sends a task and gives its ARN, once it is acknowledged."""
        self.mock.payload("run-" + id_, self.task(id_, *containers, **more))
        self.mock.wait_ack("run-" + id_)
        return TASK + id_

    def stop_task(self, arn):
        self.mock.payload("stop-" + arn[-12:], {"arn": arn, "desiredStatus": "STOPPED"})

    def said_of(self, arn, container, status):
        """The entry in which the agent reported this status of a container."""
        return next((c for r in self.mock.reports(arn) for c in r["containers"]
                     if c["containerName"] == container and c["status"] == status), None)

    def wait_said(self, arn, container, status, seconds=40):
        return self.mock.wait("%s of %s" % (status, container),
                              lambda: self.said_of(arn, container, status), seconds)

    def fetch(self, port, path="/"):
        for _ in range(30):
            try:
                with urllib.request.urlopen("http://127.0.0.1:%d%s" % (port, path), timeout=2) as r:
                    return r.read().decode()
            except OSError:
                time.sleep(0.1)
        raise AssertionError("nothing is served on port %d" % port)

    def ask(self, path, method="GET", body=None, port=None):
        """Status and tree that the agent answers on its task endpoint, or on another port."""
        request = urllib.request.Request("http://127.0.0.1:%d%s" % (port or self.endpoint_port, path),
                                         data=body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as r:
                return r.status, json.load(r)
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.load(refusal)

    def written(self, name):
        try:
            with open(self.out + "/" + name) as f:
                return f.read()
        except FileNotFoundError:
            return ""

    OUT_MOUNT = {"sourceVolume": "out", "containerPath": "/out"}

    def out_volume(self):
        return {"name": "out", "host": {"sourcePath": self.out}}


def within(seconds, find):
    """What find() gives as soon as it is true, or when time is up."""
    end = time.monotonic() + seconds
    while True:
        found = find()
        if found or time.monotonic() > end:
            return found
        time.sleep(0.1)


def equal(a, b):
    if a != b:
        raise AssertionError("%r is not %r" % (a, b))


def check(condition, words):
    if not condition:
        raise AssertionError(words)
