"""sluiced on a Redis Cluster: the node that has its slot is found, and found again after every change."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import ended
from rig import Rig
from servers import RedisCluster, wait_caught_up, wait_until
from tap import main, test

EPOCH = "sluice:{s00}:epoch"
FUNCTIONS = {
    "echo": "return input;",
    "call": "const r = await nango.get({ endpoint: input.endpoint, params: input.params }); return r.data;",
}


def cluster(directory):
    """The url names a node that is down and one that has not the slot of shard 0: the others must be learned."""
    made = RedisCluster(directory, replica_of=EPOCH)
    other = next(node for node in made.nodes if node not in (made.owner(EPOCH), made.replica))
    made.seed = other
    made.url = f"redis://127.0.0.1:1,127.0.0.1:{other.port}?cluster=yes"
    return made


def slow(rig, name, n, **more):
    return rig.submit("call", {"endpoint": f"/slow/{name}", "params": {"ms": "20", "n": str(n)}}, **more)


def check(rig, jobs, name, retries=0):
    for job in jobs.values():
        rig.finish(job, 40)
    ended.check(rig, jobs, f"/slow/{name}", retries)


def echoes(rig, value, seconds=20):
    assert rig.finish(rig.submit("echo", value), seconds).json == value


def connected(rig):
    """The port of the node on which the daemon's waiting connection blocks, or None."""
    for node in rig.redis.nodes:
        if node.process is not None and b"cmd=blpop" in node.command("CLIENT", "LIST"):
            return node.port
    return None


@test(name="async_jobs_and_their_retries_run_on_the_node_that_has_the_slot")
def _(rig):
    rig.witness.script("again", [(500, {}, {}), (500, {}, {}), (200, {}, {"at": "last"})])
    job = rig.submit("call", {"endpoint": "/script/again"}, retries=2)
    jobs = {n: slow(rig, "plain", n) for n in range(20)}
    check(rig, jobs, "plain")
    assert rig.finish(job).json == {"at": "last"}
    owner = rig.redis.owner(EPOCH)
    assert b"sluice:{s00}:epoch" in owner.everything()
    for node in rig.redis.nodes:
        if node not in (owner, rig.redis.replica):
            assert node.everything() == b"", node.everything()
    assert "level=error" not in rig.nodes[0].log(), rig.nodes[0].log()


@test(name="a_slot_that_is_moved_under_load_loses_and_doubles_no_job")
def _(rig):
    jobs, source = {n: slow(rig, "moved", n) for n in range(10)}, rig.redis.owner(EPOCH)
    target = next(n for n in rig.redis.nodes if n not in (source, rig.redis.seed, rig.redis.replica))

    def meanwhile():
        for _ in range(2):
            jobs[len(jobs)] = slow(rig, "moved", len(jobs))
        time.sleep(0.15)  # the daemon comes back in between, and meets half of its keys

    moved = rig.redis.move(EPOCH, target, meanwhile)
    print(f"# {moved} keys, {len(jobs)} jobs")
    assert moved >= 3
    for _ in range(5):
        jobs[len(jobs)] = slow(rig, "moved", len(jobs))
    check(rig, jobs, "moved")
    assert rig.redis.owner(EPOCH) is target and target.command("EXISTS", EPOCH) == 1
    assert source.everything() == b"", source.everything()
    assert "queue_retired" in rig.nodes[0].log(), "the queues were not rebuilt"
    wait_until("the worker waits at the new node", lambda: connected(rig) == target.port, 20)


@test(name="an_idle_worker_follows_a_slot_that_is_moved")
def _(rig):
    source = rig.redis.owner(EPOCH)
    target = next(n for n in rig.redis.nodes if n not in (source, rig.redis.seed, rig.redis.replica))
    assert target.id in [n.id for n in rig.redis.nodes[:3]]
    rig.redis.move(EPOCH, target)
    wait_until("the worker waits at the new node", lambda: connected(rig) == target.port, 20)
    echoes(rig, "moved back")


@test(name="the_master_of_the_slot_is_killed_and_its_replica_takes_over")
def _(rig):
    old = rig.redis.owner(EPOCH)
    wait_caught_up(old, rig.redis.replica)
    jobs = {n: slow(rig, "failover", n) for n in range(20)}
    old.kill()
    for n in range(20, 30):
        jobs[n] = slow(rig, "failover", n)
    check(rig, jobs, "failover")
    assert rig.redis.owner(EPOCH) is rig.redis.replica
    old.start()
    wait_until("the old master is a replica", lambda: old.command("ROLE")[0] == b"slave", 20)
    echoes(rig, "after the failover")


@test(name="the_node_of_the_slot_is_killed_and_restarted_empty")
def _(rig):
    owner = rig.redis.owner(EPOCH)
    for node in rig.redis.nodes:  # nobody takes over
        if node.process is not None and node.command("ROLE")[0] == b"slave":
            node.command("CONFIG", "SET", "cluster-replica-no-failover", "yes")
    jobs = {n: slow(rig, "restart", n) for n in range(10)}
    rig.witness.wait_seen("/slow/restart")
    owner.kill()
    for n in range(10, 20):
        jobs[n] = slow(rig, "restart", n)
    assert rig.call("echo", "sync").json == "sync"
    owner.start()
    check(rig, jobs, "restart")


@test(name="without_any_seed_of_the_url_the_nodes_that_were_learned_are_asked")
def _(rig):
    rig.redis.seed.kill()
    owner = rig.redis.owner(EPOCH)
    owner.command("CLIENT", "KILL", "TYPE", "normal")
    wait_until("the worker waits there again", lambda: connected(rig) == owner.port, 20)
    echoes(rig, "by another node")
    rig.redis.seed.start()
    rig.redis.wait_agreed()


@test(name="a_url_of_the_wrong_kind_is_told_at_the_start", seconds=30)
def _(rig):
    node, wrong = rig.nodes[0], {}

    def start(kind, url):
        done = rig.run(*[w for w in node.command()[1:] if not w.startswith(("--redis-url", "--listen"))],
                       "--listen=unix:" + f"{rig.directory}/{kind}.sock", f"--redis-url={url}")
        wrong[kind] = (done.returncode, done.stdout)

    urls = {"single": f"unix://{rig.redis.seed.path}", "db": f"redis://127.0.0.1:{rig.redis.seed.port}/1?cluster=yes",
            "sentinel": f"redis+sentinel://127.0.0.1:{rig.redis.seed.port}/m"}
    threads = [threading.Thread(target=start, args=item) for item in urls.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong["single"][0] != 0 and "redis_url needs ?cluster=yes" in wrong["single"][1], wrong
    assert wrong["db"][0] == 78 and "no database but 0" in wrong["db"][1], wrong
    assert wrong["sentinel"][0] != 0 and "unknown command" in wrong["sentinel"][1], wrong


main(lambda: Rig(settings={"lease_ttl": "2s", "retry_first": "100ms"}, redis=cluster,
                 prepare=lambda rig: rig.prepare(FUNCTIONS)))
