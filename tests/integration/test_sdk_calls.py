"""What any function may ask for besides requests: fetch, locks, checkpoints, other functions, its log."""
import http.client
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, wait_until
from tap import main, test

CAUGHT = "const caught = async (f) => { try { return { value: await f() } } catch (e) { return { message: e.message, code: e.code," \
         " name: e.name, status: e.response && e.response.status, data: e.response && e.response.data," \
         " payload: e.payload, cause: e.cause && e.cause.code, axios: e.isAxiosError } } };"
FUNCTIONS = {
    "echo": "return input;",
    "refuse": "throw new nango.ActionError({ reason: 'bad' });",
    "boom": "throw new Error('boom');",
    "call": "const r = await nango.get({ endpoint: input.endpoint }); return r.data;",
    "fetch": CAUGHT + "return caught(async () => { const r = await nango.uncontrolledFetch({ ...input, url: new URL(input.url) });"
                      " return { status: r.status, ok: r.ok, url: r.url, redirected: r.redirected, type: r.headers.get('content-type'),"
                      " text: await r.text() } });",
    "fetch_raw": "await nango.uncontrolledFetch({ url: new URL(input.url) });",
    "trigger": CAUGHT + "return caught(() => nango.triggerAction(input.key || 'w', input.connection || 'c', input.action, input.input));",
    "trigger_raw": "return nango.triggerAction('w', 'c', input.action, input.input);",
    "deeper": "if (input.left === 0) return { bottom: true };"
              " return nango.triggerAction('w', 'c', 'deeper', { left: input.left - 1 });",
    "fan": "return Promise.all([1, 2, 3, 4].map((n) => nango.triggerAction('w', 'c', 'echo', n)));",
    "lock": CAUGHT + "const out = []; for (const [op, arg] of input.steps) {"
                     " out.push(await caught(() => op === 'get' ? nango.get({ endpoint: arg }) && true : nango[op](arg))); }"
                     " return out.map((each) => 'value' in each ? each.value : each.message ? each : null);",
    "lock_hang": "const got = await nango.tryAcquireLock({ key: input.key, ttlMs: 60000 });"
                 " await nango.get({ endpoint: '/hang/' + input.gate }); return got;",
    "checkpoint": CAUGHT + "const out = []; for (const [op, arg] of input.steps) {"
                           " out.push(await caught(() => nango[op](arg))); } return out;",
    "checkpoint_date": "await nango.saveCheckpoint({ at: new Date(0), n: 1, s: 'x', b: true }); return nango.getCheckpoint();",
    "checkpoint_parallel": "await Promise.all([1, 2, 3, 4].map((n) => nango.saveCheckpoint({ n }))); return nango.getCheckpoint();",
    "checkpoint_stale": "await nango.getCheckpoint(); await nango.get({ endpoint: '/hang/' + input.gate });"
                        " await nango.saveCheckpoint({ mine: true });",
    "logs": "await nango.log('quiet', { level: 'info' }); await nango.log('loud \\u0000 one', { a: 1 }, { level: 'error' });"
            " await nango.log('warned', { level: 'warn' });",
    "level": "return nango.logger.level;",
    "keys": "return { keys: Object.keys(nango), connection: typeof nango.nangoConnectionId, type: nango.scriptType };",
    "integration": CAUGHT + "return { plain: await nango.getIntegration(), more: await nango.getIntegration({ include: ['webhook', 'credentials'] }),"
                   " url: await nango.getWebhookURL(), attributes: await caught(() => nango.getFlowAttributes()) };",
    "stream": "const ask = () => nango.get({ endpoint: input.endpoint, responseType: 'stream' });"
              " const kept = []; for await (const chunk of (await ask()).data) kept.push(chunk);"
              " const { data } = await ask(); const parts = []; data.on('data', (chunk) => parts.push(chunk));"
              " await new Promise((done, failed) => data.on('error', failed).once('end', done));"
              " const none = (await ask()).data.setEncoding('utf8'); let text = ''; none.on('data', (chunk) => { text += chunk });"
              " const early = text; await new Promise((done) => none.on('close', done));"
              " return { kept: Buffer.concat(kept).toString(), parts: Buffer.concat(parts).toString(), early, text };",
    "stranger": CAUGHT + "return [await caught(() => nango.getConnection('w', 'nobody')), await caught(() => nango.get({ endpoint: '/ok', connectionId: 'nobody' }))];",
    "stranger_raw": "await nango.getConnection('w', 'nobody');",
    "no_records": "return typeof nango.batchSave;",
    "start": CAUGHT + "return caught(() => nango.startSync(input.key || 'w', [input.sync], input.connection || 'c'));",
    "sync": CAUGHT + "return caught(() => nango.triggerSync(input.key || 'w', input.connection || 'c', input.sync, input.options));",
}


# ---- fetch

@test
def a_fetch_reaches_any_allowed_address_without_credentials(rig):
    answer = rig.call("fetch", {"url": rig.witness.url + "/ok/fetch", "method": "POST", "body": "text", "headers": {"X-Mine": "1"}})
    got = answer.json["value"]
    assert got["status"] == 200 and got["ok"] and not got["redirected"] and '"n": 1' in got["text"], answer
    assert got["type"] == "application/json" and got["url"].endswith("/ok/fetch"), answer
    call = rig.witness.seen("/ok/fetch")[0]
    headers = {k.lower(): v for k, v in call.headers.items()}
    assert call.method == "POST" and call.body == b"text" and headers["x-mine"] == "1", headers
    assert "authorization" not in headers and headers["content-type"] == "text/plain;charset=UTF-8", headers


@test
def a_fetch_does_not_throw_on_a_bad_status_and_does_not_retry(rig):
    got = rig.call("fetch", {"url": rig.witness.url + "/status/500"}).json["value"]
    assert got["status"] == 500 and not got["ok"], got
    assert len(rig.witness.seen("/status/500")) == 1


@test
def a_fetch_follows_redirects_and_says_so(rig):
    rig.witness.script("moved", [(302, {"location": "/ok/there"}, {})])
    got = rig.call("fetch", {"url": rig.witness.url + "/script/moved"}).json["value"]
    assert got["status"] == 200 and got["redirected"] and got["url"] == rig.witness.url + "/ok/there", got


@test
def a_fetch_to_a_blocked_address_is_an_action_error(rig):
    for url in ("http://169.254.169.254/latest", "http://10.0.0.1/", "file:///etc/passwd"):
        got = rig.call("fetch", {"url": url}).json
        assert got["payload"]["code"] == "url_not_allowed", (url, got)
    answer = rig.call("fetch_raw", {"url": "http://10.0.0.1/"})
    assert answer.status == 500 and answer.code == "action_script_runtime_error", answer
    assert answer.json["error"]["payload"]["code"] == "url_not_allowed", answer


@test
def a_redirect_to_a_blocked_address_is_refused(rig):
    rig.witness.script("inside", [(302, {"location": "http://169.254.169.254/latest"}, {})])
    got = rig.call("fetch", {"url": rig.witness.url + "/script/inside"}).json
    assert got["payload"]["code"] == "url_not_allowed", got


@test
def a_fetch_that_cannot_connect_fails_as_fetch_does(rig):
    got = rig.call("fetch", {"url": "http://127.0.0.1:1/"}).json
    assert got["name"] == "TypeError" and got["message"] == "fetch failed" and got["cause"] == "ECONNREFUSED", got


# ---- actions inside actions

@test
def a_triggered_action_returns_its_output(rig):
    assert rig.call("trigger", {"action": "echo", "input": {"a": [1, None]}}).json == {"value": {"a": [1, None]}}
    assert rig.call("trigger", {"action": "echo", "input": "text"}).json == {"value": "text"}
    assert rig.call("trigger", {"action": "echo", "input": False}).json == {"value": {}}


@test
def a_failed_action_is_an_axios_error_with_the_answer_of_the_api(rig):
    got = rig.call("trigger", {"action": "refuse"}).json
    assert got["axios"] and got["status"] == 500 and got["message"] == "Request failed with status code 500", got
    assert got["data"]["error"]["code"] == "action_script_runtime_error", got
    assert got["data"]["error"]["payload"] == {"reason": "bad"}, got
    got = rig.call("trigger", {"action": "call", "input": {"endpoint": "/status/418"}}).json
    assert got["status"] == 424 and got["data"]["error"]["upstream"]["status"] == 418, got


@test
def an_uncaught_failure_of_a_triggered_action_is_script_http_error(rig):
    answer = rig.call("trigger_raw", {"action": "boom"})
    assert answer.status == 424 and answer.code == "script_http_error", answer
    assert answer.json["error"]["upstream"]["body"]["error"]["code"] == "script_internal_error", answer


@test
def what_does_not_exist_is_refused_as_the_api_does(rig):
    for ask, status, code in (({"action": "nosuch"}, 404, "not_found"), ({"action": "echo", "connection": "no"}, 400, "unknown_connection"),
                              ({"action": "echo", "key": "no"}, 400, "unknown_connection")):
        got = rig.call("trigger", ask).json
        assert got["status"] == status and got["data"]["error"]["code"] == code, (ask, got)


@test
def actions_may_be_eight_deep_in_an_action(rig):
    assert rig.call("deeper", {"left": 8}).json == {"bottom": True}
    answer = rig.call("deeper", {"left": 9})
    assert answer.status == 424 and "8 deep" in answer.body.decode(), answer


@test
def callers_on_all_runners_do_not_wait_for_each_other(rig):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(rig.call("fan").json)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [[1, 2, 3, 4]] * 6, answers


@test
def effects_of_a_triggered_action_are_the_jobs_own(rig):
    job = rig.submit("trigger", {"action": "call", "input": {"endpoint": "/ok/nested"}})
    assert rig.finish(job).json["value"]["path"] == "/ok/nested"
    assert rig.postgres.query(f"SELECT count(*) FROM attempt WHERE job_id = '{job}'") == [["1"]]


@test
def a_triggered_action_ends_with_its_caller(rig):
    rig.submit("trigger", {"action": "lock_hang", "input": {"key": "nested", "gate": "never"}})
    rig.witness.wait_seen("/hang/never")
    # The caller's limit ends both; the lock of the inner one comes free.
    wait_until("the lock is free again", lambda: rig.call("lock", {
        "steps": [["tryAcquireLock", {"key": "nested", "ttlMs": 1000}]]}).json == [True], 20)


# ---- locks

@test
def a_lock_is_held_by_one_run_and_freed_at_its_end(rig):
    job = rig.submit("lock_hang", {"key": "one", "gate": "lock"})
    rig.witness.wait_seen("/hang/lock")
    take = {"steps": [["tryAcquireLock", {"key": "one", "ttlMs": 60000}]]}
    assert rig.call("lock", take).json == [False]
    assert rig.call("lock", {"steps": [["releaseLock", {"key": "one"}]]}).json == [False]
    rig.witness.release("lock")
    assert rig.finish(job).json is True
    wait_until("the lock is free", lambda: rig.call("lock", take).json == [True], 5)
    wait_until("it is free again", lambda: rig.call("lock", take).json == [True], 5)


@test
def an_owner_takes_a_lock_again_and_gives_it_back(rig):
    key = {"key": "again", "ttlMs": 60000}
    steps = [["tryAcquireLock", key], ["tryAcquireLock", key], ["releaseLock", key], ["releaseLock", key],
             ["tryAcquireLock", key], ["releaseAllLocks", None], ["releaseLock", key]]
    assert rig.call("lock", {"steps": steps}).json == [True, True, True, False, True, None, False]


@test
def a_bad_lock_names_the_field(rig):
    bad = [{"key": "", "ttlMs": 1}, {"key": "x" * 256, "ttlMs": 1}, {"ttlMs": 1}, {"key": 7, "ttlMs": 1},
           {"key": "k"}, {"key": "k", "ttlMs": 0}, {"key": "k", "ttlMs": -1}, {"key": "k", "ttlMs": "5"}]
    got = rig.call("lock", {"steps": [["tryAcquireLock", each] for each in bad]}).json
    assert all('"key"' in each["message"] for each in got[:4]) and all('"ttlMs"' in each["message"] for each in got[4:]), got
    assert rig.call("lock", {"steps": [["tryAcquireLock", {"key": "é" * 255, "ttlMs": 1000}]]}).json == [True]


# ---- checkpoints

def steps(rig, *asked, connection="c"):
    answer = rig.call("checkpoint", {"steps": [list(each) for each in asked]}, connection=connection)
    assert answer.status == 200, answer
    return answer.json


@test
def a_checkpoint_persists_until_it_is_cleared(rig):
    rig.connection("cp")
    assert steps(rig, ["getCheckpoint"], ["saveCheckpoint", {"n": 1}], ["getCheckpoint"], connection="cp") == \
        [{"value": None}, {}, {"value": {"n": 1}}]
    assert steps(rig, ["saveCheckpoint", {"n": 2, "s": "x"}], connection="cp") == [{}], "saved without a get before"
    assert steps(rig, ["getCheckpoint"], ["clearCheckpoint"], ["getCheckpoint"], connection="cp") == \
        [{"value": {"n": 2, "s": "x"}}, {}, {"value": None}]
    assert steps(rig, ["clearCheckpoint"], ["saveCheckpoint", {"n": 3}], ["getCheckpoint"], connection="cp")[2] == {"value": {"n": 3}}


@test
def clearing_what_was_never_saved_does_nothing(rig):
    rig.connection("never")
    assert steps(rig, ["clearCheckpoint"], ["getCheckpoint"], connection="never") == [{}, {"value": None}]


@test
def a_date_is_kept_as_iso_text(rig):
    assert rig.call("checkpoint_date").json == {"at": "1970-01-01T00:00:00.000Z", "n": 1, "s": "x", "b": True}


@test
def checkpoints_of_functions_and_connections_are_apart(rig):
    rig.connection("apart")
    rig.call("checkpoint_date")
    assert steps(rig, ["getCheckpoint"], connection="apart") == [{"value": None}]


@test
def saves_at_the_same_time_do_not_refuse_each_other(rig):
    assert rig.call("checkpoint_parallel").json == {"n": 4}


@test
def a_bad_checkpoint_names_field_and_rule(rig):
    rig.connection("bad")
    cases = [({"a": {"b": 1}}, "a"), ({"a": [1]}, "a"), ({"a": None}, "a"), ({"long": "x" * 4001}, "4000"),
             ({"k" * 256: 1}, "255"), ({f"f{n}": n for n in range(17)}, "16"), ("text", "object"), ([1], "object"), (None, "object")]
    got = steps(rig, *[["saveCheckpoint", value] for value, _ in cases], ["getCheckpoint"], connection="bad")
    for (value, word), each in zip(cases, got):
        assert word in each.get("message", ""), (value, each)
    assert got[-1] == {"value": None}
    good = {"s": "é" * 4000, "k" * 255: 1, **{f"f{n}": n for n in range(14)}}
    assert steps(rig, ["saveCheckpoint", good], ["getCheckpoint"], connection="bad")[1] == {"value": good}


@test
def a_stale_writer_gets_checkpoint_conflict(rig):
    rig.connection("stale")
    slow = rig.submit("checkpoint_stale", {"gate": "stale"}, connection="stale")
    rig.witness.wait_seen("/hang/stale")
    rig.postgres.query("INSERT INTO checkpoint (connection_id, function_id, variant, version, value) SELECT c.id, f.id, 'base', 1, '{}'"
                       " FROM connection c, function f WHERE c.connection_id = 'stale' AND f.name = 'checkpoint_stale'")
    rig.witness.release("stale")
    answer = rig.finish(slow)
    assert answer.status == 500 and answer.code == "checkpoint_conflict", answer


# ---- the log, members, the integration

@test
def the_log_has_what_is_loud_enough(rig):
    rig.call("logs")
    lines = [line for line in rig.nodes[0].log().splitlines() if "function_log" in line and "function=logs" in line]
    assert len(lines) == 2, lines
    assert "loud" in lines[0] and "u0000 one" in lines[0] and "meta=" in lines[0] and "level=error" in lines[0], lines


@test
def the_logger_level_is_a_variable_of_the_environment(rig):
    assert rig.call("level").json == "warn"
    for value, level in (("debug", "debug"), ("nonsense", "warn"), ("off", "off")):
        done = rig.request("PUT", "/admin/v1/environments/dev/variables/NANGO_LOGGER_LEVEL", {"value": value},
                           key=rig.keys["SLUICE_OPERATOR_KEY"])
        assert done.status == 200, done
        wait_until(f"level {level}", lambda level=level: rig.call("level").json == level, 5)


@test
def the_object_has_the_members_of_the_contract(rig):
    got = rig.call("keys").json
    assert got["keys"] == ["logger", "activityLogId", "syncId", "nangoConnectionId", "environmentId", "environmentName", "syncJobId",
                           "syncConfig", "runnerFlags", "scriptType", "isCLI", "accountId", "connectionId", "providerConfigKey",
                           "provider", "ActionError"], got
    assert got["connection"] == "number" and got["type"] == "action", got


@test
def the_integration_shows_what_is_included(rig):
    got = rig.call("integration").json
    assert "webhook_url" not in got["plain"] and "credentials" not in got["plain"], got
    assert got["more"]["webhook_url"] is None and "credentials" in got["more"] and got["url"] is None, got
    assert got["attributes"]["message"] == "There is no current sync to get attributes from", got


@test
def a_stream_is_read_as_a_list_of_chunks_and_by_its_events(rig):
    got = rig.call("stream", {"endpoint": "/ok/stream"}).json
    assert '"path": "/ok/stream", "n": 1}' in got["kept"] and '"n": 2}' in got["parts"] and '"n": 3}' in got["text"], got
    assert got["early"] == "", "who listens hears of it after the code that asked"
    assert rig.call("stream", {"endpoint": "/status/418"}).code == "script_http_error"


@test
def a_connection_that_is_not_there_is_the_apis_404(rig):
    for got in rig.call("stranger").json:
        assert got["axios"] and got["status"] == 404 and got["data"]["error"]["code"] == "not_found", got
    answer = rig.call("stranger_raw")
    assert answer.status == 424 and answer.code == "script_http_error", answer
    assert answer.json["error"]["upstream"]["status"] == 404, answer


@test
def an_action_has_no_records(rig):
    assert rig.call("no_records").json == "undefined"


@test
def an_unknown_sync_and_connection_are_what_the_api_answers(rig):
    for action in ("sync", "start"):
        got = rig.call(action, {"sync": "nosuch"}).json
        assert got["status"] == 400 and got["data"]["error"]["code"] == "no_syncs_found", got
        got = rig.call(action, {"sync": "nosuch", "connection": "nosuch"}).json
        assert got["status"] == 404 and got["data"]["error"]["code"] == "unknown_connection", got
        got = rig.call(action, {"sync": "nosuch", "key": "nosuch"}).json
        assert got["status"] == 400 and got["data"]["error"]["code"] == "unknown_provider_config", got
        got = rig.call(action, {"sync": {"name": "a b", "variant": "base"}}).json
        assert got["status"] == 400 and got["data"]["error"]["code"] == "invalid_body", got


@test
def without_redis_a_lock_is_unavailable_and_the_rest_works(rig):
    rig.redis.stop()
    try:
        got = rig.call("lock", {"steps": [["tryAcquireLock", {"key": "away", "ttlMs": 1000}], ["releaseLock", {"key": "away"}]]}).json
        assert [each["code"] for each in got] == ["lock_unavailable"] * 2, got
        assert rig.call("checkpoint_date").status == 200
    finally:
        rig.redis.start()


@test
def callers_that_wait_for_a_runner_are_answered_when_the_drain_time_is_over(rig):
    node, answers = rig.nodes[0], []
    wait_until("the node is ready", lambda: rig.request("GET", "/ready", key=None).status == 200, 20)

    def ask(gate):
        try:
            answers.append(rig.call("lock_hang", {"key": gate, "gate": gate}, seconds=20))
        except (OSError, http.client.HTTPException):
            pass  # those that run are cut off with the node
    callers = [threading.Thread(target=ask, args=(f"drain{n}",)) for n in range(5)]
    for n, caller in enumerate(callers):
        caller.start()
        if n < 3:
            rig.witness.wait_seen(f"/hang/drain{n}")
    time.sleep(0.3)  # the last two are in line
    assert node.stop() == 0, node.log()[-2000:]
    for caller in callers:
        caller.join()
    assert [(a.status, a.json["error"]["code"]) for a in answers if a.status == 410] == [(410, "script_aborted")] * 2, answers
    for n in range(5):
        rig.witness.release(f"drain{n}")
    node.start()


@test
def a_node_that_stops_ends_callers_and_what_they_triggered(rig):
    node = rig.nodes[0]
    wait_until("the node is ready", lambda: rig.request("GET", "/ready", key=None).status == 200, 20)
    job = rig.submit("trigger", {"action": "lock_hang", "input": {"key": "stop", "gate": "stop"}})
    rig.witness.wait_seen("/hang/stop")
    assert node.stop() == 0, node.log()[-2000:]
    node.start()
    answer = rig.finish(job)
    assert answer.status == 500 and "worker_lost" in answer.body.decode(), answer


main(lambda: Rig(prepare=lambda rig: rig.prepare(FUNCTIONS), settings={"runners": "3", "call_runners": "0", "action_timeout": "6s", "drain_timeout": "1s"}))
