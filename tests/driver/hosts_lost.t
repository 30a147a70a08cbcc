#!/usr/bin/python3
"""A host that is gone for good is given up with what ran there: who may say so and when, what becomes
of instances, addresses, capacity, credentials, container instances and services; and that nothing is
adopted when the machine turns up again with its guests still running."""
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../lib"), os.path.join(HERE, "../api/lib")]
from berth_test import BUILD, Berth, run, tap  # noqa: E402
from ecs_agents import Agents  # noqa: E402
from far_hosts import FarHosts, Pool, Region, within  # noqa: E402

AWAY_S = 90
ENDED_S = 60  # credentials: DAEMON_BEAT_SECONDS and a busy machine


def service_of(berth, carriers):
    """A service with one task on each of two container instances that lie on these instances."""
    ecs = berth.client("ecs")
    ecs.create_cluster(clusterName="default")
    agents = Agents(berth, "default")
    for instance in carriers:
        name = agents.add("home-1a")
        berth.sql("UPDATE container_instances SET ec2_instance_id = '%s'"
                  " WHERE container_instance_id = '%s'" % (instance, name))
    agents.start()
    ecs.register_task_definition(family="web", containerDefinitions=[
        {"name": "web", "image": "busybox", "memory": 64}])
    ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=2,
                       placementStrategy=[{"type": "spread", "field": "instanceId"}])
    within(60, "its tasks run", lambda: carriers_of(berth) == sorted(carriers))
    return agents


def carriers_of(berth):
    """The instances that carry a running task, one entry a task."""
    return sorted(row[0] for row in berth.sql(
        "SELECT ec2_instance_id FROM tasks JOIN container_instances USING (ci_id)"
        " WHERE tasks.last_status = 'RUNNING'"))


def refused(region, pool, host):
    tap.raises("ResourceInUseException", lambda: pool.admin.remove_host(HostId=host, Lost=True),
               "a host that answers is not given up", message="can be reached")
    tap.is_(pool.host(host)["State"], "ACTIVE", "nor drained by that")
    tap.is_(region.states(), {"running"}, "nor does an instance end")


def is_unreachable(region, pool, host, ended):
    began = time.monotonic()
    answer = region.ec2.terminate_instances(InstanceIds=[ended])["TerminatingInstances"][0]
    tap.is_(answer["CurrentState"]["Name"], "shutting-down", "an instance there is asked to end")
    tap.ok(time.monotonic() - began < 10, "at once")
    command = "berth host remove %s --lost" % host
    for what in host, ended:
        tap.like(pool.why(what), command, "why %s tells what to do" % what[:2])
    part = [p for p in pool.admin.get_status()["Parts"] if p["Name"] == "hosts"][0]
    tap.like(part["Remedy"], "berth host remove HOST --lost", "so does status")
    tap.raises("ResourceInUseException", lambda: pool.admin.remove_host(HostId=host),
               "without that word it is not removed", message="holds instances")


def is_given_up(berth, region, pool, host, lost):
    code, said = region.verb("host", "remove", host, "--lost")
    tap.ok(code == 2 and "say --yes" in said, "it is asked for once more", (code, said))
    tap.is_(pool.health(host), "DOWN", "and nothing happened until then")
    code, said = region.verb("host", "remove", host, "--lost", "--yes")
    tap.ok(code == 0, "it is given up", said)
    within(30, "its instances are terminated",
           lambda: all(region.state(i) == "terminated" for i in lost))
    within(30, "and it is gone", lambda: len(pool.admin.describe_hosts()["Hosts"]) == 1)
    for instance in lost:
        reason = region.instance(instance)["StateReason"]
        tap.is_(reason["Code"], "Server.InternalError", "the reason is not the user's")
        tap.like(reason["Message"], '"%s" (far1) was lost for good' % host, "and names the host")
        tap.like(pool.why(instance), "was lost for good", "so does why")
    tap.like(pool.why(host), "given up as lost with 2 instances by arn:aws:iam::", "the host's history tells who")
    region.verb("host", "remove", host, "--lost", "--yes")
    tap.is_(pool.zone()["Instances"], 2, "its capacity is not held any more")


def comes_back(far, region, pool, host, fresh):
    far.do("mend", 1)
    tap.is_(len(far.domains(1, running=True)), 2, "the machine is back, its guests still run")
    tap.is_(pool.add(far.uri(1)), host, "it is added again")
    within(AWAY_S, "it is well", lambda: pool.host(host)["Health"] == "OK")
    tap.is_(far.domains(1), [], "of its old guests none is left")
    tap.is_([region.state(i) for i in fresh], ["running"] * len(fresh),
            "those that have their addresses now still run")
    tap.is_(len(far.domains(2, running=True)), 4, "where they were")
    again = region.launch(2)
    within(AWAY_S, "it carries instances again", lambda: len(far.domains(1, running=True)) == 2)
    within(AWAY_S, "that run", lambda: [region.state(i) for i in again] == ["running"] * 2)


with FarHosts(2) as far, Berth(role="all", config="[reconcile]\nsweep_seconds=2\n") as berth:
    pool = Pool(berth.client("berth"))
    region = Region(berth)
    one, two = pool.add(far.uri(1)), pool.add(far.uri(2))
    for added in one, two:
        within(AWAY_S, "a host is well", lambda h=added: pool.is_well(h))
    region.launch(4)
    within(AWAY_S, "four instances run", lambda: region.states() == {"running"})
    lost, kept = ([d[len("apitest-"):] for d in far.domains(n)] for n in (1, 2))
    tap.is_((len(lost), len(kept)), (2, 2), "two on each host")
    addresses = sorted(region.instance(i)["PrivateIpAddress"] for i in lost)
    agents = service_of(berth, [lost[0], kept[0]])
    run(os.path.join(BUILD, "tests/api/make_session"), berth.config_file, berth.account_id, lost[0])
    sessions = lambda: berth.sql("SELECT count(*) FROM sessions WHERE subject = '%s'" % lost[0],
                                 database="berth_identity")[0][0]
    tap.is_(sessions(), "1", "an instance has credentials of its role")
    refused(region, pool, one)
    far.do("cut", 1)
    within(AWAY_S, "the host is down", lambda: pool.is_down(one))
    is_unreachable(region, pool, one, lost[1])
    is_given_up(berth, region, pool, one, lost)
    within(ENDED_S, "the service has its tasks elsewhere",
           lambda: carriers_of(berth) == [kept[0]] * 2)
    tap.is_(len(berth.client("ecs").list_container_instances()["containerInstanceArns"]), 1,
            "the lost container instance is no more")
    within(ENDED_S, "the credentials are no more", lambda: sessions() == "0")
    fresh = region.launch(2)
    within(AWAY_S, "new instances run", lambda: [region.state(i) for i in fresh] == ["running"] * 2)
    tap.is_(sorted(region.instance(i)["PrivateIpAddress"] for i in fresh), addresses,
            "with the addresses of the lost")
    comes_back(far, region, pool, one, fresh)
    agents.stop()
    region.ec2.terminate_instances(InstanceIds=region.living())
    within(AWAY_S, "all end", lambda: not region.living())
tap.done()
