"""F13, F14 with schedules: Redis forgets while many syncs are due; I3 of one sync.  Who is killed between: test_schedules.py."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import Fleet, wait_until
import flows
from tap import main, test

MANY = 1000
PING = "await nango.get({ endpoint: '/slow/ping', retries: 0, params: { of: nango.connectionId, job: nango.activityLogId, ms: '10' } });"


def count(fleet, what):
    return int(fleet.postgres.query(f"SELECT count(*) FROM {what}")[0][0])


def connections(fleet, name, number):
    """So many copies of connection c, which have schedules soon."""
    columns = "credentials, seal_row, connection_config, metadata, tags, end_user, webhook_url_override"
    fleet.postgres.query(
        f"INSERT INTO connection (environment_id, integration_id, connection_id, {columns}) SELECT environment_id, integration_id,"
        f" '{name}-' || n, {columns} FROM connection, generate_series(1, {number}) n WHERE connection_id = 'c'")


def runs(name):
    return f"job j JOIN connection k ON k.id = j.connection_id WHERE j.kind = 2 AND k.connection_id LIKE '{name}-%'"


@test(name=f"F13 F14 F06 {MANY} syncs due while Redis is flushed and killed, and the leader is killed: each runs once, none is lost", seconds=120)
def _(fleet):
    fleet.all()
    leader = fleet.nodes[0]
    connections(fleet, "many", MANY)
    wait_until("some run", lambda: count(fleet, runs("many")) > MANY // 10, 30)
    leader.kill()
    fleet.redis.command("FLUSHALL")
    leader.start()
    time.sleep(0.3)
    fleet.redis.command("FLUSHALL")
    time.sleep(0.3)
    fleet.redis.process.kill()
    fleet.redis.process.wait()
    time.sleep(0.5)
    fleet.restart_redis()
    ended = runs("many") + " AND EXISTS (SELECT FROM result r WHERE r.job_id = j.id AND r.state = 1)"
    wait_until("all have run", lambda: count(fleet, ended) >= MANY, 90, 0.2)
    time.sleep(0.3)  # time enough for one that must not come
    assert count(fleet, runs("many")) == MANY and count(fleet, "schedule WHERE next_run_at <= now()") == 0
    calls = [call.query["of"] for call in fleet.witness.seen("/slow/ping") if call.query["of"].startswith("many-")]
    assert len(calls) == len(set(calls)) == MANY, f"{len(calls)} starts of {len(set(calls))} syncs"


@test(name="I3 one sync is asked for by six clients through two nodes and is due again and again: never two runs at once", seconds=60)
def _(fleet):
    fleet.all()
    fleet.connection("busy")
    wait_until("it has a schedule", lambda: count(fleet, "schedule c JOIN sync s ON s.id = c.sync_id JOIN connection k"
                                                         " ON k.id = s.connection_id WHERE k.connection_id = 'busy'") == 1, 15)
    until, errors = time.monotonic() + 2.5, []

    def ask(node):
        while time.monotonic() < until:
            answer = fleet.request("POST", "/sync/trigger", {"syncs": ["ping"], "provider_config_key": "w", "connection_id": "busy"}, node=node)
            if answer.status != 200:
                errors.append(answer)
    threads = [threading.Thread(target=ask, args=(fleet.nodes[n % 2],)) for n in range(6)]
    for thread in threads:
        thread.start()
    while time.monotonic() < until:
        fleet.postgres.query("UPDATE schedule c SET next_run_at = now() FROM sync s JOIN connection k ON k.id = s.connection_id"
                             " WHERE s.id = c.sync_id AND k.connection_id = 'busy'; NOTIFY sluice_schedule")
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert not errors, errors[0]
    open_runs = "job j JOIN connection k ON k.id = j.connection_id WHERE j.kind = 2 AND k.connection_id = 'busy'"
    wait_until("no run is open", lambda: count(fleet, open_runs + " AND NOT EXISTS (SELECT FROM result r WHERE r.job_id = j.id)") == 0, 20)
    calls = sorted((call for call in fleet.witness.seen("/slow/ping") if call.query["of"] == "busy"), key=lambda call: call.began)
    assert len(calls) == count(fleet, open_runs) >= 5, (len(calls), count(fleet, open_runs))
    assert all(before.ended <= after.began for before, after in zip(calls, calls[1:])), "two runs at once"


def prepare(fleet):
    fleet.integration()
    done = fleet.deploy_flows([flows.sync("ping", PING, auto_start=True)])
    assert done.status == 200, done
    fleet.connection()


main(lambda: Fleet(nodes=2, roles=("api,scheduler", "api,worker"), prepare=prepare))
