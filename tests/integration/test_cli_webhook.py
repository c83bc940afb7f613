"""`sluice webhook`: what was sent is seen with every try, sent again, and held back, as an operator asks."""
import json
import os
import sys
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from operator_cli import run
from rig import free_port
from servers import wait_until
from sink import OK, SinkRig, status
from tap import main, test

LONG_AGO = "2020-01-01T00:00:00.000Z"
EVIL = "\x1b[2J\u202eevil"


def prepare(rig):
    for env, path in (("dev", "hooks"), ("prod", "prod")):
        rig.prepare({"echo": "return input;"}, env=env)
        sluice(rig, "env", "set", env, f"webhook_url={rig.sink.url}/{path}", "webhook_events=async_action")


def sluice(rig, *words, code=0, **more):
    done = run("--host", f"http://127.0.0.1:{rig.nodes[0].port}", "--dir", rig.directory, *words, **more)
    assert code in (None, done.code), (words, done)
    return done


def document(rig, *words, **more):
    return sluice(rig, "--json", *words, **more).json


def run_job(rig, env="dev"):
    """A job to its end; the delivery that tells of it."""
    job = rig.submit("echo", {}, env=env)
    assert rig.finish(job, env=env).status == 200
    [row] = document(rig, "webhook", "ls", env, "--job", job)["deliveries"]
    return row


def comes_to(rig, delivery, state):
    def there():
        row = document(rig, "webhook", "show", delivery)["delivery"]
        return row if row["state"] == state else None
    return wait_until(f"{delivery} is {state}", there, 15)


def primary(rig):
    [row] = [e for e in document(rig, "webhook", "endpoints", "dev")["endpoints"] if e["kind"] == "primary"]
    return row


# ---- looking

@test
def nothing_was_sent_and_that_is_said(rig):
    assert sluice(rig, "webhook", "ls").out == "there is no such delivery\n"
    assert document(rig, "webhook", "ls", "dev") == {"deliveries": [], "next": None}


@test
def a_delivery_is_shown_with_its_request_every_try_and_the_answer(rig):
    rig.sink.answer("/hooks", status(500), OK)
    row = run_job(rig)
    done = comes_to(rig, row["id"], "delivered")
    [first, second] = rig.sink.wait(2, "/hooks")
    assert first.id == second.id == done["event_id"] and done["tries"] == 2, done
    shown = document(rig, "webhook", "show", row["id"])
    assert json.loads(shown["delivery"].get("request", shown.get("request"))["body"]) == first.json, shown
    text = sluice(rig, "webhook", "show", row["id"]).out
    assert f"event        {first.id}  (the webhook-id)" in text and "state        delivered" in text, text
    assert f"job          {first.json['payload']['id']}" in text and first.body.decode() in text, text
    tries = [line.split() for line in text.splitlines() if line.split()[:1] in (["1"], ["2"])]
    assert [t[3] for t in tries] == ["500", "200"], text
    line = next(x for x in sluice(rig, "webhook", "ls", "dev").out.splitlines() if x.startswith(row["id"])).split()
    assert line[1:4] == ["delivered", "2", "200"] and line[-1] == f"{rig.sink.url}/hooks" and line[-2] == "c", line


@test
def what_an_app_answers_cannot_steer_the_terminal(rig):
    rig.sink.answer("/hooks", status(400, {"x-why": "\u202eright to left"}, EVIL.encode()))
    row = run_job(rig)
    comes_to(rig, row["id"], "exhausted")
    for words in (["webhook", "show", row["id"]], ["--json", "webhook", "show", row["id"]], ["webhook", "ls"],
                  ["webhook", "test", f"{rig.sink.url}/hooks"]):
        out = sluice(rig, *words, code=None).out
        assert "\x1b" not in out and "\u202e" not in out, out
    text = sluice(rig, "webhook", "show", row["id"]).out
    assert "body         \\x1b[2J\\u{202e}evil" in text, text


@test
def lists_are_filtered_and_paged(rig):
    rig.sink.answer("/hooks", OK)
    for _ in range(2):
        comes_to(rig, run_job(rig)["id"], "delivered")
    rows = document(rig, "webhook", "ls")["deliveries"]
    assert [r["created_at"] for r in rows] == sorted((r["created_at"] for r in rows), reverse=True), rows
    [failed] = document(rig, "webhook", "ls", "--state", "exhausted")["deliveries"]
    assert {r["id"] for r in document(rig, "webhook", "ls", "--state", "failed")["deliveries"]} == {failed["id"]}
    assert document(rig, "webhook", "ls", "--type", "sync")["deliveries"] == []
    assert document(rig, "webhook", "ls", "prod")["deliveries"] == []
    assert document(rig, "webhook", "ls", "--before", LONG_AGO)["deliveries"] == []
    assert len(document(rig, "webhook", "ls", "--since", LONG_AGO)["deliveries"]) == len(rows)
    assert len(document(rig, "webhook", "ls", "--endpoint", primary(rig)["id"])["deliveries"]) == len(rows)
    page = document(rig, "webhook", "ls", "--limit", "1")
    assert [r["id"] for r in page["deliveries"]] == [rows[0]["id"]] and page["next"], page
    text = sluice(rig, "webhook", "ls", "--limit", "1").out
    assert text.endswith(f"more: --cursor {page['next']}\n"), text
    rest = document(rig, "webhook", "ls", "--cursor", page["next"])["deliveries"]
    assert [r["id"] for r in rest] == [r["id"] for r in rows[1:]], rest


# ---- steering

@test
def one_is_sent_again_with_the_id_that_it_had(rig):
    [row] = document(rig, "webhook", "ls", "--state", "exhausted")["deliveries"]
    again = document(rig, "webhook", "resend", row["id"])["deliveries"]
    assert [r["id"] for r in again] == [row["id"]] and again[0]["state"] in ("pending", "retrying", "delivered"), again
    comes_to(rig, row["id"], "delivered")
    assert row["event_id"] in rig.sink.taken("/hooks")
    [row] = document(rig, "webhook", "ls", "--state", "delivered", "--limit", "1")["deliveries"]
    before = len(rig.sink.tries(row["event_id"]))
    assert row["id"] in sluice(rig, "webhook", "resend", row["id"]).out
    rig.sink.wait_for(lambda: len(rig.sink.tries(row["event_id"])) > before, "it comes again")


@test
def all_that_failed_since_a_time_are_sent_again(rig):
    since = ["--environment", "prod", "--since", LONG_AGO]  # of its own: five failures within ten seconds open an endpoint's breaker
    rig.sink.answer("/prod", status(404))
    ids = [comes_to(rig, run_job(rig, "prod")["id"], "exhausted")["id"] for _ in range(2)]
    rig.sink.answer("/prod", OK)
    assert sluice(rig, "webhook", "resend", "--environment", "dev", "--since", LONG_AGO).out == "0 are sent again\n"
    assert sluice(rig, "webhook", "resend", *since, "--type", "sync").out == "0 are sent again\n"
    assert sluice(rig, "webhook", "resend", *since, "--before", LONG_AGO).out == "0 are sent again\n"
    assert sluice(rig, "webhook", "resend", *since, "--limit", "1").out == "1 is sent again; there are more: run it again, or with a higher --limit\n"
    assert document(rig, "webhook", "resend", *since) == {"resent": 1, "more": False}
    for delivery in ids:
        comes_to(rig, delivery, "delivered")


@test
def what_a_paused_endpoint_is_told_waits_until_it_is_resumed(rig):
    endpoint = primary(rig)
    assert endpoint["state"] == "active" and endpoint["url"] == f"{rig.sink.url}/hooks", endpoint
    paused = document(rig, "webhook", "pause", endpoint["id"])["endpoints"]
    assert paused[0]["state"] == "paused" and paused[0]["paused"]["cause"] == "operator", paused
    seen = len(rig.sink.seen("/hooks"))
    row = run_job(rig)
    assert row["state"] == "pending" and row["next_try_at"] is None, row
    line = next(x for x in sluice(rig, "webhook", "endpoints", "dev").out.splitlines() if x.startswith(endpoint["id"]))
    assert "paused: operator" in line and line.split()[-1] == endpoint["url"] and primary(rig)["pending"] == 1, line
    assert len(rig.sink.seen("/hooks")) == seen
    resumed = sluice(rig, "webhook", "resume", endpoint["id"]).out
    assert "active" in resumed and "paused" not in resumed, resumed
    comes_to(rig, row["id"], "delivered")


@test
def ids_are_checked_before_anything_is_asked(rig):
    nobody = str(uuid.uuid4())
    for words, code in ((["show", "x"], 64), (["show", nobody], 66), (["resend", nobody, "x"], 64), (["resend", nobody], 66),
                        (["pause", "x"], 64), (["resume", nobody], 66), (["resend"], 64), (["resend", nobody, "--environment", "dev"], 64),
                        (["resend", "--environment", "dev"], 64), (["resend", nobody, "--since", LONG_AGO], 64),
                        (["resend", "--environment", "dev", "--since", "yesterday"], 65), (["ls", "--state", "odd"], 65),
                        (["ls", "nowhere"], 66), (["ls", "--limit", "0"], 64)):
        done = sluice(rig, "webhook", *words, code=code)
        assert done.out == "" and done.err, (words, done)


# ---- test

@test
def a_test_shows_what_was_sent_and_how_it_was_answered(rig):
    rig.sink.answer("/test", status(201, {"x-app": "here"}, b"thanks"))
    done = sluice(rig, "webhook", "test", f"{rig.sink.url}/test")
    [seen] = rig.sink.seen("/test")
    key = document(rig, "env", "show", "dev", "--secrets")["webhook_signing_key"]
    assert not seen.faults(key), seen.faults(key)
    assert seen.json["type"] == "test" and seen.json["environment"] == "dev", seen.json
    assert "status       201  (delivered)" in done.out and "body         thanks" in done.out and "x-app: here" in done.out, done.out
    assert seen.body.decode() in done.out and "took " in done.out, done.out
    prod = document(rig, "webhook", "test", f"{rig.sink.url}/test", "--environment", "prod")
    assert prod["status"] == 201 and rig.sink.seen("/test")[-1].json["environment"] == "prod", prod
    rig.sink.answer("/hooks", OK)
    before = len(rig.sink.seen("/hooks"))
    assert "(delivered)" in sluice(rig, "webhook", "test").out and len(rig.sink.seen("/hooks")) == before + 1


@test
def a_test_that_is_not_taken_says_why_and_what_to_do(rig):
    rig.sink.answer("/test", status(503, {}, b"not now"))
    done = sluice(rig, "webhook", "test", f"{rig.sink.url}/test", code=69)
    assert "status       503\n" in done.out and "not now" in done.out and "delivered" not in done.out, done
    assert document(rig, "webhook", "test", f"{rig.sink.url}/test", code=69)["status"] == 503
    done = sluice(rig, "webhook", "test", f"http://127.0.0.1:{free_port()}/x", code=69)
    assert "ECONNREFUSED" in done.out and "nobody listens there" in done.out, done
    done = sluice(rig, "webhook", "test", "http://10.255.255.1/x", code=69)
    assert "egress_allow" in done.out and "status" not in done.out, done
    assert sluice(rig, "webhook", "test", "no-url", code=None).code in (65, 69)
    sluice(rig, "env", "set", "prod", "webhook_url=")
    assert sluice(rig, "webhook", "test", "--environment", "prod", code=65).err


if __name__ == "__main__":
    main(lambda: SinkRig(settings={"delivery_schedule": "0s,100ms"}, prepare=prepare))
