"""Triggering syncs and reading their status: requests, every refusal, one run at a time, resets."""
import os
import sys
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import flows
from rig import Rig, wait_until
from tap import main, test

ITEMS = "await nango.batchSave([{ id: '1', n: 1 }, { id: '2', n: 2 }], 'Item');"
FUNCTIONS = [
    flows.sync("items", ITEMS),
    flows.sync("broken", "throw new Error('boom');", models=["Broken"]),
    flows.sync("waits", "await nango.get({ endpoint: '/hang/sync', retries: 0 });", models=["Wait"]),
    Rig.flow("reset_ticks", '"use strict";\nmodule.exports = { default: { type: "action", description: "test",'
             " exec: async (nango) => { await nango.triggerSync('w', 'busy', 'ticks', { reset: true }); return 'asked'; } } };\n"),
    flows.sync("ticks", """
        for (let n = 1; n <= 20; n++) {
            await nango.saveCheckpoint({ n });
            await new Promise((done) => setTimeout(done, 150));
        }
        """, models=["Tick"]),
    flows.sync("counts", """
        const saved = await nango.getCheckpoint();
        const n = saved ? saved.n + 1 : 1;
        await nango.batchSave([{ id: 'run-' + n }], 'Count');
        await nango.saveCheckpoint({ n });
    """, models=["Count"], features=["checkpoints"]),
]


def prepare(rig):
    rig.integration()
    rig.integration("bare")
    for name in ("c", "d", "busy"):
        rig.connection(name)
    rig.connection("alone", integration="bare")
    done = rig.deploy_flows(FUNCTIONS)
    assert done.status == 200, done


def trigger(rig, syncs, connection="c", integration="w", headers=None, **more):
    body = {"syncs": syncs, **more}
    if connection is not None:
        body["connection_id"] = connection
    if integration is not None:
        body["provider_config_key"] = integration
    return rig.request("POST", "/sync/trigger", body, headers)


def started(answer):
    assert answer.status == 200 and answer.json == {"success": True}, answer
    return int(answer.headers["x-sluice-started"])


def status(rig, syncs="*", connection="c", integration="w", **more):
    query = f"syncs={syncs}&provider_config_key={integration}"
    if connection is not None:
        query += f"&connection_id={connection}"
    answer = rig.request("GET", f"/sync/status?{query}", **more)
    assert answer.status == 200, answer
    return answer.json["syncs"]


def one(rig, sync, connection="c"):
    [entry] = status(rig, sync, connection)
    return entry


def run(rig, sync, connection="c", **more):
    """Triggers one sync and waits for its end; its status entry."""
    assert started(trigger(rig, [sync], connection, **more)) == 1
    return wait_until(f"{sync} ends", lambda: (lambda e: e if e["status"] != "RUNNING" else None)(one(rig, sync, connection)), 30)


def good(entry):
    """Has the newest run ended well?  These syncs are paused: autoStart is false."""
    return entry["status"] == "PAUSED" and entry["latestExecutionStatus"] == "SUCCESS"


def refused(answer, code, path=None, status=400):
    assert answer.status == status and answer.code == code, answer
    if path is not None:
        assert answer.json["error"]["errors"][0]["path"] == path, answer


def records(rig, model, connection="c"):
    answer = rig.request("GET", f"/records?model={model}", headers={"Connection-Id": connection, "Provider-Config-Key": "w"})
    assert answer.status == 200, answer
    return [record["id"] for record in answer.json["records"]]


# ---- trigger

@test
def a_sync_that_never_ran_has_no_run_to_report(rig):
    entry = one(rig, "items", "d")
    assert uuid.UUID(entry.pop("id"))
    assert entry == {"connection_id": "d", "type": "INITIAL", "nextScheduledSyncAt": None, "name": "items",
                     "variant": "base", "status": "PAUSED", "frequency": "every hour", "recordCount": {"Item": 0},
                     "checkpoint": None}, entry


@test
def a_triggered_sync_runs_and_its_status_tells_the_result(rig):
    entry = run(rig, "items")
    assert good(entry), entry
    assert entry["latestResult"] == {"Item": {"added": 2, "updated": 0, "deleted": 0}}, entry
    assert entry["recordCount"] == {"Item": 2} and entry["type"] == "INCREMENTAL", entry
    assert entry["finishedAt"].endswith("Z"), entry


@test
def a_sync_that_is_paused_runs_once_and_stays_paused_even_if_that_fails(rig):
    entry = run(rig, "broken")
    assert entry["status"] == "PAUSED" and entry["nextScheduledSyncAt"] is None and entry["latestExecutionStatus"] == "STOPPED" and entry["type"] == "INITIAL", entry


@test
def a_second_run_is_refused_while_one_is_open_and_says_so(rig):
    assert started(trigger(rig, ["waits"], "busy")) == 1
    rig.witness.wait_seen("/hang/sync")
    assert one(rig, "waits", "busy")["status"] == "RUNNING"
    assert started(trigger(rig, ["waits"], "busy")) == 0
    rig.witness.release("sync")
    wait_until("it ends", lambda: good(one(rig, "waits", "busy")), 30)


def reset_ends_the_open_run(rig, reset):
    assert started(trigger(rig, ["ticks"], "busy")) == 1
    wait_until("it ticks", lambda: (one(rig, "ticks", "busy")["checkpoint"] or {}).get("n", 0) >= 3, 30)
    reset()
    entry = one(rig, "ticks", "busy")
    assert (entry["checkpoint"] or {"n": 0})["n"] < 3, entry
    wait_until("the new one ends", lambda: good(one(rig, "ticks", "busy")), 30)
    assert one(rig, "ticks", "busy")["checkpoint"] == {"n": 20}


@test
def a_reset_ends_the_run_that_is_open_and_starts_another(rig):
    def reset():
        assert started(trigger(rig, ["ticks"], "busy", opts={"reset": True})) == 1
    reset_ends_the_open_run(rig, reset)


@test
def so_does_one_that_a_function_asks_for(rig):
    def reset():
        answer = rig.call("reset_ticks", connection="busy")
        assert answer.status == 200 and answer.json == "asked", answer
    reset_ends_the_open_run(rig, reset)


@test
def the_checkpoint_is_kept_between_runs_and_shown(rig):
    assert run(rig, "counts", "d")["checkpoint"] == {"n": 1}
    assert run(rig, "counts", "d")["checkpoint"] == {"n": 2}
    assert sorted(records(rig, "Count", "d")) == ["run-1", "run-2"]


@test
def a_reset_forgets_the_checkpoint_and_keeps_the_records(rig):
    run(rig, "counts", "busy")
    run(rig, "counts", "busy")
    assert run(rig, "counts", "busy", opts={"reset": True})["checkpoint"] == {"n": 1}
    assert sorted(records(rig, "Count", "busy")) == ["run-1", "run-2"]


@test
def each_mode_resets_or_clears_as_its_name_says(rig):
    for mode, checkpoint, kept in (({"sync_mode": "incremental"}, 3, 3), ({"sync_mode": "full_refresh"}, 1, 3),
                                   ({"full_resync": True}, 1, 3), ({"opts": {"reset": False}}, 2, 3),
                                   ({"opts": {"emptyCache": True}}, 3, 3),
                                   ({"opts": {"reset": True, "emptyCache": True}}, 1, 1),
                                   ({"sync_mode": "full_refresh_and_clear_cache"}, 1, 1)):
        if mode == {"sync_mode": "incremental"}:
            run(rig, "counts")
            run(rig, "counts")
        entry = run(rig, "counts", **mode)
        assert entry["checkpoint"] == {"n": checkpoint}, (mode, entry)
        assert len(records(rig, "Count")) == kept, (mode, records(rig, "Count"))


@test
def names_come_as_text_with_variant_or_as_object(rig):
    for syncs in (["items"], ["items::base"], [{"name": "items", "variant": "base"}]):
        wait_until("no run is open", lambda: one(rig, "items")["status"] != "RUNNING", 30)
        assert started(trigger(rig, syncs)) == 1, syncs


@test
def integration_and_connection_may_come_as_headers(rig):
    wait_until("no run is open", lambda: one(rig, "items", "d")["status"] != "RUNNING", 30)
    answer = trigger(rig, ["items"], None, None, {"Provider-Config-Key": "w", "Connection-Id": "d"})
    assert started(answer) == 1


@test
def no_connection_means_all_of_the_integration(rig):
    for name in ("c", "d", "busy"):
        wait_until("no run is open", lambda: one(rig, "items", name)["status"] != "RUNNING", 30)
    assert started(trigger(rig, ["items"], None)) == 3
    assert sorted(e["connection_id"] for e in status(rig, "items", None)) == ["busy", "c", "d"]


@test
def no_names_means_all_syncs_of_the_connection(rig):
    rig.connection("every")
    assert sorted(e["name"] for e in status(rig, "*", "every")) == ["broken", "counts", "items", "ticks", "waits"]
    assert started(trigger(rig, [], "every")) == 5
    rig.witness.release("sync")


@test
def a_trigger_is_refused_in_the_order_and_form_of_the_wire(rig):
    refused(trigger(rig, ["items"], extra=1), "invalid_body")
    refused(trigger(rig, "items"), "invalid_body", ["syncs"])
    refused(trigger(rig, [5]), "invalid_body", ["syncs", "0"])
    refused(trigger(rig, ["items", "a b"]), "invalid_body", ["syncs", "1"])
    refused(trigger(rig, [{"name": "items"}]), "invalid_body", ["syncs", "0"])
    refused(trigger(rig, [{"name": "items", "variant": "base", "x": 1}]), "invalid_body", ["syncs", "0"])
    refused(trigger(rig, ["items"], sync_mode="fast"), "invalid_body", ["sync_mode"])
    refused(trigger(rig, ["items"], opts={"reset": "yes"}), "invalid_body", ["reset"])
    refused(trigger(rig, ["items"], opts={"other": True}), "invalid_body")
    refused(trigger(rig, ["items"], connection="a\tb"), "invalid_body", ["connection_id"])
    refused(trigger(rig, ["items"], integration=None), "missing_provider_config_key")
    refused(trigger(rig, ["items"], opts={}, sync_mode="incremental"), "invalid_body")
    refused(trigger(rig, ["items"], opts={}, full_resync=False), "invalid_body")
    refused(trigger(rig, ["items"], integration="nosuch"), "unknown_provider_config")
    refused(trigger(rig, ["items"], connection="nobody"), "unknown_connection", status=404)
    answer = trigger(rig, ["nosuch"])
    refused(answer, "no_syncs_found")
    assert answer.json["error"]["payload"] == {}, answer
    refused(trigger(rig, ["items::nosuch"]), "no_syncs_found")
    refused(trigger(rig, [], "alone", "bare"), "no_syncs_found")
    assert rig.request("POST", "/sync/trigger?a=1", {"syncs": []}).code == "invalid_query_params"


# ---- status

@test
def status_passes_over_unknown_syncs(rig):
    assert [e["name"] for e in status(rig, "nosuch,items,items::nosuch")] == ["items"]


@test
def a_status_request_is_refused_in_the_form_of_the_wire(rig):
    def ask(query):
        return rig.request("GET", f"/sync/status?{query}")
    refused(ask("syncs=*"), "invalid_query_params", ["provider_config_key"])
    refused(ask("provider_config_key=w"), "invalid_query_params", ["syncs"])
    refused(ask("provider_config_key=w&syncs="), "invalid_query_params", ["syncs"])
    refused(ask("provider_config_key=w&syncs=a%20b"), "invalid_query_params", ["syncs"])
    refused(ask("provider_config_key=w&syncs=*&x=1"), "invalid_query_params")
    refused(ask("provider_config_key=nosuch&syncs=*"), "unknown_provider_config")
    refused(ask("provider_config_key=w&syncs=*&connection_id=nobody"), "invalid_body")


@test
def other_environments_do_not_see_the_connection(rig):
    rig.integration(env="prod")
    answer = rig.request("GET", "/sync/status?provider_config_key=w&syncs=*&connection_id=c", key="prod")
    refused(answer, "invalid_body")


main(lambda: Rig(prepare=prepare))
