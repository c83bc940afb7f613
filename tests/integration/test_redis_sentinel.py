"""sluiced with sentinels: the master is asked for, and asked for again after every loss."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import ended
from rig import Rig
from servers import RigError, Sentinels, wait_until
from tap import main, test

FUNCTIONS = {
    "echo": "return input;",
    "call": "const r = await nango.get({ endpoint: input.endpoint, params: input.params }); return r.data;",
}


def sentinels(directory):
    """The url names a sentinel that is down first."""
    made = Sentinels(directory)
    made.url = made.url.replace("redis+sentinel://", "redis+sentinel://127.0.0.1:1,")
    return made


def slow(rig, name, n, **more):
    return rig.submit("call", {"endpoint": f"/slow/{name}", "params": {"ms": "20", "n": str(n)}}, **more)


def check(rig, jobs, name, retries=0):
    for job in jobs.values():
        rig.finish(job, 40)
    ended.check(rig, jobs, f"/slow/{name}", retries)


def echoes(rig, value, seconds=20):
    assert rig.finish(rig.submit("echo", value), seconds).json == value


def up_on(server):
    """Does the worker wait there for work?"""
    return server.process is not None and b"cmd=blpop" in server.command("CLIENT", "LIST")


def begin_failover(rig):
    try:
        return rig.redis.sentinels[0].command("SENTINEL", "FAILOVER", rig.redis.NAME) == b"OK"
    except RigError:  # it has not yet heard enough of the replica
        return False


@test(name="async_jobs_and_their_retries_run_on_the_master")
def _(rig):
    rig.witness.script("again", [(500, {}, {}), (200, {}, {"at": "last"})])
    job = rig.submit("call", {"endpoint": "/script/again"}, retries=1)
    jobs = {n: slow(rig, "plain", n) for n in range(10)}
    check(rig, jobs, "plain")
    assert rig.finish(job).json == {"at": "last"}
    wait_until("the worker waits at the master", lambda: up_on(rig.redis.servers[0]), 10)
    assert not up_on(rig.redis.servers[1])


@test(name="a_failover_under_load_loses_and_doubles_no_job")
def _(rig):
    rig.redis.wait_in_step()
    old = rig.redis.master
    jobs = {n: slow(rig, "failover", n) for n in range(20)}
    retried = slow(rig, "failover2", 0, retries=2)
    rig.witness.wait_seen("/slow/failover")
    old.kill()
    for n in range(20, 30):
        jobs[n] = slow(rig, "failover", n)
    check(rig, jobs, "failover")
    assert rig.finish(retried).status == 200
    wait_until("the worker waits at the new master", lambda: up_on(rig.redis.other(old)), 20)


@test(name="an_old_master_that_comes_back_as_a_replica_is_left_alone_and_can_be_promoted_again")
def _(rig):
    master = rig.redis.master
    old = rig.redis.other(master)
    old.start()  # as a master, until the sentinels see it
    wait_until("it is a replica", lambda: old.command("ROLE")[0] == b"slave", 30)
    assert up_on(master) and not up_on(old)
    rig.redis.wait_in_step()
    jobs = {n: slow(rig, "switch", n) for n in range(10)}
    wait_until("a failover is begun", lambda: begin_failover(rig), 20, every=0.2)  # the master lives: it is demoted
    for n in range(10, 20):
        jobs[n] = slow(rig, "switch", n)
    check(rig, jobs, "switch")
    wait_until("the worker waits at the promoted one", lambda: up_on(old) and not up_on(master), 30)
    echoes(rig, "after the switch")


@test(name="an_unknown_master_and_one_that_is_a_replica_are_told_at_the_start", seconds=30)
def _(rig):
    node, told = rig.nodes[0], {}
    replica = rig.redis.other(rig.redis.master)
    for sentinel in rig.redis.sentinels:  # until it has noticed: half a minute
        sentinel.command("SENTINEL", "MONITOR", "wrong", "127.0.0.1", replica.port, 3)

    def start(name):
        done = rig.run(*[w for w in node.command()[1:] if not w.startswith(("--redis-url", "--listen"))],
                       f"--listen=unix:{rig.directory}/{name}.sock",
                       "--redis-url=" + rig.redis.url.replace(f"/{rig.redis.NAME}", f"/{name}"))
        told[name] = (done.returncode, done.stdout)

    threads = [threading.Thread(target=start, args=(name,)) for name in ("nobody", "wrong")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for sentinel in rig.redis.sentinels:
        sentinel.command("SENTINEL", "REMOVE", "wrong")
    assert told["nobody"][0] == 69 and "does not know the master" in told["nobody"][1], told
    assert told["wrong"][0] == 69 and "named as master is not one" in told["wrong"][1], told


main(lambda: Rig(settings={"lease_ttl": "2s", "retry_first": "100ms"}, redis=sentinels,
                 prepare=lambda rig: rig.prepare(FUNCTIONS)))
