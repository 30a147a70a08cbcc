#!/usr/bin/python3
"""Several hypervisor hosts, without a guest: added by tcp, unix socket and ssh, checked, drained,
killed, frozen, cut off, back again, removed; what is refused says which host, and why."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../lib"), os.path.join(HERE, "../api/lib")]
from berth_test import Berth, tap  # noqa: E402
from far_hosts import FarHosts, Pool, within  # noqa: E402

REASONS = "cannot reach host", "connection broke", "its libvirt does not answer"
AWAY_S = 60  # a broken connection is noticed after 16 s, and the next look says so


def image_of(berth):
    disk = os.path.join(berth.root, "empty.raw")
    with open(disk, "wb") as file:
        file.truncate(1 << 20)
    admin, ec2 = berth.client("berth"), berth.client("ec2")
    image = admin.import_image(Path=disk, Name="empty", Format="raw", SshUser="nobody")["ImageId"]
    ec2.get_waiter("image_available").wait(ImageIds=[image], WaiterConfig={"Delay": 1})
    return image


class Launch:
    """RunInstances that only says what it would do: no guest is made."""

    def __init__(self, berth, image):
        self.ec2, self.image = berth.client("ec2"), image

    def __call__(self, count=1, **more):
        return self.ec2.run_instances(ImageId=self.image, InstanceType="far.one", MinCount=count,
                                      MaxCount=count, DryRun=True, **more)

    def fits(self, count, claim, **more):
        tap.raises("DryRunOperation", lambda: self(count, **more), claim)

    def refused(self, count, words, claim, **more):
        tap.raises("InsufficientInstanceCapacity", lambda: self(count, **more), claim,
                   message=words)


def come_up(far, pool):
    one, two = pool.add(far.uri(1)), pool.add(far.uri(2, "ssh"))
    for host, kind in (one, "tcp"), (two, "ssh"):
        within(60, "a host by %s is checked and well" % kind, lambda h=host: pool.is_well(h))
    for number, host in (1, one), (2, two):
        tap.is_(sorted(far.virsh(number, "net-list", "--name")), ["apitest-net"],
                "host %d has the network" % number)
        tap.is_(sorted(far.virsh(number, "pool-list", "--name")), ["apitest", "apitest-console"],
                "and the pools")
        told = pool.host(host)
        tap.is_(told["Network"], "APART", "its network is told to be apart")
        tap.ok(told["CapacityVCpus"] == told["TotalVCpus"] * 4, "it holds what it is", told)
    return one, two


def sells_no_host_twice(far, pool, one):
    before = pool.zone()
    again = pool.add(far.uri(1, "unix"))
    down = within(AWAY_S, "the same machine by another URI is not taken", lambda: pool.is_down(again))
    tap.like(down["Detail"], "is host \"%s\" already" % one, "which says whose it is")
    zone = pool.zone()
    tap.is_((zone["CapacityVCpus"], zone["CapacityMemoryMiB"]),
            (before["CapacityVCpus"], before["CapacityMemoryMiB"]), "the pool is no larger by it")
    pool.admin.remove_host(HostId=again)
    within(30, "it is removed", lambda: len(pool.admin.describe_hosts()["Hosts"]) == 2)
    tap.is_(far.virsh(1, "pool-list", "--name"), ["apitest", "apitest-console"],
            "and the other row's pools are where they were")


def drains(pool, launch, one, two):
    room = pool.host(one)["CapacityVCpus"]
    launch.fits(2 * room, "both hosts together take what both hold")
    launch.refused(2 * room + 1, one, "and not one more, with each host named")
    pool.admin.drain_host(HostId=two)
    launch.fits(room, "beside a draining host the other takes what it holds")
    launch.refused(room + 1, two + " (far2) is draining", "the draining one takes nothing, and says so")
    tap.like(pool.why("far.one"), two + ": is draining", "so does the reason for the type")
    pool.admin.activate_host(HostId=two)
    launch.fits(2 * room, "activated it takes its share again")


def goes_and_comes(far, pool, launch, one, two, how, back):
    room = pool.host(one)["CapacityVCpus"]
    far.do(how, 2)
    pool.admin.check_host(HostId=two)  # a call is on its way when the connection breaks
    down = within(AWAY_S, "%s: the host is told to be down" % how, lambda: pool.is_down(two))
    # which of them depends on whether a call, a connection or neither was under way
    tap.ok([w for w in REASONS if w in down["Detail"]],
           "%s: with the reason" % how, down["Detail"])
    tap.is_(pool.health(one), "OK", "%s: the other is well" % how)
    tap.is_(pool.zone()["CapacityVCpus"], room, "%s: the zone sells what is left" % how)
    launch.fits(room, "%s: which the other takes" % how)
    launch.refused(room + 1, two + " (far2) is down: ", "%s: more is refused, with host and reason" % how)
    tap.like(pool.why(two), "down, wanted active", "%s: why tells it" % how)
    part = [p for p in pool.admin.get_status()["Parts"] if p["Name"] == "hosts"][0]
    tap.is_(part["Health"], "DEGRADED", "%s: status tells it" % how)
    pool.admin.check_host(HostId=two)
    far.do(back, 2)
    within(AWAY_S, "%s: it is well again by itself" % back, lambda: pool.is_well(two))
    tap.is_(pool.zone()["CapacityVCpus"], 2 * room, "%s: and sold again" % back)


def refuses_agents(launch, one):
    launch.refused(1, one + " (far1) has a network of its own, from which no container agent",
                   "an instance that shall have the agent is not put where it cannot work",
                   IamInstanceProfile={"Name": "ecsInstanceRole"})


def answers_nowhere(pool, launch, one):
    nobody = pool.add("qemu+tcp://127.0.0.1:9/system")
    down = within(AWAY_S, "a host that is nowhere is down", lambda: pool.is_down(nobody))
    tap.like(down["Detail"], "cannot reach", "with the reason")
    launch.fits(1, "nobody waits for it")
    wrong = pool.add("no-such-driver://%s/x" % one)
    within(AWAY_S, "so is one of a kind that libvirt does not know", lambda: pool.is_down(wrong))
    for host in nobody, wrong:
        pool.admin.remove_host(HostId=host)
    within(30, "both are removed", lambda: len(pool.admin.describe_hosts()["Hosts"]) == 2)


def removed(far, pool, one, two):
    for host in one, two:
        pool.admin.remove_host(HostId=host)
    within(30, "the hosts are removed", lambda: not pool.admin.describe_hosts()["Hosts"])
    for number in 1, 2:
        tap.is_(far.virsh(number, "net-list", "--all", "--name")
                + far.virsh(number, "pool-list", "--all", "--name"), [],
                "nothing is left on host %d" % number)


with FarHosts(2) as far, Berth(role="all", config="[reconcile]\nsweep_seconds=2\n") as berth:
    pool = Pool(berth.client("berth"))
    pool.admin.create_zone(ZoneName="home-1a", ReserveMemoryMiB=0)
    pool.admin.put_instance_type(InstanceType="far.one", VCpus=1, MemoryMiB=64)
    launch = Launch(berth, image_of(berth))
    one, two = come_up(far, pool)
    sells_no_host_twice(far, pool, one)
    drains(pool, launch, one, two)
    goes_and_comes(far, pool, launch, one, two, "kill", "boot")
    goes_and_comes(far, pool, launch, one, two, "freeze", "thaw")
    goes_and_comes(far, pool, launch, one, two, "cut", "mend")
    refuses_agents(launch, one)
    answers_nowhere(pool, launch, one)
    removed(far, pool, one, two)
tap.done()
