"""F13-F20: Redis dies, forgets, lags, splits, sleeps, is full, or holds what nobody wrote."""
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import TTL, Fleet, send, wait_until
from load import Load
from proxy import Proxy
from rig import free_port
from servers import Redis
from tap import main, test

AOF = ("--appendonly", "yes", "--appendfsync", "everysec")
QUIET_KINDS = {"none": 3, "one": 5, "two": 5, "flaky": 1}


def under_load(fleet, fault, before=1.0, after=1.5, **more):
    """A fault in the middle of a load of all kinds of jobs; then the history is judged."""
    load = Load(fleet, seed=before, kinds=QUIET_KINDS, **{"clients": 4, **more}).start()
    time.sleep(before)
    fault()
    time.sleep(after)
    load.stop()
    verdict = fleet.judged()
    assert verdict.jobs > 10, "there was no load"
    return verdict


@test(name="F13 Redis killed and restarted with what its append-only file knew: nothing is lost", seconds=60)
def _(fleet):
    fleet.restart_redis(*AOF)
    fleet.all()

    def fault():
        with fleet.history.fault("redis_kill"):
            fleet.redis.process.kill()
            fleet.redis.process.wait()
            time.sleep(0.7)
            fleet.restart_redis(*AOF)
    try:
        under_load(fleet, fault)
    finally:
        fleet.restart_redis()


@test(name="F13 Redis killed and restarted empty: the queue is rebuilt", seconds=60)
def _(fleet):
    fleet.all()

    def fault():
        with fleet.history.fault("redis_kill"):
            fleet.redis.process.kill()
            fleet.redis.process.wait()
            fleet.restart_redis()
    under_load(fleet, fault)


@test(name="F13 Redis away longer than a lease: accept and sync calls go on, nothing that runs fails", seconds=60)
def _(fleet):
    fleet.all()
    job = fleet.job("two", 1, path="/hang/away", then="/ok/then")
    fleet.wait_calls(1)
    with fleet.history.fault("redis_kill"):
        fleet.redis.stop()
        waiting = [fleet.job("none", n) for n in (2, 3, 4)]
        assert fleet.call("none", {"n": 5}).status == 200, "a sync call needs no Redis"
        time.sleep(2 * TTL)
        fleet.witness.release("away")
        answer = fleet.finish(job, 10)
        fleet.restart_redis()
    assert answer.status == 200, answer
    assert all(fleet.finish(job, 30).status == 200 for job in waiting)
    fleet.judged()


@test(name="F14 FLUSHALL while busy: no job is lost, none is started twice, no two of a key at once", seconds=60)
def _(fleet):
    fleet.all()
    jobs = fleet.jobs("one", range(40), retries=2, ms=30)
    fleet.wait_calls(3)
    with fleet.history.fault("redis_flush"):
        fleet.redis.command("FLUSHALL")
    verdict = fleet.judged()
    assert verdict.calls == 40, f"{verdict.calls - 40} started twice though no worker was lost"
    assert set(fleet.results(jobs.values()).values()) == {1}


@test(name="F14 FLUSHALL again and again under load: the same", seconds=60)
def _(fleet):
    fleet.all()

    def fault():
        for _ in range(3):
            with fleet.history.fault("redis_flush"):
                fleet.redis.command("FLUSHALL")
            time.sleep(0.7)
    under_load(fleet, fault)


@test(name="F14 FLUSHALL during a long run: other keys of its worker go on, the run ends well, its key waits for it", seconds=60)
def _(fleet):
    fleet.only(0)
    long = fleet.job("two", 1, path="/hang/long", then="/ok/then")
    fleet.wait_calls(1)
    assert fleet.finish(fleet.job("none", 2, env="prod"), env="prod").status == 200  # node 0 holds that key, too
    fleet.nodes[1].start()
    with fleet.history.fault("redis_flush"):
        fleet.redis.command("FLUSHALL")
    began = time.monotonic()
    jobs = [fleet.job("none", n, env="prod") for n in range(3, 6)]
    assert all(fleet.finish(job, 10, env="prod").status == 200 for job in jobs)
    print(f"# after {time.monotonic() - began:.1f} s")
    time.sleep(max(0.0, began + 2 * TTL - time.monotonic()))
    behind = fleet.job("none", 6)
    assert fleet.poll(behind).status == 404
    fleet.witness.release("long")
    assert fleet.finish(long, 10).status == 200 and fleet.finish(behind, 10).status == 200
    fleet.judged()


class Replica:
    """A second Redis that follows the fleet's through a proxy; the fleet's is restarted to listen on a port for it."""

    def __init__(self, fleet):
        port = free_port()
        fleet.restart_redis("--port", str(port), "--bind", "127.0.0.1")
        fleet.all()
        self.link = Proxy(target=("127.0.0.1", port))
        self.server = Redis(f"{fleet.directory}/replica{port}")
        self.server.command("REPLICAOF", "127.0.0.1", self.link.port)
        wait_until("the replica follows", lambda: b"master_link_status:up" in self.server.command("INFO", "replication"), 20)

    def promote(self):
        self.server.command("REPLICAOF", "NO", "ONE")

    def stop(self, fleet):
        self.link.stop()
        for node in fleet.nodes:
            node.to_redis.target = fleet.redis.path
        fleet.restart_redis()
        for node in fleet.nodes:
            node.to_redis.cut()
        self.server.stop()


@test(name="F15 Redis fails over to a replica that lags: nothing is lost, nothing runs twice, no two of a key at once", seconds=60)
def _(fleet):
    replica = Replica(fleet)
    try:
        def fault():
            with fleet.history.fault("redis_failover"):
                replica.link.hold()  # from here on the replica is behind
                time.sleep(1.0)
                replica.promote()
                for node in fleet.nodes:
                    node.to_redis.target = replica.server.path
                fleet.redis.process.kill()
                fleet.redis.process.wait()
                for node in fleet.nodes:
                    node.to_redis.cut()
        under_load(fleet, fault, after=2.5)
    finally:
        replica.stop(fleet)


@test(name="F16 two masters for a while: one result for each job, no two of a key at once", seconds=60)
def _(fleet):
    replica = Replica(fleet)
    try:
        def fault():
            with fleet.history.fault("redis_split"):
                replica.link.hold()
                time.sleep(0.3)
                replica.promote()
                fleet.nodes[1].to_redis.target = replica.server.path
                fleet.nodes[1].to_redis.cut()
                time.sleep(2.5 * TTL)
                fleet.nodes[0].to_redis.target = replica.server.path
                fleet.nodes[0].to_redis.cut()
        under_load(fleet, fault, after=2.0)
    finally:
        replica.stop(fleet)


def hangs(fleet, name, fault):
    """Redis answers nobody for 4 s."""
    fleet.all()
    job = fleet.job("two", 1, path=f"/hang/{name}", then="/ok/then")
    fleet.wait_calls(1)
    with fleet.history.fault("redis_slow"):
        thread = threading.Thread(target=fault)
        thread.start()
        time.sleep(0.2)
        slowest = {"accept": 0.0, "call": 0.0, "poll": 0.0}
        until, n = time.monotonic() + 2.5, 2
        while time.monotonic() < until:
            for what in slowest:
                began = time.monotonic()
                if what == "accept":
                    fleet.job("none", n)
                elif what == "call":
                    assert fleet.call("none", {"n": 10000 + n}).status == 200
                else:
                    assert fleet.poll(job).status == 404
                slowest[what] = max(slowest[what], time.monotonic() - began)
                n += 1
        fleet.witness.release(name)
        answer = fleet.finish(job, 10)
        thread.join()
    print("# slowest: " + ", ".join(f"{what} {took:.2f} s" for what, took in slowest.items()))
    assert answer.status == 200, answer
    assert slowest["accept"] < 2 and slowest["call"] < 1.5, slowest
    assert all(node.process.poll() is None for node in fleet.nodes)
    fleet.judged()


@test(name="F17 Redis sleeps for 4 s: accept waits bounded, sync calls and runs go on, all is caught up", seconds=60)
def _(fleet):
    def fault():
        try:
            fleet.redis.command("DEBUG", "SLEEP", "4")
        except OSError:
            pass
    hangs(fleet, "sleeps", fault)


@test(name="F17 Redis stands still for 4 s (stopped): the same", seconds=60)
def _(fleet):
    def fault():
        send(fleet.redis.process.pid, signal.SIGSTOP)
        time.sleep(4)
        send(fleet.redis.process.pid, signal.SIGCONT)
    hangs(fleet, "stopped", fault)


@test(name="F18 Redis out of memory: accept goes on, nothing is lost, all is pushed when there is room again", seconds=90)
def _(fleet):
    fleet.all()
    job = fleet.job("two", 1, path="/hang/full", then="/ok/then")
    fleet.wait_calls(1)
    with fleet.history.fault("redis_full"):
        fleet.redis.command("CONFIG", "SET", "maxmemory", "1")
        jobs = [fleet.job("one", n) for n in range(2, 12)]
        assert fleet.call("none", {"n": 100}).status == 200
        fleet.witness.release("full")
        time.sleep(1.5 * TTL)
        fleet.redis.command("CONFIG", "SET", "maxmemory", "0")
    assert fleet.finish(job, 30).status == 200
    fleet.judged()
    assert set(fleet.results(jobs).values()) == {1}


@test(name="F19 scripts flushed under load: loaded again, no caller sees an error", seconds=60)
def _(fleet):
    fleet.all()

    def fault():
        for _ in range(10):
            with fleet.history.fault("redis_scripts"):
                fleet.redis.command("SCRIPT", "FLUSH")
            time.sleep(0.1)
    verdict = under_load(fleet, fault)
    assert verdict.unknown == 0, verdict.table()


def queue_of(fleet, length):
    found = [k for k in fleet.redis.command("KEYS", "sluice:*:q:*") if fleet.redis.command("LLEN", k) == length]
    assert len(found) == 1, found
    return found[0]


@test(name="F20 entries that are garbage, cut or changed: not run, the key goes on, the jobs behind them run once", seconds=60)
def _(fleet):
    fleet.only(0)
    first = fleet.job("one", 1, path="/hang/garbage")
    fleet.wait_calls(1)
    fleet.jobs("one", range(2, 5))
    queue = queue_of(fleet, 4)
    entry = fleet.redis.command("LINDEX", queue, 1)
    changed = entry[:40] + bytes([entry[40] ^ 1]) + entry[41:]
    for bad in (b"", b"x", os.urandom(300), entry[:-1], entry[: len(entry) // 2], changed, b"\xdf" + b"\xff" * 40,
                entry[:12] + b"\xc1" * 8, b"9" * 12 + entry[12:]):
        fleet.redis.command("RPUSH", queue, bad)
    fleet.jobs("one", range(5, 8))
    fleet.witness.release("garbage")
    assert fleet.finish(first).status == 200
    verdict = fleet.judged()
    assert verdict.calls == 7 and fleet.nodes[0].process.poll() is None
    wait_until("what was bad is in quarantine", lambda: fleet.postgres.query("SELECT count(*) >= 9 FROM quarantine") == [["t"]], 10)


@test(name="F20 entries that stand twice: run once, in order, and the key goes on", seconds=60)
def _(fleet):
    fleet.only(0)
    fleet.job("one", 1, path="/hang/double")
    fleet.wait_calls(1)
    fleet.jobs("one", range(2, 5))
    queue = queue_of(fleet, 4)
    for entry in fleet.redis.command("LRANGE", queue, 1, 3):
        fleet.redis.command("RPUSH", queue, entry)
    fleet.jobs("one", (5,))
    fleet.witness.release("double")
    assert fleet.judged().calls == 5


@test(name="F20 entries that stand twice in a key of three slots: no two runs of a job at once, no try is used up", seconds=60)
def _(fleet):
    fleet.only(0)
    fleet.concurrency("prod", "environment", 3)
    try:
        wait_until("the limit is known", lambda: fleet.redis.command("KEYS", "sluice:*:limits"), 10)
        time.sleep(0.5)
        fleet.job("one", 1, retries=3, path="/hang/slots", env="prod")
        fleet.wait_calls(1)
        copies = [(key, entry) for key in fleet.redis.command("KEYS", "sluice:*:s:*") + fleet.redis.command("KEYS", "sluice:*:q:*")
                  for entry in fleet.redis.command("LRANGE", key, 0, -1)]
        assert len(copies) == 1, copies
        key = copies[0][0].replace(b":s:", b":q:").split(b".")[0]
        for _ in range(2):
            fleet.redis.command("RPUSH", key, copies[0][1])
        fleet.jobs("one", (2, 3), env="prod")  # with them the key is lined up
        fleet.wait_calls(3)
        time.sleep(1.5)  # time enough for a second start that must not come
        assert len(fleet.calls(1)) == 1, "it was started beside itself"
        fleet.witness.release("slots")
        assert fleet.judged().calls == 3
    finally:
        fleet.concurrency("prod", "environment", 1)


@test(name="F20 entry of another environment's key: not run there, and once where it belongs", seconds=60)
def _(fleet):
    fleet.only(0)
    fleet.job("one", 1, path="/hang/mine")
    fleet.job("one", 2, path="/hang/other", env="prod")
    fleet.wait_calls(1)
    fleet.wait_calls(2)
    fleet.jobs("one", (3, 4))
    mine = queue_of(fleet, 3)
    other = [k for k in fleet.redis.command("KEYS", "sluice:*:q:*") if k != mine][0]
    fleet.redis.command("RPUSH", other, fleet.redis.command("LINDEX", mine, 1))
    fleet.witness.release("other")
    fleet.job("one", 5, env="prod")
    fleet.wait_calls(5)
    fleet.witness.release("mine")
    assert fleet.judged().calls == 5
    assert fleet.postgres.query("SELECT count(*) FROM quarantine WHERE security")[0][0] >= "1"


@test(name="F20 list of a wrong type or with a time to live: repaired, nothing is lost", seconds=90)
def _(fleet):
    fleet.only(0)
    fleet.job("one", 1, path="/hang/type")
    fleet.wait_calls(1)
    jobs = fleet.jobs("one", range(2, 5))
    queue = queue_of(fleet, 4)
    with fleet.history.fault("redis_corrupt"):
        fleet.redis.command("SET", queue, "no list")
        fleet.witness.release("type")
        time.sleep(2 * TTL)
        if fleet.redis.command("TYPE", queue) == b"string":
            fleet.redis.command("EXPIRE", queue, "3")
    wait_until("they ran", lambda: all(s == 1 for s in fleet.results(jobs.values()).values()) and
               len(fleet.results(jobs.values())) == 3, 45)
    fleet.judged()


main(lambda: Fleet(nodes=2))
