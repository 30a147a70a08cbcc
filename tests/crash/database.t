#!/usr/bin/python3
"""Kills PostgreSQL under load, as a whole and one backend at a time, and sees that berthd goes on by
itself: each answered call is there afterwards, none is there twice, what failed in between said that
a retry can help, the schedulers listen and work again, and no session is left over."""

import collections
import os
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "api", "lib"))
from berth_test import Berth, tap  # noqa: E402
from ecs_agents import Agents  # noqa: E402
from botocore.exceptions import BotoCoreError, ClientError  # noqa: E402

RETRYABLE = {"ServerException", "ServiceUnavailable", "Unavailable", "InternalError"}
ONE = [{"name": "web", "image": "nginx", "memory": 8, "cpu": 1}]
CLIENTS, ROUNDS, SECONDS = 6, 2, 2.5
SESSIONS_MAX = 54  # all pools full, the workers' claims, the listeners


class Server:
    """The private PostgreSQL of a scratch Berth, made to keep what it promised."""

    def __init__(self, berth):
        self.data = os.path.join(berth.pg_dir(), "data")
        self.sockets = berth.sockets
        versions = [v for v in os.listdir("/usr/lib/postgresql") if v.isdigit()]
        self.bin = f"/usr/lib/postgresql/{max(versions, key=int)}/bin"

    def as_owner(self, *argv, check=True):
        owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        return subprocess.run((owner if os.getuid() == 0 else []) + list(argv), check=check, cwd="/",
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def harden(self):
        with open(os.path.join(self.data, "postgresql.conf"), "a") as f:
            f.write("fsync = on\nsynchronous_commit = on\nfull_page_writes = on\n")
        self.as_owner(f"{self.bin}/pg_ctl", "-D", self.data, "-m", "fast", "-w", "stop")
        self.start()

    def start(self):
        """Like an administrator: again, while a backend of the killed server holds its memory."""
        for _ in range(20):
            done = self.as_owner(f"{self.bin}/pg_ctl", "-D", self.data, "-l", self.data + "/../log", "-w",
                                 "-t", "30", "start", check=False)
            if done.returncode == 0:
                return
            time.sleep(0.5)
        raise RuntimeError("PostgreSQL does not start again")

    def pid(self):
        with open(os.path.join(self.data, "postmaster.pid")) as f:
            return int(f.readline())

    def kill(self):
        """The postmaster at once and without a word; its children see that it is gone."""
        pid = self.pid()
        children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
        os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + 10
        while time.monotonic() < until and any(os.path.exists(f"/proc/{c}") for c in children):
            time.sleep(0.02)

    def kill_backend(self):
        """One that serves berthd: the server throws all sessions out and recovers."""
        def find():
            try:
                return berth.sql("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'berthd%'"
                                 " ORDER BY random() LIMIT 1", user="postgres")
            except RuntimeError:
                return None  # it is still recovering
        os.kill(int(berth.wait_for(find, 20)[0][0]), signal.SIGKILL)


class PatientAgents(Agents):
    """Reports that fail while there is no database are made again."""

    def step(self):
        try:
            super().step()
        except RuntimeError:
            time.sleep(0.1)


class Client(threading.Thread):
    """Calls without end; what was answered and what was not is told apart."""

    def __init__(self, berth, number):
        super().__init__(daemon=True)
        self.berth, self.number = berth, number
        self.answered, self.unknown, self.wrong = [], [], []
        self.retries = 0
        self.stopping = threading.Event()
        # made here: botocore's sessions are not made by several threads at once
        self.ecs = berth.client("ecs", read_timeout=30)

    def call(self, kind, name, function):
        """TRUE when answered; a failure that a retry cannot help is wrong."""
        try:
            function()
            self.answered.append((kind, name))
        except ClientError as e:
            code = e.response["Error"]["Code"]
            status = e.response["ResponseMetadata"]["HTTPStatusCode"]
            self.retries += 1
            self.stopping.wait(0.02)
            self.unknown.append((kind, name))
            if code not in RETRYABLE or status not in (500, 503):
                self.wrong.append(f"{kind}: {status} {code} {e.response['Error']['Message']}")
        except BotoCoreError as e:
            self.wrong.append(f"{kind}: {e!r}")

    def run(self):
        turn = 0
        while not self.stopping.is_set():
            turn += 1
            name = f"c{self.number}-{turn}"
            if turn % 4 == 0:
                self.call("service", name, lambda: self.ecs.create_service(
                    serviceName=name, taskDefinition="web", desiredCount=1))
            elif turn % 2 == 0:
                self.call("read", name, lambda: self.ecs.list_services())
            else:
                self.call("task", name, lambda: self.ecs.run_task(
                    taskDefinition="web", startedBy=name))


known = set()  # calls of all trials


def sessions():
    return int(berth.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'berthd%'",
                         user="postgres")[0][0])


def works(what):
    """The schedulers again get wakes, hold claims and act: a new service runs within the time of a
    wake, not only of the sweep."""
    name = "after-" + what
    made = berth.wait_for(lambda: attempt(name), 20, 0.2)
    tap.ok(made, f"{what}: calls are answered again by the same berthd")
    begun = time.monotonic()
    ran = berth.wait_for(lambda: ecs.describe_services(services=[name])["services"][0]["runningCount"] == 1,
                         20)
    tap.ok(ran, f"{what}: a service made now runs ({time.monotonic() - begun:.1f} s)")


def attempt(name):
    try:
        return ecs.create_service(serviceName=name, taskDefinition="web", desiredCount=1)["service"]
    except (ClientError, BotoCoreError):
        return None


def books(what, clients):
    answered = [c for client in clients for c in client.answered]
    unknown = {c for client in clients for c in client.unknown}
    rows = {"task": collections.Counter(), "service": collections.Counter()}
    for name, count in berth.sql("SELECT started_by, count(*) FROM tasks WHERE service_id IS NULL GROUP BY 1"):
        rows["task"][name] = int(count)
    for name, count in berth.sql("SELECT service_name, count(*) FROM services GROUP BY 1"):
        rows["service"][name] = int(count)
    lost = [c for c in answered if c[0] in rows and rows[c[0]][c[1]] != 1]
    tap.is_(lost, [], f"{what}: every answered call is there, once ({len(answered)} calls)")
    known.update(answered, unknown)
    strange = [(k, n) for k in rows for n, count in rows[k].items()
               if not n.startswith("after-") and ((k, n) not in known or count != 1)]
    tap.is_(strange, [], f"{what}: nothing is there that nobody asked for, nothing twice")
    wrong = [w for client in clients for w in client.wrong]
    tap.is_(wrong[:5], [], f"{what}: failures say that a retry can help"
                           f" ({sum(c.retries for c in clients)} of them)")


def settle(what):
    """Each service has the one task it wants; tasks are placed once."""
    def pending():
        return berth.sql("SELECT service_name, n FROM (SELECT service_name, count(t.task_key) FILTER"
                         " (WHERE t.last_status = 'RUNNING') AS n FROM services LEFT JOIN tasks t USING"
                         " (service_id) GROUP BY 1) s WHERE n <> 1")
    tap.ok(berth.wait_for(lambda: not pending(), 45, 0.3), f"{what}: every service runs its one task",
           pending())
    tap.is_(berth.sql("SELECT service_name, count(*) FROM services JOIN tasks USING (service_id)"
                      " GROUP BY 1 HAVING count(*) > 1"), [], f"{what}: and never had a second one")


def trial(what, kill):
    clients = [Client(berth, f"{what}-{n}") for n in range(CLIENTS)]
    for client in clients:
        client.start()
    for _ in range(ROUNDS):
        time.sleep(SECONDS / 2)
        kill()
        time.sleep(SECONDS / 2)
    for client in clients:
        client.stopping.set()
    for client in clients:
        client.join(60)
    tap.ok(not any(c.is_alive() for c in clients), f"{what}: no call hangs")
    tap.ok(berth.daemon.poll() is None, f"{what}: berthd lives")
    works(what)
    books(what, clients)
    settle(what)
    tap.ok(berth.wait_for(lambda: sessions() <= SESSIONS_MAX, 20), f"{what}: no session is left over",
           f"{sessions()} sessions")


def kill_server():
    server.kill()
    time.sleep(0.5)
    server.start()


with Berth(role="all") as berth:
    server = Server(berth)
    server.harden()
    ecs = berth.client("ecs")
    tap.is_(berth.sql("SHOW fsync"), [["on"]], "this server flushes what it commits")
    ecs.create_cluster(clusterName="default")
    ecs.register_task_definition(family="web", containerDefinitions=ONE)
    agents = PatientAgents(berth, "default")
    for zone in ("home-1a", "home-1b"):
        agents.add(zone, cpu=100000, memory=1000000)
    daemon = berth.daemon.pid
    agents.start()
    try:
        trial("postmaster", kill_server)
        trial("backend", server.kill_backend)
        tap.is_(berth.daemon.pid, daemon, "it was one berthd all the time")
    finally:
        agents.stop()
tap.done()
