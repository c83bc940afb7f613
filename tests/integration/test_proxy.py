#!/usr/bin/env python3
"""ANY /proxy/*: what goes out, what comes back, what is retried, and that no body is ever held whole."""
import http.client
import json
import os
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, free_port
from servers import wait_until
from tap import main, test

LARGE = 100 << 20
CHUNK = bytes(range(256)) * 1024  # 256 KiB


class Provider:
    """Answers by path: what it got, streams, odd things."""

    def __init__(self):
        self.seen, self.counts, self.lock = [], {}, threading.Lock()
        self.aborted = threading.Event()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_args):
                pass

            def body(self):
                if (self.headers.get("transfer-encoding") or "") == "chunked":
                    got = []
                    while True:
                        size = int(self.rfile.readline().split(b";")[0], 16)
                        got.append(self.rfile.read(size))
                        self.rfile.readline()
                        if size == 0:
                            return b"".join(got)
                return self.rfile.read(int(self.headers.get("content-length") or 0))

            def send(self, status, body=b"", **headers):
                self.send_response(status)
                for name, value in {"content-type": "application/json", **headers}.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def serve(self):
                path = self.path.split("?")[0].removeprefix("/base")
                with provider.lock:
                    number = provider.counts[path] = provider.counts.get(path, 0) + 1
                if path == "/swallow":
                    left, total = int(self.headers["content-length"]), 0
                    while left > 0:
                        got = self.rfile.read(min(left, 1 << 20))
                        if not got:
                            provider.aborted.set()
                            self.close_connection = True
                            return
                        left -= len(got)
                        total += len(got)
                    self.send(200, json.dumps({"bytes": total}).encode())
                    return
                body = self.body()
                with provider.lock:
                    provider.seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                if path == "/pour":
                    self.send_response(200)
                    self.send_header("content-disposition", "attachment; filename=x")
                    self.send_header("x-own", "yes")
                    self.send_header("content-length", str(LARGE))
                    self.end_headers()
                    for _ in range(LARGE // len(CHUNK)):
                        self.wfile.write(CHUNK)
                elif path == "/chunked":
                    self.send_response(200)
                    self.send_header("transfer-encoding", "chunked")
                    self.send_header("x-own", "yes")
                    self.end_headers()
                    self.wfile.write(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
                elif path == "/half":
                    self.send_response(200)
                    self.send_header("content-length", "100")
                    self.end_headers()
                    self.wfile.write(b"only this")
                    self.close_connection = True
                elif path == "/teapot":
                    self.send(418, b'{"short":  "and stout"}', x_provider="me", retry_after="7")
                elif path.startswith("/flaky"):
                    self.send(429 if number == 1 else 200, b'{"n":%d}' % number, **({"retry_after": "0"} if number == 1 else {}))
                elif path == "/conflict":
                    self.send(409 if number == 1 else 200, b"{}", **({"retry_after": "0"} if number == 1 else {}))
                elif path == "/none":
                    self.send(204)
                elif path == "/gzip":
                    packed = __import__("gzip").compress(b"packed" * 100)
                    self.send(200, packed, content_encoding="gzip")
                else:
                    self.send(200, json.dumps({"method": self.command, "url": self.path}).encode(), x_request_id="r1", x_own="no",
                              set_cookie="a=b")

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = serve

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_args):
                provider.aborted.set()

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/base"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def last(self):
        with self.lock:
            return self.seen[-1]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class ProxyRig(Rig):
    def __enter__(self):
        self.provider = Provider()
        super().__enter__()
        self.integration("w", base=self.provider.url)
        self.connection()
        return self

    def __exit__(self, *exc):
        super().__exit__(*exc)
        self.provider.stop()


def proxy(rig, path, method="GET", body=None, connection="c", integration="w", **headers):
    sent = {"Connection-Id": connection, "Provider-Config-Key": integration,
            **{k.replace("_", "-"): v for k, v in headers.items()}}
    if isinstance(body, bytes):
        sent.setdefault("content-type", "application/octet-stream")
    return rig.request(method, "/proxy" + path, body, {k: v for k, v in sent.items() if v is not None})


@test
def what_is_marked_goes_out_and_nothing_else(rig):
    got = proxy(rig, "/a/b%2Fc/%7Ed?x=%2F1&y=a+b&x=2", Nango_Proxy_X_Mine="1", Nango_Proxy_Accept="text/x", X_Other="secret",
                User_Agent="me/1", Cookie="a=b")
    assert got.status == 200 and got.json["url"] == "/base/a/b%2Fc/%7Ed?x=%2F1&y=a+b&x=2", got
    method, _url, headers, _body = rig.provider.last()
    assert method == "GET" and headers["x-mine"] == "1" and headers["accept"] == "text/x", headers
    assert headers["authorization"] == "Bearer key-of-the-test" and headers["user-agent"].startswith("sluice/"), headers
    assert not {"x-other", "cookie", "connection-id", "provider-config-key"} & set(headers), headers
    assert got.headers["content-type"] == "application/json" and got.headers["x-request-id"] == "r1", got.headers
    assert "x-own" not in got.headers and "set-cookie" not in got.headers and "x-ratelimit-limit" in got.headers, got.headers
    deep = "/" + "/".join("abcdefghijklmno") + "/"
    assert proxy(rig, deep).json["url"] == "/base" + deep
    assert proxy(rig, "/" + rig.provider.url + "/x?y=1").json["url"] == "/base/x?y=1"


@test
def bodies_arrive_as_they_were_sent(rig):
    for method, body, kind in [("POST", b'{"a": 1.0 }', "application/json"), ("PUT", b"a=1&b=%20", "application/x-www-form-urlencoded"),
                               ("PATCH", b"--x\r\ncontent-disposition: form-data; name=f\r\n\r\nv\r\n--x--\r\n", "multipart/form-data; boundary=x"),
                               ("DELETE", b"\x00\xff\x80", "application/octet-stream"), ("POST", b"z" * 200000, "text/plain"), ("POST", b"", None)]:
        got = proxy(rig, "/echo", method, body, content_type=kind)
        assert got.status == 200, got
        seen = rig.provider.last()
        assert seen[0] == method and seen[3] == body and seen[2].get("content-type") == (kind if body else None), seen
        assert seen[2].get("content-length") == str(len(body)), seen[2]
    link = http.client.HTTPConnection("127.0.0.1", rig.nodes[0].port, timeout=20)
    for retries in ("0", "2"):
        link.request("POST", "/proxy/echo", iter([b"x" * 1000] * 300), {"Authorization": "Bearer " + rig.dev, "Connection-Id": "c",
                     "Provider-Config-Key": "w", "Retries": retries}, encode_chunked=True)
        answer = link.getresponse()
        assert answer.status == 200 and answer.read() and rig.provider.last()[3] == b"x" * 300000, answer.status
    link.close()


@test
def answers_come_as_the_provider_gave_them(rig):
    got = proxy(rig, "/teapot")
    assert (got.status, got.body) == (418, b'{"short":  "and stout"}') and got.headers["x-provider"] == "me" and got.headers["retry-after"] == "7"
    got = proxy(rig, "/chunked")
    assert got.status == 200 and got.body == b"abcde" and got.headers["x-own"] == "yes", (got, got.headers)
    got = proxy(rig, "/none")
    assert got.status == 204 and got.body == b"" and "content-type" not in got.headers
    got = proxy(rig, "/gzip", Decompress="true")
    assert got.body == b"packed" * 100 and "content-encoding" not in got.headers, got.headers
    got = proxy(rig, "/gzip", Nango_Proxy_Accept_Encoding="gzip")
    assert __import__("gzip").decompress(got.body) == b"packed" * 100 and got.headers["content-encoding"] == "gzip"
    got = proxy(rig, "/plain", "HEAD")
    assert got.status == 200 and got.body == b""
    try:
        cut = proxy(rig, "/half")
        assert False, cut
    except (http.client.IncompleteRead, ConnectionError):
        pass


@test
def another_try_is_made_when_it_is_asked_for(rig):
    assert proxy(rig, "/flaky0").status == 429
    got = proxy(rig, "/flaky1", "POST", b"again", Retries="2")
    assert got.status == 200 and got.json["n"] == 2 and rig.provider.last()[3] == b"again"
    assert proxy(rig, "/conflict", Retries="1", Retry_On="409,423").status == 200
    assert rig.provider.counts["/conflict"] == 2
    lines = [line for line in rig.nodes[0].log().splitlines() if "provider_request" in line and "flaky1" in line]
    assert len(lines) == 2 and all('by="proxy"' in line and "method=POST" in line for line in lines), rig.nodes[0].log()[-3000:]
    assert "status=429" in lines[0] and "try=1" in lines[0] and "status=200" in lines[1] and "try=2" in lines[1], lines


@test
def mistakes_are_named(rig):
    for headers, path in [({"connection": None}, "connection-id"), ({"Retries": "-1"}, "retries"), ({"Retries": "x"}, "retries"),
                          ({"Retry_On": "4,"}, "retry-on"), ({"Decompress": "maybe"}, "decompress"), ({"Base_Url_Override": "ftp://x"}, "base-url-override"),
                          ({"integration": None}, "provider-config-key"), ({"Nango_Activity_Log_Id": "x" * 256}, "nango-activity-log-id")]:
        got = proxy(rig, "/x", **headers)
        assert got.status == 400 and got.code == "invalid_headers" and got.json["error"]["errors"][0]["path"] == [path], (headers, got)
    assert (proxy(rig, "/x", integration="nope").status, proxy(rig, "/x", integration="nope").code) == (404, "unknown_provider_config")
    assert (proxy(rig, "/x", connection="nope").status, proxy(rig, "/x", connection="nope").code) == (400, "server_error")
    got = proxy(rig, "/x", Base_Url_Override="http://169.254.169.254")
    assert (got.status, got.code) == (400, "base_url_override_not_allowed"), got
    got = proxy(rig, "/x", Base_Url_Override=f"http://127.0.0.1:{free_port()}")
    assert got.status == 500 and got.json["code"] == "ECONNREFUSED" and got.json["method"] == "get" and "error" not in got.json, got
    other = rig.request("GET", "/proxy/x", headers={"Connection-Id": "c", "Provider-Config-Key": "w"}, key=None)
    assert other.status == 401, other
    assert proxy(rig, "/q", Base_Url_Override=rig.provider.url + "/else").json["url"] == "/base/else/q"


def peak(node):
    with open(f"/proc/{node.process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))


def reset_peak(node):
    with open(f"/proc/{node.process.pid}/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


@test
def a_hundred_megabytes_pass_through_sixteen(rig):
    node = rig.nodes[0]
    headers = {"Authorization": "Bearer " + rig.dev, "Connection-Id": "c", "Provider-Config-Key": "w"}
    reset_peak(node)
    before = peak(node)
    link = http.client.HTTPConnection("127.0.0.1", node.port, timeout=60)
    link.request("GET", "/proxy/pour", headers=headers)
    answer = link.getresponse()
    assert answer.status == 200 and answer.getheader("content-length") == str(LARGE) and answer.getheader("x-own") == "yes"
    got = 0
    while part := answer.read(1 << 20):
        assert part[:256] == CHUNK[:256] or got % 256
        got += len(part)
    assert got == LARGE
    link.request("POST", "/proxy/swallow", iter([CHUNK] * (LARGE // len(CHUNK))), {**headers, "Content-Length": str(LARGE)})
    answer = link.getresponse()
    assert json.loads(answer.read()) == {"bytes": LARGE}
    link.close()
    assert peak(node) - before < 16 << 10, f"{peak(node) - before} KiB more"


@test
def who_leaves_is_not_worked_for(rig):
    rig.provider.aborted.clear()
    with socket.create_connection(("127.0.0.1", rig.nodes[0].port)) as link:
        link.sendall((f"GET /proxy/pour HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {rig.dev}\r\nConnection-Id: c\r\n"
                      "Provider-Config-Key: w\r\n\r\n").encode())
        assert link.recv(1000).startswith(b"HTTP/1.1 200")
    assert rig.provider.aborted.wait(10), "the provider's connection ends"
    rig.provider.aborted.clear()
    with socket.create_connection(("127.0.0.1", rig.nodes[0].port)) as link:
        link.sendall((f"POST /proxy/swallow HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {rig.dev}\r\nConnection-Id: c\r\n"
                      "Provider-Config-Key: w\r\nContent-Length: 10000000\r\n\r\n").encode() + b"x" * 100000)
        wait_until("it goes out", lambda: rig.provider.counts.get("/swallow", 0) >= 2)
    assert rig.provider.aborted.wait(10), "a body that broke off is not taken for whole"


main(lambda: ProxyRig(settings={"egress_allow": "127.0.0.0/8"}))
