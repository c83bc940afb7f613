"""Bad HTTP, table A of the reliability notes: raw bytes against a real daemon, each with its one right answer."""
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, wait_until
from tap import main, test

TRIGGER = b'{"action_name":"echo","input":1}'


def statuses(data):
    """Status codes of the answers in data, in order; the bodies are skipped by their length."""
    found = []
    while data.startswith(b"HTTP/1.1 "):
        head, _, rest = data.partition(b"\r\n\r\n")
        found.append(int(head[9:12]))
        length = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        data = rest[int(length[0]):] if length and found[-1] != 100 else rest
    return found


def head(rig, extra=b"", method=b"POST", path=b"/action/trigger", host=b"Host: localhost\r\n", key=True, length=len(TRIGGER)):
    out = method + b" " + path + b" HTTP/1.1\r\n" + host
    if key:
        out += b"Authorization: Bearer " + rig.dev.encode() + b"\r\n"
    if length is not None:
        out += b"Content-Length: %d\r\n" % length
    return out + b"Provider-Config-Key: w\r\nConnection-Id: c\r\n" + extra + b"\r\n"


def refused(rig, data, *wanted, seconds=10.0):
    """One answer, of these statuses, with a JSON error; then the connection is closed and the daemon lives on."""
    out = rig.raw(data, seconds=seconds)
    got = statuses(out)
    assert len(got) == 1 and got[0] in wanted, (got, out[:300])
    assert b'{"error":{' in out.partition(b"\r\n\r\n")[2], out[:400]
    assert rig.request("GET", "/health", key=None).status == 200


def case(name, data, *wanted):
    """data: bytes, or a function of the rig that makes them."""
    @test(name=name)
    def run(rig):
        refused(rig, data(rig) if callable(data) else data, *wanted)


GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /action/trigger HTTP/1.1\r\nHost: localhost\r\n"

case("row_1_nul_in_a_header_value_is_400", GET + b"X-A: a\x00b\r\n\r\n", 400)
case("row_1_control_byte_in_a_header_value_is_400", GET + b"X-A: a\x01b\r\n\r\n", 400)
case("row_1_delete_byte_in_a_header_value_is_400", GET + b"X-A: a\x7fb\r\n\r\n", 400)
case("row_2_empty_header_name_is_400", GET + b": a\r\n\r\n", 400)
case("row_2_space_before_the_colon_is_400", GET + b"X-A : a\r\n\r\n", 400)
case("row_2_folded_header_is_400", GET + b"X-A: a\r\n b\r\n\r\n", 400)
case("row_2_bare_lf_is_400", b"GET /health HTTP/1.1\nHost: localhost\n\n", 400)
case("row_2_bare_cr_is_400", GET + b"X-A: a\rb\r\n\r\n", 400)
case("row_3_transfer_encoding_with_content_length_is_400",
     POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400)
case("row_3_transfer_encoding_gzip_is_400_or_501", POST + b"Transfer-Encoding: gzip\r\n\r\n", 400, 501)
case("row_3_transfer_encoding_xchunked_is_400_or_501", POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400, 501)
case("row_3_transfer_encoding_identity_is_400_or_501", POST + b"Transfer-Encoding: identity\r\n\r\n", 400, 501)
case("row_4_two_content_lengths_are_400", POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400)
case("row_4_signed_content_length_is_400", POST + b"Content-Length: +3\r\n\r\nabc", 400)
case("row_4_negative_content_length_is_400", POST + b"Content-Length: -1\r\n\r\n", 400)
case("row_4_hex_content_length_is_400", POST + b"Content-Length: 0x3\r\n\r\nabc", 400)
case("row_4_content_length_of_20_digits_is_400_or_413", POST + b"Content-Length: 99999999999999999999\r\n\r\n", 400, 413)
case("row_5_chunk_size_0x3_is_400", POST + b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", 400)
case("row_5_chunk_size_minus_1_is_400", POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n", 400)
case("row_5_chunk_extension_is_400", POST + b"Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n", 400)
case("row_5_huge_chunk_size_is_400_or_413", POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n", 400, 413)
case("row_6_no_host_is_400", b"GET /health HTTP/1.1\r\n\r\n", 400)
case("row_6_two_hosts_are_400", b"GET /health HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400)
case("row_6_absolute_target_with_another_host_is_400",
     b"GET http://other/health HTTP/1.1\r\nHost: localhost\r\n\r\n", 400)
case("row_8_header_of_100_kb_is_431", GET + b"X-A: " + b"a" * 100000 + b"\r\n\r\n", 431)
case("row_8_two_thousand_headers_are_431", GET + b"".join(b"X-%d: a\r\n" % n for n in range(2000)) + b"\r\n", 431)
case("row_8_target_of_64_kb_is_414", b"GET /" + b"a" * 65536 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414)
case("row_9_body_over_the_limit_by_length_is_413", POST + b"Content-Length: 99000000\r\n\r\n", 413)


@test(seconds=90)
def row_10_body_shorter_than_its_length_is_408_in_bounded_time(rig):
    began = time.monotonic()
    refused(rig, head(rig, length=500) + b'{"a', 408, seconds=30)
    assert time.monotonic() - began < 25


@test
def row_11_encoded_nul_in_the_path_is_400_or_404(rig):
    refused(rig, b"GET /action/%00 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 400, 404)


@test
def row_11_dot_segments_double_slashes_and_bad_escapes_are_400_or_404(rig):
    for path in (b"/%2e%2e/health", b"/../health", b"//health", b"/health/%ff", b"/action/%zz", b"/action/%4", b"/./health"):
        got = statuses(rig.raw(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
        assert got in ([400], [404]), (path, got)


@test
def row_12_an_unknown_method_is_405_with_allow(rig):
    out = rig.raw(b"BREW /action/trigger HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert statuses(out) == [405] and b"\r\nAllow: " in out, out[:300]


@test
def row_12_a_method_that_the_path_does_not_have_is_405_with_allow(rig):
    out = rig.raw(b"PUT /action/trigger HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    assert statuses(out) == [405] and b"\r\nAllow: POST" in out, out[:300]


@test
def row_12_head_is_405_without_a_body(rig):
    out = rig.raw(b"HEAD /action/trigger HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert out.startswith(b"HTTP/1.1 405") and out.endswith(b"\r\n\r\n"), out[:400]


@test
def row_12_options_is_204_with_the_cors_headers(rig):
    out = rig.raw(b"OPTIONS /action/trigger HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert statuses(out) == [204] and b"Access-Control-Allow-Origin: *" in out, out[:400]


@test
def row_12_get_with_a_body_is_400_or_405(rig):
    refused(rig, b"GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 400, 405)


@test
def row_12_an_unknown_expectation_is_417(rig):
    refused(rig, head(rig, b"Expect: x\r\n"), 417)


@test
def row_12_expect_100_continue_is_answered_before_the_body(rig):
    with socket.create_connection(("127.0.0.1", rig.nodes[0].port), timeout=10) as sock:
        sock.sendall(head(rig, b"Expect: 100-continue\r\nConnection: close\r\n"))
        assert sock.recv(100).startswith(b"HTTP/1.1 100 ")
        sock.sendall(TRIGGER)
        out = b""
        while piece := sock.recv(65536):
            out += piece
    assert statuses(out) == [200], out[:300]


@test
def row_14_a_good_request_before_a_broken_one_is_answered_first(rig):
    out = rig.raw(head(rig) + TRIGGER + b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n")
    assert statuses(out) == [200, 400], out[:600]


@test
def row_14_pipelined_requests_are_answered_in_order(rig):
    first = b'{"action_name":"echo","input":"first"}'
    second = b'{"action_name":"echo","input":"second"}'
    out = rig.raw(head(rig, length=len(first)) + first + head(rig, b"Connection: close\r\n", length=len(second)) + second)
    assert statuses(out) == [200, 200] and out.index(b'"first"') < out.index(b'"second"'), out


@test
def the_verdict_is_the_same_when_every_byte_comes_alone(rig):
    with socket.create_connection(("127.0.0.1", rig.nodes[0].port), timeout=10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in head(rig, b"Connection: close\r\n") + TRIGGER:
            sock.sendall(bytes([byte]))
        out = b""
        while piece := sock.recv(65536):
            out += piece
    assert statuses(out) == [200], out[:300]


@test
def a_half_close_is_still_answered(rig):
    out = rig.raw(head(rig) + TRIGGER, half_close=True)
    assert statuses(out) == [200], out[:300]


# ---- row 7: who are you
AUTH = b"GET /integrations HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"


def auth_case(name, lines, status, code):
    @test(name=name)
    def run(rig):
        out = rig.raw(AUTH + (lines(rig) if callable(lines) else lines) + b"\r\n")
        assert statuses(out) == [status], out[:400]
        assert code is None or b'"code":"' + code + b'"' in out, out[-300:]


auth_case("row_7_no_authorization_is_401_missing_auth_header", b"", 401, b"missing_auth_header")
auth_case("row_7_two_authorization_headers_are_400",
          lambda rig: b"Authorization: Bearer %s\r\n" % rig.dev.encode() * 2, 400, None)
auth_case("row_7_bearer_without_a_key_is_401", b"Authorization: Bearer\r\n", 401, None)
auth_case("row_7_bearer_with_only_spaces_is_401", b"Authorization: Bearer   \r\n", 401, None)
auth_case("row_7_another_scheme_is_401", b"Authorization: Basic YTpi\r\n", 401, b"malformed_auth_header")
auth_case("row_7_a_key_of_another_form_is_401_invalid_secret_key_format", b"Authorization: Bearer abc\r\n", 401,
          b"invalid_secret_key_format")
auth_case("row_7_an_unknown_key_is_401_unknown_account",
          b"Authorization: Bearer 11111111-2222-4333-8444-555555555555\r\n", 401, b"unknown_account")
auth_case("row_7_a_key_of_20_kb_is_401", b"Authorization: Bearer " + b"a" * 20000 + b"\r\n", 401, None)
auth_case("row_7_a_key_of_100_kb_is_431", b"Authorization: Bearer " + b"a" * 100000 + b"\r\n", 431, None)


# ---- row 13: encodings
def typed(name, extra, wanted, code=None):
    @test(name=name)
    def run(rig):
        out = rig.raw(head(rig, extra + b"Connection: close\r\n") + TRIGGER)
        assert statuses(out) == [wanted], out[:400]
        assert code is None or code in out, out[-300:]


typed("row_13_no_content_type_is_fine", b"", 200)
typed("row_13_application_json_with_a_charset_is_fine", b"Content-Type: application/json; charset=utf-8\r\n", 200)
typed("row_13_text_plain_is_415_invalid_content_type", b"Content-Type: text/plain\r\n", 415, b"invalid_content_type")
typed("row_13_a_form_is_415", b"Content-Type: application/x-www-form-urlencoded\r\n", 415, b"invalid_content_type")
typed("row_13_gzip_is_415", b"Content-Encoding: gzip\r\n", 415)
typed("row_13_an_unknown_encoding_is_415", b"Content-Encoding: br2\r\n", 415)


# ---- row 15: X-Async, X-Max-Retries
def header_case(name, extra, word):
    @test(name=name)
    def run(rig):
        out = rig.raw(head(rig, extra + b"Connection: close\r\n") + TRIGGER)
        assert statuses(out) == [400] and b"invalid_headers" in out, out[:500]
        assert word.lower() in out.partition(b"\r\n\r\n")[2].lower(), out[-300:]


header_case("row_15_x_async_maybe_is_400", b"X-Async: maybe\r\n", b"x-async")
header_case("row_15_x_async_twice_is_400", b"X-Async: true\r\nX-Async: true\r\n", b"x-async")
for label, value in (("minus_1", b"-1"), ("6", b"6"), ("1e1", b"1e1"), ("3_5", b"3.5"), ("empty", b"")):
    header_case(f"row_15_x_max_retries_{label}_is_400", b"X-Async: true\r\nX-Max-Retries: " + value + b"\r\n",
                b"x-max-retries")
header_case("row_15_x_max_retries_twice_is_400", b"X-Async: 1\r\nX-Max-Retries: 1\r\nX-Max-Retries: 1\r\n", b"x-max-retries")


@test
def row_15_every_form_of_yes_and_no_is_understood(rig):
    for word in ("true", "1", "yes", "on", "y", "enabled", "TRUE", "Yes"):
        assert rig.call("echo", 1, {"X-Async": word}).status == 202, word
    for word in ("false", "0", "no", "off", "n", "disabled", "False"):
        assert rig.call("echo", 1, {"X-Async": word}).status == 200, word


# ---- row 16: Idempotency-Key
header_case("row_16_an_empty_idempotency_key_is_400", b"X-Async: true\r\nIdempotency-Key: \r\n", b"idempotency-key")
header_case("row_16_an_idempotency_key_of_256_is_400", b"X-Async: true\r\nIdempotency-Key: " + b"k" * 256 + b"\r\n",
            b"idempotency-key")
header_case("row_16_a_non_ascii_idempotency_key_is_400", b"X-Async: true\r\nIdempotency-Key: \xc3\xa4\r\n", b"idempotency-key")
case("row_16_a_control_byte_in_an_idempotency_key_is_400",
     lambda rig: head(rig, b"X-Async: true\r\nIdempotency-Key: a\x02b\r\n") + TRIGGER, 400)


@test
def row_16_an_idempotency_key_of_255_works(rig):
    assert rig.call("echo", 1, {"X-Async": "true", "Idempotency-Key": "k" * 255}).status == 202


@test
def row_16_the_same_key_with_another_body_is_409(rig):
    assert rig.call("echo", 1, {"X-Async": "true", "Idempotency-Key": "row16"}).status == 202
    answer = rig.call("echo", 2, {"X-Async": "true", "Idempotency-Key": "row16"})
    assert answer.status == 409 and answer.code == "idempotency_conflict", answer


@test
def the_daemon_has_no_connection_left_over(rig):
    def settled():
        with open("/proc/net/tcp", encoding="ascii") as file:
            port = f":{rig.nodes[0].port:04X}"
            rows = [line.split() for line in file.readlines()[1:]]
        return not [r for r in rows if r[1].endswith(port) and r[3] == "08"]  # CLOSE_WAIT: we left, it did not
    wait_until("no socket in CLOSE_WAIT", settled, 15)


main(lambda: Rig(prepare=lambda rig: rig.prepare({"echo": "return input;"})))
