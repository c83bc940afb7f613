"""What an environment is told of: the events in the outbox, byte for byte, committed with what happened and once."""
import contextlib
import json
import os
import signal
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import flows
from rig import Rig, wait_until
from tap import main, test

ALL = "api,worker,scheduler"
HOOK = "http://127.0.0.1:1/hook"  # nobody listens: what matters here is what is to be sent
FUNCTIONS = {
    "echo": "return input;",
    "nothing": "",
    "call": "const r = await nango.get({ endpoint: input.path }); return r.data.path;",
    "boom": "throw new Error('no \"luck\" é \\u0000 \\ud800');",
    "refuses": "throw new nango.ActionError({ reason: 'bad' });",
    "says": "throw new nango.ActionError({ message: 'what it says', a: 1 });",
    "flaky": "const v = await nango.getCheckpoint() || { n: 0 }; await nango.saveCheckpoint({ n: v.n + 1 });"
             " if (v.n < input.failures) throw new Error('try ' + v.n); await nango.clearCheckpoint(); return v.n;",
}
SYNCS = [
    flows.sync("changes", "const v = await nango.getCheckpoint() || { n: 0 }; await nango.saveCheckpoint({ n: v.n + 1 });"
               " if (v.n > 1) throw new Error('third'); await nango.batchSave([{ id: '1' }], 'Row');", models=["Row", "Other"]),
    flows.sync("waits", "await nango.get({ endpoint: '/hang/sync' });", models=["Wait"]),
]
VALIDATES = flows.on_event("check", "validate-connection", "if (nango.connectionId === 'bad') throw new nango.ActionError({ message: 'no' });"
                           " if (nango.connectionId.startsWith('held')) await nango.get({ endpoint: '/hang/' + nango.connectionId });")


def bytes_of(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def body(job, connection="c", error=None, key="w"):
    """What is sent of an action's end; error: (type, description)."""
    value = {"connectionId": connection, "from": "nango", "payload": {"id": job, "statusUrl": f"/action/{job}"}, "providerConfigKey": key,
             "success": error is None, "type": "async_action"}
    if error is not None:
        value["error"] = {"type": error[0], "description": error[1]}
    return bytes_of(value)


def events(rig, job):
    return [(kind, outcome, text) for kind, outcome, text in
            rig.postgres.query(f"SELECT type, outcome, body FROM outbox WHERE job_id = '{job}' ORDER BY id")]


def sent_to(rig, job):
    """Slots of the endpoints that its event is to be delivered to."""
    return [slot for [slot] in rig.postgres.query(
        f"SELECT p.slot FROM delivery d JOIN endpoint p ON p.id = d.endpoint_id WHERE d.job_id = '{job}' ORDER BY p.slot")]


def assert_told(rig, job, error=None, **more):
    """Once, in the transaction of the result."""
    assert events(rig, job) == [("2", "1" if error is None else "3", body(job, error=error, **more))], (events(rig, job), error)
    assert rig.postgres.query("SELECT count(*) FROM outbox o JOIN result r ON r.job_id = o.job_id AND r.xmin = o.xmin"
                              f" WHERE o.job_id = '{job}'") == [["1"]]


def settings(rig, env="dev", **changes):
    answer = rig.request("PATCH", f"/admin/v1/environments/{env}", changes, key=rig.keys["SLUICE_OPERATOR_KEY"])
    assert answer.status == 200, answer
    return answer.json


@contextlib.contextmanager
def changed(rig, **changes):
    settings(rig, **changes)
    try:
        yield
    finally:
        settings(rig, webhook_url=HOOK, webhook_url_secondary=None, webhook_events="all")


def roles(rig, *wanted, **more):
    """Restarts what has to have another role, or other settings; None: down."""
    for node, role in zip(rig.nodes, wanted):
        settled = node.settings.get("role") == role and all(node.settings.get(name) == value for name, value in more.items())
        if node.process is not None and node.process.poll() is None:
            if settled and role is not None:
                continue
            node.stop()
        node.settings.update(role=role, **more)
        if role is not None:
            node.start(wait="api" in role)


def prepare(rig):
    rig.prepare(FUNCTIONS)
    rig.connection("own", webhook_url_override=f"{HOOK}/own")
    rig.integration("v")
    done = rig.deploy_flows([rig.flow(name, code) for name, code in FUNCTIONS.items()] + SYNCS, onEventScriptsByProvider=flows.events(
        VALIDATES, integration="v"))
    assert done.status == 200, done
    settings(rig, webhook_url=HOOK, webhook_events="all")
    roles(rig, ALL, None)


# ---- actions: what their worker says

@test
def a_success_and_each_failure_have_exactly_these_bytes(rig):
    for value in (5, None, {"b": 1, "a": 2}):
        job = rig.submit("echo", value)
        assert rig.finish(job).status == 200
        assert_told(rig, job)
    job = rig.submit("boom")
    assert rig.finish(job).status == 500
    said = rig.poll(job).json["error"]["payload"]["message"]
    assert "\0" in said and "\ud800" in said, said
    assert_told(rig, job, ("script_internal_error", said.replace("\ud800", "\ufffd")))
    for name, path, code in (("refuses", None, "action_script_runtime_error"), ("says", None, "action_script_runtime_error"),
                             ("call", "/status/503", "script_http_error")):
        job = rig.submit(name, {"path": path} if path else None)
        error = rig.finish(job).json["error"]
        payload = error["payload"] if isinstance(error["payload"], dict) else {}
        said = next(text for text in (error.get("message"), payload.get("message"), payload.get("error"), error["code"]) if isinstance(text, str))
        assert error["code"] == code, error
        assert_told(rig, job, (code, said))


@test
def a_long_description_is_cut_between_characters(rig):
    rig.witness.script("long", [(500, {}, {"message": "x" + "é" * 40000})])
    job = rig.submit("call", {"path": "/script/long"})
    assert rig.finish(job).json["error"]["payload"]["message"] == "x" + "é" * 40000
    assert_told(rig, job, ("script_http_error", "x" + "é" * 32767))


@test
def a_job_that_is_retried_is_told_of_once_at_its_end(rig):
    job = rig.submit("flaky", {"failures": 2}, retries=3)
    assert rig.finish(job).status == 200
    assert rig.postgres.query(f"SELECT count(*) FROM attempt WHERE job_id = '{job}'") == [["3"]]
    assert_told(rig, job)
    job = rig.submit("flaky", {"failures": 9}, retries=1)
    answer = rig.finish(job)
    assert answer.status == 500 and len(events(rig, job)) == 1 and json.loads(events(rig, job)[0][2])["success"] is False, events(rig, job)
    rig.postgres.query("DELETE FROM checkpoint")


@test
def what_is_awaited_or_nested_is_not_told_of(rig):
    before = rig.postgres.query("SELECT count(*) FROM outbox")
    assert rig.call("echo", 1).status == 200
    assert rig.postgres.query("SELECT count(*) FROM outbox") == before


@test
def an_operators_job_is_told_of(rig):
    answer = rig.request("POST", "/admin/v1/jobs", {"environment": "dev", "integration": "w", "connection": "c", "function": "echo", "input": 1},
                         key=rig.keys["SLUICE_OPERATOR_KEY"])
    assert answer.status == 202, answer
    assert rig.finish(answer.json["id"]).status == 200
    assert_told(rig, answer.json["id"])


@test
def a_job_whose_connection_is_gone_is_told_of_without_its_name(rig):
    rig.connection("gone")
    first = rig.submit("call", {"path": "/hang/gone"})
    rig.witness.wait_seen("/hang/gone")
    job = rig.submit("echo", 1, connection="gone")
    assert rig.request("DELETE", "/connections/gone?provider_config_key=w").status == 200
    rig.witness.release("gone")
    assert rig.finish(first).status == 200
    error = rig.finish(job).json["error"]
    assert "does not exist any more" in error["payload"]["error"], error
    assert_told(rig, job, (error["code"], error["message"]), connection=None)
    assert sent_to(rig, job) == ["1"]


# ---- actions: where it goes, and whether

@test
def the_events_go_to_both_urls_or_to_that_of_the_connection(rig):
    with changed(rig, webhook_url_secondary=f"{HOOK}/2"):
        for connection, slots in (("c", ["1", "2"]), ("own", ["3"])):
            job = rig.submit("echo", 1, connection=connection)
            assert rig.finish(job).status == 200
            assert_told(rig, job, connection=connection)
            assert sent_to(rig, job) == slots, (connection, sent_to(rig, job))


@test
def a_job_is_told_of_if_somebody_wanted_it_when_it_was_accepted(rig):
    def webhook_of(job):
        return rig.postgres.query(f"SELECT webhook FROM job WHERE id = '{job}'")[0][0]

    with changed(rig, webhook_url=None):
        for connection, wanted in (("c", "f"), ("own", "t")):
            job = rig.submit("echo", 1, connection=connection)
            assert webhook_of(job) == wanted and rig.finish(job).status == 200
            assert len(events(rig, job)) == (wanted == "t")
    with changed(rig, webhook_events=["sync", "auth_creation"]):
        job = rig.submit("echo", 1, connection="own")
        assert webhook_of(job) == "f" and rig.finish(job).status == 200 and events(rig, job) == []
        assert rig.request("DELETE", f"/action/{rig.submit('echo', 1, headers={'X-Delay': '60'})}").status == 200
    assert webhook_of(rig.submit("echo", 1)) == "t", "the change is known at once on the node that made it"
    first = rig.submit("call", {"path": "/hang/off"})
    rig.witness.wait_seen("/hang/off")
    with changed(rig, webhook_events="none"):
        rig.witness.release("off")
        assert rig.finish(first).status == 200
        assert_told(rig, first)
        assert sent_to(rig, first) == [], "it was switched off meanwhile"


@test(seconds=60)
def another_node_hears_of_changed_settings(rig):
    roles(rig, ALL, "api")
    other = rig.nodes[1]
    for url, wanted in ((None, "f"), (HOOK, "t")):
        settings(rig, webhook_url=url)
        wait_until("it accepts jobs by them", lambda wanted=wanted: rig.postgres.query(  # long before what it has cached is too old
            f"SELECT webhook FROM job WHERE id = '{rig.submit('echo', 1, node=other)}'") == [[wanted]], 10, every=0.1)
    roles(rig, ALL, None)


@test
def an_idempotent_repeat_makes_no_second_event(rig):
    jobs = {rig.submit("echo", 1, headers={"Idempotency-Key": "told-once"}) for _ in range(3)}
    [job] = jobs
    assert rig.finish(job).status == 200
    assert_told(rig, job)


# ---- actions: what others say

@test
def a_cancelled_job_is_told_of_once_whether_it_waits_or_runs(rig):
    running = rig.submit("call", {"path": "/hang/cancel"})
    rig.witness.wait_seen("/hang/cancel")
    queued = rig.submit("echo", 1)
    for job in (queued, running):
        assert rig.request("DELETE", f"/action/{job}").status == 200
        assert rig.request("DELETE", f"/action/{job}").status == 409
        error = rig.finish(job).json["error"]
        assert_told(rig, job, ("script_aborted", error["message"]))
    rig.witness.release("cancel")
    assert rig.finish(rig.submit("echo", 1)).status == 200
    assert len(events(rig, running)) == len(events(rig, queued)) == 1


def function_processes(node):
    table = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    head, _, tail = file.read().rpartition(")")
                table[int(name)] = (int(tail.split()[1]), head.partition("(")[2])
    roots = [pid for pid, (parent, command) in table.items() if parent == node.process.pid and command.startswith("sluice-runner"[:15])]
    return [pid for pid, (parent, _) in table.items() if parent in roots]


def kill_at_each_call(rig, job, path, times):
    def died(number):
        if len(rig.postgres.query(f"SELECT job_id FROM death WHERE job_id = '{job}' AND NOT open")) >= number or rig.poll(job).status != 404:
            return True
        for pid in function_processes(rig.nodes[0]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return False

    for n in range(1, times + 1):
        rig.witness.wait_seen(path, n, 20)
        wait_until("the death is known", lambda n=n: died(n), 10, every=0.3)


@test
def a_job_whose_runner_died_and_one_that_was_set_aside_are_told_of(rig):
    roles(rig, ALL, None)
    for path, retries, deaths in (("/hang/died", 0, 1), ("/hang/dead", 5, 3)):
        job = rig.submit("call", {"path": path}, retries=retries)
        kill_at_each_call(rig, job, path, deaths)
        error = rig.finish(job).json["error"]
        rig.witness.release(path.split("/")[-1])
        assert_told(rig, job, ("action_script_failure", error.get("message") or error["payload"]["error"]))
    assert rig.postgres.query(f"SELECT count(*) FROM dead WHERE job_id = '{job}'") == [["1"]]


@test(seconds=90)
def a_job_whose_worker_was_lost_is_told_of(rig):
    roles(rig, "api,scheduler", "worker")
    job = rig.submit("call", {"path": "/hang/lost"})
    rig.witness.wait_seen("/hang/lost")
    rig.nodes[1].kill()
    error = rig.finish(job).json["error"]
    rig.witness.release("lost")
    assert error["payload"]["error"].startswith("worker_lost"), error
    assert_told(rig, job, ("action_script_failure", error["payload"]["error"]))
    roles(rig, ALL, None)


@test(seconds=90)
def a_job_that_was_not_started_in_time_is_told_of_by_scheduler_and_worker(rig):
    for first in ("api,scheduler", "api"):
        roles(rig, first, None, start_limit="1s")
        job = rig.submit("echo", 1)
        if first == "api":
            wait_until("it is late", lambda: rig.postgres.query(  # pylint: disable=cell-var-from-loop
                f"SELECT now() - accepted_at > interval '1.2 s' FROM job WHERE id = '{job}'") == [["t"]], 5)
            roles(rig, "api", "worker", start_limit="1s")
        error = rig.finish(job, 40).json["error"]
        assert "not started" in bytes_of(error), error
        assert_told(rig, job, (error["code"], error.get("message") or error["payload"]["error"]))
        assert rig.postgres.query(f"SELECT state FROM result WHERE job_id = '{job}'") == [["4"]]
    roles(rig, ALL, None, start_limit=None)


# ---- syncs

def sync(rig, method, name):
    answer = rig.request("POST", f"/sync/{method}", {"syncs": [name], "provider_config_key": "w", "connection_id": "c"})
    assert answer.status == 200, answer


def of_sync(rig, name):
    return rig.postgres.query("SELECT o.outcome, count(d.id) FROM outbox o LEFT JOIN delivery d ON d.event_id = o.id"
                              f" WHERE o.body LIKE '%\"syncName\":\"{name}\"%' GROUP BY o.id, o.outcome ORDER BY o.id")


@test
def a_run_of_a_sync_says_of_each_model_whether_it_changed_and_only_what_is_wanted_goes_out(rig):
    settings(rig, webhook_events=None)  # all but what did not change
    for count in (2, 4, 5):
        sync(rig, "trigger", "changes")
        wait_until("the run is told of", lambda count=count: len(of_sync(rig, "changes")) == count, 20)
        settings(rig, webhook_events="sync_unchanged")
    rows = of_sync(rig, "changes")
    assert sorted(rows[:2]) == [["1", "1"], ["2", "0"]], rows  # Row changed, Other did not
    assert rows[2:4] == [["2", "1"], ["2", "1"]] and rows[4] == ["3", "0"], rows
    settings(rig, webhook_events="all")


@test
def a_run_that_is_cancelled_failed(rig):
    sync(rig, "trigger", "waits")
    rig.witness.wait_seen("/hang/sync")
    with changed(rig, webhook_events="sync_error"):
        answer = rig.request("POST", "/sync/trigger", {"syncs": ["waits"], "provider_config_key": "w", "connection_id": "c"})
        assert answer.status == 200, answer
        [[job]] = rig.postgres.query("SELECT j.id FROM sync s JOIN job j ON j.id = s.job_id JOIN function f ON f.id = s.function_id"
                                     " WHERE f.name = 'waits'")
        done = rig.request("POST", f"/admin/v1/jobs/{job}/cancel", {}, key=rig.keys["SLUICE_OPERATOR_KEY"])
        assert done.status == 200, done
        assert of_sync(rig, "waits") == [["3", "1"]], of_sync(rig, "waits")
    rig.witness.release("sync")


# ---- connections

def of_connection(rig, name):
    return rig.postgres.query("SELECT o.type, o.outcome, coalesce(o.job_id::text, ''), o.body FROM outbox o JOIN connection c ON c.id = o.connection_id"
                              f" WHERE c.connection_id = '{name}' AND o.type = 3 ORDER BY o.id")


def auth(name, operation, key="w", **more):
    return bytes_of({"authMode": "API_KEY", "connectionId": name, "environment": "dev", "from": "nango", "operation": operation,
                     "provider": "private-api-bearer", "providerConfigKey": key, "success": True, "tags": {}, "type": "auth", **more})


@test
def a_connection_that_is_created_and_overridden_is_told_of(rig):
    rig.connection("plain")
    assert of_connection(rig, "plain") == [["3", "1", "", auth("plain", "creation")]], of_connection(rig, "plain")
    user = {"id": "u \"1\"", "email": "u@example.com", "display_name": "U", "tags": {"z": "é", "a": "1"}}
    rig.connection("plain", end_user=user, tags={"Zoo": "1", "b": "2"})
    tags = {"zoo": "1", "b": "2", "end_user_id": user["id"], "end_user_email": user["email"], "end_user_display_name": "U"}
    shown = auth("plain", "override", tags=tags, endUser={"endUserId": user["id"], "endUserEmail": user["email"], "tags": user["tags"]})
    assert of_connection(rig, "plain")[1][3] == shown, of_connection(rig, "plain")[1][3]
    rig.connection("plain", end_user={"id": "only"})
    assert json.loads(of_connection(rig, "plain")[2][3])["endUser"] == {"endUserEmail": None, "endUserId": "only", "tags": {}}


@test
def the_legacy_import_is_told_of_too(rig):
    answer = rig.request("POST", "/connection", {"connection_id": "flat", "provider_config_key": "w", "api_key": "k"})
    assert answer.status == 201, answer
    assert of_connection(rig, "flat") == [["3", "1", "", auth("flat", "creation")]]


@test
def a_connection_that_is_refused_is_not_told_of(rig):
    answer = rig.request("POST", "/connections", {"provider_config_key": "v", "connection_id": "bad", "credentials": {"type": "API_KEY", "apiKey": "k"}})
    assert answer.status == 400 and answer.code == "connection_validation_failed", answer
    assert rig.postgres.query("SELECT count(*) FROM outbox WHERE body LIKE '%\"connectionId\":\"bad\"%'") == [["0"]]
    rig.connection("good", integration="v")
    assert of_connection(rig, "good") == [["3", "1", "", auth("good", "creation", key="v")]]


@test
def the_event_of_a_connection_goes_where_the_connection_says(rig):
    rig.connection("elsewhere", webhook_url_override=f"{HOOK}/elsewhere")
    where = "SELECT p.url FROM outbox o JOIN delivery d ON d.event_id = o.id JOIN endpoint p ON p.id = d.endpoint_id" \
            " JOIN connection c ON c.id = o.connection_id WHERE c.connection_id = '%s'"
    assert rig.postgres.query(where % "elsewhere") == [[f"{HOOK}/elsewhere"]]
    with changed(rig, webhook_events="sync"):
        rig.connection("quiet")
        assert rig.postgres.query(where % "quiet") == []


@test(seconds=60)
def a_connection_whose_event_cannot_be_written_is_answered_503_and_told_of_when_asked_again(rig):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(rig.request("POST", "/connections", {
        "provider_config_key": "v", "connection_id": "held", "credentials": {"type": "API_KEY", "apiKey": "k"}})))
    thread.start()
    rig.witness.wait_seen("/hang/held")  # the row is written, the function that validates it runs
    rig.postgres.stop()
    rig.witness.release("held")
    thread.join(30)
    rig.postgres.start()
    assert answers[0].status == 503, answers
    wait_until("the ledger is back", lambda: rig.request("GET", "/ready", key=None).status == 200, 20)
    rig.connection("held", integration="v")
    assert of_connection(rig, "held") == [["3", "1", "", auth("held", "override", key="v")]]


main(lambda: Rig(nodes=2, settings={"lease_ttl": "2s", "retry_first": "100ms", "deaths_max": "3"}, prepare=prepare))
