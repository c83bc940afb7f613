"""`sluice sync` and /admin/v1/syncs: how syncs stand, and that what an operator asks of them happens."""
import os
import sys
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import flows
from operator_cli import run, run_on_terminal
from rig import Rig
from servers import wait_until
from tap import main, test

SYNCS = {
    "good": "await nango.saveCheckpoint({ secret: 'of the customer' });"
            "await nango.batchSave([{ id: '1' }, { id: '2' }], 'Item');",
    "held": "await nango.trackDeletesStart('Item'); await nango.get({ endpoint: '/hang/held', retries: 0 });"
            "await nango.trackDeletesEnd('Item');",
    "bad": "await nango.get({ endpoint: '/ok/bad', retries: 0 }); throw new Error('as asked');",
}


def prepare(rig):
    rig.integration()
    rig.connection("c")
    done = rig.deploy_flows([flows.sync(name, code) for name, code in SYNCS.items()])
    assert done.status == 200, done
    rig.ids = wait_until("every sync is there", lambda: ids(rig, len(SYNCS)), 15)


def sluice(rig, *words, code=0, **more):
    done = run("--host", f"http://127.0.0.1:{rig.nodes[0].port}", "--dir", rig.directory, *words, **more)
    assert code in (None, done.code), (words, done)
    return done


def document(rig, *words, **more):
    return sluice(rig, "--json", *words, **more).json


def admin(rig, path, method="GET", body=None, key=None):
    return rig.request(method, f"/admin/v1/syncs{path}", body, key=key or rig.keys["SLUICE_OPERATOR_KEY"])


def ids(rig, count):
    found = {s["name"]: s["id"] for s in admin(rig, "?environment=dev").json["syncs"] if s["schedule"]}
    return found if len(found) == count else None


def show(rig, name):
    return document(rig, "sync", "show", rig.ids[name])["sync"]


def comes_to(rig, name, state):
    return wait_until(f"{name} is {state}", lambda: (lambda s: s if s["state"] == state else None)(show(rig, name)), 15)


# ---- looking

@test
def syncs_are_listed_with_their_schedules_before_they_have_run(rig):
    rows = document(rig, "sync", "ls", "dev")
    assert rows["next"] is None and [s["name"] for s in rows["syncs"]] == list(SYNCS), rows
    one = rows["syncs"][0]
    assert one["environment"] == "dev" and one["integration"] == "w" and one["connection"] == "c" and one["variant"] == "base", one
    assert one["state"] == "paused" and one["trouble"] is None and one["run"] is None and one["last_run"] is None, one
    assert one["schedule"] == {"paused": True, "frequency": "every hour", "own_frequency": False, "every_ms": 3600000,
                               "next_run_at": None, "late_ms": 0}, one
    lines = sluice(rig, "sync", "ls").out.splitlines()
    assert lines[0].split() == ["SYNC", "STATE", "TROUBLE", "NEXT", "LAST-RUN", "TOOK", "ENVIRONMENT", "FUNCTION", "CONNECTION", "NODE"]
    assert lines[1].split() == [rig.ids["good"], "paused", "-", "-", "-", "-", "dev", "w/good", "c", "-"], lines
    assert sluice(rig, "sync", "ls", "prod").out == "there is no such sync\n"


@test
def a_run_is_shown_from_its_start_to_its_end(rig):
    done = document(rig, "sync", "run", rig.ids["held"])
    assert done["started"] == 1 and done["syncs"][0]["run"], done
    rig.witness.wait_seen("/hang/held")
    sync = comes_to(rig, "held", "running")
    node = document(rig, "worker", "ls")["workers"][0]["name"]
    assert sync["run"]["node"] == node and sync["run"]["attempt"] == 1 and sync["delete_windows"] == ["Item"], sync
    rows = document(rig, "sync", "ls", "--state", "running")["syncs"]  # by what the ledger knows, whichever node is asked
    assert [(s["name"], s["run"]["node"]) for s in rows] == [("held", node)], rows
    assert document(rig, "job", "show", sync["run"]["job"])["job"]["kind"] == "sync"
    text = sluice(rig, "sync", "show", rig.ids["held"]).out
    assert f"on           {node}" in text and "tracks       Item" in text and "next run     paused" in text, text
    again = sluice(rig, "sync", "run", rig.ids["held"])
    assert "0 started; the others have a run that is open" in again.out, again
    rig.witness.release("held")
    sync = comes_to(rig, "held", "paused")
    assert sync["run"] is None and sync["last_run"]["state"] == "succeeded" and sync["delete_windows"] == [], sync
    assert 0 <= sync["last_run"]["duration_ms"] < 60000 and sync["last_success_at"], sync


@test
def counts_and_records_are_shown_and_a_checkpoint_only_by_its_size(rig):
    document(rig, "sync", "run", rig.ids["good"])
    sync = wait_until("it has run", lambda: (lambda s: s if s["last_run"] and not s["run"] else None)(show(rig, "good")), 15)
    assert sync["last_run"]["result"]["Item"] == {"added": 2, "updated": 0, "deleted": 0}, sync
    assert sync["records"] == {"Item": 2} and sync["checkpoint"] == {"version": 1, "bytes": len('{"secret":"of the customer"}')}, sync
    text = sluice(rig, "sync", "show", rig.ids["good"]).out
    assert "of the customer" not in text and "checkpoint   version 1, 28 bytes" in text, text
    assert "result       Item: added 2, updated 0, deleted 0" in text and "records      Item: 2" in text, text


# ---- steering

@test
def a_sync_is_started_runs_and_is_paused_again(rig):
    started = document(rig, "sync", "start", rig.ids["good"])["syncs"][0]
    assert started["schedule"]["paused"] is False and started["schedule"]["next_run_at"], started
    comes_to(rig, "good", "succeeded")
    assert " in " in sluice(rig, "sync", "ls", "--name", "good").out
    text = sluice(rig, "sync", "show", rig.ids["good"]).out
    assert "frequency    every hour" in text and "  (in " in text, text
    paused = document(rig, "sync", "pause", rig.ids["good"], rig.ids["held"])["syncs"]
    assert [(s["name"], s["state"], s["schedule"]["next_run_at"]) for s in paused] == [("good", "paused", None), ("held", "paused", None)], paused


@test
def a_reset_asks_and_forgets_the_checkpoint(rig):
    done = sluice(rig, "sync", "run", rig.ids["good"], "--reset", code=64)
    assert "--yes" in done.err and show(rig, "good")["checkpoint"], done
    sluice(rig, "sync", "run", rig.ids["good"], "--empty-cache", code=64)
    answer = admin(rig, f"/{rig.ids['good']}/trigger", "POST", {"emptyCache": True})
    assert answer.status == 400 and "needs reset" in answer.body.decode(), answer
    before = show(rig, "good")
    done = run_on_terminal("--host", f"http://127.0.0.1:{rig.nodes[0].port}", "--dir", rig.directory, "sync", "run", rig.ids["good"],
                           "--reset", "--empty-cache", typed="y\n")
    assert done.code == 0 and "remove the records of 1 sync" in done.out, done
    sync = wait_until("another run has ended", lambda: (lambda s: s if not s["run"] and s["last_run"]["job"] != before["last_run"]["job"]
                                                        else None)(show(rig, "good")), 15)
    assert sync["last_run"]["result"]["Item"]["added"] == 2, sync  # the cache was empty
    assert sync["checkpoint"]["version"] == before["checkpoint"]["version"] + 2, (before, sync)


@test
def a_run_that_fails_is_a_state_to_look_for(rig):
    document(rig, "sync", "start", rig.ids["bad"])
    document(rig, "sync", "run", rig.ids["bad"])
    comes_to(rig, "bad", "failed")
    assert [s["name"] for s in document(rig, "sync", "ls", "--state", "failed")["syncs"]] == ["bad"]
    assert [s["name"] for s in document(rig, "sync", "ls", "--state", "paused")["syncs"]] == ["good", "held"]
    rig.postgres.query(f"UPDATE schedule SET next_run_at = now() + interval '1 hour' WHERE sync_id = (SELECT id FROM sync WHERE uuid = '{rig.ids['bad']}')")
    assert document(rig, "sync", "ls", "--state", "late")["syncs"] == []
    document(rig, "sync", "pause", rig.ids["bad"])


@test
def trouble_is_shown_with_its_time_and_can_be_looked_for(rig):
    place = f"WHERE uuid = '{rig.ids['held']}'"
    for number, name in ((1, "interrupted"), (2, "stalled"), (3, "repeats_page")):
        rig.postgres.query(f"UPDATE sync SET trouble = {number}, trouble_at = now() - interval '1 hour', still_runs = 2 {place}")
        rows = document(rig, "sync", "ls", "--state", name)["syncs"]
        assert [(s["name"], s["trouble"]) for s in rows] == [("held", name)] and rows[0]["trouble_since"], rows
        text = sluice(rig, "sync", "show", rig.ids["held"]).out
        assert f"trouble      {name}" in text and "still        2 runs in a row" in text, text
    rig.postgres.query(f"UPDATE sync SET trouble = 0, trouble_at = NULL, still_runs = 0 {place}")
    assert document(rig, "sync", "ls", "--state", "stalled")["syncs"] == []


# ---- filters and pages

@test
def filters_say_which_and_pages_go_on_where_the_last_one_ended(rig):
    rig.connection("d")
    wait_until("the new connection has its syncs", lambda: len(document(rig, "sync", "ls", "--connection", "d")["syncs"]) == 3, 15)
    assert len(document(rig, "sync", "ls", "dev", "--integration", "w")["syncs"]) == 6
    assert document(rig, "sync", "ls", "--integration", "other")["syncs"] == []
    assert [s["connection"] for s in document(rig, "sync", "ls", "--name", "held")["syncs"]] == ["c", "d"]
    seen, cursor = [], ()
    for _ in range(4):
        page = document(rig, "sync", "ls", "--limit", "2", *cursor)
        seen += [(s["connection"], s["name"]) for s in page["syncs"]]
        if page["next"] is None:
            break
        cursor = ("--cursor", page["next"])
    assert len(seen) == len(set(seen)) == 6 and page["next"] is None, seen
    assert "more: --cursor " in sluice(rig, "sync", "ls", "--limit", "2").out


@test
def a_page_looks_at_so_many_syncs_and_says_where_it_stopped(rig):
    rig.postgres.query("WITH s AS (SELECT environment_id e, function_id f, connection_id c FROM sync ORDER BY id LIMIT 1),"
                       " k AS (INSERT INTO concurrency_key (environment_id, name) SELECT s.e, 'many:' || n FROM s, generate_series(1, 5100) n"
                       "  RETURNING id, name)"
                       " INSERT INTO sync (environment_id, function_id, connection_id, variant, key_id)"
                       " SELECT s.e, s.f, s.c, k.name, k.id FROM s, k")
    page = admin(rig, "?state=failed&limit=2").json
    assert [s["name"] for s in page["syncs"]] == ["bad"] or page["syncs"] == [], page
    assert page["next"], "5000 were looked at, and there are more"
    rest = admin(rig, f"?state=failed&limit=2&cursor={page['next']}").json
    assert rest == {"syncs": [], "next": None}, rest
    assert len(document(rig, "sync", "ls", "--state", "new", "--limit", "1000")["syncs"]) == 1000
    assert len(document(rig, "sync", "ls", "--state", "paused")["syncs"]) == 6  # of all pages
    rig.postgres.query("DELETE FROM sync WHERE variant LIKE 'many:%'")


# ---- what is refused

@test
def only_an_operators_key_may_look_or_steer(rig):
    for method, path in (("GET", ""), ("GET", f"/{rig.ids['good']}"), *(("POST", f"/{rig.ids['good']}/{verb}") for verb in ("start", "pause", "trigger"))):
        assert admin(rig, path, method, {} if method == "POST" else None, rig.dev).status == 403, (method, path)
        assert rig.request(method, f"/admin/v1/syncs{path}", {} if method == "POST" else None, key=None).status == 401


@test
def what_is_wrong_is_named(rig):
    unknown = str(uuid.uuid4())
    for verb in ("show", "start", "pause", "run"):
        assert "no such sync" in sluice(rig, "sync", verb, unknown, code=66).err
        assert "is no sync's id" in sluice(rig, "sync", verb, "good", code=64).err
    assert "state must be new" in sluice(rig, "sync", "ls", "--state", "odd", code=65).err
    assert "no environment nowhere" in sluice(rig, "sync", "ls", "nowhere", code=66).err
    for query, path in (("cursor=x", "cursor"), ("limit=1001", "limit"), ("connection=%20", "connection"), ("more=1", "more")):
        answer = admin(rig, f"?{query}")
        assert answer.status == 400 and path in answer.body.decode(), answer
    rig.postgres.query("UPDATE function SET enabled = false WHERE name = 'held'")
    assert "enable or deploy it" in sluice(rig, "sync", "run", rig.ids["held"], code=65).err
    assert show(rig, "held")["version"] is None
    assert admin(rig, f"/{rig.ids['good']}/pause", "POST", {"all": True}).status == 400
    assert admin(rig, f"/{rig.ids['good']}/trigger", "POST", {"reset": 1}).status == 400


if __name__ == "__main__":
    main(lambda: Rig(prepare=prepare))
