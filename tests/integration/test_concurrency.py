"""How many async actions run at once: never more than the limit of their key, and as many as it allows; in order where it is 1."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig
from servers import wait_until
from tap import main, test

TTL = 1.0
CALL = "const r = await nango.get({ endpoint: input.path, params: { ms: String(input.ms), n: String(input.n) } }); return input.n;"
FUNCTIONS = {"call": CALL, "other": CALL, "solo": CALL, "echo": "return input;"}


def operator(rig, method, path, body=None):
    answer = rig.request(method, path, body, key=rig.keys["SLUICE_OPERATOR_KEY"])
    assert answer.status == 200, answer
    return answer.json


def limit(rig, by, number, seconds=5.0):
    """Sets it, and waits until Redis knows the limits of the ledger."""
    operator(rig, "PATCH", "/admin/v1/environments/dev", {"concurrency": {"by": by, "limit": number}})

    def known():
        ledger = dict(rig.postgres.query("SELECT id, slots FROM concurrency_key WHERE slots > 1"))
        flat = [word.decode() for word in rig.redis.command("HGETALL", "sluice:{s00}:limits")]
        redis = dict(zip(flat[::2], flat[1::2]))
        redis.pop("=", None)  # a digest of them
        return ledger == redis
    wait_until("Redis knows the limits", known, seconds)


def submit(rig, path, count, ms=40, action="call", first=0, **more):
    return {n: rig.submit(action, {"path": path, "ms": ms, "n": n}, **more) for n in range(first, first + count)}


def finish(rig, jobs, node=None, seconds=40):
    return {n: rig.finish(job, seconds, node=node) for n, job in jobs.items()}


def most_at_once(calls):
    """The most that were open at one moment."""
    now = most = 0
    for _, step in sorted([(c.began, 1) for c in calls] + [(c.ended, -1) for c in calls]):
        now += step
        most = max(most, now)
    return most


def numbers(calls):
    return [int(c.query["n"]) for c in calls]


def check(rig, path, wanted, jobs):
    calls = rig.witness.seen(path)
    assert sorted(numbers(calls)) == sorted(jobs), "not once each"
    assert most_at_once(calls) == wanted, f"{most_at_once(calls)} at once, not {wanted}"
    return calls


@test
def three_of_an_environment_run_at_once_and_never_four(rig):
    limit(rig, "environment", 3)
    jobs = submit(rig, "/slow/env", 45)
    assert all(a.status == 200 for a in finish(rig, jobs).values())
    calls = check(rig, "/slow/env", 3, jobs)
    late = [n for at, n in enumerate(numbers(calls)) if n < at - 40]
    assert not late, f"overtaken by a whole backlog: {late}"


@test
def with_a_limit_of_one_again_they_run_one_by_one_in_order(rig):
    limit(rig, "environment", 1)
    jobs = submit(rig, "/slow/one", 25, ms=10)
    finish(rig, jobs)
    assert numbers(check(rig, "/slow/one", 1, jobs)) == list(range(25))


@test
def by_connection_each_has_its_own_order_and_they_do_not_wait_for_each_other(rig):
    limit(rig, "connection", 1)
    jobs = {name: submit(rig, f"/slow/of-{name}", 12, connection=name) for name in ("c", "d", "e")}
    for mine in jobs.values():
        finish(rig, mine)
    for name, mine in jobs.items():
        assert numbers(check(rig, f"/slow/of-{name}", 1, mine)) == list(range(12)), name
    together = most_at_once([c for name in jobs for c in rig.witness.seen(f"/slow/of-{name}")])
    assert together == 3, together


@test
def three_of_each_connection(rig):
    limit(rig, "connection", 3)
    jobs = {name: submit(rig, f"/slow/three-{name}", 18, connection=name) for name in ("c", "d")}
    for name, mine in jobs.items():
        finish(rig, mine)
        check(rig, f"/slow/three-{name}", 3, mine)


@test
def by_function_each_has_its_own_limit(rig):
    limit(rig, "function", 2)
    jobs = {name: submit(rig, f"/slow/by-{name}", 14, action=name) for name in ("call", "other")}
    for name, mine in jobs.items():
        finish(rig, mine)
        check(rig, f"/slow/by-{name}", 2, mine)
    assert most_at_once(rig.witness.seen("/slow/by-call") + rig.witness.seen("/slow/by-other")) > 2


@test
def a_functions_own_setting_goes_before_the_environments(rig):
    limit(rig, "environment", 3)
    path = "/admin/v1/environments/dev/functions/w/solo"
    operator(rig, "PATCH", path, {"concurrency": {"by": "function", "limit": 1}})
    jobs = {name: submit(rig, f"/slow/own-{name}", 12, action=name) for name in ("solo", "call")}
    for mine in jobs.values():
        finish(rig, mine)
    assert numbers(check(rig, "/slow/own-solo", 1, jobs["solo"])) == list(range(12))
    check(rig, "/slow/own-call", 3, jobs["call"])
    operator(rig, "PATCH", path, {"concurrency": None})


@test
def a_limit_is_raised_and_lowered_under_load(rig):
    limit(rig, "environment", 1)
    jobs = submit(rig, "/slow/moving", 40, ms=60)
    rig.witness.wait_seen("/slow/moving", 3)
    limit(rig, "environment", 4)
    more = submit(rig, "/slow/more", 40, ms=60)
    wait_until("four at once", lambda: most_at_once(rig.witness.seen("/slow/moving") + rig.witness.seen("/slow/more")) == 4, 20)
    limit(rig, "environment", 2)
    lowered = time.monotonic()
    last = submit(rig, "/slow/last", 40, ms=60)
    for path, each in (("/slow/moving", jobs), ("/slow/more", more), ("/slow/last", last)):
        finish(rig, each)
        assert sorted(numbers(rig.witness.seen(path))) == sorted(each)
    calls = [c for path in ("moving", "more", "last") for c in rig.witness.seen(f"/slow/{path}")]
    before = [c for c in calls if c.began < lowered]
    assert most_at_once(before) <= 4
    running = max((c.ended for c in before), default=lowered)  # what ran then may go on to its end
    after = most_at_once([c for c in calls if c.began > running])
    assert after == 2, after


@test
def a_killed_worker_leaves_no_slot_behind_and_none_is_used_twice(rig):
    limit(rig, "environment", 3)
    jobs = submit(rig, "/slow/killed", 40, ms=60, retries=2)
    rig.witness.wait_seen("/slow/killed", 6)
    rig.nodes[0].kill()
    answers = finish(rig, jobs, node=rig.nodes[1])
    rig.nodes[0].start()
    assert all(a.status == 200 for a in answers.values())
    calls = rig.witness.seen("/slow/killed")
    assert set(numbers(calls)) == set(jobs)
    assert most_at_once(calls) == 3, most_at_once(calls)
    assert max(numbers(calls).count(n) for n in jobs) <= 3
    jobs = submit(rig, "/slow/after", 20)
    finish(rig, jobs)
    check(rig, "/slow/after", 3, jobs)


@test
def a_flushed_redis_does_not_change_the_limit(rig):
    limit(rig, "environment", 3)
    jobs = submit(rig, "/slow/flushed", 40, ms=60)
    rig.witness.wait_seen("/slow/flushed", 6)
    rig.redis.command("FLUSHALL")
    assert all(a.status == 200 for a in finish(rig, jobs).values())
    check(rig, "/slow/flushed", 3, jobs)


@test
def a_cancelled_job_of_a_slot_does_not_run_and_its_slot_goes_on(rig):
    limit(rig, "environment", 3)
    gates = [rig.submit("call", {"path": f"/hang/gate{n}", "ms": 0, "n": n}) for n in range(3)]
    for n in range(3):
        rig.witness.wait_seen(f"/hang/gate{n}")
    jobs = submit(rig, "/ok/slots", 9, ms=0)
    for n in range(0, 9, 2):
        assert rig.request("DELETE", f"/action/{jobs[n]}").status < 300
    assert rig.request("DELETE", f"/action/{gates[1]}").status < 300
    assert rig.finish(gates[1]).status == 410
    for n in (0, 2):
        rig.witness.release(f"gate{n}")
    statuses = {n: a.status for n, a in finish(rig, jobs).items()}
    rig.witness.release("gate1")
    assert statuses == {n: 410 if n % 2 == 0 else 200 for n in range(9)}, statuses
    assert sorted(numbers(rig.witness.seen("/ok/slots"))) == [1, 3, 5, 7]


def prepare(rig):
    rig.prepare(FUNCTIONS)
    for name in ("d", "e"):
        rig.connection(name)


main(lambda: Rig(nodes=2, settings={"lease_ttl": f"{TTL:g}s", "runners": "6", "retry_first": "100ms", "drain_timeout": "10s"}, prepare=prepare))
