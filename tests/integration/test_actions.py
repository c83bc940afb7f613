"""Sync and async actions end to end: outcomes, errors in the wire's form, retries, polling."""
import os
import sys
import time
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, wait_until
from tap import main, test

FUNCTIONS = {
    "noop": "return { input };",
    "echo": "return input;",
    "nothing": "",
    "falsy": "return false;",
    "fetch": "const r = await nango.get({ endpoint: input.endpoint, params: input.params, retries: input.retries || 0 });"
             "return { status: r.status, data: r.data };",
    "send": "const r = await nango.post({ endpoint: '/ok', data: input, headers: { 'x-mine': 'yes' } }); return r.data;",
    "refuse": "throw new nango.ActionError({ reason: 'bad', n: 1 });",
    "refuse_text": "throw new nango.ActionError('only text');",
    "boom": "throw new Error('boom');",
    "throw_text": "throw 'str';",
    "unreachable": "await nango.get({ endpoint: '/x', baseUrlOverride: 'http://127.0.0.1:1' });",
    "schema": "const S = z.object({ a: z.number() });"
              "const v = await nango.zodValidateInput({ zodSchema: S, input }); return v.data;",
    "loop": "for (;;) {}",
    "hoard": "const kept = []; for (;;) kept.push(new Array(1000).fill('x' + kept.length));",
    "deadlock": "await new Promise(() => {});",
    "big": "return 'x'.repeat(input.n);",
    "whoami": "const c = await nango.getConnection(); return { id: c.connection_id, key: c.credentials.apiKey,"
              " pck: nango.providerConfigKey, metadata: await nango.getMetadata() };",
    "remember": "await nango.setMetadata({ a: 1 }); await nango.updateMetadata({ b: 2 }); return await nango.getMetadata();",
    "variables": "return await nango.getEnvironmentVariables();",
    "retry_me": "const r = await nango.get({ endpoint: '/script/' + input.name }); return r.data;",
    "timer": "await new Promise((done) => setTimeout(done, 50)); return 'later';",
}


@test
def a_sync_action_answers_with_its_raw_output(rig):
    answer = rig.call("echo", {"a": [1, "zwei", None]})
    assert answer.status == 200 and answer.json == {"a": [1, "zwei", None]}, answer
    assert rig.call("echo", "text").json == "text"


@test
def a_missing_input_arrives_as_an_empty_object(rig):
    assert rig.call("noop").json == {"input": {}}


@test
def a_function_without_a_result_answers_null(rig):
    answer = rig.call("nothing")
    assert answer.status == 200 and answer.json is None, answer


@test
def a_falsy_output_of_a_sync_call_answers_null(rig):
    answer = rig.call("falsy")
    assert answer.status == 200 and answer.json is None, answer


@test
def a_falsy_output_of_an_async_job_is_readable(rig):
    answer = rig.finish(rig.submit("falsy"))
    assert answer.status == 200 and answer.json in (False, None), answer


@test
def an_async_trigger_answers_202_with_id_status_url_and_location(rig):
    answer = rig.call("noop", {"n": 1}, {"X-Async": "true"})
    assert answer.status == 202, answer
    job = answer.json["id"]
    assert uuid.UUID(job).version == 7
    assert answer.json["statusUrl"] == f"/action/{job}" and answer.headers["location"] == f"/action/{job}"
    assert rig.finish(job).json == {"input": {"n": 1}}


@test
def a_running_job_polls_as_404_not_found_with_its_state(rig):
    job = rig.submit("fetch", {"endpoint": "/hang/state"})
    rig.witness.wait_seen("/hang/state")
    answer = rig.poll(job)
    assert answer.status == 404 and answer.code == "not_found", answer
    assert answer.headers["x-sluice-state"] == "running" and "retry-after" in answer.headers, answer.headers
    rig.witness.release("state")
    assert rig.finish(job).status == 200


@test
def an_unknown_job_polls_as_404_without_state(rig):
    answer = rig.poll(str(uuid.uuid4()))
    assert answer.status == 404 and answer.code == "not_found" and "x-sluice-state" not in answer.headers, answer


@test
def wait_holds_the_poll_until_the_job_ends(rig):
    job = rig.submit("fetch", {"endpoint": "/slow", "params": {"ms": "600"}})
    answer = rig.request("GET", f"/action/{job}?wait=20")
    assert answer.status == 200 and answer.json["status"] == 200, answer


@test
def the_provider_gets_the_credential_and_the_answer_comes_back(rig):
    answer = rig.call("fetch", {"endpoint": "/ok", "params": {"q": "ä&b"}})
    assert answer.status == 200 and answer.json["data"]["path"] == "/ok", answer
    call = rig.witness.seen("/ok")[-1]
    assert call.headers.get("Authorization", call.headers.get("authorization")) == "Bearer key-of-the-test"
    assert call.query == {"q": "ä&b"}


@test
def a_post_sends_json_and_own_headers(rig):
    assert rig.call("send", {"name": "Zoë 😀"}).status == 200
    call = [c for c in rig.witness.seen("/ok") if c.method == "POST"][-1]
    assert call.body.decode() == '{"name":"Zoë 😀"}', call.body
    headers = {k.lower(): v for k, v in call.headers.items()}
    assert headers["content-type"].startswith("application/json") and headers["x-mine"] == "yes"


@test
def an_action_error_is_500_with_its_payload(rig):
    answer = rig.call("refuse")
    assert answer.status == 500 and answer.code == "action_script_runtime_error", answer
    assert answer.json["error"]["payload"] == {"n": 1, "reason": "bad"}, answer


@test
def an_action_error_with_text_has_it_as_message(rig):
    assert rig.call("refuse_text").json["error"]["payload"] == {"message": "only text"}


@test
def an_uncaught_error_is_500_script_internal_error_with_name_and_stack(rig):
    answer = rig.call("boom")
    payload = answer.json["error"]["payload"]
    assert answer.status == 500 and answer.code == "script_internal_error", answer
    assert payload["message"] == "boom" and payload["name"] == "Error" and payload["stacktrace"][0] == "Error: boom", payload


@test
def a_thrown_text_is_500_script_internal_error(rig):
    answer = rig.call("throw_text")
    assert answer.status == 500 and answer.code == "script_internal_error" and "str" in answer.body.decode(), answer


@test
def a_provider_error_is_424_with_what_the_provider_said(rig):
    answer = rig.call("fetch", {"endpoint": "/status/418"})
    assert answer.status == 424 and answer.code == "script_http_error", answer
    upstream = answer.json["error"]["upstream"]
    assert upstream["status"] == 418 and upstream["body"] == {"message": "as asked"}, upstream
    assert answer.json["error"]["payload"] == {"message": "as asked"}


@test
def an_async_provider_error_polls_as_the_same_424(rig):
    answer = rig.finish(rig.submit("fetch", {"endpoint": "/status/418"}))
    assert answer.status == 424 and answer.code == "script_http_error", answer


@test
def a_refused_connection_is_500_script_network_error(rig):
    answer = rig.call("unreachable")
    assert answer.status == 500 and answer.code == "script_network_error", answer
    assert answer.json["error"]["payload"]["code"] == "ECONNREFUSED", answer


@test
def an_unknown_action_is_404(rig):
    answer = rig.call("nosuch")
    assert answer.status == 404 and answer.code == "not_found", answer


@test
def an_unknown_connection_is_400_unknown_connection(rig):
    answer = rig.call("echo", connection="nosuch")
    assert answer.status == 400 and answer.code == "unknown_connection", answer


@test
def an_unknown_integration_is_400_unknown_connection(rig):
    answer = rig.call("echo", integration="nosuch")
    assert answer.status == 400 and answer.code == "unknown_connection", answer


@test
def missing_headers_are_400_invalid_headers(rig):
    answer = rig.request("POST", "/action/trigger", {"action_name": "echo"})
    assert answer.status == 400 and answer.code == "invalid_headers" and answer.json["error"]["errors"], answer


@test
def unknown_members_of_a_trigger_are_ignored(rig):
    answer = rig.request("POST", "/action/trigger", {"action_name": "echo", "input": 1, "more": True},
                         {"Provider-Config-Key": "w", "Connection-Id": "c"})
    assert answer.status == 200 and answer.json == 1, answer


@test
def zod_validation_fails_as_an_action_error(rig):
    assert rig.call("schema", {"a": 1}).json == {"a": 1}
    answer = rig.call("schema", {"a": "x"})
    assert answer.status == 500 and answer.code == "action_script_runtime_error", answer
    assert answer.json["error"]["payload"]["message"], answer


@test
def the_function_sees_its_connection_and_metadata(rig):
    rig.connection("known", metadata={"team": 7})
    answer = rig.call("whoami", connection="known")
    assert answer.json == {"id": "known", "key": "key-of-the-test", "pck": "w", "metadata": {"team": 7}}, answer


@test
def metadata_set_and_updated_by_a_function_is_kept(rig):
    rig.connection("notes")
    assert rig.call("remember", connection="notes").json == {"a": 1, "b": 2}
    stored = rig.request("GET", "/connections/notes?provider_config_key=w")
    assert stored.json["metadata"] == {"a": 1, "b": 2}, stored


@test
def a_timer_inside_a_function_fires(rig):
    assert rig.call("timer").json == "later"


@test
def a_request_retry_follows_retry_after(rig):
    rig.witness.script("limited", [(429, {"retry-after": "1"}, {}), (200, {}, {"at": "last"})])
    began = time.monotonic()
    answer = rig.call("fetch", {"endpoint": "/script/limited", "retries": 2})
    assert answer.status == 200 and answer.json["data"] == {"at": "last"}, answer
    assert 0.9 <= time.monotonic() - began < 2.9, "waited by Retry-After, not by the default of 3 s"


@test
def an_async_job_is_retried_as_often_as_asked_and_succeeds(rig):
    rig.witness.script("again", [(500, {}, {}), (500, {}, {})])
    job = rig.submit("retry_me", {"name": "again"}, retries=2)
    answer = rig.finish(job)
    assert answer.status == 200 and len(rig.witness.seen("/script/again")) == 3, answer


@test
def an_async_job_fails_with_the_last_error_after_its_retries(rig):
    rig.witness.script("never", [(500, {}, {})] * 9)
    answer = rig.finish(rig.submit("retry_me", {"name": "never"}, retries=1))
    assert answer.status == 424 and len(rig.witness.seen("/script/never")) == 2, answer


@test
def without_retries_a_failed_job_ran_once(rig):
    rig.witness.script("once", [(500, {}, {})] * 9)
    assert rig.finish(rig.submit("retry_me", {"name": "once"})).status == 424
    assert len(rig.witness.seen("/script/once")) == 1


@test
def the_same_idempotency_key_gives_the_same_job(rig):
    first = rig.submit("noop", {"n": 1}, headers={"Idempotency-Key": "k-1"})
    assert rig.submit("noop", {"n": 1}, headers={"Idempotency-Key": "k-1"}) == first
    answer = rig.call("noop", {"n": 2}, {"X-Async": "true", "Idempotency-Key": "k-1"})
    assert answer.status == 409 and answer.code == "idempotency_conflict", answer


@test
def an_endless_loop_ends_as_execution_timeout_and_the_node_lives_on(rig):
    answer = rig.call("loop")
    assert answer.status == 500 and answer.code == "execution_timeout", answer
    assert rig.call("echo", 1).json == 1


@test
def a_memory_bomb_ends_as_out_of_memory_and_the_node_lives_on(rig):
    answer = rig.call("hoard")
    assert answer.status == 500 and answer.code == "function_runtime_out_of_memory", answer
    assert rig.call("echo", 1).json == 1


@test
def a_promise_that_nothing_can_settle_is_named_a_deadlock(rig):
    answer = rig.call("deadlock")
    assert answer.status == 500 and answer.code == "script_internal_error", answer
    assert "deadlock" in answer.json["error"]["message"].lower() + str(answer.json["error"].get("payload")).lower(), answer


@test
def an_output_of_two_mebibytes_is_the_most(rig):
    fits = rig.call("big", {"n": 2 * 1024 * 1024 - 2})
    assert fits.status == 200 and len(fits.body) == 2 * 1024 * 1024, fits.status
    over = rig.call("big", {"n": 2 * 1024 * 1024 - 1})
    assert over.status == 500 and over.code == "script_internal_error", over.status


@test
def jobs_of_one_function_do_not_share_state(rig):
    rig.deploy({"count": "globalThis.n = (globalThis.n || 0) + 1; Array.prototype.leak = 1; return globalThis.n;",
                "leaks": "return { n: typeof globalThis.n, leak: [].leak === undefined };"})
    assert [rig.call("count").json for _ in range(4)] == [1, 1, 1, 1]
    assert rig.call("leaks").json == {"n": "undefined", "leak": True}


main(lambda: Rig(prepare=lambda rig: rig.prepare(FUNCTIONS), settings={
    "runner_cpu": "2s", "action_timeout": "20s", "runner_heap": "32MiB", "retry_first": "100ms"}))
