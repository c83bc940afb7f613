"""F13, F14, F21, F24, F25: Redis or Postgres fails while syncs run (R1)."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import TTL, Fleet, wait_until
from syncs import Syncs
from tap import main, test


def during(fault, name, act, seconds=0.8):
    """act(fleet, syncs) comes while lists change and syncs run."""
    @test(name=f"{fault} {name} while syncs run: no run is lost or doubled, no record either", seconds=60)
    def _(fleet):
        fleet.all()
        syncs = Syncs(fleet, names=(f"{fault}-0", f"{fault}-1"), trigger_s=0.1, change_s=0.02).start()
        time.sleep(seconds)
        act(fleet, syncs)
        time.sleep(seconds)
        syncs.stop(30)
        verdict = fleet.judged()
        assert verdict.runs > 8, verdict.runs


def redis_killed(fleet, _):
    with fleet.history.fault("redis_kill"):
        fleet.redis.process.kill()
        fleet.redis.process.wait()
        time.sleep(0.5)
        fleet.restart_redis()


def flushed(fleet, _):
    for _ in range(3):
        with fleet.history.fault("redis_flush"):
            fleet.redis.command("FLUSHALL")
        time.sleep(0.5)


def postgres_stopped(fleet, _):
    with fleet.history.fault("postgres_immediate"):
        fleet.postgres.stop(immediate=True)
        time.sleep(0.5)
        fleet.postgres.start()


def locked(fleet, _):
    with fleet.history.fault("postgres_lock"):
        assert subprocess.run([f"{fleet.postgres.bin}/psql", "-h", fleet.postgres.directory, "-U", "sluice", "-d", "sluice", "-XAtqc",
                               f"BEGIN; LOCK TABLE sync, checkpoint, record IN EXCLUSIVE MODE; SELECT pg_sleep({1.5 * TTL})"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False).returncode == 0


during("F13", "Redis killed and restarted empty", redis_killed)
during("F14", "FLUSHALL, again and again,", flushed)
during("F21", "Postgres stopped at once", postgres_stopped)
during("F24", "syncs, checkpoints and records locked for longer than a lease", locked)


def lost(what, forward, patterns):
    """Of each statement in its turn, in the middle of both syncs."""
    @test(name=f"F25 {what} of records, checkpoints, windows, runs: no record, checkpoint or run is lost or doubled", seconds=90)
    def _(fleet):
        fleet.only(0)
        syncs = Syncs(fleet, names=(f"lost-{forward}".lower(),), change_s=0, trigger_s=0, nodes=fleet.nodes[:1]).start()
        syncs.complete()
        proxy, [name] = fleet.nodes[0].to_postgres, syncs.names
        for turn, pattern in enumerate(patterns):
            syncs.source.put(name, f"r{turn}", f"new{turn}")
            syncs.source.remove(name, f"r{turn + 10}")
            with fleet.history.fault("lose_postgres", node=0):
                proxy.lost = 0
                proxy.lose_answer(pattern.encode(), linger=0.1, forward=forward)
                for place in syncs.places:
                    syncs.trigger(*place)
                wait_until(f"{pattern} was lost", lambda: proxy.lost, 15)
                proxy.calm()
            syncs.complete(20)
        syncs.stop(30)
        turns = turn + 1  # of each one new, one changed, one gone; 30 were there before
        told = fleet.postgres.query(
            "SELECT v->>'model', sum((v#>>'{responseResults,added}')::int), sum((v#>>'{responseResults,updated}')::int),"
            " sum((v#>>'{responseResults,deleted}')::int) FROM outbox o, LATERAL json_view(o.body) v, connection c"
            f" WHERE o.type = 1 AND c.id = o.connection_id AND c.connection_id = '{name}' GROUP BY 1 ORDER BY 1")
        assert told == [[model, str(30 + turns), str(turns), str(turns)] for model in ("Changed", "Listed")], told
        verdict = fleet.judged()
        assert set(verdict.run_states) == {1}, "a run failed"


lost("commit lost on its way back,", True, ("sync_job", "track_open", "record_save_items", "record_delete_items", "checkpoint_put",
                                            "track_close", "settle_runs"))
lost("statement lost on its way there,", False, ("sync_job", "record_save_items", "checkpoint_put", "settle_runs"))

main(lambda: Fleet(nodes=2, prepare=lambda fleet: (fleet.integration(), Syncs.prepare(fleet))))
