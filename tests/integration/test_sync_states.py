"""What became of a run: interrupted, stalled, repeats a page; and what the outbox says of it, byte for byte."""
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import exposition
import flows
from rig import Rig, wait_until
from tap import main, test
from wrong_clock import wrong_clock

LIMIT = 1  # seconds that a run may take; from 80 % on a saved checkpoint interrupts it
AGES = "const ages = () => new Promise((done) => setTimeout(done, 850));"
FUNCTIONS = [
    flows.sync("twice", AGES + """
        const saved = await nango.getCheckpoint();
        await nango.batchSave([{ id: saved ? 'second' : 'first' }], 'Step');
        if (saved) return nango.clearCheckpoint();
        await ages();
        await nango.saveCheckpoint({ n: 1 });
        """, models=["Step"]),
    flows.sync("still", AGES + "await ages(); await nango.saveCheckpoint({ same: 1 });", models=["Still"]),
    flows.sync("moves", AGES + "const v = await nango.getCheckpoint() || { n: 0 }; if (v.n > 2) return;"
               " await ages(); await nango.saveCheckpoint({ n: v.n + 1 });", models=["Moves"]),
    flows.sync("swallows", AGES + "if (await nango.getCheckpoint()) return; await nango.batchSave([{ id: 'old' }, { id: 'new' }], 'Swallow');"
               " await ages(); try { await nango.saveCheckpoint({ n: 1 }); } catch (error) { return; }",
               models=["Swallow"], track_deletes=True),
    flows.sync("events", "const n = (await nango.getCheckpoint() || { n: 0 }).n;"
               " await nango.saveCheckpoint({ z: 'é \\u0000 \"', n: n + 1, a: true });"
               " if (n === 0) { await nango.batchSave([{ id: '1' }, { id: '2' }], 'Beta'); return; }"
               " if (n === 1) { await nango.batchSave([{ id: '1', x: 1 }], 'Beta'); await nango.batchDelete([{ id: '2' }], 'Beta'); return; }"
               " throw new Error('no \"more\"');", models=["Beta", "Alpha"]),
    flows.sync("quiet", "", models=["Quiet"]),
    flows.sync("skewed", "await nango.setMergingStrategy({ strategy: 'ignore_if_modified_after' }, 'Skewed');"
               " await nango.batchSave([{ id: '1', n: 1 }], 'Skewed'); await nango.batchSave([{ id: '1', n: 2 }], 'Skewed');", models=["Skewed"]),
    flows.sync("hangs", "await nango.batchSave([{ id: '1' }], 'Hang'); await nango.get({ endpoint: '/hang/' + nango.connectionId });",
               models=["Hang"]),
    flows.sync("pages", "for await (const page of nango.paginate({ endpoint: '/same/items?token=secret', retries: 0,"
               " paginate: { type: 'offset', offset_name_in_request: 'skip', response_path: 'items' } }))"
               " await nango.batchSave(page, 'Page');", models=["Page"]),
    flows.sync("hook", "", "hook", models=["Hook", "Other"], subscriptions=["*"],
               webhook="if (payload.fail) throw new Error('bad hook'); if (payload.save) await nango.batchSave([{ id: 'h' }], 'Hook');"),
]
ACTIONS = {
    "same": "const out = []; for await (const page of nango.paginate({ endpoint: '/same/items?token=secret', retries: 0, paginate: input }))"
            " out.push(page.length); return out;",
    "counts": "const v = await nango.getCheckpoint() || { n: 0 }; await nango.saveCheckpoint({ n: v.n + 1 });"
              " if (input.fail) throw new Error('after it'); return v;",
}


def trigger(rig, sync, connection, **opts):
    answer = rig.request("POST", "/sync/trigger", {"syncs": [sync], "connection_id": connection, "provider_config_key": "w", **opts})
    assert answer.status == 200, answer
    return answer


def row(rig, sync, connection):
    """[trouble, still_runs, last_state, newest run has a result]"""
    rows = rig.postgres.query(
        "SELECT s.trouble, s.still_runs, s.last_state, EXISTS (SELECT FROM result r WHERE r.job_id = s.job_id) FROM sync s"
        " JOIN function f ON f.id = s.function_id JOIN connection c ON c.id = s.connection_id"
        f" WHERE f.name = '{sync}' AND c.connection_id = '{connection}'")
    return [int(value) if value.isdigit() else value for value in rows[0]] if rows else None


def runs(rig, sync, connection):
    """States of the runs in the order they were accepted; 0: open."""
    return [int(value) for [value] in rig.postgres.query(
        "SELECT coalesce(r.state, 0) FROM job j LEFT JOIN result r ON r.job_id = j.id"
        " JOIN function_version v ON v.id = j.function_version_id JOIN function f ON f.id = v.function_id"
        f" JOIN connection c ON c.id = j.connection_id WHERE f.name = '{sync}' AND c.connection_id = '{connection}' ORDER BY j.seq")]


def told(rig, sync, connection):
    """Bodies of the outbox, oldest first."""
    return [body for [body] in rig.postgres.query(
        "SELECT o.body FROM outbox o JOIN connection c ON c.id = o.connection_id JOIN job j ON j.id = o.job_id"
        f" WHERE c.connection_id = '{connection}' AND o.body LIKE '%\"syncName\":\"{sync}\"%' ORDER BY o.created_at, o.id")]


def ended(rig, sync, connection, count):
    wait_until(f"{count} runs of {sync} have ended", lambda: len(runs(rig, sync, connection)) >= count
               and 0 not in runs(rig, sync, connection)[:count], 20)
    return runs(rig, sync, connection)


def metric(rig, name):
    return exposition.parse(rig.request("GET", "/metrics", key=None).body.decode()).total(name)


def prepare(rig):
    same = json.dumps({"items": [{"id": "1"}], "next": "/same/items"}).encode()
    rig.witness.routes["same"] = lambda call: (200, {}, same)
    rig.prepare(ACTIONS)
    for name in ("a", "b", "gone", "cut"):
        rig.connection(name)
    rig.integration("hook", "unauthenticated")
    answer = rig.request("POST", "/connections", {"provider_config_key": "hook", "connection_id": "d", "credentials": {"type": "NONE"}})
    assert answer.status == 201, answer
    done = rig.deploy_flows(FUNCTIONS + [rig.flow(name, code) for name, code in ACTIONS.items()])
    assert done.status == 200, done


# ---- states

@test
def an_interrupted_run_is_told_and_goes_on_at_once(rig):
    before = metric(rig, "sluice_syncs_interrupted_total")
    trigger(rig, "twice", "a")
    assert ended(rig, "twice", "a", 2) == [1, 1]
    assert row(rig, "twice", "a") == [0, 0, 1, "t"], "the run that went on ended well"
    assert metric(rig, "sluice_syncs_interrupted_total") == before + 1
    bodies = [json.loads(body) for body in told(rig, "twice", "a")]
    assert [body["checkpoints"] for body in bodies] == [{"from": None, "to": {"n": 1}}, {"from": {"n": 1}, "to": None}]
    assert [body["responseResults"]["added"] for body in bodies] == [1, 1]


@test
def runs_that_do_not_get_on_stall_and_are_not_started_again(rig):
    before = metric(rig, "sluice_syncs_stalled_total")
    trigger(rig, "still", "a")
    # The first saves a checkpoint where none was: that moves.
    assert ended(rig, "still", "a", 3) == [1, 1, 2]
    assert row(rig, "still", "a") == [2, 2, 2, "t"]
    rig.postgres.query("UPDATE schedule SET started = true")  # a paused one says that it is paused
    [entry] = rig.request("GET", "/sync/status?syncs=still&provider_config_key=w&connection_id=a").json["syncs"]
    assert entry["status"] == "ERROR" and entry["latestExecutionStatus"] == "STOPPED" and entry["trouble"] == "stalled", entry
    assert metric(rig, "sluice_syncs_stalled_total") == before + 1
    last = json.loads(told(rig, "still", "a")[-1])
    assert not last["success"] and "checkpoint stays the same" in last["error"]["description"], last
    # Its next run, whoever starts it, is one too many as well, until the checkpoint moves.
    trigger(rig, "still", "a")
    assert ended(rig, "still", "a", 4) == [1, 1, 2, 2]
    assert row(rig, "still", "a") == [2, 3, 2, "t"]
    trigger(rig, "still", "a", opts={"reset": True})
    assert ended(rig, "still", "a", 5)[4] == 1, "it is counted anew"


@test
def a_checkpoint_that_moves_lets_a_sync_go_on_for_ever(rig):
    trigger(rig, "moves", "a")
    assert ended(rig, "moves", "a", 4) == [1] * 4
    assert row(rig, "moves", "a") == [0, 0, 1, "t"]


@test
def an_interrupted_run_deletes_nothing_although_it_says_that_it_is_done(rig):
    trigger(rig, "swallows", "a")
    wait_until("the next run", lambda: len(runs(rig, "swallows", "a")) == 2, 15)
    assert [r for [r] in rig.postgres.query("SELECT id FROM record WHERE model = 'Swallow' AND deleted IS NULL ORDER BY id")] == ["new", "old"] \
        or runs(rig, "swallows", "a")[1] != 0
    assert ended(rig, "swallows", "a", 2) == [1, 1]
    first = json.loads(told(rig, "swallows", "a")[0])
    assert first["responseResults"] == {"added": 2, "deleted": 0, "updated": 0}, first


@test
def a_page_that_comes_again_and_again_ends_the_run(rig):
    before = metric(rig, "sluice_syncs_page_repeated_total")
    trigger(rig, "pages", "a")
    assert ended(rig, "pages", "a", 1) == [2]
    assert row(rig, "pages", "a") == [3, 0, 2, "t"]
    assert len(rig.witness.seen("/same/items")) == 3
    assert metric(rig, "sluice_syncs_page_repeated_total") == before + 1
    why = json.loads(told(rig, "pages", "a")[0])["error"]["description"]
    assert "GET /same/items gave the same page 3 times in a row" in why and 'offset_name_in_request ("skip")' in why, why
    assert "secret" not in why, why


@test
def actions_have_the_guard_too_and_links_their_own_rule(rig):
    for options in ({"type": "offset", "offset_name_in_request": "o", "response_path": "items"},
                    {"type": "cursor", "cursor_name_in_request": "c", "cursor_path_in_response": "items[0].id", "response_path": "items"}):
        answer = rig.call("same", options, connection="a")
        assert answer.code == "page_repeated" and "secret" not in answer.body.decode(), answer
    answer = rig.call("same", {"type": "link", "link_path_in_response_body": "next", "response_path": "items"}, connection="a")
    assert answer.json == [1, 1], answer


# ---- the outbox

AT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def check_bytes(body, expected):
    """expected has @ for a time."""
    assert re.fullmatch(re.escape(expected).replace("@", AT), body), f"\n{body}\n{expected}"


@test
def a_run_tells_of_each_model_and_a_failed_one_once(rig):
    for count in (1, 2, 3):
        trigger(rig, "events", "a")
        ended(rig, "events", "a", count)
    bodies = told(rig, "events", "a")
    assert len(bodies) == 5, bodies
    bodies[0:2] = sorted(bodies[0:2])
    bodies[2:4] = sorted(bodies[2:4])
    good = ('{"checkpoints":{"from":%s,"to":{"a":true,"n":%d,"z":"é \\u0000 \\""}},"connectionId":"a","from":"nango","model":"%s",'
            '"modifiedAfter":"@","providerConfigKey":"w","queryTimeStamp":"@","responseResults":{"added":%d,"deleted":%d,"updated":%d},'
            '"success":true,"syncName":"events","syncType":"%s","syncVariant":"base","type":"sync"}')
    saved = '{"a":true,"n":%d,"z":"é \\u0000 \\""}'
    check_bytes(bodies[0], good % ("null", 1, "Alpha", 0, 0, 0, "INITIAL"))
    check_bytes(bodies[1], good % ("null", 1, "Beta", 2, 0, 0, "INITIAL"))
    check_bytes(bodies[2], good % (saved % 1, 2, "Alpha", 0, 0, 0, "INCREMENTAL"))
    check_bytes(bodies[3], good % (saved % 1, 2, "Beta", 0, 1, 1, "INCREMENTAL"))
    check_bytes(bodies[4], '{"checkpoints":{"from":%s,"to":%s},"connectionId":"a","error":{"description":"no \\"more\\"","payload":{"why":"sync"},'
                '"type":"script_error"},"failedAt":"@","from":"nango","model":"Beta,Alpha","providerConfigKey":"w","startedAt":"@","success":false,'
                '"syncName":"events","syncType":"INCREMENTAL","syncVariant":"base","type":"sync"}' % (saved % 2, saved % 3))
    assert rig.postgres.query("SELECT count(*) FROM outbox o JOIN result r ON r.job_id = o.job_id AND r.xmin = o.xmin"
                              " JOIN sync s ON s.job_id = r.job_id JOIN function f ON f.id = s.function_id WHERE f.name = 'events'") == [["1"]]
    trigger(rig, "quiet", "a")
    ended(rig, "quiet", "a", 1)
    check_bytes(told(rig, "quiet", "a")[0], '{"connectionId":"a","from":"nango","model":"Quiet","modifiedAfter":"@","providerConfigKey":"w",'
                '"queryTimeStamp":"@","responseResults":{"added":0,"deleted":0,"updated":0},"success":true,"syncName":"quiet","syncType":"INITIAL",'
                '"syncVariant":"base","type":"sync"}')


FAILED = ('{"connectionId":"%s","error":{"description":"%s","payload":{"why":"sync"},"type":"script_error"},"failedAt":"@","from":"nango",'
          '"model":"%s","providerConfigKey":"%s","startedAt":"@","success":false,"syncName":"%s","syncType":"%s","syncVariant":"base","type":"sync"}')


@test
def a_webhook_tells_of_the_models_that_it_wrote_to(rig):
    place = rig.request("GET", "/integrations/hook?include=webhook").json["data"]["webhook_url"].split("/")
    for payload in ({"save": True}, {"save": False}, {"fail": True}):
        answer = rig.request("POST", "/" + "/".join(place[3:]), {"type": "x", "connectionId": "d", **payload}, key=None)
        assert answer.status == 200, answer
    wait_until("all have ended", lambda: len(runs(rig, "hook", "d")) == 3 and 0 not in runs(rig, "hook", "d"), 15)
    bodies = told(rig, "hook", "d")
    assert len(bodies) == 2, bodies
    good, bad = sorted(bodies, key=lambda body: '"success":false' in body)
    check_bytes(good, '{"connectionId":"d","from":"nango","model":"Hook","modifiedAfter":"@","providerConfigKey":"hook","queryTimeStamp":"@",'
                '"responseResults":{"added":1,"deleted":0,"updated":0},"success":true,"syncName":"hook","syncType":"WEBHOOK","syncVariant":"base",'
                '"type":"sync"}')
    check_bytes(bad, FAILED % ("d", "bad hook", "Hook,Other", "hook", "hook", "WEBHOOK"))


@test
def a_run_that_others_end_is_told_once(rig):
    trigger(rig, "hangs", "a")
    rig.witness.wait_seen("/hang/a")
    trigger(rig, "hangs", "a", opts={"reset": True})  # cancels it
    wait_until("it is cancelled", lambda: runs(rig, "hangs", "a")[:1] == [3], 15)
    check_bytes(told(rig, "hangs", "a")[0], FAILED % ("a", "The run was cancelled", "Hang", "w", "hangs", "INITIAL"))
    rig.witness.release("a")
    assert ended(rig, "hangs", "a", 2) == [3, 1]
    assert [json.loads(body)["success"] for body in told(rig, "hangs", "a")] == [False, True]


def dies_behind(rig, point):
    """Restarts the node so that it is killed at the failure point; in a build without them nothing does."""
    node = rig.nodes[0]
    with open(f"{rig.build}/sluiced", "rb") as file:
        there = b"is not name=kill" in file.read()
    node.stop()
    node.environment = {"SLUICE_FAULT": f"{point}=kill@1"} if there else {}
    node.start()


@test(seconds=90)
def an_interrupted_sync_goes_on_although_its_worker_dies_behind_the_result(rig):
    node = rig.nodes[0]
    dies_behind(rig, "result_committed")
    trigger(rig, "twice", "cut")
    wait_until("the result is there", lambda: runs(rig, "twice", "cut")[:1] == [1], 15)
    assert len(runs(rig, "twice", "cut")) == 2, "the next run came with it"
    if node.environment:
        wait_until("the worker dies", lambda: node.process.poll() is not None, 15)
        node.environment = {}
        node.start()
    assert ended(rig, "twice", "cut", 2) == [1, 1]


@test
def a_worker_whose_clock_is_wrong_hides_no_record_and_knows_what_it_wrote_itself(rig):
    """What a run compares with the times of records is of the clock that these are of."""
    node = rig.nodes[0]
    for connection, clock in (("a", "+60s"), ("b", "-60s")):
        node.stop()
        node.environment = wrong_clock(FAKETIME=clock)
        node.start()
        trigger(rig, "skewed", connection)
        ended(rig, "skewed", connection, 1)
        since = json.loads(told(rig, "skewed", connection)[0])["modifiedAfter"]
        answer = rig.request("GET", f"/records?model=Skewed&modified_after={since}", headers={"connection-id": connection, "provider-config-key": "w"})
        assert [(record["id"], record["n"]) for record in answer.json["records"]] == [("1", 2)], (clock, since, answer)
    node.stop()
    node.environment = {}
    node.start()


@test(seconds=90)
def a_run_whose_worker_is_killed_is_told_once(rig):
    trigger(rig, "hangs", "gone")
    rig.witness.wait_seen("/hang/gone")
    rig.nodes[0].kill()
    rig.witness.release("gone")
    rig.nodes[0].start()
    assert ended(rig, "hangs", "gone", 1) == [5]
    check_bytes(told(rig, "hangs", "gone")[0], FAILED % ("gone", "The worker that ran the function was lost", "Hang", "w", "hangs", "INITIAL"))
    assert row(rig, "hangs", "gone")[:3] == [0, 0, 5]
    # One row for each run that failed, one for each model of the others (webhooks apart).
    assert rig.postgres.query(
        "SELECT j.id FROM job j JOIN result r ON r.job_id = j.id JOIN function_version v ON v.id = j.function_version_id"
        " LEFT JOIN outbox o ON o.job_id = j.id WHERE j.kind = 2 GROUP BY j.id, r.state, v.definition"
        " HAVING count(o.id) <> CASE r.state WHEN 1 THEN json_array_length(v.definition::json -> 'models') ELSE 1 END") == []


# ---- checkpoints

@test
def a_failed_action_keeps_its_checkpoint(rig):
    assert rig.call("counts", {}, connection="b").json == {"n": 0}
    assert rig.call("counts", {"fail": True}, connection="b").status == 500
    assert rig.call("counts", {}, connection="b").json == {"n": 2}
    job = rig.submit("counts", {"fail": True}, retries=1, connection="b")
    rig.finish(job)
    assert rig.call("counts", {}, connection="b").json == {"n": 5}, "each try saved"


main(lambda: Rig(settings={"sync_timeout": f"{LIMIT}s", "sync_stall_runs": "2", "lease_ttl": "2s"}, prepare=prepare))
