"""Runs of syncs have a lane of their own: a limit of the environment over all nodes, some places of a node, nobody in their way."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import flows
from rig import Rig, wait_until
from tap import main, test

TTL, RUNNERS, SYNCS = 1.0, 4, 2  # of each of the two nodes
PLACES = 2 * SYNCS
MANY = [f"m{n}" for n in range(16)]
CRAWL = "await nango.get({{ endpoint: '/{0}/{1}', params: {{ ms: '60', c: nango.connectionId }}, retries: 0 }});"
SYNC_FLOWS = [flows.sync("crawl", CRAWL.format("slow", "crawl"), models=["Crawl"]),
              flows.sync("waits", CRAWL.format("hang", "waits"), models=["Wait"]),
              flows.sync("lasts", CRAWL.format("hang", "lasts"), models=["Last"])]


def operator(rig, method, path, body=None):
    answer = rig.request(method, path, body, key=rig.keys["SLUICE_OPERATOR_KEY"])
    assert answer.status == 200, answer
    return answer.json


def limit(rig, number, told=None):
    """Sets it (None: as the nodes' setting says), and waits until Redis knows."""
    operator(rig, "PATCH", "/admin/v1/environments/dev", {"sync_limit": number})
    key = rig.postgres.query("SELECT k.id FROM concurrency_key k JOIN environment e ON e.id = k.environment_id"
                             " WHERE k.name = 'syncs' AND e.name = 'dev'")[0][0]
    wait_until("Redis knows the limit", lambda: (rig.redis.command("HGET", "sluice:{s00}:limits", str(key)) or b"1")
               == str(told or number).encode(), 5)


def trigger(rig, sync, connection=None, env="dev", **more):
    body = {"syncs": [sync], "provider_config_key": "w", **more}
    if connection is not None:
        body["connection_id"] = connection
    answer = rig.request("POST", "/sync/trigger", body, key=env)
    assert answer.status == 200, answer
    return int(answer.headers["x-sluice-started"])


def open_runs(rig):
    return rig.postgres.query("SELECT j.id FROM job j LEFT JOIN result r ON r.job_id = j.id WHERE j.kind = 2 AND r.job_id IS NULL")


def all_ended(rig, seconds=20):
    wait_until("all runs have ended", lambda: not open_runs(rig), seconds)


def most_at_once(calls):
    now = most = 0
    for _, step in sorted([(c.began, 1) for c in calls] + [(c.ended, -1) for c in calls]):
        now += step
        most = max(most, now)
    return most


@test
def an_environments_limit_holds_over_all_nodes(rig):
    assert trigger(rig, "crawl", "m0") == 1  # the first makes the key
    all_ended(rig)
    limit(rig, 3)
    assert trigger(rig, "crawl") == len(MANY) + 1  # and connection c
    all_ended(rig)
    calls = rig.witness.seen("/slow/crawl")[1:]
    assert sorted(c.query["c"] for c in calls) == sorted(MANY + ["c"]), calls
    assert most_at_once(calls) == 3, most_at_once(calls)
    assert rig.postgres.query("SELECT DISTINCT state FROM result r JOIN job j ON j.id = r.job_id WHERE j.kind = 2") == [["1"]]
    limit(rig, None, 100)


@test
def one_sync_runs_once_at_a_time_however_it_is_asked_for(rig):
    rig.witness.hold("waits")
    before = len(rig.witness.seen("/hang/waits"))
    counts = []
    threads = [threading.Thread(target=lambda n=n: counts.append(trigger(rig, "waits", "c"))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counts) == [0] * 7 + [1], counts
    rig.witness.wait_seen("/hang/waits", before + 1)
    assert trigger(rig, "waits", "c") == 0
    rig.witness.release("waits")
    all_ended(rig)
    for _ in range(12):
        trigger(rig, "crawl", "c")
    all_ended(rig)
    calls = [c for c in rig.witness.seen("/slow/crawl") if c.query["c"] == "c"]
    assert most_at_once(calls) == 1 and len(rig.witness.seen("/hang/waits")) == before + 1, calls


@test
def others_start_at_once_and_take_turns_while_runs_hold_all_places_of_theirs(rig):
    """10,000 would be the same: what waits is one key in a line."""
    rig.witness.hold("waits")
    before = len(rig.witness.seen("/hang/waits"))
    assert trigger(rig, "waits") == len(MANY) + 1
    rig.witness.wait_seen("/hang/waits", before + PLACES)
    jobs = [rig.submit("echo", {"n": n}) for n in range(8)]  # of the same environment
    jobs += [rig.submit("echo", {"n": n}, env="prod") for n in range(8)]
    for n, job in enumerate(jobs):
        assert rig.finish(job, 10, env="dev" if n < 8 else "prod").status == 200
    assert len(rig.witness.seen("/hang/waits")) == before + PLACES, "more runs than places for them"
    assert trigger(rig, "lasts", "c", env="prod") == 1  # the next free place is for who has none
    assert not rig.witness.seen("/hang/lasts")
    runs = open_runs(rig)
    assert len(runs) == len(MANY) + 2, runs
    first = rig.postgres.query("SELECT j.id FROM job j JOIN attempt a ON a.job_id = j.id WHERE j.kind = 2"
                               " AND NOT EXISTS (SELECT FROM result r WHERE r.job_id = j.id) ORDER BY j.seq LIMIT 1")[0][0]
    operator(rig, "POST", f"/admin/v1/jobs/{first}/kill")
    rig.witness.wait_seen("/hang/lasts")
    assert len(rig.witness.seen("/hang/waits")) == before + PLACES
    lowered = [c.began for c in rig.witness.seen("/hang/waits")]
    limit(rig, 1)  # ends nothing
    assert len(open_runs(rig)) == len(MANY) + 1 and [c.began for c in rig.witness.seen("/hang/waits")] == lowered
    limit(rig, None, 100)
    rig.witness.release("lasts")
    rig.witness.release("waits")
    all_ended(rig)


@test
def a_run_that_nobody_starts_expires_though_others_run(rig):
    """Slots of the key are always held: by those who run something else."""
    rig.witness.hold("waits")
    before = len(rig.witness.seen("/hang/waits"))
    assert trigger(rig, "waits") == len(MANY) + 1
    rig.witness.wait_seen("/hang/waits", before + PLACES)
    rig.postgres.query("UPDATE job SET accepted_at = accepted_at - interval '2 hours' WHERE kind = 2"
                       " AND NOT EXISTS (SELECT FROM result r WHERE r.job_id = job.id)")
    wait_until("only those that run are open", lambda: len(open_runs(rig)) == PLACES, 40)
    rig.witness.release("waits")
    all_ended(rig)
    assert len(rig.witness.seen("/hang/waits")) == before + PLACES
    states = rig.postgres.query("SELECT r.state, count(*) FROM result r JOIN job j ON j.id = r.job_id"
                                " WHERE j.accepted_at < now() - interval '1 hour' GROUP BY 1 ORDER BY 1")
    assert states == [["1", str(PLACES)], ["4", str(len(MANY) + 1 - PLACES)]], states


@test
def a_lost_worker_and_a_flushed_redis_leave_the_limit_as_it_is(rig):
    limit(rig, 3)
    before = len(rig.witness.seen("/slow/crawl"))
    assert trigger(rig, "crawl") == len(MANY) + 1
    rig.witness.wait_seen("/slow/crawl", before + 3)
    rig.nodes[1].kill()
    rig.redis.command("FLUSHALL")
    all_ended(rig, 40)
    rig.nodes[1].start()
    calls = rig.witness.seen("/slow/crawl")[before:]
    assert {c.query["c"] for c in calls} == set(MANY + ["c"]), calls
    assert most_at_once(calls) <= 3, most_at_once(calls)
    assert len(calls) == len(MANY) + 1, "a run was started twice"
    limit(rig, None, 100)


def prepare(rig):
    for env in ("dev", "prod"):
        rig.prepare({"echo": "return input;"}, env=env)
        done = rig.deploy_flows(SYNC_FLOWS, env=env)
        assert done.status == 200, done
    for name in MANY:
        rig.connection(name)


main(lambda: Rig(nodes=2, settings={"lease_ttl": f"{TTL:g}s", "runners": str(RUNNERS), "sync_runners": str(SYNCS)}, prepare=prepare))
