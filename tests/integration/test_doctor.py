"""The doctor says what is wrong, why, and what to do: each fault is made, told, and gone again from what is told."""
import contextlib
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig
from servers import wait_until
from tap import main, test
from wrong_clock import wrong_clock

FUNCTIONS = {"work": "const r = await nango.get({ endpoint: input.path, retries: 0 }); return r.data.path;"}
BEHIND = 90  # seconds that the clock of a node is behind: what it accepts is old from the start


def operator(rig, method, path, body=None, node=None):
    return rig.request(method, f"/admin/v1{path}", body, key=rig.keys["SLUICE_OPERATOR_KEY"], node=node)


def doctor(rig, node=None):
    """(verdict, {name: check}); within its time whatever is wrong."""
    began = time.monotonic()
    answer = operator(rig, "GET", "/doctor", node=node)
    took = time.monotonic() - began
    assert answer.status == 200 and took < 3, (took, answer)
    checks = {check["name"]: check for check in answer.json["checks"]}
    for check in checks.values():
        assert set(check) == {"name", "state", "text", "cause", "remedy", "runbook"} and check["text"], check
        assert (check["state"] == "ok") == (check["cause"] is None) == (check["remedy"] is None), check
    return answer.json["verdict"], checks


def until(rig, verdict, name, state, node=None, seconds=15):
    """Waits until the doctor says so of one check; returns it."""
    last = []

    def said():
        last[:] = doctor(rig, node)
        check = last[1].get(name)
        return check if last[0] == verdict and check is not None and check["state"] == state else None
    try:
        return wait_until(f"{name} is {state}", said, seconds, every=0.1)
    except Exception as error:
        raise AssertionError(f"the doctor says {last}") from error


def healthy(rig, seconds=20):
    last = []

    def well():
        last[:] = doctor(rig)
        return last[0] == "healthy"
    try:
        wait_until("the fleet is healthy", well, seconds, every=0.1)
    except Exception as error:
        raise AssertionError([check for check in last[1].values() if check["state"] != "ok"]) from error


def restart(node, environment=None, **settings):
    node.stop()
    node.environment = environment or {}
    node.settings.update(settings)
    node.start()


BEHIND_ENVIRONMENT = wrong_clock(FAKETIME=f"-{BEHIND}s")


def name_of(rig, node):
    rows = operator(rig, "GET", "/workers").json["workers"]
    return [row["name"] for row in rows if f":{node.process.pid}:" in row["name"]][0]


def steer(rig, node, what):
    answer = operator(rig, "POST", f"/workers/{name_of(rig, node)}/{what}")
    assert answer.status == 200, answer


@test
def a_fleet_that_works_is_healthy_and_everything_was_looked_at(rig):
    healthy(rig)
    verdict, checks = doctor(rig, rig.nodes[1])
    assert verdict == "healthy" and set(checks) == {
        "postgres", "postgres_latency", "redis", "redis_latency", "redis_policy", "scheduler", "workers", "capacity", "queue_age",
        "paused", "dead", "quarantine", "schedules", "syncs", "webhooks", "endpoints", "backlog", "versions", "clocks", "runner", "compiler", "descriptors"}, checks
    assert "2 live" in checks["workers"]["text"] and "leads" in checks["scheduler"]["text"], checks
    answer = rig.request("GET", "/admin/v1/doctor", node=rig.nodes[0])
    assert answer.status == 403 and answer.code == "forbidden", answer
    assert rig.request("GET", "/admin/v1/doctor", key=None).status == 401


@test
def without_redis_it_is_down_and_says_so_in_time(rig):
    rig.redis.stop()
    check = until(rig, "down", "redis", "fail")
    assert "redis_url" in check["remedy"] and check["runbook"] == "redisdown", check
    rig.redis.start()
    healthy(rig)
    rig.redis.process.send_signal(signal.SIGSTOP)  # it takes connections, and answers nothing
    try:
        assert "2 s" in until(rig, "down", "redis", "fail")["cause"]
    finally:
        rig.redis.process.send_signal(signal.SIGCONT)
    healthy(rig)


@test
def without_postgres_it_is_down_also_for_a_node_that_never_saw_the_key(rig):
    fresh = rig.nodes[1]
    restart(fresh)
    healthy(rig)
    rig.postgres.stop(immediate=True)
    check = until(rig, "down", "postgres", "fail", fresh)
    assert "database_url" in check["remedy"] and check["runbook"] == "postgresdown", check
    verdict, checks = doctor(rig, fresh)
    assert verdict == "down" and "workers" not in checks and checks["redis"]["state"] == "ok", checks
    rig.postgres.start()
    healthy(rig)
    for process in [rig.postgres.process.pid] + children(rig.postgres.process.pid):
        os.kill(process, signal.SIGSTOP)
    try:
        assert "2 s" in until(rig, "down", "postgres", "fail")["cause"]
    finally:
        for process in [rig.postgres.process.pid] + children(rig.postgres.process.pid):
            with contextlib.suppress(ProcessLookupError):  # a server that goes on ends what its clients have left
                os.kill(process, signal.SIGCONT)
    healthy(rig)


def children(pid):
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    if int(file.read().rpartition(")")[2].split()[1]) == pid:
                        found.append(int(name))
            except (FileNotFoundError, ProcessLookupError):
                pass
    return found


@test
def old_jobs_are_put_down_to_what_holds_them_up(rig):
    late = rig.nodes[1]
    restart(late, BEHIND_ENVIRONMENT)
    assert f"this node ({name_of(rig, late)})" in until(rig, "degraded", "clocks", "warn", late)["cause"]
    healthy(rig)
    first = rig.submit("work", {"path": "/hang/old"}, node=late)
    second = rig.submit("work", {"path": "/ok"}, node=late)
    rig.witness.wait_seen("/hang/old")
    check = until(rig, "degraded", "queue_age", "warn")
    assert "line actions waits for 9" in check["text"] and "1 of its jobs runs" in check["cause"], check
    assert check["runbook"] == "queueagehigh" and "limit" in check["remedy"], check
    steer(rig, rig.nodes[0], "quiet")
    assert name_of(rig, rig.nodes[0]) in until(rig, "degraded", "workers", "warn")["remedy"]
    steer(rig, rig.nodes[1], "quiet")
    check = until(rig, "down", "workers", "fail")
    assert "sluice worker release" in check["remedy"], check
    rig.witness.release("old")
    assert rig.finish(first).status == 200
    assert until(rig, "down", "queue_age", "warn")["cause"] == "all workers are quiet"
    assert rig.poll(second).status == 404
    for node in rig.nodes:
        steer(rig, node, "release")
    assert rig.finish(second).status == 200
    healthy(rig)
    restart(late)


@test
def what_is_paused_is_told_and_explains_why_jobs_wait(rig):
    late = rig.nodes[1]
    restart(late, BEHIND_ENVIRONMENT)
    assert operator(rig, "POST", "/queues/dev/pause", {"line": "actions"}).status == 200
    job = rig.submit("work", {"path": "/ok"}, node=late)
    check = until(rig, "degraded", "queue_age", "warn")
    assert check["cause"] == "it is paused" and check["remedy"] == "sluice queue resume dev --line actions", check
    check = until(rig, "degraded", "paused", "warn")
    assert "dev, line actions" in check["text"] and check["remedy"] == "sluice queue resume dev --line actions", check
    assert rig.poll(job).status == 404
    assert operator(rig, "POST", "/queues/dev/resume", {"line": "actions"}).status == 200
    assert rig.finish(job).status == 200
    assert operator(rig, "POST", "/queues/prod/drain", {}).status == 200
    check = until(rig, "degraded", "paused", "warn")
    assert "prod" in check["text"] and check["cause"] == "an operator drains it", check
    assert operator(rig, "POST", "/queues/prod/resume", {}).status == 200
    healthy(rig)
    restart(late)


@test
def a_fleet_without_a_scheduler_is_told_so(rig):
    for node in rig.nodes:
        restart(node, role="api,worker")
    check = until(rig, "degraded", "scheduler", "fail")
    assert "role scheduler" in check["remedy"] and check["runbook"] == "noschedulerleads", check
    make_syncs(rig, 1, "INSERT INTO schedule (sync_id, started, every_ms, next_run_at) SELECT id, true, 60000, now() - interval '2 min' FROM s")
    check = until(rig, "degraded", "schedules", "warn")
    assert "2 min" in check["text"] or "12" in check["text"], check
    assert check["remedy"] == "see scheduler" and check["runbook"] == "scheduleslate", check
    rig.postgres.query("UPDATE schedule SET next_run_at = now() - interval '1 hour'")
    until(rig, "degraded", "schedules", "fail")
    rig.postgres.query("DELETE FROM sync")
    rig.redis.command("FLUSHALL")
    assert "no scheduler" in until(rig, "down", "redis", "fail")["cause"]
    for node in rig.nodes:
        restart(node, role=None)
    healthy(rig)


def make_syncs(rig, count, more):
    """Rows of syncs alone, of no use to run; more: SQL over s."""
    rig.postgres.query("WITH f AS (SELECT f.environment_id e, f.id, c.id c FROM function f JOIN connection c USING (integration_id) LIMIT 1),"
                       f" k AS (INSERT INTO concurrency_key (environment_id, name) SELECT f.e, 'some:' || n FROM f, generate_series(1, {count}) n"
                       "  RETURNING id, name),"
                       " s AS (INSERT INTO sync (environment_id, function_id, connection_id, variant, key_id)"
                       f"  SELECT f.e, f.id, f.c, k.name, k.id FROM f, k RETURNING id) {more}")


@test
def many_syncs_that_do_not_get_on_are_told_and_few_are_not(rig):
    make_syncs(rig, 10, "SELECT count(*) FROM s")
    rig.postgres.query("UPDATE sync SET trouble = 2, trouble_at = now() WHERE id <> (SELECT min(id) FROM sync)")
    verdict, checks = doctor(rig)
    assert verdict == "healthy" and "9 syncs are" in checks["syncs"]["text"], checks
    rig.postgres.query("UPDATE sync SET trouble = 2, trouble_at = now()")
    check = until(rig, "degraded", "syncs", "warn")
    assert "sync ls --state stalled" in check["remedy"] and check["runbook"] == "syncsstalled", check
    rig.postgres.query("DELETE FROM sync")
    healthy(rig)


@test
def webhooks_that_are_late_and_paused_endpoints_are_told(rig):
    rig.postgres.query("INSERT INTO endpoint (environment_id, slot, url, paused_at, pause_cause, failing_since)"
                       " SELECT e.id, 3, 'http://127.0.0.1:9/' || c.cause, now(), c.cause, now()"
                       " FROM environment e, (VALUES (1), (2)) c(cause) WHERE e.name = 'dev'")
    check = until(rig, "degraded", "endpoints", "warn")
    gone = rig.postgres.query("SELECT uuid FROM endpoint WHERE pause_cause = 2")[0][0]
    assert check["text"] == f"2 endpoints of webhooks are paused: {gone} of dev, ...", check
    assert "410" in check["cause"] and check["remedy"].endswith(f"sluice webhook resume {gone}"), check
    assert check["runbook"] == "webhookendpointpaused", check
    rig.postgres.query("DELETE FROM endpoint WHERE pause_cause = 1")
    for node in rig.nodes:  # so that nobody takes the webhook, which has no event
        restart(node, role="api,scheduler")
    rig.postgres.query("INSERT INTO delivery_due (delivery_id, endpoint_id, due_at)"
                       " SELECT gen_random_uuid(), id, now() - interval '1 hour' FROM endpoint")
    assert doctor(rig)[1]["webhooks"]["state"] == "ok"  # what waits for a paused one is not late
    rig.postgres.query("UPDATE endpoint SET paused_at = NULL, pause_cause = 0, failing_since = NULL")
    check = until(rig, "down", "webhooks", "warn")
    assert "60 min" in check["text"] and check["remedy"] == "see workers" and check["runbook"] == "webhookslate", check
    rig.postgres.query("DELETE FROM delivery_due; DELETE FROM endpoint")
    for node in rig.nodes:
        restart(node, role=None)
    healthy(rig)


@test
def a_killed_worker_is_named_with_the_command_that_frees_its_work(rig):
    name = name_of(rig, rig.nodes[1])
    rig.nodes[1].kill()
    check = until(rig, "degraded", "workers", "warn")
    assert f"{name} was not seen" in check["cause"] and check["remedy"].count(name) == 1, check
    assert rig.postgres.query(f"DELETE FROM node WHERE name = '{name}' RETURNING 1")  # else it is told for an hour
    rig.nodes[1].start()
    healthy(rig)


@test
def settings_and_builds_that_do_not_fit_are_told(rig):
    rig.redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    assert "noeviction" in until(rig, "degraded", "redis_policy", "warn")["remedy"]
    rig.redis.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    name = name_of(rig, rig.nodes[1])
    rig.postgres.query(f"UPDATE node SET version = '0.0.9' WHERE name = '{name}'")
    assert f"{name} runs 0.0.9" in until(rig, "degraded", "versions", "warn")["cause"]
    restart(rig.nodes[1], node_path="/nowhere/node")
    assert "/nowhere/node" in until(rig, "degraded", "compiler", "warn", rig.nodes[1])["cause"]
    assert doctor(rig)[1]["compiler"]["state"] == "ok"
    restart(rig.nodes[1], node_path=None)
    healthy(rig)


main(lambda: Rig(nodes=2, settings={"lease_ttl": "1s", "drain_timeout": "3s"}, prepare=lambda rig: rig.prepare(FUNCTIONS)))
