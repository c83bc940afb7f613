"""What the right to a key costs: a lone job is two commits, and one that waits to claim has no effect before it does."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig
from servers import wait_until
from tap import main, test

FUNCTIONS = {
    "echo": "return input;",
    "call": "const r = await nango.get({ endpoint: input.path, params: { n: String(input.n) } }); return r.data.path;",
}


def holds(rig):
    """{key: (tenure, session)}"""
    return {key: (int(tenure), session) for key, tenure, session in
            rig.postgres.query("SELECT key_id, tenure, session_id FROM hold WHERE slot = 0")}


def tenure(rig, job):
    key = rig.postgres.query(f"SELECT key_id FROM job WHERE id = '{job}'")[0][0]
    return holds(rig)[key][0]


def transactions(rig):
    """Transactions that wrote something, so far."""
    return int(rig.postgres.query("SELECT pg_current_xact_id()")[0][0])


def handed_in(rig):
    """Nobody has a turn: what is held is held by a token."""
    held = rig.redis.command("HVALS", "sluice:{s00}:held")
    return all(value.startswith(b"-") for value in held)


def lone(rig, action, value):
    job = rig.submit(action, value)
    answer = rig.finish(job)
    assert answer.status == 200, answer
    wait_until("its turn is handed in", lambda: handed_in(rig), 5)
    return job


@test
def a_lone_job_without_effects_costs_two_commits(rig):
    first = lone(rig, "echo", 1)
    before, began = tenure(rig, first), transactions(rig)
    for n in range(1, 41):
        job = lone(rig, "echo", n)
    spent = transactions(rig) - began
    assert tenure(rig, job) == before, "a claim that was not needed"
    print(f"# {spent} transactions for 40 jobs")
    assert 80 <= spent <= 100, spent  # the beats of the session and of the leader are among them


def listeners(rig):
    """Ids of the clients that wait for the wake-up of a shard."""
    clients = rig.redis.command("CLIENT", "LIST").decode().splitlines()
    return [line.split()[0].split("=")[1] for line in clients if " cmd=blpop " in line]


@test
def a_worker_that_has_nothing_to_do_asks_behind_the_push_of_its_own_node(_):
    with Rig(settings={"lease_ttl": "60s"}) as rig:  # so that no renewal looks by chance
        rig.prepare({"echo": FUNCTIONS["echo"]})
        lone(rig, "echo", 0)
        stolen = []
        worker = listeners(rig)
        assert len(worker) == 1, worker
        thief = threading.Thread(target=lambda: stolen.append(rig.redis.command("BLPOP", "sluice:{s00}:wake", "30")))
        thief.start()  # it will be the first of those that wait
        wait_until("the thief listens", lambda: len(listeners(rig)) == 2, 5)
        rig.redis.command("CLIENT", "KILL", "ID", worker[0])
        wait_until("the worker listens again, behind it", lambda: len(set(listeners(rig)) - set(worker)) == 2, 10)
        began = time.monotonic()
        assert rig.finish(rig.submit("echo", 1)).status == 200
        took = time.monotonic() - began
        thief.join()
        assert stolen, "no wake-up was stolen"
        assert took < 3, took  # a worker that is not woken looks after 5 s


@test
def a_lone_job_with_an_effect_claims_once_before_it(rig):
    first = lone(rig, "echo", 1)
    before = tenure(rig, first)
    for n in range(5):
        lone(rig, "call", {"path": "/ok/lone", "n": n})
    assert tenure(rig, first) == before + 5
    assert len(rig.witness.seen("/ok/lone")) == 5


@test
def a_token_that_another_worker_has_used_gives_no_right_to_an_effect(rig):
    """Redis is put back to before another worker took the key, as by a failover to a replica that lags."""
    lone(rig, "echo", 1)
    job = lone(rig, "call", {"path": "/ok/stale", "n": 0})
    key = rig.postgres.query(f"SELECT key_id FROM job WHERE id = '{job}'")[0][0]
    token = rig.redis.command("HGET", "sluice:{s00}:held", key)
    rig.nodes[1].start()
    session = rig.postgres.query("SELECT max(id) FROM session WHERE live")[0][0]
    # What its claim would have written.
    rig.postgres.query(f"UPDATE hold SET tenure = tenure + 1, session_id = {session} WHERE key_id = {key} AND slot = 0")
    assert rig.redis.command("HGET", "sluice:{s00}:held", key) == token
    rig.nodes[1].process.send_signal(19)  # it has the key, and does not run
    try:
        waits = rig.submit("call", {"path": "/ok/stale", "n": 1})
        quiet = rig.submit("echo", 7)
        wait_until("the claim was refused", lambda: "claim_refused" in rig.nodes[0].log(), 10)
        assert len(rig.witness.seen("/ok/stale")) == 1, "an effect without the key"
        assert rig.poll(waits).status == 404
    finally:
        rig.nodes[1].process.send_signal(18)
    rig.nodes[1].stop()
    assert rig.finish(waits, 30).status == 200 and rig.finish(quiet, 30).json == 7
    assert [c.query["n"] for c in rig.witness.seen("/ok/stale")] == ["0", "1"]


@test
def a_cancelled_job_is_not_started_although_its_key_needs_no_claim(rig):
    lone(rig, "echo", 1)
    gate = rig.submit("call", {"path": "/hang/cancelled", "n": 0})
    rig.witness.wait_seen("/hang/cancelled")
    jobs = [rig.submit("call", {"path": "/ok/cancelled", "n": n}) for n in range(8)]
    for job in jobs[::2]:
        assert rig.request("DELETE", f"/action/{job}").status in (200, 202, 204)
    rig.witness.release("cancelled")
    assert rig.finish(gate).status == 200
    assert [rig.finish(job).status for job in jobs] == [410, 200] * 4
    assert [c.query["n"] for c in rig.witness.seen("/ok/cancelled")] == ["1", "3", "5", "7"]


@test
def jobs_cancelled_before_their_begin_have_no_effect_while_claims_wait_for_it(rig):
    jobs = {}
    for n in range(30):
        jobs[n] = rig.submit("call", {"path": "/ok/race", "n": n})
        thread = threading.Thread(target=rig.request, args=("DELETE", f"/action/{jobs[n]}"))
        thread.start()
        assert rig.finish(jobs[n]).status in (200, 410)
        thread.join(10)
    early = {job for job, in rig.postgres.query("SELECT job_id FROM result WHERE state = 3 AND attempt = 0")}
    called = {int(c.query["n"]) for c in rig.witness.seen("/ok/race")}
    assert not [n for n in called if jobs[n] in early], "a call of a job that was cancelled before it began"
    print(f"# cancelled before the begin: {sum(job in early for job in jobs.values())} of 30")


@test
def jobs_that_stand_twice_in_the_queue_do_not_hold_it_up(rig):
    """As after a rebuild of a queue whose jobs were being pushed meanwhile: each is in both lanes."""
    wait_until("the jobs of the test before are gone", lambda: not rig.redis.command("KEYS", "sluice:{s00}:[qf]:*"), 10)
    before = rig.nodes[0].log().count("begin_refused")
    blocker = rig.submit("call", {"path": "/slow/twice?ms=1500", "n": 99})
    rig.witness.wait_seen("/slow/twice", 1)
    jobs = [rig.submit("call", {"path": "/ok/twice", "n": n}) for n in range(40)]
    key = rig.postgres.query(f"SELECT key_id FROM job WHERE id = '{blocker}'")[0][0]
    waiting = rig.redis.command("LRANGE", f"sluice:{{s00}}:q:{key}", 1, -1)
    assert len(waiting) == 40
    rig.redis.command("RPUSH", f"sluice:{{s00}}:f:{key}", *waiting)
    rig.redis.command("SADD", "sluice:{s00}:fronts", key)
    for job in [blocker] + jobs:
        assert rig.finish(job).status == 200
    wait_until("the queue is empty", lambda: rig.redis.command("EXISTS", f"sluice:{{s00}}:q:{key}", f"sluice:{{s00}}:f:{key}") == 0, 10)
    assert sorted(int(c.query["n"]) for c in rig.witness.seen("/ok/twice")) == list(range(40))
    refused = rig.nodes[0].log().count("begin_refused") - before
    print(f"# {refused} runs were started for nothing")
    assert refused <= 2, "kept turns are not judged"


def prepare(rig):
    rig.nodes[0].start()
    rig.read_keys()
    rig.prepare(FUNCTIONS)


main(lambda: Rig(nodes=2, start=False, settings={"lease_ttl": "15s", "retry_first": "100ms", "log_level": "debug"},
                 prepare=prepare))
