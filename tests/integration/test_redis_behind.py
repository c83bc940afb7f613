"""A Redis that was behind takes over: what it never saw still ends, and what it believes wrongly holds nothing up."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import ended
from rig import Rig
from servers import Sentinels, wait_until
from tap import main, test

HELD = "sluice:{s00}:held"
FUNCTIONS = {
    "echo": "return input;",
    "call": "const r = await nango.get({ endpoint: input.endpoint, params: input.params }); return r.data;",
}


def slow(rig, name, n):
    return rig.submit("call", {"endpoint": f"/slow/{name}", "params": {"ms": "20", "n": str(n)}})


def up_on(server):
    """Does the worker wait there for work?"""
    return b"cmd=blpop" in server.command("CLIENT", "LIST")


def promote_old(rig, master, replica):
    """The master dies; the replica, whose link was cut before, is promoted by hand."""
    master.kill()
    replica.command("REPLICAOF", "NO", "ONE")
    for sentinel in rig.redis.sentinels:
        rig.redis.watch(sentinel, replica)


def cut(rig):
    """From here on the replica gets nothing.  (master, replica)"""
    rig.redis.wait_in_step()
    master = rig.redis.master
    replica = rig.redis.other(master)
    for sentinel in rig.redis.sentinels:  # they would mend it
        sentinel.command("SENTINEL", "REMOVE", rig.redis.NAME)
    replica.command("REPLICAOF", "127.0.0.1", 1)
    wait_until("the link is cut", lambda: replica.command("ROLE")[3] in (b"connect", b"connecting"), 10)
    return master, replica


def heal(rig, replica, master):
    """Both run again."""
    replica.start()
    replica.command("REPLICAOF", "127.0.0.1", master.port)


@test(name="a_replica_that_was_behind_is_promoted_and_the_jobs_that_it_never_saw_end")
def _(rig):
    jobs = {0: rig.submit("call", {"endpoint": "/hang/behind", "params": {"n": "0"}})}
    rig.witness.wait_seen("/hang/behind")
    for n in range(1, 6):
        jobs[n] = slow(rig, "behind", n)  # seen by the replica
    master, replica = cut(rig)
    for n in range(6, 12):
        jobs[n] = slow(rig, "behind", n)  # not seen
    wait_until("they are in Redis", lambda: length(master) == length(replica) + 6, 10)
    epoch = replica.command("GET", "sluice:{s00}:epoch")
    promote_old(rig, master, replica)
    rig.witness.release("behind")
    assert rig.finish(jobs.pop(0)).status == 200
    for job in jobs.values():
        rig.finish(job, 40)
    ended.check(rig, jobs, "/slow/behind")
    assert len(rig.witness.seen("/hang/behind")) == 1
    assert replica.command("GET", "sluice:{s00}:epoch") == epoch, "the queues were rebuilt: this tests nothing"
    heal(rig, master, replica)


def length(server):
    return sum(server.command("LLEN", key) for key in server.command("KEYS", "sluice:{s00}:q:*"))


@test(name="a_key_that_the_replica_believes_to_be_held_is_free_for_an_idle_worker_that_has_handed_it_in")
def _(rig):
    job = rig.submit("call", {"endpoint": "/hang/held", "params": {"n": "0"}})
    rig.witness.wait_seen("/hang/held")
    master, replica = cut(rig)
    held = [v for v in replica.command("HGETALL", HELD)[1::2] if v.startswith(b"+")]
    assert len(held) == 1, held
    rig.witness.release("held")
    assert rig.finish(job).status == 200
    wait_until("it is handed in", lambda: length(master) == 0, 10)
    promote_old(rig, master, replica)
    wait_until("the worker waits at the new master", lambda: up_on(replica), 20)
    assert rig.finish(rig.submit("echo", "next"), 10).json == "next"
    assert len(rig.witness.seen("/hang/held")) == 1
    heal(rig, master, replica)


main(lambda: Rig(settings={"lease_ttl": "2s"}, redis=Sentinels, prepare=lambda rig: rig.prepare(FUNCTIONS)))
