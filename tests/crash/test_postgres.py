"""F21-F25: Postgres stops, is cut off, read-only, locked, or commits and cannot say so."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import TTL, Fleet, wait_until
from load import Load
from tap import main, test

QUIET_KINDS = {"none": 3, "one": 5, "two": 5, "flaky": 1}


def under_load(fleet, fault, before=1.0, after=1.5, **more):
    load = Load(fleet, seed=before, kinds=QUIET_KINDS, **{"clients": 4, **more}).start()
    time.sleep(before)
    fault()
    time.sleep(after)
    load.stop()
    verdict = fleet.judged()
    assert verdict.jobs > 10, "there was no load"
    return verdict


@test(name="F21 Postgres stopped at once and restarted under load: accepted jobs stay, each ends once", seconds=60)
def _(fleet):
    fleet.all()

    def fault():
        with fleet.history.fault("postgres_immediate"):
            fleet.postgres.stop(immediate=True)
            time.sleep(1)
            fleet.postgres.start()
    under_load(fleet, fault)


@test(name="F21 Postgres away: accept and poll answer 503 with Retry-After, never 404; then all is as it was", seconds=60)
def _(fleet):
    fleet.all()
    done = fleet.job("none", 1)
    assert fleet.finish(done).status == 200
    with fleet.history.fault("postgres_immediate"):
        fleet.postgres.stop(immediate=True)
        try:
            def refused():
                answer = fleet.call("none", {"n": 2}, {"X-Async": "true"})
                assert answer.status in (202, 503), answer
                return answer if answer.status == 503 else None
            answer = wait_until("a trigger is refused", refused, 30, every=0.1)
            assert "retry-after" in answer.headers, answer
            answer = fleet.poll(done)
            assert answer.status == 503 and "retry-after" in answer.headers, answer
            assert fleet.request("GET", "/health", key=None).status == 200
            assert fleet.request("GET", "/ready", key=None).status == 503
        finally:
            fleet.postgres.start()
    for node in fleet.nodes:
        node.wait_ready(60)
    assert fleet.poll(done).status == 200
    assert fleet.finish(fleet.job("none", 3)).status == 200
    fleet.quiet()


@test(name="F21 Postgres away between two calls of a run: no call without a good beat, and nothing fails", seconds=60)
def _(fleet):
    fleet.all()
    job = fleet.job("two", 1, path="/hang/pg", then="/ok/then")
    fleet.wait_calls(1)
    with fleet.history.fault("postgres_immediate"):
        fleet.postgres.stop(immediate=True)
        time.sleep(TTL)  # no good beat any more
        fleet.witness.release("pg")
        time.sleep(TTL)
        silent = len(fleet.calls(1)) == 1
        fleet.postgres.start()
    assert silent, "a call without a good beat"
    wait_until("the node polls again", lambda: fleet.poll(job).status != 503, 10)
    assert fleet.finish(job, 20).status == 200
    fleet.judged()


@test(name="F22 connections to Postgres cut again and again under load: nothing is doubled or lost", seconds=60)
def _(fleet):
    fleet.all()

    def fault():
        for n in range(12):
            with fleet.history.fault("postgres_terminate"):
                fleet.postgres.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'sluiced%'"
                                     + (" AND random() < 0.5" if n % 2 else ""))
            time.sleep(0.25)
    under_load(fleet, fault)


@test(name="F22 network to Postgres cut, delayed, in pieces of 11 bytes, hanging: nothing is doubled or lost", seconds=60)
def _(fleet):
    fleet.all()
    a, b = fleet.nodes[0].to_postgres, fleet.nodes[1].to_postgres

    def fault():
        with fleet.history.fault("cut_postgres"):
            a.split(11)
            b.delay(0.05)
            time.sleep(0.8)
            a.cut_after(2000, "up")
            b.cut_after(500, "down")
            time.sleep(0.8)
            a.calm()
            b.calm()
            a.hold()
            time.sleep(0.5 * TTL)
            a.flow()
            b.cut("half")
            time.sleep(0.3)
            a.cut("close")
            b.cut("close")
    under_load(fleet, fault)


@test(name="F22 session ended by somebody: its worker goes on under a new one", seconds=60)
def _(fleet):
    fleet.only(0)
    assert fleet.finish(fleet.job("none", 1)).status == 200
    for n in range(2, 10):  # at some of these the first to notice is a claim, not a beat
        fleet.postgres.query("UPDATE session SET live = false WHERE live")
        env = "prod" if n % 2 else "dev"
        assert fleet.finish(fleet.job("one", n, env=env), 10, env=env).status == 200
    fleet.judged()


@test(name="F23 Postgres turns read-only: 503, no false accept, and all goes on when it is writable", seconds=90)
def _(fleet):
    fleet.all()
    assert fleet.finish(fleet.job("one", 1)).status == 200
    running = fleet.job("two", 2, retries=1, path="/hang/ro", then="/ok/then")
    fleet.wait_calls(2)
    with fleet.history.fault("postgres_read_only"):
        try:
            fleet.postgres.query("ALTER SYSTEM SET default_transaction_read_only = on")
            fleet.postgres.query("SELECT pg_reload_conf()")
            time.sleep(0.5)
            for n in (3, 4):
                op = fleet.history.invoke("submit", n=n, key="dev", kind="one", calls=1, retries=0, node=0)
                answer = fleet.call("one", {"n": n}, {"X-Async": "true"})
                fleet.history.write("fail", op=op, status=answer.status, retry_after="retry-after" in answer.headers)
                assert answer.status == 503 and "retry-after" in answer.headers, answer
            assert fleet.poll(running).status == 404, "what can be read is read"
            fleet.witness.release("ro")
            time.sleep(1.5 * TTL)
        finally:
            os.environ["PGOPTIONS"] = "-c default_transaction_read_only=off"
            fleet.postgres.query("ALTER SYSTEM RESET default_transaction_read_only")
            fleet.postgres.query("SELECT pg_reload_conf()")
            del os.environ["PGOPTIONS"]
    wait_until("a job is accepted", lambda: fleet.call("none", {}, {"X-Async": "true"}).status == 202, 15)
    assert fleet.finish(running, 20).status in (200, 500)
    fleet.judged()


def held(fleet, lock, seconds):
    """A psql that holds locks for a while."""
    return subprocess.Popen([f"{fleet.postgres.bin}/psql", "-h", fleet.postgres.directory, "-U", "sluice", "-d", "sluice", "-XAtq", "-v",
                             "ON_ERROR_STOP=1", "-c", f"BEGIN; {lock}; SELECT pg_sleep({seconds}); COMMIT"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def locked(name, lock):
    @test(name=f"F24 {name} locked for three leases: what waits ends well, no key stays held, nothing runs twice", seconds=60)
    def _(fleet):
        fleet.all()
        assert fleet.finish(fleet.job("one", 1)).status == 200
        jobs = fleet.jobs("two", range(2, 8), retries=1, ms=30)
        with fleet.history.fault("postgres_lock"):
            holder = held(fleet, lock, 3 * TTL)
            op = fleet.history.invoke("poll", job=jobs[2])
            answer = fleet.poll(jobs[2])
            fleet.history.write("fail" if answer.status == 503 else "unknown", op=op, status=answer.status,
                                retry_after="retry-after" in answer.headers)
            assert answer.status in (404, 503, 200), answer
            assert holder.wait(20) == 0
        verdict = fleet.judged()
        assert verdict.jobs == 7 and set(fleet.results(jobs.values()).values()) == {1}


locked("all sessions' rows", "SELECT count(*) FROM (SELECT FROM session WHERE live FOR UPDATE) s")
locked("all holds' rows", "SELECT count(*) FROM (SELECT FROM hold FOR UPDATE) h")
locked("the results' table", "LOCK TABLE result IN EXCLUSIVE MODE")
locked("the attempts' table", "LOCK TABLE attempt IN EXCLUSIVE MODE")


def lost(pattern, forward, needs=1, kind="two"):
    what = "commit" if forward else "statement"
    @test(name=f"F25 {what} of {pattern} lost on its way {'back' if forward else 'there'}: one end each, no second start", seconds=60)
    def _(fleet):
        fleet.only()
        fleet.only(0)  # a new session, which has no key of prod yet
        assert fleet.finish(fleet.job("one", 1)).status == 200
        proxy = fleet.nodes[0].to_postgres
        with fleet.history.fault("lose_postgres", node=0):
            proxy.lost = 0
            proxy.lose_answer(pattern.encode(), linger=0.3, forward=forward, times=needs)
            jobs = {}
            for n in range(2, 10):
                op = fleet.history.invoke("submit", n=n, key="prod", kind=kind, calls=2, retries=1, node=0, idem=f"k{n}")
                answer = fleet.call(kind, {"n": n, "ms": 5}, {"X-Async": "true", "X-Max-Retries": "1", "Idempotency-Key": f"k{n}"},
                                    env="prod")
                fleet.history.write("ok" if answer.status == 202 else "unknown", op=op, status=answer.status,
                                    job=answer.json.get("id"), retry_after="retry-after" in answer.headers)
                assert answer.status in (202, 503), answer
            wait_until(f"{pattern} was lost", lambda: proxy.lost >= needs, 20)
            proxy.calm()
        for n in range(2, 10):
            jobs[n] = fleet.job(kind, n, retries=1, ms=5, env="prod", headers={"Idempotency-Key": f"k{n}"})
        verdict = fleet.judged()
        assert verdict.jobs == 9, verdict.jobs
        assert set(fleet.results(jobs.values()).values()) == {1}
        assert verdict.calls in (17, 18, 19), verdict.calls


for _forward in (True, False):
    lost("once_insert", _forward)
    lost("settle_results", _forward)
    lost("settle_begins", _forward)
    lost("claim_holds", _forward)
    lost("settle_beat_session", _forward)


main(lambda: Fleet(nodes=2))
