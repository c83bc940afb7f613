"""Bad JSON, odd values and names: tables B and C of the reliability notes, each row a test."""
import json
import os
import sys
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig
from tap import main, test

HEADERS = {"Provider-Config-Key": "w", "Connection-Id": "c", "Content-Type": "application/json"}
FUNCTIONS = {
    "echo": "return input;",
    "as_text": "return JSON.stringify(input);",
    "measure": "return Array.from(input.text).length;",
    "polluted": "const o = JSON.parse(JSON.stringify(input)); return { own: Object.keys(input), clean: ({}).x === undefined"
                " && [].x === undefined, copy: o };",
    "undef": "return undefined;",
    "nan": "return { v: NaN, i: Infinity };",
    "date": "return { at: new Date(0) };",
    "cycle": "const a = {}; a.a = a; return a;",
    "func": "return { f: () => 1, kept: 2 };",
    "bigint": "return { n: BigInt(1) };",
    "getter": "return { get x() { throw new Error('from a getter'); } };",
    "tojson": "return { toJSON() { throw new Error('from toJSON'); } };",
    "throw_null": "throw null;",
    "throw_number": "throw 42;",
    "throw_object": "throw { secret: 'x', code: 1 };",
    "throw_long": "throw new Error('x'.repeat(1000000));",
    "circular_error": "const e = new Error('round'); e.self = e; throw e;",
}


def trigger(rig, body):
    return rig.request("POST", "/action/trigger", body, HEADERS)


def bad(name, *bodies):
    @test(name=name)
    def run(rig):
        for body in bodies:
            answer = trigger(rig, body)
            assert answer.status == 400 and answer.code in ("invalid_json", "invalid_body"), (body[:60], answer)


bad("row_17_an_empty_body_is_400", b"")
for label, text in (("null", b"null"), ("an_array", b"[]"), ("a_text", b'"a"'), ("a_number", b"1"), ("true", b"true")):
    bad(f"row_17_{label}_at_the_top_is_400", text)
bad("row_18_a_duplicate_key_is_400", b'{"action_name":"echo","action_name":"as_text"}')
bad("row_18_a_duplicate_key_in_another_spelling_is_400", b'{"action_name":"echo","action\\u005fname":"as_text"}')
for label, text in (("trailing_bytes", b'{"action_name":"echo"} x'), ("a_byte_order_mark", b'\xef\xbb\xbf{"action_name":"echo"}'),
                    ("a_comment", b'{"action_name":"echo"/* */}'), ("single_quotes", b"{'action_name':'echo'}"),
                    ("nan", b'{"action_name":"echo","input":NaN}'), ("infinity", b'{"action_name":"echo","input":Infinity}'),
                    ("a_leading_zero", b'{"action_name":"echo","input":01}'), ("a_trailing_comma", b'{"action_name":"echo",}'),
                    ("a_lone_minus", b'{"action_name":"echo","input":-}'), ("a_raw_newline", b'{"action_name":"ec\nho"}')):
    bad(f"row_19_{label}_is_400", text)
bad("row_20_invalid_utf_8_is_400", b'{"action_name":"echo","input":"\xff"}', b'{"action_name":"echo","input":"\xc3"}')
bad("row_20_an_overlong_form_is_400", b'{"action_name":"echo","input":"\xc0\xaf"}')
bad("row_20_a_raw_surrogate_is_400", b'{"action_name":"echo","input":"\xed\xa0\x80"}')


@test
def row_20_an_escaped_lone_surrogate_comes_back_as_valid_text(rig):
    answer = trigger(rig, b'{"action_name":"echo","input":"a\\ud800b"}')
    assert answer.status == 200, answer
    text = answer.body.decode("utf-8")  # valid UTF-8 in any case
    assert json.loads(text) in ("a\ufffdb", "a\ud800b"), text


@test
def row_21_u_0000_passes_unchanged_in_keys_and_values(rig):
    answer = trigger(rig, b'{"action_name":"echo","input":{"a\\u0000b":"c\\u0000d"}}')
    assert answer.status == 200 and answer.json == {"a\0b": "c\0d"}, answer
    job = trigger_async(rig, b'{"action_name":"echo","input":{"a\\u0000b":"c\\u0000d"}}')
    assert rig.finish(job).json == {"a\0b": "c\0d"}


def trigger_async(rig, body):
    answer = rig.request("POST", "/action/trigger", body, {**HEADERS, "X-Async": "true"})
    assert answer.status == 202, answer
    return answer.json["id"]


def nested(depth):
    return b'{"action_name":"echo","input":' + b"[" * depth + b"1" + b"]" * depth + b"}"


@test
def row_22_nesting_of_100_works_end_to_end(rig):
    answer = trigger(rig, nested(100))
    assert answer.status == 200 and answer.body == b"[" * 100 + b"1" + b"]" * 100, answer
    assert rig.finish(trigger_async(rig, nested(100))).body == b"[" * 100 + b"1" + b"]" * 100


@test
def row_22_nesting_of_1000_and_100000_is_400(rig):
    for depth in (1000, 100000):
        answer = trigger(rig, nested(depth))
        assert answer.status == 400 and answer.code == "invalid_json", (depth, answer)
    answer = trigger(rig, b'{"a":' * 100000)
    assert answer.status == 400, answer


@test
def row_23_numbers_print_as_in_node(rig):
    cases = {"9007199254740993": "9007199254740992", "12345678901234567890": "12345678901234567000", "1e400": "null",
             "-0": "0", "0.1": "0.1", "1.0": "1", "1e21": "1e+21", "5e-324": "5e-324", "1e-7": "1e-7", "123456789.125": "123456789.125"}
    for sent, wanted in cases.items():
        answer = trigger(rig, b'{"action_name":"as_text","input":[%s]}' % sent.encode())
        assert answer.json == f"[{wanted}]", (sent, answer)
        answer = trigger(rig, b'{"action_name":"echo","input":[%s]}' % sent.encode())
        assert answer.body.decode() == f"[{wanted}]", (sent, answer)


@test
def row_24_proto_constructor_and_prototype_are_plain_data(rig):
    answer = trigger(rig, b'{"action_name":"polluted","input":{"__proto__":{"x":1},"constructor":{"prototype":{"x":1}},"prototype":1}}')
    assert answer.status == 200 and answer.json["clean"] is True, answer
    assert sorted(answer.json["own"]) == ["__proto__", "constructor", "prototype"], answer
    assert answer.json["copy"]["__proto__"] == {"x": 1}, answer


@test
def row_25_every_kind_of_text_comes_back_the_same(rig):
    for text in ("😀🇩🇪👩‍👩‍👧", "e\u0301 ñ ﷽", "a\u2028b\u2029c", "\ufffe\uffff\U0010fffe", "\u202eabc\u202c", "\u00e9\ud7ff\ue000", "\u007f\u0080"):
        for body in (json.dumps({"action_name": "echo", "input": {"t": text}}), json.dumps({"action_name": "echo", "input": {"t": text}}, ensure_ascii=False)):
            answer = trigger(rig, body.encode("utf-8", "surrogatepass"))
            assert answer.status == 200 and answer.json == {"t": text}, (text, answer)
    assert rig.finish(rig.submit("echo", {"t": "😀 ä"})).json == {"t": "😀 ä"}
    assert rig.call("measure", {"text": "😀ä"}).json == 2


@test(seconds=120)
def row_26_a_million_keys_or_one_text_of_5_mb_is_handled_within_limits(rig):
    big = b'{"action_name":"measure","input":{"text":"' + b"x" * 5_000_000 + b'"}}'
    answer = trigger(rig, big)
    assert answer.status in (200, 413, 500), answer
    assert answer.status != 200 or answer.json == 5_000_000
    keys = b"{" + b",".join(b'"k%d":1' % n for n in range(1_000_000)) + b"}"
    answer = rig.request("POST", "/action/trigger", b'{"action_name":"polluted","input":' + keys + b"}", HEADERS, seconds=100)
    assert answer.status in (400, 413, 500), answer
    assert rig.call("echo", 1).json == 1


@test
def row_27_undefined_is_null_and_nan_is_null(rig):
    assert rig.call("undef").json is None
    assert rig.call("nan").json == {"v": None, "i": None}


@test
def row_27_dates_are_iso_text_and_functions_vanish(rig):
    assert rig.call("date").json == {"at": "1970-01-01T00:00:00.000Z"}
    assert rig.call("func").json == {"kept": 2}


def fails(name, function, *words):
    @test(name=name)
    def run(rig):
        answer = rig.call(function)
        assert answer.status == 500 and answer.code, answer
        for word in words:
            assert word in answer.body.decode(), answer
        assert rig.call("echo", 1).json == 1


fails("row_27_a_cycle_is_the_jobs_error", "cycle")
fails("row_27_a_bigint_is_the_jobs_error", "bigint")
fails("row_27_a_getter_that_throws_is_the_jobs_error", "getter", "from a getter")
fails("row_27_a_tojson_that_throws_is_the_jobs_error", "tojson", "from toJSON")
fails("row_28_throwing_null_is_the_jobs_error", "throw_null", "script_internal_error")
fails("row_28_throwing_a_number_is_the_jobs_error", "throw_number", "42")
fails("row_28_throwing_an_object_is_the_jobs_error", "throw_object")
fails("row_28_an_error_that_holds_itself_is_the_jobs_error", "circular_error", "round")


@test
def row_28_a_message_of_a_megabyte_is_cut(rig):
    answer = rig.call("throw_long")
    assert answer.status == 500 and len(answer.body) < 250_000, len(answer.body)


# ---- C: names and ids
@test
def row_29_an_id_that_is_no_uuid_is_400_invalid_uri_params(rig):
    good = rig.submit("echo", 1)
    rig.finish(good)
    for text in ("x", "123", good[:-1], good + "0", "{" + good + "}", "%7B" + good + "%7D", good.replace("-", "")):
        answer = rig.request("GET", f"/action/{text}")
        assert answer.status == 400 and answer.code == "invalid_uri_params", (text, answer)


@test
def row_29_an_upper_case_id_works(rig):
    job = rig.submit("echo", "upper")
    rig.finish(job)
    assert rig.poll(job.upper()).json == "upper"


@test
def row_29_an_id_of_another_environment_is_404(rig):
    job = rig.submit("echo", "mine")
    rig.finish(job)
    answer = rig.poll(job, env="prod")
    assert answer.status == 404 and answer.code == "not_found" and "x-sluice-state" not in answer.headers, answer
    answer = rig.poll(str(uuid.uuid4()))
    assert answer.status == 404


@test
def row_30_odd_but_allowed_connection_ids_work_as_plain_keys(rig):
    for name in ("a/b", "a:b", "{a}", "a b", "q:dev", "$1", 'say"x"', "it's", "back\\slash", "x" * 255, "a,b;c=d", "[a]|~+@"):
        rig.connection(name)
        answer = rig.call("echo", name, connection=name)
        assert answer.status == 200 and answer.json == name, (name, answer)
        assert rig.finish(rig.submit("echo", name, connection=name)).json == name


@test
def row_30_connection_ids_outside_the_grammar_are_400(rig):
    for name in ("a*b", "a\tb", "x" * 300, "   ", "а", "a<b", ""):
        body = {"provider_config_key": "w", "connection_id": name, "credentials": {"type": "API_KEY", "apiKey": "k"}}
        answer = rig.request("POST", "/connections", body)
        assert answer.status == 400, (name, answer)
        raw = name.encode("utf-8").decode("latin-1")
        answer = rig.call("echo", 1, connection=raw)
        assert answer.status == 400, (name, answer)


@test
def row_31_function_names_outside_the_grammar_are_400(rig):
    for name in ("../x", "", "x" * 256, 'a"b', "a'; DROP TABLE job; --", "redis.call('FLUSHALL')", "a b", "ä", "a.b", "a\u0000b"):
        answer = rig.request("POST", "/action/trigger", {"action_name": name}, HEADERS)
        assert answer.status == 400 and answer.code == "invalid_body", (name, answer)
    answer = rig.call("con")  # a fine name, just not deployed
    assert answer.status == 404, answer


@test
def row_31_a_name_that_is_no_text_is_400(rig):
    for name in (b"1", b"null", b"[]", b"{}", b"true"):
        answer = trigger(rig, b'{"action_name":' + name + b"}")
        assert answer.status == 400 and answer.code == "invalid_body", (name, answer)


@test
def row_32_a_bad_limit_or_page_of_connections_is_400(rig):
    for query in ("limit=0", "limit=-1", "limit=2001", "limit=1e3", "limit=", "limit=9999999999999999999", "page=-1", "page=x", "nonsense=1"):
        answer = rig.request("GET", f"/connections?{query}")
        assert answer.status == 400 and answer.code == "invalid_query_params", (query, answer)


@test
def row_33_a_schedule_that_is_none_is_400_at_deploy(rig):
    for runs in ("every 0s", "every 29s", "every 1e9d", "garbage", "", "every", "every -5 minutes"):
        flow = {**rig.flow("timed", "return 1;"), "type": "sync", "runs": runs, "auto_start": False, "sync_type": "full",
                "models": ["Item"], "models_json_schema": {"definitions": {"Item": {"type": "object"}}}}
        del flow["input"]
        answer = rig.deploy_flows([flow])
        assert answer.status == 400, (runs, answer)


def prepare(rig):
    rig.prepare(FUNCTIONS)


main(lambda: Rig(prepare=prepare))
