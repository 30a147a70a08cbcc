"""Container instances without machines: rows, and a thread that does what their agents would report.

    agents = Agents(berth, "default")
    agents.add("home-1a", cpu=2048, memory=4096)
    agents.start()                # PENDING tasks run, tasks asked to stop are stopped
    agents.fail("family:bad")     # tasks of this group never come up

A scratch Berth needs its zones: Agents makes them.
"""

import json
import secrets
import threading

ATTRIBUTES = [
    "com.amazonaws.ecs.capability.docker-remote-api.1.18",
    "com.amazonaws.ecs.capability.docker-remote-api.1.21",
    "com.amazonaws.ecs.capability.logging-driver.json-file",
    "ecs.capability.container-ordering", "ecs.capability.task-cpu-mem-limit",
]


class Agents:
    def __init__(self, berth, cluster):
        self.berth = berth
        self.cluster = cluster
        self.failing = set()
        self.silent = set()
        self.stopped = threading.Event()
        self.thread = None
        self.reporting = threading.Lock()
        for zone in ("home-1a", "home-1b"):
            berth.sql(f"INSERT INTO zones (zone_name, zone_id) VALUES ('{zone}', '{zone}')"
                      " ON CONFLICT DO NOTHING")

    def add(self, zone, cpu=2048, memory=4096, attributes=()):
        name = secrets.token_hex(16)
        listed = [{"name": n} for n in ATTRIBUTES] + [
            {"name": "ecs.availability-zone", "value": zone}, *attributes]
        self.berth.sql(
            "INSERT INTO container_instances (container_instance_id, account_id, cluster_id,"
            " zone_name, cpu, memory_mib, ports_tcp, attributes, agent_version, channel_owner,"
            " connected_at) SELECT"
            f" '{name}', '{self.berth.account_id}', cluster_id, '{zone}', {cpu}, {memory},"
            f" '{{22,2375,2376,51678,51679}}', '{json.dumps(listed)}', '1.70.0',"
            " (SELECT daemon_id FROM daemons LIMIT 1), now() FROM clusters"
            f" WHERE cluster_name = '{self.cluster}'")
        self.wake(name)
        return name

    def wake(self, name):
        self.berth.sql("SELECT pg_notify('berth_wake', 'container_instance:' || ci_id),"
                       " pg_notify('berth_wake', 'cluster:' || cluster_id)"
                       f" FROM container_instances WHERE container_instance_id = '{name}'")

    def disconnect(self, name, seconds_ago=0):
        with self.reporting:
            self.silent.add(name)
        self.berth.sql(
            "UPDATE daemons SET started_at = started_at - interval '1 day';"
            "UPDATE container_instances SET channel_owner = NULL, disconnected_at ="
            f" now() - interval '{seconds_ago} s' WHERE container_instance_id = '{name}'")
        self.wake(name)

    def connect(self, name):
        self.silent.discard(name)
        self.berth.sql(
            "UPDATE container_instances SET channel_owner = (SELECT daemon_id FROM daemons LIMIT 1),"
            f" connected_at = now() WHERE container_instance_id = '{name}'")
        self.wake(name)

    def fail(self, group):
        """From its return on: no report under way lets a task of the group come up."""
        with self.reporting:
            self.failing.add(group)

    def step(self):
        """One report of every agent, as SubmitTaskStateChange would write it."""
        with self.reporting:
            self._report()

    def _report(self):
        quiet = ",".join(f"'{n}'" for n in self.silent) or "''"
        bad = ",".join(f"'{g}'" for g in self.failing) or "''"
        heard = ("ci_id IN (SELECT ci_id FROM container_instances WHERE status <> 'INACTIVE'"
                 f" AND container_instance_id NOT IN ({quiet}))")
        self.berth.sql(
            "WITH ran AS (UPDATE tasks SET last_status = 'RUNNING', ever_running = true,"
            " started_at = now(), version = version + 1 WHERE last_status = 'PENDING'"
            f" AND desired_status = 'RUNNING' AND task_group NOT IN ({bad}) AND {heard}"
            " RETURNING task_key, service_id), failed AS (UPDATE tasks SET last_status = 'STOPPED',"
            " desired_status = 'STOPPED', stop_code = 'TaskFailedToStart', stopped_at = now(),"
            " stopped_reason = 'Task failed to start' WHERE last_status = 'PENDING'"
            f" AND desired_status = 'RUNNING' AND task_group IN ({bad}) AND {heard}"
            " RETURNING service_id), ended AS (UPDATE tasks SET last_status = 'STOPPED',"
            " stopped_at = now(), version = version + 1 WHERE desired_status = 'STOPPED'"
            f" AND last_status IN ('PENDING', 'RUNNING') AND {heard}"
            " RETURNING service_id, cluster_id),"
            " parts AS (UPDATE containers SET last_status = 'RUNNING' FROM ran"
            " WHERE containers.task_key = ran.task_key)"
            " SELECT pg_notify('berth_wake', wake) FROM (SELECT 'service:' || service_id AS wake"
            " FROM (SELECT service_id FROM ran UNION SELECT service_id FROM failed"
            " UNION SELECT service_id FROM ended) s WHERE service_id IS NOT NULL"
            " UNION SELECT 'cluster:' || cluster_id FROM ended) w")

    def run(self):
        while not self.stopped.wait(0.1):
            self.step()

    def start(self):
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def stop(self):
        self.stopped.set()
        if self.thread:
            self.thread.join()
