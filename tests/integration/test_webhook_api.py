"""Outgoing webhooks over the API: what was sent and how it was answered, sent again, endpoints, a test call."""
import json
import os
import sys
import threading
import time
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import sink as sinks
from rig import Rig, wait_until
from sink import Sink
from tap import main, test

T0 = 1760000000000  # when the planted deliveries were made, in ms
TYPES = {"sync": 1, "async_action": 2, "auth": 3}
STATES = {"pending": 1, "retrying": 2, "delivered": 3, "exhausted": 4}
BODY = '{"from":"nango","name":"ä","type":"sync"}'
NOWHERE = str(uuid.UUID(int=(0x7 << 76) | (0x8 << 60)))

PLANT = """
CREATE FUNCTION plant(ms bigint, at text, type int, state int) RETURNS uuid LANGUAGE plpgsql AS $$ DECLARE
    made uuid := (lpad(to_hex(ms), 12, '0') || '7' || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid;
    event uuid := gen_random_uuid(); p record;
BEGIN
    SELECT * INTO STRICT p FROM endpoint e WHERE e.url = at;
    INSERT INTO outbox (id, environment_id, connection_id, job_id, type, body)
        SELECT event, c.environment_id, c.id, gen_random_uuid(), plant.type, '%s' FROM connection c
         WHERE c.environment_id = p.environment_id AND c.connection_id = 'c';
    INSERT INTO delivery (id, event_id, endpoint_id, environment_id, job_id, type, state, tries, ended_at)
        SELECT made, o.id, p.id, o.environment_id, o.job_id, plant.type, plant.state, CASE plant.state WHEN 1 THEN 0 ELSE 8 END,
               CASE WHEN plant.state > 2 THEN now() END FROM outbox o WHERE o.id = event;
    IF plant.state < 3 THEN
        INSERT INTO delivery_due (delivery_id, endpoint_id, due_at) VALUES (made, p.id, now() + interval '1 hour');
    END IF;
    RETURN made;
END $$""" % BODY


def iso(ms):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + f".{ms % 1000:03d}Z"


def sql(rig, text):
    return rig.postgres.query(text)


def plant(rig, at, url, kind="sync", state="exhausted"):
    """A delivery that was made at T0 + at; by its endpoint's URL."""
    return sql(rig, f"SELECT plant({T0 + at}, '{url}', {TYPES[kind]}, {STATES[state]})")[0][0]


def plant_try(rig, ident, number, status, failure="", answer="\\x6f6b", cut=False):
    sql(rig, f"INSERT INTO delivery_try VALUES ('{ident}', {number}, timestamptz 'epoch' + {T0 + number} * interval '1 ms',"
        f" {number * 10}, 'node', 'http://then/', {status}, '{failure}', 'as told', '{{\"x-a\":\"b\"}}', '{answer}', {cut})")


def fresh(rig):
    """Two endpoints of dev, one of prod, no deliveries; events make none by themselves."""
    sql(rig, "TRUNCATE endpoint, delivery, delivery_due, delivery_try, outbox; UPDATE environment SET webhook_events = 0;"
        "INSERT INTO endpoint (environment_id, slot, url) SELECT id, slot, url FROM environment e, (VALUES"
        " ('dev', 1, 'http://one/?key=x'), ('dev', 2, 'http://two/'), ('prod', 1, 'http://three/')) v(name, slot, url)"
        " WHERE e.name = v.name ORDER BY e.id, slot")


def endpoint_of(rig, url):
    return sql(rig, f"SELECT uuid FROM endpoint WHERE url = '{url}'")[0][0]


def operator(rig, method, path, body=None, **more):
    return rig.request(method, "/admin/v1" + path, body, key=rig.keys["SLUICE_OPERATOR_KEY"], **more)


def get(rig, path, env="dev"):
    answer = rig.request("GET", path, key=env)
    assert answer.status == 200, (path, answer)
    return answer.json


def ids(rig, query="", env="dev"):
    return [d["id"] for d in get(rig, "/webhooks/deliveries" + query, env)["deliveries"]]


def scoped_key(rig, scope, env="dev"):
    number = sql(rig, f"SELECT id FROM environment WHERE name = '{env}'")[0][0]
    answer = rig.request("POST", "/environment/api-keys", {"environment_id": int(number), "display_name": str(uuid.uuid4())},
                         key=rig.keys["SLUICE_ACCOUNT_KEY"])
    assert answer.status == 200, answer
    data = answer.json["data"]
    sql(rig, f"UPDATE api_key SET scopes = '{scope}' WHERE id = {int(data['id'])}")
    return data["secret"]


# ---- what was sent
@test
def a_list_says_of_each_delivery_what_when_where_and_how_it_stands(rig):
    fresh(rig)
    old = plant(rig, 0, "http://two/", "sync", "delivered")
    new = plant(rig, 1000, "http://one/?key=x", "async_action", "retrying")
    plant_try(rig, new, 7, 0, "timeout")
    plant_try(rig, new, 8, 503, "http_status")
    page = get(rig, "/webhooks/deliveries")
    assert page["next"] is None and [d["id"] for d in page["deliveries"]] == [new, old], page
    event, job, due = sql(rig, "SELECT d.event_id, d.job_id, (extract(epoch FROM u.due_at) * 1000)::bigint FROM delivery d"
                          f" JOIN delivery_due u ON u.delivery_id = d.id WHERE d.id = '{new}'")[0]
    assert page["deliveries"][0] == {
        "id": new, "event_id": event, "type": "async_action", "environment": "dev",
        "endpoint": {"id": endpoint_of(rig, "http://one/?key=x"), "url": "http://one/?key=x"},
        "connection_id": "c", "provider_config_key": "w", "job": job, "state": "retrying", "tries": 8,
        "created_at": iso(T0 + 1000), "next_try_at": iso(int(due)), "ended_at": None,
        "last_try": {"at": iso(T0 + 8), "status": 503, "failure": "http_status"}}, page
    other = page["deliveries"][1]
    assert other["last_try"] is None and other["next_try_at"] is None and other["ended_at"] is not None, other


@test
def each_filter_holds_alone_and_with_the_others(rig):
    fresh(rig)
    a = plant(rig, 0, "http://one/?key=x", "sync", "pending")
    b = plant(rig, 1000, "http://one/?key=x", "async_action", "retrying")
    c = plant(rig, 2000, "http://two/", "async_action", "delivered")
    d = plant(rig, 3000, "http://one/?key=x", "auth", "exhausted")
    foreign = plant(rig, 4000, "http://three/", "auth", "exhausted")
    job = sql(rig, f"SELECT job_id FROM delivery WHERE id = '{d}'")[0][0]
    one, theirs = endpoint_of(rig, "http://one/?key=x"), endpoint_of(rig, "http://three/")
    since, before = f"since={iso(T0 + 1000)}", f"before={iso(T0 + 3000)}"
    for query, wanted in {
            "": [d, c, b, a], "?state=failed": [d, b], "?state=pending": [a], "?state=exhausted": [d], "?state=delivered": [c],
            "?state=retrying": [b], "?type=async_action": [c, b], "?type=auth": [d], f"?endpoint={one}": [d, b, a],
            f"?endpoint={one.upper()}": [d, b, a], f"?endpoint={theirs}": [], f"?job={job}": [d], f"?job={NOWHERE}": [],
            f"?{since}": [d, c, b], f"?{before}": [c, b, a], f"?{since}&{before}": [c, b], f"?{since}&{before}&state=failed": [b],
            f"?endpoint={one}&type=auth&state=exhausted&{since}&job={job}": [d],
            f"?endpoint={one}&type=sync&state=exhausted&{since}&job={job}": []}.items():
        assert ids(rig, query) == wanted, (query, ids(rig, query), [a, b, c, d])
    assert ids(rig, env="prod") == [foreign]


@test
def pages_stay_whole_while_deliveries_are_added(rig):
    fresh(rig)
    made = [plant(rig, at, "http://two/") for at in range(5)]
    seen, query = [], "?limit=2"
    for turn in range(5):
        page = get(rig, "/webhooks/deliveries" + query)
        seen += [d["id"] for d in page["deliveries"]]
        if page["next"] is None:
            break
        plant(rig, 1000 + turn, "http://two/")
        query = f"?limit=2&cursor={page['next']}"
    assert seen == made[::-1], (seen, made)


@test
def a_delivery_is_shown_with_its_request_and_every_try(rig):
    fresh(rig)
    ident = plant(rig, 0, "http://one/?key=x")
    plant_try(rig, ident, 1, 0, "timeout", "")
    plant_try(rig, ident, 2, 500, "http_status", "\\x6869ff2100", True)
    plant_try(rig, ident, 3, 200)
    shown = get(rig, f"/webhooks/deliveries/{ident.upper()}")["delivery"]
    assert shown["id"] == ident and shown["state"] == "exhausted", shown
    assert shown["request"]["method"] == "POST" and shown["request"]["url"] == "http://one/?key=x", shown
    assert shown["request"]["body"] == BODY and shown["request"]["headers"]["webhook-id"] == shown["event_id"], shown
    assert set(shown["request"]["headers"]) == {"content-type", "user-agent", "webhook-id"}, "signatures, or more, are shown"
    assert [a["number"] for a in shown["attempts"]] == [1, 2, 3]
    assert shown["attempts"][0]["answer"] is None and shown["attempts"][0]["status"] is None, shown
    assert shown["attempts"][1] == {
        "number": 2, "at": iso(T0 + 2), "took_ms": 20, "node": "node", "url": "http://then/", "status": 500,
        "failure": "http_status", "detail": "as told",
        "answer": {"headers": {"x-a": "b"}, "body": "hi\ufffd!\0", "truncated": True}}, shown
    assert shown["attempts"][2]["failure"] is None and shown["attempts"][2]["answer"]["truncated"] is False, shown


@test
def of_a_deleted_connection_the_names_are_gone_and_the_delivery_stays(rig):
    fresh(rig)
    rig.connection("short")
    ident = plant(rig, 0, "http://two/")
    sql(rig, f"UPDATE outbox SET connection_id = (SELECT id FROM connection WHERE connection_id = 'short')")
    assert get(rig, f"/webhooks/deliveries/{ident}")["delivery"]["connection_id"] == "short"
    assert rig.request("DELETE", "/connections/short?provider_config_key=w").status == 200
    shown = get(rig, f"/webhooks/deliveries/{ident}")["delivery"]
    assert shown["connection_id"] is None and shown["provider_config_key"] is None and shown["request"]["body"] == BODY, shown


# ---- again
@test
def a_delivery_in_any_state_is_sent_again_but_not_while_a_try_is_under_way(rig):
    fresh(rig)
    for state in STATES:
        ident = plant(rig, STATES[state], "http://two/", "sync", state)
        answer = rig.request("POST", f"/webhooks/deliveries/{ident}/resend")
        assert answer.status == 200, answer
        it = answer.json["delivery"]
        assert it["id"] == ident and it["state"] == ("pending" if state == "pending" else "retrying"), it
        assert it["ended_at"] is None and it["next_try_at"] <= iso(int(time.time() * 1000) + 2000), it
    sql(rig, f"UPDATE delivery_due SET claim = 3, due_at = now() + interval '30 seconds' WHERE delivery_id = '{ident}'")
    answer = rig.request("POST", f"/webhooks/deliveries/{ident}/resend", {})
    assert answer.status == 409 and answer.code == "conflict", answer


@test
def all_that_failed_since_a_time_are_sent_again_up_to_a_limit(rig):
    fresh(rig)
    made = [plant(rig, at * 1000, "http://two/", "sync") for at in range(4)]
    action = plant(rig, 5000, "http://one/?key=x", "async_action")
    foreign = plant(rig, 2000, "http://three/")
    resend = lambda **body: rig.request("POST", "/webhooks/deliveries/resend", body)
    answer = resend(since=iso(T0 + 1000), limit=2)
    assert answer.status == 200 and answer.json == {"resent": 2, "more": True}, answer
    assert ids(rig, "?state=retrying") == [made[2], made[1]]
    assert resend(since=iso(T0), before=iso(T0 + 1)).json == {"resent": 1, "more": False}
    assert resend(since=iso(T0), endpoint=endpoint_of(rig, "http://one/?key=x"), type="sync").json["resent"] == 0
    assert resend(since=iso(T0), endpoint=endpoint_of(rig, "http://three/")).json["resent"] == 0
    assert resend(since=iso(T0), type="async_action").json["resent"] == 1
    assert ids(rig, "?state=exhausted") == [made[3]] and action in ids(rig, "?state=retrying")
    assert ids(rig, "?state=exhausted", "prod") == [foreign]
    answer = operator(rig, "POST", "/webhooks/deliveries/resend", {"since": iso(T0), "environment": "prod"})
    assert answer.status == 200 and answer.json == {"resent": 1, "more": False}, answer
    assert ids(rig, "?state=exhausted") == [made[3]], "another environment than the named one was resent"


# ---- endpoints
@test
def endpoints_are_listed_with_their_state_and_what_waits_for_them(rig):
    fresh(rig)
    plant(rig, 5000, "http://one/?key=x", "sync", "pending")
    plant(rig, 3000, "http://one/?key=x", "sync", "retrying")
    sql(rig, "UPDATE endpoint SET failing_since = now(), failures = 6, open_until = now() + interval '50 seconds' WHERE url = 'http://two/'")
    page = get(rig, "/webhooks/endpoints")
    assert page["next"] is None and len(page["endpoints"]) == 2, page
    one, two = page["endpoints"]
    assert one == {"id": endpoint_of(rig, "http://one/?key=x"), "environment": "dev", "kind": "primary", "url": "http://one/?key=x",
                   "state": "active", "paused": None, "failing_since": None, "failures": 0, "retry_at": None, "pending": 2,
                   "oldest_pending_at": iso(T0 + 3000)}, one
    assert two["kind"] == "secondary" and two["state"] == "open" and two["failures"] == 6 and two["pending"] == 0, two
    assert two["retry_at"] > iso(int(time.time() * 1000)) > two["failing_since"] and two["oldest_pending_at"] is None, two
    first = get(rig, "/webhooks/endpoints?limit=1")
    second = get(rig, f"/webhooks/endpoints?limit=1&cursor={first['next']}")
    assert first["endpoints"] + second["endpoints"] == page["endpoints"] and get(
        rig, f"/webhooks/endpoints?limit=1&cursor={second['next']}")["endpoints"] == []
    assert get(rig, f"/webhooks/endpoints/{one['id']}") == {"endpoint": one}


@test
def an_endpoint_is_paused_and_resumed_with_its_trouble_forgotten(rig):
    fresh(rig)
    ident = endpoint_of(rig, "http://one/?key=x")
    delivery = plant(rig, 0, "http://one/?key=x", "sync", "pending")
    for _ in range(2):
        answer = rig.request("POST", f"/webhooks/endpoints/{ident}/pause")
        assert answer.status == 200 and answer.json["endpoint"]["state"] == "paused", answer
    assert answer.json["endpoint"]["paused"]["cause"] == "operator", answer
    assert get(rig, f"/webhooks/deliveries/{delivery}")["delivery"]["next_try_at"] is None
    sql(rig, f"UPDATE endpoint SET pause_cause = 3, failing_since = now(), failures = 9 WHERE uuid = '{ident}'")
    assert get(rig, f"/webhooks/endpoints/{ident}")["endpoint"]["paused"]["cause"] == "failing"
    answer = rig.request("POST", f"/webhooks/endpoints/{ident}/resume", {})
    it = answer.json["endpoint"]
    assert answer.status == 200 and it["state"] == "active" and it["paused"] is None, answer
    assert it["failing_since"] is None and it["failures"] == 0, it
    assert get(rig, f"/webhooks/deliveries/{delivery}")["delivery"]["next_try_at"] is not None


# ---- who may
READS = ["/webhooks/deliveries", "/webhooks/deliveries/{d}", "/webhooks/endpoints", "/webhooks/endpoints/{e}"]
WRITES = [("/webhooks/deliveries/{d}/resend", None), ("/webhooks/deliveries/resend", {"since": iso(T0)}),
          ("/webhooks/endpoints/{e}/pause", None), ("/webhooks/endpoints/{e}/resume", None), ("/webhooks/test", {"url": "http://10.0.0.1/"})]


@test
def reading_and_writing_have_a_scope_each_and_operators_paths_are_theirs(rig):
    fresh(rig)
    names = {"d": plant(rig, 0, "http://two/"), "e": endpoint_of(rig, "http://two/")}
    reader, writer = scoped_key(rig, "environment:webhooks:read"), scoped_key(rig, "environment:webhooks:write")
    both, other = scoped_key(rig, "environment:webhooks:*"), scoped_key(rig, "environment:records:read")
    for method, path, body in [("GET", p, None) for p in READS] + [("POST", p, b) for p, b in WRITES]:
        path = path.format(**names)
        may, may_not = (reader, writer) if method == "GET" else (writer, reader)
        for key in (may_not, other):
            answer = rig.request(method, path, body, key=key)
            assert answer.status == 403 and answer.code == "forbidden", (method, path, answer)
            assert "environment:webhooks:" + ("read" if method == "GET" else "write") in answer.json["error"]["message"], answer
        for key in (may, both):
            assert rig.request(method, path, body, key=key).status == 200, (method, path)
        for key in (both, rig.dev, rig.keys["SLUICE_ACCOUNT_KEY"]):
            answer = rig.request(method, "/admin/v1" + path, body, key=key)
            assert answer.status == 403 and answer.code == "forbidden", (method, path, answer)
        assert rig.request(method, path, body, key=rig.keys["SLUICE_OPERATOR_KEY"]).status == 403, path


@test
def what_another_environment_has_is_not_there(rig):
    fresh(rig)
    ident, place = plant(rig, 0, "http://three/"), endpoint_of(rig, "http://three/")
    assert ids(rig) == [] and ids(rig, env="prod") == [ident]
    for method, path in [("GET", f"/webhooks/deliveries/{ident}"), ("POST", f"/webhooks/deliveries/{ident}/resend"),
                         ("GET", f"/webhooks/endpoints/{place}"), ("POST", f"/webhooks/endpoints/{place}/pause"),
                         ("POST", f"/webhooks/endpoints/{place}/resume")]:
        answer = rig.request(method, path)
        assert answer.status == 404 and answer.code == "not_found", (path, answer)
        missing = rig.request(method, path.replace(ident, NOWHERE).replace(place, NOWHERE), key="prod")
        assert missing.status == 404 and missing.body == answer.body, (answer, missing)
    assert rig.request("POST", "/webhooks/deliveries/resend", {"since": iso(T0)}).json == {"resent": 0, "more": False}
    assert [e["id"] for e in get(rig, "/webhooks/endpoints", "prod")["endpoints"]] == [place]
    assert get(rig, f"/webhooks/deliveries/{ident}", "prod")["delivery"]["state"] == "exhausted"
    assert get(rig, f"/webhooks/endpoints/{place}", "prod")["endpoint"]["paused"] is None


@test
def operators_see_all_environments_or_the_one_that_they_name(rig):
    fresh(rig)
    ours, theirs = plant(rig, 0, "http://two/"), plant(rig, 1, "http://three/")
    listed = lambda query="": [d["id"] for d in operator(rig, "GET", "/webhooks/deliveries" + query).json["deliveries"]]
    assert listed() == [theirs, ours] and listed("?environment=dev") == [ours] and listed("?environment=prod&state=failed") == [theirs]
    assert len(operator(rig, "GET", "/webhooks/endpoints").json["endpoints"]) == 3
    assert len(operator(rig, "GET", "/webhooks/endpoints?environment=dev").json["endpoints"]) == 2
    place = endpoint_of(rig, "http://two/")
    for method, path in [("GET", f"/webhooks/deliveries/{ours}"), ("GET", f"/webhooks/endpoints/{place}"),
                         ("POST", f"/webhooks/deliveries/{ours}/resend"), ("POST", f"/webhooks/endpoints/{place}/pause"),
                         ("POST", f"/webhooks/endpoints/{place}/resume")]:
        named = lambda name: operator(rig, method, path + (f"?environment={name}" if method == "GET" else ""),
                                      {"environment": name} if method == "POST" else None)
        answers = [operator(rig, method, path).status, named("dev").status, named("prod").status, named("none").status]
        assert answers == [200, 200, 404, 404], (path, answers)
    for path in ("/webhooks/deliveries?environment=none", "/webhooks/endpoints?environment=none"):
        answer = operator(rig, "GET", path)
        assert answer.status == 404 and "none" in answer.json["error"]["message"], answer


# ---- bad input
@test
def bad_input_is_refused_with_the_name_of_what_is_bad(rig):
    fresh(rig)
    for query, field in [("state=dead", "state"), ("state=", "state"), ("type=forward", "type"), ("endpoint=1", "endpoint"),
                         ("endpoint=", "endpoint"), ("job=x", "job"), ("since=yesterday", "since"), ("since=2026-02-30T00:00:00.000Z", "since"),
                         ("before=1760000000", "before"), ("limit=0", "limit"), ("limit=1001", "limit"), ("limit=-1", "limit"),
                         ("limit=1e2", "limit"), ("cursor=5", "cursor"), ("cursor=", "cursor")]:
        answer = rig.request("GET", "/webhooks/deliveries?" + query)
        assert answer.status == 400 and answer.code == "invalid_query_params", (query, answer)
        assert answer.json["error"]["errors"][0]["path"] == [field] and field in answer.json["error"]["message"], (query, answer)
    for path in ("/webhooks/deliveries?nonsense=1", "/webhooks/deliveries?environment=dev", "/webhooks/endpoints?environment=dev",
                 f"/webhooks/deliveries/{NOWHERE}?x=1", f"/webhooks/endpoints/{NOWHERE}?x=1"):
        answer = rig.request("GET", path)
        assert answer.status == 400 and answer.code == "invalid_query_params", (path, answer)
    for query, field in [("limit=0", "limit"), ("cursor=x", "cursor"), ("cursor=-1", "cursor"), ("cursor=0", "cursor")]:
        answer = rig.request("GET", "/webhooks/endpoints?" + query)
        assert answer.status == 400 and answer.json["error"]["errors"][0]["path"] == [field], (query, answer)
    for method, path in [("GET", "/webhooks/deliveries/17"), ("GET", "/webhooks/endpoints/x"), ("POST", "/webhooks/deliveries/x/resend"),
                         ("GET", "/webhooks/deliveries/resend"), ("POST", "/webhooks/endpoints/%7B%7D/pause")]:
        answer = rig.request(method, path)
        assert answer.status == 400 and answer.code == "invalid_uri_params", (path, answer)


@test
def bad_bodies_are_refused_and_change_nothing(rig):
    fresh(rig)
    ident = plant(rig, 0, "http://two/")
    good = {"since": iso(T0)}
    for body, field in [({}, "since"), ({"since": 5}, "since"), ({"since": "now"}, "since"), ({**good, "before": "then"}, "before"),
                        ({**good, "endpoint": "x"}, "endpoint"), ({**good, "endpoint": 1}, "endpoint"), ({**good, "type": "all"}, "type"),
                        ({**good, "limit": 0}, "limit"), ({**good, "limit": 10001}, "limit"), ({**good, "limit": 1.5}, "limit"),
                        ({**good, "limit": "5"}, "limit")]:
        answer = rig.request("POST", "/webhooks/deliveries/resend", body)
        assert answer.status == 400 and answer.code == "invalid_body", (body, answer)
        assert answer.json["error"]["errors"][0]["path"] == [field], (body, answer)
    for path, body in [("/webhooks/deliveries/resend", {**good, "environment": "dev"}), ("/webhooks/deliveries/resend", {**good, "ids": []}),
                       (f"/webhooks/deliveries/{ident}/resend", {"force": True}), (f"/webhooks/deliveries/{ident}/resend", []),
                       ("/webhooks/test", {"uri": "http://127.0.0.1/"})]:
        answer = rig.request("POST", path, body)
        assert answer.status == 400 and answer.code == "invalid_body", (path, body, answer)
    answer = rig.request("POST", f"/webhooks/deliveries/{ident}/resend?now=1")
    assert answer.status == 400 and answer.code == "invalid_query_params", answer
    for body in ({"since": iso(T0)}, {"since": iso(T0), "environment": ""}, {"since": iso(T0), "environment": 5}):
        answer = operator(rig, "POST", "/webhooks/deliveries/resend", body)
        assert answer.status == 400 and answer.json["error"]["errors"][0]["path"] == ["environment"], (body, answer)
    assert ids(rig, "?state=exhausted") == [ident], "a refused request changed something"


# ---- a test call
def try_receiver(rig, body=None, env="dev", **more):
    return rig.request("POST", "/webhooks/test", body, key=env, **more)


def set_url(rig, url, env="dev"):
    answer = operator(rig, "PATCH", f"/environments/{env}", {"webhook_url": url})
    assert answer.status == 200, answer


@test
def a_test_call_is_signed_and_its_answer_is_shown(rig):
    key = rig.request("POST", "/environment/webhook-signing-key/rotate").json["data"]["webhook_signing_key"]
    before, key = key, rig.request("POST", "/environment/webhook-signing-key/rotate").json["data"]["webhook_signing_key"]
    with Sink() as sink:
        sink.answer("/hook", sinks.status(202, {"x-seen": "yes"}, b"th\xffx"))
        for send in (lambda: try_receiver(rig, {"url": sink.url + "/hook?a=b"}),
                     lambda: operator(rig, "POST", "/webhooks/test", {"url": sink.url + "/hook?a=b", "environment": "dev"})):
            sink.answer("/hook?a=b", sinks.status(202, {"x-seen": "yes"}, b"th\xffx"))
            answer = send()
            assert answer.status == 200, answer
            request = sink.wait(1, "/hook?a=b")[-1]
            assert not request.faults(key, before), request.faults(key, before)
            body = json.loads(request.body)
            assert body == {"environment": "dev", "from": "sluice", "sentAt": body["sentAt"], "type": "test"}, body
            it = answer.json
            assert it["status"] == 202 and it["failure"] is None and it["took_ms"] >= 0, it
            assert it["request"]["url"] == sink.url + "/hook?a=b" and it["request"]["body"] == request.body.decode(), it
            sent = {name.lower(): value for name, value in it["request"]["headers"].items()}
            assert sent["webhook-id"] == request.id and sent["webhook-signature"] == request.headers["webhook-signature"], sent
            assert it["answer"]["headers"]["x-seen"] == "yes" and it["answer"]["body"] == "th\ufffdx", it
            assert it["answer"]["truncated"] is False, it
    assert sql(rig, "SELECT count(*) FROM delivery WHERE type NOT IN (1, 2, 3)") == [["0"]]


@test
def a_test_call_without_a_url_goes_to_the_primary_one_if_there_is_one(rig):
    with Sink() as sink:
        set_url(rig, sink.url + "/primary")
        answer = try_receiver(rig)
        assert answer.status == 200 and answer.json["status"] == 200, answer
        assert len(sink.seen("/primary")) == 1
        set_url(rig, None)
        for answer in (try_receiver(rig), try_receiver(rig, {}), operator(rig, "POST", "/webhooks/test", {"environment": "dev"})):
            assert answer.status == 400 and answer.json["error"]["errors"][0]["path"] == ["url"], answer
        answer = operator(rig, "POST", "/webhooks/test", {"url": sink.url})
        assert answer.status == 400 and answer.json["error"]["errors"][0]["path"] == ["environment"], answer


@test
def a_test_call_tells_what_went_wrong(rig):
    with Sink() as sink:
        sink.answer("/moved", sinks.moved("http://127.0.0.1:1/"))
        sink.answer("/down", sinks.status(500, {}, b"sorry"))
        sink.answer("/big", sinks.endless_body)
        for url in ("http://10.0.0.1/", "http://169.254.169.254/latest", "http://[::ffff:10.0.0.1]/"):
            answer = try_receiver(rig, {"url": url})
            assert answer.status == 200 and answer.json["failure"] == "refused_url", (url, answer)
            assert answer.json["status"] is None and answer.json["answer"] is None and answer.json["detail"], answer
        for path, status, failure in (("/moved", 302, "http_status"), ("/down", 500, "http_status")):
            it = try_receiver(rig, {"url": sink.url + path}).json
            assert it["status"] == status and it["failure"] == failure, it
        assert it["answer"]["body"] == "sorry", it
        it = try_receiver(rig, {"url": sink.url + "/big"}).json
        assert it["status"] == 200 and it["answer"]["truncated"] and len(it["answer"]["body"]) == 65536, (it["status"], it["failure"])
        sink.refuse()
        it = try_receiver(rig, {"url": sink.url + "/"}).json
        assert it["status"] is None and it["failure"] == "ECONNREFUSED", it
    for url in ("ftp://127.0.0.1/", "file:///etc/passwd", "127.0.0.1", "", "http://", "http://a b/", "http://u:p@127.0.0.1/", 5,
                "http://127.0.0.1/" + "x" * 3000):
        answer = try_receiver(rig, {"url": url})
        assert answer.status == 400 and answer.code == "invalid_body", (url, answer)
        assert answer.json["error"]["errors"][0]["path"] == ["url"], (url, answer)


@test
def receivers_that_hang_take_the_timeout_and_few_calls_at_a_time(rig):
    answers = []
    with Sink() as sink:
        sink.answer(None, sinks.hang)
        calls = [threading.Thread(target=lambda: answers.append(try_receiver(rig, {"url": sink.url + "/hang"}))) for _ in range(4)]
        for call in calls:
            call.start()
        sink.wait(4, "/hang")
        refused = try_receiver(rig, {"url": sink.url + "/hang"})
        assert refused.status == 429 and int(refused.headers["retry-after"]) > 0, refused
        sink.answer("/fine", sinks.OK)
        assert try_receiver(rig, {"url": sink.url + "/fine"}, "prod").json["status"] == 200, "another environment waits, too"
        for call in calls:
            call.join()
        assert len(sink.seen("/hang")) == 4, "a refused call was sent"
        assert try_receiver(rig, {"url": sink.url + "/fine"}).status == 200, "its place was not given back"
    for answer in answers:
        it = answer.json
        assert answer.status == 200 and it["status"] is None and it["failure"] == "timeout" and 1900 <= it["took_ms"] < 10000, answer


# ---- with a node that delivers
def deliver_to(rig, sink, second=False):
    """Events of dev go to the sink, from now on."""
    sql(rig, "TRUNCATE endpoint, delivery, delivery_due, delivery_try, outbox")
    node = rig.nodes[1]
    if node.process is None:
        node.start()
        rig.deploy({"echo": "return input;"})
    answer = operator(rig, "PATCH", "/environments/dev", {
        "webhook_url": sink.url + "/hook", "webhook_url_secondary": sink.url + "/second" if second else None, "webhook_events": "all"})
    assert answer.status == 200, answer


def run(rig):
    """An async action; its id."""
    job = rig.submit("echo", {"a": 1}, node=rig.nodes[1])
    assert rig.finish(job).status == 200
    return job


def delivery_in(rig, state, job):
    """The one of the job, once it is in that state."""
    return wait_until(f"the delivery of {job} is {state}", lambda: next(iter(ids(rig, f"?job={job}&state={state}")), None), 20)


@test
def what_failed_is_sent_again_one_by_one_or_all_at_once_under_its_id(rig):
    with Sink() as sink:
        deliver_to(rig, sink)
        sink.answer("/hook", sinks.status(500, {"x-why": "down"}, b"down"))
        jobs = [run(rig) for _ in range(2)]
        failed = [delivery_in(rig, "exhausted", job) for job in jobs]
        shown = get(rig, f"/webhooks/deliveries/{failed[0]}")["delivery"]
        assert shown["job"] == jobs[0] and shown["type"] == "async_action" and shown["connection_id"] == "c", shown
        assert [(a["number"], a["status"], a["failure"]) for a in shown["attempts"]] == [
            (1, 500, "http_status"), (2, 500, "http_status")], shown
        assert shown["attempts"][1]["answer"]["body"] == "down" and shown["attempts"][1]["answer"]["headers"]["x-why"] == "down", shown
        assert shown["last_try"]["status"] == 500 and shown["next_try_at"] is None and shown["ended_at"], shown
        sink.answer("/hook", sinks.OK)
        assert rig.request("POST", f"/webhooks/deliveries/{failed[0]}/resend", node=rig.nodes[1]).status == 200
        assert delivery_in(rig, "delivered", jobs[0]) == failed[0]
        assert ids(rig, "?state=exhausted") == [failed[1]], "another one was sent, too"
        shown = get(rig, f"/webhooks/deliveries/{failed[0]}")["delivery"]
        assert shown["tries"] == 3 and shown["attempts"][2]["status"] == 200 and shown["attempts"][2]["failure"] is None, shown
        sent = sink.tries(shown["event_id"])
        assert len(sent) == 3 and sent[2].taken and len({r.body for r in sent}) == 1, sent
        assert shown["request"]["body"] == sent[0].body.decode(), shown
        since = shown["created_at"]
        answer = rig.request("POST", "/webhooks/deliveries/resend", {"since": since}, node=rig.nodes[1])
        assert answer.json == {"resent": 1, "more": False}, answer
        assert delivery_in(rig, "delivered", jobs[1]) == failed[1]


@test
def a_paused_endpoint_gets_nothing_until_it_is_resumed_and_the_other_one_all(rig):
    with Sink() as sink:
        deliver_to(rig, sink, second=True)
        place = next(e for e in get(rig, "/webhooks/endpoints")["endpoints"] if e["kind"] == "primary")
        assert rig.request("POST", f"/webhooks/endpoints/{place['id']}/pause").status == 200
        job = run(rig)
        sink.wait(1, "/second")
        wait_until("the other one is delivered", lambda: len(ids(rig, f"?job={job}&state=delivered")) == 1, 20)
        assert sink.seen("/hook") == [], "a paused endpoint was sent to"
        it = get(rig, f"/webhooks/endpoints/{place['id']}")["endpoint"]
        assert it["state"] == "paused" and it["pending"] == 1 and it["oldest_pending_at"], it
        assert rig.request("POST", f"/webhooks/endpoints/{place['id']}/resume", node=rig.nodes[1]).json["endpoint"]["state"] == "active"
        sink.wait(1, "/hook")
        wait_until("both are delivered", lambda: len(ids(rig, f"?job={job}&state=delivered")) == 2, 20)
        assert get(rig, f"/webhooks/endpoints/{place['id']}")["endpoint"]["pending"] == 0


@test
def an_endpoint_that_is_gone_says_so_and_gets_what_waited_once_it_is_resumed(rig):
    with Sink() as sink:
        deliver_to(rig, sink)
        sink.answer("/hook", sinks.status(410), sinks.OK)
        job = run(rig)
        ident = delivery_in(rig, "retrying", job)
        place = get(rig, "/webhooks/endpoints")["endpoints"][0]
        assert place["state"] == "paused" and place["paused"]["cause"] == "gone" and place["pending"] == 1, place
        assert get(rig, f"/webhooks/deliveries/{ident}")["delivery"]["next_try_at"] is None
        assert operator(rig, "POST", f"/webhooks/endpoints/{place['id']}/resume").json["endpoint"]["paused"] is None
        assert delivery_in(rig, "delivered", job) == ident
        assert [r.status for r in sink.seen("/hook")] == [410, 200]


@test
def a_try_under_way_is_not_sent_twice_by_a_resend(rig):
    with Sink() as sink:
        deliver_to(rig, sink)
        sink.answer("/hook", sinks.held("one"))
        job = run(rig)
        sink.wait(1, "/hook")
        ident = ids(rig, f"?job={job}")[0]
        answer = rig.request("POST", f"/webhooks/deliveries/{ident}/resend")
        sink.release("one")
        assert answer.status == 409 and answer.code == "conflict", answer
        assert delivery_in(rig, "delivered", job) == ident
        assert len(sink.seen("/hook")) == 1
        assert rig.request("POST", f"/webhooks/deliveries/{ident}/resend").status == 200
        sink.wait(2, "/hook")
        assert len(sink.ids("/hook")) == 1


@test
def a_resend_at_the_node_that_delivers_does_not_wait_for_its_next_look(rig):
    with Sink() as sink:
        deliver_to(rig, sink)
        ident = delivery_in(rig, "delivered", run(rig))
        began = time.monotonic()
        for turn in range(4):  # it looks each second, and after a look the next one is furthest away
            assert rig.request("POST", f"/webhooks/deliveries/{ident}/resend", node=rig.nodes[1]).status == 200
            sink.wait(2 + turn, "/hook")
            wait_until("it is delivered again", lambda: ids(rig, "?state=delivered") == [ident], 20)
        assert time.monotonic() - began < 2.5, time.monotonic() - began


def prepare(rig):
    """node0 delivers nothing: what is planted stays as it is."""
    rig.nodes[0].settings["role"] = "api"
    rig.nodes[0].start()
    rig.read_keys()
    for env in ("dev", "prod"):
        rig.integration(env=env)
        rig.connection(env=env)
    sql(rig, PLANT)


main(lambda: Rig(nodes=2, start=False, prepare=prepare, settings={"delivery_timeout": "2s", "delivery_schedule": "0s,0s"}))
