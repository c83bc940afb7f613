"""DELETE /action/{id}: whatever state the job is in, it ends once, as cancelled, and does nothing more."""
import os
import sys
import threading
import time
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, wait_until
from tap import main, test

FUNCTIONS = {
    "echo": "return input;",
    "call": "const r = await nango.get({ endpoint: input.endpoint }); return r.data;",
    "twice": "await nango.get({ endpoint: '/hang/' + input.name }); await nango.get({ endpoint: '/ok/' + input.name });"
             "return 'both';",
    "sleep": "await new Promise((done) => setTimeout(done, input.ms)); return 'slept';",
    "sleep_call": "await new Promise((done) => setTimeout(done, input.ms)); await nango.get({ endpoint: '/ok/' + input.name });"
                  "return 'slept';",
    "boom": "throw new Error('boom');",
    "spin": "for (;;) {}",
}


def cancel(rig, job, node=None, key="dev"):
    return rig.request("DELETE", f"/action/{job}", key=key, node=node)


def state(rig, job, node=None):
    return rig.poll(job, node=node).headers.get("x-sluice-state")


def running(rig, job):
    """Before its first effect only the node that runs it knows."""
    wait_until("the job runs", lambda: any(state(rig, job, node) == "running" for node in rig.nodes))


def assert_cancelled(rig, job, node=None):
    """The polled result, now and later; nothing waits for the job any more."""
    for _ in range(2):
        answer = rig.poll(job, node=node)
        assert answer.status == 410 and answer.code == "script_aborted", answer
        time.sleep(0.05)
    assert rig.postgres.query(f"SELECT count(*), min(state) FROM result WHERE job_id = '{job}'") == [["1", "3"]]
    assert rig.postgres.query(f"SELECT count(*) FROM retry WHERE job_id = '{job}'") == [["0"]]


@test
def what_cannot_be_cancelled_says_why(rig):
    assert cancel(rig, "not-a-uuid").status == 400
    assert cancel(rig, "not-a-uuid").code == "invalid_uri_params"
    unknown = cancel(rig, uuid.uuid4())
    assert unknown.status == 404 and unknown.code == "not_found", unknown
    job = rig.submit("echo", 1)
    assert cancel(rig, job, key="prod").status == 404
    assert rig.finish(job).status == 200
    ended = cancel(rig, job)
    assert ended.status == 409 and ended.code == "conflict", ended
    assert rig.poll(job).status == 200 and rig.poll(job).json == 1
    assert rig.request("DELETE", f"/action/{job}?x=1").status == 400


@test
def a_key_without_the_triggers_scope_cancels_nothing(rig):
    made = rig.request("POST", "/environment/api-keys", {"environment_id": 1, "display_name": "reader"},
                       key=rig.keys["SLUICE_ACCOUNT_KEY"]).json["data"]
    environment = rig.postgres.query("SELECT id FROM environment WHERE name = 'dev'")[0][0]
    rig.postgres.query(f"UPDATE api_key SET scopes = 'environment:records:read', environment_id = {environment}"
                       f" WHERE id = {int(made['id'])}")
    job = rig.submit("sleep", {"ms": 300})
    assert cancel(rig, job, key=made["secret"]).status == 403
    assert rig.finish(job).status == 200


@test
def a_queued_job_is_never_started_and_the_next_one_is(rig):
    first = rig.submit("call", {"endpoint": "/hang/q1"})
    rig.witness.wait_seen("/hang/q1")
    queued = rig.submit("call", {"endpoint": "/ok/queued"})
    last = rig.submit("call", {"endpoint": "/ok/last"})
    done = cancel(rig, queued)
    assert done.status == 200 and done.json == {"success": True}, done
    assert_cancelled(rig, queued)
    assert cancel(rig, queued).status == 409
    rig.witness.release("q1")
    assert rig.finish(first).status == 200 and rig.finish(last).status == 200
    assert rig.witness.seen("/ok/queued") == []
    assert_cancelled(rig, queued)


@test
def jobs_cancelled_deep_in_a_key_that_the_worker_keeps_are_not_started(rig):
    first = rig.submit("call", {"endpoint": "/hang/deep"})
    rig.witness.wait_seen("/hang/deep")
    jobs = [rig.submit("call", {"endpoint": f"/ok/deep{n}"}) for n in range(40)]
    gone = jobs[1::2]
    for job in gone:
        assert cancel(rig, job).status == 200
    rig.witness.release("deep")
    assert rig.finish(first).status == 200
    for n, job in enumerate(jobs):
        assert rig.finish(job).status == (410 if n % 2 else 200), n
        assert len(rig.witness.seen(f"/ok/deep{n}")) == (0 if n % 2 else 1), n
    # A start that the ledger had to refuse would be logged.
    refused = [line for node in rig.nodes for line in node.log().splitlines() if "begin_refused" in line]
    assert not any(job in line for job in gone for line in refused), refused


@test
def a_job_that_runs_before_its_first_effect_has_none_and_the_next_one_waits_for_its_return(rig):
    job = rig.submit("sleep_call", {"ms": 1200, "name": "early"})
    running(rig, job)
    began = time.monotonic()
    after = rig.submit("echo", "after")
    assert cancel(rig, job).status == 200
    assert_cancelled(rig, job)
    assert rig.finish(after, 4).json == "after"
    took = time.monotonic() - began
    print(f"# the next job of its key had ended after {took * 1000:.0f} ms")
    assert 0.8 < took < 3, "the next job ran beside it, or it was not told that it is refused"
    assert rig.witness.seen("/ok/early") == []


@test
def a_job_that_runs_after_effects_makes_no_further_request(rig):
    job = rig.submit("twice", {"name": "mid"}, retries=3)
    rig.witness.wait_seen("/hang/mid")
    after = rig.submit("echo", "after")
    assert cancel(rig, job).status == 200
    assert_cancelled(rig, job)
    assert rig.finish(after, 3).json == "after"
    rig.witness.release("mid")
    time.sleep(0.5)
    assert rig.witness.seen("/ok/mid") == [] and len(rig.witness.seen("/hang/mid")) == 1
    assert_cancelled(rig, job)


@test
def a_function_that_only_computes_is_killed_when_its_time_to_return_is_over(rig):
    job = rig.submit("spin")
    running(rig, job)
    began = time.monotonic()
    assert cancel(rig, job).status == 200
    assert_cancelled(rig, job)
    assert rig.finish(rig.submit("echo", "free"), 8).json == "free"
    assert 4.8 < time.monotonic() - began < 7


@test
def a_job_that_waits_for_its_retry_is_not_tried_again(rig):
    job = rig.submit("boom", retries=3)
    wait_until("a retry waits", lambda: state(rig, job) == "retrying")
    tries = rig.postgres.query(f"SELECT count(*) FROM attempt WHERE job_id = '{job}'")
    assert cancel(rig, job).status == 200
    assert_cancelled(rig, job)
    time.sleep(1.5)
    assert rig.postgres.query(f"SELECT count(*) FROM attempt WHERE job_id = '{job}'") == tries
    assert_cancelled(rig, job)


@test
def a_delayed_job_is_never_started(rig):
    job = rig.submit("call", {"endpoint": "/ok/delayed"}, headers={"X-Delay": "1"})
    assert cancel(rig, job).status == 200
    assert_cancelled(rig, job)
    time.sleep(2.2)
    assert rig.witness.seen("/ok/delayed") == []


@test
def who_waits_for_the_result_has_it_at_once(rig):
    job = rig.submit("sleep", {"ms": 5000})
    running(rig, job)
    answers = []
    waiter = threading.Thread(target=lambda: answers.append(rig.request("GET", f"/action/{job}?wait=20")))
    waiter.start()
    time.sleep(0.3)
    began = time.monotonic()
    assert cancel(rig, job).status == 200
    waiter.join(10)
    assert answers[0].status == 410 and time.monotonic() - began < 1.5, answers


@test
def of_many_cancels_at_once_one_wins(rig):
    job = rig.submit("sleep", {"ms": 3000})
    running(rig, job)
    answers = []
    clients = [threading.Thread(target=lambda: answers.append(cancel(rig, job).status)) for _ in range(8)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(10)
    assert sorted(answers) == [200] + [409] * 7, answers
    assert_cancelled(rig, job)


@test(seconds=60)
def cancels_that_race_with_the_end_leave_one_result(rig):
    for n in range(30):
        job = rig.submit("echo", n)
        time.sleep(0.0005 * (n % 10))
        status = cancel(rig, job).status
        assert status in (200, 409), status
        answer = rig.finish(job)
        assert answer.status == (410 if status == 200 else 200), (status, answer)
        assert rig.postgres.query(f"SELECT count(*) FROM result WHERE job_id = '{job}'") == [["1"]]


@test(seconds=60)
def a_job_cancelled_before_it_began_makes_no_request_however_close_the_race(rig):
    before, after = 0, 0
    for n in range(80):
        job = rig.submit("call", {"endpoint": f"/ok/race{n}"}, node=rig.nodes[n % 2])
        time.sleep(0.0007 * (n % 12))
        status = cancel(rig, job, node=rig.nodes[n // 2 % 2]).status
        begun = rig.postgres.query(f"SELECT attempt FROM result WHERE job_id = '{job}'") != [["0"]]
        if status == 200 and not begun:
            before += 1
            time.sleep(0.02)
            assert rig.witness.seen(f"/ok/race{n}") == [], n
        after += begun
    for n in range(80):
        assert len(rig.witness.seen(f"/ok/race{n}")) <= 1
    print(f"# cancelled before the begin: {before}, begun or ended before: {after}")
    assert before > 0 and after > 0, "the cancels came all on one side"
    assert rig.finish(rig.submit("echo", 1)).json == 1


@test(seconds=60)
def a_job_is_cancelled_through_a_node_that_does_not_run_it(rig):
    for n in range(6):  # whichever node took it, both are asked
        job = rig.submit("twice", {"name": f"two{n}"}, node=rig.nodes[n % 2])
        rig.witness.wait_seen(f"/hang/two{n}")
        assert cancel(rig, job, node=rig.nodes[(n // 2) % 2]).status == 200
        assert_cancelled(rig, job, node=rig.nodes[0])
        assert_cancelled(rig, job, node=rig.nodes[1])
        wait_until("the run was ended", lambda: any(
            "job_cancelled" in line and job in line and "running=1" in line
            for node in rig.nodes for line in node.log().splitlines()), 3)
        after = rig.submit("echo", n + 1)
        assert rig.finish(after, 5).json == n + 1
        rig.witness.release(f"two{n}")
        time.sleep(0.2)
        assert rig.witness.seen(f"/ok/two{n}") == []


@test(seconds=60)
def a_cancel_whose_notice_is_missed_ends_the_run_all_the_same(rig):
    job = rig.submit("sleep_call", {"ms": 4000, "name": "missed"})
    running(rig, job)
    # Cancelled by hand, without a notice; then the connections that would have told are cut.
    rig.postgres.query(f"INSERT INTO result (job_id, attempt, state, session_id, output) VALUES ('{job}', 0, 3, 0,"
                       " '{\"code\":\"script_aborted\"}')")
    rig.postgres.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sluiced account'")
    wait_until("the run was ended", lambda: any(
        "job_cancelled" in line and job in line for node in rig.nodes for line in node.log().splitlines()), 3)
    time.sleep(4)
    assert rig.witness.seen("/ok/missed") == []


@test(seconds=60)
def a_cancelled_job_stays_cancelled_when_redis_forgets_everything(rig):
    first = rig.submit("call", {"endpoint": "/hang/flush"})
    rig.witness.wait_seen("/hang/flush")
    job = rig.submit("call", {"endpoint": "/ok/flushed"})
    assert cancel(rig, job).status == 200
    rig.redis.command("FLUSHALL")
    rig.witness.release("flush")
    assert rig.finish(first).status == 200
    assert rig.finish(rig.submit("echo", 1), 30).json == 1
    assert_cancelled(rig, job)
    assert rig.witness.seen("/ok/flushed") == []


main(lambda: Rig(nodes=2, settings={"lease_ttl": "2s"}, prepare=lambda rig: rig.prepare(FUNCTIONS)))
