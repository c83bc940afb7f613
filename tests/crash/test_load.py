"""F39: one tenant has far more work than the others; everybody asks for more than there is.

FLOOD_JOBS=100000 runs the flood through three nodes as the catalogue has it (about half an hour); the gate has fewer.
"""
import os
import sys
import threading
import time
from bisect import bisect

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import Fleet, wait_until
from tap import main, test

BACKLOG = 1500
FLOOD = int(os.environ.get("FLOOD_JOBS", "1000"))
FLOOD_MS = 20  # what one job of the flood takes


def fill(fleet, count, kind="none", threads=8, env="dev", nodes=None, **value):
    """That many jobs as fast as they are taken, and no part of the history; returns {status: how often}."""
    answers, lock = {}, threading.Lock()

    def submit(part):
        for n in range(part, count, threads):
            answer = fleet.call(kind, {"m": n, **value}, {"X-Async": "true"}, env=env, node=nodes and nodes[n % len(nodes)])
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


def open_jobs(fleet):
    return int(fleet.postgres.query(f"SELECT count(*) FROM job j WHERE seq > {fleet.since}"
                                    " AND NOT EXISTS (SELECT FROM result r WHERE r.job_id = j.id)")[0][0])


@test(name=f"F39 {FLOOD} jobs of one tenant, who may use every runner of three nodes: the others' jobs and calls wait for one job of a "
           "runner, and for nothing else, through any node", seconds=150 + FLOOD // 20)
def _(fleet):
    fleet.all()
    fleet.concurrency("dev", "environment", 20)
    flood = threading.Thread(target=lambda: answers.update(fill(fleet, FLOOD, "one", nodes=fleet.nodes, ms=FLOOD_MS, path="/slow/fill")))
    answers, waits, calls, asked, n = {}, [], [], {}, 93000
    flood.start()
    try:
        wait_until("every runner is busy and more waits", lambda: open_jobs(fleet) > 30, 20)
        while flood.is_alive() or open_jobs(fleet) > 30:
            for node in fleet.nodes:
                n += 1
                began = time.monotonic()
                job = fleet.job("one", n, env="prod", node=node)
                told = time.monotonic()
                answer = fleet.request("GET", f"/action/{job}?wait=10", key="prod", node=node)
                assert answer.status == 200, answer
                waits.append(time.monotonic() - began)
                asked[n] = told
                began = time.monotonic()
                assert fleet.call("none", {"n": 900000 + n}, env="prod", node=node).status == 200
                calls.append(time.monotonic() - began)
            if FLOOD > 5000:
                time.sleep(0.2)
    finally:
        flood.join()
    assert answers == {202: FLOOD}, answers
    p99 = [sorted(times)[int(len(times) * 0.99)] for times in (waits, calls)]
    print(f"# {len(waits)} jobs waited {p99[0] * 1000:.0f} ms at the 99th percentile, as many calls {p99[1] * 1000:.0f} ms")
    fills = sorted(call.began for call in fleet.witness.seen("/slow/fill"))
    passed = sorted(bisect(fills, fleet.calls(n)[0].began) - bisect(fills, told) for n, told in asked.items())
    print(f"# {passed[len(passed) // 2]} jobs of the flood began before one of the others in the middle, {passed[-3:]} at most")
    assert len(waits) >= 15 and max(p99) < 2.0, (len(waits), p99)
    # I8: one job of each runner.  Another one may begin while the first of the line is on its way: its commit, or the first
    # process of its function on that node.  Of fewer than 500 the 99th percentile would be the worst few alone.
    most = passed[int(len(passed) * (0.99 if len(passed) >= 500 else 0.95))]
    assert most <= 2 * len(fleet.nodes), passed[-10:]
    fleet.judged(60 + FLOOD // 20)
    nodes = fleet.postgres.query("SELECT count(DISTINCT s.node) FROM attempt a JOIN session s ON s.id = a.session_id")
    assert int(nodes[0][0]) >= 3, "not all nodes worked"


main(lambda: Fleet(nodes=3, settings={"runners": "1", "queued_max": str(max(10000, 2 * FLOOD))}, proxied=False))
