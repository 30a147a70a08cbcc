"""A small S3 stand-in: objects by path, GET alone; every request's signature is computed anew."""
import hashlib
import hmac
import http.server
import ssl
import threading
import time
import urllib.parse

EMPTY = hashlib.sha256(b"").hexdigest()


def _mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class MockS3:
    def __init__(self, region, tls=None):
        """tls: (certificate file, key file)."""
        self.keys = {}       # access key id -> (secret, token or None)
        self.objects = {}    # "/bucket/key", decoded -> bytes
        self.refuse = []     # (status, code), used up in turn
        self.asked = []      # (path, access key id)
        self.bad = []        # what is wrong with signatures
        mock = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                mock._get(self, region)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

            def finish_request(self, request, client):
                if tls:
                    request = context.wrap_socket(request, server_side=True)
                super().finish_request(request, client)

        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = "%s://127.0.0.1:%d" % ("https" if tls else "http", self.server.server_address[1])
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def _check(self, handler, region):
        """The access key id of a request that is signed as S3 wants it."""
        headers = {k.lower(): v for k, v in handler.headers.items()}
        scheme, _, rest = headers["authorization"].partition(" ")
        parts = dict(p.strip().split("=", 1) for p in rest.split(","))
        key_id, scope = parts["Credential"].split("/", 1)
        signed = parts["SignedHeaders"].split(";")
        secret, token = self.keys[key_id]
        assert scheme == "AWS4-HMAC-SHA256" and signed == sorted(signed)
        assert scope.split("/") == [headers["x-amz-date"][:8], region, "s3", "aws4_request"], scope
        assert {"host", "x-amz-date", "x-amz-content-sha256"} <= set(signed), signed
        assert headers["x-amz-content-sha256"] == EMPTY
        assert headers.get("x-amz-security-token") == token and (not token or "x-amz-security-token" in signed)
        age = time.time() - time.mktime(time.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ")) + time.timezone
        assert abs(age) < 900, age
        path, _, query = handler.path.partition("?")
        # S3 alone: the path is escaped once, and stands as it is
        assert urllib.parse.quote(urllib.parse.unquote(path), safe="/-_.~") == path, path
        canonical = "\n".join(["GET", path, query, "".join("%s:%s\n" % (h, headers[h].strip()) for h in signed),
                               ";".join(signed), EMPTY])
        to_sign = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope,
                             hashlib.sha256(canonical.encode()).hexdigest()])
        key = ("AWS4" + secret).encode()
        for part in scope.split("/"):
            key = _mac(key, part)
        assert hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest() == parts["Signature"], "signature"
        return key_id

    def _get(self, handler, region):
        path = urllib.parse.unquote(handler.path.partition("?")[0])
        try:
            key_id = self._check(handler, region)
        except Exception as problem:
            self.bad.append("%s: %r" % (path, problem))
            return self._answer(handler, 403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
        self.asked.append((path, key_id))
        if self.refuse:
            status, code = self.refuse.pop(0)
            return self._answer(handler, status, b"<Error><Code>%s</Code></Error>" % code.encode())
        if path not in self.objects:
            return self._answer(handler, 404, b"<?xml?><Error><Code>NoSuchKey</Code></Error>")
        self._answer(handler, 200, self.objects[path])

    def _answer(self, handler, status, body):
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
