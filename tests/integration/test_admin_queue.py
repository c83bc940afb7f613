"""What operators set and see of the queue: concurrency of environments and functions, the dead list, quarantine."""
import base64
import os
import signal
import sys
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig
from servers import wait_until
from tap import main, test

ENVIRONMENT = "/admin/v1/environments/dev"
CALL = "const r = await nango.get({ endpoint: input.endpoint }); return r.data;"


def operator(rig, method, path, body=None):
    return rig.request(method, path, body, key=rig.keys["SLUICE_OPERATOR_KEY"])


def refused(answer, code, path=None, status=400):
    assert answer.status == status and answer.code == code, answer
    if path is not None:
        assert answer.json["error"]["errors"][0]["path"] == path, answer


def function_path(name):
    return f"{ENVIRONMENT}/functions/w/{name}"


def row_id(rig, table, column, value):
    return rig.postgres.query(f"SELECT id FROM {table} WHERE {column} = '{value}' ORDER BY id LIMIT 1")[0][0]


def key_of(rig, job):
    """(name, slots) of the job's concurrency key."""
    return tuple(rig.postgres.query("SELECT k.name, k.slots FROM job j JOIN concurrency_key k ON k.id = j.key_id"
                                    f" WHERE j.id = '{job}'")[0])


# ---- concurrency

@test
def the_setting_of_an_environment_decides_the_key_of_its_jobs(rig):
    c, d = (row_id(rig, "connection", "connection_id", name) for name in "cd")
    step = row_id(rig, "function", "name", "step")
    assert operator(rig, "GET", ENVIRONMENT).json["concurrency"] == {"by": "environment", "limit": 1}
    assert key_of(rig, rig.submit("step", {"endpoint": "/ok"})) == ("actions", "1")
    for value, names in (({"by": "connection", "limit": 3}, (f"actions:connection:{c}", f"actions:connection:{d}")),
                         ({"by": "function", "limit": 2}, (f"actions:function:{step}",) * 2),
                         ({"by": "environment", "limit": 5}, ("actions",) * 2)):
        answer = operator(rig, "PATCH", ENVIRONMENT, {"concurrency": value})
        assert answer.status == 200 and answer.json["concurrency"] == value, answer
        for _ in range(2):  # the second time the key is known
            jobs = [rig.submit("step", {"endpoint": "/ok"}, connection=name) for name in "cd"]
            assert [key_of(rig, job) for job in jobs] == [(name, str(value["limit"])) for name in names]
            assert all(rig.finish(job).status == 200 for job in jobs)
    answer = operator(rig, "PATCH", ENVIRONMENT, {"concurrency": None})
    assert answer.status == 200 and answer.json["concurrency"] == {"by": "environment", "limit": 1}, answer
    assert key_of(rig, rig.submit("step", {"endpoint": "/ok"})) == ("actions", "1")


@test
def a_function_may_say_it_for_itself_and_take_it_back(rig):
    c, d = (row_id(rig, "connection", "connection_id", name) for name in "cd")
    step = row_id(rig, "function", "name", "step")
    before = operator(rig, "GET", function_path("step"))
    assert before.status == 200 and before.json == {
        "environment": "dev", "integration": "w", "name": "step", "type": "action", "version": "1.0.0", "enabled": True,
        "concurrency": None, "effective_concurrency": {"by": "environment", "limit": 1}}, before
    for value, names in (({"by": "function", "limit": 4}, (f"actions:function:{step}",) * 2),
                         ({"by": "connection", "limit": 2}, tuple(f"actions:function:{step}:connection:{n}" for n in (c, d)))):
        answer = operator(rig, "PATCH", function_path("step"), {"concurrency": value})
        assert answer.status == 200 and answer.json["concurrency"] == answer.json["effective_concurrency"] == value, answer
        jobs = [rig.submit("step", {"endpoint": "/ok"}, connection=name) for name in "cd"]
        assert [key_of(rig, job) for job in jobs] == [(name, str(value["limit"])) for name in names]
        assert key_of(rig, rig.submit("other", 1)) == ("actions", "1")
    answer = operator(rig, "PATCH", function_path("step"), {"concurrency": {"by": "environment", "limit": 9}})
    assert answer.json["effective_concurrency"] == {"by": "environment", "limit": 1}, answer
    answer = operator(rig, "PATCH", function_path("step"), {"concurrency": None})
    assert answer.json == before.json, answer
    assert key_of(rig, rig.submit("step", {"endpoint": "/ok"})) == ("actions", "1")


@test
def a_change_is_heeded_by_another_node_at_once(rig):
    step = row_id(rig, "function", "name", "step")
    assert key_of(rig, rig.submit("step", {"endpoint": "/ok"}, node=rig.nodes[1])) == ("actions", "1")
    assert operator(rig, "PATCH", function_path("step"), {"concurrency": {"by": "function", "limit": 2}}).status == 200
    wait_until("node 1 heeds it", lambda: key_of(rig, rig.submit("step", {"endpoint": "/ok"}, node=rig.nodes[1])) ==
               (f"actions:function:{step}", "2"), 5)
    assert operator(rig, "PATCH", function_path("step"), {"concurrency": None}).status == 200


@test
def connections_that_are_apart_do_not_wait_for_one_another(rig):
    assert operator(rig, "PATCH", ENVIRONMENT, {"concurrency": {"by": "connection", "limit": 1}}).status == 200
    held = rig.submit("step", {"endpoint": "/hang/apart"}, connection="c")
    rig.witness.wait_seen("/hang/apart")
    behind = rig.submit("step", {"endpoint": "/ok"}, connection="c")
    assert rig.finish(rig.submit("step", {"endpoint": "/ok"}, connection="d")).status == 200
    waiting = rig.poll(behind)
    assert waiting.status == 404 and waiting.headers["x-sluice-state"] == "queued", waiting.headers
    assert waiting.headers["x-sluice-position"] == "1", waiting.headers
    rig.witness.release("apart")
    assert [rig.finish(job).status for job in (held, behind)] == [200, 200]
    assert operator(rig, "PATCH", ENVIRONMENT, {"concurrency": None}).status == 200


@test
def as_many_run_at_a_time_as_the_limit_says_and_polls_tell_them_apart(rig):
    assert operator(rig, "PATCH", ENVIRONMENT, {"concurrency": {"by": "environment", "limit": 2}}).status == 200
    [[key]] = rig.postgres.query("SELECT k.id FROM concurrency_key k JOIN environment e ON e.id = k.environment_id"
                                 " WHERE e.name = 'dev' AND k.name = 'actions'")
    wait_until("Redis has the limit", lambda: any(rig.redis.command("HGET", name, key) in (b"2", "2")
                                                  for name in rig.redis.command("KEYS", "sluice:*limits")), 10)
    jobs = [rig.submit("step", {"endpoint": f"/hang/slot{n}"}) for n in range(4)]
    for n in range(2):
        rig.witness.wait_seen(f"/hang/slot{n}")

    def states():
        answers = [rig.poll(job) for job in jobs]
        assert all(answer.status == 404 for answer in answers), answers
        return [(answer.headers["x-sluice-state"], answer.headers.get("x-sluice-position")) for answer in answers]
    seen = wait_until("two run", lambda: (lambda s: s if [x[0] for x in s] == ["running"] * 2 + ["queued"] * 2 else None)(states()), 5)
    assert [position for _, position in seen[:2]] == [None, None], seen
    assert int(seen[2][1]) < int(seen[3][1]) <= 3, seen
    assert not rig.witness.seen("/hang/slot2"), "a third one runs"
    rig.witness.release("slot0")
    rig.witness.wait_seen("/hang/slot2")
    assert rig.finish(jobs[0]).status == 200 and not rig.witness.seen("/hang/slot3")
    # The limit goes down: what runs goes on, and nothing starts beside it.
    assert operator(rig, "PATCH", ENVIRONMENT, {"concurrency": None}).status == 200
    for n in (1, 2):
        rig.witness.release(f"slot{n}")
    rig.witness.wait_seen("/hang/slot3")
    rig.witness.release("slot3")
    assert [rig.finish(job).status for job in jobs] == [200] * 4


@test
def bad_concurrency_is_refused_with_the_field_and_changes_nothing(rig):
    cases = [
        ({"concurrency": {"by": "integration", "limit": 1}}, ["concurrency", "by"]),
        ({"concurrency": {"limit": 1}}, ["concurrency", "by"]),
        ({"concurrency": {"by": 7, "limit": 1}}, ["concurrency", "by"]),
        ({"concurrency": {"by": "connection"}}, ["concurrency", "limit"]),
        ({"concurrency": {"by": "connection", "limit": 0}}, ["concurrency", "limit"]),
        ({"concurrency": {"by": "connection", "limit": 501}}, ["concurrency", "limit"]),
        ({"concurrency": {"by": "connection", "limit": 1.5}}, ["concurrency", "limit"]),
        ({"concurrency": {"by": "connection", "limit": "2"}}, ["concurrency", "limit"]),
        ({"concurrency": {"by": "connection", "limit": 2, "key": 1}}, []),
        ({"concurrency": "connection"}, ["concurrency"]),
        ({"concurency": None}, []),
    ]
    for place in (ENVIRONMENT, function_path("step")):
        before = operator(rig, "GET", place).json
        for body, path in cases:
            answer = operator(rig, "PATCH", place, body)
            refused(answer, "invalid_body", path)
        assert operator(rig, "GET", place).json == before
    for path in (f"{ENVIRONMENT}/functions/w/nosuch", f"{ENVIRONMENT}/functions/nosuch/step",
                 "/admin/v1/environments/nosuch/functions/w/step"):
        for method, body in (("GET", None), ("PATCH", {"concurrency": None})):
            assert operator(rig, method, path, body).status == 404
    for key in ("dev", rig.keys["SLUICE_ACCOUNT_KEY"]):
        refused(rig.request("GET", function_path("step"), key=key), "forbidden", status=403)
    refused(operator(rig, "GET", function_path("step") + "?x=1"), "invalid_query_params")


# ---- the dead list

def set_aside(rig, env="dev", value=None, function="other", **columns):
    """A job that ran, put on the list as a death would have."""
    job = rig.submit(function, value, env=env)
    rig.finish(job, env=env)
    row = {"deaths": "3", "signal": "11", "memory": "4096", "last_call": "'GET /x'", **columns}
    rig.postgres.query(f"INSERT INTO dead (job_id, environment_id, kind, function_version_id, connection_id, {', '.join(row)})"
                       f" SELECT id, environment_id, kind, function_version_id, connection_id, {', '.join(row.values())}"
                       f" FROM job WHERE id = '{job}'")
    return job


def dead_ids(rig, query=""):
    answer = operator(rig, "GET", f"/admin/v1/dead{query}")
    assert answer.status == 200, answer
    return [row["id"] for row in answer.json["data"]]


def forget_all(rig):
    rig.postgres.query("DELETE FROM dead; DELETE FROM death; DELETE FROM quarantine")


@test
def the_dead_list_shows_what_is_known_page_by_page(rig):
    forget_all(rig)
    jobs = [set_aside(rig, value=n) for n in range(3)] + [set_aside(rig, env="prod", function="other")]
    rig.postgres.query("INSERT INTO death (job_id, token, session_id, cause, open, signal, memory, last_call, at) VALUES"
                       f" ('{jobs[0]}', gen_random_uuid(), 1, 1, false, 11, 4096, 'GET /x', now()),"
                       f" ('{jobs[0]}', gen_random_uuid(), 0, 2, false, NULL, NULL, NULL, now() - interval '1 s')")
    assert dead_ids(rig) == jobs[::-1]
    first = operator(rig, "GET", "/admin/v1/dead?environment=dev&limit=2").json
    assert [row["id"] for row in first["data"]] == [jobs[2], jobs[1]] and first["next"] == jobs[1], first
    second = operator(rig, "GET", f"/admin/v1/dead?environment=dev&limit=2&before={first['next']}").json
    assert [row["id"] for row in second["data"]] == [jobs[0]] and second["next"] is None, second
    row = second["data"][0]
    at = row.pop("at")
    assert at.endswith("Z") and len(at) == 24 and isinstance(row.pop("function_version"), int) and isinstance(row.pop("connection"), int)
    assert row == {"id": jobs[0], "environment": "dev", "kind": "action", "integration": "w", "function": "other", "deaths": 3,
                   "signal": 11, "memory": 4096, "last_call": "GET /x", "replays": 0, "last_replay": None}, row
    shown = operator(rig, "GET", f"/admin/v1/dead/{jobs[0]}")
    assert shown.status == 200 and shown.json["data"]["id"] == jobs[0], shown
    history = shown.json["data"]["history"]
    assert [(d["cause"], d["signal"], d["memory"], d["last_call"]) for d in history] == [
        ("worker_lost", None, None, None), ("runner_died", 11, 4096, "GET /x")], history
    refused(operator(rig, "GET", f"/admin/v1/dead/{uuid.uuid4()}"), "not_found", status=404)
    refused(operator(rig, "GET", "/admin/v1/dead/nope"), "invalid_uri_params", ["id"])
    for query, path in (("limit=0", ["limit"]), ("limit=1001", ["limit"]), ("limit=x", ["limit"]), ("before=x", ["before"]),
                        ("environment=A!", ["environment"]), ("x=1", [])):
        refused(operator(rig, "GET", f"/admin/v1/dead?{query}"), "invalid_query_params", path)
    refused(operator(rig, "GET", "/admin/v1/dead?environment=nosuch"), "not_found", status=404)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def kill_runs(rig):
    """SIGKILL to whatever runs functions on any node, as a function that kills its process would."""
    for node in rig.nodes:
        zygotes = [child for child in children(node.process.pid)
                   if open(f"/proc/{child}/comm", encoding="ascii").read() == "sluice-runner\n"]
        for function in (f for zygote in zygotes for f in children(zygote)):
            try:
                os.kill(function, signal.SIGKILL)
            except ProcessLookupError:
                pass


@test
def a_job_whose_runner_dies_again_and_again_is_set_aside_and_runs_well_when_replayed(rig):
    forget_all(rig)
    job = rig.submit("step", {"endpoint": "/hang/poison"}, retries=5)
    for death in range(3):
        rig.witness.wait_seen("/hang/poison", death + 1, 20)
        kill_runs(rig)
    answer = rig.finish(job, 20)
    assert answer.status == 500 and answer.code == "action_script_failure", answer
    assert answer.json["error"]["payload"]["error"].startswith("poison: "), answer
    assert dead_ids(rig, "?environment=dev") == [job]
    row = operator(rig, "GET", f"/admin/v1/dead/{job}").json["data"]
    assert (row["function"], row["deaths"], row["signal"], row["replays"]) == ("step", 3, 9, 0), row
    assert [death["cause"] for death in row["history"]] == ["runner_died"] * 3, row
    assert rig.finish(rig.submit("other", 1), 20).json == 1, "the key goes on"
    rig.witness.release("poison")
    new = operator(rig, "POST", "/admin/v1/dead/replay", {"ids": [job]}).json["data"][0]["new_id"]
    assert rig.finish(new, 20).status == 200
    assert rig.finish(job).status == 500, "the old result stays"
    assert operator(rig, "DELETE", "/admin/v1/dead", {"ids": [job]}).json == {"deleted": 1}


@test
def replayed_jobs_run_again_with_their_input_no_more_often_than_the_cap(rig):
    forget_all(rig)
    job, other = set_aside(rig, value={"n": 7}), str(uuid.uuid4())
    for n in range(2):  # dead_replays_max of these nodes
        answer = operator(rig, "POST", "/admin/v1/dead/replay", {"ids": [job, other]})
        assert answer.status == 200 and answer.json["replayed"] == 1, answer
        good, bad = answer.json["data"]
        assert good["id"] == job and "error" not in good, good
        assert bad["id"] == other and bad["new_id"] is None and bad["error"]["code"] == "not_found", bad
        done = rig.finish(good["new_id"], 20)
        assert done.status == 200 and done.json == {"n": 7}, done
        row = operator(rig, "GET", f"/admin/v1/dead/{job}").json["data"]
        assert (row["replays"], row["last_replay"]) == (n + 1, good["new_id"]), row
    answer = operator(rig, "POST", "/admin/v1/dead/replay", {"ids": [job]})
    assert answer.status == 200 and answer.json["replayed"] == 0, answer
    assert answer.json["data"][0]["error"]["code"] == "too_many_replays", answer


@test
def the_jobs_of_an_environment_are_replayed_together(rig):
    forget_all(rig)
    jobs = [set_aside(rig, value=n) for n in range(3)]
    elsewhere = set_aside(rig, env="prod")
    answer = operator(rig, "POST", "/admin/v1/dead/replay", {"environment": "dev", "limit": 2})
    assert answer.status == 200 and [d["id"] for d in answer.json["data"]] == [jobs[2], jobs[1]], answer
    assert [rig.finish(d["new_id"], 20).json for d in answer.json["data"]] == [2, 1]
    assert rig.postgres.query(f"SELECT replays FROM dead WHERE job_id = '{elsewhere}'") == [["0"]]
    assert operator(rig, "DELETE", "/admin/v1/dead?environment=dev").json == {"deleted": 3}
    none = operator(rig, "POST", "/admin/v1/dead/replay", {"environment": "dev"})
    assert none.status == 200 and none.json == {"data": [], "replayed": 0}, none
    for body, path in (({}, ["ids"]), ({"ids": [jobs[0]], "environment": "dev"}, ["ids"]), ({"ids": []}, ["ids"]),
                       ({"ids": [jobs[0]], "limit": 1}, ["ids"]), ({"ids": [jobs[0], "x"]}, ["ids", "1"]), ({"ids": [1]}, ["ids", "0"]),
                       ({"ids": [jobs[0]] * 1001}, ["ids"]), ({"ids": "x"}, ["ids"]), ({"environment": "dev", "limit": 0}, ["limit"]),
                       ({"environment": "dev", "limit": 1001}, ["limit"]), ({"environment": 7}, ["environment"]), ({"all": True}, [])):
        refused(operator(rig, "POST", "/admin/v1/dead/replay", body), "invalid_body", path)
    refused(operator(rig, "POST", "/admin/v1/dead/replay", {"environment": "nosuch"}), "not_found", status=404)


@test
def jobs_are_taken_off_the_list_by_id_or_age_and_their_results_stay(rig):
    forget_all(rig)
    jobs = [set_aside(rig, value=n + 1, at=f"date_trunc('second', now()) - interval '{9 - n} hours'") for n in range(3)]
    times = [operator(rig, "GET", f"/admin/v1/dead/{job}").json["data"]["at"] for job in jobs]
    assert operator(rig, "DELETE", "/admin/v1/dead", {"ids": [jobs[0], str(uuid.uuid4())]}).json == {"deleted": 1}
    assert dead_ids(rig) == [jobs[2], jobs[1]]
    assert operator(rig, "DELETE", f"/admin/v1/dead?environment=prod&before={times[2]}").json == {"deleted": 0}
    answer = operator(rig, "DELETE", f"/admin/v1/dead?before={times[2]}")
    assert answer.json == {"deleted": 1}, (answer, times)
    assert dead_ids(rig) == [jobs[2]]
    assert [rig.poll(job).json for job in jobs] == [1, 2, 3]
    refused(operator(rig, "DELETE", "/admin/v1/dead"), "invalid_body", ["ids"])
    refused(operator(rig, "DELETE", "/admin/v1/dead?environment=dev", {"ids": jobs}), "invalid_body", ["ids"])
    for value in ("x", "2026-02-30T00:00:00.000Z", "2026-11-22T05:12:00Z", "1"):
        refused(operator(rig, "DELETE", f"/admin/v1/dead?before={value}"), "invalid_query_params", ["before"])


@test
def quarantine_is_listed_and_emptied(rig):
    forget_all(rig)
    rig.postgres.query("INSERT INTO quarantine (shard, key_id, reason, bytes, security) VALUES"
                       " (0, 7, 'cut off', '\\x00ff', false), (1, 0, 'wrong MAC', 'abc', true)")
    answer = operator(rig, "GET", "/admin/v1/quarantine")
    newest, oldest = answer.json["data"]
    number, at = newest.pop("id"), newest.pop("at")
    assert newest == {"shard": 1, "key": None, "reason": "wrong MAC", "security": True, "size": 3} and at.endswith("Z"), newest
    assert oldest["key"] == 7 and oldest["size"] == 2 and not oldest["security"], oldest
    page = operator(rig, "GET", "/admin/v1/quarantine?limit=1&include=bytes").json
    assert base64.b64decode(page["data"][0]["bytes"]) == b"abc" and page["next"] == number, page
    page = operator(rig, "GET", f"/admin/v1/quarantine?limit=1&include=bytes&before={number}").json
    assert base64.b64decode(page["data"][0]["bytes"]) == b"\x00\xff", page
    for query, path in (("limit=0", ["limit"]), ("before=0", ["before"]), ("before=x", ["before"]), ("include=all", ["include"]), ("x=1", [])):
        refused(operator(rig, "GET", f"/admin/v1/quarantine?{query}"), "invalid_query_params", path)
    for body in (None, {"ids": []}, {"ids": ["1"]}, {"ids": [0]}, {"id": 1}):
        refused(operator(rig, "DELETE", "/admin/v1/quarantine", body), "invalid_body")
    assert operator(rig, "DELETE", "/admin/v1/quarantine", {"ids": [number]}).json == {"deleted": 1}
    assert operator(rig, "DELETE", "/admin/v1/quarantine?before=2100-01-01T00:00:00.000Z").json == {"deleted": 1}
    assert operator(rig, "GET", "/admin/v1/quarantine").json == {"data": [], "next": None}


@test
def what_was_set_aside_is_for_operators_only(rig):
    job = str(uuid.uuid4())
    for method, path, body in (("GET", "/admin/v1/dead", None), ("GET", f"/admin/v1/dead/{job}", None),
                               ("POST", "/admin/v1/dead/replay", {"ids": [job]}), ("DELETE", "/admin/v1/dead", {"ids": [job]}),
                               ("GET", "/admin/v1/quarantine", None), ("DELETE", "/admin/v1/quarantine", {"ids": [1]})):
        for key in ("dev", rig.keys["SLUICE_ACCOUNT_KEY"]):
            refused(rig.request(method, path, body, key=key), "forbidden", status=403)
        assert rig.request(method, path, body, key=None).status == 401


def prepare(rig):
    rig.prepare({"step": CALL, "other": "return input;"})
    rig.connection("d")
    rig.prepare({"other": "return input;"}, env="prod")


main(lambda: Rig(nodes=2, settings={"dead_replays_max": "2", "retry_first": "100ms"}, prepare=prepare))
