"""Runs of syncs: what they are given, records they save, and what is left when they end."""
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, wait_until
from tap import main, test

SAY = "const caught = async (f) => { try { return { value: await f() } } catch (e) { return { message: e.message, code: e.code } } };" \
      "const all = async (model, options) => { const out = []; for await (const r of nango.listRecords(model, options)) out.push(r); return out; };"
ACTIONS = {"go": "await nango.triggerSync('w', input.connection, input.sync, input.options); return 'asked';"}


def sync_flow(name, code, models=("Item",), webhook=None, **more):
    """A sync; what code returns is sent to /ok/NAME."""
    hook = f"onWebhook: async (nango, payload) => {{ {SAY} {webhook} }}," if webhook else ""
    script = ('"use strict";\nmodule.exports = { default: { type: "sync", description: "test", frequency: "every hour", models: {},'
              + hook + " exec: async (nango) => {" + SAY + "\nconst out = await (async () => {" + code
              + "\n})(); await nango.post({ endpoint: '/ok/" + name + "', data: { out } }); } } };\n")
    flow = Rig.flow(name, script)
    del flow["input"]
    return {**flow, "type": "sync", "models": list(models), "runs": "every hour", "sync_type": "full", "auto_start": False,
            "models_json_schema": {"definitions": {model: {"type": "object"} for model in models}}, **more}


def deploy(rig, *flows):
    done = rig.deploy_flows(list(flows))
    assert done.status == 200, done


def go(rig, name, connection=None, options=None, wait=True):
    """Starts the sync and returns what it said."""
    connection = connection or name
    if connection not in rig.connections:
        rig.connection(connection)
        rig.connections.add(connection)
    before = len(rig.witness.seen(f"/ok/{name.split('::')[0]}"))
    answer = rig.call("go", {"connection": connection, "sync": name, "options": options})
    assert answer.json == "asked", answer
    if not wait:
        return None
    call = rig.witness.wait_seen(f"/ok/{name.split('::')[0]}", before + 1)[-1]
    wait_until("the run is settled", lambda: not open_jobs(rig), 10)
    return json.loads(call.body).get("out")


def open_jobs(rig):
    return rig.postgres.query("SELECT j.id FROM job j LEFT JOIN result r ON r.job_id = j.id WHERE j.kind = 2 AND r.job_id IS NULL")


def run(rig, name, code, **more):
    """Deploys a sync and runs it once."""
    options = more.pop("options", None)
    connection = more.pop("connection", None)
    deploy(rig, sync_flow(name, code, **more))
    return go(rig, name, connection, options)


def result(rig, name):
    rows = rig.postgres.query("SELECT s.last_state, s.last_result FROM sync s JOIN function f ON f.id = s.function_id"
                              f" WHERE f.name = '{name}' AND s.job_id IS NOT NULL")
    assert len(rows) == 1, rows
    return int(rows[0][0]), json.loads(rows[0][1])


def shown(records):
    """{id: [last action, record without metadata]}"""
    return {r["id"]: [r["_nango_metadata"]["last_action"], {k: v for k, v in r.items() if k != "_nango_metadata"}] for r in records}


@test
def a_sync_sees_itself(rig):
    code = "return { keys: Object.keys(nango), syncId: nango.syncId, type: nango.scriptType, variant: nango.variant," \
           " last: nango.lastSyncDate === undefined ? null : nango.lastSyncDate.toISOString(), track: nango.track_deletes," \
           " empty: nango.emptyCache, job: nango.activityLogId };"
    first = run(rig, "self", code)
    assert first["keys"][-4:] == ["variant", "lastSyncDate", "track_deletes", "emptyCache"] and "ActionError" in first["keys"], first
    assert first["type"] == "sync" and first["variant"] == "base" and first["last"] is None and first["track"] is False, first
    assert first["syncId"] == rig.postgres.query("SELECT uuid FROM sync s JOIN function f ON f.id = s.function_id WHERE f.name = 'self'"
                                               " AND s.job_id IS NOT NULL")[0][0]
    second = go(rig, "self")
    assert second["last"] is not None and second["job"] != first["job"], second
    assert rig.postgres.query(f"SELECT state, convert_from(output, 'UTF8') FROM result WHERE job_id = '{first['job']}'") == [["1", "true"]]


@test
def saved_records_are_added_then_unchanged_then_updated(rig):
    code = "const v = (await nango.getCheckpoint() || { n: 0 }).n; await nango.saveCheckpoint({ n: v + 1 });" \
           "await nango.batchSave([{ id: '1', a: 1 }, { id: 2, a: v === 2 ? 'new' : 1, _nango_metadata: { x: 1 } }, { id: '1', a: 'twice' }], 'Item');" \
           "return all('Item');"
    got = shown(run(rig, "saves", code))
    assert got == {"1": ["ADDED", {"id": "1", "a": 1}], "2": ["ADDED", {"id": "2", "a": 1}]}, got
    assert result(rig, "saves") == (1, {"Item": {"added": 2, "updated": 0, "deleted": 0}})
    assert "record_twice" in rig.nodes[0].log()
    go(rig, "saves")
    assert result(rig, "saves") == (1, {"Item": {"added": 0, "updated": 0, "deleted": 0}})
    got = shown(go(rig, "saves"))
    assert got["2"] == ["UPDATED", {"id": "2", "a": "new"}] and result(rig, "saves")[1]["Item"]["updated"] == 1, got


@test
def payloads_are_sealed(rig):
    run(rig, "sealed", "await nango.batchSave([{ id: '1', secret: 'find-me' + '-not' }], 'Item');")
    assert b"find-me-not" not in rig.postgres.dump()


@test
def an_update_merges_deeply_into_what_is_there(rig):
    code = "await nango.batchSave([{ id: '1', o: { a: 1, b: { c: 1, d: 1 } }, l: [1, 2] }, { id: '2', x: 1 }], 'Item');" \
           "const ok = await nango.batchUpdate([{ id: '1', o: { b: { d: 2 } }, l: [3], n: null }, { id: 'unknown', x: 1 }], 'Item');" \
           "return { ok, all: await all('Item') };"
    got = run(rig, "updates", code)
    assert got["ok"] is True and shown(got["all"]) == {
        "1": ["UPDATED", {"id": "1", "o": {"a": 1, "b": {"c": 1, "d": 2}}, "l": [3], "n": None}], "2": ["ADDED", {"id": "2", "x": 1}]}, got
    assert result(rig, "updates")[1] == {"Item": {"added": 2, "updated": 1, "deleted": 0}}


@test
def a_delete_keeps_the_given_payload_and_counts_known_ids(rig):
    code = "await nango.batchSave([{ id: '1', a: 1 }, { id: '2' }], 'Item');" \
           "await nango.batchDelete([{ id: '1' }, { id: 'never', deletedAt: '2020-01-02T03:04:05Z' }], 'Item'); return all('Item');"
    records = run(rig, "deletes", code)
    got = shown(records)
    assert got["1"] == ["DELETED", {"id": "1"}] and got["2"][0] == "ADDED" and got["never"][0] == "DELETED", got
    at = {r["id"]: r["_nango_metadata"]["deleted_at"] for r in records}
    assert at["2"] is None and at["never"] == "2020-01-02T03:04:05.000000+00:00", at
    assert result(rig, "deletes")[1] == {"Item": {"added": 2, "updated": 0, "deleted": 1}}


@test
def more_than_a_chunk_is_saved_and_listed_in_pages(rig):
    code = "const many = []; for (let i = 0; i < 2050; i++) many.push({ id: i, n: i }); const ok = await nango.batchSave(many, 'Item');" \
           "const empty = await nango.batchSave([], 'Item') && await nango.batchSave(null, 'Item') && await nango.batchDelete(undefined, 'Item'); const seen = new Set(); let cursor;" \
           "for (const r of await all('Item')) { seen.add(r.id); if (seen.size === 2000) cursor = r._nango_metadata.cursor; }" \
           "const byIds = await nango.getRecordsByIds([0, 1, '2', 'none', 2049], 'Item');" \
           "return { ok, empty, seen: seen.size, rest: (await all('Item', { cursor })).length," \
           " ids: [...byIds.keys()], n: byIds.get(2049).n };"
    got = run(rig, "many", code)
    assert got == {"ok": True, "empty": True, "seen": 2050, "rest": 50, "ids": [0, 1, "2", 2049], "n": 2049}, got


@test
def a_large_batch_is_taken_as_a_whole_or_refused_as_a_whole(rig):
    code = "const many = (n) => { const out = []; for (let i = 0; i < n; i++) out.push({ id: String(i), n: i }); return out; };" \
           "const bad = many(1000); bad[999] = { id: null }; const first = await caught(() => nango.batchSave(bad, 'Item'));" \
           "const none = (await all('Item')).length; const twice = many(900); twice[800] = { id: '5', n: 'second' };" \
           "await nango.batchSave(twice, 'Item'); const five = (await nango.getRecordsByIds(['5'], 'Item')).get('5').n;" \
           "await nango.batchSave(many(1000), 'Item'); return { message: first.message, none, five, kept: (await all('Item')).length };"
    got = run(rig, "whole", code)
    assert "index 999" in got["message"] and got["none"] == 0 and got["five"] == 5 and got["kept"] == 1000, got
    assert result(rig, "whole")[1] == {"Item": {"added": 1000, "updated": 0, "deleted": 0}}


@test
def bad_records_and_models_throw_and_name_what_is_wrong(rig):
    code = "const out = []; for (const [list, model] of [[[{ id: '1' }], 'Other'], [[{ a: 1 }], 'Item'], [[{ id: 'x' }, { id: null }], 'Item']," \
           " [[{ id: '' }], 'Item'], [[{ id: 'x'.repeat(256) }], 'Item'], [[7], 'Item'], ['no', 'Item']])" \
           " out.push((await caught(() => nango.batchSave(list, model))).message);" \
           "out.push((await caught(() => nango.trackDeletesEnd('Item'))).message);" \
           "out.push((await caught(() => all('Item', { cursor: 'bad' }))).message); return { out, kept: await all('Item') };"
    got = run(rig, "bad", code)
    words = ["Other", "index 0", "index 1", "index 0", "index 0", "index 0", "list", "trackDeletesStart", "cursor"]
    assert got["kept"] == [], got
    for word, message in zip(words, got["out"]):
        assert message and word in message, (word, message)


@test
def an_uncaught_bad_record_fails_the_run_as_script_internal_error(rig):
    deploy(rig, sync_flow("uncaught", "await nango.batchSave([{ a: 1 }], 'Item');"))
    go(rig, "uncaught", wait=False)
    wait_until("it failed", lambda: rig.postgres.query("SELECT 1 FROM sync s JOIN function f ON f.id = s.function_id"
                                                       " WHERE f.name = 'uncaught' AND s.last_state = 2"), 10)
    output = rig.postgres.query("SELECT convert_from(r.output, 'UTF8') FROM result r JOIN sync s ON s.job_id = r.job_id JOIN function f ON f.id = s.function_id"
                                " WHERE f.name = 'uncaught'")[0][0]
    assert '"code":"script_internal_error"' in output and "index 0" in output, output
    assert rig.postgres.query("SELECT s.last_success IS NULL FROM sync s JOIN function f ON f.id = s.function_id"
                              " WHERE f.name = 'uncaught' AND s.job_id IS NOT NULL") == [["t"]]


@test
def tracked_deletes_survive_runs(rig):
    code = "const n = (await nango.getCheckpoint() || { n: 0 }).n; await nango.saveCheckpoint({ n: n + 1 });" \
           "if (n === 0) { await nango.batchSave([{ id: '1', a: 1 }, { id: '2' }, { id: '3' }], 'Item'); }" \
           "if (n === 1) { await nango.trackDeletesStart('Item'); await nango.batchSave([{ id: '2' }], 'Item'); }" \
           "if (n === 2) { await nango.trackDeletesStart('Item'); await nango.batchSave([{ id: '3' }], 'Item'); return nango.trackDeletesEnd('Item'); }" \
           "return all('Item');"
    run(rig, "tracks", code)
    go(rig, "tracks")
    assert go(rig, "tracks") == {"deletedKeys": ["1"]}
    assert result(rig, "tracks")[1] == {"Item": {"added": 0, "updated": 0, "deleted": 1}}
    assert shown(go(rig, "tracks"))["1"] == ["DELETED", {"id": "1", "a": 1}], "its payload is kept"


@test
def records_of_previous_runs_are_deleted_on_request(rig):
    code = "const first = await nango.getCheckpoint() === null; await nango.saveCheckpoint({ n: 1 });" \
           "await nango.batchSave(first ? [{ id: '1' }, { id: '2' }] : [{ id: '2' }], 'Item');" \
           "return nango.deleteRecordsFromPreviousExecutions('Item');"
    assert run(rig, "previous", code) == {"deletedKeys": []}
    assert go(rig, "previous") == {"deletedKeys": ["1"]}


@test
def a_definition_with_track_deletes_deletes_the_unseen_after_each_good_run(rig):
    code = "const n = (await nango.getCheckpoint() || { n: 0 }).n; await nango.saveCheckpoint({ n: n + 1 }); const before = await all('Item');" \
           "await nango.batchSave(n === 0 ? [{ id: '1' }, { id: '2' }] : [{ id: '2' }], 'Item'); return { before, track: nango.track_deletes };"
    run(rig, "auto", code, track_deletes=True)
    assert result(rig, "auto")[1]["Item"]["deleted"] == 0
    second = go(rig, "auto")
    assert second["track"] is True and result(rig, "auto") == (1, {"Item": {"added": 0, "updated": 0, "deleted": 1}}), second
    assert shown(go(rig, "auto")["before"])["1"][0] == "DELETED"


@test
def effects_that_nobody_waited_for_are_dropped_before_the_unseen_are_deleted(rig):
    # Saves that wait for the first word of the ledger when the function returns.
    script = ('"use strict";\nmodule.exports = { default: { type: "sync", description: "test", frequency: "every hour", models: {},'
              " exec: async (nango) => { for (let i = 0; i < 40; i++) nango.batchSave([{ id: 'n' + i }], 'Item'); } } };\n")
    deploy(rig, {**sync_flow("hasty", "", track_deletes=True), "fileBody": {"js": script, "ts": "export default {};"}})
    for times in range(1, 6):
        rig.connection(f"hasty{times}")
        assert rig.call("go", {"connection": f"hasty{times}", "sync": "hasty"}).json == "asked"
    wait_until("the runs are settled", lambda: not open_jobs(rig), 20)
    assert rig.postgres.query("SELECT count(*), min(s.last_state), max(s.last_state) FROM sync s JOIN function f ON f.id = s.function_id"
                              " WHERE f.name = 'hasty' AND s.job_id IS NOT NULL") == [["5", "1", "1"]]
    assert rig.nodes[0].process.poll() is None


@test
def unseen_records_are_deleted_although_postgres_was_away_at_the_end(rig):
    code = "const n = (await nango.getCheckpoint() || { n: 0 }).n; await nango.saveCheckpoint({ n: n + 1 });" \
           "await nango.batchSave(n === 0 ? [{ id: '1' }, { id: '2' }] : [{ id: '2' }], 'Item'); if (n === 1) await nango.get({ endpoint: '/hang/unseen' });"
    run(rig, "unseen", code, track_deletes=True)
    go(rig, "unseen", wait=False)
    rig.witness.wait_seen("/hang/unseen")
    # Who holds the model's lock keeps the delete waiting; then its connection is cut.
    key = "hashtextextended('Item', (SELECT id FROM connection WHERE connection_id = 'unseen'))"
    waits = "FROM pg_stat_activity WHERE wait_event = 'advisory' AND query LIKE '%pg_advisory_xact_lock%'"
    holder = threading.Thread(target=rig.postgres.query, args=(f"SELECT pg_advisory_lock({key}), pg_sleep(4)",))
    holder.start()
    wait_until("the lock is held", lambda: rig.postgres.query("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"), 5)
    rig.witness.release("unseen")
    wait_until("the delete waits", lambda: rig.postgres.query(f"SELECT 1 {waits}"), 5)
    assert rig.postgres.query(f"SELECT pg_terminate_backend(pid) {waits}") == [["t"]]
    holder.join()
    wait_until("the run is settled", lambda: not open_jobs(rig), 20)
    assert result(rig, "unseen") == (1, {"Item": {"added": 0, "updated": 0, "deleted": 1}}), result(rig, "unseen")


@test
def a_careful_strategy_leaves_what_others_changed_alone(rig):
    code = "await nango.batchSave([{ id: '1', a: 'old' }, { id: '2', a: 'old' }], 'Item');" \
           "return 1;"
    run(rig, "careful", code)
    code = "await nango.setMergingStrategy({ strategy: 'ignore_if_modified_after' }, 'Item');" \
           "await nango.setMergingStrategy({ strategy: 'override' }, 'Item');" \
           "await nango.get({ endpoint: '/hang/careful' });" \
           "await nango.batchSave([{ id: '1', a: 'mine' }, { id: '2', a: 'mine' }], 'Item');" \
           "await nango.batchSave([{ id: '2', a: 'again' }], 'Item'); return all('Item');"
    deploy(rig, sync_flow("careful", code))
    go(rig, "careful", wait=False)
    rig.witness.wait_seen("/hang/careful")
    rig.postgres.query("UPDATE record SET last_modified = now() WHERE id = '1' AND connection_id ="
                       " (SELECT id FROM connection WHERE connection_id = 'careful')")
    rig.witness.release("careful")
    got = shown(json.loads(rig.witness.wait_seen("/ok/careful", 2)[-1].body)["out"])
    assert got["1"][1]["a"] == "old" and got["2"][1]["a"] == "again", got
    assert "merging_strategy_kept" in rig.nodes[0].log()


@test
def a_variant_has_records_and_a_checkpoint_of_its_own(rig):
    code = "const was = await nango.getCheckpoint(); await nango.saveCheckpoint({ v: nango.variant });" \
           "await nango.batchSave([{ id: nango.variant }], 'Item'); return { was, variant: nango.variant, ids: (await all('Item')).map((r) => r.id) };"
    assert run(rig, "variants", code) == {"was": None, "variant": "base", "ids": ["base"]}
    answer = rig.request("POST", "/sync/variants/variant/mine", {"provider_config_key": "w", "connection_id": "variants"})
    assert answer.status == 200, answer
    assert go(rig, "variants::mine", "variants") == {"was": None, "variant": "mine", "ids": ["mine"]}
    assert rig.postgres.query("SELECT DISTINCT model FROM record WHERE connection_id = (SELECT id FROM connection"
                              " WHERE connection_id = 'variants') ORDER BY 1") == [["Item"], ["Item::mine"]]


@test
def a_reset_forgets_and_an_emptied_cache_is_empty(rig):
    code = "const was = await nango.getCheckpoint(); await nango.saveCheckpoint({ n: 1 }); const before = (await all('Item')).length;" \
           "await nango.batchSave([{ id: String(before) }], 'Item');" \
           "return { was, before, last: nango.lastSyncDate === undefined, empty: nango.emptyCache };"
    assert run(rig, "reset", code) == {"was": None, "before": 0, "last": True, "empty": False}
    assert go(rig, "reset") == {"was": {"n": 1}, "before": 1, "last": False, "empty": False}
    assert go(rig, "reset", options={"emptyCache": True})["before"] == 2, "without a reset the cache stays"
    assert go(rig, "reset", options={"reset": True}) == {"was": None, "before": 3, "last": True, "empty": False}
    assert go(rig, "reset", options={"reset": True, "emptyCache": True}) == {"was": None, "before": 0, "last": True, "empty": True}
    assert go(rig, "reset", options="full_refresh_and_clear_cache")["empty"] is True
    assert go(rig, "reset", options="full_refresh")["last"] is True
    assert go(rig, "reset", options="incremental")["last"] is False


@test
def a_sync_that_runs_is_not_started_twice(rig):
    deploy(rig, sync_flow("once", "await nango.get({ endpoint: '/hang/once' }); return 1;"))
    go(rig, "once", wait=False)
    rig.witness.wait_seen("/hang/once")
    go(rig, "once", wait=False)
    go(rig, "once", wait=False)
    rig.witness.release("once")
    rig.witness.wait_seen("/ok/once")
    wait_until("the run is settled", lambda: not open_jobs(rig), 10)
    assert len(rig.witness.seen("/hang/once")) == 1 and len(rig.witness.seen("/ok/once")) == 1
    go(rig, "once")


@test
def a_conflict_of_checkpoints_fails_the_later_writer(rig):
    deploy(rig, sync_flow("stale", "await nango.getCheckpoint(); await nango.get({ endpoint: '/hang/stale' });"
                                   "return caught(() => nango.saveCheckpoint({ mine: 1 }));"))
    go(rig, "stale", wait=False)
    rig.witness.wait_seen("/hang/stale")
    rig.postgres.query("INSERT INTO checkpoint SELECT s.connection_id, s.function_id, s.variant, 1, '{}' FROM sync s"
                       " JOIN function f ON f.id = s.function_id WHERE f.name = 'stale'")
    rig.witness.release("stale")
    assert json.loads(rig.witness.wait_seen("/ok/stale")[0].body)["out"]["code"] == "checkpoint_conflict"


@test(seconds=90)
def a_run_whose_session_has_ended_writes_nothing(rig):
    code = "await nango.batchSave([{ id: 'before' }], 'Item'); await nango.get({ endpoint: '/hang/fence' });" \
           "const out = [await caught(() => nango.batchSave([{ id: 'after' }], 'Item'))," \
           " await caught(() => nango.batchUpdate([{ id: 'before', x: 1 }], 'Item'))," \
           " await caught(() => nango.batchDelete([{ id: 'before' }], 'Item'))," \
           " await caught(() => nango.trackDeletesStart('Item')), await caught(() => nango.saveCheckpoint({ n: 1 }))]; return out;"
    deploy(rig, sync_flow("fence", code))
    go(rig, "fence", wait=False)
    rig.witness.wait_seen("/hang/fence")
    # The scheduler of another node would do this when the worker stood still for too long, and resolve its attempts.
    rig.postgres.query("UPDATE session SET live = false")
    rig.witness.release("fence")
    out = json.loads(rig.witness.wait_seen("/ok/fence", 1, 20)[0].body)["out"]
    assert [each.get("code") for each in out] == ["script_aborted"] * 5, out
    assert rig.postgres.query("SELECT id, last_action FROM record WHERE connection_id = (SELECT id FROM connection"
                              " WHERE connection_id = 'fence')") == [["before", "1"]]
    assert rig.postgres.query("SELECT count(*) FROM checkpoint c JOIN function f ON f.id = c.function_id WHERE f.name = 'fence'") == [["0"]]
    assert rig.postgres.query("SELECT count(*) FROM track_window w JOIN sync s ON s.id = w.sync_id JOIN function f"
                              " ON f.id = s.function_id WHERE f.name = 'fence'") == [["0"]]
    rig.postgres.query("DELETE FROM attempt")
    out = json.loads(rig.witness.wait_seen("/ok/fence", 2, 20)[1].body)["out"]
    assert [each.get("value") for each in out[:3]] == [True, True, True], "the next session may write"
    wait_until("the run is settled", lambda: not open_jobs(rig), 10)


@test(seconds=90)
def a_run_does_not_see_that_postgres_was_away(rig):
    code = "await nango.batchSave([{ id: '1', a: { b: 1 } }], 'Item'); await nango.get({ endpoint: '/hang/away' });" \
           "return Promise.all([caught(() => nango.batchSave([{ id: '2' }], 'Item')), caught(() => nango.batchUpdate([{ id: '1', a: { c: 1 } }], 'Item'))," \
           " caught(() => nango.saveCheckpoint({ n: 1 })), caught(() => nango.saveCheckpoint({ n: 2 }))," \
           " caught(async () => (await nango.getRecordsByIds(['1'], 'Item')).size), caught(() => nango.getCheckpoint())]);"
    deploy(rig, sync_flow("away", code))
    go(rig, "away", wait=False)
    rig.witness.wait_seen("/hang/away")
    rig.postgres.stop()
    rig.witness.release("away")
    time.sleep(3)
    rig.postgres.start()
    out = json.loads(rig.witness.wait_seen("/ok/away", 1, 40)[0].body)["out"]
    assert out == [{"value": True}, {"value": True}, {}, {}, {"value": 1}, {"value": {"n": 2}}], out
    wait_until("the run is settled", lambda: not open_jobs(rig), 20)
    rows = rig.postgres.query("SELECT id FROM record WHERE connection_id = (SELECT id FROM connection WHERE connection_id = 'away') ORDER BY 1")
    assert rows == [["1"], ["2"]], rows


@test
def a_sync_ends_with_its_time(rig):
    deploy(rig, sync_flow("endless", "await new Promise((done) => setTimeout(done, 60000));"))
    go(rig, "endless", wait=False)
    began = time.monotonic()
    wait_until("it failed", lambda: rig.postgres.query("SELECT 1 FROM sync s JOIN function f ON f.id = s.function_id"
                                                       " WHERE f.name = 'endless' AND s.last_state = 2"), 30)
    assert time.monotonic() - began < 25


@test
def a_webhook_run_gets_its_payload_and_saves(rig):
    hook = "await nango.batchSave([payload], 'Item'); await nango.post({ endpoint: '/ok/hooked'," \
           " data: { payload, type: nango.scriptType, syncId: nango.syncId } });"
    run(rig, "hook", "return 1;", webhook=hook)
    row = rig.postgres.query("SELECT s.id, s.uuid, s.key_id, s.connection_id, s.environment_id, v.id FROM sync s JOIN function f ON f.id ="
                             " s.function_id JOIN function_version v ON v.function_id = f.id WHERE f.name = 'hook' AND s.job_id IS NOT NULL ORDER BY v.id DESC LIMIT 1")[0]
    values = {"id": "'0197a000-0000-7000-8000-000000000001'", "environment_id": row[4], "key_id": row[2], "function_version_id": row[5],
              "connection_id": row[3], "kind": "3", "max_retries": "0", "webhook": "false",
              "input": "'{\"sync\":%s,\"payload\":{\"id\":\"w1\",\"n\":1}}'" % row[0]}
    rig.postgres.query(f"INSERT INTO job ({', '.join(values)}) VALUES ({', '.join(values.values())})")  # the sweep finds it
    got = json.loads(rig.witness.wait_seen("/ok/hooked", 1, 40)[0].body)
    assert got == {"payload": {"id": "w1", "n": 1}, "type": "webhook", "syncId": row[1]}, got


@test
def an_event_function_runs_without_records(rig):
    script = ('module.exports = { default: { type: "onEvent", description: "test", event: "post-connection-creation",'
              ' exec: async (nango) => { await nango.setMetadata({ seen: true }); await nango.saveCheckpoint({ n: 1 });'
              ' await nango.post({ endpoint: "/ok/event", data: { type: nango.scriptType, save: typeof nango.batchSave,'
              ' keys: Object.keys(nango).length, checkpoint: await nango.getCheckpoint() } }); } } };')
    done = rig.deploy_flows([], onEventScriptsByProvider=[{"providerConfigKey": "w", "scripts": [
        {"name": "created", "event": "post-connection-creation", "fileBody": {"js": script, "ts": "export default {};"}}]}])
    assert done.status == 200, done
    row = rig.postgres.query("SELECT v.id, e.id, (SELECT min(id) FROM concurrency_key WHERE environment_id = e.id), c.id FROM function f JOIN function_version v ON v.function_id = f.id,"
                             " environment e, connection c WHERE f.name = 'created' AND e.name = 'dev' AND c.connection_id = 'c'")[0]
    rig.postgres.query("INSERT INTO job (id, environment_id, key_id, function_version_id, connection_id, kind, max_retries, webhook, input)"
                       f" VALUES ('0197a000-0000-7000-8000-000000000002', {row[1]}, {row[2]}, {row[0]}, {row[3]}, 4, 0, false, '')")
    got = json.loads(rig.witness.wait_seen("/ok/event", 1, 40)[0].body)
    assert got == {"type": "on-event", "save": "undefined", "keys": 16, "checkpoint": {"n": 1}}, got


def prepare(rig):
    rig.connections = set()
    rig.prepare(ACTIONS)


main(lambda: Rig(prepare=prepare, settings={"sync_timeout": "15s"}))
