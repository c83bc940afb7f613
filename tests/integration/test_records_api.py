"""Reading records: order, cursors, filters, ids, shapes of deleted and pruned ones, every refusal."""
import base64
import datetime
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import flows
from rig import Rig, wait_until
from tap import main, test
from wrong_clock import wrong_clock

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")
# Does what the metadata of the connection asks for.
PUPPET = """
    const todo = await nango.getMetadata();
    for (const step of todo.steps) await nango[step.call](step.items, 'Item');
    if (todo.big) for (let i = 0; i < todo.big.count; i++)
        await nango.batchSave([{ id: 'big-' + i, text: 'x'.repeat(todo.big.size) }], 'Item');
"""
HEADERS = {"Connection-Id": "c", "Provider-Config-Key": "w"}


def prepare(rig):
    rig.integration()
    for name in ("c", "order", "filter", "since", "bytes", "large", "states", "legacy", "prune", "old", "idle"):
        rig.connection(name)
    done = rig.deploy_flows([
        flows.sync("puppet", PUPPET, endpoints=[{"method": "GET", "path": "/items"}]),
        flows.sync("twin", "", models=["Thing", "Other"],
                   endpoints=[{"method": "GET", "path": "//things"}, {"method": "GET", "path": "/others"}]),
        rig.flow("shout", "return { heard: input };", endpoints=[{"method": "POST", "path": "/shout/now"}])])
    assert done.status == 200, done


def play(rig, connection, *steps, **more):
    """steps: (call, items); runs the sync to its end."""
    rig.request("POST", "/connections/metadata", {"connection_id": connection, "provider_config_key": "w", "metadata": {
        "steps": [{"call": call, "items": items} for call, items in steps], **more}})
    answer = rig.request("POST", "/sync/trigger", {"syncs": ["puppet"], "provider_config_key": "w", "connection_id": connection})
    assert answer.status == 200 and answer.headers["x-sluice-started"] == "1", answer

    def ended():
        [entry] = rig.request("GET", f"/sync/status?syncs=puppet&provider_config_key=w&connection_id={connection}").json["syncs"]
        return entry if entry["status"] != "RUNNING" else None
    entry = wait_until("the sync ends", ended, 50)
    assert entry["latestExecutionStatus"] == "SUCCESS", (entry, list(rig.describe()))


def ask(rig, query="model=Item", connection="c", path="/records", **more):
    return rig.request("GET", f"{path}?{query}", headers={**HEADERS, "Connection-Id": connection}, **more)


def page(rig, query="model=Item", connection="c", **more):
    answer = ask(rig, query, connection, **more)
    assert answer.status == 200, answer
    return answer.json


def ids(rig, query="model=Item", connection="c"):
    return [record["id"] for record in page(rig, query, connection)["records"]]


def refused(answer, code, path=None, status=400):
    assert answer.status == status and answer.code == code, answer
    if path is not None:
        assert answer.json["error"]["errors"][0]["path"] == path, answer


def items(*names):
    return [{"id": name, "v": 1} for name in names]


# ---- what comes back

@test
def an_unknown_model_is_an_empty_page(rig):
    assert page(rig, "model=Nothing") == {"records": [], "next_cursor": None}


@test
def a_record_has_its_members_an_id_text_and_metadata(rig):
    play(rig, "c", ("batchSave", [{"id": 6, "name": "six", "_nango_metadata": {"x": 1}}]))
    [record] = page(rig, path="/records/")["records"]
    meta = record.pop("_nango_metadata")
    assert record == {"id": "6", "name": "six"}, record
    assert meta["last_action"] == "ADDED" and meta["deleted_at"] is None and meta["pruned_at"] is None, meta
    assert TIME.fullmatch(meta["first_seen_at"]) and meta["first_seen_at"] == meta["last_modified_at"], meta
    assert base64.b64decode(meta["cursor"]).decode().split("||")[0] == meta["last_modified_at"], meta


@test
def the_members_of_a_record_come_back_as_they_were_saved(rig):
    play(rig, "bytes", ("batchSave", [{"a\"\\\u2028": "é😀\u0001", "id": "x", "n": 1.5e300, "deep": {"id": 5, "l": [1, None]}}]))
    body = ask(rig, connection="bytes").body.decode()
    assert '"id":"x","n":1.5e+300,"deep":{"id":5,"l":[1,null]},"_nango_metadata"' in body, body
    assert json.loads(body)["records"][0]["a\"\\\u2028"] == "é😀\u0001"


@test
def pages_and_cursors_walk_through_all_records_once(rig):
    play(rig, "order", ("batchSave", items(*[f"r{i}" for i in range(25)])), ("batchSave", items("late")))
    everything = page(rig, "model=Item", "order")
    assert everything["next_cursor"] is None and len(everything["records"]) == 26
    assert everything["records"][-1]["id"] == "late"
    places = [(r["_nango_metadata"]["last_modified_at"], base64.b64decode(r["_nango_metadata"]["cursor"])) for r in everything["records"]]
    assert places == sorted(places)
    got, cursor = [], None
    while True:
        part = page(rig, "model=Item&limit=10" + (f"&cursor={cursor.replace('+', '%2B')}" if cursor else ""), "order")
        got += [r["id"] for r in part["records"]]
        assert part["next_cursor"] in (None, part["records"][-1]["_nango_metadata"]["cursor"])
        cursor = part["next_cursor"]
        if cursor is None:
            break
    assert got == [r["id"] for r in everything["records"]]
    middle = everything["records"][7]["_nango_metadata"]["cursor"].replace("+", "%2B")
    assert ids(rig, f"model=Item&cursor={middle}", "order") == got[8:]
    assert page(rig, "model=Item&limit=26", "order")["next_cursor"] is None


@test
def filters_mean_what_they_say_in_every_combination(rig):
    play(rig, "filter", ("batchSave", items("same", "changed", "gone")))
    play(rig, "filter", ("batchSave", [{"id": "same", "v": 1}, {"id": "changed", "v": 2}]), ("batchDelete", [{"id": "gone"}]))
    every = {"added": "same", "updated": "changed", "deleted": "gone"}
    for chosen in (["added"], ["updated"], ["deleted"], ["added", "updated"], ["added", "deleted"], ["updated", "deleted"],
                   ["added", "updated", "deleted"]):
        want = sorted(every[word] for word in chosen)
        assert sorted(ids(rig, f"model=Item&filter={','.join(chosen)}", "filter")) == want, chosen
        assert sorted(ids(rig, f"model=Item&filter={','.join(chosen).upper()}", "filter")) == want, chosen
    assert len(ids(rig, "model=Item", "filter")) == 3


@test
def a_deleted_record_shows_what_was_given_and_a_pruned_one_its_id(rig):
    play(rig, "states", ("batchSave", items("kept", "gone", "pruned")))
    play(rig, "states", ("batchDelete", [{"id": "gone"}]))
    rig.postgres.query("UPDATE record SET payload = '', pruned = now() WHERE id = 'pruned'")
    shown = {r["id"]: r for r in page(rig, "model=Item", "states")["records"]}
    gone, pruned = shown["gone"], shown["pruned"]
    assert set(gone) == {"id", "_nango_metadata"} and gone["_nango_metadata"]["last_action"] == "DELETED", gone
    assert TIME.fullmatch(gone["_nango_metadata"]["deleted_at"]) and gone["_nango_metadata"]["pruned_at"] is None
    assert set(pruned) == {"id", "_nango_metadata"} and TIME.fullmatch(pruned["_nango_metadata"]["pruned_at"]), pruned
    assert shown["kept"]["v"] == 1


@test
def ids_and_modified_after_narrow_the_page(rig):
    play(rig, "since", ("batchSave", items("a", "b")))
    play(rig, "since", ("batchSave", items("z")))
    last = page(rig, "model=Item", "since")["records"][-1]["_nango_metadata"]["last_modified_at"].replace("+00:00", "Z")
    assert ids(rig, f"model=Item&modified_after={last}", "since") == ["z"]
    assert ids(rig, f"model=Item&delta={last}", "since") == ["z"]
    assert sorted(ids(rig, "model=Item&ids=a&ids=z&ids=nosuch", "since")) == ["a", "z"]
    assert ids(rig, "model=Item&ids[]=a&ids[1]=b&limit=1", "since")[0] in "ab"


@test(seconds=120)
def a_page_of_large_records_ends_before_it_fills_the_memory(rig):
    play(rig, "large", big={"count": 45, "size": 1000000})
    first = page(rig, "model=Item&limit=10000", "large")
    assert 20 < len(first["records"]) < 45 and first["next_cursor"], len(first["records"])
    cursor = first["next_cursor"].replace("+", "%2B")
    rest = page(rig, f"model=Item&limit=10000&cursor={cursor}", "large")
    assert len(first["records"]) + len(rest["records"]) == 45 and rest["next_cursor"] is None


# ---- pruning

def prune(rig, body, connection="prune", **more):
    return rig.request("PATCH", "/records/prune", body, {**HEADERS, "Connection-Id": connection}, **more)


@test
def records_are_pruned_up_to_a_cursor_and_keep_their_place(rig):
    play(rig, "prune", *[("batchSave", items(name)) for name in "abcd"], ("batchDelete", [{"id": "d", "why": "x"}]))
    before = page(rig, "model=Item", "prune")["records"]
    assert [r["id"] for r in before] == list("abcd")
    third = before[2]["_nango_metadata"]["cursor"]
    assert prune(rig, {"model": "Item", "until_cursor": third, "limit": 2}).json == {"count": 2, "has_more": True}
    assert prune(rig, {"model": "Item", "until_cursor": third, "variant": "base"}).json == {"count": 1, "has_more": False}
    assert prune(rig, {"model": "Item", "until_cursor": third}).json == {"count": 0, "has_more": False}
    assert prune(rig, {"model": "Item", "until_cursor": third, "variant": "none"}).json == {"count": 0, "has_more": False}
    after = page(rig, "model=Item", "prune")["records"]
    for old, new in zip(before, after):
        assert {**new["_nango_metadata"], "pruned_at": None} == old["_nango_metadata"], (old, new)
    assert [sorted(r) for r in after] == [["_nango_metadata", "id"]] * 3 + [["_nango_metadata", "id", "why"]]
    assert all(TIME.fullmatch(r["_nango_metadata"]["pruned_at"]) for r in after[:3]), after
    # A reader who goes on behind it is shown nothing of it; functions see what readers see.
    assert ids(rig, f"model=Item&cursor={third.replace('+', '%2B')}", "prune") == ["d"]
    play(rig, "prune", ("batchSave", [{"id": "a", "v": 1}, {"id": "b", "v": 2}]), ("batchUpdate", [{"id": "c", "w": 3}]))
    shown = page(rig, "model=Item", "prune")["records"]
    assert [(r["id"], r.get("v"), r.get("w"), r["_nango_metadata"]["last_action"]) for r in shown] == [
        ("a", 1, None, "ADDED"), ("d", None, None, "DELETED"), ("b", 2, None, "UPDATED"), ("c", None, 3, "UPDATED")], shown
    assert all(r["_nango_metadata"]["pruned_at"] is None for r in shown)
    assert shown[0]["_nango_metadata"] == before[0]["_nango_metadata"]  # unchanged: back where it was


@test
def a_request_to_prune_is_refused_in_the_form_of_the_wire(rig):
    good = base64.b64encode(b"2026-11-22T03:19:05.990544+00:00||018f5cb0-0000-7000-8000-000000000000").decode()
    fine = {"model": "Item", "until_cursor": good}
    assert prune(rig, fine).json["count"] >= 0
    for change, path in (({"model": None}, "model"), ({"model": "item"}, "model"), ({"model": 7}, "model"), ({"variant": "a b"}, "variant"),
                         ({"until_cursor": ""}, "until_cursor"), ({"until_cursor": None}, "until_cursor"),
                         ({"until_cursor": "x" * 1001}, "until_cursor"), ({"limit": 0}, "limit"), ({"limit": 10001}, "limit"),
                         ({"limit": -1}, "limit"), ({"limit": 1.5}, "limit"), ({"limit": "5"}, "limit"), ({"limit": None}, "limit")):
        refused(prune(rig, {**fine, **change}), "invalid_body", [path])
    refused(prune(rig, {"until_cursor": good}), "invalid_body", ["model"])
    refused(prune(rig, {"model": "Item"}), "invalid_body", ["until_cursor"])
    refused(prune(rig, {**fine, "cursor": good}), "invalid_body")
    refused(prune(rig, {**fine, "until_cursor": "***"}), "invalid_cursor")
    refused(prune(rig, fine, "nobody"), "unknown_connection")
    refused(rig.request("PATCH", "/records/prune", fine), "invalid_headers", ["connection-id"])
    refused(rig.request("PATCH", "/records/prune?model=Item", fine, HEADERS), "invalid_query_params")


# ---- refusals

@test
def a_request_for_records_is_refused_in_the_form_of_the_wire(rig):
    now = datetime.datetime.now(datetime.timezone.utc)
    query = "invalid_query_params"
    refused(ask(rig, ""), query, ["model"])
    refused(ask(rig, "model=item"), query, ["model"])
    refused(ask(rig, "model=I"), query, ["model"])
    refused(ask(rig, "model=Item&variant=a%20b"), query, ["variant"])
    refused(ask(rig, "model=Item&x=1"), query)
    for limit in ("0", "10001", "-1", "1.5", "x", ""):
        refused(ask(rig, f"model=Item&limit={limit}"), query, ["limit"])
    for moment in ("yesterday", "2026-01-01", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T00:00:00",
                   "2026-01-01T00:00:00%2B00:00", "2026-01-01T00:00:61Z", "2026-01-01T00:00:00.Z", ""):
        refused(ask(rig, f"model=Item&modified_after={moment}"), query, ["modified_after"])
        refused(ask(rig, f"model=Item&delta={moment}"), query, ["delta"])
    old = (now - datetime.timedelta(days=370)).strftime("%Y-%m-%dT%H:%M:%SZ")
    answer = ask(rig, f"model=Item&modified_after={old}")
    refused(answer, query, ["modified_after"])
    assert answer.json["error"]["errors"][0]["code"] == "custom", answer
    assert ask(rig, f"model=Item&modified_after={(now - datetime.timedelta(days=360)).strftime('%Y-%m-%dT%H:%MZ')}").status == 200
    for word in ("", "added,", "new", "Added"):
        refused(ask(rig, f"model=Item&filter={word}"), query, ["filter"])
    refused(ask(rig, "model=Item&ids="), query, ["ids"])
    refused(ask(rig, "model=Item&ids=" + "x" * 257), query, ["ids"])
    refused(ask(rig, "model=Item" + "&ids=x" * 101), query, ["ids"])
    refused(ask(rig, "model=Item&cursor="), query, ["cursor"])
    refused(ask(rig, "model=Item&cursor=" + "x" * 1001), query, ["cursor"])
    refused(ask(rig, "model=Item", "nobody"), "unknown_connection")
    refused(rig.request("GET", "/records?model=Item"), "invalid_headers", ["connection-id"])


@test
def a_bad_cursor_is_told_as_one(rig):
    good = "2026-11-22T03:19:05.990544+00:00"
    row = "018f5cb0-0000-7000-8000-000000000000"
    for place in ("", "x", good, f"{good}|{row}", f"{good}||x", f"yesterday||{row}", f"{good}||{row}||", f"\0{good}||{row}"):
        cursor = base64.b64encode(place.encode()).decode().replace("+", "%2B") or "%20"
        refused(ask(rig, f"model=Item&cursor={cursor}"), "invalid_cursor")
    refused(ask(rig, "model=Item&cursor=***"), "invalid_cursor")
    fine = base64.b64encode(f"{good}||{row}".encode()).decode().replace("+", "%2B")
    assert ask(rig, f"model=Item&cursor={fine}").status == 200


# ---- retention

@test(seconds=90)
def old_payloads_are_emptied_and_records_of_a_sync_that_stands_still_go(rig):
    for name in ("old", "idle"):
        play(rig, name, ("batchSave", items("long-ago")))
        play(rig, name, ("batchSave", items("lately")))
    sql = rig.postgres.query
    of = "connection_id = (SELECT id FROM connection WHERE connection_id = '%s')"
    sql(f"UPDATE record SET last_modified = last_modified - interval '31 days' WHERE id = 'long-ago' AND {of % 'old'};"
        f" UPDATE record SET last_modified = last_modified - interval '61 days' WHERE {of % 'idle'};"
        f" UPDATE sync SET claimed_at = now() - interval '61 days', marked_at = NULL, last_ended = NULL WHERE {of % 'idle'};"
        f" UPDATE record_model SET pruned_to = '-infinity' WHERE {of % 'old'}")
    before = page(rig, "model=Item", "old")["records"]
    assert rig.nodes[0].stop() == 0
    usual, rig.nodes[0].environment = rig.nodes[0].environment, wrong_clock(FAKETIME="+40d")  # hides nothing: the ledger knows the time
    rig.nodes[0].start()  # a pass begins when a scheduler comes to lead
    rig.nodes[0].environment = usual
    wait_until("the old payload is emptied", lambda: len(page(rig, "model=Item", "old")["records"][0]) == 2, 20)
    first, second = page(rig, "model=Item", "old")["records"]
    assert first["id"] == "long-ago" and TIME.fullmatch(first["_nango_metadata"]["pruned_at"]), first
    assert {**first["_nango_metadata"], "pruned_at": None} == before[0]["_nango_metadata"], (first, before)
    assert second == before[1], second
    wait_until("the records of the idle sync are deleted", lambda: not ids(rig, "model=Item", "idle"), 20)
    [entry] = rig.request("GET", "/sync/status?syncs=puppet&provider_config_key=w&connection_id=idle").json["syncs"]
    assert entry["recordCount"].get("Item", 0) == 0, entry
    play(rig, "idle", ("batchSave", items("lately")))
    assert ids(rig, "model=Item", "idle") == ["lately"]


# ---- endpoints that functions declare

@test
def a_declared_endpoint_of_a_sync_answers_its_records(rig):
    play(rig, "legacy", ("batchSave", items("one")))
    answer = ask(rig, "", "legacy", "/v1/items")
    assert answer.status == 200 and [r["id"] for r in answer.json["records"]] == ["one"], answer
    assert ask(rig, "limit=1", "legacy", "/v1//things").json == {"records": [], "next_cursor": None}
    assert ask(rig, "", "legacy", "/v1/others").status == 200


@test
def a_declared_endpoint_of_an_action_runs_it(rig):
    answer = rig.request("POST", "/v1/shout/now", {"a": 1}, HEADERS)
    assert answer.status == 200 and answer.json == {"heard": {"a": 1}}, answer
    answer = rig.request("POST", "/v1/shout/now", None, HEADERS)
    assert answer.status == 200 and answer.json == {"heard": {}}, answer


@test
def an_endpoint_that_nobody_declares_is_404_with_a_bare_message(rig):
    for method, path in (("GET", "/v1/nosuch"), ("GET", "/v1/shout/now"), ("POST", "/v1/items"), ("GET", "/v1/things"),
                         ("GET", "/v1/items/")):
        answer = rig.request(method, path, None, HEADERS)
        assert answer.status == 404 and set(answer.json) == {"message"}, (path, answer)
    refused(rig.request("POST", "/v1/shout/now", {}, {**HEADERS, "Connection-Id": "nobody"}), "unknown_connection")
    assert rig.request("POST", "/v1/shout/now", {}, HEADERS, key=None).status == 401


main(lambda: Rig(prepare=prepare))
