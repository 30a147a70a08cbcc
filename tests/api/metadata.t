#!/usr/bin/python3
"""The instance metadata service over HTTP: versions, tokens, every rule of who may read what."""

import base64
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from agent_sim import ATTRIBUTES, RESOURCES
from berth_test import Berth, free_port, run, tap
from metadata_client import Metadata
from region_rows import IMAGE, end, launch, make_region

TOKEN = "X-aws-ec2-metadata-token"
TTL = "X-aws-ec2-metadata-token-ttl-seconds"
PORT = free_port()
CONFIG = f"""[hosts]
network_cidr=127.64.0.0/16
[metadata]
address=127.0.0.1
port={PORT}
[roles]
session_seconds=12
"""


def wait_listening(berth):
    def answers():
        try:
            socket.create_connection(("127.0.0.1", PORT), 1).close()
            return True
        except OSError:
            return False
    tap.ok(berth.wait_for(answers), "the service listens")


def token_rules(one, two):
    status, body, headers = one.call("PUT", "/latest/api/token", {TTL: "60"})
    tap.is_((status, headers[TTL], headers["Content-Type"]), (200, "60", "text/plain"),
            "a token is given for as long as it is asked for")
    tap.ok(0 < len(body) <= 64 and body.isascii() and not set(body) & set(" \r\n"),
           "it is short and printable", body)
    for value in ("", "0", "21601", "-1", "+5", "6e1", "1" * 30, None):
        tap.is_(one.call("PUT", "/latest/api/token", {TTL: value} if value is not None else {})[0],
                400, f"a token for {value!r} seconds")
    tap.is_(one.call("PUT", "/latest/api/token", {TTL: "60", "X-Forwarded-For": "10.0.0.1"})[0], 403,
            "not to what was forwarded")
    tap.is_(one.call("PUT", "/2021-03-23/api/token", {TTL: "60"})[0], 403, "not by a dated version")
    tap.is_(one.call("PUT", "/latest/meta-data/instance-id", {TTL: "60"})[0], 405,
            "nothing else is put")
    tap.is_(one.call("POST", "/latest/api/token", {TTL: "60"}, body="x")[0], 405, "nor posted")
    tap.is_(one.call("GET", "/latest/api/token", {TOKEN: body})[0], 405, "nor is the token read")
    tap.is_(one.call("PUT", "/latest/api/token", {TTL: "60"}, body="x" * 100000)[0], 200,
            "a body says nothing")
    path = "/latest/meta-data/instance-id"
    tap.is_(one.call("GET", path)[0], 401, "without a token nothing is read")
    tap.is_(one.call("GET", path, {TOKEN: body})[0], 200, "with it, it is")
    tap.is_(one.call("GET", path, {TOKEN: body, "X-Forwarded-For": "10.0.0.1"})[0], 403,
            "but not for whom a proxy stands in")
    for host, expected in (("169.254.169.254", 200), ("169.254.169.254:80", 200),
                           ("instance-data:8773", 200), ("evil.example", 403),
                           ("169.254.169.254.evil.example", 403)):
        tap.is_(one.call("GET", path, {TOKEN: body, "Host": host})[0], expected,
                f"to a client that calls us {host}")
    tap.is_(one.call("HEAD", path, {TOKEN: body})[:2], (200, ""), "HEAD has no body")
    for bad in ("", "x", body[:-1], body + "A", body.swapcase(), "A" * 56):
        tap.is_(one.call("GET", path, {TOKEN: bad})[0], 401, f"a token like {bad[:12]!r} is none")
    tap.is_(two.call("GET", path, {TOKEN: body})[0], 401, "another instance's token is none")
    short = one.token(1)
    time.sleep(1.1)
    tap.is_(one.call("GET", path, {TOKEN: short})[0], 401, "nor is one that has ended")


def hop_limit(guest):
    """TTLs of the packets that bring an answer to a PUT, and to a GET before any."""
    sniff = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    sniff.bind(("lo", 0))
    sniff.settimeout(0.5)

    def ttls(method, path, headers):
        guest.call(method, path, headers)
        seen, until = set(), time.monotonic() + 0.5
        while time.monotonic() < until:  # others may never be silent
            try:
                packet = sniff.recv(65536)[14:]
            except socket.timeout:
                break
            source_port = struct.unpack("!H", packet[20:22])[0]
            if packet[9] == 6 and source_port == PORT and b"HTTP/1.1" in packet:
                seen.add(packet[8])
        return seen

    get = ttls("GET", "/latest/meta-data/", {TOKEN: guest.held})
    put = ttls("PUT", "/latest/api/token", {TTL: "60"})
    sniff.close()
    return put, get


def keep_alive(guest):
    """Two requests on one connection, the second sent before the first is answered."""
    with socket.create_connection(("127.0.0.1", PORT), 5, (guest.source, 0)) as s:
        token = guest.token()
        ask = f"GET /latest/meta-data/mac HTTP/1.1\r\nHost: 169.254.169.254\r\n{TOKEN}: {token}\r\n"
        s.sendall((ask + "\r\n" + ask + "Connection: close\r\n\r\n").encode())
        data = b""
        while more := s.recv(65536):
            data += more
    return data.count(b"HTTP/1.1 200 OK")


def tree(guest, instance, account):
    folders = ["meta-data/"]
    found = {}
    while folders:
        folder = folders.pop()
        for name in guest.read(folder).split("\n"):
            path = folder + name
            if name.startswith("0="):
                folders.append(folder + "0/")
            elif name.endswith("/"):
                folders.append(path)
            else:
                found[path[len("meta-data/"):]] = guest.read(path)
    mac = instance["NetworkInterfaces"][0]["MacAddress"]
    macs = f"network/interfaces/macs/{mac}/"
    subnet = instance["SubnetId"]
    expected = {
        "instance-id": instance["InstanceId"], "ami-id": IMAGE, "ami-launch-index": "0",
        "instance-type": "lab1.small", "hostname": instance["PrivateDnsName"],
        "local-hostname": instance["PrivateDnsName"], "local-ipv4": instance["PrivateIpAddress"],
        "mac": mac, "security-groups": "default", "instance-life-cycle": "on-demand",
        "instance-action": "none", "profile": "default-hvm", "services/domain": "amazonaws.com",
        "services/partition": "aws", "system": "nitro",
        "placement/availability-zone": "home-1a", "placement/availability-zone-id": "ho1-az1",
        "placement/region": "home-1", "public-keys/0/openssh-key": guest.key.strip(),
        "iam/security-credentials/ecsInstanceRole": None, "iam/info": None, "reservation-id": None,
        "block-device-mapping/ami": instance["RootDeviceName"],
        "block-device-mapping/root": instance["RootDeviceName"],
        macs + "device-number": "0", macs + "mac": mac, macs + "owner-id": account,
        macs + "interface-id": instance["NetworkInterfaces"][0]["NetworkInterfaceId"],
        macs + "local-hostname": instance["PrivateDnsName"],
        macs + "local-ipv4s": instance["PrivateIpAddress"], macs + "security-groups": "default",
        macs + "security-group-ids": instance["SecurityGroups"][0]["GroupId"],
        macs + "subnet-id": subnet, macs + "vpc-id": instance["VpcId"],
        macs + "subnet-ipv4-cidr-block": "127.64.0.0/20",
        macs + "vpc-ipv4-cidr-block": "127.64.0.0/16", macs + "vpc-ipv4-cidr-blocks": "127.64.0.0/16",
    }
    tap.is_(sorted(found), sorted(expected), "a walk finds every path, and no other")
    wrong = {k: (found.get(k), v) for k, v in expected.items() if v is not None and found.get(k) != v}
    tap.is_(wrong, {}, "and each says what the API says")


def document(berth, guest, instance, account):
    text = guest.read("dynamic/instance-identity/document")
    told = json.loads(text)
    tap.is_({k: told[k] for k in ("accountId", "instanceId", "imageId", "region", "privateIp",
                                  "availabilityZone", "instanceType", "architecture", "version",
                                  "billingProducts", "kernelId")},
            {"accountId": account, "instanceId": instance["InstanceId"], "imageId": IMAGE,
             "region": "home-1", "privateIp": instance["PrivateIpAddress"],
             "availabilityZone": "home-1a", "instanceType": "lab1.small", "architecture": "x86_64",
             "version": "2017-09-30", "billingProducts": None, "kernelId": None},
            "the identity document says who it is")
    signature = guest.read("dynamic/instance-identity/signature")
    rsa2048 = guest.read("dynamic/instance-identity/rsa2048")
    with open(berth.state_dir + "/tls/instance-identity.crt") as f:
        certificate = f.read()
    with tempfile.TemporaryDirectory() as folder:
        def put(name, data):
            with open(f"{folder}/{name}", "wb") as f:
                f.write(data)
            return f"{folder}/{name}"
        cert = put("cert", certificate.encode() + b"\n")
        put("key", run("openssl", "x509", "-in", cert, "-noout", "-pubkey").encode())
        doc, sig = put("doc", text.encode()), put("sig", base64.b64decode(signature))
        good = subprocess.run(["openssl", "dgst", "-sha256", "-verify", f"{folder}/key", "-signature",
                               sig, doc], capture_output=True, text=True)
        tap.like(good.stdout, "Verified OK", "signature signs it with the region's key")
        cms = put("cms", f"-----BEGIN PKCS7-----\n{rsa2048}\n-----END PKCS7-----\n".encode())
        out = subprocess.run(["openssl", "smime", "-verify", "-in", cms, "-inform", "PEM", "-certfile",
                              cert, "-noverify"], capture_output=True, text=True)
        tap.is_(out.stdout, text, "rsa2048 is a message that brings it, signed")


def registration(berth, guest, instance):
    """An agent without the instance's credentials shows the signed document."""
    document = guest.read("dynamic/instance-identity/document")
    signature = guest.read("dynamic/instance-identity/signature")
    ecs = berth.client("ecs")
    ecs.create_cluster(clusterName="default")
    def register(document, signature):
        return ecs.register_container_instance(
            instanceIdentityDocument=document, instanceIdentityDocumentSignature=signature,
            totalResources=RESOURCES, attributes=ATTRIBUTES)["containerInstance"]
    tap.is_(register(document, signature)["ec2InstanceId"], instance["InstanceId"],
            "a signed document says on which instance an agent runs")
    for wrong, claim in ((document.replace(instance["InstanceId"], "i-0123456789abcdef0"), "another instance's name in it"),
                         (document.replace(berth.account_id, "999999999999"), "another account's"), ("x", "no document")):
        tap.raises("ClientException", lambda: register(wrong, signature), f"{claim} is not taken", 400)
    tap.ok("ec2InstanceId" not in register("", ""), "none says nothing")


def credentials(berth, guest, instance):
    path = "meta-data/iam/security-credentials/"
    tap.is_(guest.read(path), "ecsInstanceRole", "the role's name is listed")
    first = json.loads(guest.read(path + "ecsInstanceRole"))
    tap.is_((first["Code"], first["Type"]), ("Success", "AWS-HMAC"), "its credentials are there")
    sts = berth.client("sts", first["AccessKeyId"], first["SecretAccessKey"], first["Token"])
    tap.is_(sts.get_caller_identity()["Arn"],
            f"arn:aws:sts::{berth.account_id}:assumed-role/ecsInstanceRole/{instance['InstanceId']}",
            "and the API takes them for the role's")
    ec2 = berth.client("ec2", first["AccessKeyId"], first["SecretAccessKey"], first["Token"])
    tap.raises("UnauthorizedOperation", lambda: ec2.describe_instances(),
               "which may not do more than an agent does", 403)
    ecs = berth.client("ecs", first["AccessKeyId"], first["SecretAccessKey"], first["Token"])
    tap.ok(ecs.discover_poll_endpoint()["endpoint"], "and may do that")
    tap.is_(json.loads(guest.read(path + "ecsInstanceRole"))["AccessKeyId"], first["AccessKeyId"],
            "asked again, they are the same")
    tap.is_(guest.get(path + "otherRole")[0], 404, "no other role's are there")
    renewed = berth.wait_for(lambda: json.loads(guest.read(path + "ecsInstanceRole"))["AccessKeyId"]
                             != first["AccessKeyId"], 13, 0.5)
    tap.ok(renewed, "in their last sixth new ones are given")
    tap.ok(sts.get_caller_identity()["Arn"], "while the old ones still are good")
    tap.is_(json.loads(guest.read("meta-data/iam/info"))["InstanceProfileArn"],
            f"arn:aws:iam::{berth.account_id}:instance-profile/ecsInstanceRole", "iam/info names the profile")


with Berth(config=CONFIG) as berth:
    ec2 = berth.client("ec2")
    make_region(berth)
    key = run("sh", "-c", "cd $(mktemp -d) && ssh-keygen -q -t ed25519 -N '' -C me -f k && cat k.pub && rm -r $PWD")
    ec2.import_key_pair(KeyName="me", PublicKeyMaterial=key.encode())
    full = launch(ec2, KeyName="me", UserData="#!/bin/sh\n\0\xff", IamInstanceProfile={"Name": "ecsInstanceRole"},
                  TagSpecifications=[{"ResourceType": "instance", "Tags": [
                      {"Key": "Name", "Value": "web 1"}, {"Key": "a/b", "Value": "x"}]}])
    bare = launch(ec2)
    one, two = (Metadata(i["PrivateIpAddress"], PORT) for i in (full, bare))
    one.key = " ".join(key.split()[:2] + ["me"])
    wait_listening(berth)

    # -- who asks
    tap.is_(two.read("meta-data/instance-id"), bare["InstanceId"], "the source address says who asks")
    tap.is_(one.read("meta-data/instance-id"), full["InstanceId"], "each instance sees itself")
    stranger = Metadata("127.64.9.9", PORT)
    tap.is_(stranger.call("PUT", "/latest/api/token", {TTL: "60"})[0], 403,
            "an address of no instance gets nothing")

    token_rules(one, two)
    tap.is_(keep_alive(one), 2, "a connection is kept, and requests may be sent ahead")

    # -- versions and paths
    listed = one.call("GET", "/", {TOKEN: one.held})[1].split("\n")
    tap.ok({"1.0", "2009-04-04", "2016-09-02", "2018-09-24", "2021-03-23", "latest"} <= set(listed),
           "the versions that clients ask for are listed", listed)
    tap.is_({v: one.get("meta-data/instance-id", v) for v in listed},
            {v: (200, full["InstanceId"]) for v in listed}, "each of them answers")
    tap.is_(one.get("meta-data/instance-id", "2033-01-01")[0], 404, "an unknown one does not")
    for path, expected in (("meta-data", 200), ("meta-data/", 200), ("meta-data//mac", 200),
                           ("meta-data/mac/", 200), ("meta-data/nothing", 404), ("", 200),
                           ("meta-data/mac/x", 404), ("meta-data/../meta-data/mac", 404),
                           ("meta-data/%6dac", 200), ("meta-data/%00", 400), ("meta-data/%zz", 400),
                           ("meta-data/public-ipv4", 404), ("meta-data/public-hostname", 404),
                           ("meta-data/spot/instance-action", 404), ("meta-data/tags/instance", 404),
                           ("meta-data/autoscaling/target-lifecycle-state", 404),
                           ("meta-data/outpost-arn", 404)):
        tap.is_(one.get(path)[0], expected, f"/latest/{path} is {expected}")
    tree(one, full, berth.account_id)
    tap.is_(one.read("meta-data/public-keys/"), "0=me", "the key pair is listed by number and name")
    tap.is_(one.read("user-data"), base64.b64decode(ec2.describe_instance_attribute(
        InstanceId=full["InstanceId"], Attribute="userData")["UserData"]["Value"]).decode("latin-1"),
        "user data comes to the byte")
    tap.is_((two.get("user-data")[0], two.get("meta-data/public-keys/")[0],
             two.get("meta-data/iam/security-credentials/")[0], two.get("meta-data/iam/info")[0]),
            (404, 404, 404, 404), "what an instance has not is not there")
    document(berth, one, full, berth.account_id)
    registration(berth, one, full)
    credentials(berth, one, full)

    # -- options
    tap.is_(hop_limit(one), ({1}, {64}), "a token crosses no router; what is read with it may")
    def options(**changes):
        got = ec2.modify_instance_metadata_options(InstanceId=full["InstanceId"], **changes)
        time.sleep(1.1)
        return got["InstanceMetadataOptions"]
    options(HttpPutResponseHopLimit=3)
    tap.is_(hop_limit(one)[0], {3}, "unless the instance's hop limit says so")
    shown = ec2.describe_instances(InstanceIds=[full["InstanceId"]])["Reservations"][0]["Instances"][0]
    tap.is_({k: shown["MetadataOptions"][k] for k in ("HttpTokens", "HttpPutResponseHopLimit", "HttpEndpoint",
                                                      "InstanceMetadataTags", "State")},
            {"HttpTokens": "required", "HttpPutResponseHopLimit": 3, "HttpEndpoint": "enabled",
             "InstanceMetadataTags": "disabled", "State": "applied"}, "DescribeInstances shows the options")
    tap.is_(options(HttpTokens="optional")["HttpTokens"], "optional", "the first version can be allowed")
    tap.is_(one.call("GET", "/latest/meta-data/instance-id")[:2], (200, full["InstanceId"]),
            "then no token is needed")
    tap.is_(one.call("GET", "/latest/meta-data/instance-id", {TOKEN: "x"})[0], 401, "but a wrong one is wrong")
    tap.is_(one.call("GET", "/latest/meta-data/mac", {"X-Forwarded-For": "::1"})[0], 403,
            "nor for whom a proxy stands in")
    tap.is_(two.call("GET", "/latest/meta-data/instance-id")[0], 401, "the other instance's is not changed")
    options(InstanceMetadataTags="enabled")
    tap.is_((one.read("meta-data/tags/instance/"), one.read("meta-data/tags/instance/Name")),
            ("Name", "web 1"), "tags are shown when they are to be, as far as they are paths")
    options(HttpEndpoint="disabled")
    tap.is_([one.call("PUT", "/latest/api/token", {TTL: "60"})[0], one.call("GET", "/")[0]], [403, 403],
            "switched off, it answers nothing")
    launched = launch(ec2, MetadataOptions={"HttpTokens": "optional", "HttpPutResponseHopLimit": 2})
    tap.is_(Metadata(launched["PrivateIpAddress"], PORT).call("GET", "/latest/meta-data/instance-id")[:2],
            (200, launched["InstanceId"]), "RunInstances takes options too")

    # -- the end
    end(berth, bare["InstanceId"])
    time.sleep(1.1)
    tap.is_(two.get("meta-data/instance-id")[0], 403, "an instance that has ended is asked for no more")

    # -- restart: what tokens say holds
    token = one.held
    options(HttpEndpoint="enabled")
    berth.restart()
    wait_listening(berth)
    tap.is_(one.get("meta-data/instance-id", token=token), (200, full["InstanceId"]),
            "tokens outlive the daemon")
tap.done()
