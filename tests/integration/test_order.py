"""Async actions of one environment run one at a time, in the order accepted; environments do not wait for one another."""
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from proxy import Proxy
from rig import Rig, wait_until
from tap import main, test

CALL = "const r = await nango.get({ endpoint: input.endpoint, params: input.params }); return r.data;"


def overlaps(calls):
    calls = sorted(calls, key=lambda c: c.began)
    return [(a.query, b.query) for a, b in zip(calls, calls[1:]) if b.began < a.ended]


@test
def forty_jobs_run_in_order_without_overlap(rig):
    jobs = [rig.submit("step", {"endpoint": "/slow", "params": {"ms": "15", "n": str(n)}}) for n in range(40)]
    assert all(rig.finish(job).status == 200 for job in jobs)
    calls = rig.witness.seen("/slow")
    assert [int(c.query["n"]) for c in calls] == list(range(40)), [c.query["n"] for c in calls]
    assert not overlaps(calls), overlaps(calls)


@test
def jobs_that_arrive_together_do_not_overlap_either(rig):
    jobs = []

    def submit(part):
        for n in range(8):
            jobs.append(rig.submit("step", {"endpoint": "/slow/burst", "params": {"ms": "5", "n": f"{part}-{n}"}}))
    threads = [threading.Thread(target=submit, args=(part,)) for part in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(jobs) == 48 and all(rig.finish(job).status == 200 for job in jobs)
    calls = rig.witness.seen("/slow/burst")
    assert len(calls) == 48 and not overlaps(calls), overlaps(calls)
    for part in range(6):  # each submitter saw its 202 before it sent the next: its jobs keep their order
        mine = [c.query["n"] for c in calls if c.query["n"].startswith(f"{part}-")]
        assert mine == [f"{part}-{n}" for n in range(8)], mine


@test
def another_environment_does_not_wait(rig):
    held = rig.submit("step", {"endpoint": "/hang/dev"})
    rig.witness.wait_seen("/hang/dev")
    waiting = rig.submit("step", {"endpoint": "/ok"})
    other = rig.submit("step", {"endpoint": "/ok/prod"}, env="prod")
    assert rig.finish(other, env="prod").status == 200
    assert rig.poll(waiting).status == 404
    rig.witness.release("dev")
    assert rig.finish(held).status == 200 and rig.finish(waiting).status == 200


@test
def a_sync_call_does_not_wait_behind_async_jobs(rig):
    held = rig.submit("step", {"endpoint": "/hang/sync"})
    rig.witness.wait_seen("/hang/sync")
    assert rig.call("step", {"endpoint": "/ok/now"}).status == 200
    rig.witness.release("sync")
    assert rig.finish(held).status == 200


@test
def large_inputs_among_small_ones_run_one_by_one_once_each(rig):
    gate = rig.submit("step", {"endpoint": "/hang/sizes"})
    rig.witness.wait_seen("/hang/sizes")
    sizes = [17_000 if n % 2 else 10 for n in range(40)] + [5_000_000]  # all wait, so a turn takes several
    jobs = [rig.submit("size", {"n": n, "text": "x" * size}) for n, size in enumerate(sizes)]
    rig.witness.release("sizes")
    assert rig.finish(gate).status == 200
    assert [rig.finish(job).json for job in jobs] == [{"n": n, "size": size} for n, size in enumerate(sizes)]
    for node in rig.nodes:
        assert not [job for job in jobs if f"job={job}" in node.log()], "one was started twice"
        assert node.process.poll() is None


@test
def a_job_that_waits_for_its_retry_lets_the_next_one_pass(rig):
    rig.witness.script("late", [(500, {}, {})])
    first = rig.submit("step", {"endpoint": "/script/late"}, retries=1)
    second = rig.submit("step", {"endpoint": "/ok/passed"})
    assert rig.finish(second).status == 200
    assert rig.finish(first).status == 200
    assert len(rig.witness.seen("/script/late")) == 2


@test
def a_job_whose_202_was_seen_starts_before_one_asked_of_another_node_later(rig):
    """One node's Redis is slow: its push comes after the other's unless its 202 waits for it.  The key is idle before
    each pair, so that whatever is pushed first starts first."""
    nodes = [rig.nodes[2], rig.nodes[0]]
    rig.proxy.delay(0.02)
    try:
        for pair in range(100):
            jobs = [rig.submit("step", {"endpoint": f"/ok/pair{pair}", "params": {"n": str(n)}}, node=nodes[(pair + n) % 2])
                    for n in range(2)]
            rig.witness.wait_seen(f"/ok/pair{pair}", 2)
            seen = [call.query["n"] for call in rig.witness.seen(f"/ok/pair{pair}")]
            assert seen == ["0", "1"], f"pair {pair}: {seen}"
            assert all(rig.finish(job).status == 200 for job in jobs)
    finally:
        rig.proxy.calm()


def accepted(rig, node, limit):
    """A 202 within limit seconds; how long it took."""
    before = time.monotonic()
    job = rig.submit("step", {"endpoint": "/ok/late"}, node=node, seconds=10)
    took = time.monotonic() - before
    assert took < limit, f"{took:.2f} s"
    return job, took


@test
def a_202_waits_for_a_redis_that_hangs_no_longer_than_a_second(rig):
    node = rig.nodes[2]
    os.kill(rig.redis.process.pid, signal.SIGSTOP)
    try:
        jobs = [accepted(rig, node, 1.8)]
        assert jobs[0][1] > 0.9, "it did not wait for its push"
        jobs += [accepted(rig, node, 1.8)]
    finally:
        os.kill(rig.redis.process.pid, signal.SIGCONT)
    assert [rig.finish(job, 30).status for job, _ in jobs] == [200, 200]


@test
def a_202_does_not_wait_for_a_redis_that_is_known_to_be_away(rig):
    node = rig.nodes[2]
    rig.redis.stop()
    try:
        wait_until("the node knows", lambda: rig.request("GET", "/ready", key=None, node=node).status == 503, 10)
        jobs = [accepted(rig, node, 0.5)[0] for _ in range(3)]
    finally:
        rig.redis.start()
    assert [rig.finish(job, 30).status for job in jobs] == [200] * 3


@test
def a_202_does_not_wait_for_a_queue_that_nobody_has_built(rig):
    """Whoever leads stands still meanwhile, for less than a lease."""
    node = rig.nodes[2]
    for other in rig.nodes[:2]:
        os.kill(other.process.pid, signal.SIGSTOP)
    try:
        rig.redis.command("FLUSHALL")
        jobs = [accepted(rig, node, 1.8)[0]]  # this one finds out
        jobs += [accepted(rig, node, 0.5)[0] for _ in range(3)]
    finally:
        for other in rig.nodes[:2]:
            os.kill(other.process.pid, signal.SIGCONT)
    assert [rig.finish(job, 30).status for job in jobs] == [200] * 4


@test
def a_node_that_has_not_heard_of_a_rebuild_pushes_its_next_job_again_at_once(rig):
    """Only the sweep would find it otherwise, some ten seconds later."""
    rig.redis.command("FLUSHALL")
    wait_until("the queue is built anew", lambda: rig.redis.command("GET", "sluice:{s00}:epoch"), 15)
    before = time.monotonic()
    job = rig.submit("step", {"endpoint": "/ok/rebuilt", "params": {"n": "0"}}, node=rig.nodes[2])
    rig.witness.wait_seen("/ok/rebuilt", 1)
    took = time.monotonic() - before
    assert took < 4, took
    assert rig.finish(job).status == 200


def prepare(rig):
    rig.proxy = Proxy(f"{rig.directory}/slow", rig.redis.path)
    rig.nodes[2].settings.update(redis_url=f"unix://{rig.proxy.address}", role="api")
    for node in rig.nodes:
        node.start()
    rig.read_keys()
    for env in ("dev", "prod"):
        rig.prepare({"step": CALL, "size": "return { n: input.n, size: input.text.length };"}, env)


main(lambda: Rig(nodes=3, start=False, settings={"retry_first": "1s"}, prepare=prepare))
