"""Operators steer: pause, resume and drain on two nodes under load; cancel and kill, with the provider as witness."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "crash"))
import flows
from fleet import runners_of
from rig import Rig, wait_until
from tap import main, test

FUNCTIONS = {
    "echo": "return input;",
    "call": "await nango.get({ endpoint: input.endpoint, retries: 0 }); return 'done';",
    # Goes on whatever it is told, as long as it may.
    "stubborn": "for (;;) { try { await nango.get({ endpoint: '/ok/' + input.name, retries: 0 }); }"
                " catch (e) { await new Promise((done) => setTimeout(done, 20)); } }",
    # Tells what it was told.
    "gentle": "try { await nango.get({ endpoint: '/hang/' + input.name, retries: 0 }); } catch (e) {}"
              "await nango.get({ endpoint: '/ok/after/' + input.name, retries: 0 }); return 'all';",
    "spin": "await nango.get({ endpoint: '/ok/' + input.name, retries: 0 }); for (;;) {}",
    "start": "try { await nango.triggerSync('w', 'c', 'changes'); return 'started'; }"
             " catch (e) { return JSON.stringify(e.response.data); }",
}
CONNECTIONS = [f"c{n}" for n in range(4)]


def prepare(rig):
    rig.integration("w")
    rig.integration("hook", "unauthenticated")
    for name in ["c", *CONNECTIONS]:
        rig.connection(name)
    answer = rig.request("POST", "/connections", {"provider_config_key": "hook", "connection_id": "c",
                                                  "credentials": {"type": "NONE"}})
    assert answer.status == 201, answer
    done = rig.deploy_flows(
        [rig.flow(name, code) for name, code in FUNCTIONS.items()]
        + [flows.sync("changes", "await nango.get({ endpoint: '/ok/sync', retries: 0 });"),
           flows.sync("hooked", "", "hook", webhook="await nango.get({ endpoint: '/ok/hook', baseUrlOverride:"
                      f" '{rig.witness.url}', retries: 0 }});", subscriptions=["*"])],
        onEventScriptsByProvider=flows.events(
            flows.on_event("born", "post-connection-creation", "await nango.get({ endpoint: '/ok/event', retries: 0 });")))
    assert done.status == 200, done


def post(rig, path, body=None, node=None):
    return rig.request("POST", f"/admin/v1/{path}", body or {}, key=rig.keys["SLUICE_OPERATOR_KEY"], node=node)


def steer(rig, what, body=None, node=None):
    """The queue, and when the answer was there."""
    answer = post(rig, f"queues/dev/{what}", body, node)
    assert answer.status == 200, answer
    return answer.json, time.monotonic()


def webhook(rig):
    where = rig.request("GET", "/integrations/hook?include=webhook").json["data"]["webhook_url"]
    return rig.request("POST", f"/webhook/{where.split('/')[-2]}/hook", {"type": "x", "connectionId": "c"}, key=None)


def sync_now(rig):
    return rig.request("POST", "/sync/trigger", {"provider_config_key": "w", "connection_id": "c", "syncs": ["changes"]})


def state(rig, job):
    return rig.request("GET", f"/admin/v1/jobs/{job}", key=rig.keys["SLUICE_OPERATOR_KEY"]).json["job"]["state"]


def queue_line(rig, job):
    return rig.postgres.query(f"SELECT key_id FROM job WHERE id = '{job}'")[0][0]


class Load:
    """Submits `call` for each connection in turn, on both nodes, until it is stopped."""

    def __init__(self, rig, name):
        self.rig, self.name, self.jobs, self.refused, self.going = rig, name, [], [], True
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        number = 0
        while self.going:
            for connection in CONNECTIONS:
                answer = self.rig.call("call", {"endpoint": f"/ok/{self.name}/{connection}/{number}"}, {"X-Async": "true"},
                                       connection=connection, node=self.rig.nodes[number % 2])
                (self.jobs.append(answer.json["id"]) if answer.status == 202 else self.refused.append(answer))
            number += 1
            time.sleep(0.01)

    def stop(self):
        self.going = False
        self.thread.join()

    def seen(self, after=0.0):
        with self.rig.witness.lock:
            return [c for c in self.rig.witness.calls if c.path.startswith(f"/ok/{self.name}/") and c.began > after]

    def in_order(self):
        """Every job once, each connection's in the order asked."""
        for connection in CONNECTIONS:
            numbers = [int(c.path.split("/")[-1]) for c in self.seen() if c.path.split("/")[3] == connection]
            assert numbers == list(range(len(numbers))), (connection, numbers)
        assert len(self.seen()) == len(self.jobs), (len(self.seen()), len(self.jobs))


def apart(rig, yes):
    answer = rig.request("PATCH", "/admin/v1/environments/dev", {"concurrency": {"by": "connection", "limit": 1} if yes else None},
                         key=rig.keys["SLUICE_OPERATOR_KEY"])
    assert answer.status == 200, answer


# ---- pause

@test
def within_a_second_of_a_pause_nothing_starts_and_after_a_resume_all_goes_on_in_order(rig):
    apart(rig, True)
    load = Load(rig, "pause")
    wait_until("jobs run", lambda: len(load.seen()) > 60, 20)
    told, at = steer(rig, "pause", node=rig.nodes[1])
    assert told["queue"]["paused"], told
    accepted = len(load.jobs)
    time.sleep(1.8)
    late = [c.began - at for c in load.seen(at + 1)]
    assert not late, late
    last = max((c.began - at for c in load.seen(at)), default=0)
    print(f"# the last start was {last * 1000:.0f} ms after the answer")
    assert len(load.jobs) > accepted and not load.refused, "jobs are still accepted"
    steer(rig, "resume")
    time.sleep(0.3)
    load.stop()
    wait_until("all have run", lambda: len(load.seen()) == len(load.jobs), 20)
    load.in_order()
    apart(rig, False)


@test
def what_runs_goes_on_and_a_line_is_paused_by_itself(rig):
    apart(rig, True)
    held = rig.submit("call", {"endpoint": "/hang/line"}, connection="c0")
    rig.witness.wait_seen("/hang/line")
    answer = rig.request("GET", f"/admin/v1/jobs/{held}", key=rig.keys["SLUICE_OPERATOR_KEY"])
    line = answer.json["job"]["line"]
    told, _ = steer(rig, "pause", {"line": line})
    assert not told["queue"]["paused"] and [one["paused"] for one in told["queue"]["lines"] if one["name"] == line] == [True], told
    behind = rig.submit("echo", 1, connection="c0")
    assert rig.finish(rig.submit("echo", 2, connection="c1")).json == 2
    rig.witness.release("line")
    assert rig.finish(held).json == "done"
    time.sleep(0.5)
    assert state(rig, behind) == "queued"
    steer(rig, "resume")  # of the environment: the line's own pause stays
    time.sleep(0.3)
    assert state(rig, behind) == "queued"
    steer(rig, "resume", {"line": line})
    assert rig.finish(behind, 5).json == 1
    apart(rig, False)


@test
def what_a_worker_had_taken_is_not_started_and_goes_back_in_its_place(rig):
    steer(rig, "pause")
    held = rig.submit("call", {"endpoint": "/hang/taken"})
    behind = [rig.submit("call", {"endpoint": f"/ok/taken/{n}"}) for n in range(5)]
    steer(rig, "resume")
    rig.witness.wait_seen("/hang/taken")  # one turn: all six were there
    steer(rig, "pause")
    wait_until("Redis knows", lambda: rig.redis.command("HGET", "sluice:{s00}:limits", queue_line(rig, held)) in (b"0", "0"), 5)
    time.sleep(0.3)
    rig.witness.release("taken")
    assert rig.finish(held).json == "done"
    time.sleep(0.7)
    assert {state(rig, job) for job in behind} == {"queued"}
    steer(rig, "resume")
    assert all(rig.finish(job, 10).json == "done" for job in behind)
    with rig.witness.lock:
        assert [c.path for c in rig.witness.calls if c.path.startswith("/ok/taken/")] == [f"/ok/taken/{n}" for n in range(5)]


@test
def every_kind_of_job_is_paused_and_sync_calls_are_not(rig):
    steer(rig, "pause")
    time.sleep(0.3)
    assert webhook(rig).status == 200 and sync_now(rig).status == 200
    rig.connection("newborn")
    job = rig.submit("echo", "queued")
    assert rig.call("echo", "called").json == "called"
    time.sleep(0.7)
    assert state(rig, job) == "queued"
    assert [len(rig.witness.seen(f"/ok/{what}")) for what in ("hook", "sync", "event")] == [0, 0, 0]
    steer(rig, "resume")
    for what in ("hook", "sync", "event"):
        rig.witness.wait_seen(f"/ok/{what}", 1, 10)
    assert rig.finish(job).json == "queued"


@test
def a_pause_outlives_the_loss_of_redis_and_holds_lines_that_are_new(rig):
    jobs = []
    steer(rig, "pause")
    apart(rig, True)
    jobs += [rig.submit("call", {"endpoint": "/ok/flushed"}, connection=name) for name in CONNECTIONS]
    rig.redis.command("FLUSHALL")
    wait_until("the queue was built anew", lambda: rig.redis.command("EXISTS", "sluice:{s00}:epoch"), 15)
    rig.connection("fresh")
    jobs += [rig.submit("call", {"endpoint": "/ok/flushed"}, connection="fresh") for _ in range(2)]
    time.sleep(1.5)
    assert rig.witness.seen("/ok/flushed") == []
    assert {state(rig, job) for job in jobs} == {"queued"}
    steer(rig, "resume")
    assert all(rig.finish(job, 20).json == "done" for job in jobs)
    apart(rig, False)


# ---- drain

@test
def a_draining_environment_refuses_every_new_job_and_runs_what_it_has(rig):
    old = rig.submit("echo", "old")
    assert rig.finish(old).status == 200
    held = rig.submit("call", {"endpoint": "/hang/drain"})
    rig.witness.wait_seen("/hang/drain")
    waiting = [rig.submit("echo", f"w{n}") for n in range(3)]
    told, _ = steer(rig, "drain")
    assert told["queue"]["draining"] and not told["queue"]["paused"] and told["cancelled"] == 0, told
    asked = {"environment": "dev", "integration": "w", "function": "echo", "connection": "c"}
    wait_until("node 1 knows", lambda: rig.call("echo", 1, {"X-Async": "true"}, node=rig.nodes[1]).status == 503, 5)
    for what, answer in (("async", rig.call("echo", 1, {"X-Async": "true"})), ("webhook", webhook(rig)), ("sync", sync_now(rig)),
                         ("once", rig.call("echo", 1, {"X-Async": "true", "Idempotency-Key": "k"})),
                         ("operator", post(rig, "jobs", asked)), ("retry", post(rig, f"jobs/{old}/retry"))):
        assert answer.status == 503 and answer.code == "queue_draining" and answer.headers["retry-after"] == "30", (what, answer)
    born = len(rig.witness.seen("/ok/event"))
    rig.connection("late")  # what has happened is told
    told = rig.call("start").json
    assert "queue_draining" in told, told
    assert rig.call("echo", "called").json == "called"
    rig.witness.release("drain")
    assert rig.finish(held).json == "done" and [rig.finish(job).json for job in waiting] == ["w0", "w1", "w2"]
    rig.witness.wait_seen("/ok/event", born + 1, 10)
    steer(rig, "resume")
    assert rig.finish(rig.submit("echo", "again")).json == "again"
    wait_until("node 1 knows", lambda: rig.call("echo", 1, {"X-Async": "true"}, node=rig.nodes[1]).status == 202, 5)


@test
def a_drain_with_cancel_ends_what_waits_and_not_what_runs(rig):
    held = rig.submit("call", {"endpoint": "/hang/cancelled"})
    rig.witness.wait_seen("/hang/cancelled")
    waiting = [rig.submit("call", {"endpoint": "/ok/cancelled"}) for _ in range(30)]
    waiting.append(rig.submit("call", {"endpoint": "/ok/cancelled"}, headers={"X-Delay": "3600"}))
    told, _ = steer(rig, "drain", {"cancel": True})
    assert told["cancelled"] == len(waiting) and "more" not in told, told
    assert {rig.poll(job).status for job in waiting} == {410}
    rig.witness.release("cancelled")
    assert rig.finish(held).json == "done" and rig.witness.seen("/ok/cancelled") == []
    steer(rig, "resume")


# ---- cancel, kill

def busy(node_processes):
    """Of these processes, those that compute."""
    found = []
    for pid in node_processes:
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                if file.read().rpartition(")")[2].split()[0] == "R":
                    found.append(pid)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def spinning(rig, name):
    """A job that computes for ever, and its process."""
    job = rig.submit("spin", {"name": name})
    rig.witness.wait_seen(f"/ok/{name}")
    time.sleep(0.1)
    pids = wait_until("it computes", lambda: busy([p for node in rig.nodes for p in runners_of(node)]), 5)
    return job, pids[0]


def gone(pid, seconds):
    began = time.monotonic()
    wait_until(f"process {pid} is gone", lambda: not os.path.exists(f"/proc/{pid}"), seconds)
    return time.monotonic() - began


@test
def a_cancelled_run_calls_nobody_and_may_return(rig):
    for how in ("DELETE", "cancel"):
        name = f"gentle-{how}"
        job = rig.submit("gentle", {"name": name}, retries=3)
        rig.witness.wait_seen(f"/hang/{name}")
        behind = rig.submit("echo", "behind")
        began = time.monotonic()
        answer = rig.request("DELETE", f"/action/{job}") if how == "DELETE" else post(rig, f"jobs/{job}/cancel")
        assert answer.status == 200, answer
        assert rig.poll(job).status == 410
        assert rig.finish(behind, 3).json == "behind" and time.monotonic() - began < 2, "it returned, and its line goes on"
        assert rig.witness.seen(f"/ok/after/{name}") == [], how
        assert state(rig, job) == "cancelled"


@test
def a_cancelled_run_that_does_not_return_is_killed_after_five_seconds(rig):
    job, pid = spinning(rig, "cancelled")
    behind = rig.submit("echo", "behind")
    assert post(rig, f"jobs/{job}/cancel").status == 200 and rig.poll(job).status == 410
    stubborn = rig.submit("stubborn", {"name": "no"}, env="dev", connection="c")
    took = gone(pid, 8)
    assert 4.5 < took < 6.5, took
    assert rig.finish(behind, 3).json == "behind"
    rig.witness.wait_seen("/ok/no")
    assert rig.request("DELETE", f"/action/{stubborn}").status == 200
    at = time.monotonic()
    time.sleep(1)
    after = [c for c in rig.witness.seen("/ok/no") if c.began > at + 0.1]
    assert not after, f"{len(after)} calls after its cancel"
    assert post(rig, f"jobs/{stubborn}/kill").status == 200  # it would have four seconds more
    assert rig.finish(rig.submit("echo", "free"), 2).json == "free"


@test
def a_kill_ends_the_process_at_once_on_whichever_node(rig):
    for node in rig.nodes:
        job, pid = spinning(rig, f"killed-{node.name}")
        answer = post(rig, f"jobs/{job}/kill", node=node)
        assert answer.status == 200 and answer.json == {"id": job, "state": "cancelled"}, answer
        took = gone(pid, 3)
        assert took < 1.5, took
        assert rig.finish(rig.submit("echo", "free"), 3).json == "free" and rig.poll(job).status == 410


main(lambda: Rig(nodes=2, settings={"runner_cpu": "60s", "runners": "8"}, prepare=prepare))
