"""Sync calls run where there is a runner: here, or by way of Redis on another node; once at most, and none waits for ever."""
import http.client
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig
from servers import wait_until
from tap import main, test

LIMIT, TTL = 2.0, 1.0  # call_start_limit, lease_ttl in seconds
FUNCTIONS = {
    "echo": "return input;",
    "size": "return input.text.length;",
    "big": "return 'x'.repeat(input.n);",
    "call": "const r = await nango.get({ endpoint: input.path }); return r.data.path;",
    "fail": "throw new nango.ActionError({ reason: 'as asked' });",
}
PLACES = 2  # of a node: one of runners, one of call_runners


class Later:
    """A call in a thread of its own."""

    def __init__(self, rig, action, value, **more):
        self.answer, self.began, self.took = None, time.monotonic(), None

        def run():
            self.answer = rig.call(action, value, **more)
            self.took = time.monotonic() - self.began
        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def wait(self, seconds=20):
        self.thread.join(seconds)
        assert self.answer is not None, "no answer"
        return self.answer


def roles(rig, *wanted):
    """Nodes with these roles run, the others do not; None: not started."""
    for node, role in zip(rig.nodes, wanted):
        running = node.process is not None and node.process.poll() is None
        if running and node.settings.get("role") != role:
            node.stop()
            running = False
        node.settings["role"] = role
        if role is not None and not running:
            node.start()


WORKER, API = "api,worker,scheduler", "api"


def fill(rig, node, name):
    """All places of a node are taken, until the test releases name; by connections of their own, which do not wait
    for each other when Redis is away."""
    for n in range(PLACES):
        rig.connection(f"filling-{n}")
    calls = [Later(rig, "call", {"path": f"/hang/{name}"}, node=node, connection=f"filling-{n}") for n in range(PLACES)]
    rig.witness.wait_seen(f"/hang/{name}", PLACES)
    return calls


def drain(rig, name, calls):
    rig.witness.release(name)
    for call in calls:
        assert call.wait().status == 200, call.answer


@test
def a_node_without_a_worker_answers_as_one_with_a_worker_does(rig):
    roles(rig, WORKER, None, API)
    for value in ({"a": [1, None, "ü"]}, "text", 0.5, None, [], False, "x" * 300_000):
        here, there = rig.call("echo", value), rig.call("echo", value, node=rig.nodes[2])
        assert there.status == 200 and (there.status, there.body) == (here.status, here.body), (value, here, there)
    here, there = rig.call("fail"), rig.call("fail", node=rig.nodes[2])
    assert there.status == here.status and there.code == here.code and there.json == here.json, (here, there)
    assert rig.call("size", {"text": "y" * 4_000_000}, node=rig.nodes[2]).json == 4_000_000
    assert len(rig.call("big", {"n": 1_900_000}, node=rig.nodes[2]).json) == 1_900_000


@test
def fifty_calls_through_a_node_without_a_worker_get_their_own_answers(rig):
    roles(rig, WORKER, WORKER, API)
    calls = [Later(rig, "echo", {"n": n}, node=rig.nodes[2]) for n in range(50)]
    assert [call.wait().json for call in calls] == [{"n": n} for n in range(50)]
    assert rig.redis.command("LLEN", "sluice:{s00}:calls") == 0


@test
def a_busy_node_passes_a_call_to_a_free_one(rig):
    roles(rig, WORKER, WORKER, None)
    busy = fill(rig, rig.nodes[0], "busy")
    began = time.monotonic()
    assert rig.call("echo", "elsewhere").json == "elsewhere"
    assert time.monotonic() - began < LIMIT, "it waited for a place"
    drain(rig, "busy", busy)


@test
def a_worker_that_is_full_of_jobs_still_takes_calls_of_others(rig):
    roles(rig, WORKER, None, API)
    jobs = [rig.submit("call", {"path": "/hang/jobs"}, env=env) for env in ("dev", "prod")]
    rig.witness.wait_seen("/hang/jobs")
    assert rig.call("echo", "first", node=rig.nodes[2]).json == "first"
    rig.witness.release("jobs")
    for job, env in zip(jobs, ("dev", "prod")):
        assert rig.finish(job, env=env).status == 200


@test
def with_all_places_taken_a_call_is_not_started_within_its_limit_nor_later(rig):
    roles(rig, WORKER, WORKER, API)
    busy = fill(rig, rig.nodes[0], "all0") + fill(rig, rig.nodes[1], "all1")
    late = [Later(rig, "call", {"path": "/ok/late"}, node=node) for node in rig.nodes]
    for call in late:
        answer = call.wait()
        assert answer.status == 500 and answer.code == "action_script_failure", answer
        assert answer.json["error"]["payload"] == {"error": "not_started"}, answer
        assert LIMIT - 0.1 <= call.took < LIMIT + 1.5, call.took
    rig.witness.release("all0")
    drain(rig, "all1", busy)
    assert rig.call("echo", 1, node=rig.nodes[2]).json == 1
    assert not rig.witness.seen("/ok/late"), "started after its caller was told that it was not"


@test
def a_call_that_waits_is_started_when_a_place_falls_free(rig):
    roles(rig, WORKER, None, API)
    busy = fill(rig, rig.nodes[0], "free")
    waits = [Later(rig, "echo", n, node=rig.nodes[n % 2 * 2]) for n in range(1, 5)]
    wait_until("they wait in Redis", lambda: rig.redis.command("LLEN", "sluice:{s00}:calls") == 4, 5)
    drain(rig, "free", busy)
    assert [call.wait().json for call in waits] == list(range(1, 5))
    assert all(call.took < LIMIT + 1 for call in waits)


@test
def a_taker_that_is_killed_ends_its_calls_as_worker_lost_and_none_runs_again(rig):
    roles(rig, WORKER, None, API)
    call = Later(rig, "call", {"path": "/hang/lost"}, node=rig.nodes[2])
    rig.witness.wait_seen("/hang/lost")
    rig.nodes[0].kill()
    rig.nodes[1].settings["role"] = WORKER
    rig.nodes[1].start()
    answer = call.wait()
    assert answer.status == 500 and answer.json["error"]["payload"] == {"error": "worker_lost"}, answer
    rig.witness.release("lost")
    assert rig.call("echo", 2, node=rig.nodes[2]).json == 2
    assert len(rig.witness.seen("/hang/lost")) == 1
    assert call.took < 8 * TTL, call.took


@test
def a_taker_whose_lease_is_replaced_still_answers(rig):
    roles(rig, WORKER, None, API)
    call = Later(rig, "call", {"path": "/hang/rejoin"}, node=rig.nodes[2])
    rig.witness.wait_seen("/hang/rejoin")
    workers = rig.redis.command("ZRANGE", "sluice:{s00}:workers", 0, -1)
    rig.redis.command("FLUSHALL")
    wait_until("it has another lease", lambda: set(rig.redis.command("ZRANGE", "sluice:{s00}:workers", 0, -1)) - set(workers), 10)
    time.sleep(3 * TTL)  # its asker looks after the lease every third of a ttl
    rig.witness.release("rejoin")
    assert call.wait().json == "/hang/rejoin"


@test
def without_redis_a_worker_runs_its_own_calls_and_a_node_without_one_says_503(rig):
    roles(rig, WORKER, None, API)
    rig.redis.stop()
    try:
        assert rig.call("echo", "mine").json == "mine"

        def refused():
            answer = rig.call("echo", 1, node=rig.nodes[2])
            return answer if answer.status == 503 else None
        answer = wait_until("503 without Redis", refused, 10)
        assert "retry-after" in answer.headers, answer.headers
        busy = fill(rig, rig.nodes[0], "alone")
        waits = Later(rig, "echo", "in line")
        drain(rig, "alone", busy)
        assert waits.wait().json == "in line"
    finally:
        rig.redis.start()
    wait_until("calls travel again", lambda: rig.call("echo", 3, node=rig.nodes[2]).status == 200, 20)


@test
def a_node_that_drains_finishes_its_calls_and_leaves_those_that_wait_to_others(rig):
    roles(rig, WORKER, None, API)
    busy = fill(rig, rig.nodes[0], "drain")
    waits = Later(rig, "echo", "moved", node=rig.nodes[0])
    wait_until("it waits in Redis", lambda: rig.redis.command("LLEN", "sluice:{s00}:calls") == 1, 5)
    rig.nodes[0].process.terminate()
    rig.nodes[1].settings["role"] = WORKER
    rig.nodes[1].start()
    assert waits.wait().json == "moved"
    drain(rig, "drain", busy)
    assert rig.nodes[0].process.wait(15) == 0


@test
def a_caller_that_hangs_up_harms_nobody(rig):
    roles(rig, WORKER, None, API)
    connection = http.client.HTTPConnection("127.0.0.1", rig.nodes[2].port, timeout=10)
    connection.request("POST", "/action/trigger", json.dumps({"action_name": "call", "input": {"path": "/hang/gone"}}), {
        "Authorization": f"Bearer {rig.dev}", "Content-Type": "application/json", "Provider-Config-Key": "w", "Connection-Id": "c"})
    rig.witness.wait_seen("/hang/gone")
    connection.close()
    rig.witness.release("gone")
    assert rig.call("echo", 5, node=rig.nodes[2]).json == 5
    assert len(rig.witness.seen("/hang/gone")) == 1


@test
def forged_calls_and_answers_are_not_believed(rig):
    roles(rig, WORKER, None, API)
    call = Later(rig, "call", {"path": "/hang/forged"}, node=rig.nodes[2])
    rig.witness.wait_seen("/hang/forged")
    for junk in (b"", b"\x93\x01\x02\x03" + b"m" * 16, os.urandom(200)):
        rig.redis.command("RPUSH", "sluice:{s00}:calls", junk)
        for name in rig.redis.command("KEYS", "sluice:{s00}:reply:*") or [b"sluice:{s00}:reply:none"]:
            rig.redis.command("RPUSH", name, junk)
    assert rig.call("echo", 6, node=rig.nodes[2]).json == 6
    rig.witness.release("forged")
    assert call.wait().json == "/hang/forged"
    assert "security_call" in rig.nodes[0].log()


def prepare(rig):
    rig.nodes[0].settings["role"] = WORKER
    rig.nodes[0].start()
    rig.read_keys()
    for env in ("dev", "prod"):
        rig.prepare(FUNCTIONS, env)


main(lambda: Rig(nodes=3, start=False, settings={
    "runners": "1", "call_runners": "1", "call_start_limit": f"{LIMIT:g}s", "lease_ttl": f"{TTL:g}s", "drain_timeout": "10s"},
    prepare=prepare))
