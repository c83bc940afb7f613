"""What doc/syncs.md shows as code does what the document says: the two syncs, the requests, the reader, the prune."""
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import ROOT, Rig, clean_environment
from servers import wait_until
from tap import main, test

with open(f"{ROOT}/doc/syncs.md", encoding="utf-8") as _file:
    TEXT = _file.read()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
FUNCTIONS = {re.match(r"// (\S+)\n", body).group(1): body for kind, body in BLOCKS if kind == "ts"}
HEADERS = {"Provider-Config-Key": "crm", "Connection-Id": "ada"}


def block(kind, words):
    """The one block of that kind in which the words stand."""
    [body] = [body for k, body in BLOCKS if k == kind and words in body]
    return body


class Crm:
    """Contacts that can be asked for by their last change, in pages of two, and labels by offset."""

    def __init__(self, witness):
        self.contacts = {}
        self.labels = [{"id": f"l{n}", "name": f"label {n}"} for n in range(150)]
        witness.routes["contacts"] = self.list_contacts
        witness.routes["labels"] = self.list_labels

    def put(self, name, second):
        self.contacts[name] = {"id": name, "name": f"{name} of {second}", "updated_at": f"2026-01-01T00:00:{second:02d}Z"}

    def list_contacts(self, call):
        rows = sorted((c for c in self.contacts.values() if c["updated_at"] >= call.query["updated_since"]),
                      key=lambda c: (c["updated_at"], c["id"]))
        at = int(call.query.get("cursor", 0))
        return 200, {}, json.dumps({"contacts": rows[at:at + 2], "next": str(at + 2) if at + 2 < len(rows) else None}).encode()

    def list_labels(self, call):
        at = int(call.query.get("offset", 0))
        return 200, {}, json.dumps({"labels": self.labels[at:at + int(call.query["limit"])]}).encode()


def prepare(rig):
    rig.integration("crm")
    rig.connection("ada", "crm")
    rig.crm = Crm(rig.witness)
    for name, second in (("a", 1), ("b", 2), ("c", 2)):
        rig.crm.put(name, second)
    project = f"{rig.directory}/project"
    for path, text in {**FUNCTIONS, "index.ts": "".join(f"import './{p.removesuffix('.ts')}.js';\n" for p in FUNCTIONS)}.items():
        os.makedirs(os.path.dirname(f"{project}/{path}"), exist_ok=True)
        with open(f"{project}/{path}", "w", encoding="utf-8") as file:
            file.write(text)
    shell(rig, f"node {ROOT}/compiler/bin/sluice-deploy.mjs {project} --env dev --host $API --key $KEY")


def shell(rig, script, **variables):
    done = subprocess.run(["sh", "-euc", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=False, timeout=60, cwd=rig.directory, env=clean_environment(
                              {"API": f"http://127.0.0.1:{rig.nodes[0].port}", "KEY": rig.dev, "PATH": os.environ["PATH"], **variables}))
    assert done.returncode == 0, (script, done.stdout, done.stderr)
    return done.stdout


def status(rig, name, variant="base"):
    answer = rig.request("GET", f"/sync/status?provider_config_key=crm&connection_id=ada&syncs={name}::{variant}")
    assert answer.status == 200 and len(answer.json["syncs"]) == 1, answer
    return answer.json["syncs"][0]


def run(rig, name):
    """One run to its end; what it counted."""
    before = status(rig, name).get("finishedAt")
    assert rig.request("POST", "/sync/trigger", {"provider_config_key": "crm", "connection_id": "ada", "syncs": [name]}).status == 200
    shown = wait_until(f"{name} has run", lambda: (lambda s: s if s.get("finishedAt") != before and s["status"] != "RUNNING"
                                                   else None)(status(rig, name)), 20)
    assert shown["latestExecutionStatus"] == "SUCCESS", shown
    return next(iter(shown["latestResult"].values()))


def records(rig, model, *query):
    answer = rig.request("GET", "/records?" + "&".join([f"model={model}", "limit=1000", *query]), None, HEADERS)
    assert answer.status == 200, answer
    return answer.json["records"]


@test
def the_incremental_sync_asks_for_what_has_changed_and_saves_it(rig):
    assert len(FUNCTIONS) == 2
    assert run(rig, "contacts") == {"added": 3, "updated": 0, "deleted": 0}
    assert status(rig, "contacts")["checkpoint"] == {"since": "2026-01-01T00:00:02Z"}
    rig.crm.put("b", 5)
    rig.crm.put("d", 6)
    before = len(rig.witness.seen("/contacts"))
    assert run(rig, "contacts") == {"added": 1, "updated": 1, "deleted": 0}
    assert rig.witness.seen("/contacts")[before].query["updated_since"] == "2026-01-01T00:00:02Z"
    assert {r["id"]: r["name"] for r in records(rig, "Contact")} == {"a": "a of 1", "b": "b of 5", "c": "c of 2", "d": "d of 6"}


@test
def the_full_refresh_deletes_what_the_list_has_no_more(rig):
    assert run(rig, "labels") == {"added": 150, "updated": 0, "deleted": 0}
    del rig.crm.labels[7]
    assert run(rig, "labels") == {"added": 0, "updated": 0, "deleted": 1}
    assert [r["id"] for r in records(rig, "Label", "filter=deleted")] == ["l7"]


@test
def the_reader_returns_a_cursor_behind_which_only_changes_come(rig):
    os.symlink(f"{ROOT}/tests/clients/node_modules", f"{rig.directory}/node_modules")
    with open(f"{rig.directory}/reader.mjs", "w", encoding="utf-8") as file:
        file.write(block("js", "readChanges") + "\nconst seen = [];\nconst cursor = await readChanges(process.env.CURSOR || undefined,"
                   " async (record) => { seen.push(record.id + ' ' + record._nango_metadata.last_action); });\n"
                   "console.log(JSON.stringify({ seen, cursor }));\n")

    def read(cursor=""):
        return json.loads(shell(rig, "node reader.mjs", CURSOR=cursor))
    first = read()
    assert sorted(first["seen"]) == ["a ADDED", "b UPDATED", "c ADDED", "d ADDED"] and first["cursor"], first
    assert read(first["cursor"]) == {"seen": [], "cursor": first["cursor"]}
    rig.crm.put("a", 9)
    assert run(rig, "contacts")["updated"] == 1
    assert read(first["cursor"])["seen"] == ["a UPDATED"]
    rig.cursor = first["cursor"]


@test
def the_requests_do_what_stands_above_them(rig):
    out = shell(rig, block("sh", "/sync/start"))
    shown = json.loads(out[out.index('{"syncs"'):])["syncs"]
    assert sorted((s["name"], s["variant"]) for s in shown) == [("contacts", "archived"), ("contacts", "base"), ("labels", "base")], shown
    contacts = status(rig, "contacts")
    assert contacts["frequency"] == "10 minutes" and contacts["nextScheduledSyncAt"], contacts
    again = wait_until("the reset run has ended", lambda: (lambda s: s if s["status"] != "RUNNING" and s["latestResult"]["Label"]["added"] == 149
                                                           else None)(status(rig, "labels")), 20)
    assert again["recordCount"] == {"Label": 149}, again


@test
def payloads_are_emptied_up_to_the_cursor_and_ids_stay(rig):
    answer = json.loads(shell(rig, block("sh", "/records/prune"), CURSOR=rig.cursor))
    assert answer["count"] > 0, answer
    pruned = [r for r in records(rig, "Contact") if r["_nango_metadata"]["pruned_at"]]
    assert len(pruned) == answer["count"] and all(set(r) == {"id", "_nango_metadata"} for r in pruned), pruned


if __name__ == "__main__":
    main(lambda: Rig(prepare=prepare))
