"""`sluice env`: settings are changed by name, and the key that signs webhooks is shown only when it is asked for."""
import base64
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from operator_cli import run, run_on_terminal
from rig import Rig
from tap import main, test

URL = "https://app.example.com/hooks?of=dev"


def sluice(rig, *words, code=0, **more):
    done = run("--host", f"http://127.0.0.1:{rig.nodes[0].port}", "--dir", rig.directory, *words, **more)
    assert code in (None, done.code), (words, done)
    return done


def document(rig, *words, **more):
    return sluice(rig, "--json", *words, **more).json


def signing_key(rig, env="dev"):
    return rig.request("GET", f"/admin/v1/environments/{env}/signing-key", key=rig.keys["SLUICE_OPERATOR_KEY"]).json


def lines(done):
    """{name: value} of `env show`."""
    return dict(line.split(None, 1) for line in done.out.splitlines())


@test
def environments_are_listed_with_what_they_are_set_to(rig):
    rows = document(rig, "env", "ls")["environments"]
    assert {"dev", "prod"} <= {row["name"] for row in rows}, rows
    text = sluice(rig, "env", "ls").out.splitlines()
    assert text[0].split() == ["ENVIRONMENT", "PRODUCTION", "CONCURRENCY", "SYNC-LIMIT", "WEBHOOK-EVENTS", "WEBHOOK-URL"], text
    dev = next(line.split() for line in text if line.startswith("dev "))
    assert dev[1:4] == ["no", "environment:1", "-"] and dev[5] == "-", dev
    assert "sync_unchanged" not in dev[4] and "async_action" in dev[4], dev


@test
def webhooks_are_switched_on_by_one_command(rig):
    done = sluice(rig, "env", "set", "dev", f"webhook_url={URL}", "webhook_events=all")
    shown = lines(done)
    assert shown["environment"] == "dev" and shown["webhook_url"] == URL, shown
    assert shown == lines(sluice(rig, "env", "show", "dev"))
    names = {"sync", "sync_unchanged", "sync_error", "async_action", "auth_creation", "auth_refresh_error"}
    assert shown["webhook_events"] == "all" or set(shown["webhook_events"].split(",")) == names, shown
    assert document(rig, "env", "show", "dev")["webhook_url"] == URL
    assert URL in sluice(rig, "env", "ls").out
    assert "webhook_url" not in lines(sluice(rig, "env", "show", "prod"))


@test
def each_setting_is_set_and_emptied(rig):
    shown = lines(sluice(rig, "env", "set", "dev", "webhook_url_secondary=http://second.example.com/", "webhook_events=sync,auth_creation",
                         "action_timeout=90", "sync_limit=7", "concurrency=connection:5"))
    assert set(shown["webhook_events"].split(",")) == {"sync", "auth_creation"}, shown
    assert shown["webhook_url_secondary"] == "http://second.example.com/" and shown["webhook_url"] == URL, shown
    assert (shown["action_timeout"], shown["sync_limit"], shown["concurrency"]) == ("90", "7", "connection:5"), shown
    row = document(rig, "env", "set", "dev", "webhook_events=none", "concurrency=function:2")
    assert row["concurrency"] == {"by": "function", "limit": 2} and row["webhook_url"] == URL, row
    shown = lines(sluice(rig, "env", "set", "dev", "webhook_url=", "webhook_url_secondary=", "webhook_events=", "action_timeout=", "sync_limit=",
                         "concurrency="))
    assert shown.keys() & {"webhook_url", "webhook_url_secondary", "action_timeout", "sync_limit"} == set(), shown
    assert shown["concurrency"] == "environment:1", shown
    assert "sync_unchanged" not in shown["webhook_events"] and "sync_error" in shown["webhook_events"], shown


@test
def what_is_no_setting_is_said_before_anything_is_asked(rig):
    def refused(*words):
        done = sluice(rig, "env", "set", "dev", "sync_limit=9", *words, code=64)
        assert done.out == "", done
        return done.err
    err = refused("webhok_url=http://x/")
    assert "did you mean webhook_url?" in err and "concurrency" in err and "webhook_events" in err, err
    assert "there is no setting \\x1b[2J;" in refused("\x1b[2J=1")
    assert "a whole number" in refused("action_timeout=soon") and "BY:LIMIT" in refused("concurrency=5")
    assert "twice" in refused("sync_limit=8") and "webhook_url needs a value" in refused("webhook_url")
    assert sluice(rig, "env", "set", "dev", code=64).out == ""
    assert sluice(rig, "env", "show", "..", code=64).out == ""
    assert document(rig, "env", "show", "dev")["sync_limit"] is None


@test
def what_the_server_refuses_changes_nothing(rig):
    for words in (["webhook_url=ftp://x/"], ["webhook_events=everything"], ["concurrency=job:5"], ["sync_limit=0"]):
        done = sluice(rig, "env", "set", "dev", "action_timeout=33", *words, code=65)
        assert words[0].partition("=")[0] in done.err, done
    assert "action_timeout" not in lines(sluice(rig, "env", "show", "dev"))
    assert sluice(rig, "env", "show", "nowhere", code=66).err
    assert sluice(rig, "env", "set", "nowhere", "sync_limit=1", code=66).err


@test
def the_signing_key_is_printed_only_when_it_is_asked_for(rig):
    key = signing_key(rig)["webhook_signing_key"]
    secret = "whsec_" + base64.b64encode(key.encode()).decode()
    for words in (["env", "show", "dev"], ["env", "ls"], ["env", "set", "dev", "sync_limit="]):
        for done in (sluice(rig, *words), sluice(rig, "--json", *words)):
            assert key not in done.out + done.err and secret not in done.out + done.err, done
    shown = lines(sluice(rig, "env", "show", "dev", "--secrets"))
    assert shown["webhook_signing_key"] == key and shown["standard_webhooks_secret"] == secret and shown["environment"] == "dev", shown
    row = document(rig, "env", "show", "dev", "--secrets")
    assert row["webhook_signing_key"] == key and row["standard_webhooks_secret"] == secret and row["name"] == "dev", row


@test
def another_key_is_made_when_somebody_says_yes(rig):
    before = signing_key(rig)
    assert before["rotated_at"] is None and before["previous_until"] is None, before
    done = sluice(rig, "env", "rotate-key", "dev", code=64)
    assert "--yes" in done.err and signing_key(rig) == before, done
    asked = run_on_terminal("--host", f"http://127.0.0.1:{rig.nodes[0].port}", "--dir", rig.directory, "env", "rotate-key", "dev", typed="n\n")
    assert "another signing key" in asked.out and asked.code == 75 and signing_key(rig) == before, asked
    done = sluice(rig, "--yes", "env", "rotate-key", "dev")
    after = signing_key(rig)
    assert after["webhook_signing_key"] != before["webhook_signing_key"] and after["previous_until"] > after["rotated_at"], after
    assert after["webhook_signing_key"] not in done.out and after["previous_until"] in done.out, done
    row = document(rig, "--yes", "env", "rotate-key", "dev", "--secrets")
    assert row["webhook_signing_key"] == signing_key(rig)["webhook_signing_key"] != after["webhook_signing_key"], row


if __name__ == "__main__":
    main(Rig)
