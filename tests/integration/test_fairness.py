"""A key with a thousand jobs does not delay the others: every key that waits gets its turn in each round, in one shard and in four."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig
from servers import wait_until
from tap import main, test

CALL = "const r = await nango.get({ endpoint: '/slow/' + input.path, params: { ms: '6', who: input.who } }); return r.data.path;"
SMALL, EACH, BIG = 9, 10, 250
WORKER, API = "worker", "api,scheduler"


def submit_all(rig, path):
    """The big key's jobs are all accepted before the first of any other."""
    jobs = []
    for name in ["e0"] * BIG + [f"e{n}" for n in range(1, SMALL + 1)] * EACH:
        jobs.append((name, rig.submit("call", {"path": path, "who": name}, env=rig.environments[name])))
    return jobs


def run_all(rig, path, shards):
    for node in rig.nodes:
        if node.process is not None:
            node.stop()
        node.settings["queue_shards"] = str(shards)
    rig.nodes[0].start()
    jobs = submit_all(rig, path)
    rig.nodes[1].start(wait=False)
    rig.witness.wait_seen(f"/slow/{path}", len(jobs), 60)
    for name, job in jobs:
        assert rig.finish(job, env=rig.environments[name]).status == 200
    return [call.query["who"] for call in sorted(rig.witness.seen(f"/slow/{path}"), key=lambda c: c.began)]


def check(order, slack):
    """slack: how many times its fair share a key may have had to wait."""
    keys = SMALL + 1
    for n in range(1, SMALL + 1):
        at = [i for i, who in enumerate(order) if who == f"e{n}"]
        assert len(at) == EACH
        late = [(k, i) for k, i in enumerate(at) if i > slack * keys * (k + 1) + keys]
        assert not late, f"job {late[0][0]} of e{n} was number {late[0][1]}"
    end = max(i for i, who in enumerate(order) if who != "e0")
    mine = order[:end].count("e0")
    assert mine >= EACH / 2, f"the big key had {mine} turns of {end}"
    print(f"# the last of the small keys' jobs was number {end} of {len(order)}; {SMALL * EACH} are theirs")


@test
def every_key_gets_its_turn_in_each_round(rig):
    check(run_all(rig, "one", 1), 2)


@test
def keys_of_other_shards_do_not_wait_for_a_shard_with_much_to_do(rig):
    check(run_all(rig, "four", 4), 3)


def prepare(rig):
    rig.environments = {}
    for node, role in zip(rig.nodes, (API, WORKER)):
        node.settings["role"] = role
    rig.nodes[0].start()
    rig.read_keys()
    account = rig.keys["SLUICE_ACCOUNT_KEY"]
    wait_until("the key works", lambda: rig.request("POST", "/environments", {"name": "Bad"}, key=account).status == 400, 5)
    for n in range(SMALL + 1):
        number = rig.request("POST", "/environments", {"name": f"e{n}"}, key=account).json["data"]["id"]
        made = rig.request("POST", "/environment/api-keys", {"environment_id": number, "display_name": "test"}, key=account)
        rig.environments[f"e{n}"] = made.json["data"]["secret"]
        rig.prepare({"call": CALL}, env=rig.environments[f"e{n}"])


main(lambda: Rig(nodes=2, start=False, settings={"runners": "2", "lease_ttl": "5s"}, prepare=prepare))
