"""The API's rate limit (wire.md 1.5): who is counted where, what a refused caller is told, and answers of the transport."""
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, wait_until
from tap import main, test

LIMIT = 30
NAMES = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
STRANGER = "00000000-0000-4000-8000-000000000000"


def start_anew(rig):
    """Full buckets, and a window (it begins with the minute) that lasts until the test is over."""
    rig.nodes[0].stop()
    wait_until("a window with time left", lambda: time.time() % 60 < 50, 11, every=0.05)
    rig.nodes[0].start()


def numbers(answer):
    return tuple(int(answer.headers[name]) for name in NAMES)


def check_refused(answer, method, path):
    assert answer.status == 429, answer
    assert answer.json == {"error": {"code": "too_many_request", "method": method, "path": path}}, answer
    limit, remaining, reset = numbers(answer)
    assert (limit, remaining) == (LIMIT, 0) and reset % 60 == 0, answer.headers
    assert 0 <= reset - time.time() <= 60 and abs(int(answer.headers["retry-after"]) - (reset - time.time())) < 2
    assert answer.headers["access-control-allow-origin"] == "*"


def empty(ask):
    """Asks until refused; how often it was served."""
    for n in range(LIMIT + 1):
        if ask().status == 429:
            return n
    raise AssertionError("never refused")


@test
def an_account_is_served_its_limit_in_a_window_and_told_what_is_left(rig):
    start_anew(rig)
    first = rig.request("GET", "/integrations")
    limit, remaining, reset = numbers(first)
    assert (limit, remaining) == (LIMIT, LIMIT - 1), first.headers
    assert reset == (int(time.time()) // 60 + 1) * 60, (reset, time.time())
    # All keys of all environments are of one account, and a refused scope costs as well.
    assert numbers(rig.request("GET", "/integrations", key="prod"))[1] == LIMIT - 2
    other = rig.request("POST", "/environments", {"name": "more"})
    assert other.status == 403 and numbers(other)[1] == LIMIT - 3, other
    assert empty(lambda: rig.request("GET", "/integrations")) == LIMIT - 3
    check_refused(rig.request("GET", "/integrations?x=1"), "GET", "/integrations")
    check_refused(rig.call("echo", 1), "POST", "/action/trigger")
    # Not counted: who asks whether it lives, operators, and what functions ask, which has a bucket of its own.
    assert rig.request("GET", "/health", key=None).status == 200
    operator = rig.keys["SLUICE_OPERATOR_KEY"]
    assert rig.request("GET", "/admin/v1/environments/dev", key=operator).status == 200
    script = {"Nango-Is-Script": "true"}
    inside = rig.request("GET", "/integrations", headers=script)
    assert inside.status == 200 and numbers(inside)[:2] == (LIMIT, LIMIT - 1), inside.headers
    assert empty(lambda: rig.request("GET", "/integrations", headers=script)) == LIMIT - 1
    check_refused(rig.request("GET", "/integrations", headers=script), "GET", "/integrations")
    # A key that is good is known by its account, whatever strangers do; and the other way round.
    wrong = rig.request("GET", "/integrations", key=STRANGER)
    assert wrong.status == 401 and numbers(wrong)[:2] == (LIMIT, LIMIT - 10), wrong.headers


@test
def a_request_without_a_good_key_costs_ten_points_of_its_address(rig):
    start_anew(rig)
    for left, key in ((20, None), (10, STRANGER), (0, "no-uuid")):
        answer = rig.request("GET", "/integrations", key=key)
        assert answer.status == 401 and numbers(answer)[:2] == (LIMIT, left), (answer, answer.headers)
    for key in (None, STRANGER, "no-uuid"):
        check_refused(rig.request("GET", "/integrations", key=key, headers={"X-Forwarded-For": "192.0.2.1"}),
                      "GET", "/integrations")
    assert rig.request("GET", "/integrations").status == 200  # the good key of the same address
    # Another address has a bucket of its own.
    with socket.create_connection(("::1", rig.nodes[0].port), timeout=10) as sock:
        sock.sendall(b"GET /integrations HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        text = b"".join(iter(lambda: sock.recv(65536), b"")).decode()
    assert text.startswith("HTTP/1.1 401 ") and f"X-RateLimit-Remaining: {LIMIT - 10}\r\n" in text, text


@test
def refusals_of_the_transport_carry_the_cors_headers(rig):
    cases = {
        413: rig.raw(b"POST /sync/trigger HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n", half_close=True),
        405: rig.raw(b"PUT /action/trigger HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
        501: rig.raw(b"POST /action/trigger HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", half_close=True),
        431: rig.raw(b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"x" * 40000 + b"\r\n\r\n", half_close=True),
        400: rig.raw(b"GET /action/%ff HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    }
    for status, answer in cases.items():
        text = answer.decode()
        assert text.startswith(f"HTTP/1.1 {status} "), (status, text)
        assert text.count("Access-Control-Allow-Origin: *\r\n") == 1, (status, text)
        assert "X-RateLimit-Limit" in text.split("\r\n\r\n")[0], (status, text)  # exposed, if not sent
    unknown = rig.raw(b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", half_close=True).decode()
    assert unknown.startswith("HTTP/1.1 405 ") and "Access-Control-Allow-Origin: *\r\n" in unknown, unknown


def prepare(rig):
    node = rig.nodes[0]
    node.settings["listen"] += f",[::1]:{node.port}"
    node.start()
    rig.read_keys()


main(lambda: Rig(start=False, prepare=prepare, settings={"api_rate_limit": str(LIMIT)}))
