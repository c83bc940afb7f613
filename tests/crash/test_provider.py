"""F32: a provider resets, stops, drips, floods, lies about lengths, or asks to come back in the past or in ten years."""
import os
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import Fleet, wait_until
from tap import main, test

TIMEOUT_S = 2.0  # provider_timeout of these nodes
ACTION_S = 9.0
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


class Stub:
    """A raw server: each path behaves badly in its own way."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.counts = {}
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            sock, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            with sock:
                sock.settimeout(30)
                head = sock.recv(65536)
                path = head.split(b" ")[1].decode().split("?")[0].strip("/") if b" " in head else "tls"
                self.counts[path] = self.counts.get(path, 0) + 1
                getattr(self, path.replace("-", "_"), self.ok)(sock)
        except OSError:
            pass

    @staticmethod
    def ok(sock):
        sock.sendall(HEAD + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}")

    @staticmethod
    def reset(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    @staticmethod
    def nothing(sock):
        pass

    @staticmethod
    def half_head(sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Ty")

    @staticmethod
    def half_body(sock):
        sock.sendall(HEAD + b'Content-Length: 100\r\n\r\n{"half":')

    @staticmethod
    def never(sock):
        sock.recv(1)

    @staticmethod
    def drip(sock):
        sock.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
        for _ in range(60):
            sock.sendall(b" ")
            time.sleep(1)

    @staticmethod
    def drip_head(sock):
        for byte in HEAD * 3:
            sock.sendall(bytes([byte]))
            time.sleep(0.5)

    @staticmethod
    def flood(sock):
        sock.sendall(HEAD + b"Content-Length: 100000000\r\n\r\n")
        for _ in range(1526):
            sock.sendall(b"x" * 65536)

    @staticmethod
    def flood_chunks(sock):
        sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(1526):
            sock.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")

    @staticmethod
    def flood_head(sock):
        sock.sendall(HEAD)
        for n in range(200000):
            sock.sendall(b"X-%d: %s\r\n" % (n, b"y" * 500))

    @staticmethod
    def long_body(sock):
        sock.sendall(HEAD + b'Content-Length: 2\r\nConnection: close\r\n\r\n{}{"more":"than it said"}')

    @staticmethod
    def bad_chunk(sock):
        sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n")

    @staticmethod
    def garbage(sock):
        sock.sendall(os.urandom(2000))

    @staticmethod
    def gzip_bomb(sock):
        import gzip  # pylint: disable=import-outside-toplevel
        body = gzip.compress(b"\0" * 200_000_000, 1)
        sock.sendall(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def _limited(self, sock, name, value):
        if self.counts[name] > 1:
            self.ok(sock)
        else:
            sock.sendall(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: " + value + b"\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")

    def limit_past(self, sock):
        self._limited(sock, "limit-past", b"Wed, 21 Oct 2015 07:28:00 GMT")

    def limit_garbage(self, sock):
        self._limited(sock, "limit-garbage", b"abc")

    def limit_negative(self, sock):
        self._limited(sock, "limit-negative", b"-5")

    def limit_huge(self, sock):
        self._limited(sock, "limit-huge", b"315360000")


def ask(fleet, path, retries=0, base=None, **more):
    return fleet.call("ask", {"path": "/" + path, "retries": retries, "base": base or fleet.stub.url}, seconds=60, **more)


def memory_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return [int(line.split()[1]) for line in file if line.startswith("VmRSS")][0]


def bad(path, **more):
    @test(name=f"F32 provider answers with {path}: bounded time and memory, a clear error, the next request is fine", seconds=60)
    def _(fleet):
        node = fleet.nodes[0]
        before, began = memory_of(node.process.pid), time.monotonic()
        answer = ask(fleet, path, **more)
        took, grown = time.monotonic() - began, memory_of(node.process.pid) - before
        print(f"# {took:.1f} s, {grown // 1024} MiB, {answer.status} {answer.code}")
        assert answer.status in (424, 500) and answer.code and took < TIMEOUT_S + 2, (answer, took)
        assert grown < 80 * 1024, f"{grown} KiB"
        assert ask(fleet, "ok").status == 200 and node.process.poll() is None


for _path in ("reset", "nothing", "half-head", "half-body", "never", "drip", "drip-head", "flood", "flood-chunks", "flood-head", "bad-chunk",
              "garbage", "gzip-bomb"):
    bad(_path)


@test(name="F32 provider speaks no TLS where TLS was asked for: a clear error", seconds=60)
def _(fleet):
    answer = ask(fleet, "tls", base=fleet.stub.url.replace("http:", "https:"))
    assert answer.status in (424, 500) and answer.code, answer


@test(name="F32 provider sends more than it said: what it said counts, the connection is not used again", seconds=60)
def _(fleet):
    assert ask(fleet, "long-body").json == {}
    assert ask(fleet, "ok").json == {}


@test(name="F32 429 with a Retry-After in the past, negative, or no number: tried again after the usual wait", seconds=60)
def _(fleet):
    answers, began = {}, time.monotonic()

    def one(path):
        fleet.connection(path)  # of its own: a limit is a connection's
        answers[path] = ask(fleet, path, retries=1, connection=path)
    threads = [threading.Thread(target=one, args=(f"limit-{name}",)) for name in ("past", "garbage", "negative")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    print(f"# {took:.1f} s")
    assert all(answer.status == 200 for answer in answers.values()) and took < ACTION_S, answers
    assert all(fleet.stub.counts[path] == 2 for path in answers)


@test(name="F32 429 with a Retry-After of ten years: the run ends within its limit, nobody is called before", seconds=60)
def _(fleet):
    began = time.monotonic()
    answer = ask(fleet, "limit-huge", retries=1)
    took = time.monotonic() - began
    print(f"# {took:.1f} s, {answer.status} {answer.code}")
    assert answer.status in (424, 500) and took < ACTION_S + 2, answer
    assert fleet.stub.counts["limit-huge"] == 1


def prepare(fleet):
    fleet.stub = Stub()
    fleet.prepare({"ask": "const r = await nango.get({ endpoint: input.path, baseUrlOverride: input.base, retries: input.retries });"
                          "return r.data;"})


main(lambda: Fleet(nodes=1, proxied=False, prepare=prepare, settings={
    "provider_timeout": f"{TIMEOUT_S:g}s", "action_timeout": f"{ACTION_S:g}s", "provider_response_max": "4MiB", "runner_heap": "64MiB"}))
