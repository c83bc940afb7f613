"""X-Delay, start limits and retention: what time does to a job before it starts and after it ended."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import flows
from rig import Rig, wait_until
from tap import main, test

START_LIMIT = 3.0
FUNCTIONS = {
    "echo": "return input;",
    "call": "const r = await nango.get({ endpoint: input.endpoint }); return r.data;",
    "flaky": "const r = await nango.get({ endpoint: '/script/' + input.name }); return r.data;",
}


def delayed(rig, seconds, endpoint, **more):
    return rig.submit("call", {"endpoint": endpoint}, headers={"X-Delay": str(seconds), **more})


def state_of(rig, job):
    return rig.postgres.query(f"SELECT count(*), min(state) FROM result WHERE job_id = '{job}'")[0]


def assert_not_started(rig, answer, job):
    assert answer.status == 500 and answer.code == "action_script_failure", answer
    assert answer.json["error"]["payload"]["error"].startswith("not_started"), answer
    assert state_of(rig, job) == ["1", "4"]


@test
def a_delay_is_whole_seconds_of_an_async_call(rig):
    for value in ("-1", "1.5", "", "soon", "1s", "0x1", " ", "31536001", "99999999999999999999", "1,2"):
        answer = rig.call("echo", 1, {"X-Async": "true", "X-Delay": value})
        assert answer.status == 400 and answer.code == "invalid_headers", (value, answer)
    for value in ("0", "1"):
        answer = rig.call("echo", 1, {"X-Delay": value})
        assert answer.status == 400 and answer.code == "invalid_headers", (value, answer)
        assert rig.call("echo", 1, {"X-Async": "false", "X-Delay": value}).status == 400
    twice = rig.raw((f"POST /action/trigger HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {rig.dev}\r\n"
                     "Provider-Config-Key: w\r\nConnection-Id: c\r\nX-Async: true\r\nX-Delay: 1\r\nX-Delay: 2\r\n"
                     "Content-Type: application/json\r\nContent-Length: 22\r\nConnection: close\r\n\r\n"
                     '{"action_name":"echo"}').encode())
    assert b" 400 " in twice.split(b"\r\n")[0] and b"invalid_headers" in twice, twice
    assert rig.finish(rig.submit("echo", "now", headers={"X-Delay": "0"}), 2).json == "now"


@test
def a_delayed_job_starts_when_it_is_due_and_says_how_long_that_is(rig):
    began = time.monotonic()
    job = delayed(rig, 3, "/ok/later")
    answer = rig.poll(job)
    assert answer.status == 404 and answer.headers["x-sluice-state"] == "queued", answer.headers
    assert answer.headers["x-sluice-attempt"] == "0" and "x-sluice-position" not in answer.headers
    assert 2 <= int(answer.headers["retry-after"]) <= 3, answer.headers
    time.sleep(1)
    assert int(rig.poll(job).headers["retry-after"]) <= 2
    assert rig.finish(rig.submit("echo", "other"), 2).json == "other", "a delayed job held up its key"
    assert rig.finish(job).status == 200
    took = time.monotonic() - began
    print(f"# 3 s of delay: started and ended after {took:.2f} s")
    assert 2.9 <= took < 5 and len(rig.witness.seen("/ok/later")) == 1


@test
def a_delayed_job_survives_the_loss_of_redis_and_of_its_node(rig):
    began = time.monotonic()
    job = delayed(rig, 4, "/ok/survivor")
    rig.redis.command("FLUSHALL")
    rig.nodes[0].kill()
    rig.nodes[0].start()
    assert rig.poll(job).headers["x-sluice-state"] == "queued"
    assert rig.finish(job, 20).status == 200
    took = time.monotonic() - began
    assert 3.9 <= took < 12, took
    assert len(rig.witness.seen("/ok/survivor")) == 1


@test
def a_delay_that_ended_while_nobody_was_there_is_caught_up_once(rig):
    job = delayed(rig, 1, "/ok/caught")
    rig.nodes[0].stop()
    time.sleep(1.5)
    rig.nodes[0].start()
    assert rig.finish(job, 20).status == 200
    assert len(rig.witness.seen("/ok/caught")) == 1


@test
def the_delay_is_part_of_what_an_idempotency_key_stands_for(rig):
    def ask(key, **headers):
        return rig.call("echo", 1, {"X-Async": "true", "Idempotency-Key": key, **headers})
    first = ask("delay-1", **{"X-Delay": "1"})
    again = ask("delay-1", **{"X-Delay": "1"})
    assert first.status == again.status == 202 and first.json == again.json, (first, again)
    for other in ({"X-Delay": "2"}, {}, {"X-Delay": "0"}):
        answer = ask("delay-1", **other)
        assert answer.status == 409 and answer.code == "idempotency_conflict", answer
    plain, zero = ask("delay-2"), ask("delay-2", **{"X-Delay": "0"})
    assert plain.status == zero.status == 202 and plain.json == zero.json
    assert rig.finish(first.json["id"]).json == 1
    assert rig.postgres.query("SELECT count(*) FROM job j JOIN idempotency i ON i.job_id = j.id"
                              " WHERE i.key LIKE 'delay-%'") == [["2"]]


@test
def a_job_that_waited_too_long_behind_its_key_expires_unstarted(rig):
    first = rig.submit("call", {"endpoint": "/hang/long"})
    rig.witness.wait_seen("/hang/long")
    late = rig.submit("call", {"endpoint": "/ok/toolate"})
    time.sleep(START_LIMIT + 0.3)
    fresh = rig.submit("echo", "fresh")
    rig.witness.release("long")
    assert rig.finish(first).status == 200, "the one that runs is not late"
    assert_not_started(rig, rig.finish(late, 5), late)
    assert rig.finish(fresh, 5).json == "fresh"
    assert rig.witness.seen("/ok/toolate") == []


@test
def the_start_limit_counts_from_the_end_of_the_delay(rig):
    seconds = int(START_LIMIT) + 1
    job = delayed(rig, seconds, "/ok/afterdelay")
    assert rig.finish(job, seconds + 5).status == 200


@test
def a_retry_is_no_late_start(rig):
    rig.witness.script("again", [(500, {"retry-after": "1"}, {}), (200, {}, {"fine": True})])
    job = rig.submit("flaky", {"name": "again"}, retries=2)
    first = rig.submit("call", {"endpoint": "/hang/block"})  # holds the key up past the limit
    rig.witness.wait_seen("/script/again")
    rig.witness.wait_seen("/hang/block")
    time.sleep(START_LIMIT + 1)
    rig.witness.release("block")
    assert rig.finish(job, 10).status == 200
    assert rig.finish(first).status == 200


@test(seconds=90)
def a_job_that_no_worker_takes_is_ended_by_the_scheduler(rig):
    node, query = rig.nodes[0], rig.postgres.query
    node.stop()
    node.settings.update(role="api,scheduler", event_start_limit="1s")
    node.start()
    try:
        rig.connection("eventful", integration="ev")
        job, waits = rig.submit("call", {"endpoint": "/ok/nobody"}), delayed(rig, 60, "/ok/waits")
        began = time.monotonic()
        assert_not_started(rig, rig.finish(job, 40), job)
        wait_until("the event's job is there", lambda: query("SELECT id FROM job WHERE kind = 4") != [], 5)
        event = query("SELECT id FROM job WHERE kind = 4")[0][0]
        wait_until("the event expired too", lambda: state_of(rig, event) == ["1", "4"], 20)
        print(f"# limit {START_LIMIT:g} s, ended after {time.monotonic() - began:.1f} s")
    finally:
        node.stop()
        node.settings.update(role=None, event_start_limit=None)
        node.start()
    assert rig.finish(rig.submit("echo", 1)).json == 1
    assert_not_started(rig, rig.poll(job), job)
    assert rig.witness.seen("/ok/nobody") == []
    assert rig.poll(waits).headers["x-sluice-state"] == "queued", "a delayed job is not late"
    assert rig.request("DELETE", f"/action/{waits}").status == 200


@test(seconds=90)
def old_days_are_dropped_and_one_with_an_open_job_stays(rig):
    node, query = rig.nodes[0], rig.postgres.query
    waits = delayed(rig, 3600, "/ok/far")
    node.stop()
    query("SELECT add_partitions(-12, -8)")
    # The open one becomes a job of eight days ago; beside it one that ended, and one of nine days ago.
    for days, ended in ((8, True), (9, True)):
        query("WITH j AS (INSERT INTO job (id, environment_id, key_id, function_version_id, connection_id, kind, max_retries,"
              f" webhook) SELECT (left(uuid_day(current_date - {days})::text, 24) || right(gen_random_uuid()::text, 12))::uuid,"
              " 1, 1, 1, 1, 1, 0, false RETURNING id)"
              f" INSERT INTO result SELECT id, 1, 1, 0, now() - interval '{days} days', '\"old\"' FROM j")
    query("WITH w AS (DELETE FROM retry RETURNING due_at), d AS (SELECT"
          f" (left(uuid_day(current_date - 8)::text, 24) || right('{waits}', 12))::uuid AS id),"
          f" j AS (INSERT INTO job SELECT d.id, seq, environment_id, key_id, function_version_id, connection_id, accepted_at, kind,"
          f" max_retries, webhook, input FROM job, d WHERE job.id = '{waits}' RETURNING id)"
          " INSERT INTO retry SELECT d.id, 1, due_at FROM w, d")
    open_id = query("SELECT job_id FROM retry")[0][0]
    node.settings["retention"] = "5d"
    try:
        node.start()
        wait_until("old days are dropped", lambda: "old_tables_dropped" in node.log(), 20)
        days = [row[0] for row in query("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^job_[0-9]+$'"
                                        " AND to_date(right(relname, 8), 'YYYYMMDD') < current_date - 5")]
        kept = query("SELECT 'job_' || to_char(current_date - 8, 'YYYYMMDD')")[0][0]
        assert days == [kept], days
        assert rig.poll(open_id).headers["x-sluice-state"] == "queued"
        assert query("SELECT count(*) FROM job WHERE id < uuid_day(current_date - 5)") == [["2"]]
    finally:
        node.settings["retention"] = None
    assert rig.request("DELETE", f"/action/{open_id}").status == 200
    assert rig.finish(rig.submit("echo", 1)).json == 1


def prepare(rig):
    rig.prepare(FUNCTIONS)
    rig.integration("ev")
    done = rig.deploy_flows([rig.flow(name, code) for name, code in FUNCTIONS.items()], onEventScriptsByProvider=flows.events(
        flows.on_event("made", "post-connection-creation", "await nango.get({ endpoint: '/ok/event' });"), integration="ev"))
    assert done.status == 200, done


main(lambda: Rig(settings={"start_limit": f"{START_LIMIT:g}s", "lease_ttl": "2s", "retry_first": "100ms",
                           "drain_timeout": "5s"}, prepare=prepare))
