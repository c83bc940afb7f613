"""Outgoing webhooks arrive: signed, again and again by schedule, endpoint by endpoint, from any node and never from two at a time."""
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import flows
from rig import Rig, free_port, wait_until
from sink import OK, Sink, drip, drop, endless_body, endless_chunks, endless_head, hang, held, later, moved, reset, short, slow, status
from tap import main, test

TIMEOUT = 2.0  # delivery_timeout of the rig
LEASE = TIMEOUT + 10.0  # of a claim
SETTINGS = {"delivery_timeout": "2s", "delivery_schedule": "0s,1s,1s,2s", "log_level": "debug", "drain_timeout": "3s"}
HEADERS = {"host", "accept", "content-type", "content-length", "user-agent", "x-nango-signature", "x-nango-hmac-sha256", "webhook-id",
           "webhook-timestamp", "webhook-signature"}
SECRET_PATH = "query-that-is-secret"


def operator(rig, method, path, body=None, node=None):
    done = rig.request(method, f"/admin/v1/{path}", body, key=rig.keys["SLUICE_OPERATOR_KEY"], node=node)
    assert done.status == 200, done
    return done.json


def set_urls(rig, primary=None, secondary=None):
    operator(rig, "PATCH", "environments/dev", {"webhook_url": primary, "webhook_url_secondary": secondary})


def own(rig, name, url=None):
    """A connection with its own URL: an endpoint that no other test has."""
    rig.connection(name, webhook_url_override=url or rig.sink.url + f"/{name}")
    return f"/{name}"


def tell(rig, name, count=1, value=None):
    """So many events of the connection, each of an action's end; ids of the jobs."""
    return [rig.submit("done", value, connection=name) for _ in range(count)]


def deliveries(rig, name):
    """[(event, state, tries, number of tries in the log)] in the order of the events."""
    return [(event, int(state), int(tries), int(log)) for event, state, tries, log in rig.postgres.query(
        "SELECT d.event_id, d.state, d.tries, (SELECT count(*) FROM delivery_try t WHERE t.delivery_id = d.id) FROM delivery d"
        " JOIN outbox o ON o.id = d.event_id JOIN connection c ON c.id = o.connection_id"
        f" WHERE c.connection_id = '{name}' ORDER BY d.id")]


def log_of(rig, name):
    """Of all tries of a connection's events: status, failure, detail, headers, answer (hex), cut; and the node."""
    return rig.postgres.query(
        "SELECT t.status, t.failure, replace(t.detail, '|', '/'), replace(t.headers, '|', '/'), octet_length(t.answer), t.cut, t.node"
        " FROM delivery_try t JOIN delivery d ON d.id = t.delivery_id"
        " JOIN outbox o ON o.id = d.event_id JOIN connection c ON c.id = o.connection_id"
        f" WHERE c.connection_id = '{name}' ORDER BY d.id, t.number")


def ended(rig, name, count=1, state=3, seconds=20.0):
    """So many deliveries of the connection are in the state."""
    def look():
        rows = deliveries(rig, name)
        return rows if len([r for r in rows if r[1] == state]) >= count else None
    return wait_until(f"{count} deliveries of {name} are in state {state}", look, seconds)


def logged(rig, *words):
    return [line for node in rig.nodes for line in node.log().splitlines() if all(word in line for word in words)]


def endpoint(rig, url):
    [row] = rig.postgres.query("SELECT id, paused_at IS NOT NULL, pause_cause, failing_since IS NOT NULL, failures, open_until > now(), uuid"
                               f" FROM endpoint WHERE url = '{url}'")
    return dict(zip(("id", "paused", "cause", "failing", "failures", "open", "uuid"), row))


# ---- what is sent
@test
def the_end_of_an_async_action_arrives_signed(rig):
    set_urls(rig, rig.sink.url + "/primary")
    job = tell(rig, "c")[0]
    [request] = rig.sink.wait(1, "/primary")
    assert request.faults(rig.signing_key()) == []
    assert set(request.headers) == HEADERS, set(request.headers) ^ HEADERS
    assert request.body == (b'{"connectionId":"c","from":"nango","payload":{"id":"%s","statusUrl":"/action/%s"},"providerConfigKey":"w",'
                            b'"success":true,"type":"async_action"}' % (job.encode(), job.encode())), request.body
    [row] = ended(rig, "c")
    assert row == (request.id, 3, 1, 1), row
    [tried] = log_of(rig, "c")
    assert tried[:2] == ["200", ""] and json.loads(tried[3])["content-type"] == "application/json" and tried[4] == "11", tried


@test
def a_sync_is_told_of(rig):
    set_urls(rig, rig.sink.url + "/primary")
    done = rig.deploy_flows([flows.sync("items", "await nango.batchSave([{ id: 'a' }], 'Item');")])
    assert done.status == 200, done
    rig.sink.forget()
    assert rig.request("POST", "/sync/trigger", {"provider_config_key": "w", "connection_id": "c", "syncs": ["items"]}).status == 200
    [request] = rig.sink.wait(1, "/primary", 30)
    assert request.faults(rig.signing_key()) == []
    assert request.json["type"] == "sync" and request.json["responseResults"] == {"added": 1, "deleted": 0, "updated": 0}, request.body


@test
def both_urls_of_an_environment_are_sent_the_same_event(rig):
    set_urls(rig, rig.sink.url + "/one", rig.sink.url + "/two")
    tell(rig, "c")
    [one], [two] = rig.sink.wait(1, "/one"), rig.sink.wait(1, "/two")
    assert one.id == two.id and one.body == two.body
    set_urls(rig, rig.sink.url + "/one")


@test
def the_url_of_a_connection_replaces_both(rig):
    set_urls(rig, rig.sink.url + "/not-one", rig.sink.url + "/not-two")
    path = own(rig, "override")
    tell(rig, "override")
    rig.sink.wait(1, path)
    ended(rig, "override")
    assert not rig.sink.seen("/not-one") and not rig.sink.seen("/not-two")
    set_urls(rig)


@test
def after_a_rotation_both_keys_sign_and_old_seals_still_open(rig):
    path = own(rig, "rotated")
    before = rig.signing_key()
    operator(rig, "POST", "environments/dev/signing-key/rotate")
    after = rig.signing_key()
    assert before != after
    tell(rig, "rotated")
    [request] = rig.sink.wait(1, path)
    assert request.faults(after, before) == []
    rig.postgres.query("UPDATE environment SET signing_key_at = now() - interval '24 hours' WHERE name = 'dev'")
    tell(rig, "rotated")
    assert rig.sink.wait(2, path)[1].faults(after) == []


@test
def a_signing_key_that_does_not_open_fails_the_try_and_sends_nothing(rig):
    path = own(rig, "unsealed")
    [[sealed]] = rig.postgres.query("SELECT signing_key FROM environment WHERE name = 'dev'")
    rig.postgres.query("UPDATE environment SET signing_key = 's1:00000000:AAAA' WHERE name = 'dev'")
    try:
        tell(rig, "unsealed")
        wait_until("the try failed", lambda: log_of(rig, "unsealed"), 10)
        assert log_of(rig, "unsealed")[0][:2] == ["0", "signing_key"] and not rig.sink.seen(path)
        assert logged(rig, "level=error", "webhook_not_signed")
    finally:
        rig.postgres.query(f"UPDATE environment SET signing_key = '{sealed}' WHERE name = 'dev'")
    rig.sink.wait(1, path)
    ended(rig, "unsealed")


# ---- again
@test
def failures_are_tried_again_by_schedule_under_the_same_id(rig):
    path = own(rig, "again")
    rig.sink.answer(path, status(500), status(404), OK)
    tell(rig, "again")
    first, second, third = rig.sink.wait(3, path)
    assert first.id == second.id == third.id and first.body == third.body
    key = rig.signing_key()
    assert [r.faults(key) for r in (first, second, third)] == [[], [], []]  # each signed for its own time
    assert second.began - first.began >= 1.0 and third.began - second.began >= 1.0
    assert int(third.headers["webhook-timestamp"]) >= int(first.headers["webhook-timestamp"]) + 2
    assert ended(rig, "again") == [(first.id, 3, 3, 3)]
    assert [row[:2] for row in log_of(rig, "again")] == [["500", "http_status"], ["404", "http_status"], ["200", ""]]


@test
def retry_after_is_waited_for_when_it_is_longer(rig):
    path = own(rig, "asked")
    rig.sink.answer(path, later(3), later("0"), OK)
    tell(rig, "asked")
    first, second, third = rig.sink.wait(3, path)
    assert second.began - first.began >= 3.0, second.began - first.began
    assert 1.0 <= third.began - second.began < 3.0, third.began - second.began


@test
def what_fails_to_the_end_of_the_schedule_is_exhausted(rig):
    path = own(rig, "exhausted")
    rig.sink.answer(path, status(503))
    tell(rig, "exhausted")
    [row] = ended(rig, "exhausted", state=4)
    assert row[2:] == (4, 4) and len(rig.sink.seen(path)) == 4
    [line] = logged(rig, "webhook_exhausted", f"{path}\"")
    assert "level=warn" in line and "tries=4" in line
    assert not rig.postgres.query("SELECT 1 FROM delivery_due u JOIN delivery d ON d.id = u.delivery_id WHERE d.state = 4")


@test(seconds=60)
def an_endpoint_that_fails_gets_one_request_for_each_try(rig):
    """On a connection that was kept, libcurl itself sends again what got no answer."""
    path, other = own(rig, "drops"), own(rig, "beside")
    tell(rig, "beside")
    ended(rig, "beside")
    rig.sink.answer(other, slow(0.3, OK))
    tell(rig, "beside", 8)  # side by side: so many connections are kept
    ended(rig, "beside", 9)
    rig.sink.answer(path, drop)
    tell(rig, "drops")
    ended(rig, "drops", state=4)
    requests = [r.headers["webhook-timestamp"] for r in rig.sink.seen(path)]
    tries = sorted(set(requests))
    assert len(tries) == 4 and all(requests.count(one) == 1 for one in tries[1:]), requests


@test
def gone_pauses_the_endpoint_and_what_is_due_waits(rig):
    path = own(rig, "gone")
    rig.sink.answer(path, status(410))
    tell(rig, "gone")
    wait_until("it is paused", lambda: endpoint(rig, rig.sink.url + path)["paused"] == "t", 10)
    assert endpoint(rig, rig.sink.url + path)["cause"] == "2"
    [line] = logged(rig, "webhook_endpoint_paused", f"{path}\"")
    assert "level=error" in line and "cause=gone" in line and endpoint(rig, rig.sink.url + path)["uuid"] in line
    tell(rig, "gone")
    marker(rig)  # whatever was to be sent has been
    assert len(rig.sink.seen(path)) == 1
    assert [row[1] for row in deliveries(rig, "gone")] == [2, 1]


@test
def an_endpoint_that_only_fails_for_long_is_paused(rig):
    path = own(rig, "failing")
    rig.sink.answer(path, status(500))
    tell(rig, "failing")
    rig.sink.wait(1, path)
    wait_until("it fails", lambda: endpoint(rig, rig.sink.url + path)["failing"] == "t", 10)
    rig.postgres.query(f"UPDATE endpoint SET failing_since = now() - interval '6 days' WHERE url = '{rig.sink.url}{path}'")
    wait_until("it is paused", lambda: endpoint(rig, rig.sink.url + path)["paused"] == "t", 10)
    [line] = logged(rig, "webhook_endpoint_paused", f"{path}\"")
    assert "cause=failing" in line, line


# ---- answers that are none
ANSWERS = {  # name: (answer, status, failure, kept bytes of the body at least, cut)
    "moved": (moved("/x"), 302, "http_status", 0, "f"),
    "empty": (status(204), 204, "", 0, "f"),
    "reset": (reset, 200, "ECONNRESET", 1, "f"),
    "short": (short, 200, "ECONNRESET", 5, "f"),
    "drop": (drop, 0, "ECONNRESET", 0, "f"),
    "hang": (hang, 0, "timeout", 0, "f"),
    "drip": (drip(0.02), 200, "timeout", 1, "f"),
    "head": (endless_head, 0, "HPE_HEADER_OVERFLOW", 0, "f"),
    "body": (endless_body, 200, "", 65536, "t"),
    "chunks": (endless_chunks, 200, "", 65536, "t"),
    "binary": (status(500, {"x-odd": "a\xe9b"}, b"\x00\xff\xfe"), 500, "http_status", 3, "f"),
}


@test(seconds=90)
def each_answer_is_recorded_for_what_it_is(rig):
    for name, row in ANSWERS.items():
        rig.sink.answer(own(rig, f"a-{name}"), row[0])
        tell(rig, f"a-{name}")
    for name, (_, code, failure, kept, cut) in ANSWERS.items():
        wait_until(f"{name} was recorded", lambda name=name: log_of(rig, f"a-{name}"), 20)
        [got_code, got_failure, detail, headers, length, got_cut, _] = log_of(rig, f"a-{name}")[0]
        assert (int(got_code), got_failure, got_cut) == (code, failure, cut), (name, got_code, got_failure, detail, got_cut)
        assert kept <= int(length) <= 65536, (name, length)
        assert isinstance(json.loads(headers), dict) and (detail == "") == (failure == ""), (name, headers, detail)


@test
def a_port_where_nobody_listens_and_an_inner_address_are_failures_that_say_so(rig):
    own(rig, "refused", f"http://127.0.0.1:{free_port()}/x")
    own(rig, "inner", "http://10.1.2.3/x")
    for name in ("refused", "inner"):
        tell(rig, name)
        wait_until(f"{name} was tried", lambda name=name: log_of(rig, name), 10)
    assert log_of(rig, "refused")[0][:2] == ["0", "ECONNREFUSED"]
    [code, failure, detail] = log_of(rig, "inner")[0][:3]
    assert (code, failure) == ("0", "refused_url") and "egress_allow" in detail, detail


# ---- endpoint by endpoint
def marker(rig, count=1, seconds=15.0):
    """Events that were committed after all others arrive at an endpoint that is well; how long the last one took."""
    began = time.monotonic()
    before = len(rig.sink.seen("/marker"))
    tell(rig, "marker", count)
    rig.sink.wait(before + count, "/marker", seconds)
    return time.monotonic() - began


@test(seconds=90)
def an_endpoint_that_hangs_does_not_delay_another(rig):
    path = own(rig, "hangs")
    rig.sink.answer(path, hang)
    alone = marker(rig, 10)
    tell(rig, "hangs", 30)
    rig.sink.wait(1, path)
    took = marker(rig, 10)
    assert took < alone + 1.0, (alone, took)
    assert rig.sink.at_once(path) <= len(rig.nodes)  # one at a time for each node
    rig.sink.answer(path, OK)


@test(seconds=90)
def five_fast_failures_open_the_breaker_for_all_nodes(rig):
    path = own(rig, "breaks")
    rig.sink.answer(path, status(500))
    for node in rig.nodes[1:]:
        quiet(node, True)
    tell(rig, "breaks", 20)
    wait_until("the breaker is open", lambda: endpoint(rig, rig.sink.url + path)["open"] == "t", 10)
    for node in rig.nodes[1:]:
        quiet(node, False)
    seen = len(rig.sink.seen(path))
    assert seen == 5, seen
    assert [line for line in logged(rig, "webhook_endpoint_open", f"{path}\"") if "level=warn" in line]
    marker(rig)
    assert len(rig.sink.seen(path)) == seen
    # The time is over: one probe, and its success lets the others go.
    rig.sink.answer(path, OK)
    rig.postgres.query(f"UPDATE endpoint SET open_until = now() WHERE url = '{rig.sink.url}{path}'")
    ended(rig, "breaks", 20)


@test
def a_url_that_changes_takes_what_is_pending_along(rig):
    set_urls(rig, rig.sink.url + "/old")
    rig.sink.answer("/old", status(410))
    rig.connection("moves")
    tell(rig, "moves")
    rig.sink.wait(1, "/old")
    wait_until("it is paused", lambda: endpoint(rig, rig.sink.url + "/old")["paused"] == "t", 10)
    set_urls(rig, rig.sink.url + "/new")
    [request] = rig.sink.wait(1, "/new")
    ended(rig, "moves")
    assert request.id == rig.sink.seen("/old")[0].id
    set_urls(rig)


# ---- many nodes
def quiet(node, on):
    node.process.send_signal(signal.SIGUSR1 if on else signal.SIGUSR2)
    wait_until(f"{node.name} is {'quiet' if on else 'back'}",
               lambda: len(logged_in(node, "worker_quiet")) == len(logged_in(node, "worker_released")) + (1 if on else 0), 5)


def logged_in(node, word):
    return [line for line in node.log().splitlines() if word in line]


@test(seconds=120)
def two_nodes_never_send_the_same_try(rig):
    path = own(rig, "many")
    rig.sink.answer(path, *[status(503), OK, OK] * 60, OK)
    for job in tell(rig, "many", 150):
        rig.finish(job)
    rows = ended(rig, "many", 150, seconds=90)
    for event, _state, tries, log in rows:
        assert tries == log == len(rig.sink.tries(event, path)), (event, tries, log, rig.sink.tries(event, path))
    nodes = {row[6] for row in log_of(rig, "many")}
    assert len(nodes) == len(rig.nodes), nodes


@test
def a_quiet_worker_sends_nothing(rig):
    path = own(rig, "quiet")
    where = f"WHERE url = '{rig.sink.url}{path}'"
    rig.postgres.query(f"UPDATE endpoint SET paused_at = now(), pause_cause = 1 {where}")
    for job in tell(rig, "quiet", 3):
        rig.finish(job)
    for node in rig.nodes:
        quiet(node, True)
    try:
        rig.postgres.query(f"UPDATE endpoint SET paused_at = NULL, pause_cause = 0 {where}")
        time.sleep(2.5)  # a worker looks each second
        assert not rig.sink.seen(path)
    finally:
        quiet(rig.nodes[1], False)
    ended(rig, "quiet", 3)
    quiet(rig.nodes[0], False)
    assert {row[6].split(":")[1] for row in log_of(rig, "quiet")} == {str(rig.nodes[1].process.pid)}


@test
def a_stop_waits_for_what_is_under_way_and_records_it(rig):
    path = own(rig, "stops")
    rig.sink.answer(path, held("stop"))
    quiet(rig.nodes[0], True)
    try:
        tell(rig, "stops", 1)
        rig.sink.wait(1, path)
        stops = len(logged_in(rig.nodes[1], "stopping"))
        rig.nodes[1].process.send_signal(signal.SIGTERM)
        wait_until("it stops", lambda: len(logged_in(rig.nodes[1], "stopping")) > stops, 5)
        rig.sink.release("stop")
        assert rig.nodes[1].process.wait(10) == 0
        assert [row[1:] for row in deliveries(rig, "stops")] == [(3, 1, 1)]
    finally:
        quiet(rig.nodes[0], False)
        rig.nodes[1].start()
    assert len(rig.sink.seen(path)) == 1


@test(seconds=90)
def what_a_stop_leaves_is_sent_by_others_under_the_same_id(rig):
    path = own(rig, "left")
    rig.sink.hold("left")
    rig.sink.answer(path, held("left"), OK)
    quiet(rig.nodes[0], True)
    try:
        tell(rig, "left", 1)
        [first] = rig.sink.wait(1, path)
        stops = len(logged_in(rig.nodes[1], "stopping"))
        rig.nodes[1].process.send_signal(signal.SIGTERM)
        wait_until("it stops", lambda: len(logged_in(rig.nodes[1], "stopping")) > stops, 5)
        rig.nodes[1].process.send_signal(signal.SIGTERM)  # at once
        assert rig.nodes[1].process.wait(10) == 0
        assert [row[1:] for row in deliveries(rig, "left")] == [(1, 0, 0)]
    finally:
        quiet(rig.nodes[0], False)
        rig.nodes[1].start()
    second = rig.sink.wait(2, path, LEASE + 10)[1]
    assert second.id == first.id and second.began - first.began >= LEASE - 1.0, second.began - first.began
    ended(rig, "left")
    rig.sink.release("left")


# ---- what is seen of it
@test
def metrics_count_what_was_sent(rig):
    path = own(rig, "counted")
    rig.sink.answer(path, status(500), OK)
    tell(rig, "counted")
    ended(rig, "counted")
    text = "".join(rig.request("GET", "/metrics", key=rig.keys["SLUICE_OPERATOR_KEY"], node=node).body.decode() for node in rig.nodes)

    def total(name):
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name) and not line.endswith("NaN"))
    delivered, failed = (int(n) for n in rig.postgres.query(
        "SELECT count(*) FILTER (WHERE failure = ''), count(*) FILTER (WHERE failure <> '') FROM delivery_try")[0])
    assert 0 < total('sluice_webhook_tries_total{outcome="delivered"}') <= delivered
    assert 0 < total('sluice_webhook_tries_total{outcome="failed"}') <= failed
    assert total("sluice_webhook_seconds_count") > 0 and total("sluice_webhook_delay_seconds_count") > 0
    assert "sluice_webhooks_pending " in text and 'sluice_webhook_endpoints{state="paused"} ' in text


@test
def a_reload_changes_the_schedule(rig):
    path = own(rig, "reloaded")
    rig.sink.answer(path, status(500))
    for node in rig.nodes:
        with open(f"{rig.directory}/conf", "w", encoding="ascii") as file:
            file.write("delivery_schedule = 0s\n")
        node.process.send_signal(signal.SIGHUP)
        wait_until("it is reloaded", lambda node=node: logged_in(node, "setting=delivery_schedule"), 5)
    tell(rig, "reloaded")
    [row] = ended(rig, "reloaded", state=4)
    assert row[2] == 1


@test
def nothing_secret_is_in_the_logs(rig):
    path = own(rig, "secret", rig.sink.url + f"/secret/path?token={SECRET_PATH}")
    rig.sink.answer(f"/secret/path?token={SECRET_PATH}", status(500, body=b"answer-that-is-secret"))
    tell(rig, "secret")
    wait_until("it was tried", lambda: log_of(rig, "secret"), 10)
    lines = [line for node in rig.nodes for line in node.log().splitlines()]
    assert path and [line for line in lines if "/secret/path" in line]
    for secret in (SECRET_PATH, "answer-that-is-secret", rig.signing_key(), "webhook-signature", "connectionId"):
        assert not [line for line in lines if secret in line], secret


class Receiving(Rig):
    def _enter(self):
        self.sink = Sink()
        super()._enter()
        for node in self.nodes:
            node.settings["config"] = f"{self.directory}/conf"
        with open(f"{self.directory}/conf", "w", encoding="ascii") as file:
            file.write(f"delivery_schedule = {SETTINGS['delivery_schedule']}\n")
        for node in self.nodes:
            node.start()
            if not self.keys:
                self.read_keys()
        operator(self, "PATCH", "environments/dev", {"webhook_events": "sync,async_action"})  # no event of a connection
        self.prepare({"done": "return 1;"})
        own(self, "marker")

    def signing_key(self):
        return operator(self, "GET", "environments/dev/signing-key")["webhook_signing_key"]

    def __exit__(self, *exc):
        self.sink.stop()
        super().__exit__(*exc)


main(lambda: Receiving(nodes=2, start=False, settings={k: v for k, v in SETTINGS.items() if k != "delivery_schedule"}))
