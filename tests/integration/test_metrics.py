"""GET /metrics: who may read it, and that each number moves by what it is said to count, by causing it.

Node 0 has the api and the scheduler, node 1 is a worker alone with a listener for its metrics; so it is known which
of them counts what."""
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from exposition import parse
from rig import Node, Rig, free_port
from servers import RigError, wait_until
from sink import OK, Sink, held, status
from tap import main, test

TTL = 1.0
PREFIX = "sluice:{s00}:"
FUNCTIONS = {
    "echo": "return input;",
    "fail": "throw new Error('as asked');",
    "get": "const r = await nango.get({ endpoint: input.path, retries: 0 }); return r.data;",
    "nap": "await nango.get({ endpoint: '/ok/nap', retries: 0 }); await new Promise((done) => setTimeout(done, 700));",
    "sleep": "await new Promise((done) => setTimeout(done, 60000));",
    "loop": "for (;;) {}",
    "arrays": "const kept = []; for (;;) kept.push(new Array(1000).fill(kept.length));",
}


def worker_url(rig, path="/metrics"):
    return f"http://{rig.nodes[1].settings['metrics_listen']}{path}"


def numbers(rig, which):
    if which == 0:
        answer = rig.request("GET", "/metrics", key=None)
        assert answer.status == 200, answer
        return parse(answer.body.decode())
    with urllib.request.urlopen(worker_url(rig), timeout=10) as answer:
        return parse(answer.read().decode())


def rises(rig, which, name, by=1, before=None, seconds=15, exact=True, **labels):
    """Waits until a number has risen by so much since before (its value then)."""
    def risen():
        more = numbers(rig, which).total(name, **labels) - before
        return more >= by and (more,)
    (more,) = wait_until(f"{name} {labels} rises by {by}", risen, seconds, 0.1)
    assert not exact or more == by, f"{name} {labels} rose by {more}, not by {by}"


class Change:
    """with Change(rig, 1, "name", by=2, kind="action"): what makes it rise."""

    def __init__(self, rig, which, name, by=1, exact=True, **labels):
        self.rig, self.which, self.name, self.by, self.exact, self.labels = rig, which, name, by, exact, labels

    def __enter__(self):
        self.before = numbers(self.rig, self.which).total(self.name, **self.labels)

    def __exit__(self, kind, *_):
        if kind is None:
            rises(self.rig, self.which, self.name, self.by, self.before, exact=self.exact, **self.labels)


def key_of(rig, job):
    return int(rig.postgres.query(f"SELECT key_id FROM job WHERE id = '{job}'")[0][0])


def open_rig():
    rig = Rig(nodes=2, settings={"lease_ttl": f"{TTL:g}s", "retry_first": "100ms", "runner_cpu": "500ms", "runner_heap": "16MiB", "action_timeout": "5s",
                                 "deaths_max": 2, "queued_max": 40, "drain_timeout": "3s", "delivery_schedule": "0s,100ms"}, start=False)

    def prepare(rig):
        rig.nodes[0].settings.update(role="api,scheduler", metrics_listen=f"unix:{rig.directory}/metrics")
        rig.nodes[1].settings.update(role="worker", listen=None, metrics_listen=f"127.0.0.1:{free_port()}")
        rig.nodes[1]._is_ready = lambda: worker_is_ready(rig)  # pylint: disable=protected-access
        rig.nodes[0].start()
        rig.read_keys()
        for env in ("dev", "prod"):
            rig.prepare(FUNCTIONS, env=env)
    rig.prepare_more = prepare
    return rig


def worker_is_ready(rig):
    assert rig.nodes[1].process.poll() is None, rig.nodes[1].log()
    try:
        with urllib.request.urlopen(worker_url(rig, "/ready"), timeout=5) as answer:
            return answer.status == 200
    except (OSError, urllib.error.HTTPError):
        return False


# ---- before the worker is there: what waits

def make_syncs(rig):
    """Five syncs, of no use to run; the run of one has been due for five minutes, and is kept from those who would start it."""
    rig.postgres.query(
        "WITH f AS (SELECT f.environment_id e, f.id, c.id c FROM function f JOIN connection c USING (integration_id) LIMIT 1),"
        " k AS (INSERT INTO concurrency_key (environment_id, name) SELECT f.e, 'some:' || n FROM f, generate_series(1, 5) n RETURNING id, name),"
        " s AS (INSERT INTO sync (environment_id, function_id, connection_id, variant, key_id, trouble)"
        "  SELECT f.e, f.id, f.c, k.name, k.id, (ARRAY[0, 1, 1, 2, 0])[right(k.name, 1)::int] FROM f, k RETURNING id, variant)"
        " INSERT INTO schedule (sync_id, started, every_ms, next_run_at)"
        " SELECT id, variant < 'some:4', 3600000, CASE WHEN variant < 'some:4' THEN now() + interval '1 hour' END FROM s")
    threading.Thread(target=hold_syncs, args=(rig,), daemon=True).start()
    wait_until("they are locked", lambda: rig.postgres.query(f"SELECT pid {HOLDERS}"), 10)
    rig.postgres.query("UPDATE schedule SET next_run_at = now() - interval '5 min' WHERE sync_id = (SELECT min(id) FROM sync)")


HOLDERS = "FROM pg_stat_activity WHERE wait_event = 'PgSleep'"


def hold_syncs(rig):
    with contextlib.suppress(RigError):  # its session is ended
        rig.postgres.query("BEGIN; SELECT FROM sync FOR UPDATE; SELECT pg_sleep(120)")


@test
def what_waits_is_counted_by_environment_and_lane(rig):
    make_syncs(rig)
    rig.jobs = [rig.submit("echo", {"n": n}) for n in range(3)]
    rig.jobs.append(rig.submit("echo", {}, headers={"X-Delay": "3600"}))
    rig.lost = rig.submit("echo", {}, env="prod")  # and then lost from Redis: for a later test
    rig.redis.command("DEL", f"{PREFIX}q:{key_of(rig, rig.lost)}")

    steer = {"key": rig.keys["SLUICE_OPERATOR_KEY"]}
    assert rig.request("POST", "/admin/v1/queues/prod/pause", {}, **steer).status == 200

    def counted():
        seen = numbers(rig, 0)
        return seen.total("sluice_queue_depth", environment="dev", lane="new") == 3 and \
            seen.total("sluice_queue_paused") and seen
    seen = wait_until("the scheduler has counted", counted, 25, 0.2)
    assert seen.total("sluice_queue_depth", environment="dev", lane="delayed") == 1
    assert seen.total("sluice_queue_depth", environment="dev", lane="front") == 0
    assert 0 < seen.get_one("sluice_queue_oldest_age_seconds", environment="dev", lane="new") < 60
    assert seen.get_one("sluice_queue_oldest_age_seconds", environment="dev", lane="delayed") == 0
    assert seen.get_one("sluice_queue_paused", environment="prod", how="paused") == 1
    assert seen.total("sluice_queue_paused") == 1
    assert rig.request("POST", "/admin/v1/queues/prod/resume", {}, **steer).status == 200
    assert "other" in seen.labels("sluice_queue_depth", "environment")
    assert [seen.get_one("sluice_schedules", state=state) for state in ("started", "paused")] == [3, 2]
    assert [seen.get_one("sluice_syncs_trouble", trouble=t) for t in ("interrupted", "stalled", "repeats_page")] == [2, 1, 0]
    assert 300 <= seen.get_one("sluice_schedule_late_seconds") < 330
    assert abs(time.time() - seen.get_one("sluice_records_retention_timestamp_seconds")) < 60
    rig.postgres.query(f"SELECT pg_terminate_backend(pid) {HOLDERS}")
    rig.postgres.query("DELETE FROM sync")
    assert seen.get_one("sluice_scheduler_leads") == 1
    assert ("sluice_last_claim_timestamp_seconds", ()) not in seen and ("sluice_running", ()) not in seen


@test
def what_is_refused_is_counted_with_its_reason(rig):
    with Change(rig, 0, "sluice_refused_total", reason="auth"), Change(rig, 0, "sluice_http_requests_total", **{"class": "4xx"}):
        assert rig.request("GET", "/connections", key="00000000-0000-4000-8000-000000000000").status == 401
    with Change(rig, 0, "sluice_refused_total", reason="queue_full", exact=False):
        answers = [rig.call("echo", {}, {"X-Async": "true"}).status for _ in range(40)]
        assert 429 in answers, answers


@test
def the_worker_serves_its_numbers_and_nothing_else(rig):
    rig.nodes[1].start()
    for path, status in (("/health", 200), ("/ready", 200), ("/connections", 404), ("/metrics/x", 404)):
        try:
            with urllib.request.urlopen(worker_url(rig, path), timeout=5) as answer:
                assert answer.status == status, path
        except urllib.error.HTTPError as error:
            assert error.code == status, (path, error.code)
    with urllib.request.urlopen(worker_url(rig), timeout=5) as answer:
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    done = subprocess.run(["curl", "-s", "--unix-socket", f"{rig.directory}/metrics", "http://x/metrics"], check=True,
                          capture_output=True, text=True)
    assert parse(done.stdout).get_one("sluice_scheduler_leads") == 1
    assert not {("sluice_scheduler_leads", ()), ("sluice_schedule_late_seconds", ()),
                ("sluice_records_retention_timestamp_seconds", ())} & set(numbers(rig, 1))


# ---- jobs

def unless_lost(rig, claim):
    """A worker that stood still for a ttl, as one may on a busy machine, runs again what had no effect yet: another start
    and another run, rightly counted.  Only then is the claim made again."""
    def losses():
        seen = numbers(rig, 1)
        return seen.total("sluice_lease_lost_total") + seen.total("sluice_session_lost_total")
    for tries_left in (2, 1, 0):
        before = losses()
        try:
            claim()
            return
        except AssertionError:
            if tries_left == 0 or losses() == before:
                raise


def five_jobs_are_counted(rig):
    with Change(rig, 0, "sluice_jobs_enqueued_total", 5, kind="action"), \
            Change(rig, 1, "sluice_jobs_finished_total", 3, kind="action", outcome="succeeded"), \
            Change(rig, 1, "sluice_jobs_finished_total", 2, kind="action", outcome="failed"), \
            Change(rig, 1, "sluice_job_retries_total", 1, kind="action"), \
            Change(rig, 1, "sluice_job_run_seconds_count", 6, kind="action"), \
            Change(rig, 1, "sluice_job_wait_seconds_count", 5, kind="action"), \
            Change(rig, 1, "sluice_runner_starts_total", 6):
        for job in [rig.submit("echo", {}) for _ in range(3)] + [rig.submit("fail", {}), rig.submit("fail", {}, retries=1)]:
            rig.finish(job)


@test
def jobs_are_counted_once_by_kind_and_outcome(rig):
    for job in rig.jobs[:3]:
        assert rig.finish(job).status == 200
    # The one that Redis lost included: the scheduler brings it back within 15 s, and its run would be one more below.
    wait_until("all that waited has run", lambda: rig.postgres.query(
        "SELECT count(*) FROM job j WHERE NOT EXISTS (SELECT FROM result r WHERE r.job_id = j.id)"
        " AND NOT EXISTS (SELECT FROM retry w WHERE w.job_id = j.id)") == [["0"]], 30)
    wait_until("the node has heard of it", lambda: rig.call("echo", {}, {"X-Async": "true"}).status == 202, 10, 0.2)
    rig.finish(rig.submit("echo", {}))  # behind it
    before = numbers(rig, 1)
    unless_lost(rig, lambda: five_jobs_are_counted(rig))
    after = numbers(rig, 1)
    for name in ("sluice_commit_batch_size_count", "sluice_postgres_latency_seconds_count", "sluice_redis_latency_seconds_count"):
        assert after.total(name) > before.total(name), name
    assert after.total("sluice_commit_batch_size_count", batch="settle") > 0 == after.total("sluice_commit_batch_size_count", batch="accept")
    assert numbers(rig, 0).total("sluice_commit_batch_size_count", batch="accept") > 0
    assert abs(time.time() - after.get_one("sluice_last_claim_timestamp_seconds")) < 10


@test
def a_cancelled_job_is_counted_by_the_node_that_cancelled_it(rig):
    with Change(rig, 0, "sluice_jobs_finished_total", outcome="cancelled"):
        assert rig.request("DELETE", f"/action/{rig.jobs[3]}").status == 200
        assert rig.request("DELETE", f"/action/{rig.jobs[3]}").status == 409


@test
def what_operators_cancel_accept_again_and_refuse_is_counted(rig):
    def operator(path, body=None):
        return rig.request("POST", f"/admin/v1{path}", body or {}, key=rig.keys["SLUICE_OPERATOR_KEY"])
    delayed = [rig.submit("echo", {}, headers={"X-Delay": "3600"}) for _ in range(3)]
    with Change(rig, 0, "sluice_jobs_finished_total", outcome="cancelled"):
        assert operator(f"/jobs/{delayed[0]}/cancel").status == 200
    with Change(rig, 0, "sluice_jobs_finished_total", 2, outcome="cancelled"):
        assert operator("/queues/dev/drain", {"cancel": True}).json["cancelled"] == 2
    with Change(rig, 0, "sluice_refused_total", reason="draining"):
        assert rig.call("echo", {}, {"X-Async": "true"}).code == "queue_draining"
    assert operator("/queues/dev/resume").status == 200
    with Change(rig, 0, "sluice_jobs_enqueued_total"), Change(rig, 1, "sluice_jobs_finished_total", outcome="succeeded"):
        answer = operator(f"/jobs/{rig.jobs[0]}/retry")
        assert answer.status == 201, answer
        rig.finish(answer.json["id"])


@test
def requests_to_providers_are_counted_by_outcome(rig):
    for path, outcome in (("/ok", "ok"), ("/status/429", "rate_limited"), ("/status/404", "client_error"),
                          ("/status/503", "server_error")):
        with Change(rig, 1, "sluice_provider_requests_total", outcome=outcome):
            rig.finish(rig.submit("get", {"path": path}))


# ---- what is ended by force

@test
def a_run_that_is_ended_by_force_is_counted_by_reason(rig):
    with Change(rig, 1, "sluice_sandbox_kills_total", reason="timeout"):
        slept = rig.submit("sleep", {}, env="prod")
        for name, reason in (("loop", "cpu"), ("arrays", "memory")):
            with Change(rig, 1, "sluice_sandbox_kills_total", reason=reason):
                assert rig.finish(rig.submit(name, {})).status == 500
        assert rig.finish(slept, env="prod").status == 500


def function_processes(node):
    """Processes two below the node: the runner's root forks them."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
    return [pid for pid, parent in parents.items() if parents.get(parent) == node.process.pid]


@test
def a_job_that_kills_its_runner_too_often_is_counted_as_dead(rig):
    with Change(rig, 1, "sluice_jobs_dead_total"), Change(rig, 1, "sluice_jobs_finished_total", outcome="dead"), \
            Change(rig, 1, "sluice_sandbox_kills_total", 2, reason="signal"):
        job = rig.submit("sleep", {})
        for _ in range(2):
            wait_until("it runs", lambda: numbers(rig, 1).get_one("sluice_running") == 1, 15)
            for pid in function_processes(rig.nodes[1]):
                os.kill(pid, signal.SIGKILL)
            wait_until("it died", lambda: numbers(rig, 1).get_one("sluice_running") == 0, 15)
        assert rig.finish(job).status == 500


@test
def an_entry_that_is_no_job_is_counted(rig):
    key = key_of(rig, rig.jobs[0])
    with Change(rig, 1, "sluice_quarantined_total", reason="broken"):
        rig.redis.command("RPUSH", f"{PREFIX}q:{key}", b"no job at all")
        rig.finish(rig.submit("echo", {}))
    with Change(rig, 1, "sluice_quarantined_total", reason="forged"), \
            Change(rig, 1, "sluice_security_events_total", kind="queue_entry"):
        held = rig.submit("get", {"path": "/hang/forged"})
        rig.witness.wait_seen("/hang/forged")
        entry = rig.redis.command("LINDEX", f"{PREFIX}q:{key}", 0)
        entry = entry if isinstance(entry, bytes) else entry.encode("latin-1")
        rig.redis.command("RPUSH", f"{PREFIX}q:{key}", entry[:-1] + bytes([entry[-1] ^ 1]))
        rig.witness.release("forged")
        rig.finish(held)
        rig.finish(rig.submit("echo", {}))


# ---- webhooks

def webhooks_to(rig, url, secondary=None, env="dev"):
    answer = rig.request("PATCH", f"/admin/v1/environments/{env}", {"webhook_url": url, "webhook_url_secondary": secondary,
                                                                    "webhook_events": "async_action"}, key=rig.keys["SLUICE_OPERATOR_KEY"])
    assert answer.status == 200, answer


@test
def webhooks_are_counted_by_what_became_of_them(rig):
    with Sink() as sink:
        webhooks_to(rig, f"{sink.url}/hooks")
        with Change(rig, 1, "sluice_webhook_tries_total", outcome="delivered"), Change(rig, 1, "sluice_webhook_seconds_count"), \
                Change(rig, 1, "sluice_webhook_delay_seconds_count"):
            rig.finish(rig.submit("echo", {}))
            sink.wait(1)
        sink.answer("/hooks", status(500))
        with Change(rig, 1, "sluice_webhook_tries_total", 2, outcome="failed"), Change(rig, 1, "sluice_webhook_exhausted_total"):
            rig.finish(rig.submit("echo", {}))
        webhooks_to(rig, None)


def survey(rig, what, wanted):
    """Waits until the node whose scheduler leads has seen so many endpoints in each state, and returns what else it shows."""
    def seen():
        found = numbers(rig, 0)
        return ("sluice_webhooks_pending", ()) in found and found if all(
            found.total("sluice_webhook_endpoints", state=state) == count for state, count in wanted.items()) else None
    return wait_until(what, seen, 25, 0.2)


@test
def webhooks_that_wait_and_endpoints_in_trouble_are_shown(rig):
    with Sink() as sink:
        for path, answer in (("/slow", held("slow", OK)), ("/bad", status(500)), ("/gone", status(410))):
            sink.answer(path, answer)
        webhooks_to(rig, f"{sink.url}/gone", env="prod")
        webhooks_to(rig, f"{sink.url}/slow", f"{sink.url}/bad")
        with Change(rig, 1, "sluice_webhook_late_records_total"):
            rig.finish(rig.submit("echo", {}, env="prod"), env="prod")
            for _ in range(2):  # of an endpoint that has not answered yet, one at a time
                rig.finish(rig.submit("echo", {}))
            sink.wait(1, "/slow")
            sink.wait(4, "/bad")
            rig.postgres.query("UPDATE delivery_due SET due_at = now() - interval '5 min' WHERE claim = 0")
            seen = survey(rig, "one is paused, one fails", {"paused": 1, "failing": 1, "open": 0})
            assert seen.get_one("sluice_webhooks_pending") == 3 and 300 <= seen.get_one("sluice_webhook_oldest_seconds") < 400
            assert numbers(rig, 1).get_one("sluice_webhooks_in_flight") == 1
            rig.postgres.query("UPDATE delivery_due SET claim = claim + 2, due_at = now() WHERE claim % 2 = 1")  # as another node does
            sink.release("slow")
        wait_until("both came, one of them twice", lambda: len(sink.taken("/slow")) == 2 and len(sink.seen("/slow")) == 3, 20)
        webhooks_to(rig, f"{sink.url}/slow", f"http://127.0.0.1:{free_port()}/away")
        for _ in range(3):  # of two tries each
            rig.finish(rig.submit("echo", {}))
        seen = survey(rig, "one is open", {"paused": 1, "failing": 0, "open": 1})
        assert seen.get_one("sluice_webhook_oldest_seconds") < 5, seen
        webhooks_to(rig, None)
        webhooks_to(rig, None, env="prod")


# ---- what is lost

@test
def a_job_that_redis_lost_is_pushed_again_and_counted(rig):
    assert rig.finish(rig.lost, env="prod").status == 200
    assert numbers(rig, 0).total("sluice_reclaim_repairs_total", what="job_repushed") >= 1


@test
def a_frozen_worker_loses_session_and_lease_and_its_result_is_late(rig):
    worker = rig.nodes[1]
    with Change(rig, 1, "sluice_session_lost_total"), Change(rig, 1, "sluice_late_results_total"), \
            Change(rig, 0, "sluice_sessions_ended_total"), Change(rig, 0, "sluice_jobs_finished_total", outcome="worker_lost"), \
            Change(rig, 0, "sluice_reclaim_repairs_total", what="job_resolved"):
        leases = numbers(rig, 0).total("sluice_reclaim_repairs_total", what="lease_expired")
        seen = len(rig.witness.seen("/ok/nap"))
        job = rig.submit("nap", {})
        rig.witness.wait_seen("/ok/nap", seen + 1)
        time.sleep(0.2)  # for the answer to reach the function; it naps 0.7 s from then on
        worker.process.send_signal(signal.SIGSTOP)
        try:
            assert "worker_lost" in rig.finish(job).body.decode()
            # Before it wakes: it would renew the lease at once.
            rises(rig, 0, "sluice_reclaim_repairs_total", 1, leases, exact=False, what="lease_expired")
        finally:
            worker.process.send_signal(signal.SIGCONT)
    worker.wait_ready()
    assert rig.finish(rig.submit("echo", {})).status == 200


@test
def a_lost_redis_costs_the_lease_and_is_rebuilt(rig):
    with Change(rig, 1, "sluice_lease_lost_total", exact=False), \
            Change(rig, 0, "sluice_reclaim_repairs_total", what="queue_rebuilt"):
        rig.redis.command("FLUSHALL")
        assert rig.finish(rig.submit("echo", {})).status == 200


# ---- all of it

@test
def the_ends_that_were_counted_are_those_of_the_ledger(rig):
    wait_until("all has ended", lambda: rig.postgres.query(
        "SELECT count(*) FROM job j WHERE NOT EXISTS (SELECT FROM result r WHERE r.job_id = j.id)") == [["0"]], 20)
    names = {1: "succeeded", 2: "failed", 3: "cancelled", 4: "expired", 5: "worker_lost"}
    wanted = {name: 0 for name in names.values()}
    dead = int(rig.postgres.query("SELECT count(*) FROM dead")[0][0])
    for state, count in rig.postgres.query("SELECT state, count(*) FROM result WHERE job_id NOT IN (SELECT job_id FROM dead) GROUP BY state"):
        wanted[names[int(state)]] = int(count)
    both = [numbers(rig, which) for which in (0, 1)]
    counted = {name: sum(n.total("sluice_jobs_finished_total", outcome=name) for n in both) for name in wanted}
    assert counted == wanted, (counted, wanted)
    assert sum(n.total("sluice_jobs_finished_total", outcome="dead") for n in both) == dead == 1
    assert both[0].total("sluice_jobs_enqueued_total") == sum(wanted.values()) + dead


@test
def the_process_is_described(rig):
    for which in (0, 1):
        seen, pid = numbers(rig, which), rig.nodes[which].process.pid
        assert abs(seen.get_one("process_start_time_seconds") - os.stat(f"/proc/{pid}").st_ctime) < 60
        assert abs(seen.get_one("process_open_fds") - len(os.listdir(f"/proc/{pid}/fd"))) < 10
        assert 1e6 < seen.get_one("process_resident_memory_bytes") < 1e9
        assert 0 < seen.get_one("process_cpu_seconds_total") < 1000
        assert seen.total("sluice_build_info") == 1 and seen.get_one("sluice_redis_up") == seen.get_one("sluice_postgres_up") == 1


# ---- who may read

_ADDRESS = "198.51.100.7"  # of a network of its own, on its loopback interface: not a loopback address
_NETWORK = f"""
import fcntl, os, socket, struct, sys
with socket.socket() as s:
    for name, address in ((b"lo", "127.0.0.1"), (b"lo:1", "{_ADDRESS}")):
        at = struct.pack("16sHH4s8x", name, socket.AF_INET, 0, socket.inet_aton(address))
        fcntl.ioctl(s, 0x8916, at)  # SIOCSIFADDR
        fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", name, 0x41))  # SIOCSIFFLAGS: UP, RUNNING
os.execv(sys.argv[1], sys.argv[1:])
"""
_ASK = """
import http.client, json, sys
host, port, path, headers = json.loads(sys.argv[1])
try:
    c = http.client.HTTPConnection(host, port, timeout=5)
    c.request("GET", path, headers=headers)
    print(c.getresponse().status)
except OSError:
    print(0)
"""


@test
def a_peer_that_is_not_local_needs_the_operators_key(rig):
    own = [] if os.geteuid() == 0 else ["-r"]
    enter = [] if os.geteuid() == 0 else ["-U", "--preserve-credentials"]
    node = Node(rig, "far", {**rig.nodes[0].settings, "role": "api", "metrics_listen": None})
    node.settings["listen"] = f"0.0.0.0:{node.port}"
    node.prefix = ["unshare", *own, "-n", sys.executable, "-c", _NETWORK]
    rig.nodes.append(node)
    node.start(wait=False)

    def ask(host, path="/metrics", **headers):
        done = subprocess.run(["nsenter", "-t", str(node.process.pid), *enter, "-n", sys.executable, "-c", _ASK,
                               json.dumps([host, node.port, path, headers])], check=True, capture_output=True, text=True)
        return int(done.stdout)
    wait_until("it is ready", lambda: ask("127.0.0.1", "/ready") == 200, 20, 0.2)
    operator = "Bearer " + rig.keys["SLUICE_OPERATOR_KEY"]
    assert ask("127.0.0.1") == 200
    assert ask("127.0.0.1", **{"X-Forwarded-For": "203.0.113.9"}) == 200
    assert ask(_ADDRESS) == 401
    for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded"):
        assert ask(_ADDRESS, **{name: "for=127.0.0.1" if name == "Forwarded" else "127.0.0.1"}) == 401
    assert ask(_ADDRESS, Authorization="Bearer 00000000-0000-4000-8000-000000000000") == 401
    assert ask(_ADDRESS, Authorization="Bearer " + rig.dev) == 403
    assert ask(_ADDRESS, Authorization=operator) == 200
    assert ask(_ADDRESS, "/health") == 200


@test
def a_listener_that_cannot_be_opened_says_so(rig):
    node = Node(rig, "bad", {**rig.nodes[0].settings, "role": "scheduler", "metrics_listen": "nowhere"})
    done = rig.run(*node.command()[1:])
    assert done.returncode == 78 and "metrics_listen: cannot listen" in done.stdout, done.stdout


if __name__ == "__main__":
    main(open_rig)
