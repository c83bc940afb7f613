"""Webhooks of providers: whom they are for, what they start, what a stranger hears."""
import os
import sys
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import flows
from rig import Rig, wait_until
from tap import main, test

NOTE = "await nango.batchSave([{ id: payload.key, got: payload }], '%s');"
FUNCTIONS = [
    flows.sync("changes", "", "hook", webhook=NOTE % "Change", models=["Change"], subscriptions=["contact.changed"]),
    flows.sync("everything", "", "hook", webhook=NOTE % "Any", models=["Any"], subscriptions=["*"]),
    flows.sync("deaf", "", "hook", models=["Deaf"]),
    flows.sync("elsewhere", "", "plain", webhook=NOTE % "Any", models=["Any"], subscriptions=["*"]),
]


def prepare(rig):
    rig.integration("hook", "unauthenticated")
    rig.integration("plain")
    for name in ("c", "d"):
        answer = rig.request("POST", "/connections", {"provider_config_key": "hook", "connection_id": name,
                                                      "credentials": {"type": "NONE"}})
        assert answer.status == 201, answer
    done = rig.deploy_flows(FUNCTIONS)
    assert done.status == 200, done


def url(rig, key="hook"):
    answer = rig.request("GET", f"/integrations/{key}?include=webhook")
    assert answer.status == 200, answer
    return answer.json["data"]["webhook_url"]


def path(rig, key="hook"):
    return f"/webhook/{url(rig).split('/')[-2]}/{key}"


def post(rig, body, key="hook", headers=None):
    return rig.request("POST", path(rig, key), body, headers, key=None)


def saved(rig, model, connection="c"):
    answer = rig.request("GET", f"/records?model={model}", headers={"Connection-Id": connection, "Provider-Config-Key": "hook"})
    assert answer.status == 200, answer
    return {record["id"]: record["got"] for record in answer.json["records"]}


def jobs(rig):
    return int(rig.postgres.query("SELECT count(*) FROM job WHERE kind = 3")[0][0])


def success(answer):
    assert answer.status == 200 and answer.json == {"status": "success"}, answer


@test
def the_url_is_shown_where_the_provider_has_routing(rig):
    assert url(rig).startswith(f"http://127.0.0.1:{rig.nodes[0].port}/webhook/") and url(rig).endswith("/hook")
    assert uuid.UUID(url(rig).split("/")[-2])
    assert url(rig, "plain") is None


@test
def a_webhook_runs_once_for_each_sync_that_subscribes(rig):
    before = jobs(rig)
    body = {"type": "contact.changed", "connectionId": "c", "key": "k1", "big": 12345678901234567890}
    success(post(rig, body))
    assert jobs(rig) == before + 2
    wait_until("both have saved", lambda: "k1" in saved(rig, "Change") and "k1" in saved(rig, "Any"), 30)
    assert saved(rig, "Any")["k1"]["type"] == "contact.changed"
    assert saved(rig, "Any", "d") == {}


@test
def another_type_reaches_only_those_that_take_all(rig):
    before = jobs(rig)
    success(post(rig, {"type": "contact.deleted", "connectionId": "d", "key": "k2"}))
    success(post(rig, {"connectionId": "d", "key": "k3"}))
    assert jobs(rig) == before + 2
    wait_until("it has saved", lambda: {"k2", "k3"} <= set(saved(rig, "Any", "d")), 30)
    assert "k2" not in saved(rig, "Change", "d")


@test
def webhooks_of_one_sync_run_in_the_order_they_came(rig):
    for i in range(5):
        success(post(rig, {"type": "x", "connectionId": "c", "key": f"o{i}"}))
    wait_until("all have saved", lambda: "o4" in saved(rig, "Any"), 30)
    order = [key for key in saved(rig, "Any") if key.startswith("o")]
    assert order == [f"o{i}" for i in range(5)], order


@test
def a_body_without_a_known_connection_starts_nothing(rig):
    before = jobs(rig)
    for body in ({"type": "x", "connectionId": "nobody"}, {"type": "x"}, {}, [], "text", {"type": "x", "connectionId": 5},
                 {"type": "x", "connectionId": "a\tb"}):
        success(post(rig, body))
    assert jobs(rig) == before


@test
def every_answer_says_how_many_webhooks_a_minute_takes(rig):
    first, second = post(rig, {}), post(rig, {}, "plain")
    if first.headers["x-ratelimit-reset"] != second.headers["x-ratelimit-reset"]:  # a minute ended in between
        first, second = post(rig, {}), post(rig, {}, "plain")
    assert first.headers["x-ratelimit-limit"] == "4000", first.headers
    assert int(second.headers["x-ratelimit-remaining"]) == int(first.headers["x-ratelimit-remaining"]) - 1


@test
def an_unknown_address_is_404_with_a_bare_code(rig):
    for place in (f"/webhook/{uuid.uuid4()}/hook", "/webhook/nosuch/hook"):
        answer = rig.request("POST", place, {}, key=None)
        assert answer.status == 404 and answer.json == {"error": {"code": "unknown_environment"}}, answer
    answer = post(rig, {}, "nosuch")
    assert answer.status == 404 and answer.json == {"error": {"code": "unknown_provider_config"}}, answer


@test
def a_provider_without_routing_is_204_whatever_is_sent(rig):
    before = jobs(rig)
    for body in ({"type": "x", "connectionId": "c"}, b"not json"):
        answer = post(rig, body, "plain", {"Content-Type": "text/plain"})
        assert answer.status == 204 and answer.body == b"", answer
    assert jobs(rig) == before


@test
def broken_json_is_400_and_a_huge_body_413(rig):
    answer = post(rig, b'{"type":', headers={"Content-Type": "application/json"})
    assert answer.status == 400 and answer.code == "invalid_json", answer
    try:
        answer = post(rig, b'"' + b"x" * (8 << 20) + b'"')
    except OSError:
        return  # it closed while we still sent
    assert answer.status == 413, answer


main(lambda: Rig(prepare=prepare))
