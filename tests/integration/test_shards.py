"""A queue of four shards: every environment has its place, none waits for another's work, and each part is rebuilt by itself."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig
from servers import wait_until
from tap import main, test

SHARDS = 4
FUNCTIONS = {
    "echo": "return input;",
    "call": "const r = await nango.get({ endpoint: input.path, params: { ms: String(input.ms || 0), n: String(input.n) } }); return r.data.path;",
    "lock": "const got = await nango.tryAcquireLock({ key: input.key, ttlMs: 60000 });"
            "if (input.hang) await nango.get({ endpoint: '/hang/' + input.hang }); return { got };",
}


def tag(number):
    return f"sluice:{{s{number:02d}}}:"


def by_shard(rig):
    """{shard: names of its environments}"""
    found = {}
    for name, (number, _) in rig.environments.items():
        found.setdefault(number % SHARDS, []).append(name)
    return found


def key_of(rig, name):
    return rig.environments[name][1]


def submit_all(rig, names, count, path):
    return {name: [rig.submit("call", {"path": path, "n": n}, env=key_of(rig, name), retries=1) for n in range(count)] for name in names}


def finish_all(rig, jobs, node=None):
    for name, ids in jobs.items():
        for job in ids:
            answer = rig.finish(job, 40, env=key_of(rig, name), node=node)
            assert answer.status == 200, (name, answer)


@test
def jobs_of_every_shard_run_in_the_order_accepted(rig):
    assert len(by_shard(rig)) == SHARDS, rig.environments
    jobs = {}
    for name in rig.environments:
        jobs.update(submit_all(rig, [name], 5, f"/ok/order-{name}"))
    finish_all(rig, jobs)
    for name in jobs:
        assert [c.query["n"] for c in rig.witness.seen(f"/ok/order-{name}")] == ["0", "1", "2", "3", "4"], name
    for shard in range(SHARDS):
        epoch = rig.redis.command("GET", f"{tag(shard)}epoch")
        assert epoch is not None and epoch.endswith(b"-n4"), (shard, epoch)
        assert rig.redis.command("ZCARD", f"{tag(shard)}workers") == 2, shard


@test
def a_shard_with_endless_work_does_not_keep_the_places_of_another(rig):
    """Two places on one node; three environments of one shard have work for seconds, the other shard has one job each time."""
    rig.nodes[1].stop()
    shards = sorted(by_shard(rig).items(), key=lambda item: -len(item[1]))
    crowd, other = shards[0][1][:3], shards[-1][1][0]
    assert len(crowd) == 3, shards
    jobs = {name: [] for name in crowd}
    for n in range(60):
        for name in crowd:
            jobs[name].append(rig.submit("call", {"path": f"/slow/{name}", "ms": 20, "n": n}, env=key_of(rig, name)))
    for n in range(5):
        job = rig.submit("echo", n + 1, env=key_of(rig, other))
        began = time.monotonic()
        assert rig.finish(job, 20, env=key_of(rig, other)).json == n + 1
        took = time.monotonic() - began
        open_jobs = sum(1 for name in crowd if rig.poll(jobs[name][-1], env=key_of(rig, name)).status == 404)
        assert open_jobs == 3, "the crowd was done before it mattered"
        assert took < 1.0, f"job {n} of another shard waited {took:.2f} s"
    for name in crowd:
        for job in jobs[name]:
            rig.request("DELETE", f"/action/{job}", key=key_of(rig, name))
    rig.nodes[1].start()


@test
def with_one_place_two_shards_take_turns(rig):
    rig.nodes[0].stop()
    rig.nodes[1].stop()
    rig.nodes[0].settings["runners"] = "1"
    rig.nodes[0].start()
    try:
        names = [names[0] for names in by_shard(rig).values()][:2]
        jobs = {name: [rig.submit("call", {"path": "/slow/turns", "ms": 10, "n": f"{name}-{n}"}, env=key_of(rig, name)) for n in range(20)]
                for name in names}
        finish_all(rig, jobs)
        order = [c.query["n"].rsplit("-", 1)[0] for c in rig.witness.seen("/slow/turns")]
        first = {name: order.index(name) for name in names}
        last = {name: len(order) - 1 - order[::-1].index(name) for name in names}
        assert max(first.values()) < min(last.values()), order
        longest = max(len(run) for name in names for run in "".join("x" if n == name else " " for n in order).split())
        assert longest < 6, order
    finally:
        rig.nodes[0].stop()
        rig.nodes[0].settings["runners"] = "2"
        for node in rig.nodes:
            node.start()


@test
def a_lost_shard_is_built_anew_and_the_others_are_left_alone(rig):
    shard, names = sorted(by_shard(rig).items())[-1]
    before = {n: rig.redis.command("GET", f"{tag(n)}epoch") for n in range(SHARDS)}
    jobs = submit_all(rig, rig.environments, 6, "/ok/rebuilt")
    for key in rig.redis.command("KEYS", f"{tag(shard).replace('{', '?').replace('}', '?')}*"):
        rig.redis.command("DEL", key)
    wait_until("it has an epoch again", lambda: rig.redis.command("GET", f"{tag(shard)}epoch") not in (None, before[shard]), 10)
    finish_all(rig, jobs)
    for n in range(SHARDS):
        assert (rig.redis.command("GET", f"{tag(n)}epoch") == before[n]) == (n != shard), n
    assert rig.finish(rig.submit("echo", 1, env=key_of(rig, names[0])), env=key_of(rig, names[0])).json == 1


@test
def a_flush_of_all_shards_loses_nothing(rig):
    jobs = submit_all(rig, rig.environments, 8, "/ok/flushed")
    rig.redis.command("FLUSHALL")
    finish_all(rig, jobs)
    assert rig.postgres.query("SELECT count(*) FROM job j WHERE NOT EXISTS (SELECT FROM result r WHERE r.job_id = j.id)") == [["0"]]


@test
def a_killed_worker_loses_no_job_of_any_shard(rig):
    jobs = submit_all(rig, rig.environments, 6, "/ok/killed")
    rig.nodes[0].kill()
    finish_all(rig, jobs, node=rig.nodes[1])
    rig.nodes[0].start()


@test
def a_lock_is_held_in_every_shard(rig):
    for name in rig.environments:
        call = rig.submit("lock", {"key": "one", "hang": name}, env=key_of(rig, name))
        rig.witness.wait_seen(f"/hang/{name}")
        got = rig.call("lock", {"key": "one"}, env=key_of(rig, name)).json
        assert got == {"got": False}, (name, got)
        rig.witness.release(name)
        assert rig.finish(call, env=key_of(rig, name)).json == {"got": True}


@test
def positions_and_calls_are_those_of_the_environments_shard(rig):
    for name in list(rig.environments)[:4]:
        held = rig.submit("call", {"path": f"/hang/pos-{name}", "n": 0}, env=key_of(rig, name))
        rig.witness.wait_seen(f"/hang/pos-{name}")
        waits = [rig.submit("echo", n, env=key_of(rig, name)) for n in range(1, 3)]
        found = wait_until("its position", lambda: rig.poll(waits[1], env=key_of(rig, name)).headers.get("x-sluice-position"), 5)
        assert found == "2", (name, found)
        assert rig.call("echo", "now", env=key_of(rig, name)).json == "now"
        rig.witness.release(f"pos-{name}")
        assert rig.finish(held, env=key_of(rig, name)).status == 200


def prepare(rig):
    rig.environments = {}
    account = rig.keys["SLUICE_ACCOUNT_KEY"]
    for n in range(9):
        number = rig.request("POST", "/environments", {"name": f"e{n}"}, key=account).json["data"]["id"]
        made = rig.request("POST", "/environment/api-keys", {"environment_id": number, "display_name": "test"}, key=account)
        assert made.status == 200, made
        secret = made.json["data"]["secret"] if "secret" in made.json["data"] else made.json["data"]["key"]
        rig.environments[f"e{n}"] = (number, secret)
        rig.prepare(FUNCTIONS, env=secret)


main(lambda: Rig(nodes=2, settings={"queue_shards": str(SHARDS), "lease_ttl": "2s", "runners": "2", "retry_first": "100ms"}, prepare=prepare))
