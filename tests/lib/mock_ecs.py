"""A control plane for tests of the agent: the ECS calls an agent makes, and both channels.

One port serves the API (POST /), /acs/ws and /tcs/ws, plain or over TLS. Every request's SigV4
signature is computed anew and compared. What the agent says is kept in lists; tests wait on them.
"""
import base64
import hashlib
import hmac
import http.server
import json
import socket
import ssl
import struct
import threading
import time
import urllib.parse

KEY, SECRET, TOKEN, REGION = "ASIATESTTESTTESTTEST", "secret/+of/tests", "session/token==", "home-1"
ARN = "arn:aws:ecs:home-1:000000000001:"
WS_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def _mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature_of(method, path, query, headers, body, authorization):
    """The signature that the Authorization header should carry."""
    parts = dict(p.strip().split("=", 1) for p in authorization.split(" ", 1)[1].split(","))
    signed = parts["SignedHeaders"].split(";")
    for must in ("host", "x-amz-date", "x-amz-security-token"):
        assert must in signed, must + " is not signed"
    scope = parts["Credential"].split("/", 1)[1]
    assert parts["Credential"].split("/")[0] == KEY
    assert scope.split("/")[1:] == [REGION, "ecs", "aws4_request"], scope
    pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
    quote = lambda s: urllib.parse.quote(s, safe="-_.~")
    canonical_query = "&".join(sorted(quote(k) + "=" + quote(v) for k, v in pairs))
    canonical = "\n".join([
        method, path, canonical_query,
        "".join("%s:%s\n" % (h, " ".join(headers[h].split())) for h in signed),
        ";".join(signed), hashlib.sha256(body).hexdigest()])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope,
                         hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + SECRET).encode()
    for part in scope.split("/"):
        key = _mac(key, part)
    assert headers["x-amz-security-token"] == TOKEN
    return parts["Signature"], hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


class Channel:
    """The server's end of one WebSocket."""

    def __init__(self, sock, kind, query):
        self.sock, self.kind, self.query = sock, kind, query
        self.lock = threading.Lock()
        self.open = True

    def frame(self, opcode, payload):
        head = bytes([0x80 | opcode])
        if len(payload) < 126:
            head += bytes([len(payload)])
        elif len(payload) < 65536:
            head += bytes([126]) + struct.pack(">H", len(payload))
        else:
            head += bytes([127]) + struct.pack(">Q", len(payload))
        with self.lock:
            try:
                self.sock.sendall(head + payload)
            except OSError:
                self.open = False

    def send(self, type_, message):
        self.frame(1, json.dumps({"type": type_, "message": message}).encode())

    def close(self, code):
        self.frame(8, struct.pack(">H", code))

    def drop(self):
        self.open = False
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class MockEcs:
    def __init__(self, port=0, tls=None):
        """tls: (certificate file, key file)."""
        self.changed = threading.Condition()
        self.calls = []        # (operation, request)
        self.messages = []     # (kind, type, message): what came on channels
        self.opened = []       # (kind, query)
        self.channels = {}     # kind -> Channel
        self.refuse = {}       # operation -> list of (status, code, message), used up in turn
        self.answers = {}      # operation -> answer, when it is not the usual one
        self.refuse_upgrade = []  # (kind, status, body), used up in turn
        self.heartbeats = True
        self.answers_telemetry = True
        self.clusters = {"default"}
        self.bad_signatures = []
        self.sockets = []      # of all connections there were
        mock = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                mock._call(self)

            def do_GET(self):
                mock._channel(self)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_):
                pass

            def finish_request(self, request, client):
                if tls:
                    request = context.wrap_socket(request, server_side=True)
                mock.sockets.append(request)
                super().finish_request(request, client)

        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
        self.server = Server(("0.0.0.0", port), Handler)
        self.port = self.server.server_address[1]
        self.url = "%s://127.0.0.1:%d" % ("https" if tls else "http", self.port)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        for channel in list(self.channels.values()):
            channel.drop()
        self.server.shutdown()
        self.server.server_close()
        for sock in self.sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    # -- what tests use

    def wait(self, what, find, seconds=40):
        """The first true value of find()."""
        end = time.monotonic() + seconds
        with self.changed:
            while True:
                found = find()
                if found:
                    return found
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError("waited %s s in vain for %s" % (seconds, what))
                self.changed.wait(min(left, 0.25))

    def called(self, operation):
        return [request for name, request in self.calls if name == operation]

    def reports(self, task):
        return [r for r in self.called("SubmitTaskStateChange") if r["task"] == task]

    def wait_report(self, task, status, seconds=40):
        return self.wait("%s of %s" % (status, task), lambda: next(
            (r for r in self.reports(task) if r["status"] == status), None), seconds)

    def said(self, kind, type_):
        return [m for k, t, m in self.messages if k == kind and t == type_]

    def channel(self, kind="acs"):
        return self.wait(kind + " channel", lambda: self.channels.get(kind)
                         if self.channels.get(kind) and self.channels[kind].open else None)

    def client_died(self):
        """Its channels are over, also where that was not noticed yet: nothing is to be sent on them."""
        for channel in self.channels.values():
            channel.open = False

    def send(self, type_, message):
        self.channel().send(type_, message)

    def payload(self, message_id, *tasks, **more):
        self.send("PayloadMessage", dict({
            "messageId": message_id, "clusterArn": ARN + "cluster/default",
            "containerInstanceArn": ARN + "container-instance/default/0123",
            "generatedAt": 1, "tasks": list(tasks)}, **more))

    def wait_ack(self, message_id, seconds=30):
        return self.wait("ack of " + message_id, lambda: next(
            (m for m in self.said("acs", "AckRequest") if m["messageId"] == message_id), None), seconds)

    def _note(self, to, item):
        with self.changed:
            to.append(item)
            self.changed.notify_all()

    # -- the API

    def _check(self, handler, body):
        path, _, query = handler.path.partition("?")
        headers = {k.lower(): v for k, v in handler.headers.items()}
        try:
            got, right = signature_of(handler.command, path, query, headers, body,
                                      headers.get("authorization", ""))
            if got != right:
                raise AssertionError("signature differs")
        except Exception as problem:
            self._note(self.bad_signatures, "%s %s: %r" % (handler.command, handler.path, problem))
            return False
        return True

    def _answer(self, handler, status, tree):
        body = json.dumps(tree).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/x-amz-json-1.1")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _call(self, handler):
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        if not self._check(handler, body):
            return self._answer(handler, 403, {"__type": "InvalidSignatureException", "message": "no"})
        operation = handler.headers["X-Amz-Target"].split(".")[1]
        request = json.loads(body)
        refusals = self.refuse.get(operation)
        if refusals:
            status, code, message = refusals.pop(0)
            return self._answer(handler, status, {"__type": code, "message": message})
        self._note(self.calls, (operation, request))
        if operation in self.answers:
            return self._answer(handler, 200, self.answers[operation])
        if operation == "RegisterContainerInstance":
            if request["cluster"] not in self.clusters:
                return self._answer(handler, 400, {"__type": "ClientException",
                                                   "message": "Cluster not found."})
            return self._answer(handler, 200, {"containerInstance": {
                "containerInstanceArn": request.get("containerInstanceArn") or
                ARN + "container-instance/default/0123",
                "attributes": request["attributes"]}})
        if operation == "CreateCluster":
            self.clusters.add(request["clusterName"])
            return self._answer(handler, 200, {"cluster": {"clusterName": request["clusterName"]}})
        if operation == "DiscoverPollEndpoint":
            return self._answer(handler, 200, {"endpoint": self.url + "/acs/",
                                               "telemetryEndpoint": self.url + "/tcs"})
        return self._answer(handler, 200, {"acknowledgment": "ok"})

    # -- the channels

    def _channel(self, handler):
        kind = handler.path.split("/")[1]
        query = dict(urllib.parse.parse_qsl(handler.path.partition("?")[2]))
        handler.close_connection = True
        if not self._check(handler, b""):
            return self._answer(handler, 403, {"AccessDeniedException": "signature"})
        if self.refuse_upgrade and self.refuse_upgrade[0][0] == kind:
            _, status, body = self.refuse_upgrade.pop(0)
            self._note(self.opened, (kind + " refused", query))
            return self._answer(handler, status, body)
        accept = base64.b64encode(hashlib.sha1(
            (handler.headers["Sec-WebSocket-Key"] + WS_GUID).encode()).digest()).decode()
        handler.wfile.write(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                             "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n" % accept).encode())
        handler.wfile.flush()
        channel = Channel(handler.connection, kind, query)
        with self.changed:
            self.channels[kind] = channel
        self._note(self.opened, (kind, query))
        if kind == "acs":
            threading.Thread(target=self._beat, args=(channel,), daemon=True).start()
        try:
            self._read(channel, handler)
        except (OSError, ValueError, struct.error):
            pass
        channel.open = False
        with self.changed:
            self.changed.notify_all()

    def _beat(self, channel):
        n = 0
        while channel.open:
            if self.heartbeats:
                n += 1
                channel.send("HeartbeatMessage", {"healthy": True, "messageId": "hb-%d" % n})
            time.sleep(1)

    def _read(self, channel, handler):
        read = handler.rfile.read
        text = b""
        while True:
            head = read(2)
            if len(head) < 2:
                return
            assert head[1] & 0x80, "the client's frames must be masked"
            length = head[1] & 0x7f
            if length == 126:
                length = struct.unpack(">H", read(2))[0]
            elif length == 127:
                length = struct.unpack(">Q", read(8))[0]
            mask = read(4)
            data = bytes(b ^ mask[i % 4] for i, b in enumerate(read(length)))
            opcode = head[0] & 0x0f
            if opcode == 8:
                self._note(self.messages, (channel.kind, "close", data))
                channel.frame(8, data[:2])
                return
            if opcode == 10:
                self._note(self.messages, (channel.kind, "pong", data))
            if opcode > 2:
                continue
            text += data
            if head[0] & 0x80:
                self._take(channel, text)
                text = b""

    def _take(self, channel, text):
        if channel.kind == "tcs":
            head, _, text = text.partition(b"\r\n\r\n")
            headers = {k.lower(): v for k, v in
                       (line.split(": ", 1) for line in head.decode().split("\r\n"))}
            query = "&".join(urllib.parse.quote(k) + "=" + urllib.parse.quote(v, safe="-_.~")
                             for k, v in channel.query.items())
            got, right = signature_of("GET", "/tcs/ws", query, headers, text, headers["authorization"])
            if got != right:
                self._note(self.bad_signatures, "telemetry")
        tree = json.loads(text)
        self._note(self.messages, (channel.kind, tree["type"], tree["message"]))
        acks = {"PublishMetricsRequest": "AckPublishMetric", "PublishHealthRequest": "AckPublishHealth",
                "PublishInstanceStatusRequest": "AckPublishInstanceStatus",
                "PublishImagePullsRequest": "AckPublishImagePulls"}
        if self.answers_telemetry and tree["type"] in acks:
            channel.send(acks[tree["type"]], {"message": ""})
