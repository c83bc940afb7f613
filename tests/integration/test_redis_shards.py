"""The shards of a fleet lie on all nodes of a Redis Cluster; a node that is lost delays its own shards only."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, build_directory
from servers import RedisCluster, RigError, wait_until
from tap import main, test

SHARDS = 6  # their slots lie on all three masters
FUNCTIONS = {
    "echo": "return input;",
    "call": "const r = await nango.get({ endpoint: input.endpoint }); return r.data;",
}
HAS_SHARDS = "--queue-shards=" in subprocess.run([f"{build_directory()}/sluiced", "--help"], check=True, text=True,
                                                 stdout=subprocess.PIPE).stdout


def account(rig, path, body):
    answer = rig.request("POST", path, body, key=rig.keys["SLUICE_ACCOUNT_KEY"])
    assert answer.status == 200, answer
    return answer.json["data"]


def environments(rig):
    """{shard: API key}: an environment for each shard, with the functions."""
    keys = {}
    for n in range(4 * SHARDS):
        if len(keys) == SHARDS:
            return keys
        number = account(rig, "/environments", {"name": f"e{n}"})["id"]
        if number % SHARDS in keys:
            continue
        keys[number % SHARDS] = account(rig, "/environment/api-keys", {"environment_id": number, "display_name": "t"})["secret"]
        rig.prepare(FUNCTIONS, env=keys[number % SHARDS])
    raise RigError(f"the environments have only shards {sorted(keys)}")


@test(name="environments_of_several_shards_lie_on_all_nodes_and_a_lost_node_delays_only_its_own")
def _(rig):
    """Every step that a job takes, in each of the shards; then one node is gone for a while."""
    if not HAS_SHARDS:
        print("# this sluiced has one shard only")
        return
    keys = environments(rig)
    first, jobs, echo = {}, {}, {}
    for shard, key in keys.items():
        first[shard] = rig.submit("call", {"endpoint": f"/hang/shard{shard}"}, env=key)
    for shard, key in keys.items():
        rig.witness.wait_seen(f"/hang/shard{shard}")
        jobs[shard] = [rig.submit("echo", n, env=key) for n in range(1, 4)]
    owners = {shard: rig.redis.owner("sluice:{s%02d}:epoch" % shard) for shard in keys}
    assert len({node.id for node in owners.values()}) == 3, "the shards are not on all nodes"
    for shard, node in owners.items():
        wait_until(f"shard {shard} has its keys on its node", lambda s=shard, n=node: any(
            name.startswith(b"sluice:{s%02d}:q:" % s) for name in n.command("KEYS", "*")), 10)
    lost = owners[0]
    lost.kill()
    for shard, key in keys.items():
        rig.witness.release(f"shard{shard}")
    for shard, key in keys.items():
        assert rig.finish(first[shard], env=key).status == 200
        if owners[shard] is not lost:
            assert [rig.finish(job, 10, env=key).json for job in jobs[shard]] == [1, 2, 3]
            assert rig.finish(rig.submit("echo", "up", env=key), 10, env=key).json == "up"
    for shard, key in keys.items():
        if owners[shard] is lost:
            echo[shard] = rig.submit("echo", "down", env=key)
            assert rig.poll(echo[shard], env=key).status == 404, "it ran without its node"
    lost.start()
    for shard, job in echo.items():
        assert [rig.finish(j, 30, env=keys[shard]).json for j in jobs[shard]] == [1, 2, 3]
        assert rig.finish(job, 30, env=keys[shard]).json == "down"
    log = rig.nodes[0].log()
    assert "CROSSSLOT" not in log and "redis_reply" not in log, log


main(lambda: Rig(settings={"lease_ttl": "2s", **({"queue_shards": SHARDS} if HAS_SHARDS else {})}, redis=RedisCluster))
