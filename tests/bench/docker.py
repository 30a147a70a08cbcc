"""A task against a plain container: one real Docker Engine, berthd, the agent, and Docker itself.

    /usr/bin/python3 tests/bench/docker.py [PART...]      (one pulled many killed counts; run by `make bench`)

Both sides ask the same private engine for the same image, command and network, turn by turn, so that whatever
else the machine does hits both. "Running" is the engine's own start event; "told" is when DescribeTasks
says RUNNING. The database flushes to disk as in earnest. "More" is the median of what rounds differ by, not the
difference of medians. In the environment: BENCH_ROUNDS=N of each part; BENCH_STATEMENTS=1 lists what the
database was asked; BENCH_LOG=debug shows the logs.
"""

import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
import types
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "api", "lib"), os.path.join(HERE, "..", "lib")]
from agent_rig import Rig  # noqa: E402
from berth_test import Berth  # noqa: E402

SHARES = 1024 # of a processor, as Docker gives: with fewer a container starts slower than its neighbours
COMMAND = "trap 'exit 0' TERM; sleep 100000 & wait"
SWARM_LABEL = "com.docker.swarm.service.name"
PLAIN_LABEL = "bench.plain"
TASK_LABEL = "com.amazonaws.ecs.task-arn"
REST = 2  # seconds: what ends a service goes on after its last container is gone
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "0"))


def line(name, value):
    print(f"{name:<58} {value}", flush=True)


def ms(seconds):
    return f"{seconds * 1000:.0f} ms"


def told(values):
    """Median, and how far the rounds are apart."""
    return f"{ms(statistics.median(values)):>8}  ({ms(min(values))} to {ms(max(values))}, {len(values)} rounds)"


def more(values, than):
    return told([a - b for a, b in zip(values, than)])


class Engine:
    """Docker's API on its socket, and its events as they come."""

    def __init__(self, path):
        self.path = path
        self.events, self.changed = [], threading.Condition()
        self.stream = self.connect()
        self.stream.request("GET", "/v1.41/events?filters=%7B%22type%22%3A%5B%22container%22%5D%7D")
        self.answer = self.stream.getresponse()
        threading.Thread(target=self.listen, daemon=True).start()

    def connect(self):
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self.path)
        return connection

    def call(self, method, path, tree=None):
        connection = self.connect()
        body = json.dumps(tree) if tree is not None else None
        connection.request(method, "/v1.41" + path, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status >= 400:
            raise RuntimeError(f"docker: {method} {path}: {answer.status} {text[:300]!r}")
        return json.loads(text) if text and answer.status != 204 else None

    def listen(self):
        try:
            for text in self.answer:
                if not text.strip():
                    continue
                event = json.loads(text)
                with self.changed:
                    self.events.append((event["timeNano"] / 1e9, event["Action"], event["Actor"]["ID"],
                                        event["Actor"]["Attributes"]))
                    self.changed.notify_all()
        except (OSError, ValueError):
            pass # the engine has ended

    def forget(self):
        with self.changed:
            self.events.clear()

    def wait(self, count, match, action="start", seconds=120):
        """Times of the first count events that match(id, attributes)."""
        until = time.monotonic() + seconds
        with self.changed:
            while True:
                found = [(at, id_) for at, act, id_, words in self.events if act == action and match(id_, words)]
                if len(found) >= count:
                    return found[:count]
                left = until - time.monotonic()
                if left <= 0:
                    raise RuntimeError(f"{len(found)} of {count} containers: {action} within {seconds} s")
                self.changed.wait(left)

    def ids(self, label=None):
        query = "&filters=" + urllib.parse.quote(json.dumps({"label": [label]})) if label else ""
        return [c["Id"] for c in self.call("GET", "/containers/json?all=1" + query)]

    def clear(self):
        """Removes what Docker's own side has made."""
        for id_ in self.ids(PLAIN_LABEL):
            self.call("DELETE", f"/containers/{id_}?force=1&v=1")


class Bench:
    def __init__(self, berth, rig):
        self.berth, self.rig = berth, rig
        self.ecs = berth.client("ecs")
        self.engine = Engine(rig.socket)
        self.number = 0

    # -- ours
    def set_up(self):
        rig, berth = self.rig, self.berth
        for setting in ("fsync = on", "synchronous_commit = on", "full_page_writes = on"):
            berth.sql("ALTER SYSTEM SET " + setting, database="postgres", user="postgres")
        berth.sql("SELECT pg_reload_conf()", database="postgres", user="postgres")
        berth.client("berth").create_zone(ZoneName="home-1a")
        self.start_agent("prefer-cached")
        self.ecs.register_task_definition(family="bench", containerDefinitions=[
            {"name": "app", "image": rig.image, "memory": 32, "cpu": SHARES, "entryPoint": ["sh", "-c"],
             "command": [COMMAND], "stopTimeout": 2}])
        self.swarm = subprocess.run(["docker", "-H", "unix://" + rig.socket, "swarm", "init", "--advertise-addr",
                                     "127.0.0.1", "--listen-addr", "127.0.0.1:0"], text=True, capture_output=True)
        if self.swarm.returncode:
            print("# no swarm here: " + self.swarm.stderr.strip())

    def start_agent(self, pull):
        berth = self.berth
        self.rig.kill_agent(15)
        self.rig.start_agent(
            BERTH_ENDPOINT=berth.endpoint, BERTH_CA=berth.ca, AWS_SESSION_TOKEN="", BERTH_INSTANCE_ID="",
            AWS_ACCESS_KEY_ID=berth.access_key, AWS_SECRET_ACCESS_KEY=berth.secret_key, BERTH_CLUSTER="",
            BERTH_CLEANUP_WAIT="1s", BERTH_PUBLISH="20s", BERTH_PULL_BEHAVIOR=pull,
            BERTH_LOG_LEVEL=os.environ.get("BENCH_LOG", "info"))
        if not berth.wait_for(self.connected, 30, 0.1):
            raise RuntimeError("the agent does not join:\n" + self.rig.log())
        berth.sql(f"UPDATE container_instances SET cpu = {SHARES * 200}") # room for all, which Swarm does not ask

    def connected(self):
        if not self.ecs.list_clusters()["clusterArns"]:
            return False
        arns = self.ecs.list_container_instances()["containerInstanceArns"]
        return arns and self.ecs.describe_container_instances(
            containerInstances=arns)["containerInstances"][0]["agentConnected"]

    def is_told(self, arns):
        for n in range(0, len(arns), 100):
            tasks = self.ecs.describe_tasks(tasks=arns[n:n + 100])["tasks"]
            if any(t["lastStatus"] != "RUNNING" for t in tasks):
                return False
        return True

    def wait_told(self, arns):
        while not self.is_told(arns):
            time.sleep(0.004)
        return time.time()

    def end_tasks(self, arns):
        for arn in arns:
            self.ecs.stop_task(task=arn)
        self.wait_none(TASK_LABEL)

    def wait_none(self, label):
        while self.engine.ids(label):
            time.sleep(0.1)

    def task_once(self):
        """Seconds from RunTask to the container's start, and to RUNNING."""
        self.engine.forget()
        began = time.time()
        arn = self.ecs.run_task(taskDefinition="bench")["tasks"][0]["taskArn"]
        (at, _), = self.engine.wait(1, lambda id_, words: words.get(TASK_LABEL) == arn)
        return at - began, self.wait_told([arn]) - began, arn

    def service(self, count):
        self.number += 1
        name = f"s{self.number}"
        self.engine.forget()
        began = time.time()
        self.ecs.create_service(serviceName=name, taskDefinition="bench", desiredCount=count)
        last = self.engine.wait(count, lambda id_, words: TASK_LABEL in words)[-1][0]
        return name, last - began, began

    def end_service(self, name):
        self.ecs.delete_service(service=name, force=True)
        self.wait_none(TASK_LABEL)

    # -- Docker's own
    def run_cli(self, pull="missing"):
        self.engine.forget()
        began = time.time()
        id_ = self.rig.docker("run", "-d", "--pull", pull, "--label", PLAIN_LABEL, "--memory", "32m", "--entrypoint", "sh", self.rig.image, "-c", COMMAND)
        (at, _), = self.engine.wait(1, lambda got, words: got == id_)
        return at - began

    def run_api(self):
        """What an engine needs at least: two calls on its socket, no client program."""
        self.engine.forget()
        began = time.time()
        id_ = self.engine.call("POST", "/containers/create", {
            "Image": self.rig.image, "Entrypoint": ["sh", "-c"], "Cmd": [COMMAND],
            "Labels": {PLAIN_LABEL: ""}, "HostConfig": {"Memory": 32 << 20}})["Id"]
        self.engine.call("POST", f"/containers/{id_}/start")
        (at, _), = self.engine.wait(1, lambda got, words: got == id_)
        return at - began

    def swarm_service(self, count):
        self.number += 1
        name = f"w{self.number}"
        self.engine.forget()
        began = time.time()
        self.rig.docker("service", "create", "-q", "--detach", "--name", name, "--replicas", str(count), "--limit-memory",
                        "32m", "--entrypoint", "sh", self.rig.image, "-c", COMMAND)
        last = self.engine.wait(count, lambda id_, words: words.get(SWARM_LABEL) == name)[-1][0]
        self.rig.docker("service", "rm", name)
        self.wait_none(SWARM_LABEL + "=" + name)
        return last - began

    # -- parts
    def one(self):
        cli, api, started, running = [], [], [], []
        for n in range(1 + (ROUNDS or 20)):
            got = self.run_cli(), self.run_api(), self.task_once()
            self.engine.clear()
            self.end_tasks([got[2][2]])
            if n == 0:
                continue # everybody's first time
            for values, value in zip((cli, api, started, running), (got[0], got[1], got[2][0], got[2][1])):
                values.append(value)
        line("one: `docker run -d`, command to running", told(cli))
        line("one: create and start by the engine's API", told(api))
        line("one: RunTask to running", told(started))
        line("one: RunTask to told", told(running))
        line("one: task beside `docker run`, more", more(started, cli))
        line("one: task beside the engine's API, more", more(started, api))

    def pulled(self):
        """As Amazon's agent does unless told otherwise: the registry is asked every time."""
        self.start_agent("default")
        cli, started = [], []
        for n in range(1 + (ROUNDS or 20)):
            got = self.run_cli("always"), self.task_once()
            self.engine.clear()
            self.end_tasks([got[1][2]])
            if n:
                cli.append(got[0])
                started.append(got[1][0])
        self.start_agent("prefer-cached")
        line("pulled: `docker run -d --pull always`", told(cli))
        line("pulled: RunTask to running", told(started))
        line("pulled: task beside `docker run`, more", more(started, cli))

    def ours(self, count):
        name, seconds, _ = self.service(count)
        self.end_service(name)
        return seconds

    def many(self):
        """Either side is first in every other round, and finds an engine that has come to rest."""
        for count in (20, 100):
            sides = {"ours": (self.ours, []), "swarm": (self.swarm_service, [])}
            if self.swarm.returncode:
                del sides["swarm"]
            for n in range(ROUNDS or 10):
                for side in sorted(sides, reverse=n % 2):
                    call, seconds = sides[side]
                    time.sleep(REST)
                    seconds.append(call(count))
            line(f"{count}: CreateService to all running", told(sides["ours"][1]))
            if "swarm" in sides:
                line(f"{count}: `docker service create` to all running", told(sides["swarm"][1]))
                ratios = [a / b for a, b in zip(sides["ours"][1], sides["swarm"][1])]
                line(f"{count}: ours to Swarm's, round by round",
                         f"{statistics.median(ratios):8.2f}  ({min(ratios):.2f} to {max(ratios):.2f})")

    def killed(self):
        seconds, api = [], []
        name, _, _ = self.service(1)
        for _ in range(ROUNDS or 12):
            arns = self.ecs.list_tasks(serviceName=name)["taskArns"]
            self.wait_told(arns)
            old, = self.engine.ids(TASK_LABEL + "=" + arns[0])
            self.engine.forget()
            began = time.time()
            self.engine.call("POST", f"/containers/{old}/kill")
            (at, _), = self.engine.wait(1, lambda id_, words: TASK_LABEL in words and id_ != old)
            seconds.append(at - began)
            api.append(self.run_api())
        self.end_service(name)
        line("killed: kill to its replacement running", told(seconds))
        line("killed: more than create and start by the engine's API",
             more(seconds, api))

    def counts(self):
        """Of ten tasks that run and are told so: calls to Docker, statements, transactions."""
        self.berth.sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements", user="postgres")
        arns = []

        def ten():
            self.berth.sql("SELECT pg_stat_statements_reset()", user="postgres")
            arns.extend(t["taskArn"] for t in self.ecs.run_task(taskDefinition="bench", count=10)["tasks"])
            self.engine.wait(10, lambda id_, words: words.get(TASK_LABEL) in arns)
            time.sleep(2) # reports and what they wake

        calls = self.rig.docker_calls(ten)
        rows = self.berth.sql("SELECT r.rolname, sum(calls), regexp_replace(query, '\\s+', ' ', 'g') FROM pg_stat_statements s"
                              " JOIN pg_roles r ON r.oid = s.userid WHERE r.rolname LIKE 'berth_%' AND r.rolname <> 'berth_owner'"
                              " GROUP BY 1, 3 ORDER BY 2 DESC", user="postgres")
        self.wait_told(arns)
        self.end_tasks(arns)
        kinds = {}
        for text in calls:
            parts = text.split("?")[0].split("/")
            kind = "/".join("IMAGE" if "%" in p else "ID" if len(p) == 64 or p.startswith("ecs-") else p for p in parts)
            kinds[kind] = kinds.get(kind, 0) + 1
        line("counts: Docker calls a task", f"{len(calls) / 10:8.1f}")
        for kind, count in sorted(kinds.items(), key=lambda k: -k[1]):
            line("  " + kind, f"{count / 10:8.1f}")
        ends = ("BEGIN", "COMMIT", "ROLLBACK")
        line("counts: statements a task, ten in one RunTask",
             f"{sum(int(r[1]) for r in rows if not r[2].startswith(ends)) / 10:8.1f}")
        line("counts: transactions that write a task", f"{sum(int(r[1]) for r in rows if r[2].startswith('COMMIT')) / 10:8.1f}")
        if os.environ.get("BENCH_STATEMENTS"):
            for r in rows:
                print("#", r[0], r[1], r[2][:150])


def main():
    parts = sys.argv[1:] or ["one", "pulled", "many", "killed", "counts"]
    rig = Rig()
    rig.mock = types.SimpleNamespace(url="", stop=lambda: None, client_died=lambda: None, bad_signatures=[])
    print(f"# one Docker Engine, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    try:
        rig.dockerd("start", rig.bridge, rig.subnet)
        rig._registry()
        rig._image()
        with Berth(role="all") as berth:
            bench = Bench(berth, rig)
            try:
                bench.set_up()
                for part in parts:
                    getattr(bench, part)()
            finally:
                if os.environ.get("BENCH_LOG") == "debug":
                    print(rig.log())
                    berth.show_log(1000)
                rig.kill_agent(15)
                rig.docker("swarm", "leave", "--force") if not bench.swarm.returncode else None
    finally:
        rig.stop()


main()
