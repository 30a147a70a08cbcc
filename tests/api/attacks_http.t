#!/usr/bin/python3
"""Attacks on the API's and the metadata service's HTTP, and the search for secrets where none may lie."""

import base64
import gzip
import http.client
import json
import os
import signal
import socket
import ssl
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from agent_sim import Agent
from berth_test import BUILD, Berth, free_port, run, tap
from metadata_client import Metadata
from raw import Raw
from region_rows import launch, make_region

METADATA_PORT = free_port()
CONFIG = f"""[hosts]
network_cidr=127.68.0.0/16
[metadata]
address=127.0.0.1
port={METADATA_PORT}
"""
CLEAR = "clear-text-that-nobody-may-read"


def tls(berth, source=None):
    context = ssl.create_default_context(cafile=berth.ca)
    raw = socket.create_connection(("127.0.0.1", berth.port), 10, (source, 0) if source else None)
    return context.wrap_socket(raw, server_hostname="127.0.0.1")


def exchange(berth, data, seconds=10):
    """What comes back until the peer closes or is silent for so long."""
    sock, got = tls(berth), b""
    sock.settimeout(seconds)
    try:
        sock.sendall(data)
        while more := sock.recv(65536):
            got += more
            if b"\r\n\r\n" in got:
                sock.settimeout(0.5)
    except OSError:
        pass
    sock.close()
    return got


# -- slowly

def until_cut(sock, begin, drop, seconds):
    """Sends begin, then drop once a second: after how long the peer has enough. None: it has not."""
    began = time.monotonic()
    try:
        if begin:
            sock.sendall(begin)
        while time.monotonic() - began < seconds:
            sock.settimeout(1)
            try:
                if drop:
                    sock.sendall(drop)
                if not sock.recv(4096):
                    return time.monotonic() - began
            except (TimeoutError, socket.timeout, ssl.SSLWantReadError):
                pass
    except OSError:
        return time.monotonic() - began
    return None


def test_slow(berth):
    """All at once: each is to be cut off within its time."""
    head = b"POST / HTTP/1.1\r\nHost: x\r\n"
    cases = {
        "headers letter by letter": (head + b"X-A: ", b"a"),
        "headers line by line": (head, b"X-A: b\r\n"),
        "a request line that does not end": (b"GET /", b"a"),
        "a body letter by letter": (head + b"Content-Length: 100000\r\n\r\n", b"a"),
        "chunks of one byte without end": (head + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        "a second request that does not end": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + head + b"X-A: ", b"a"),
    }
    took = {}
    def play(name, sock, begin, drop):
        took[name] = until_cut(sock, begin, drop, 60)
    threads = [threading.Thread(target=play, args=(n, tls(berth), *c)) for n, c in cases.items()]
    plain = [socket.create_connection(("127.0.0.1", berth.port)) for _ in range(2)]
    threads.append(threading.Thread(target=play, args=("a handshake that does not begin", plain[0], b"", b"")))
    threads.append(threading.Thread(target=play, args=("a handshake that does not end", plain[1], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"")))
    for t in threads:
        t.start()
    began = time.monotonic()
    tap.is_(berth.client("sts").get_caller_identity()["Account"], berth.account_id, "others are served meanwhile")
    for t in threads:
        t.join()
    for name in sorted(took):
        tap.ok(took[name] is not None and took[name] < 50, f"{name}: it is cut off", took[name])
    print("# " + ", ".join(f"{n}: {t and round(t)} s" for n, t in sorted(took.items())))


def test_many(berth):
    """More connections than one address may have."""
    idle = []
    try:
        for _ in range(1200):
            idle.append(socket.create_connection(("127.0.0.1", berth.port), 5, ("127.0.0.9", 0)))
    except OSError:
        pass
    context = ssl.create_default_context(cafile=berth.ca)
    connection = http.client.HTTPSConnection("127.0.0.1", berth.port, timeout=10, context=context)
    connection.request("GET", "/")
    tap.is_(connection.getresponse().status, 200, f"{len(idle)} idle connections of one address keep no other's out")
    for s in idle:
        s.close()


# -- malformed

def test_malformed(berth, raw):
    def status(data):
        got = exchange(berth, data)
        return int(got.split()[1]) if got.startswith(b"HTTP/1.1 ") else 0
    post = b"POST / HTTP/1.1\r\nHost: x\r\n"
    for claim, data, allowed in (
            ("headers of 64 KiB", post + b"X-A: " + b"a" * 65536 + b"\r\n\r\n", (0, 400, 413, 431)),
            ("a target of 64 KiB", b"GET /" + b"a" * 65536 + b" HTTP/1.1\r\nHost: x\r\n\r\n", (0, 400, 413, 414, 431)),
            ("5,000 headers", post + b"A: b\r\n" * 5000 + b"\r\n", (0, 400, 413, 431)),
            ("two lengths that differ", post + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", (0, 400, 401, 403)),
            ("a length and chunks", post + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (0, 400, 401, 403)),
            ("a length below zero", post + b"Content-Length: -1\r\n\r\n", (0, 400, 413)),
            ("a length beyond 2^64", post + b"Content-Length: 99999999999999999999999\r\n\r\n", (0, 400, 413)),
            ("a chunk of 2^64", post + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", (0, 400, 413)),
            ("NULs", post + b"X-\0: a\0b\r\n\r\n", (0, 400, 401)),
            ("no HTTP", b"\x00\xff" * 1000 + b"\r\n\r\n", (0, 400)),
            ("HTTP/9.9", b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", (0, 400, 505)),
            ("TRACE", b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", (0, 405)),
            ("CONNECT", b"CONNECT evil:80 HTTP/1.1\r\nHost: evil\r\n\r\n", (0, 400, 405))):
        got = status(data)
        tap.ok(got in allowed, f"{claim}: refused", got)
    smuggled = exchange(berth, post + b"Content-Length: 41\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
    tap.ok(smuggled.count(b"HTTP/1.1 200") == 0, "what hides behind a body that ends twice is no request", smuggled[:300])


def test_bodies(berth, raw):
    """Signed, so that they come as far as the parsers."""
    def sent(body, **extra):
        class Made(Raw):
            def request(self, service, action, parameters):
                headers, _ = super().request(service, action, {})
                return {**headers, **extra}, body
        answer = Made(berth).call("ecs", "DescribeClusters")
        return answer.status
    for claim, body in (("nested 100,000 deep", b'{"clusters":' + b"[" * 100000), ("nested and closed", b'{"a":' * 2000 + b"1" + b"}" * 2000),
                        ("a number of 100,000 digits", b'{"maxResults":' + b"9" * 100000 + b"}"), ("a number like 1e999999", b'{"maxResults":1e999999}'),
                        ("not UTF-8", b'{"clusters":["\xff\xfe"]}'), ("overlong UTF-8", b'{"clusters":["\xc0\xaf"]}'),
                        ("half a surrogate pair", b'{"clusters":["\\ud800"]}'), ("a NUL", b'{"clusters":["a\\u0000b"]}'), ("a bare NUL", b'{"clusters":["a\0b"]}'),
                        ("a list", b"[]"), ("two values", b"{}{}"), ("a member 900,000 long", b'{"' + b"a" * 900000 + b'":1}'),
                        ("compressed", gzip.compress(b"{}" + b" " * 1000000))):
        tap.ok(sent(body) in (200, 400) and berth.daemon.poll() is None, f"JSON {claim}: answered")
    tap.is_(sent(gzip.compress(b"{}"), **{"Content-Encoding": "gzip"}), 400, "nobody unpacks what was compressed")
    many = b'{"clusters":["default"]' + b',"clusters":["default"]' * 40000 + b"}"
    tap.is_(sent(many), 200, "a member said 40,000 times is the last of them")
    form = "Action=DescribeInstances&Version=2016-11-15&"
    for claim, body in (("an index beyond all", form + "InstanceId.99999999999=i-1"), ("an index below", form + "InstanceId.-1=i-1"), ("a number as leaf and list", form + "InstanceId=i-1&InstanceId.1=i-2"),
                        ("names nested 5,000 deep", form + "Filter" + ".1" * 5000 + "=x"), ("100,000 parameters", form + "a=b&" * 100000),
                        ("a broken escape", form + "InstanceId.1=%zz"), ("an escaped NUL", form + "InstanceId.1=%00"), ("not UTF-8", form + "InstanceId.1=%ff")):
        class Made(Raw):
            def request(self, service, action, parameters):
                return super().request(service, action, {})[0], body.encode()
        answer = Made(berth).call("ec2", "DescribeInstances")
        tap.ok(400 <= answer.status < 500 and berth.daemon.poll() is None, f"a form with {claim}: refused", answer.status)


def test_pages(berth):
    """Tokens of other lists, other accounts, nobody's."""
    ecs, ec2 = berth.client("ecs"), berth.client("ec2")
    for n in range(12):
        ec2.create_key_pair(KeyName=f"k{n}")
        ecs.create_cluster(clusterName=f"c{n}")
        ec2.create_tags(Resources=[INSTANCE], Tags=[{"Key": f"t{n}", "Value": "v"}])
    token = ec2.describe_tags(MaxResults=5)["NextToken"]
    other = berth.client("berth").create_account(Name="other")
    key = berth.client("berth").create_access_key(AccountId=other["Account"]["AccountId"])["AccessKey"]
    foreign = berth.client("ec2", key["AccessKeyId"], key["SecretAccessKey"])
    for claim, call in (("another action", lambda t: ec2.describe_instances(MaxResults=5, NextToken=t)),
                        ("another account", lambda t: foreign.describe_tags(MaxResults=5, NextToken=t))):
        tap.raises("InvalidNextToken", lambda: call(token), f"a token is not taken by {claim}", 400)
    for forged in (token[:-4] + "AAAA", token[::-1], base64.b64encode(b"'; DROP TABLE tasks; --").decode(), "A" * 4000):
        tap.raises("InvalidNextToken", lambda: ec2.describe_tags(MaxResults=5, NextToken=forged), f"nor one like {forged[:12]}", 400)
    mine = ecs.list_clusters(maxResults=5)["nextToken"]
    tap.is_(berth.client("ecs", key["AccessKeyId"], key["SecretAccessKey"]).list_clusters(nextToken=mine)["clusterArns"], [],
            "another's place in a list shows nothing of the list")
    evil = base64.b64encode(b"+' OR 1=1 --").decode()
    tap.ok(all("/c" in a or a.endswith("default") for a in ecs.list_clusters(nextToken=evil)["clusterArns"]), "nor does a place that is SQL")


def test_words(berth, ecs, ec2):
    """What people put into texts comes back as it was."""
    words = ["x'; DROP TABLE tasks; --", "$1", "%s%n", "\\", "{a,\"b\"}", "NULL", "</value><key>x", "&amp;", "\U0001f4a3", "a\tb", " lead", "E'\\x41'"]
    for n, word in enumerate(words):
        ec2.create_tags(Resources=[INSTANCE], Tags=[{"Key": f"w{n}", "Value": word}])
    got = {t["Key"]: t["Value"] for t in ec2.describe_tags(Filters=[{"Name": "key", "Values": ["w*"]}])["Tags"]}
    tap.is_([got.get(f"w{n}") for n in range(len(words))], words, "tags of EC2 come back as they were put")
    arn = ecs.describe_clusters(clusters=["c1"])["clusters"][0]["clusterArn"]
    ecs.tag_resource(resourceArn=arn, tags=[{"key": f"w{n}", "value": w} for n, w in enumerate(words)])
    got = {t["key"]: t["value"] for t in ecs.list_tags_for_resource(resourceArn=arn)["tags"]}
    tap.is_([got.get(f"w{n}") for n in range(len(words))], words, "so do tags of ECS")
    tap.raises("TagLimitExceeded", lambda: [ec2.create_tags(Resources=[INSTANCE], Tags=[{"Key": f"m{k}.{n}", "Value": ""} for n in range(45)]) for k in range(2)],
               "a resource has so many tags and no more", 400)


# -- the metadata service

def test_metadata(berth, one, two):
    held = []
    try:
        for _ in range(200):
            held.append(socket.create_connection(("127.0.0.1", METADATA_PORT), 2, (one.source, 0)))
    except OSError:
        pass
    tap.is_(two.get("meta-data/instance-id")[0], 200, "an instance that holds every connection it may get keeps no other out")
    for s in held:
        s.close()
    tap.ok(berth.wait_for(lambda: try_(lambda: one.get("meta-data/instance-id")[0] == 200), 15, 0.2), "and is served again itself")
    names = {"X-Forwarded-For": two.source, "Forwarded": f"for={two.source}", "X-Real-IP": two.source, "Via": two.source, "True-Client-IP": two.source}
    token = one.token()
    for name, value in names.items():
        got = one.call("GET", "/latest/meta-data/local-ipv4", {"X-aws-ec2-metadata-token": token, name: value})
        tap.ok(got[0] == 403 or got[1] == one.source, f"{name} makes nobody another", got)
    for path in ("/latest/../../etc/passwd", "/latest/meta-data/iam/security-credentials/../../../x", "/latest/meta-data/%2e%2e/%2e%2e/x", "//latest//..//..//x",
                 "/latest/meta-data/iam/security-credentials/" + "a" * 9000, "/latest/meta-data/mac;/x", "/latest/meta-data/mac?x=/../", "/latest/meta-data/\xff"):
        got = raw_get(one, path, token)
        tap.ok(got in (0, 200, 400, 404, 414, 431), f"{path[:60]!r}: nothing is there", got)
    long = one.call("GET", "/latest/meta-data/mac", {"X-aws-ec2-metadata-token": "A" * 15000})
    tap.ok(long[0] in (400, 401, 413, 431), "a token of 15,000 letters is none", long)


def try_(call):
    try:
        return call()
    except (OSError, http.client.HTTPException, AssertionError):
        return None


def raw_get(guest, path, token):
    with socket.create_connection(("127.0.0.1", METADATA_PORT), 5, (guest.source, 0)) as s:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: 169.254.169.254\r\nX-aws-ec2-metadata-token: {token}\r\nConnection: close\r\n\r\n".encode("latin-1"))
        try:
            return int(s.recv(4096).split()[1])
        except (OSError, IndexError):
            return 0


# -- secrets

def test_secrets(berth, guest):
    """All that is said to PostgreSQL and to the logs, at their most talkative."""
    ssm, sm, ecs = berth.client("ssm"), berth.client("secretsmanager"), berth.client("ecs")
    known = [CLEAR, berth.secret_key]
    ssm.put_parameter(Name="/s", Value=CLEAR, Type="SecureString")
    tap.raises("ParameterAlreadyExists", lambda: ssm.put_parameter(Name="/s", Value=CLEAR, Type="SecureString"), "a secret is refused")
    arn = sm.create_secret(Name="s", SecretString=CLEAR)["ARN"]
    tap.raises("ResourceExistsException", lambda: sm.create_secret(Name="s", SecretString=CLEAR), "another too")
    sm.get_secret_value(SecretId=arn), ssm.get_parameters(Names=["/s"], WithDecryption=True)
    ecs.register_task_definition(family="s", containerDefinitions=[{"name": "c", "image": "i", "memory": 6, "secrets": [
        {"name": "A", "valueFrom": "/s"}, {"name": "B", "valueFrom": arn}, {"name": "C", "valueFrom": arn + ":no:such:"}]}])
    agent = Agent(berth, *run(os.path.join(BUILD, "tests/api/make_session"), berth.config_file, berth.account_id, INSTANCE).split())
    known += agent.keys[1:]
    from agent_sim import ATTRIBUTES
    agent.register(attributes=ATTRIBUTES + [{"name": "ecs.capability.secrets.asm.environment-variables"},
                                            {"name": "com.amazonaws.ecs.capability.docker-remote-api.1.18"}])
    acs = agent.acs()
    ecs.register_task_definition(family="good", containerDefinitions=[{"name": "c", "image": "i", "memory": 6, "secrets": [{"name": "A", "valueFrom": "/s"}]}])
    for family in ("good", "s"):
        started = ecs.start_task(taskDefinition=family, containerInstances=[agent.arn])
        tap.ok(started["tasks"], f"a task of {family} begins", started["failures"])
    _, message = acs.receive("PayloadMessage")
    tap.ok(CLEAR in json.dumps(message), "the agent is told the secret")
    acs.send("NackRequest", {"messageId": message["messageId"], "reason": "no"})
    made = guest.read("meta-data/iam/security-credentials/ecsInstanceRole")
    known += [json.loads(made)[k] for k in ("SecretAccessKey", "Token")]
    other = berth.client("berth").create_access_key(AccountId=berth.account_id)["AccessKey"]
    known.append(other["SecretAccessKey"])
    key = berth.client("ec2").create_key_pair(KeyName="secret")["KeyMaterial"]
    known.append(key.splitlines()[2])
    Raw(berth).call("sts", secret="y" * 40)
    Raw(berth).call("sts", access_key=agent.keys[0], secret=agent.keys[1], token=agent.keys[2] + "x")
    Raw(berth).call("ecs", "RegisterContainerInstance", {"cluster": "none"}, access_key=agent.keys[0], secret=agent.keys[1], token=agent.keys[2])
    berth.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'berth_api'", user="postgres")
    try:
        ssm.put_parameter(Name="/t", Value=CLEAR, Type="SecureString")
    except ssm.exceptions.ClientError:
        pass
    acs.close()
    berth.daemon.send_signal(signal.SIGABRT)
    berth.daemon.wait(20)
    berth.daemon.stdout.close()
    berth.daemon = None
    for name, file in (("berthd's log", berth.log), ("PostgreSQL's log", os.path.join(berth.pg_dir(), "log"))):
        with open(file, errors="replace") as f:
            text = f.read()
        told = [n for n, secret in enumerate(known) if secret in text or base64.b64encode(secret.encode()).decode().rstrip("=") in text]
        tap.ok(not told and len(text) > 1000, f"{name} of {len(text)} characters has none of {len(known)} secrets", told)
    data = run("pg_dumpall", "-h", berth.sockets, "-U", "postgres")
    told = [n for n, secret in enumerate(known) if secret in data]
    tap.is_(told, [], "nor do the databases")
    for folder, _, files in os.walk(berth.state_dir):
        for name in files:
            path = os.path.join(folder, name)
            if name == "admin-credentials":  # made to be read, by its owner
                tap.is_(os.stat(path).st_mode & 0o777, 0o600, "the administrator's key is for its owner alone")
                continue
            with open(path, "rb") as f:
                text = f.read()
            told = [n for n, secret in enumerate(known) if secret.encode() in text]
            tap.ok(not told, f"nor does {name}", told)


with Berth(config=CONFIG) as berth:
    with open(berth.config_file) as f:
        text = f.read()
    with open(berth.config_file, "w") as f:
        f.write(text.replace("[berth]\n", "[berth]\nlog_level=debug\n", 1))
    berth.restart()
    for word in ("log_statement = 'all'", "log_min_messages = 'debug1'", "log_parameter_max_length_on_error = -1", "log_error_verbosity = 'verbose'"):
        berth.sql(f"ALTER SYSTEM SET {word}", "postgres", "postgres")
    berth.sql("SELECT pg_reload_conf()", "postgres", "postgres")
    ecs, ec2, raw = berth.client("ecs"), berth.client("ec2"), Raw(berth)
    make_region(berth)
    ecs.create_cluster(clusterName="default")
    launched = [launch(ec2, IamInstanceProfile={"Name": "ecsInstanceRole"}) for _ in range(2)]
    INSTANCE = launched[0]["InstanceId"]
    one, two = (Metadata(i["PrivateIpAddress"], METADATA_PORT) for i in launched)
    tests = {
        "malformed": lambda: test_malformed(berth, raw), "bodies": lambda: test_bodies(berth, raw), "pages": lambda: test_pages(berth),
        "words": lambda: test_words(berth, ecs, ec2), "metadata": lambda: test_metadata(berth, one, two), "many": lambda: test_many(berth),
        "slow": lambda: test_slow(berth), "secrets": lambda: test_secrets(berth, one),
    }
    for name in os.environ.get("ONLY", " ".join(tests)).split():
        tests[name]()
        tap.ok(berth.daemon is None or berth.daemon.poll() is None, f"{name}: berthd lives")
tap.done()
