"""What an environment says about its webhooks: URLs, which events, signing keys; and what is refused."""
import base64
import os
import re
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig
from tap import main, test

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
NAMES = ["sync", "sync_unchanged", "sync_error", "async_action", "auth_creation", "auth_refresh_error"]
ENDPOINT = ("SELECT p.slot, p.url, p.paused_at IS NOT NULL, p.pause_cause, p.failures, p.failing_since IS NULL AND p.open_until IS NULL FROM endpoint p"
            " JOIN environment e ON e.id = p.environment_id WHERE e.name = '%s' ORDER BY p.slot")


def operator(rig, method, path, body=None, node=None):
    return rig.request(method, f"/admin/v1/environments{path}", body, key=rig.keys["SLUICE_OPERATOR_KEY"], node=node)


def patch(rig, name="dev", node=None, **changes):
    answer = operator(rig, "PATCH", f"/{name}", changes, node)
    assert answer.status == 200, answer
    return answer.json


def key(rig, name="dev", node=None):
    answer = operator(rig, "GET", f"/{name}/signing-key", node=node)
    assert answer.status == 200, answer
    return answer.json


def trouble(rig, cause):
    rig.postgres.query(f"UPDATE endpoint SET paused_at = now(), pause_cause = {cause}, failing_since = now(), failures = 7, open_until = now()")


# ---- URLs and events

@test
def an_environment_begins_without_urls_and_with_all_events_but_unchanged_syncs(rig):
    shown = operator(rig, "GET", "/dev").json
    assert shown["webhook_url"] is None and shown["webhook_url_secondary"] is None, shown
    assert shown["webhook_events"] == [name for name in NAMES if name != "sync_unchanged"], shown
    listed = operator(rig, "GET", "").json["environments"]
    assert shown in listed and [row["name"] for row in listed] == ["dev", "prod"], listed


@test
def a_patch_changes_what_it_names_and_another_node_knows(rig):
    shown = patch(rig, webhook_url="https://a.example/x?y=1")
    assert (shown["webhook_url"], shown["webhook_url_secondary"]) == ("https://a.example/x?y=1", None), shown
    shown = patch(rig, webhook_url_secondary="http://b.example")
    assert (shown["webhook_url"], shown["webhook_url_secondary"]) == ("https://a.example/x?y=1", "http://b.example"), shown
    assert rig.postgres.query(ENDPOINT % "dev") == [["1", "https://a.example/x?y=1", "f", "0", "0", "t"], ["2", "http://b.example", "f", "0", "0", "t"]]
    shown = patch(rig, webhook_url="", webhook_url_secondary=None)
    assert shown["webhook_url"] is None and shown["webhook_url_secondary"] is None, shown
    assert [row[1] for row in rig.postgres.query(ENDPOINT % "dev")] == ["", ""], "what is pending waits there"
    assert operator(rig, "GET", "/dev", node=rig.nodes[1]).json == shown
    shown = patch(rig, action_timeout=30, webhook_events="sync")
    assert shown["settings"]["action_timeout"] == 30 and shown["webhook_events"] == ["sync"], shown
    patch(rig, action_timeout=None)
    assert patch(rig, name="prod", webhook_url=None)["webhook_url"] is None
    assert rig.postgres.query(ENDPOINT % "prod") == [], "none made for nothing"


@test
def events_are_named_by_a_list_an_array_or_one_word(rig):
    for given, shown in (("all", NAMES), ("none", []), ("sync,async_action", ["sync", "async_action"]), (" sync_error , sync ", ["sync", "sync_error"]),
                         (["auth_creation", "sync"], ["sync", "auth_creation"]), ([], []), ("sync,sync", ["sync"]),
                         (None, [name for name in NAMES if name != "sync_unchanged"])):
        assert patch(rig, webhook_events=given)["webhook_events"] == shown, given


@test
def what_is_wrong_is_refused_by_name_and_changes_nothing(rig):
    before = patch(rig, webhook_url="https://a.example", webhook_url_secondary=None, webhook_events="all")
    for field, value in [("webhook_url", wrong) for wrong in (
            "a.example", "ftp://a.example", "file:///etc/passwd", "gopher://a", "http://", "https:///x", "http://a b", "http://a.example:0/",
            "http://a\texample", "http://a.example/\n", "http://x\\@y", "https://a.example/" + "x" * 2048, 5, True, {}, ["https://a.example"], "x\0y")] + [
            ("webhook_url_secondary", "user:secret@a.example"),
            ("webhook_url", "https://user:secret@a.example/x"), ("webhook_url_secondary", "http://token@a.example"),
            ("webhook_events", "everything"), ("webhook_events", "sync,"), ("webhook_events", ""), ("webhook_events", "all,sync"), ("webhook_events", 3),
            ("webhook_events", ["sync", 1]), ("webhook_events", ["all"]), ("webhook_events", {"sync": True}), ("webhook_events", "Sync"),
            ("webhook_events", "sync\0"), ("webhook_events", "x" * 5000), ("webhook_urls", "https://a.example")]:
        answer = operator(rig, "PATCH", "/dev", {field: value, "action_timeout": 77})
        assert answer.status == 400 and answer.code == "invalid_body", (value, answer)
        [issue] = answer.json["error"]["errors"]
        assert field in issue["message"] or issue["code"] == "unrecognized_keys", (value, issue)
        if field == "webhook_events":
            assert all(name in issue["message"] for name in NAMES), issue
        if "://" in str(value) and "@a.example" in str(value):
            assert "user info" in issue["message"] and "leave it out" in issue["message"], issue
        assert "secret" not in issue["message"].replace("secret path", ""), issue
    assert operator(rig, "GET", "/dev").json == before
    assert operator(rig, "PATCH", "/nowhere", {"webhook_url": "https://a.example"}).status == 404


@test
def only_operators_see_and_set_them(rig):
    for who in ("dev", rig.keys["SLUICE_ACCOUNT_KEY"], None):
        for method, path in (("GET", ""), ("GET", "/dev"), ("PATCH", "/dev"), ("GET", "/dev/signing-key"), ("POST", "/dev/signing-key/rotate")):
            answer = rig.request(method, f"/admin/v1/environments{path}", {} if method != "GET" else None, key=who)
            assert answer.status in (401, 403), (who, method, path, answer)
    answer = rig.request("POST", "/environments", {"name": "more", "webhook_url": "https://a.example"}, key=rig.keys["SLUICE_ACCOUNT_KEY"])
    assert answer.status == 400, answer


# ---- trouble

@test
def a_changed_url_takes_the_trouble_of_the_former_with_it(rig):
    patch(rig, webhook_url="https://a.example", webhook_url_secondary="https://b.example")
    for cause in (2, 3):
        trouble(rig, cause)
        patch(rig, webhook_url="https://a.example", webhook_events="all")
        assert rig.postgres.query(ENDPOINT % "dev")[0] == ["1", "https://a.example", "t", str(cause), "7", "f"], "the same URL is no change"
        patch(rig, webhook_url="https://c.example")
        assert rig.postgres.query(ENDPOINT % "dev") == [["1", "https://c.example", "f", "0", "0", "t"], ["2", "https://b.example", "t", str(cause), "7", "f"]]
        patch(rig, webhook_url="https://a.example")
    trouble(rig, 1)
    patch(rig, webhook_url="https://d.example")
    assert rig.postgres.query(ENDPOINT % "dev")[0] == ["1", "https://d.example", "t", "1", "0", "t"], "an operator paused it"
    rig.postgres.query("DELETE FROM endpoint")


@test
def settings_that_are_written_at_the_same_time_do_not_collide(rig):
    answers = []

    def write(n):
        for i in range(5):
            answers.append(operator(rig, "PATCH", "/dev", {"webhook_url": f"https://{n}.example/{i}", "webhook_url_secondary": f"https://{n}.example/b{i}",
                                                          **({"webhook_events": NAMES[n % len(NAMES)]} if i % 2 else {})}, rig.nodes[n % 2]).status)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [200] * 30, answers
    rows = rig.postgres.query(ENDPOINT % "dev")
    assert [row[0] for row in rows] == ["1", "2"] and rows[0][1].split("/")[2] == rows[1][1].split("/")[2], rows
    patch(rig, webhook_url=None, webhook_url_secondary=None, webhook_events=None)


# ---- signing keys

@test
def a_signing_key_is_shown_in_both_forms_and_rotated_with_the_former_kept(rig):
    first = key(rig)
    assert UUID.fullmatch(first["webhook_signing_key"]) and first["rotated_at"] is None and first["previous_until"] is None, first
    assert first["standard_webhooks_secret"] == "whsec_" + base64.b64encode(first["webhook_signing_key"].encode()).decode()
    sealed = rig.postgres.query("SELECT signing_key FROM environment WHERE name = 'dev'")
    answer = operator(rig, "POST", "/dev/signing-key/rotate")
    assert answer.status == 200 and list(answer.json) == ["data"], answer
    second = answer.json["data"]["webhook_signing_key"]
    shown = key(rig, node=rig.nodes[1])
    assert shown["webhook_signing_key"] == second != first["webhook_signing_key"], shown
    assert shown["rotated_at"][:10] == shown["previous_until"][:10] or shown["rotated_at"] < shown["previous_until"], shown
    assert rig.postgres.query("SELECT signing_key_before FROM environment WHERE name = 'dev'") == sealed
    third = rig.request("POST", "/environment/webhook-signing-key/rotate").json["data"]["webhook_signing_key"]
    assert key(rig)["webhook_signing_key"] == third and third not in (first["webhook_signing_key"], second)
    rig.postgres.query("UPDATE environment SET signing_key_at = now() - interval '25 h' WHERE name = 'dev'")
    assert key(rig)["previous_until"] is None, "a day is over"
    assert key(rig, "prod")["rotated_at"] is None, "its own"
    for secret in (first["webhook_signing_key"], second, third):
        for node in rig.nodes:
            assert secret not in node.log()
        assert secret not in operator(rig, "GET", "").body.decode() + operator(rig, "GET", "/dev").body.decode()
    assert "s1:" not in operator(rig, "GET", "").body.decode()
    assert operator(rig, "GET", "/nowhere/signing-key").status == 404
    assert operator(rig, "POST", "/nowhere/signing-key/rotate").status == 404
    assert operator(rig, "GET", "/dev/signing-key?x=1").status == 400


@test
def an_environment_without_a_key_gets_one_when_it_needs_it(rig):
    def ask(n):
        together.wait(30)
        answers.append(key(rig, node=rig.nodes[n % 2])["webhook_signing_key"])

    for _ in range(5):
        rig.postgres.query("UPDATE environment SET signing_key = '', signing_key_before = '', signing_key_at = NULL WHERE name = 'dev'")
        answers, together = [], threading.Barrier(8)
        threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(answers) == 8 and len(set(answers)) == 1 and UUID.fullmatch(answers[0]), answers
    rig.postgres.query("UPDATE environment SET signing_key = '' WHERE name = 'dev'")
    patch(rig, webhook_events="all")
    assert rig.postgres.query("SELECT signing_key <> '' FROM environment WHERE name = 'dev'") == [["t"]], "the patch gave it one"


main(lambda: Rig(nodes=2))
