"""A container agent as far as a control plane sees one: signed calls, and the two WebSockets.

It speaks RFC 6455 over the ssl module, so that tests decide about every frame: when to acknowledge,
what to leave unanswered, how to break off.
"""

import base64
import hashlib
import json
import os
import socket
import ssl
import struct
import urllib.parse

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ATTRIBUTES = [
    {"name": "stack", "value": "prod"},
    {"name": "ecs.capability.secrets.ssm.environment-variables"},
    {"name": "com.amazonaws.ecs.capability.docker-remote-api.1.21"},
    {"name": "com.amazonaws.ecs.capability.logging-driver.json-file"},
    {"name": "ecs.os-type", "value": "linux"},
]
RESOURCES = [
    {"name": "CPU", "type": "INTEGER", "integerValue": 2048},
    {"name": "MEMORY", "type": "INTEGER", "integerValue": 1983},
    {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22", "2375", "2376", "51678", "51679"]},
    {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
]


class Refused(Exception):
    """The upgrade was answered with something else than 101."""

    def __init__(self, status, body):
        super().__init__(f"{status} {body}")
        self.status = status
        try:
            self.code = next(iter(json.loads(body)))
        except (ValueError, StopIteration):
            self.code = None


class Socket:
    """One WebSocket; messages are trees."""

    def __init__(self, url, credentials, region, ca, headers=None):
        self.url = urllib.parse.urlsplit(url)
        context = ssl.create_default_context(cafile=ca)
        raw = socket.create_connection((self.url.hostname, self.url.port or 443), timeout=10)
        self.sock = context.wrap_socket(raw, server_hostname=self.url.hostname)
        self.rest = b""
        self.upgrade(credentials, region, headers or {})

    def upgrade(self, credentials, region, headers):
        request = AWSRequest(method="GET", url=self.url.geturl(), data=b"")
        SigV4Auth(credentials, "ecs", region).add_auth(request)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = {"Host": self.url.netloc, "User-Agent": "Go-http-client/1.1", "Connection": "Upgrade",
                 "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key,
                 **dict(request.headers), **headers}
        target = self.url.path + "?" + self.url.query
        head = f"GET {target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items() if v is not None)
        self.sock.sendall(head.encode() + b"\r\n")
        status, answer, body = self.read_head()
        if status != 101:
            raise Refused(status, body)
        accept = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        assert answer["sec-websocket-accept"] == base64.b64encode(accept).decode()

    def read_head(self):
        data = b""
        while b"\r\n\r\n" not in data:
            got = self.sock.recv(4096)
            if not got:
                raise Refused(0, data.decode())
            data += got
        head, self.rest = data.split(b"\r\n\r\n", 1)
        first, *lines = head.decode().split("\r\n")
        headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines)}
        body = b""
        if "content-length" in headers:
            while len(self.rest) < int(headers["content-length"]):
                self.rest += self.sock.recv(4096)
            body, self.rest = self.rest, b""
        return int(first.split()[1]), headers, body.decode()

    # -- frames
    def exactly(self, count):
        while len(self.rest) < count:
            got = self.sock.recv(65536)
            if not got:
                raise EOFError("the peer closed")
            self.rest += got
        data, self.rest = self.rest[:count], self.rest[count:]
        return data

    def frame(self):
        first, length = self.exactly(2)
        if length == 126:
            length = struct.unpack("!H", self.exactly(2))[0]
        elif length == 127:
            length = struct.unpack("!Q", self.exactly(8))[0]
        return first & 0x0F, self.exactly(length)

    def send_frame(self, opcode, data, final=True):
        mask = os.urandom(4)
        head = bytes([(0x80 if final else 0) | opcode])
        if len(data) < 126:
            head += bytes([0x80 | len(data)])
        elif len(data) < 65536:
            head += bytes([0x80 | 126]) + struct.pack("!H", len(data))
        else:
            head += bytes([0x80 | 127]) + struct.pack("!Q", len(data))
        self.sock.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def send(self, kind, message, prefix=""):
        self.send_frame(1, (prefix + json.dumps({"type": kind, "message": message})).encode())

    def send_in_parts(self, kind, message, size):
        data = json.dumps({"type": kind, "message": message}).encode()
        parts = [data[i:i + size] for i in range(0, len(data), size)]
        for n, part in enumerate(parts):
            self.send_frame(1 if n == 0 else 0, part, final=n == len(parts) - 1)

    def receive(self, kind=None, seconds=10):
        """The next text message (of this kind, passing over others); (kind, message)."""
        self.sock.settimeout(seconds)
        while True:
            opcode, data = self.frame()
            if opcode == 8:
                raise EOFError("closed: %d" % (struct.unpack("!H", data[:2])[0] if data else 0))
            if opcode != 1:
                continue
            tree = json.loads(data)
            if kind is None or tree["type"] == kind:
                return tree["type"], tree["message"]

    def none_within(self, kind, seconds):
        """Whether no message of this kind comes for so long."""
        import time
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until:
                got, _ = self.receive(seconds=max(0.01, until - time.monotonic()))
                if got == kind:
                    return False
        except (TimeoutError, socket.timeout):
            pass
        return True

    def close(self, code=1000):
        try:
            self.send_frame(8, struct.pack("!H", code))
        finally:
            self.sock.close()

    def cut(self):
        """As a machine that loses its power: no goodbye."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Agent:
    def __init__(self, berth, access_key=None, secret_key=None, token=None, cluster="default"):
        self.berth, self.cluster = berth, cluster
        self.keys = (access_key or berth.access_key, secret_key or berth.secret_key, token)
        self.ecs = berth.client("ecs", *self.keys)
        self.arn = None

    def register(self, **more):
        asked = {"cluster": self.cluster, "attributes": ATTRIBUTES, "totalResources": RESOURCES,
                 "instanceIdentityDocument": "", "instanceIdentityDocumentSignature": "", **more}
        answer = self.ecs.register_container_instance(**asked)["containerInstance"]
        self.arn = answer["containerInstanceArn"]
        return answer

    def endpoints(self):
        return self.ecs.discover_poll_endpoint(cluster=self.cluster, containerInstance=self.arn)

    def connect(self, url, parameters, **kw):
        query = urllib.parse.urlencode(sorted(parameters.items()), quote_via=urllib.parse.quote)
        return Socket(f"{url}ws?{query}", Credentials(*self.keys), self.ecs.meta.region_name,
                      self.berth.ca, **kw)

    def acs(self, **changes):
        parameters = {"agentHash": "0e7482df", "agentVersion": "1.70.0", "clusterArn": self.cluster,
                      "containerInstanceArn": self.arn, "dockerVersion": "DockerVersion: 20.10.24+dfsg1",
                      "protocolVersion": "2", "sendCredentials": "true", "seqNum": "1", **changes}
        return self.connect(self.endpoints()["endpoint"], parameters)

    def tcs(self):
        return self.connect(self.endpoints()["telemetryEndpoint"],
                            {"agentHash": "0e7482df", "agentVersion": "1.70.0", "cluster": self.cluster,
                             "containerInstance": self.arn, "dockerVersion": "20.10.24+dfsg1"})

    def ack(self, socket_, message):
        socket_.send("AckRequest", {"cluster": self.cluster, "containerInstance": self.arn,
                                    "messageId": message["messageId"]})
