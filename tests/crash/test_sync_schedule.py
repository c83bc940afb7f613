"""F01, F02, F13, F14, F16 of schedules: who starts what is due dies, stands still or loses Redis.  Each slot is one run."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import Fleet, has_points, wait_until
import flows
from tap import main, test

MANY = 1000
PING = "await nango.get({ endpoint: '/slow/ping', retries: 0, params: { of: nango.connectionId, job: nango.activityLogId, ms: '3' } });"


def count(fleet, what):
    return int(fleet.postgres.query(f"SELECT count(*) FROM {what}")[0][0])


def connections(fleet, name, number):
    """So many copies of connection c, which have schedules soon."""
    fleet.postgres.query(
        "INSERT INTO connection (environment_id, integration_id, connection_id, credentials, seal_row, connection_config, metadata, tags,"
        " end_user, webhook_url_override) SELECT environment_id, integration_id, connection_id || '-' || n, credentials, seal_row,"
        " connection_config, metadata, tags, end_user, webhook_url_override FROM connection, generate_series(1, %d) n"
        " WHERE connection_id = 'c'" % number)
    fleet.postgres.query(f"UPDATE connection SET connection_id = replace(connection_id, 'c-', '{name}-') WHERE connection_id LIKE 'c-%'")


def due(fleet, name):
    """The slots of these connections are now; how many."""
    return int(fleet.postgres.query(
        "WITH u AS (UPDATE schedule c SET next_run_at = now() FROM sync s JOIN connection k ON k.id = s.connection_id"
        f" WHERE s.id = c.sync_id AND k.connection_id LIKE '{name}-%' RETURNING 1)"
        " SELECT count(*), pg_notify('sluice_schedule', '') FROM u")[0][0])


def runs(fleet, name):
    return f"job j JOIN connection k ON k.id = j.connection_id WHERE j.kind = 2 AND k.connection_id LIKE '{name}-%'"


def ended(fleet, name, number, seconds=60):
    """So many runs, each with its one good end; none is open, no slot is due."""
    done = runs(fleet, name) + " AND EXISTS (SELECT FROM result r WHERE r.job_id = j.id)"
    wait_until(f"{number} runs ended", lambda: count(fleet, done) >= number, seconds, 0.2)
    time.sleep(0.3)  # time enough for one that must not come
    assert count(fleet, runs(fleet, name)) == number, f"{count(fleet, runs(fleet, name))} runs of {number} slots"
    assert count(fleet, "schedule WHERE next_run_at <= now()") == 0
    states = fleet.postgres.query(f"SELECT r.state, count(*) FROM result r JOIN {runs(fleet, name)} AND r.job_id = j.id GROUP BY 1"
                                  .replace(" WHERE j.kind = 2 AND", " ON true WHERE j.kind = 2 AND"))
    return {int(state): int(n) for state, n in states}


def pings(fleet, name):
    """Of each connection its calls; no two of one overlapped."""
    calls = {}
    for call in fleet.witness.seen("/slow/ping"):
        if call.query["of"].startswith(f"{name}-"):
            calls.setdefault(call.query["of"], []).append(call)
    for of, list_ in calls.items():
        list_.sort(key=lambda call: call.began)
        for before, after in zip(list_, list_[1:]):
            assert before.ended <= after.began or before.query["job"] == after.query["job"], f"two runs of {of} at once"
        jobs = [call.query["job"] for call in list_]
        assert len(set(jobs)) == len(jobs), f"a run of {of} was started twice"
    return calls


@test(name=f"F13 F14 {MANY} syncs due while Redis is flushed and killed: each runs once, none twice, no two of one at once", seconds=120)
def _(fleet):
    fleet.all()
    connections(fleet, "many", MANY)
    wait_until("they run", lambda: count(fleet, runs(fleet, "many")) > MANY // 4, 30)
    for _ in range(2):
        fleet.redis.command("FLUSHALL")
        time.sleep(0.5)
    fleet.redis.process.kill()
    fleet.redis.process.wait()
    time.sleep(0.5)
    fleet.restart_redis()
    assert ended(fleet, "many", MANY) == {1: MANY}
    calls = pings(fleet, "many")
    assert len(calls) == MANY and all(len(of) == 1 for of in calls.values())


if has_points():
    @test(name="F02 scheduler killed between the commit of due runs and their push: each runs once", seconds=60)
    def _(fleet):
        fleet.all()
        connections(fleet, "taken", 20)
        ended(fleet, "taken", 20)
        fleet.only()
        victim, worker = fleet.nodes
        victim.settings["role"], worker.settings["role"] = "api,scheduler", "api,worker"
        try:
            victim.environment = {"SLUICE_FAULT": "schedule_taken=kill"}
            victim.start(wait=False)
            worker.start()
            wait_until("it leads", lambda: fleet.leads(victim), 10)
            assert due(fleet, "taken") == 20
            wait_until("it is dead", lambda: victim.process.poll() is not None, 15)
            victim.environment = {}
            victim.start()
            assert ended(fleet, "taken", 40) == {1: 40}
            assert [len(of) for of in pings(fleet, "taken").values()] == [1] * 20
        finally:
            victim.settings["role"] = worker.settings["role"] = None
            fleet.only()


@test(name="F01 leader killed when slots are due, and two leaders for a while: each slot is one run", seconds=60)
def _(fleet):
    fleet.all()
    connections(fleet, "lead", 50)
    ended(fleet, "lead", 50)
    leader = next(node for node in fleet.nodes if fleet.leads(node))
    assert due(fleet, "lead") == 50
    leader.kill()
    states = ended(fleet, "lead", 100)
    assert set(states) <= {1, 5} and states[1] >= 50, states  # runs of its own worker went with it
    leader.start()
    leader, other = sorted(fleet.nodes, key=lambda node: node is leader)
    fleet.pause(leader)
    try:
        assert due(fleet, "lead") == 50
        wait_until("another leads", lambda: fleet.leads(other), 20)
        wait_until("it has begun", lambda: count(fleet, runs(fleet, "lead")) > 100, 20)
    finally:
        fleet.wake(leader)
    states = ended(fleet, "lead", 150)
    assert states[1] >= 100, states
    pings(fleet, "lead")


def prepare(fleet):
    fleet.integration()
    done = fleet.deploy_flows([flows.sync("ping", PING, auto_start=True)])
    assert done.status == 200, done
    fleet.connection()


main(lambda: Fleet(nodes=2, prepare=prepare))
