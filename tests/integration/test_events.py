"""On-event functions: after a connection is made, before it goes, and whether it may be made at all."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import flows
from rig import Rig, wait_until
from tap import main, test

CREATED, DELETING, VALIDATE = "post-connection-creation", "pre-connection-deletion", "validate-connection"
TELL = "const c = await nango.getConnection(); await nango.post({ endpoint: '/ok', data: { event: '%s', id: c.connection_id }, retries: 0 });"
JUDGE = """
    const c = await nango.getConnection();
    const said = c.credentials.apiKey;
    if (said === 'refuse') throw new nango.ActionError({ message: 'the key is not welcome' });
    if (said === 'error') throw new nango.ActionError({ error: 'as error' });
    if (said === 'shapeless') throw new nango.ActionError({ reason: 1 });
    if (said === 'boom') throw new Error('inner text');
"""


def prepare(rig):
    for key in ("w", "judge", "rude", "slow"):
        rig.integration(key)
    rig.deploy_flows([], onEventScriptsByProvider=[
        *flows.events(flows.on_event("hello", CREATED, TELL % "hello" + "await nango.updateMetadata({ greeted: true });"),
                      flows.on_event("bye", DELETING, TELL % "bye")),
        *flows.events(flows.on_event("judge", VALIDATE, JUDGE),
                      flows.on_event("made", CREATED, TELL % "made"), integration="judge"),
        *flows.events(flows.on_event("rude", DELETING, "throw new Error('no');"), integration="rude"),
        *flows.events(flows.on_event("slow", DELETING, "await nango.get({ endpoint: '/hang/bye', retries: 0 });"),
                      integration="slow")])


def told(rig, event, connection):
    return [c for c in rig.witness.seen("/ok") if b'"%s"' % event.encode() in c.body and b'"%s"' % connection.encode() in c.body]


def create(rig, name, api_key="key-of-the-test", integration="judge"):
    return rig.request("POST", "/connections", {"provider_config_key": integration, "connection_id": name,
                                                "credentials": {"type": "API_KEY", "apiKey": api_key}})


def read(rig, name, integration="judge"):
    return rig.request("GET", f"/connections/{name}?provider_config_key={integration}")


def delete(rig, name, integration="w"):
    return rig.request("DELETE", f"/connections/{name}?provider_config_key={integration}")


@test
def a_new_connection_runs_its_function_and_an_override_does_not(rig):
    rig.connection("new")
    wait_until("it was greeted", lambda: told(rig, "hello", "new"), 30)
    wait_until("metadata is there", lambda: read(rig, "new", "w").json["metadata"] == {"greeted": True}, 30)
    rig.connection("new")
    rig.connection("next")
    wait_until("the next one was greeted", lambda: told(rig, "hello", "next"), 30)
    assert len(told(rig, "hello", "new")) == 1


@test
def the_legacy_import_runs_it_too(rig):
    answer = rig.request("POST", "/connection", {"provider_config_key": "w", "connection_id": "old", "api_key": "k"})
    assert answer.status == 201, answer
    wait_until("it was greeted", lambda: told(rig, "hello", "old"), 30)


@test
def a_deletion_waits_for_its_function(rig):
    rig.connection("leaving")
    assert delete(rig, "leaving").status == 200
    assert len(told(rig, "bye", "leaving")) == 1
    assert read(rig, "leaving", "w").status == 404
    answer = delete(rig, "leaving")
    assert answer.status == 400 and answer.json == {"error": {"code": "unknown_connection"}}, answer


@test
def a_function_that_fails_does_not_stop_the_deletion(rig):
    rig.connection("c", integration="rude")
    assert delete(rig, "c", "rude").status == 200
    assert read(rig, "c", "rude").status == 404


@test
def the_connection_is_there_as_long_as_its_function_runs(rig):
    rig.connection("c", integration="slow")
    raw = (f"DELETE /connections/c?provider_config_key=slow HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {rig.dev}\r\n"
           "Connection: close\r\n\r\n").encode()
    rig.raw(raw, seconds=0.5)  # gives up waiting; the request goes on
    rig.witness.wait_seen("/hang/bye")
    assert read(rig, "c", "slow").status == 200
    rig.witness.release("bye")
    wait_until("it is gone", lambda: read(rig, "c", "slow").status == 404, 30)


@test
def a_refused_connection_is_not_made_and_says_why(rig):
    for key, text in (("refuse", "the key is not welcome"), ("error", "as error"), ("shapeless", None), ("boom", None)):
        answer = create(rig, "bad", key)
        assert answer.status == 400 and answer.code == "connection_validation_failed", answer
        message = answer.json["error"]["message"]
        assert message == text if text is not None else "inner text" not in message and "validate-connection" in message, answer
        assert read(rig, "bad").status == 404
    rig.request("POST", "/connection", {"provider_config_key": "judge", "connection_id": "bad", "api_key": "refuse"})
    assert read(rig, "bad").status == 404
    assert not told(rig, "made", "bad")


@test
def a_good_connection_is_made_and_announced(rig):
    answer = create(rig, "good")
    assert answer.status == 201 and answer.json["connection_id"] == "good", answer
    wait_until("it was announced", lambda: told(rig, "made", "good"), 30)


@test
def a_refused_override_leaves_the_connection(rig):
    assert create(rig, "twice").status == 201
    answer = create(rig, "twice", "refuse")
    assert answer.status == 400 and answer.code == "connection_validation_failed", answer
    assert read(rig, "twice").status == 200
    assert create(rig, "twice").status == 201


@test
def a_node_without_the_worker_role_refuses_what_it_cannot_validate(rig):
    node = rig.nodes[1]
    answer = rig.request("POST", "/connections", {"provider_config_key": "judge", "connection_id": "unseen",
                                                  "credentials": {"type": "API_KEY", "apiKey": "k"}}, node=node)
    assert answer.status == 503 and "worker" in answer.json["error"]["message"], answer
    assert read(rig, "unseen").status == 404


@test
def a_node_without_the_worker_role_deletes_and_notes_what_did_not_run(rig):
    rig.connection("there")
    answer = rig.request("DELETE", "/connections/there?provider_config_key=w", node=rig.nodes[1])
    assert answer.status == 200, answer
    assert not told(rig, "bye", "there")
    wait_until("the log has it", lambda: 'msg="event_failed"' in rig.nodes[1].log(), 5)


def make():
    rig = Rig(nodes=2, start=False, prepare=start)
    return rig


def start(rig):
    rig.nodes[1].settings["role"] = "api"
    for node in rig.nodes:
        node.start()
        if not rig.keys:
            rig.read_keys()
    prepare(rig)


main(make)
