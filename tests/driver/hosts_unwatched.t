#!/usr/bin/python3
"""What happens on a host while no berthd runs, or when one has just begun: it is noticed as soon as berthd
is there again, not only when the host is next due to be looked at."""
import os
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../lib"), os.path.join(HERE, "../api/lib")]
from berth_test import Berth, tap  # noqa: E402
from far_hosts import FarHosts, Pool, Region, within  # noqa: E402

RUNS_S = 90
SOON_S = 60  # a host is due to be looked at after 300


def guest_ends(far, berth, region, ended):
    berth.stop(signal.SIGKILL)
    far.virsh(1, "destroy", "apitest-" + ended)
    berth.start()
    within(SOON_S, "a guest that ended meanwhile is seen to have ended",
           lambda: region.state(ended) == "stopped")


def guest_ends_after(far, berth, region, ended):
    """The new berthd connects though it has nothing to ask of the host."""
    berth.restart(signal.SIGKILL)
    within(SOON_S, "berthd that begins connects to the host", lambda: is_connected(far))
    far.virsh(1, "destroy", "apitest-" + ended)
    within(SOON_S, "and hears of a guest that ends after that",
           lambda: region.state(ended) == "stopped")


def is_connected(far):
    return far.do("inside", 1, "ss", "-Htn", "state", "established", "sport", "=", ":16509")


def host_dies(far, berth, pool):
    berth.stop(signal.SIGKILL)
    far.do("kill", 1)
    berth.start()
    down = within(SOON_S, "a host that died meanwhile is told to be down", lambda: pool.is_down(pool.one))
    tap.like(down["Detail"], "cannot reach host", "with the reason")


with FarHosts(1) as far, Berth(role="all", config="[reconcile]\nsweep_seconds=2\n") as berth:
    pool, region = Pool(berth.client("berth")), Region(berth)
    pool.one = pool.add(far.uri(1))
    within(RUNS_S, "the host is well", lambda: pool.is_well(pool.one))
    ids = region.launch(2)
    within(RUNS_S, "two instances run", lambda: [region.state(i) for i in ids] == ["running"] * 2)
    # as one that has booted: nothing about it is due to be looked at
    berth.sql("UPDATE instances SET host_keys = 'ssh-ed25519 AAAA'")
    guest_ends(far, berth, region, ids[0])
    guest_ends_after(far, berth, region, ids[1])
    host_dies(far, berth, pool)
tap.done()
