"""F39: one tenant has far more work than the others; everybody asks for more than there is."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import Fleet, wait_until
from tap import main, test

BACKLOG = 1500


def fill(fleet, count, kind="none", threads=8, env="dev", **value):
    """That many jobs as fast as they are taken, and no part of the history; returns {status: how often}."""
    answers, lock = {}, threading.Lock()

    def submit(part):
        for n in range(part, count, threads):
            answer = fleet.call(kind, {"m": n, **value}, {"X-Async": "true"}, env=env)
            with lock:
                answers[answer.status] = answers.get(answer.status, 0) + 1
    workers = [threading.Thread(target=submit, args=(part,)) for part in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return answers


@test(name=f"F39 {BACKLOG} jobs of one tenant and one runner: another one's jobs wait for one job, not for the backlog", seconds=120)
def _(fleet):
    fleet.only(0)
    gate = fleet.job("one", 90001, path="/hang/gate")
    fleet.wait_calls(90001)
    assert fill(fleet, BACKLOG) == {202: BACKLOG}
    fleet.witness.release("gate")
    waits = []
    for n in range(15):
        began = time.monotonic()
        job = fleet.job("none", 91000 + n, env="prod")
        answer = fleet.request("GET", f"/action/{job}?wait=10", key="prod")
        assert answer.status == 200, answer
        waits.append(time.monotonic() - began)
    left = int(fleet.postgres.query(f"SELECT count(*) FROM job j WHERE seq > {fleet.since}"
                                    " AND NOT EXISTS (SELECT FROM result r WHERE r.job_id = j.id)")[0][0])
    print(f"# waited {sorted(waits)[len(waits) // 2] * 1000:.0f} ms in the middle, {max(waits) * 1000:.0f} ms at most, {left} were left")
    assert max(waits) < 0.5, sorted(waits)
    assert left > 0, "the backlog was gone too early to test anything"
    assert fleet.finish(gate).status == 200
    fleet.judged(90)


@test(name="F39 calls while async jobs fill every runner: they start at once when one is free, before any job", seconds=60)
def _(fleet):
    fleet.only(0)
    fill(fleet, 60, "one", ms=50, path="/slow/fill")
    waits = []
    for n in range(10):
        began = time.monotonic()
        assert fleet.call("none", {"n": 5000 + n}).status == 200
        waits.append(time.monotonic() - began)
    print(f"# {max(waits) * 1000:.0f} ms at most")
    assert max(waits) < 0.5, waits
    fleet.judged(60)


main(lambda: Fleet(nodes=2, settings={"runners": "1"}, proxied=False))
