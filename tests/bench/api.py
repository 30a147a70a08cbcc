"""What the API costs: start, memory, and calls a second, on a private PostgreSQL.

Run by `make bench`. Figures depend on the machine; ratios between lines of one run do not, much.
The database is the tests' (no fsync), so writes are faster here than on a disk that syncs.
"""

import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "api", "lib"))
from berth_test import BUILD, REGION, Berth  # noqa: E402

JSON11 = "application/x-amz-json-1.1"
FORM = "application/x-www-form-urlencoded; charset=utf-8"
ECS = "AmazonEC2ContainerServiceV20141113."


def line(name, value):
    print(f"{name:<44} {value}", flush=True)


def memory_mib(pid):
    with open(f"/proc/{pid}/status") as f:
        for row in f:
            if row.startswith("VmRSS:"):
                return int(row.split()[1]) / 1024
    return 0


def load(berth, name, service, target, content_type, body, threads=8, seconds=5):
    done = subprocess.run(
        [os.path.join(BUILD, "tests/bench/load_api"), berth.endpoint, berth.ca, REGION, service,
         target, content_type, body, str(threads), str(seconds)],
        text=True, capture_output=True, env=berth.aws_env())
    if done.returncode != 0:
        line(name, "failed: " + done.stderr.strip()[:200])
        return
    got = json.loads(done.stdout)
    line(name, f"{got['per_second']:>6}/s  p50 {got['p50_ms']:.2f} ms  p99 {got['p99_ms']:.2f} ms")


INSTANCES = """
INSERT INTO zones (zone_name, zone_id) VALUES ('home-1a', 'home1-az1'), ('home-1b', 'home1-az2') ON CONFLICT DO NOTHING;
INSERT INTO hosts (host_id, zone_name, uri, state, vcpus, memory_mib)
  VALUES ('h-00000000000000001', 'home-1a', 'test:///bench', 'up', 4000, 4000000);
INSERT INTO images (image_id, account_id, name, architecture, ssh_user, location, state, disk_format, disk_sha256, virtual_bytes, snapshot_id)
  VALUES ('ami-00000000000000001', '{account}', 'bench', 'x86_64', 'admin', '/', 'available', 'qcow2', 'x', 1, 'snap-00000000000000001');
INSERT INTO reservations (reservation_id, account_id)
  SELECT 'r-' || lpad(to_hex(n), 17, '0'), '{account}' FROM generate_series(1, 1000) n;
INSERT INTO instances (instance_id, account_id, reservation_id, launch_index, image_id, instance_type, vcpus, memory_mib,
    zone_name, host_id, subnet_id, private_ip, mac, domain_uuid, eni_id, root_volume_id, root_volume_gib, root_device_name, seen, seen_generation, ever_defined)
  SELECT 'i-' || lpad(to_hex(n), 17, '0'), '{account}', 'r-' || lpad(to_hex(n), 17, '0'), 0, 'ami-00000000000000001', 't3.micro', 2, 1024,
    'home-1a', 'h-00000000000000001', 'subnet-00000000000000001', '172.31.0.0'::inet + 16 + n,
    ('02:00:00:00:' || lpad(to_hex(n / 256), 2, '0') || ':' || lpad(to_hex(n % 256), 2, '0'))::macaddr, gen_random_uuid(),
    'eni-' || lpad(to_hex(n), 17, '0'), 'vol-' || lpad(to_hex(n), 17, '0'), 8, '/dev/sda1', 'running', 1, true
  FROM generate_series(1, 1000) n;
INSERT INTO tags (account_id, resource_id, resource_type, key, value)
  SELECT '{account}', 'i-' || lpad(to_hex(n), 17, '0'), 'instance', 'Name', 'web-' || n FROM generate_series(1, 1000) n;
"""

AGENTS = """
INSERT INTO daemons (daemon_id, role) VALUES ('bench', 'api');
UPDATE daemons SET seen_at = now() + interval '1 hour' WHERE daemon_id = 'bench';
INSERT INTO container_instances (container_instance_id, account_id, cluster_id, zone_name, cpu, memory_mib, channel_owner, connected_at, attributes)
  SELECT lpad(to_hex(n), 32, '0'), '{account}', c.cluster_id, 'home-1a', 1024000, 1024000, 'bench', now(),
    '[{{"name": "ecs.availability-zone", "value": "home-1a"}}, {{"name": "com.amazonaws.ecs.capability.docker-remote-api.1.18"}}]'
  FROM generate_series(1, 100) n, clusters c WHERE c.cluster_name = 'default';
"""


def main():
    with Berth(env={"BERTH_CHECK_ANSWERS": "0"}) as berth:
        started = []
        for _ in range(5):
            begin = time.monotonic()
            berth.restart()
            started.append((time.monotonic() - begin) * 1000)
        line("stop and start, migrated database", f"median {sorted(started)[2]:.0f} ms")
        line("memory when idle", f"{memory_mib(berth.daemon.pid):.1f} MiB RSS")

        load(berth, "STS GetCallerIdentity (8 connections)", "sts", "-", FORM,
             "Action=GetCallerIdentity&Version=2011-06-15")
        ecs = berth.client("ecs")
        ecs.create_cluster(clusterName="default")
        load(berth, "ECS ListClusters", "ecs", ECS + "ListClusters", JSON11, "{}")
        load(berth, "EC2 DescribeRegions", "ec2", "-", FORM, "Action=DescribeRegions&Version=2016-11-15")

        berth.sql(INSTANCES.format(account=berth.account_id))
        load(berth, "DescribeInstances, 1 of 1,000 by id", "ec2", "-", FORM,
             "Action=DescribeInstances&Version=2016-11-15&InstanceId.1=i-00000000000000123")
        load(berth, "DescribeInstances, page of 100 of 1,000", "ec2", "-", FORM,
             "Action=DescribeInstances&Version=2016-11-15&MaxResults=100")
        load(berth, "DescribeInstances, 1,000 at once", "ec2", "-", FORM,
             "Action=DescribeInstances&Version=2016-11-15&MaxResults=1000", threads=2)
        pages = berth.client("ec2").get_paginator("describe_instances")
        begin = time.monotonic()
        seen = sum(len(r["Instances"]) for page in pages.paginate(PaginationConfig={"PageSize": 100})
                   for r in page["Reservations"])
        line(f"boto3 reads {seen} instances in pages of 100", f"{(time.monotonic() - begin) * 1000:.0f} ms")

        berth.sql(AGENTS.format(account=berth.account_id))
        ecs.register_task_definition(family="bench", containerDefinitions=[
            {"name": "c", "image": "bench", "memory": 16, "cpu": 1}])
        load(berth, "RunTask, 1 task on 100 container instances", "ecs", ECS + "RunTask", JSON11,
             '{"taskDefinition": "bench"}', threads=4)
        load(berth, "RunTask, 10 tasks a call", "ecs", ECS + "RunTask", JSON11,
             '{"taskDefinition": "bench", "count": 10}', threads=4)
        line("memory after the load", f"{memory_mib(berth.daemon.pid):.1f} MiB RSS")


main()
