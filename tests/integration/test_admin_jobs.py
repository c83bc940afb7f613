"""Jobs and queues for operators: /admin/v1/queues lists, /admin/v1/jobs, /admin/v1/bench."""
import os
import sys
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, wait_until
from tap import main, test

FUNCTIONS = {
    "echo": "return input;",
    "call": "const r = await nango.get({ endpoint: input.endpoint, retries: 0 }); return r.data;",
    "boom": "throw new Error('boom');",
    "die": "const keep = []; for (;;) keep.push(new Uint8Array(1 << 20).fill(keep.length + 1));",
    "long": "return 'ä'.repeat(input);",
    "sleep": "await new Promise((done) => setTimeout(done, input)); return 'slept';",
}


def operator(rig, method, path, body=None, **more):
    return rig.request(method, path, body, key=rig.keys["SLUICE_OPERATOR_KEY"], **more)


def post(rig, path, body=None, **more):
    return operator(rig, "POST", path, body if body is not None else {}, **more)


def show(rig, job, **more):
    answer = operator(rig, "GET", f"/admin/v1/jobs/{job}", **more)
    assert answer.status == 200, answer
    return answer.json["job"]


def queue(rig, environment="dev"):
    answer = operator(rig, "GET", f"/admin/v1/queues?environment={environment}")
    assert answer.status == 200 and len(answer.json["queues"]) == 1, answer
    return answer.json["queues"][0]


def refused(answer, status, code, path=None):
    assert (answer.status, answer.code) == (status, code), answer
    if path is not None:
        assert answer.json["error"]["errors"][0]["path"] == [path], answer


def line(rig, name="actions", environment="dev"):
    found = [one for one in queue(rig, environment)["lines"] if one["name"] == name]
    return found[0] if found else None


# ---- lists

@test
def queues_tell_depth_what_runs_what_is_delayed_and_the_oldest(rig):
    idle = queue(rig)
    assert idle == {"environment": "dev", "paused": False, "draining": False, "depth": 0, "running": 0, "delayed": 0,
                    "oldest_ms": None, "lines": idle["lines"]}, idle
    first = rig.submit("call", {"endpoint": "/hang/list"})
    rig.witness.wait_seen("/hang/list")
    waiting = [rig.submit("echo", n) for n in range(3)]
    later = rig.submit("echo", "later", headers={"X-Delay": "3600"})
    wait_until("the numbers are right", lambda: (queue(rig)["depth"], queue(rig)["running"], queue(rig)["delayed"]) == (4, 1, 1), 5)
    one = line(rig)
    assert one["limit"] == 1 and not one["paused"] and (one["depth"], one["running"]) == (4, 1), one
    wait_until("it grows older", lambda: 0 < line(rig)["oldest_ms"] < 20000 and queue(rig)["oldest_ms"] > 0, 5)
    every = operator(rig, "GET", "/admin/v1/queues").json["queues"]
    assert {one["environment"] for one in every} >= {"dev", "prod"} and "lines" not in every[0], every
    assert [one for one in every if one["environment"] == "dev"][0]["depth"] == 4
    listed = operator(rig, "GET", "/admin/v1/queues/dev/jobs").json
    assert [job["id"] for job in listed["jobs"]] == [first, *waiting, later] and listed["next"] is None, listed
    assert [job["state"] for job in listed["jobs"]] == ["running", "queued", "queued", "queued", "delayed"], listed
    head = listed["jobs"][0]
    assert (head["line"], head["kind"], head["integration"], head["function"], head["connection"], head["attempt"]) == \
        ("actions", "action", "w", "call", "c", 1) and head["node"] and head["due_at"] is None, head
    assert listed["jobs"][4]["due_at"] > listed["jobs"][0]["accepted_at"]
    page = operator(rig, "GET", "/admin/v1/queues/dev/jobs?limit=2").json
    assert [job["id"] for job in page["jobs"]] == [first, waiting[0]] and page["next"] == waiting[0], page
    rest = operator(rig, "GET", f"/admin/v1/queues/dev/jobs?limit=1000&after={page['next']}&line=actions").json
    assert [job["id"] for job in rest["jobs"]] == [*waiting[1:], later], rest
    assert show(rig, waiting[2])["position"] == 3
    rig.witness.release("list")
    assert all(rig.finish(job).status == 200 for job in [first, *waiting])
    assert post(rig, f"/admin/v1/jobs/{later}/cancel").status == 200


@test
def a_line_of_its_own_is_listed_and_asked_for_by_name(rig):
    assert operator(rig, "PATCH", "/admin/v1/environments/dev", {"concurrency": {"by": "connection", "limit": 2}}).status == 200
    job = rig.submit("call", {"endpoint": "/hang/own"})
    rig.witness.wait_seen("/hang/own")
    name = show(rig, job)["line"]
    assert name.startswith("actions:connection:"), name
    wait_until("its line is listed", lambda: (line(rig, name) or {}).get("running") == 1, 5)
    assert line(rig, name)["limit"] == 2
    listed = operator(rig, "GET", f"/admin/v1/queues/dev/jobs?line={name}").json["jobs"]
    assert [one["id"] for one in listed] == [job], listed
    assert operator(rig, "GET", "/admin/v1/queues/dev/jobs?line=actions").json["jobs"] == []
    rig.witness.release("own")
    assert rig.finish(job).status == 200
    assert operator(rig, "PATCH", "/admin/v1/environments/dev", {"concurrency": None}).status == 200


@test
def numbers_that_are_not_known_are_null_while_redis_is_away(rig):
    rig.redis.stop()
    try:
        wait_until("no depth is told", lambda: queue(rig)["depth"] is None, 10)
        assert queue(rig)["delayed"] == 0 and queue(rig)["oldest_ms"] is None
    finally:
        rig.redis.start()
    wait_until("the depth is back", lambda: queue(rig)["depth"] == 0, 20)


# ---- show

@test
def a_job_that_has_asked_for_nothing_is_running_for_every_node(rig):
    for slots in (1, 2):
        assert operator(rig, "PATCH", "/admin/v1/environments/dev",
                        {"concurrency": {"by": "environment", "limit": slots}}).status == 200
        job, behind = rig.submit("sleep", 1500), [rig.submit("echo", n) for n in range(3)]
        for node in rig.nodes:
            wait_until(f"{node.name} says that it runs", lambda: show(rig, job, node=node)["state"] == "running", 3)
            assert show(rig, job, node=node)["position"] is None
        if slots == 1:
            assert [(show(rig, one)["state"], show(rig, one)["position"]) for one in behind] == \
                [("queued", 1), ("queued", 2), ("queued", 3)]
        assert rig.finish(job).json == "slept" and all(rig.finish(one).status == 200 for one in behind)
    assert operator(rig, "PATCH", "/admin/v1/environments/dev", {"concurrency": None}).status == 200


@test
def a_job_is_shown_in_each_of_its_states(rig):
    done = rig.submit("echo", {"a": 1})
    assert rig.finish(done).status == 200
    job = show(rig, done)
    assert job["state"] == "succeeded" and job["result"]["output"] == '{"a":1}' and not job["result"]["cut"], job
    assert (job["environment"], job["kind"], job["integration"], job["function"], job["version"], job["connection"], job["line"],
            job["max_retries"], job["position"], job["deaths"], job["attempts"], job["due_at"]) == \
        ("dev", "action", "w", "echo", "1.0.0", "c", "actions", 0, None, 0, [], None), job
    called = rig.submit("call", {"endpoint": "/ok/shown"}, retries=2)
    assert rig.finish(called).status == 200
    attempts = show(rig, called)["attempts"]
    assert [one["number"] for one in attempts] == [1] and attempts[0]["node"] and attempts[0]["began_at"], attempts
    failed = rig.submit("boom")
    assert rig.finish(failed).status == 500
    assert show(rig, failed)["state"] == "failed" and "boom" in show(rig, failed)["result"]["output"]
    again = rig.submit("boom", retries=1)
    wait_until("it waits for its retry", lambda: show(rig, again)["state"] == "retrying", 10)
    assert show(rig, again)["due_at"]
    assert post(rig, f"/admin/v1/jobs/{again}/cancel").json == {"id": again, "state": "cancelled"}
    assert show(rig, again)["state"] == "cancelled" and show(rig, again)["due_at"] is None
    long = rig.submit("long", 5000)
    assert rig.finish(long).status == 200
    cut = show(rig, long)["result"]
    assert cut["cut"] and cut["output"] == '"' + "ä" * 2047, (len(cut["output"]), cut["output"][-3:])
    refused(operator(rig, "GET", f"/admin/v1/jobs/{uuid.uuid4()}"), 404, "not_found")


# ---- retry

@test
def what_has_ended_is_accepted_again_as_a_new_job(rig):
    old = rig.submit("call", {"endpoint": "/ok/again"}, retries=3)
    assert rig.finish(old).status == 200
    answer = post(rig, f"/admin/v1/jobs/{old}/retry")
    assert answer.status == 201 and answer.json["retry_of"] == old and answer.json["id"] != old, answer
    assert rig.finish(answer.json["id"]).status == 200 and len(rig.witness.seen("/ok/again")) == 2
    new = show(rig, answer.json["id"])
    assert (new["max_retries"], new["line"], new["connection"], new["function"]) == (3, "actions", "c", "call"), new


@test
def what_waits_for_a_try_is_due_now(rig):
    later = rig.submit("echo", "soon", headers={"X-Delay": "3600"})
    answer = post(rig, f"/admin/v1/jobs/{later}/retry")
    assert answer.status == 200 and answer.json == {"id": later}, answer
    assert rig.finish(later, 5).json == "soon"


@test
def what_cannot_be_retried_says_why(rig):
    held = rig.submit("call", {"endpoint": "/hang/held"})
    rig.witness.wait_seen("/hang/held")
    queued = rig.submit("echo", 1)
    for job in (held, queued):
        refused(post(rig, f"/admin/v1/jobs/{job}/retry"), 409, "conflict")
    rig.witness.release("held")
    assert rig.finish(held).status == 200 and rig.finish(queued).status == 200
    rig.postgres.query(f"UPDATE job SET kind = 2 WHERE id = '{queued}'")
    sync = post(rig, f"/admin/v1/jobs/{queued}/retry")
    assert sync.status == 409 and "sync" in sync.json["error"]["message"], sync
    rig.postgres.query("UPDATE function SET enabled = false WHERE name = 'call'")
    disabled = post(rig, f"/admin/v1/jobs/{held}/retry")
    assert disabled.status == 409 and "disabled" in disabled.json["error"]["message"], disabled
    rig.postgres.query("UPDATE function SET enabled = true WHERE name = 'call'")
    refused(post(rig, f"/admin/v1/jobs/{uuid.uuid4()}/retry"), 404, "not_found")
    refused(post(rig, f"/admin/v1/jobs/{queued}/cancel"), 409, "conflict")
    refused(post(rig, f"/admin/v1/jobs/{queued}/kill"), 409, "conflict")


# ---- create, bench

@test
def an_operator_runs_an_action_of_any_environment(rig):
    what = {"environment": "dev", "integration": "w", "function": "echo", "connection": "c"}
    queued = post(rig, "/admin/v1/jobs", {**what, "input": {"x": [1]}, "max_retries": 2})
    assert queued.status == 202, queued
    assert rig.finish(queued.json["id"]).json == {"x": [1]} and show(rig, queued.json["id"])["max_retries"] == 2
    called = post(rig, "/admin/v1/jobs", {**what, "input": 7, "sync": True})
    assert called.status == 200 and called.json["output"] == 7 and called.json["ms"] >= 0, called
    failed = post(rig, "/admin/v1/jobs", {**what, "function": "boom", "sync": True})
    assert failed.status == 500 and failed.code, failed
    for member, value in (("environment", "nowhere"), ("integration", "nothing"), ("function", "none"), ("connection", "nobody")):
        answer = post(rig, "/admin/v1/jobs", {**what, member: value})
        assert answer.status == 404 and value in answer.json["error"]["message"], answer


@test
def the_bench_environment_is_made_once_and_works(rig):
    made = {"environment": "bench", "integration": "bench", "connection": "bench", "function": "noop"}
    for node in rig.nodes * 2:
        answer = post(rig, "/admin/v1/bench", node=node)
        assert answer.status == 200 and answer.json == made, answer
    assert rig.postgres.query("SELECT count(*) FROM function_version v JOIN function f ON f.id = v.function_id"
                              " WHERE f.name = 'noop'") == [["1"]]
    called = post(rig, "/admin/v1/jobs", {**made, "input": {"n": 1}, "sync": True})
    assert called.status == 200 and called.json["output"] == {"n": 1}, called
    job = post(rig, "/admin/v1/jobs", made).json["id"]
    wait_until("it has ended", lambda: show(rig, job)["state"] == "succeeded", 10)


# ---- what is refused

@test
def bad_input_names_the_field(rig):
    some = uuid.uuid4()
    what = {"environment": "dev", "integration": "w", "function": "echo", "connection": "c"}
    for path, code, field in (("/admin/v1/queues?environment=a%20b", "invalid_query_params", "environment"),
                              ("/admin/v1/queues?what=1", "invalid_query_params", None),
                              ("/admin/v1/queues/dev/jobs?limit=0", "invalid_query_params", "limit"),
                              ("/admin/v1/queues/dev/jobs?limit=1001", "invalid_query_params", "limit"),
                              ("/admin/v1/queues/dev/jobs?after=7", "invalid_query_params", "after"),
                              ("/admin/v1/queues/a%20b/jobs", "invalid_uri_params", "environment"),
                              ("/admin/v1/jobs/7", "invalid_uri_params", "id")):
        refused(operator(rig, "GET", path), 400, code, field)
    for path, body, code, field in (("queues/dev/pause", {"line": 7}, "invalid_body", "line"),
                                    ("queues/dev/pause", {"lines": "x"}, "invalid_body", None),
                                    ("queues/dev/drain", {"cancel": "yes"}, "invalid_body", "cancel"),
                                    ("queues/dev/drain", {"line": "actions"}, "invalid_body", None),
                                    ("queues/dev/resume?x=1", {}, "invalid_query_params", None),
                                    ("queues/a%20b/pause", {}, "invalid_uri_params", "environment"),
                                    ("jobs/7/cancel", {}, "invalid_uri_params", "id"),
                                    (f"jobs/{some}/retry", {"now": True}, "invalid_body", None),
                                    ("jobs", {**what, "max_retries": 6}, "invalid_body", "max_retries"),
                                    ("jobs", {**what, "max_retries": 1, "sync": True}, "invalid_body", "max_retries"),
                                    ("jobs", {**what, "sync": 1}, "invalid_body", "sync"),
                                    ("jobs", {**what, "environment": "a b"}, "invalid_body", "environment"),
                                    ("jobs", {**what, "function": None}, "invalid_body", "function"),
                                    ("jobs", {"environment": "dev"}, "invalid_body", "integration"),
                                    ("bench", {"x": 1}, "invalid_body", None)):
        refused(post(rig, f"/admin/v1/{path}", body), 400, code, field)
    for path, body in (("queues/nowhere/pause", {}), ("queues/dev/pause", {"line": "nothing"}), ("queues/nowhere/drain", {})):
        refused(post(rig, f"/admin/v1/{path}", body), 404, "not_found")
    refused(operator(rig, "GET", "/admin/v1/queues?environment=nowhere"), 404, "not_found")
    refused(operator(rig, "GET", "/admin/v1/queues/dev/jobs?line=nothing"), 404, "not_found")
    assert not queue(rig)["paused"] and not queue(rig)["draining"]


@test
def only_operators_see_and_steer(rig):
    some = uuid.uuid4()
    for key in ("dev", rig.keys["SLUICE_ACCOUNT_KEY"]):
        for method, path in (("GET", "queues"), ("GET", "queues/dev/jobs"), ("GET", f"jobs/{some}"), ("POST", "queues/dev/pause"),
                             ("POST", "queues/dev/drain"), ("POST", "queues/dev/resume"), ("POST", f"jobs/{some}/kill"),
                             ("POST", "jobs"), ("POST", "bench")):
            answer = rig.request(method, f"/admin/v1/{path}", {} if method == "POST" else None, key=key)
            assert answer.status == 403, (path, answer)


main(lambda: Rig(nodes=2, prepare=lambda rig: rig.prepare(FUNCTIONS)))
