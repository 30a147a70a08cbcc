"""What the agents' channels cost: agents.c against one berthd, on a private PostgreSQL.

    /usr/bin/python3 tests/bench/agents.py [COUNT [TASKS]]     (10000 0; run by `make bench`)

Client, server and database share this machine's processors: times say what all three need
together; processor time of berthd is its own (utime + stime of its process). Statements are
those of all sessions, by pg_stat_statements. Each agent has a control
channel; as many telemetry channels as the limit of open files leaves (2 files an agent). With TASKS
each agent runs as many when it connects, and takes manifests: one a session, that names them all.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "api", "lib"))
from berth_test import BUILD, REGION, Berth  # noqa: E402

FILES_APART = 600 # of berthd: API, database, its own
TICKS = os.sysconf("SC_CLK_TCK")

ROWS = """
INSERT INTO zones (zone_name, zone_id) VALUES ('home-1a', 'home1-az1') ON CONFLICT DO NOTHING;
INSERT INTO container_instances (container_instance_id, account_id, cluster_id, zone_name, cpu, memory_mib)
  SELECT lpad(to_hex(n), 32, '0'), '{account}', c.cluster_id, 'home-1a', 4096, 8192
  FROM generate_series(1, {count}) n, clusters c WHERE c.cluster_name = 'default';
ANALYZE container_instances"""


RUNNING = """
UPDATE container_instances SET attributes = attributes || '[{{"name": "ecs.capability.full-sync"}}]'::jsonb;
INSERT INTO tasks (task_id, account_id, cluster_id, task_group, task_definition_id, ci_id, cpu, memory_mib, last_status,
    sent_status, acked_status, placed_at, started_at, ever_running)
  SELECT 'f' || lpad(to_hex(i.ci_id * {tasks} + n), 31, '0'), i.account_id, i.cluster_id, 'bench', d.task_definition_id, i.ci_id,
    1, 4, 'RUNNING', 'RUNNING', 'RUNNING', now(), now(), true
  FROM container_instances i, generate_series(1, {tasks}) n, task_definitions d WHERE d.family = 'bench';
INSERT INTO containers (task_key, name, position, image, last_status)
  SELECT task_key, 'app', 1, 'bb:1', 'RUNNING' FROM tasks;
ANALYZE tasks; ANALYZE containers"""


def line(name, value):
    print(f"{name:<52} {value}", flush=True)


def memory_mib(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(r.split()[1]) / 1024 for r in f if r.startswith("VmRSS:"))


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def children(pid):
    """Its child processes."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as f:
                if int(f.read().rsplit(")", 1)[1].split()[1]) == pid:
                    yield int(name)
        except OSError:
            pass # it has ended


class Clock:
    """Processor time of the three parties since it was made; of the database while sessions last."""

    def __init__(self, berth, agents):
        with open(os.path.join(berth.pg_dir(), "data", "postmaster.pid")) as f:
            database = list(children(int(f.readline())))
        self.parties = {"berthd": [berth.daemon.pid], "database": database,
                        "agents": [agents.process.pid]}
        self.before = self.read()

    def read(self):
        total = {}
        for name, pids in self.parties.items():
            total[name] = 0
            for pid in pids:
                try:
                    total[name] += cpu_seconds(pid)
                except OSError:
                    pass # a session ended
        return total

    def told(self):
        return ", ".join(f"{n} {v - self.before[n]:.1f}" for n, v in self.read().items())


class Agents:
    def __init__(self, berth, count, telemetry):
        dsn = f"host={berth.sockets} dbname=berth_{REGION.replace('-', '_')}"
        env = {**os.environ, "AWS_ACCESS_KEY_ID": berth.access_key,
               "AWS_SECRET_ACCESS_KEY": berth.secret_key}
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "tests/bench/agents"), "127.0.0.1", str(berth.channel_port),
             berth.ca, REGION, berth.account_id, str(count), str(telemetry), dsn],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def order(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"agents ended at {text!r}")
        return json.loads(answer)

    def end(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)


def statements(berth, text):
    return berth.sql(text, database="postgres", user="postgres")


def settle(name, order, berth, agents):
    clock = Clock(berth, agents)
    before = agents.order("run 0")
    statements(berth, "SELECT pg_stat_statements_reset()")
    got = agents.order(order)
    calls = int(statements(berth, "SELECT sum(calls) FROM pg_stat_statements")[0][0])
    line(name, f"{got['seconds']:.1f} s, {got['open']} of {got['links']} channels, "
               f"{got['failures'] - before['failures']} tries in vain, {calls / got['links']:.2f} statements "
               f"a channel; processor seconds: {clock.told()}")


def manifests(berth, agents, count, before):
    """Each session brings one, some seconds after it began."""
    clock, began = Clock(berth, agents), time.monotonic()
    while True:
        got = agents.order("run 1")
        if got["manifests"] - before >= count or time.monotonic() - began > 60:
            break
    line("and all are sent their manifests",
         f"{got['manifests'] - before} manifests for {count} agents in {time.monotonic() - began:.0f} s more, {got['open']} channels open; "
         f"berthd {memory_mib(berth.daemon.pid):.0f} MiB; processor seconds: {clock.told()}")
    return got["manifests"]


def storm(berth, agents):
    """Nothing that was committed is lost while everybody comes back."""
    clock = Clock(berth, agents)
    got = agents.order("storm 2000 200")
    line("2000 tasks committed while all connections break",
         f"{got['seconds']:.1f} s until {got['arrived']} of {got['asked']} are at their agents and "
         f"{got['open']} channels open, p50 {got['p50_ms']:.1f} ms  max {got['max_ms'] / 1000:.1f} s; "
         f"processor seconds: {clock.told()}")


def measure(berth, agents, count, tasks):
    pid, sent = berth.daemon.pid, 0
    told = lambda: manifests(berth, agents, count, sent) if tasks else 0
    statements(berth, "CREATE EXTENSION pg_stat_statements")
    line("berthd without agents", f"{memory_mib(pid):.0f} MiB")
    settle("all connect at once", "settle 120", berth, agents)
    sent = told()
    line("berthd with all of them", f"{memory_mib(pid):.0f} MiB")
    agents.order("run 5")
    clock, before, began = Clock(berth, agents), cpu_seconds(pid), time.monotonic()
    got = agents.order("run 60")
    passed = time.monotonic() - began
    line("idle for a minute, heartbeats and metrics flowing",
         f"{100 * (cpu_seconds(pid) - before) / passed:.1f} % of one core, "
         f"{got['heartbeats']} heartbeats and {got['published']} publications so far; "
         f"processor seconds: {clock.told()}")
    got = agents.order("tasks 2000 100")
    line("2000 tasks committed at 100/s, each to its agent",
         f"p50 {got['p50_ms']:.1f} ms  p99 {got['p99_ms']:.1f} ms  max {got['max_ms']:.1f} ms  "
         f"({got['arrived']} of {got['asked']} arrived)")
    sent = agents.order("run 0")["manifests"]
    settle("all connections break, all come back", "drop 120", berth, agents)
    told()
    line("berthd then", f"{memory_mib(pid):.0f} MiB")
    storm(berth, agents)
    berth.restart(signal.SIGKILL)
    sent = agents.order("run 0")["manifests"]
    settle("berthd is killed and started, all come back", "again 120", berth, agents)
    line("berthd then", f"{memory_mib(berth.daemon.pid):.0f} MiB")
    told()
    got = agents.order("run 5")
    line("channels open 5 s later", f"{got['open']} of {got['links']}")


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
    tasks = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(count, hard - FILES_APART)
    telemetry = min(count, hard - FILES_APART - count)
    print(f"# {count} agents, each with {tasks} tasks, {telemetry} of them with telemetry (limit {hard} files); agents, "
          f"berthd and database share {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    with Berth() as berth:
        ecs = berth.client("ecs")
        ecs.create_cluster(clusterName="default")
        ecs.register_task_definition(family="bench", containerDefinitions=[
            {"name": "app", "image": "bb:1", "memory": 8, "command": ["sleep", "1"]}])
        berth.sql(ROWS.format(account=berth.account_id, count=count))
        if tasks:
            berth.sql(RUNNING.format(tasks=tasks))
        agents = Agents(berth, count, telemetry)
        try:
            measure(berth, agents, count, tasks)
        finally:
            agents.end()


main()
