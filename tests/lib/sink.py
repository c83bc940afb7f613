"""A receiver of webhooks that remembers what came and answers as badly as it is told.

    with Sink() as sink:
        sink.answer("/down", *[status(500)] * 3, OK)      # each request takes the next one, the last one stays
        sink.answer("/gone", status(410))                 # anything may be set again while it runs
        ...
        first = sink.wait(1, "/down")[0]                  # at least so many requests came, bounded
        assert not first.faults(key)                      # headers, signatures and form are as they should be
        sink.ids("/down")                                 # {webhook-id}; sink.taken() those that were answered by a whole 2xx
        sink.refuse() / sink.accept()                     # nobody listens / somebody does again, at the same port

Answers:  OK, status(N, {header: value}, body), later(seconds | date(seconds) | text), moved(url), slow(seconds, answer),
          held(name, answer) until sink.release(name), hang, drop, reset, short, drip(seconds), endless_head, endless_body.
A header's value may be a function: it is called for each answer.  What is not said otherwise is answered by 200.
A function answer(link, request) writes to link; it returns True once the client has a whole answer and may go on.
"""
import base64
import hashlib
import hmac
import json
import re
import select
import socket
import struct
import threading
import time
from email.utils import formatdate

from rig import Rig
from servers import free_ports, wait_until

LIMIT = 120.0  # seconds that an answer takes at most, and a silent connection lasts
ENDLESS = 1 << 28  # bytes that an endless answer has at most: far more than anybody should read
KEPT = 1 << 16  # bytes of an answer's body that a delivery reads at most
SKEW = 5.0  # seconds between the clocks of who signs and who reads
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Request:
    """One request as it came.  began and ended are monotonic seconds, ended 0.0 until it was dealt with."""

    def __init__(self, link, method, path, pairs, body):
        self.began, self.ended, self.wall = time.monotonic(), 0.0, time.time()
        self.connection = link.number
        self.method, self.path, self.pairs, self.body = method, path, pairs, body
        self.headers = dict(pairs)  # names in lower case
        self.status = 0  # what it was answered with; 0: nothing, or not all of it
        self.sent = 0  # bytes of the answer that were handed to the kernel

    @property
    def id(self):
        return self.headers.get("webhook-id")

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def taken(self):
        """Was it answered by a whole 2xx?"""
        return 200 <= self.status < 300

    def faults(self, key, before=None):
        """What is wrong with it, as texts; [] if nothing is.  before: the key that was rotated away less than a day ago."""
        return list(faults(self, key, before))

    def __repr__(self):
        return f"{self.method} {self.path} {self.id} -> {self.status}"


def signatures(key, ident, timestamp, body):
    """(X-Nango-Signature, X-Nango-Hmac-Sha256, a part of webhook-signature) of these bytes."""
    secret = key.encode()
    signed = hmac.new(secret, f"{ident}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return (hashlib.sha256(secret + body).hexdigest(), hmac.new(secret, body, hashlib.sha256).hexdigest(),
            "v1," + base64.b64encode(signed).decode())


def sorted_keys(pairs):
    names = [name for name, _ in pairs]
    if names != sorted(names) or len(names) != len(set(names)):
        raise ValueError(f"keys {names} are not sorted, or not unique")
    return dict(pairs)


def faults(request, key, before=None):
    headers, body = request.headers, request.body
    if request.method != "POST":
        yield f"method {request.method}"
    for name in {n for n, _ in request.pairs}:
        if sum(n == name for n, _ in request.pairs) > 1:
            yield f"header {name} comes twice"
    if headers.get("content-type") != "application/json":
        yield f"content-type {headers.get('content-type')!r}"
    if not headers.get("user-agent", "").startswith("sluice/"):
        yield f"user-agent {headers.get('user-agent')!r}"
    if not UUID.fullmatch(headers.get("webhook-id", "")):
        yield f"webhook-id {headers.get('webhook-id')!r}"
    stamp = headers.get("webhook-timestamp", "")
    if not re.fullmatch(r"[1-9][0-9]{9}", stamp) or abs(int(stamp) - request.wall) > SKEW:
        yield f"webhook-timestamp {stamp!r} at {request.wall:.0f}"
    digest, mac, part = signatures(key, headers.get("webhook-id", ""), stamp, body)
    parts = [part] + ([signatures(before, headers.get("webhook-id", ""), stamp, body)[2]] if before else [])
    for name, wanted in (("x-nango-signature", digest), ("x-nango-hmac-sha256", mac), ("webhook-signature", " ".join(parts))):
        if headers.get(name) != wanted:
            yield f"{name} {headers.get(name)!r}, not {wanted!r}"
    try:
        value = json.loads(body, object_pairs_hook=sorted_keys)
        if re.search(rb"[\r\n\t]|[\"\]}0-9el][,:] ", re.sub(rb'"(\\.|[^"\\])*"', b'""', body)):
            yield "the body has blanks"
        if not isinstance(value, dict) or "type" not in value:
            yield "the body is no event"
    except ValueError as error:
        yield f"the body is no JSON with sorted keys: {error}"


# ---- answers
def date(seconds):
    """An HTTP date so many seconds from the answer on."""
    return lambda: formatdate(time.time() + seconds, usegmt=True)


def status(code, headers=None, body=b""):
    def answer(link, request):
        fields = {"content-length": len(body), **(headers or {})}
        if code == 204:
            del fields["content-length"]
        text = "".join(f"{name}: {value() if callable(value) else value}\r\n" for name, value in fields.items())
        request.status = code  # before it is sent: who asks once the client knows must see it
        return link.send(f"HTTP/1.1 {code} X\r\n{text}\r\n".encode() + body)
    return answer


OK = status(200, {"content-type": "application/json"}, b'{"ok":true}')


def later(when, code=429):
    return status(code, {"retry-after": when})


def moved(url, code=302):
    return status(code, {"location": url})


def slow(seconds, answer=OK):
    def slowly(link, request):
        return not link.gone(seconds) and answer(link, request)
    return slowly


def held(name, answer=OK):
    """Waits until the test releases name; while it is held, the client may go away."""
    def answer_later(link, request):
        link.sink.gate(name).wait(LIMIT)
        return answer(link, request)
    return answer_later


def hang(link, _request):
    """Accepts, reads and says nothing until the client goes."""
    link.gone(LIMIT)
    return False


def drop(_link, _request):
    """Closes before answering."""
    return False


def reset(link, _request):
    """The head of a 200 and half of its body, then a reset."""
    link.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + b"x" * 500)
    time.sleep(0.05)  # what is in flight when a reset comes may be thrown away: here the head is meant to arrive
    link.linger()
    return False


def short(link, _request):
    """A 200 with a Content-Length beyond the body that comes."""
    link.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nshort")
    return False


def drip(seconds=1.0, body=b"x" * 100):
    """A good 200, one byte at a time."""
    def dripping(link, request):
        whole = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body
        for byte in whole[:-1]:
            if not link.send(bytes([byte])) or link.gone(seconds):
                return False
        request.status = 200
        return link.send(whole[-1:])
    return dripping


def endless(first, piece, head=True):
    """A 200 that does not end; one whose head did counts as a whole one once somebody has read more than is kept of a body."""
    def answer(link, request):
        good = link.send(first)
        while good and link.sent < ENDLESS:
            good = link.send(piece)
            if not head and link.sent > KEPT:
                request.status = 200
        return False
    return answer


endless_head = endless(b"HTTP/1.1 200 OK\r\n", b"x-more: " + b"y" * 1000 + b"\r\n")
endless_line = endless(b"HTTP/1.1 200 OK\r\nx-more: ", b"y" * 4096)
endless_body = endless(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", b"z" * 16384, head=False)
endless_chunks = endless(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1000\r\n" + b"z" * 4096 + b"\r\n", head=False)


# ---- the receiver
class Link:
    """A connection; the answer under way has sent that many bytes."""

    def __init__(self, sink, sock, number):
        self.sink, self.sock, self.number, self.sent = sink, sock, number, 0
        self.stream = sock.makefile("rb")

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            return False
        self.sent += len(data)
        return not self.sink.stopping.is_set()

    def gone(self, seconds):
        """Does the client go, or the sink stop, within these seconds?  What it sends meanwhile is a part of the next request."""
        end = time.monotonic() + seconds
        while not self.sink.stopping.is_set():
            left = end - time.monotonic()
            if left <= 0:
                return False
            readable, _, _ = select.select([self.sock], [], [], min(left, 0.2))
            if readable:
                try:
                    if self.sock.recv(1, socket.MSG_PEEK) == b"":
                        return True
                except OSError:
                    return True
                self.sink.stopping.wait(min(max(0.0, end - time.monotonic()), 0.2))
        return True

    def linger(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def read(self):
        """The next request, or None once there is none."""
        try:
            words = self.stream.readline(65537).split()
            if len(words) != 3:
                return None
            pairs = []
            while (line := self.stream.readline(65537)) not in (b"\r\n", b""):
                name, _, value = line.partition(b":")
                pairs.append((name.decode("latin-1").lower(), value.strip().decode("latin-1")))
            if dict(pairs).get("expect", "").lower() == "100-continue":
                self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            wanted = int(dict(pairs).get("content-length", 0))
            body = self.stream.read(wanted)
        except (OSError, ValueError):
            return None
        return Request(self, words[0].decode(), words[1].decode(), pairs, body) if len(body) == wanted else None

    def run(self):
        try:
            while not self.sink.stopping.is_set():
                request = self.read()
                if request is None:
                    return
                answer, self.sent = self.sink.take(request), 0
                try:
                    good = answer(self, request)
                finally:
                    request.sent, request.ended = self.sent, time.monotonic()
                if not good:
                    return
        finally:
            self.close()

    def close(self):
        with self.sink.changed:
            self.sink.links.discard(self)
        try:
            self.stream.close()
            self.sock.close()
        except OSError:
            pass


class Sink:
    def __init__(self, port=None, host="127.0.0.1"):
        self.host, self.port = host, port or free_ports(1)[0]
        self.url = f"http://{host}:{self.port}"
        self.requests, self.links, self.made = [], set(), 0
        self.changed = threading.Condition(threading.RLock())
        self.stopping = threading.Event()
        self._answers, self._gates, self._listener = {}, {}, None
        self.accept()

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.stop()

    # ---- what it does
    def answer(self, path, *answers):
        """Of this path from now on; of all others, for path None."""
        with self.changed:
            self._answers[path] = list(answers)

    def gate(self, name):
        with self.changed:
            return self._gates.setdefault(name, threading.Event())

    def release(self, name):
        self.gate(name).set()

    def hold(self, name):
        """Answers held by name wait again from now on."""
        self.gate(name).clear()

    def refuse(self):
        """Nobody listens; connections that are there are reset."""
        with self.changed:
            listener, self._listener = self._listener, None
            links = list(self.links)
        if listener is not None:
            listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts
            listener.close()
        self._cut(links)

    def cut(self):
        """Resets the connections that are there."""
        with self.changed:
            links = list(self.links)
        self._cut(links)

    @staticmethod
    def _cut(links):
        for link in links:
            try:
                link.linger()
                link.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def accept(self):
        with self.changed:
            if self._listener is not None:
                return
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.host, self.port))
            listener.listen(512)
            self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(LIMIT)
            except OSError:
                return
            with self.changed:
                if self._listener is not listener:
                    sock.close()
                    return
                self.made += 1
                link = Link(self, sock, self.made)
                self.links.add(link)
            threading.Thread(target=link.run, daemon=True).start()

    def take(self, request):
        """Notes a request and says how it is answered."""
        with self.changed:
            self.requests.append(request)
            answers = self._answers.get(request.path) or self._answers.get(None) or [OK]
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            self.changed.notify_all()
        return answer

    # ---- what it saw
    def seen(self, path=None):
        with self.changed:
            return [r for r in self.requests if path in (None, r.path)]

    def ids(self, path=None):
        return {r.id for r in self.seen(path)}

    def taken(self, path=None):
        """The ids that were answered by a whole 2xx."""
        return {r.id for r in self.seen(path) if r.taken}

    def tries(self, ident, path=None):
        return [r for r in self.seen(path) if r.id == ident]

    def at_once(self, path=None):
        """How many requests were under way at the same time, at most."""
        now = time.monotonic()
        steps = sorted(step for r in self.seen(path) for step in ((r.began, 1), (r.ended or now, -1)))
        most = count = 0
        for _, step in steps:
            count += step
            most = max(most, count)
        return most

    def wait(self, count=1, path=None, seconds=15.0):
        """At least so many requests came; all of them."""
        self.wait_for(lambda: len(self.seen(path)) >= count, f"{count} webhooks at {path or 'any path'}", seconds)
        return self.seen(path)

    def wait_ids(self, ids, path=None, seconds=15.0):
        """Each of these was answered by a whole 2xx."""
        self.wait_for(lambda: set(ids) <= self.taken(path), f"{len(set(ids))} ids at {path or 'any path'}", seconds)

    def wait_for(self, condition, what, seconds=15.0):
        return wait_until(f"{what} (there are {len(self.requests)} requests)", condition, seconds, every=0.02)

    def well(self):
        """From now on every path is answered by 200."""
        with self.changed:
            self._answers.clear()
            gates = list(self._gates.values())
        for gate in gates:
            gate.set()
        self.accept()

    def forget(self):
        """What it saw until now, and how it was to answer."""
        with self.changed:
            self.requests.clear()
            self._answers.clear()

    def stop(self):
        self.stopping.set()
        with self.changed:
            gates = list(self._gates.values())
        for gate in gates:
            gate.set()
        self.refuse()


class SinkRig(Rig):
    """A Rig with a receiver, rig.sink, that is there before the nodes and after them."""

    def __enter__(self):
        self.sink = Sink()
        try:
            return super().__enter__()
        except BaseException:
            self.sink.stop()
            raise

    def __exit__(self, *exc):
        super().__exit__(*exc)
        self.sink.stop()
