"""A provider that limits strictly, tells it as it is asked to, and counts who does not listen.

    with Limiter(count=10, window=1.0) as limiter:                 # each key: 10 in a window, which its first request begins
        limiter = Limiter(count=10, window=1.0, tells="reset_ms")  # see TELLS
        limiter.url                                                # base of the integration; any path answers {"n": ..}
        limiter.set(count=5)                                       # any of the settings, while it runs
        limiter.close(30.0)                                        # every key is closed for so long
        limiter.keys["Bearer k1"].violations(0.05)                 # requests inside a window that was told to be closed
        limiter.violations(), limiter.refused(), limiter.answered()
        limiter.requests                                           # all of them, in order: key, at, status, told

A key is what the request says in Authorization (by="authorization"), its path (by="path"), or one for all (by="app").
A violation is a request that comes more than slack after a 429 was sent to its key and before the moment which that
429 named (no moment named: before the window's end).  optimum(n): the least time in which n requests of a key pass.
"""
import asyncio
import json
import math
import multiprocessing
import os
import pickle
import signal
import socket
import threading
import time
from email.utils import formatdate

SLACK = 0.05

# How a 429 tells when the window opens; seconds are rounded up.  Those with "remaining" tell it with each answer.
TELLS = ("seconds", "date", "reset_ms", "remaining", "remaining_s", "none")


class Request:
    def __init__(self, key, path, at):
        self.key, self.path, self.at = key, path, at
        self.status, self.until = 0, 0.0  # until: when a 429 said that it opens; monotonic
        self.sent = 0.0

    def __repr__(self):
        return f"{self.key} {self.path} {self.at:.3f} -> {self.status}"


class Key:
    """One window.  Under the limiter's lock."""

    def __init__(self, name):
        self.name, self.start, self.used, self.closed = name, -math.inf, 0, -math.inf
        self.requests = []

    def violations(self, slack=SLACK):
        """Requests that came inside a window of which their client could know that it is closed."""
        found, closings = [], []
        for each in self.requests:
            if any(sent + slack < each.at < until for sent, until in closings):
                found.append(each)
            if each.status == 429:
                closings.append((each.sent, each.until))
        return found

    def bursts(self):
        """How many requests were refused in each window that refused any."""
        out, end = [], -math.inf
        for each in self.requests:
            if each.status != 429:
                continue
            if each.at >= end:
                out.append(0)
            out[-1] += 1
            end = max(end, each.until)
        return out


class _State:
    def __init__(self, count=10, window=1.0, tells="seconds", by="authorization", latency=0.0):
        assert tells in TELLS and by in ("authorization", "path", "app"), (tells, by)
        self.count, self.window, self.tells, self.by, self.latency = count, window, tells, by, latency
        self.requests, self.keys = [], {}
        self._lock = threading.Lock()

    def set(self, settings):
        with self._lock:
            for name, value in settings.items():
                setattr(self, name, value)

    def close(self, seconds):
        with self._lock:
            self._closed_all = time.monotonic() + seconds
            for key in self.keys.values():
                key.closed = self._closed_all

    def reset(self):
        with self._lock:
            self.requests, self.keys = [], {}

    def look(self):
        with self._lock:
            return pickle.loads(pickle.dumps((self.requests, self.keys)))

    _closed_all = -math.inf

    # ---- one request

    def take(self, authorization, path):
        """Counts it; the request with its status, and the headers of the answer."""
        now = time.monotonic()
        name = {"authorization": authorization, "path": path, "app": "app"}[self.by]
        with self._lock:
            key = self.keys.get(name)
            if key is None:
                key = self.keys[name] = Key(name)
                key.closed = self._closed_all
            request = Request(name, path, now)
            self.requests.append(request)
            key.requests.append(request)
            if now >= max(key.start + self.window, key.closed):
                key.start, key.used = now, 0
            end = max(key.start + self.window, key.closed)
            if now < key.closed or key.used >= self.count:
                request.status, left = 429, 0
            else:
                key.used += 1
                request.status, left = 200, self.count - key.used
            headers = self._headers(request, left, end, now)
            if request.status == 429:
                request.sent, request.until = now, request.until or end
            return request, headers

    def _headers(self, request, left, end, now):
        wait = end - now
        whole = max(1, math.ceil(wait))
        wall_end = time.time() + wait
        if self.tells.startswith("remaining"):
            headers = {"x-ratelimit-limit": str(self.count), "x-ratelimit-remaining": str(left)}
            if self.tells == "remaining":
                headers["x-ratelimit-reset"] = str(math.ceil(wall_end * 1000))  # unix milliseconds
            else:
                headers["x-ratelimit-reset"] = str(math.ceil(wall_end))
                if request.status == 429:
                    request.until = now + math.ceil(wall_end) - time.time()
            return headers
        if request.status != 429 or self.tells == "none":
            return {}
        if self.tells == "reset_ms":
            return {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(math.ceil(wall_end * 1000))}
        if self.tells == "date":
            request.until = now + math.ceil(wall_end) - time.time()
            return {"retry-after": formatdate(math.ceil(wall_end), usegmt=True)}
        request.until = now + whole
        return {"retry-after": str(whole)}


class Limiter:
    """The server is a process of its own: what the test does meanwhile delays no request."""

    def __init__(self, count=10, window=1.0, tells="seconds", by="authorization", latency=0.0):
        assert tells in TELLS and by in ("authorization", "path", "app"), (tells, by)
        self.count, self.window, self.tells, self.by, self.latency = count, window, tells, by, latency
        self._process = self._control = None
        self._lock = threading.Lock()

    def __enter__(self):
        self._control, theirs = multiprocessing.Pipe()
        state = _State(self.count, self.window, self.tells, self.by, self.latency)
        self._process = multiprocessing.get_context("fork").Process(target=_serve, args=(state, theirs, self._control), daemon=True)
        self._process.start()
        theirs.close()
        self.port = self._control.recv()
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(self, *_exc):
        self._control.close()  # it ends then
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()

    def _tell(self, what, *values):
        with self._lock:
            self._control.send((what, values))
            return self._control.recv()

    def set(self, **settings):
        for name, value in settings.items():
            assert name in ("count", "window", "tells", "by", "latency"), name
            setattr(self, name, value)
        self._tell("set", settings)

    def close(self, seconds):
        self._tell("close", seconds)

    def reset(self):
        """Forgets every key and what was asked."""
        self._tell("reset")

    # ---- what came

    @property
    def requests(self):
        return self._tell("look")[0]

    @property
    def keys(self):
        return self._tell("look")[1]

    def violations(self, slack=SLACK):
        return [each for key in self.keys.values() for each in key.violations(slack)]

    def refused(self):
        return sum(each.status == 429 for each in self.requests)

    def answered(self):
        return sum(each.status == 200 for each in self.requests)

    def span(self, name=None):
        """Seconds from the first request to the last one that was answered by 200, of a key or of all."""
        those = [each for each in self.requests if name is None or each.key == name]
        good = [each.at for each in those if each.status == 200]
        return max(good) - those[0].at if good else 0.0

    def optimum(self, requests):
        """The least time that so many requests of one key take: each full window but the last one has to pass."""
        return (math.ceil(requests / self.count) - 1) * self.window


def _serve(state, control, other):
    """The process of the limiter, until its test closes the pipe."""
    other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(lambda: _Connection(state, loop), "127.0.0.1", 0, backlog=256))
    threading.Thread(target=loop.run_forever, daemon=True).start()
    control.send(server.sockets[0].getsockname()[1])
    try:
        while True:
            what, values = control.recv()
            control.send(getattr(state, what)(*values))
    except (EOFError, OSError):
        os._exit(0)


class _Connection(asyncio.Protocol):
    """One thread and little parsing: a request is counted within a fraction of a millisecond of its arrival, also in a burst."""

    def __init__(self, limiter, loop):
        self.limiter, self.loop, self.bytes, self.transport = limiter, loop, b"", None

    def connection_made(self, transport):
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.transport = transport

    def data_received(self, data):
        self.bytes += data
        while b"\r\n\r\n" in self.bytes:
            head, _, rest = self.bytes.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            length = int(fields.get("content-length") or 0)
            if len(rest) < length:
                return
            self.bytes = rest[length:]
            self.take(lines[0].split(" ")[1], fields.get("authorization", ""))

    def take(self, path, authorization):
        request, headers = self.limiter.take(authorization, path.split("?")[0])
        if self.limiter.latency > 0:
            self.loop.call_later(self.limiter.latency, self.answer, request, headers)
        else:
            self.answer(request, headers)

    def answer(self, request, headers):
        body = json.dumps({"status": request.status}).encode()
        head = f"HTTP/1.1 {request.status} x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(head.encode() + b"\r\n" + body)
        if request.status == 429:
            request.sent = time.monotonic()
