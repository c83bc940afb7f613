"""One fault at the worst point each, then the whole history is checked: nothing lost, nothing started twice that may not
be, never two of one key at once, and the key goes on."""
import http.client
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from history import check
from rig import Rig, build_directory, wait_until
from tap import main, test

BEGUN = ("attempt_begun", "result_known")  # here a job without retries is lost with its worker
TTL = 1.0  # lease_ttl of these nodes, seconds
FUNCTIONS = {
    "echo": "return input;",
    "size": "return { n: input.n, size: input.text.length };",
    "call": "const r = await nango.get({ endpoint: input.path, params: { n: String(input.n), ms: '10' } }); return input.n;",
    "twice": "await nango.get({ endpoint: '/hang/' + input.name }); await nango.get({ endpoint: '/ok/' + input.name });"
             "return 'both';",
}


def has_points():
    with open(f"{build_directory()}/sluiced", "rb") as file:
        return b"is not name=kill" in file.read()


def start(rig):
    """Both nodes run."""
    for node in rig.nodes:
        if node.process is None or node.process.poll() is not None:
            node.environment = {}
            node.start()


def calls_of(rig, path, numbers, node, retries=0):
    """{n: job} for n of numbers: each calls path once."""
    return {n: rig.submit("call", {"path": path, "n": n}, retries=retries, node=node,
                          headers={"Idempotency-Key": f"{path}-{n}"}) for n in numbers}


def finish_all(rig, jobs, node, seconds=30):
    return {n: rig.finish(job, seconds, node=node) for n, job in jobs.items()}


def kill_at(point, visit, retries):
    @test(name=f"a_worker_killed_at_{point}_with_{retries}_retries_loses_no_job_and_starts_none_too_often", seconds=60)
    def _(rig):
        path, jobs, victim = f"/slow/{point}{retries}", {}, rig.nodes[0]
        for node in rig.nodes:
            node.stop()
        victim.environment = {"SLUICE_FAULT": f"{point}=kill@{visit}"}
        victim.start()
        for n in range(12):
            try:
                jobs.update(calls_of(rig, path, [n], victim, retries))
                time.sleep(0.03)  # time for its push: a job that is left to the sweep costs 10 s
            except (OSError, http.client.HTTPException):
                break
        wait_until(f"{point} is reached", lambda: victim.process.poll() is not None, 10)
        rig.nodes[1].start()
        jobs.update(calls_of(rig, path, [n for n in range(16) if n not in jobs], rig.nodes[1], retries))
        finish_all(rig, jobs, rig.nodes[1])
        assert len(set(jobs.values())) == 16
        states = check(rig, jobs, path, retries)
        lost = [n for n, job in jobs.items() if states[job] != "succeeded"]
        assert len(lost) <= (1 if not retries and point in BEGUN else 0), lost


if has_points():
    for point, visit in (("accept_committed", 6), ("turn_claimed", 1), ("attempt_start", 2),
                         ("attempt_begun", 2), ("result_known", 2), ("result_committed", 2)):
        kill_at(point, visit, 0)
    kill_at("attempt_begun", 3, 1)


@test(name="large_inputs_among_small_ones_run_one_by_one_once_each", seconds=60)
def _(rig):
    start(rig)
    rig.nodes[1].stop()
    gate = rig.submit("twice", {"name": "sizes"})
    rig.witness.wait_seen("/hang/sizes")
    sizes = [17_000 if n % 2 else 10 for n in range(40)] + [5_000_000]  # all wait, so a turn takes several
    jobs = [rig.submit("size", {"n": n, "text": "x" * size}) for n, size in enumerate(sizes)]
    rig.witness.release("sizes")
    assert rig.finish(gate).json == "both"
    assert [rig.finish(job).json for job in jobs] == [{"n": n, "size": size} for n, size in enumerate(sizes)]
    log = rig.nodes[0].log()
    assert not [job for job in jobs if f"job={job}" in log], "one was started twice"
    assert rig.nodes[0].process.poll() is None


@test(name="an_entry_that_stands_twice_in_its_queue_runs_once_and_the_key_goes_on", seconds=60)
def _(rig):
    start(rig)
    rig.nodes[1].stop()
    first = rig.submit("twice", {"name": "double"})
    rig.witness.wait_seen("/hang/double")
    jobs = calls_of(rig, "/slow/double", range(3), rig.nodes[0])
    queue = [k for k in rig.redis.command("KEYS", "sluice:*:q:*") if rig.redis.command("LLEN", k) == 4]
    assert len(queue) == 1, queue
    for entry in rig.redis.command("LRANGE", queue[0], 1, 3):
        rig.redis.command("RPUSH", queue[0], entry)
    jobs.update(calls_of(rig, "/slow/double", [3], rig.nodes[0]))
    rig.witness.release("double")
    finish_all(rig, {**jobs, "first": first}, rig.nodes[0], 10)
    check(rig, jobs, "/slow/double", exact=True)


@test(name="after_a_flush_other_keys_of_a_worker_with_a_long_run_go_on_and_the_run_ends_well", seconds=60)
def _(rig):
    start(rig)
    rig.nodes[1].stop()
    long = rig.submit("twice", {"name": "long"})
    rig.witness.wait_seen("/hang/long")
    assert rig.finish(rig.submit("echo", "prod", env="prod"), env="prod").json == "prod"  # node 0 holds that key, too
    rig.nodes[1].start()
    rig.redis.command("FLUSHALL")
    began = time.monotonic()
    jobs = [rig.submit("echo", n, env="prod") for n in range(1, 4)]
    assert [rig.finish(job, 10, env="prod").json for job in jobs] == [1, 2, 3]
    print(f"# after {time.monotonic() - began:.1f} s")
    time.sleep(max(0.0, began + 2 * TTL - time.monotonic()))
    behind = rig.submit("echo", "behind")  # waits for the long run
    assert rig.poll(behind).status == 404
    rig.witness.release("long")
    assert rig.finish(long, 10).json == "both", rig.finish(long)
    assert rig.finish(behind, 10).json == "behind"
    assert len(rig.witness.seen("/hang/long")) == 1 and len(rig.witness.seen("/ok/long")) == 1


@test(name="a_redis_that_is_away_longer_than_a_lease_fails_nothing_that_runs", seconds=60)
def _(rig):
    start(rig)
    job = rig.submit("twice", {"name": "away"})
    rig.witness.wait_seen("/hang/away")
    rig.redis.stop()
    time.sleep(2 * TTL)
    rig.witness.release("away")
    try:
        assert rig.finish(job, 10).json == "both", rig.finish(job)
    finally:
        rig.redis.start()
    assert rig.finish(rig.submit("echo", "after"), 10).json == "after"


@test(name="a_postgres_that_is_away_between_two_calls_of_a_run_fails_nothing_and_makes_no_call", seconds=60)
def _(rig):
    start(rig)
    job = rig.submit("twice", {"name": "pg"})
    rig.witness.wait_seen("/hang/pg")
    rig.postgres.stop(immediate=True)
    time.sleep(TTL)  # no good beat any more
    rig.witness.release("pg")
    time.sleep(TTL)
    silent = not rig.witness.seen("/ok/pg")
    rig.postgres.start()
    assert silent, "a call without a good beat"
    wait_until("the node polls again", lambda: rig.poll(job).status != 503, 10)
    assert rig.finish(job, 20).json == "both", rig.finish(job)
    for node in rig.nodes:
        node.wait_ready()


@test(name="a_worker_whose_session_was_ended_goes_on_under_a_new_one", seconds=60)
def _(rig):
    start(rig)
    rig.nodes[1].stop()
    assert rig.finish(rig.submit("echo", "before")).json == "before"
    for n in range(1, 9):  # at some of these the first to notice is a claim, not a beat
        rig.postgres.query("UPDATE session SET live = false WHERE live")
        assert rig.finish(rig.submit("echo", n, env="prod" if n % 2 else "dev"), 10, env="prod" if n % 2 else "dev").json == n


@test(name="one_idempotency_key_from_20_threads_on_two_nodes_is_one_job", seconds=60)
def _(rig):
    start(rig)
    found, lock = [], threading.Lock()

    def ask(n):
        job = rig.submit("call", {"path": "/slow/once", "n": 0}, node=rig.nodes[n % 2], headers={"Idempotency-Key": "once"})
        with lock:
            found.append(job)
    threads = [threading.Thread(target=ask, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20 and len(set(found)) == 1, found
    rig.finish(found[0])
    check(rig, {0: found[0]}, "/slow/once", exact=True)


@test(name="nodes_stopped_one_after_the_other_under_load_lose_nothing_and_start_nothing_twice", seconds=60)
def _(rig):
    start(rig)
    jobs = {}
    for n in range(30):
        jobs.update(calls_of(rig, "/slow/rolling", [n], rig.nodes[n % 2]))
        if n in (9, 19):
            victim, other = rig.nodes[n // 10], rig.nodes[1 - n // 10]
            victim.process.send_signal(signal.SIGTERM)
            jobs.update(calls_of(rig, "/slow/rolling", range(100 * n, 100 * n + 5), other))
            assert victim.process.wait(15) == 0
            victim.start()
    finish_all(rig, jobs, rig.nodes[0])
    states = check(rig, jobs, "/slow/rolling")
    assert set(states.values()) == {"succeeded"}, states


def prepare(rig):
    rig.prepare(FUNCTIONS)
    rig.prepare(FUNCTIONS, env="prod")


main(lambda: Rig(nodes=2, settings={"lease_ttl": f"{TTL:g}s", "retry_first": "100ms", "drain_timeout": "10s", "runners": "3"},
                 prepare=prepare))
