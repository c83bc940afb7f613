"""Steering syncs: start, pause, own frequencies and variants, over the API and from functions."""
import datetime
import os
import sys
import threading
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import flows
from rig import Rig, wait_until
from tap import main, test

SAVE = "await nango.batchSave([{ id: nango.variant, last: nango.lastSyncDate instanceof Date }], 'Item');" \
       "await nango.saveCheckpoint({ at: nango.variant });"
CAUGHT = "const caught = async (f) => { try { return { value: (await f()) ?? null } } catch (e) {" \
         " return { code: e.response?.data?.error?.code, status: e.response?.status, message: e.message } } };"
SYNCS = [
    flows.sync("items", SAVE),
    flows.sync("five", "", models=["Five"], runs="every 5 minutes"),
    flows.sync("never", "", models=["Never"], runs=None),
    flows.sync("broken", "throw new Error('boom');", models=["Broken"]),
    flows.sync("waits", "await nango.get({ endpoint: '/hang/' + nango.variant, retries: 0 });"
               "await nango.batchSave([{ id: 'late' }], 'Wait');", models=["Wait"]),
]
ACTIONS = {
    "start": CAUGHT + "return caught(() => nango.startSync(input.key || 'w', input.syncs, input.connection));",
    "trigger": CAUGHT + "return caught(() => nango.triggerSync('w', input.connection, input.sync, input.mode));",
}


def prepare(rig):
    rig.integration()
    rig.connection()
    rig.connection("d")
    done = rig.deploy_flows(SYNCS + [rig.flow(name, code) for name, code in ACTIONS.items()])
    assert done.status == 200, done


def steer(rig, what, syncs, connection="c", **more):
    body = {"provider_config_key": "w", "syncs": syncs, **more}
    if connection is not None:
        body["connection_id"] = connection
    return rig.request("POST", f"/sync/{what}", body)


def done(answer):
    assert answer.status == 200 and answer.json == {"success": True}, answer


def start(rig, syncs, connection="c"):
    done(steer(rig, "start", syncs, connection))


def pause(rig, syncs, connection="c"):
    done(steer(rig, "pause", syncs, connection))


def status(rig, syncs="*", connection="c", **more):
    query = f"syncs={syncs}&provider_config_key=w" + (f"&connection_id={connection}" if connection else "")
    answer = rig.request("GET", f"/sync/status?{query}", **more)
    assert answer.status == 200, answer
    return answer.json["syncs"]


def one(rig, sync, connection="c"):
    [entry] = status(rig, sync, connection)
    return entry


def frequency(rig, sync, text, connection="c", **more):
    return rig.request("PUT", "/sync/update-connection-frequency", {
        "sync_name": sync, "provider_config_key": "w", "connection_id": connection, "frequency": text, **more})


def variant(rig, method, sync, name, connection="c", integration="w", **more):
    return rig.request(method, f"/sync/{sync}/variant/{name}",
                       {"provider_config_key": integration, "connection_id": connection, **more})


def refused(answer, code, path=None, status=400):
    assert answer.status == status and answer.code == code, answer
    if path is not None:
        assert answer.json["error"]["errors"][0]["path"] == path, answer


def seconds_until(text):
    when = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (when - datetime.datetime.now(datetime.timezone.utc)).total_seconds()


def make_due(rig, sync, connection="c"):
    """As if its slot had come."""
    rig.postgres.query("WITH u AS (UPDATE schedule h SET anchor = now(), next_run_at = CASE WHEN h.started THEN now() END"
                       f" FROM sync s WHERE s.id = h.sync_id AND s.uuid = '{one(rig, sync, connection)['id']}' RETURNING 1)"
                       " SELECT pg_notify('sluice_schedule', '') FROM u")


def ended(rig, sync, connection="c", since=None, seconds=30):
    """Waits for the end of a run that is not since's; the entry then."""
    def look():
        entry = one(rig, sync, connection)
        return entry if "finishedAt" in entry and entry["finishedAt"] != since and entry["status"] != "RUNNING" else None
    return wait_until(f"{sync} ends", look, seconds)


def records(rig, model, **query):
    text = "".join(f"&{k}={v}" for k, v in query.items())
    answer = rig.request("GET", f"/records?model={model}{text}", headers={"Connection-Id": "c", "Provider-Config-Key": "w"})
    assert answer.status == 200, answer
    return [record["id"] for record in answer.json["records"]]


# ---- start and pause

@test
def a_start_goes_on_with_the_next_slot_and_a_pause_holds_it(rig):
    entry = one(rig, "items")
    assert entry["status"] == "PAUSED" and entry["nextScheduledSyncAt"] is None, entry
    start(rig, ["items"])
    entry = one(rig, "items")
    assert entry["status"] == "SUCCESS" and 0 < seconds_until(entry["nextScheduledSyncAt"]) <= 3600, entry
    start(rig, ["items"])
    assert one(rig, "items") == entry
    pause(rig, [{"name": "items", "variant": "base"}])
    pause(rig, ["items::base"])
    entry = one(rig, "items")
    assert entry["status"] == "PAUSED" and entry["nextScheduledSyncAt"] is None, entry


@test
def what_was_started_runs_when_it_is_due_and_what_was_paused_does_not(rig):
    start(rig, ["items", "five"])
    pause(rig, ["five"])
    make_due(rig, "five")
    make_due(rig, "items")
    entry = ended(rig, "items")
    assert entry["status"] == "SUCCESS" and entry["latestResult"]["Item"]["added"] == 1, entry
    assert 3500 < seconds_until(entry["nextScheduledSyncAt"]) <= 3600, entry
    assert "finishedAt" not in one(rig, "five"), one(rig, "five")
    pause(rig, ["items"])


@test
def the_slot_that_a_start_or_a_frequency_makes_the_next_one_is_run(rig):
    slots = "UPDATE schedule h SET anchor = now() - interval '{} seconds' FROM sync s JOIN function f ON f.id = s.function_id" \
            " WHERE h.sync_id = s.id AND f.name = 'items'"
    rig.postgres.query(slots.format(3599))
    before = one(rig, "items")["finishedAt"]
    start(rig, ["items"])
    before = ended(rig, "items", since=before, seconds=5)["finishedAt"]
    rig.postgres.query(slots.format(39))
    assert frequency(rig, "items", "40s").status == 200
    ended(rig, "items", since=before, seconds=5)
    pause(rig, ["items"])
    assert frequency(rig, "items", None).status == 200


@test
def a_failed_run_of_a_started_sync_is_an_error(rig):
    start(rig, ["broken"])
    make_due(rig, "broken")
    entry = ended(rig, "broken")
    assert entry["status"] == "ERROR" and entry["latestExecutionStatus"] == "STOPPED", entry
    pause(rig, ["broken"])
    assert one(rig, "broken")["status"] == "PAUSED"


@test
def a_pause_does_not_stop_the_run_that_is_open(rig):
    start(rig, ["waits"])
    make_due(rig, "waits")
    rig.witness.wait_seen("/hang/base")
    pause(rig, ["waits"])
    entry = one(rig, "waits")
    assert entry["status"] == "RUNNING" and entry["latestExecutionStatus"] == "RUNNING", entry
    assert entry["nextScheduledSyncAt"] is None, entry
    rig.witness.release("base")
    entry = ended(rig, "waits")
    assert entry["status"] == "PAUSED" and entry["latestExecutionStatus"] == "SUCCESS", entry


@test
def what_never_runs_by_itself_is_started_and_has_no_next_run(rig):
    start(rig, ["never"])
    entry = one(rig, "never")
    assert entry["status"] == "SUCCESS" and entry["nextScheduledSyncAt"] is None and entry["frequency"] is None, entry


@test
def no_names_are_all_syncs_and_no_connection_is_all_connections(rig):
    start(rig, [], None)
    entries = status(rig, "*", None)
    assert [(e["connection_id"], e["name"]) for e in entries] == [
        (c, n) for c in ("c", "d") for n in ("broken", "five", "items", "never", "waits")], entries
    assert {e["status"] for e in entries} <= {"SUCCESS", "ERROR"}, entries
    pause(rig, ["five", "items"], None)
    assert [e["name"] for e in status(rig, "*", None) if e["status"] == "PAUSED"] == ["five", "items"] * 2
    pause(rig, [])
    pause(rig, [], "d")
    assert {e["status"] for e in status(rig, "*", None)} == {"PAUSED"}


@test
def start_and_pause_are_refused_in_the_form_of_the_wire(rig):
    for what in ("start", "pause"):
        refused(steer(rig, what, ["items"], extra=1), "invalid_body")
        refused(steer(rig, what, ["items"], opts={}), "invalid_body")
        refused(steer(rig, what, "items"), "invalid_body", ["syncs"])
        refused(steer(rig, what, None), "invalid_body", ["syncs"])
        refused(steer(rig, what, ["items", {"name": "items"}]), "invalid_body", ["syncs", "1"])
        refused(steer(rig, what, ["items", "a b"]), "invalid_body", ["syncs", "1"])
        refused(steer(rig, what, ["items::"]), "invalid_body", ["syncs", "0"])
        refused(steer(rig, what, [{"name": "a::b", "variant": "c"}]), "invalid_body", ["syncs", "0"])
        refused(steer(rig, what, ["x" * 256]), "invalid_body", ["syncs", "0"])
        refused(steer(rig, what, ["items"] * 257), "invalid_body", ["syncs", "256"])
        done(steer(rig, what, ["items"] * 256))
        refused(steer(rig, what, ["items"], provider_config_key=None), "invalid_body", ["provider_config_key"])
        refused(steer(rig, what, ["items"], provider_config_key="a/b"), "invalid_body", ["provider_config_key"])
        refused(steer(rig, what, ["items"], provider_config_key="nosuch"), "unknown_provider_config")
        refused(steer(rig, what, ["items"], "a\tb"), "invalid_body", ["connection_id"])
        refused(steer(rig, what, ["items"], "nobody"), "unknown_connection", status=404)
        refused(steer(rig, what, ["nosuch"]), "no_syncs_found")
        refused(steer(rig, what, ["items::nosuch"]), "no_syncs_found")
        refused(steer(rig, what, ["start"]), "no_syncs_found")
        refused(rig.request("POST", f"/sync/{what}?a=1", {"syncs": []}), "invalid_query_params")
        assert rig.request("GET", f"/sync/{what}").status == 405
    pause(rig, [])


# ---- frequency

@test
def an_own_frequency_is_normalised_shown_and_moves_the_next_slot(rig):
    start(rig, ["five"])
    for text, shown, most in (("every 1h", "1h", 3600), ("every half day", "12h", 43200), ("30s", "30s", 30),
                              ("every 45 secs", "45 secs", 45), ("week", "7d", 604800)):
        answer = frequency(rig, "five", text)
        assert answer.status == 200 and answer.json == {"frequency": shown}, (text, answer)
        entry = one(rig, "five")
        assert entry["frequency"] == shown and -1 < seconds_until(entry["nextScheduledSyncAt"]) <= most, entry
        assert one(rig, "five", "d")["frequency"] == "every 5 minutes"
    answer = frequency(rig, "five", None)
    assert answer.status == 200 and answer.json == {"frequency": "every 5 minutes"}, answer
    entry = one(rig, "five")
    assert entry["frequency"] == "every 5 minutes" and seconds_until(entry["nextScheduledSyncAt"]) <= 300, entry
    pause(rig, ["five"])


@test
def a_sync_that_runs_at_no_time_gets_one_from_its_own_frequency(rig):
    assert frequency(rig, "never", "1d").json == {"frequency": "1d"}
    assert one(rig, "never")["nextScheduledSyncAt"] is None  # it is paused
    start(rig, ["never"])
    assert one(rig, "never")["nextScheduledSyncAt"] is not None
    assert frequency(rig, "never", None).json == {"frequency": None}
    assert one(rig, "never")["nextScheduledSyncAt"] is None
    pause(rig, ["never"])


@test
def bad_frequencies_and_names_are_refused(rig):
    for text in ("garbage", "", "every ", "every 1e9d", "every -5m", "5  m", "every 2 weeks", "EVERY 5M", "every 1.5h",
                 "every 99999999999d", "5m\u0000", 5, {"a": 1}, "every 5m" * 40):
        refused(frequency(rig, "five", text), "invalid_body", ["frequency"])
    assert "^(every )?" in frequency(rig, "five", "garbage").json["error"]["message"]
    for text in ("every 0s", "every 29s", "s", "every 999999999d"):
        answer = frequency(rig, "five", text)
        refused(answer, "invalid_body")
        assert "errors" not in answer.json["error"] and text in answer.json["error"]["message"], answer
    assert one(rig, "five")["frequency"] == "every 5 minutes"
    refused(rig.request("PUT", "/sync/update-connection-frequency", {
        "sync_name": "five", "provider_config_key": "w", "connection_id": "c"}), "invalid_body", ["frequency"])
    refused(frequency(rig, "a b", "1h"), "invalid_body", ["sync_name"])
    refused(frequency(rig, "five", "1h", sync_variant="a b"), "invalid_body", ["sync_variant"])
    refused(frequency(rig, "five", "1h", connection_id=None), "invalid_body", ["connection_id"])
    refused(frequency(rig, "five", "1h", extra=1), "invalid_body")
    for more in ({"connection_id": "nobody"}, {"provider_config_key": "nosuch"}):
        answer = frequency(rig, "five", "1h", **more)
        assert answer.status == 400 and answer.json == {"error": {"code": "unknown_connection"}}, answer
    for sync, more in (("nosuch", {}), ("five", {"sync_variant": "nosuch"}), ("start", {})):
        answer = frequency(rig, sync, "1h", **more)
        assert answer.status == 400 and answer.json == {"error": {"code": "unknown_sync"}}, answer


# ---- variants

@test
def a_variant_has_schedule_checkpoint_and_records_of_its_own(rig):
    answer = variant(rig, "POST", "items", "mine")
    assert answer.status == 200 and answer.json == {"id": answer.json["id"], "name": "items", "variant": "mine"}, answer
    assert uuid.UUID(answer.json["id"])
    entry = one(rig, "items::mine")
    assert entry["id"] == answer.json["id"] and entry["status"] == "PAUSED" and entry["checkpoint"] is None, entry
    assert entry["recordCount"] == {"Item": 0}, entry
    done(rig.request("POST", "/sync/trigger", {"syncs": ["items", {"name": "items", "variant": "mine"}],
                                               "provider_config_key": "w", "connection_id": "c"}))
    ended(rig, "items")
    entry = ended(rig, "items::mine")
    assert entry["checkpoint"] == {"at": "mine"} and entry["recordCount"] == {"Item": 1}, entry
    assert records(rig, "Item", variant="mine") == ["mine"] and records(rig, "Item") == ["base"]
    assert [e["variant"] for e in status(rig, "items::base,items::mine,items::nosuch")] == ["base", "mine"]
    assert {e["variant"] for e in status(rig, "items")} == {"base"}
    assert frequency(rig, "items", "2h", sync_variant="mine").json == {"frequency": "2h"}
    start(rig, ["items::mine"])
    assert [(e["status"], e["frequency"]) for e in status(rig, "items,items::mine")] == [("PAUSED", "every hour"), ("SUCCESS", "2h")]


@test
def a_deleted_variant_leaves_nothing_and_may_be_made_again(rig):
    ended(rig, "items::mine")
    done(variant(rig, "DELETE", "items", "mine"))
    assert [e["variant"] for e in status(rig, "*") if e["name"] == "items"] == ["base"]
    refused(variant(rig, "DELETE", "items", "mine"), "not_found", status=404)
    wait_until("its records are gone", lambda: records(rig, "Item", variant="mine") == [], 20)
    wait_until("it can be made again", lambda: variant(rig, "POST", "items", "mine").status == 200, 20)
    entry = one(rig, "items::mine")
    assert entry["checkpoint"] is None and entry["frequency"] == "every hour" and "finishedAt" not in entry, entry
    assert records(rig, "Item") == ["base"] and one(rig, "items")["checkpoint"] == {"at": "base"}


@test
def a_variant_that_runs_is_ended_with_it(rig):
    assert variant(rig, "POST", "waits", "doomed").status == 200
    done(rig.request("POST", "/sync/trigger", {"syncs": ["waits::doomed"], "provider_config_key": "w", "connection_id": "c"}))
    rig.witness.wait_seen("/hang/doomed")
    done(variant(rig, "DELETE", "waits", "doomed"))
    rig.witness.release("doomed")
    wait_until("the run is over", lambda: rig.postgres.query(
        "SELECT r.state FROM result r JOIN job j ON j.id = r.job_id WHERE j.kind = 2 AND r.state = 3"), 20)
    wait_until("nothing is left", lambda: rig.postgres.query(
        "SELECT count(*) FROM sync WHERE variant LIKE 'doomed%'") == [["0"]], 20)
    assert records(rig, "Wait", variant="doomed") == []


@test
def variants_are_refused_in_the_form_of_the_wire(rig):
    for method in ("POST", "DELETE"):
        refused(variant(rig, method, "items", "base"), "invalid_variant")
        refused(variant(rig, method, "items", "mine", "nobody"), "unknown_connection")
        refused(variant(rig, method, "items", "a%20b"), "invalid_uri_params", ["variant"])
        refused(variant(rig, method, "a.b", "mine"), "invalid_uri_params", ["name"])
        refused(variant(rig, method, "items", "x" * 256), "invalid_uri_params", ["variant"])
        refused(variant(rig, method, "items", "mine", extra=1), "invalid_body")
        refused(variant(rig, method, "items", "mine", None), "invalid_body", ["connection_id"])
        refused(variant(rig, method, "items", "mine", integration=None), "invalid_body", ["provider_config_key"])
    refused(variant(rig, "POST", "items", "mine"), "sync_variant_already_exists")
    refused(variant(rig, "POST", "nosuch", "mine"), "unknown_sync")
    refused(variant(rig, "POST", "start", "mine"), "unknown_sync")
    refused(variant(rig, "POST", "items", "mine", integration="nosuch"), "unknown_provider_config")
    refused(variant(rig, "DELETE", "items", "mine", integration="nosuch"), "unknown_connection")
    refused(variant(rig, "DELETE", "nosuch", "mine"), "not_found", status=404)
    refused(variant(rig, "DELETE", "items", "nosuch"), "not_found", status=404)


@test
def a_sync_has_a_hundred_variants_per_connection(rig):
    for n in range(100):
        answer = variant(rig, "POST", "five", f"v{n}", "d")
        assert answer.status == 200, answer
    refused(variant(rig, "POST", "five", "v100", "d"), "resource_capped")
    assert variant(rig, "POST", "five", "v100").status == 200
    assert len(status(rig, "*", "d")) == 105
    done(variant(rig, "DELETE", "five", "v7", "d"))
    assert variant(rig, "POST", "five", "v100", "d").status == 200


# ---- functions

@test
def a_function_starts_and_triggers_syncs(rig):
    pause(rig, [], None)
    assert rig.call("start", {"syncs": ["items", {"name": "items", "variant": "mine"}], "connection": "c"}).json == {"value": None}
    assert [e["status"] for e in status(rig, "items,items::mine")] == ["SUCCESS"] * 2
    assert one(rig, "items", "d")["status"] == "PAUSED"
    assert rig.call("start", {"syncs": ["items"]}).json == {"value": None}
    assert one(rig, "items", "d")["status"] == "SUCCESS"
    pause(rig, [], None)
    for sync in ("items::mine", {"name": "items", "variant": "mine"}):
        before = one(rig, "items::mine").get("finishedAt")
        assert rig.call("trigger", {"connection": "c", "sync": sync, "mode": True}).json == {"value": None}
        assert ended(rig, "items::mine", since=before)["status"] == "PAUSED"
    assert records(rig, "Item", variant="mine") == ["mine"]


@test
def what_a_function_may_not_start_is_refused_as_by_the_api(rig):
    def failed(action, value, status, code):
        got = rig.call(action, value).json
        assert (got.get("status"), got.get("code")) == (status, code), got
    failed("start", {"syncs": ["nosuch"], "connection": "c"}, 400, "no_syncs_found")
    failed("start", {"syncs": ["items"], "connection": "nobody"}, 404, "unknown_connection")
    failed("start", {"syncs": ["items"], "key": "nosuch"}, 400, "unknown_provider_config")
    failed("start", {"syncs": "items"}, 400, "invalid_body")
    failed("start", {"syncs": ["a b"]}, 400, "invalid_body")
    failed("start", {"syncs": ["items"] * 257}, 400, "invalid_body")
    failed("trigger", {"connection": "c", "sync": "items::nosuch"}, 400, "no_syncs_found")
    failed("trigger", {"sync": "items"}, 400, "invalid_body")


# ---- many

@test
def many_connections_are_shown_and_steered_in_one_order(rig):
    rig.integration("fleet")
    rig.postgres.query("INSERT INTO connection (environment_id, integration_id, connection_id, credentials, seal_row,"
                       " connection_config, metadata, tags, end_user, webhook_url_override)"
                       " SELECT environment_id, (SELECT id FROM integration WHERE unique_key = 'fleet'), 'c' || n, credentials,"
                       " seal_row, connection_config, metadata, tags, end_user, webhook_url_override"
                       " FROM connection, generate_series(1, 300) n WHERE connection_id = 'd'")
    flow = flows.sync("fleet", "", integration="fleet", models=["Fleet"])
    assert rig.deploy_flows([flow]).status == 200

    def ask(names="*"):
        answer = rig.request("GET", f"/sync/status?provider_config_key=fleet&syncs={names}")
        assert answer.status == 200, answer
        return answer.json["syncs"]
    entries = ask()
    assert [e["connection_id"] for e in entries] == [f"c{n}" for n in range(1, 301)], len(entries)
    assert {e["status"] for e in entries} == {"PAUSED"}
    assert ask("nosuch") == []
    body = {"syncs": ["fleet"], "provider_config_key": "fleet"}
    done(rig.request("POST", "/sync/start", body))
    assert {e["status"] for e in ask()} == {"SUCCESS"}
    answer = rig.request("POST", "/sync/trigger", body)
    done(answer)
    assert answer.headers["x-sluice-started"] == "300", answer
    done(rig.request("POST", "/sync/pause", body))
    wait_until("all have run", lambda: {(e["status"], e.get("latestExecutionStatus")) for e in ask()} == {("PAUSED", "SUCCESS")}, 60)


@test
def status_answers_while_functions_and_connections_come(rig):
    rig.integration("coming")
    stop, bad, seen = threading.Event(), [], set()

    def ask():
        while not stop.is_set():
            answer = rig.request("GET", "/sync/status?provider_config_key=coming&syncs=*")
            if answer.status != 200:
                bad.append(answer)
                return
            seen.update((e["connection_id"], e["name"]) for e in answer.json["syncs"])
    asker = threading.Thread(target=ask)
    asker.start()
    try:
        for n in range(5):
            rig.connection(f"c{n}", "coming")
            assert rig.deploy_flows([flows.sync(f"s{n}", "", integration="coming", models=["Coming"])]).status == 200
        wait_until("all are seen", lambda: bad or len(seen) == 25, 20)
    finally:
        stop.set()
        asker.join(20)
    assert not bad, bad


# ---- keys

@test
def each_endpoint_has_a_scope_of_its_own(rig):
    asks = {"execute": [("POST", "/sync/start"), ("POST", "/sync/pause"), ("POST", "/sync/trigger")],
            "read": [("GET", "/sync/status")], "update": [("PUT", "/sync/update-connection-frequency")],
            "variant:create": [("POST", "/sync/a/variant/b")], "variant:delete": [("DELETE", "/sync/a/variant/b")]}
    environment = int(rig.postgres.query("SELECT id FROM environment WHERE name = 'dev'")[0][0])
    for scope in asks:
        made = rig.request("POST", "/environment/api-keys", {"environment_id": environment, "display_name": scope},
                           key=rig.keys["SLUICE_ACCOUNT_KEY"]).json["data"]
        rig.postgres.query(f"UPDATE api_key SET scopes = 'environment:syncs:{scope}' WHERE id = {int(made['id'])}")
        for name, calls in asks.items():
            for method, path in calls:
                answer = rig.request(method, path, None if method == "GET" else {}, key=made["secret"])
                assert answer.status == (400 if name == scope else 403), (scope, method, path, answer)


main(lambda: Rig(prepare=prepare))
