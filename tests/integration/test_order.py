"""Async actions of one environment run one at a time, in the order accepted; environments do not wait for one another."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig
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
def a_job_that_waits_for_its_retry_lets_the_next_one_pass(rig):
    rig.witness.script("late", [(500, {}, {})])
    first = rig.submit("step", {"endpoint": "/script/late"}, retries=1)
    second = rig.submit("step", {"endpoint": "/ok/passed"})
    assert rig.finish(second).status == 200
    assert rig.finish(first).status == 200
    assert len(rig.witness.seen("/script/late")) == 2


def prepare(rig):
    for env in ("dev", "prod"):
        rig.prepare({"step": CALL}, env)


main(lambda: Rig(nodes=2, settings={"retry_first": "1s"}, prepare=prepare))
