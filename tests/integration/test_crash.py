"""Processes and servers die at the worst moment: an accepted job still ends, once, and never starts too often."""
import contextlib
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, wait_until
from tap import main, test

TTL = 1.0  # lease_ttl of these nodes, seconds
FUNCTIONS = {
    "echo": "return input;",
    "call": "const r = await nango.get({ endpoint: input.endpoint, params: input.params }); return r.data;",
    "twice": "await nango.get({ endpoint: '/hang/' + input.name }); await nango.get({ endpoint: '/ok/' + input.name });"
             "return 'both';",
}


def one(rig):
    """Only node 0 runs."""
    rig.nodes[1].stop()
    if rig.nodes[0].process is None or rig.nodes[0].process.poll() is not None:
        rig.nodes[0].start()


def both(rig):
    for node in rig.nodes:
        if node.process is None or node.process.poll() is not None:
            node.start()


def fleet(function):
    """Each test begins and ends with both nodes running."""
    def run(rig):
        both(rig)
        try:
            function(rig)
        finally:
            both(rig)
    return run


def results_of(rig, job):
    return rig.postgres.query(f"SELECT count(*) FROM result WHERE job_id = '{job}'")[0][0]


@test(name="kill_9_right_after_the_202_loses_no_job", seconds=120)
@fleet
def _(rig):
    one(rig)
    jobs = []
    for n in range(30):
        jobs.append(rig.submit("call", {"endpoint": "/slow", "params": {"ms": "20", "n": str(n)}}, retries=1))
    rig.nodes[0].kill()
    assert len(rig.witness.seen("/slow")) < 30, "the kill came too late to test anything"
    rig.nodes[0].start()
    for job in jobs:
        assert rig.finish(job).status == 200
        assert results_of(rig, job) == "1"
    for n in range(30):
        assert 1 <= sum(c.query["n"] == str(n) for c in rig.witness.seen("/slow")) <= 2


@test(name="a_job_without_retries_whose_worker_is_killed_ends_as_worker_lost_and_is_not_started_again", seconds=90)
@fleet
def _(rig):
    one(rig)
    job = rig.submit("call", {"endpoint": "/hang/lost"})
    rig.witness.wait_seen("/hang/lost")
    rig.nodes[1].start()
    rig.nodes[0].kill()
    answer = rig.finish(job, node=rig.nodes[1])
    assert answer.status == 500 and answer.code == "action_script_failure", answer
    assert "worker_lost" in answer.json["error"]["payload"]["error"], answer
    rig.witness.release("lost")
    assert len(rig.witness.seen("/hang/lost")) == 1


@test(name="a_job_with_a_retry_whose_worker_is_killed_is_run_again_by_the_other_node", seconds=90)
@fleet
def _(rig):
    one(rig)
    job = rig.submit("call", {"endpoint": "/hang/again"}, retries=1)
    rig.witness.wait_seen("/hang/again")
    rig.nodes[1].start()
    killed = time.monotonic()
    rig.nodes[0].kill()
    rig.witness.wait_seen("/hang/again", 2, 20)
    print(f"# taken over after {time.monotonic() - killed:.1f} s (lease {TTL:g} s)")
    assert time.monotonic() - killed < 10
    rig.witness.release("again")
    assert rig.finish(job, node=rig.nodes[1]).status == 200
    assert results_of(rig, job) == "1"


@test(name="the_next_jobs_of_a_killed_workers_key_go_on", seconds=90)
@fleet
def _(rig):
    one(rig)
    rig.submit("call", {"endpoint": "/hang/first"})
    rig.witness.wait_seen("/hang/first")
    jobs = [rig.submit("echo", n) for n in range(1, 6)]
    rig.nodes[1].start()
    rig.nodes[0].kill()
    assert [rig.finish(job, node=rig.nodes[1]).json for job in jobs] == list(range(1, 6))
    rig.witness.release("first")


def leads(node):
    """Did the scheduler of this process take the leadership?"""
    return any("scheduler_leads" in line and f":{node.process.pid}" in line for line in node.log().splitlines())


def freeze(rig, name, job):
    """Node 0 stands still in the first of the job's two calls; node 1 takes it over, then node 0 wakes."""
    rig.nodes[0].process.send_signal(signal.SIGSTOP)
    try:
        rig.witness.wait_seen(f"/hang/{name}", 2, 20)
        rig.witness.release(name)
        assert rig.finish(job, node=rig.nodes[1]).json == "both"
        assert len(rig.witness.seen(f"/ok/{name}")) == 1
    finally:
        rig.nodes[0].process.send_signal(signal.SIGCONT)
    wait_until("the woken node is ready again", lambda: rig.request("GET", "/ready", key=None).status == 200, 20)
    time.sleep(2 * TTL)  # time enough for a call that must not come
    assert len(rig.witness.seen(f"/ok/{name}")) == 1, "the stale worker called the provider"
    assert results_of(rig, job) == "1"
    assert rig.finish(rig.submit("echo", "after")).json == "after"


@test(name="a_frozen_worker_that_wakes_after_its_lease_sends_no_further_request_and_its_result_is_dropped", seconds=120)
@fleet
def _(rig):
    for node in rig.nodes:
        node.stop()
    rig.nodes[0].settings["role"] = "api,worker"
    rig.nodes[1].settings["role"] = "api,scheduler"  # leads, and leaves the job to node 0
    try:
        for node in rig.nodes:
            node.start()
        job = rig.submit("twice", {"name": "frozen"}, retries=1)
        rig.witness.wait_seen("/hang/frozen")
        rig.nodes[1].stop()
        rig.nodes[1].settings["role"] = None
        rig.nodes[1].start()
        wait_until("node 1 leads", lambda: leads(rig.nodes[1]), 20)
        freeze(rig, "frozen", job)
    finally:
        for node in rig.nodes:
            node.settings["role"] = None
        rig.nodes[0].stop()


@test(name="a_frozen_leader_is_replaced_and_its_jobs_go_on", seconds=120)
@fleet
def _(rig):
    one(rig)
    wait_until("node 0 leads", lambda: leads(rig.nodes[0]), 20)
    job = rig.submit("twice", {"name": "leader"}, retries=1)
    rig.witness.wait_seen("/hang/leader")
    rig.nodes[1].start()
    freeze(rig, "leader", job)


@test(name="a_flushed_redis_loses_no_job_and_nothing_overlaps", seconds=120)
@fleet
def _(rig):
    jobs = [rig.submit("call", {"endpoint": "/slow/flush", "params": {"ms": "30", "n": str(n)}}, retries=2) for n in range(40)]
    rig.witness.wait_seen("/slow/flush", 3)
    rig.redis.command("FLUSHALL")
    for job in jobs:
        assert rig.finish(job, 60).status == 200
        assert results_of(rig, job) == "1"
    calls = sorted(rig.witness.seen("/slow/flush"), key=lambda c: c.began)
    assert all(b.began >= a.ended for a, b in zip(calls, calls[1:])), "two ran at once"
    assert len(calls) == 40, f"{len(calls) - 40} started twice though no worker was lost"


@test(name="with_redis_away_a_trigger_is_still_accepted_and_runs_when_it_is_back", seconds=120)
@fleet
def _(rig):
    rig.redis.stop()
    jobs = [rig.submit("echo", n) for n in range(1, 6)]
    assert rig.call("echo", "sync").json == "sync", "a sync call needs no Redis"
    rig.redis.start()
    assert [rig.finish(job, 60).json for job in jobs] == list(range(1, 6))


@test(name="with_postgres_away_accept_and_poll_are_503_and_nothing_is_lost", seconds=120)
@fleet
def _(rig):
    done = rig.submit("echo", "before")
    assert rig.finish(done).json == "before"
    rig.postgres.stop(immediate=True)
    try:
        def refused():
            answer = rig.call("echo", 1, {"X-Async": "true"})
            assert answer.status in (202, 503), answer
            return answer.status == 503
        wait_until("a trigger is refused", refused, 30, every=0.1)
        answer = rig.poll(done)
        assert answer.status == 503 and "retry-after" in answer.headers, answer
        assert rig.request("GET", "/health", key=None).status == 200
        assert rig.request("GET", "/ready", key=None).status == 503
    finally:
        rig.postgres.start()
    for node in rig.nodes:
        node.wait_ready(60)
    assert rig.poll(done).json == "before"
    assert rig.finish(rig.submit("echo", "after"), 60).json == "after"


@test(name="a_connection_to_postgres_that_is_cut_again_and_again_doubles_and_loses_nothing", seconds=120)
@fleet
def _(rig):
    jobs = []
    for n in range(40):
        if n % 5 == 0:
            rig.postgres.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'sluiced%'")

        def submit(n=n):
            answer = rig.call("echo", n + 1, {"X-Async": "true", "X-Max-Retries": "3", "Idempotency-Key": f"cut-{n}"})
            assert answer.status in (202, 503), answer
            return answer.json["id"] if answer.status == 202 else None
        jobs.append(wait_until("accepted", submit, 30, every=0.1))
    assert len(set(jobs)) == 40
    assert [rig.finish(job, 60).json for job in jobs] == list(range(1, 41))


@test(name="sigterm_lets_what_runs_finish_and_exits_0", seconds=90)
@fleet
def _(rig):
    one(rig)
    job = rig.submit("call", {"endpoint": "/slow/drain", "params": {"ms": "1500"}})
    rig.witness.wait_seen("/slow/drain")
    assert rig.nodes[0].stop() == 0
    rig.nodes[0].start()
    assert rig.finish(job).status == 200 and len(rig.witness.seen("/slow/drain")) == 1


@test(name="a_runner_that_is_killed_fails_its_job_and_the_node_goes_on", seconds=90)
@fleet
def _(rig):
    one(rig)
    job = rig.submit("call", {"endpoint": "/hang/runner"})
    rig.witness.wait_seen("/hang/runner")
    for victim in runners_of(rig.nodes[0].process.pid):
        with contextlib.suppress(ProcessLookupError):  # the first one takes the others along
            os.kill(victim, signal.SIGKILL)
    answer = rig.finish(job)
    assert answer.status == 500 and answer.code == "action_script_failure", answer
    rig.witness.release("runner")
    assert rig.finish(rig.submit("echo", "next")).json == "next"


def runners_of(pid):
    """Processes of sluice-runner below pid, the deepest last."""
    table = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    head, _, tail = file.read().rpartition(")")
            except (FileNotFoundError, ProcessLookupError):
                continue
            table[int(name)] = (int(tail.split()[1]), head.partition("(")[2])
    found, wave = [], [pid]
    while wave:
        wave = [p for p, (parent, _) in table.items() if parent in wave]
        found += wave
    return [p for p in found if table[p][1].startswith("sluice-runner"[:15])]


main(lambda: Rig(nodes=2, settings={"lease_ttl": f"{TTL:g}s", "retry_first": "100ms", "drain_timeout": "10s"},
                 prepare=lambda rig: rig.prepare(FUNCTIONS)))
