"""A provider that remembers every call: what came, when it began and when it was answered.

Paths:  /ok            200 and {"path", "n"}
        /status/N      N and a small JSON body
        /slow?ms=N     200 after N milliseconds
        /hang/NAME     200 once the test called release(NAME), at latest after 30 s
        /script/NAME   the next answer of script(NAME, [...]), then 200
        /X/...         what routes[X](call) returns: status, headers, body as bytes
"""
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from servers import wait_until

HANG_LIMIT = 30.0


class Call:
    """One request as it came; ended is 0.0 until it was answered.  Times are monotonic seconds."""

    def __init__(self, method, path, query, headers, body):
        self.method, self.path, self.query, self.headers, self.body = method, path, query, headers, body
        self.began = time.monotonic()
        self.ended = 0.0


class Witness:
    def __init__(self, port=0):
        self.calls = []
        self.lock = self._lock = threading.Lock()
        self._counts = {}
        self._scripts = {}
        self._gates = {}
        self.routes = {}
        witness = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            timeout = 60

            def log_message(self, *_args):
                pass

            def _serve(self):
                parts = urlsplit(self.path)
                query = {k: v[-1] for k, v in parse_qs(parts.query).items()}
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                call = Call(self.command, parts.path, query, dict(self.headers.items()), body)
                with witness._lock:
                    witness.calls.append(call)
                    number = witness._counts[parts.path] = witness._counts.get(parts.path, 0) + 1
                status, headers, text = witness._answer(call, number)
                call.ended = time.monotonic()
                try:
                    self.send_response(status)
                    self.send_header("content-type", "application/json")
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("content-length", str(len(text)))
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(text)
                except OSError:
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, *_args):  # a client that went away is no error here
                pass

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def _answer(self, call, number):
        words = call.path.strip("/").split("/")
        if words[0] in self.routes:
            return self.routes[words[0]](call)
        if words[0] == "status" and len(words) > 1:
            return int(words[1]), {}, b'{"message":"as asked"}'
        if words[0] == "slow":
            time.sleep(min(int(call.query.get("ms", "0")), 20000) / 1000)
        elif words[0] == "hang":
            self._gate(words[1]).wait(HANG_LIMIT)
        elif words[0] == "script":
            with self._lock:
                answers = self._scripts.get(words[1], [])
                if answers:
                    status, headers, body = answers.pop(0)
                    return status, headers, json.dumps(body).encode()
        return 200, {}, json.dumps({"path": call.path, "n": number}).encode()

    def _gate(self, name):
        with self._lock:
            return self._gates.setdefault(name, threading.Event())

    def release(self, name):
        self._gate(name).set()

    def hold(self, name):
        """Calls hang again from now on."""
        self._gate(name).clear()

    def script(self, name, answers):
        """answers: list of (status, headers, body as JSON value)."""
        with self._lock:
            self._scripts[name] = list(answers)

    def seen(self, path):
        with self._lock:
            return [c for c in self.calls if c.path == path]

    def wait_seen(self, path, count=1, seconds=15.0):
        return wait_until(f"{count} calls of {path} (there are {len(self.seen(path))})",
                          lambda: (lambda found: found if len(found) >= count else None)(self.seen(path)), seconds)

    def stop(self):
        with self._lock:
            gates = list(self._gates.values())
        for gate in gates:
            gate.set()
        self._server.shutdown()
        self._server.server_close()
