#!/usr/bin/python3
"""A host whose libvirt takes connections and breaks each at its first call: it is told to be down, and
tried now and then, not without pause; it is well again by itself when calls come through."""
import os
import socket
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../lib"), os.path.join(HERE, "../api/lib")]
from berth_test import Berth, tap  # noqa: E402
from far_hosts import FarHosts, Pool, within  # noqa: E402

AWAY_S = 60
WATCHED_S = 12
FEW = 20  # connections in that time; without pause there are hundreds each second
# libvirt's src/remote/remote_protocol.x: the last call of those that open a connection
REMOTE_PROGRAM, REGISTER_CLOSE_CALLBACK, REPLY = 0x20008086, 360, 1
LIBVIRT_PORT = 16509


def frame(sock):
    """One message, its length first; None at the end."""
    data = bytearray()
    while len(data) < 4 or len(data) < int.from_bytes(data[:4], "big"):
        want = int.from_bytes(data[:4], "big") if len(data) >= 4 else 4
        more = sock.recv(want - len(data))
        if not more:
            return None
        data += more
    return bytes(data)


class Relay:
    """Between Berth and a libvirtd, on a port of this machine."""

    def __init__(self, host):
        self.host, self.breaks, self.broken, self.pairs = host, False, 0, set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.uri = "qemu+tcp://127.0.0.1:%d/system" % self.listener.getsockname()[1]
        self.start(self.listen)

    def start(self, run, *args):
        threading.Thread(target=run, args=args, daemon=True).start()

    def listen(self):
        while True:
            near = self.listener.accept()[0]
            pair = near, socket.create_connection((self.host, LIBVIRT_PORT))
            self.pairs.add(pair)
            opened = threading.Event()
            self.start(self.carry, pair, opened, *pair)
            self.start(self.carry, pair, opened, *pair[::-1])

    def carry(self, pair, opened, source, sink):
        try:
            while data := frame(source):
                if self.breaks and opened.is_set() and source is pair[0]:
                    self.broken += 1
                    break
                if is_last_of_opening(data):
                    opened.set()
                sink.sendall(data)
        except OSError:
            pass
        self.cut(pair)

    def cut(self, pair):
        self.pairs.discard(pair)
        for end in pair:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def break_all(self):
        self.breaks = True
        for pair in list(self.pairs):
            self.cut(pair)


def is_last_of_opening(data):
    program, _, procedure, kind = (int.from_bytes(data[n:n + 4], "big") for n in range(4, 20, 4))
    return (program, procedure, kind) == (REMOTE_PROGRAM, REGISTER_CLOSE_CALLBACK, REPLY)


with FarHosts(1) as far, Berth(role="all", config="[reconcile]\nsweep_seconds=2\n") as berth:
    pool = Pool(berth.client("berth"))
    pool.admin.create_zone(ZoneName="home-1a", ReserveMemoryMiB=0)
    relay = Relay(far.uri(1).split("/")[2])
    one = pool.add(relay.uri)
    within(AWAY_S, "a host is well", lambda: pool.is_well(one))
    relay.break_all()
    down = within(AWAY_S, "its connections break: it is told to be down", lambda: pool.is_down(one))
    time.sleep(WATCHED_S)  # not a wait: what is counted is what happens meanwhile
    tap.ok(1 <= relay.broken <= FEW, "it is tried now and then", "%d times" % relay.broken)
    print("#   %d times in %d s" % (relay.broken, WATCHED_S), flush=True)
    tap.is_(pool.health(one), "DOWN", "and is down still")
    tap.like(pool.host(one)["Detail"], "its libvirt breaks each connection", "with the reason")
    relay.breaks = False
    within(AWAY_S, "calls come through: it is well by itself", lambda: pool.is_well(one))
    pool.admin.remove_host(HostId=one)
    within(AWAY_S, "it is removed", lambda: not pool.admin.describe_hosts()["Hosts"])
tap.done()
