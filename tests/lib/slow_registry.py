"""A way to a docker-registry that counts what is asked, and is slow, silent or broken when told."""
import http.client
import http.server
import threading
import time

PIECE = 16 * 1024


class SlowRegistry:
    """Listens on .port and passes on to the registry on 127.0.0.1:behind."""

    def __init__(self, behind):
        self.behind = behind
        self.asked = []        # paths of manifests by tag: one for each pull
        self.fail = 0          # so many next pulls are answered 503
        self.stall = 0         # so many next blobs stop in the middle
        self.rate = 0          # bytes a second of all blobs; 0: as fast as it goes
        self.open_blobs = 0    # large ones on their way
        self.broken_blobs = 0  # and those whose reader went
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                proxy._pass(self)

            do_HEAD = do_GET

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()

    def pulls(self, name):
        """How often the manifest of this name ("bb") was asked for by a tag."""
        return len([1 for path in self.asked if path.startswith("/v2/%s/manifests/" % name)])

    def _take(self, what):
        with self.lock:
            left = getattr(self, what)
            setattr(self, what, max(left - 1, 0))
            return left > 0

    def _pass(self, handler):
        blob = "/blobs/" in handler.path
        if "/manifests/" in handler.path and "sha256:" not in handler.path:
            # a pull asks by HEAD first, and when that fails by GET
            if handler.command == "HEAD":
                self.asked.append(handler.path)
            if self.fail if handler.command == "HEAD" else self._take("fail"):
                handler.send_response(503)
                handler.send_header("Content-Length", "0")
                handler.end_headers()
                return
        to = http.client.HTTPConnection("127.0.0.1", self.behind, timeout=20)
        to.putrequest(handler.command, handler.path, skip_host=True, skip_accept_encoding=True)
        for key, value in handler.headers.items():  # Accept comes several times
            if key.lower() != "connection":
                to.putheader(key, value)
        to.endheaders()
        answer = to.getresponse()
        handler.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in ("connection", "transfer-encoding", "date", "server"):
                handler.send_header(key, value)
        handler.end_headers()
        if handler.command == "HEAD":
            return
        large = blob and int(answer.headers.get("Content-Length", 0)) > 4 * PIECE
        with self.lock:
            self.open_blobs += large
        try:
            self._body(handler, answer, large)
        except OSError:
            with self.lock:
                self.broken_blobs += large
            raise
        finally:
            with self.lock:
                self.open_blobs -= large
            to.close()

    def _body(self, handler, answer, large):
        stall = large and self._take("stall")
        sent = 0
        while True:
            piece = answer.read(PIECE)
            if not piece:
                return
            handler.wfile.write(piece)
            sent += len(piece)
            if stall and sent >= 2 * PIECE:
                self.stopping.wait(60)
                handler.close_connection = True
                return
            if large and self.rate:
                time.sleep(len(piece) / self.rate)
