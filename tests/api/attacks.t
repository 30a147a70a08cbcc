#!/usr/bin/python3
"""Attacks on the agents' channel and on the API, each played out; somebody honest is served throughout."""

import json
import os
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from agent_sim import ATTRIBUTES, RESOURCES, Agent, Refused, Socket
from berth_test import BUILD, REGION, Berth, run, tap
from raw import Raw
from region_rows import launch, make_region

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


ABLE = ATTRIBUTES + [{"name": n} for n in ("ecs.capability.container-health-check", "com.amazonaws.ecs.capability.docker-remote-api.1.24")]


def memory_bound(berth):
    """MiB that a flood may cost; sanitizers keep what was freed for a while."""
    with open(f"/proc/{berth.daemon.pid}/maps") as f:
        maps = f.read()
    return 1024 if "libasan" in maps or "libtsan" in maps else 192


def rss_kib(berth):
    with open(f"/proc/{berth.daemon.pid}/status") as f:
        return int(next(line for line in f if line.startswith("VmRSS")).split()[1])


def tls(berth, port):
    context = ssl.create_default_context(cafile=berth.ca)
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), 10), server_hostname="127.0.0.1")


def ended(sock, seconds):
    """Whether the peer closes within so long."""
    sock.settimeout(seconds)
    try:
        while sock.recv(65536):
            pass
        return True
    except (TimeoutError, socket.timeout):
        return False
    except OSError:
        return True


def closed(channel, seconds=10):
    """How a channel ends: its close code, "cut", or None while it stays."""
    try:
        while True:
            channel.receive(seconds=seconds)
    except EOFError as e:
        return str(e)
    except (ConnectionError, ssl.SSLError):
        return "cut"
    except (TimeoutError, socket.timeout):
        return None


def refusal(open_, *codes):
    """The code with which an upgrade is refused."""
    try:
        open_().close()
        return "taken"
    except Refused as e:
        return e.code


def instance_agent(berth, instance_id, *more):
    made = os.path.join(BUILD, "tests/api/make_session")
    return Agent(berth, *run(made, berth.config_file, berth.account_id, instance_id, *more).split())


def started(ecs, agent):
    answer = ecs.start_task(taskDefinition="web", containerInstances=[agent.arn])
    if not answer["tasks"]:
        raise RuntimeError(answer["failures"])
    return answer["tasks"][0]["taskArn"]


class Honest:
    """An agent whose every task has to reach it soon, whatever others do."""

    def __init__(self, berth):
        self.berth, self.ecs, self.agent = berth, berth.client("ecs"), Agent(berth)
        self.agent.register(attributes=ABLE)
        self.acs = self.agent.acs()

    def task(self):
        return started(self.ecs, self.agent)

    def served(self, claim, seconds=5):
        arn, began = self.task(), time.monotonic()
        while True:
            try:
                _, message = self.acs.receive("PayloadMessage", seconds=20)
            except (TimeoutError, socket.timeout):
                return tap.ok(False, claim, "no payload in 20 s")
            self.agent.ack(self.acs, message)
            if message["tasks"][0]["arn"] == arn and message["tasks"][0]["desiredStatus"] == "RUNNING":
                break
        took = time.monotonic() - began
        self.ecs.stop_task(task=arn)
        return tap.ok(took < seconds, claim, f"{took:.1f} s")


# -- before the channel is open

def signed(berth, url, keys, at=None):
    """Headers of a signed upgrade, as of another time."""
    import datetime
    from unittest import mock
    import botocore.auth
    request = AWSRequest(method="GET", url=url, data=b"")
    now = datetime.datetime.utcnow() + datetime.timedelta(seconds=at or 0)
    with mock.patch.object(botocore.auth, "datetime", mock.Mock(wraps=datetime)) as clock:
        clock.datetime = mock.Mock(wraps=datetime.datetime)
        clock.datetime.utcnow.return_value = now
        SigV4Auth(Credentials(*keys), "ecs", REGION).add_auth(request)
    return dict(request.headers)


def raw_upgrade(berth, target, headers, tail=b"", version="HTTP/1.1", method="GET"):
    """(status, body) of one request of ours, byte by byte as given."""
    sock = tls(berth, berth.channel_port)
    lines = [(k, v) for k, v in headers] if isinstance(headers, list) else list(headers.items())
    head = f"{method} {target} {version}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines) + "\r\n"
    sock.sendall(head.encode("latin-1") + tail)
    sock.settimeout(10)
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            got = sock.recv(65536)
            if not got:
                break
            data += got
    except OSError:
        pass
    sock.close()
    return (int(data.split()[1]) if data else 0), data


def upgrade_headers(berth, url, keys, **more):
    parts = urllib.parse.urlsplit(url)
    return {"Host": parts.netloc, "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", **signed(berth, url, keys, **more)}


def acs_url(agent, **changes):
    query = {"agentHash": "h", "agentVersion": "1.70.0", "clusterArn": "default", "containerInstanceArn": agent.arn,
             "protocolVersion": "2", "sendCredentials": "true", "seqNum": "1", **changes}
    return agent.endpoints()["endpoint"] + "ws?" + urllib.parse.urlencode(sorted(query.items()), quote_via=urllib.parse.quote)


def target_of(url):
    parts = urllib.parse.urlsplit(url)
    return parts.path + "?" + parts.query


def test_upgrades(berth, agent):
    """Each is a good request but for one thing."""
    url, keys = acs_url(agent), agent.keys
    good = upgrade_headers(berth, url, keys)
    target = target_of(url)

    def status(claim, expected, headers=None, **kw):
        got, data = raw_upgrade(berth, kw.pop("target", target), headers if headers is not None else good, **kw)
        tap.ok(got in expected and berth.daemon.poll() is None, f"{claim}: {' or '.join(map(str, expected))}", data[:300])

    refused = (400,)
    status("headers of 17 KiB", refused, {**good, "X-Pad": "x" * 17000})
    status("70 headers", refused, {**good, **{f"X-{n}": "y" for n in range(70)}})
    status("a body announced", refused, {**good, "Content-Length": "5"}, tail=b"GET /")
    status("a body in chunks", refused, {**good, "Transfer-Encoding": "chunked"}, tail=b"0\r\n\r\n")
    status("a second request behind it", refused, tail=b"GET /acs/ws HTTP/1.1\r\nHost: x\r\n\r\n")
    status("frames before the answer", refused, tail=b"\x81\x80abcd")
    status("HTTP/1.0", refused, version="HTTP/1.0")
    status("POST", refused, method="POST")
    status("another version of the protocol", refused, {**good, "Sec-WebSocket-Version": "8"})
    status("a short key", refused, {**good, "Sec-WebSocket-Key": "x"})
    status("a NUL", refused, {**good, "X-A": "a\0b"})
    status("a folded line", refused, {**good, "X-A": "a\r\n b"})
    status("a space before the colon", refused, [*good.items(), ("X-A ", "b")])
    status("two signatures", refused, [*good.items(), ("Authorization", good["Authorization"])])
    status("two hosts", refused, [*good.items(), ("Host", "evil.example")])
    status("the query of another instance under this signature", refused, target=target.replace(agent.arn[-8:], "00000000"))
    status("a target that climbs", (400, 404), target=target.replace("/acs/ws", "/acs/../acs/ws"))
    status("a target with a host", refused, target="https://x" + target)
    status("h2c", refused, {**good, "Upgrade": "h2c"})
    for skew, expected in ((-960, refused), (960, refused), (-1e6, refused), (-600, (101,))):
        status(f"a clock {skew:.0f} s off", expected, upgrade_headers(berth, url, keys, at=skew))
        berth.wait_for(lambda: berth.sql(f"SELECT 1 FROM container_instances WHERE channel_owner IS NULL"
                                         f" AND container_instance_id = '{agent.arn.rsplit('/', 1)[1]}'"))
    answer = raw_upgrade(berth, target, {**good, "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"})
    tap.ok(answer[0] == 101 and b"extensions" not in answer[1].lower(), "compression that is offered is not taken", answer)
    api = tls(berth, berth.port)
    api.sendall(f"GET {target} HTTP/1.1\r\n".encode() + "".join(f"{k}: {v}\r\n" for k, v in good.items()).encode() + b"\r\n")
    tap.ok(b" 101 " not in api.recv(4096), "the API's port opens no channel")


def test_identities(berth, one, two):
    """Instances with sessions of their own."""
    query = {"containerInstanceArn": one.arn}
    tap.is_(refusal(lambda: two.acs(**query)), "AccessDeniedException", "an instance does not open another's channel")
    tap.is_(refusal(lambda: two.acs(containerInstanceArn=one.arn.rsplit("/", 1)[1])), "AccessDeniedException", "nor by its id alone")
    tap.is_(refusal(lambda: two.acs(containerInstanceArn=one.arn.replace(berth.account_id, "999999999999"))), "AccessDeniedException",
            "nor by an ARN of another account that ends in it")
    mixed = Agent(berth, two.keys[0], two.keys[1], one.keys[2])
    mixed.arn, mixed.endpoints = two.arn, two.endpoints
    tap.is_(refusal(mixed.acs), "AccessDeniedException", "a key with another instance's token opens nothing")
    mixed = Agent(berth, one.keys[0], two.keys[1], one.keys[2])
    mixed.arn, mixed.endpoints = one.arn, two.endpoints
    tap.is_(refusal(mixed.acs), "AccessDeniedException", "nor with another's secret")
    old = instance_agent(berth, "i-0000000000000000f", "-5")
    old.arn, old.endpoints = one.arn, one.endpoints
    tap.is_(refusal(old.acs), "AccessDeniedException", "nor does a session that has ended")
    url = acs_url(one)
    headers = upgrade_headers(berth, url, one.keys)
    first = one.acs()
    got, data = raw_upgrade(berth, target_of(url), headers)
    tap.ok(got == 400 and b"InvalidInstanceException" in data, "an upgrade played again takes no channel from who has it", data)
    headers["X-Amz-Security-Token"] = two.keys[2]
    got, data = raw_upgrade(berth, target_of(url), headers)
    tap.ok(got == 400 and b"AccessDenied" in data, "nor with another token in it", data)
    first.close()


def test_borrowed_attributes(berth, one, two):
    """What the service knows of an instance is not the agent's to say."""
    lie = [{"name": n, "value": "x"} for n in ("ecs.availability-zone", "ecs.instance-type", "ecs.ami-id", "ecs.subnet-id")]
    got = {a["name"]: a.get("value") for a in two.register(attributes=ABLE + lie)["attributes"]}
    tap.is_((got["ecs.availability-zone"], got["ecs.instance-type"]), ("home-1a", "lab1.small"), "an agent does not choose its zone or type")
    names = [a["name"] for a in berth.client("ecs").describe_container_instances(containerInstances=[two.arn])["containerInstances"][0]["attributes"]]
    tap.is_(sorted(names), sorted(set(names)), "and no attribute is there twice")


def test_others_tasks(berth, ecs, one, two):
    """What agent two says about tasks of agent one."""
    acs_one, acs_two, tcs_two = one.acs(), two.acs(), two.tcs()
    arn = started(ecs, one)
    task_id = arn.rsplit("/", 1)[1]
    _, message = acs_one.receive("PayloadMessage")
    acs_two.send("AckRequest", {"cluster": "default", "containerInstance": one.arn, "messageId": message["messageId"]})
    for action, asked in (("submit_task_state_change", {"task": arn, "status": "STOPPED"}),
                          ("submit_container_state_change", {"task": arn, "containerName": "app", "status": "STOPPED"})):
        tap.raises("InvalidParameterException", lambda: getattr(two.ecs, action)(cluster="default", **asked), f"{action} for another's task")
    for action, asked in (("stop_task", {"task": arn}), ("describe_tasks", {"tasks": [arn]}), ("run_task", {"taskDefinition": "web"}),
                          ("list_container_instances", {}), ("describe_container_instances", {"containerInstances": [one.arn]}),
                          ("get_task_protection", {"cluster": "default", "tasks": [arn]})):
        tap.raises("AccessDeniedException", lambda: getattr(two.ecs, action)(**asked), f"an agent does not call {action}")
    metadata = {"cluster": "default", "containerInstance": one.arn, "fin": True, "messageId": "m"}
    tcs_two.send("PublishHealthRequest", {"metadata": metadata, "timestamp": time.time(), "tasks": [
        {"taskArn": arn, "containers": [{"containerName": "app", "healthStatus": "UNHEALTHY"}]}]})
    tcs_two.receive("AckPublishHealth")
    big = {"min": 1e9, "max": 1e9, "sampleCount": 1, "sum": 1e9}
    tcs_two.send("PublishMetricsRequest", {"metadata": metadata, "timestamp": time.time(), "taskMetrics": [
        {"taskArn": arn, "containerMetrics": [{"containerName": "app", "cpuStatsSet": big, "memoryStatsSet": big}]}]})
    tcs_two.receive("AckPublishMetric")
    time.sleep(2)
    tap.is_(berth.sql(f"SELECT acked_status, health_status FROM tasks WHERE task_id = '{task_id}'"), [["", "UNKNOWN"]],
            "nor acknowledges it, nor says how it is")
    tap.is_(berth.sql("SELECT count(*) FROM container_metrics WHERE cpu_max >= 1e9") if has_table(berth, "container_metrics") else [["0"]], [["0"]],
            "nor what it used")
    one.ack(acs_one, message)
    Raw(berth).call("ecs", "SubmitTaskStateChange", dict(cluster="default", task=arn, status="RUNNING", containers=[
        {"containerName": "app", "status": "RUNNING", "networkBindings": [
            {"hostPortRange": r, "protocol": "tcp", "hostPort": p} for r, p in
            (("9223372036854775807-9223372036854775807", 2**31 - 1), ("-9223372036854775808-65536", -1), ("1-99999999999999999999", 0), ("-", 65536))]}]))
    tap.is_(berth.sql(f"SELECT last_status FROM tasks WHERE task_id = '{task_id}'"), [["RUNNING"]], "ports beyond all ports are left out of a report")
    for channel in (acs_one, acs_two, tcs_two):
        channel.close()
    ecs.stop_task(task=arn)


def has_table(berth, name):
    return berth.sql(f"SELECT to_regclass('{name}') IS NOT NULL") == [["t"]]


# -- floods

def flood(berth, channel, honest, data, seconds, claim, first=b""):
    """Sends the same bytes as fast as they are taken; the honest agent is served meanwhile."""
    stop, sent, ends = time.monotonic() + seconds, [0], []
    before = rss_kib(berth)

    def pour():
        channel.sock.settimeout(seconds + 20)
        try:
            channel.sock.sendall(first)
            while time.monotonic() < stop:
                channel.sock.sendall(data)
                sent[0] += len(data)
        except OSError:
            ends.append(time.monotonic())

    pouring = threading.Thread(target=pour)
    pouring.start()
    time.sleep(0.5)
    honest.served(f"{claim}: the honest agent is served meanwhile")
    pouring.join()
    grown = rss_kib(berth) - before
    tap.ok(grown < memory_bound(berth) * 1024, f"{claim}: memory stays bounded", f"{grown} KiB more after {sent[0]} bytes")
    print(f"# {claim}: {sent[0] >> 10} KiB sent, {grown} KiB more memory" + (", cut off" if ends else ""))
    try:
        channel.sock.close()
    except OSError:
        pass
    honest.served(f"{claim}: and after it")


def masked(opcode, payload, final=True):
    head = bytes([(0x80 if final else 0) | opcode])
    if len(payload) < 126:
        head += bytes([0x80 | len(payload)])
    elif len(payload) < 65536:
        head += bytes([0x80 | 126]) + struct.pack("!H", len(payload))
    else:
        head += bytes([0x80 | 127]) + struct.pack("!Q", len(payload))
    return head + b"\0\0\0\0" + payload


def text(kind, message):
    return masked(1, json.dumps({"type": kind, "message": message}).encode())


def test_floods(berth, honest, bad):
    def acs():
        return berth.wait_for(lambda: try_(bad.acs), 20, 0.2)
    statuses = {"statuses": [{"type": "ContainerRuntime", "status": "OK"}] * 10000}
    health = {"tasks": [{"taskArn": f"a/{n:032x}", "containers": [{"containerName": "c", "healthStatus": "HEALTHY"}]} for n in range(1000)]}
    flood(berth, acs(), honest, masked(9, b"x" * 100) * 500, 4, "pings")
    flood(berth, acs(), honest, text("AckRequest", {"messageId": "m" * 60}) * 300, 4, "acknowledgements of nothing")
    flood(berth, acs(), honest, text("IAMRoleCredentialsAckRequest", {"messageId": "m", "credentialsId": "c"}) * 300, 4, "acknowledgements of no credentials")
    flood(berth, acs(), honest, text("AckRequest", {"messageId": "m" * 900000}), 4, "very long message ids")
    flood(berth, acs(), honest, masked(0, b"", False) * 3000, 4, "a message of empty fragments without end", masked(1, b"", False))
    flood(berth, acs(), honest, text("NackRequest", {"messageId": "n" * 90000, "reason": "r" * 90000}), 2, "refusals")
    tap.ok(os.path.getsize(berth.log) < 64 << 20, "which do not fill the log", os.path.getsize(berth.log))
    flood(berth, bad.tcs(), honest, text("PublishInstanceStatusRequest", statuses), 4, "ten thousand statuses a message")
    flood(berth, bad.tcs(), honest, text("PublishHealthRequest", health) * 3, 4, "health of tasks that are not there")


def try_(open_):
    try:
        return open_()
    except (Refused, OSError):
        return None


def test_many_channels(berth, honest, bad):
    """Telemetry channels of one instance."""
    channels = [bad.tcs() for _ in range(12)]
    open_ = [c for c in channels if closed(c, 0.3) is None]
    tap.ok(len(open_) == 1 and open_[0] is channels[-1], "an instance has one telemetry channel: the last", len(open_))
    honest.served("twelve were opened: the honest agent is served")
    for c in channels:
        c.sock.close()


def test_wakes(berth, honest):
    berth.sql("SELECT pg_notify('berth_wake', w || n) FROM generate_series(1, 5000) n,"
              " unnest(ARRAY['channel:', 'channel:-', 'channel:x', 'x', 'channel:9999999999999999999', 'task:', 'cluster:', repeat('y', 7000)]) w")
    honest.served("40,000 wakes, of things that are and are not: the honest agent is served")


def test_frames(berth, honest, bad):
    def one(claim, data, code=None):
        channel = berth.wait_for(lambda: try_(bad.acs), 20, 0.2)
        try:
            channel.sock.sendall(data)
        except OSError:
            pass
        how = closed(channel, 10)
        tap.ok(how is not None and (code is None or str(code) in how or how in ("cut", "the peer closed")), f"{claim}: the channel ends", how)
        channel.sock.close()
    one("a compressed frame that nobody agreed on", b"\xc1\x85abcd" + bytes(5), 1002)
    one("1.2 MiB in fragments", masked(1, b"x", False) + masked(0, b"x" * 60000, False) * 21, 1009)
    one("a control frame in two parts", masked(9, b"x", False), 1002)
    one("a message begun within another", masked(1, b"{", False) + masked(1, b"{"), 1002)
    one("binary", masked(2, b"{}"), 1003)
    one("a close code that means nothing", masked(8, struct.pack("!H", 5)), None)
    one("half a character", masked(1, b"\xf0\x9f"), 1007)
    one("a length of 126 that needed none", b"\x81\xfe\x00\x05abcd" + bytes(5), 1002)
    honest.served("after all of them the honest agent is served")


def test_depth(berth, bad, honest):
    channel = berth.wait_for(lambda: try_(bad.acs), 20, 0.2)
    for body in ("[" * 500000, '{"a":' * 100000, '{"type":"AckRequest","message":{"messageId":"\\u0000"}}', '{"type":"AckRequest","message":{"messageId":"\\ud800"}}',
                 '{"type":"AckRequest","message":{"messageId":"' + "\\u0041" * 20 + '","n":' + "9" * 5000 + "}}"):
        channel.send_frame(1, body.encode())
    channel.send_frame(9, b"?")
    channel.sock.settimeout(10)
    while channel.frame()[0] != 10:
        pass
    tap.ok(True, "JSON of any depth and size of number ends nothing")
    channel.close()


# -- slowly

def test_slow(berth, honest, bad):
    """More silent connections than may be opening at a time."""
    silent = [socket.create_connection(("127.0.0.1", berth.channel_port)) for _ in range(700)]
    began = time.monotonic()
    late = berth.wait_for(lambda: try_(bad.acs), 30, 0.1)
    took = time.monotonic() - began
    tap.ok(late and took < 10, "700 connections that say nothing keep no agent waiting", f"{took:.1f} s")
    print(f"# admitted after {took:.1f} s")
    late.close()
    honest.served("nor one that is there")
    half = tls(berth, berth.channel_port)
    began = time.monotonic()
    over = False
    while not over and time.monotonic() - began < 40:
        try:
            half.sendall(b"X")
            half.settimeout(1)
            over = not half.recv(1)
        except (TimeoutError, socket.timeout):
            pass
        except OSError:
            over = True
    tap.ok(over, "a request that comes letter by letter is not waited for for ever", time.monotonic() - began)
    for s in silent:
        s.close()


with Berth(config="[hosts]\nnetwork_cidr=127.66.0.0/16\n") as berth:
    ecs, ec2 = berth.client("ecs"), berth.client("ec2")
    make_region(berth)
    ecs.create_cluster(clusterName="default")
    ecs.register_task_definition(family="web", containerDefinitions=[
        {"name": "app", "image": "i", "memory": 6, "healthCheck": {"command": ["CMD", "true"]}}])
    honest = Honest(berth)
    honest.served("the honest agent is served")
    bad = Agent(berth)
    bad.register(attributes=ABLE)
    instances = [launch(ec2, IamInstanceProfile={"Name": "ecsInstanceRole"})["InstanceId"] for _ in range(2)]
    one, two = (instance_agent(berth, i) for i in instances)
    one.register(attributes=ABLE), two.register(attributes=ABLE)
    tests = {
        "upgrades": lambda: test_upgrades(berth, bad),
        "identities": lambda: test_identities(berth, one, two),
        "attributes": lambda: test_borrowed_attributes(berth, one, two),
        "tasks": lambda: test_others_tasks(berth, ecs, one, two),
        "frames": lambda: test_frames(berth, honest, bad),
        "depth": lambda: test_depth(berth, bad, honest),
        "channels": lambda: test_many_channels(berth, honest, bad),
        "wakes": lambda: test_wakes(berth, honest),
        "floods": lambda: test_floods(berth, honest, bad),
        "slow": lambda: test_slow(berth, honest, bad),
    }
    for name in os.environ.get("ONLY", " ".join(tests)).split():
        tests[name]()
    tap.is_(berth.daemon.poll(), None, "berthd lives")
tap.done()
