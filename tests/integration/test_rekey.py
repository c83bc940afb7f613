"""sluice rekey: everything sealed anew under another key, online, while syncs save and credentials change."""
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import flows
from rig import Rig, clean_environment
from servers import wait_until
from tap import main, test

CONNECTIONS = 60
OLD = ""  # names of the two keys, as the service tells them
NEW = ""
KEYS = {}  # "old", "new": hexadecimal digits

SEALED = {
    "secret": "SELECT sealed FROM secret",
    "environment": "SELECT signing_key FROM environment UNION ALL SELECT signing_key_before FROM environment",
    "environment_variable": "SELECT value FROM environment_variable",
    "integration": "SELECT credentials FROM integration",
    "connection": "SELECT credentials FROM connection",
    "record": "SELECT encode(payload, 'escape') FROM record",
}


def under(rig):
    """{table: {key: values}}"""
    out = {}
    for table, sql in SEALED.items():
        rows = rig.postgres.query(f"SELECT substring(v.s FROM 4 FOR 8), count(*) FROM ({sql}) v(s) WHERE s <> '' GROUP BY 1")
        out[table] = {key: int(count) for key, count in rows}
    return out


def write_keys(rig, *names):
    with open(f"{rig.directory}/seal.key", "w", encoding="ascii") as file:
        file.write("".join(f"{KEYS[name]}  # {name}\n" for name in names))


def reload(rig, node):
    mark = len(node.log())
    node.process.send_signal(signal.SIGHUP)
    wait_until(f"{node.name} reloads", lambda: '"reloaded"' in node.log()[mark:] or "event=reloaded" in node.log()[mark:]
               or "reloaded" in node.log()[mark:])


def cli(rig, *words, status=0):
    done = subprocess.run([f"{rig.build}/sluice", "--host", f"http://127.0.0.1:{rig.nodes[0].port}", "--key-file", rig.keys_file,
                           *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                          text=True, timeout=60, env=clean_environment(), cwd=rig.directory)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def status_of(rig):
    return json.loads(cli(rig, "--json", "rekey", "--status"))


def told_keys(rig, wanted):
    """Each process has told what wanted says of its keys."""
    def asked():
        nodes = [node for node in status_of(rig)["nodes"] if not node["lost"]]
        return nodes if len(nodes) == 2 and all(wanted(node["keys"]) for node in nodes) else None
    return wait_until("the nodes tell their keys", asked, 10)


def records(rig, connection="c", model="Item"):
    found, cursor = [], ""
    while True:
        page = rig.request("GET", f"/records?model={model}&limit=1000" + (f"&cursor={cursor}" if cursor else ""), headers={
            "Provider-Config-Key": "w", "Connection-Id": connection}).json
        found += page["records"]
        cursor = page["next_cursor"]
        if not cursor:
            return found


def run_sync(rig, connection, number):
    sync = {"connection_id": connection, "provider_config_key": "w", "syncs": ["items"]}
    done = rig.request("POST", "/connections/metadata", {"connection_id": connection, "provider_config_key": "w",
                                                         "metadata": {"n": number}})
    assert done.status < 300, done
    before = len(rig.witness.seen(f"/ok/{connection}"))
    done = rig.request("POST", "/sync/trigger", sync)
    assert done.status == 200 and done.headers["x-sluice-started"] == "1", done

    def ended():
        answer = rig.request("GET", f"/sync/status?syncs=items&provider_config_key=w&connection_id={connection}")
        [entry] = answer.json["syncs"]
        return entry if entry["status"] != "RUNNING" else None
    entry = wait_until("the run ends", ended, 30)
    assert entry["latestExecutionStatus"] == "SUCCESS", (entry, list(rig.describe()))
    assert len(rig.witness.seen(f"/ok/{connection}")) == before + 1, "not the run that was meant"


def places(rig):
    """Of each record all but its payload."""
    return rig.postgres.query("SELECT connection_id, model, id, uuid, sync_id, seen, last_action, first_seen, last_modified,"
                              " deleted, pruned, encode(digest, 'hex') FROM record ORDER BY 1, 2, 3")


def moments(rig):
    return rig.postgres.query("SELECT id, updated_at, last_fetched_at FROM connection ORDER BY id")


@test
def a_fleet_seals_with_its_first_key_and_keeps_a_check_value(rig):
    global OLD
    OLD = status_of(rig)["key"]
    assert re.fullmatch("[0-9a-f]{8}", OLD) and OLD not in KEYS["old"]
    assert {name for name, in rig.postgres.query("SELECT name FROM secret")} == {"check", "envelope"}
    assert all(set(keys) == {OLD} for keys in under(rig).values()), under(rig)
    assert "pass" in status_of(rig) and status_of(rig)["pass"] is None
    assert OLD in cli(rig, "rekey", "--status") and "no pass yet" in cli(rig, "rekey", "--status")


@test
def a_node_with_another_key_does_not_start_and_says_which_one_it_lacks(rig):
    path = f"{rig.directory}/other.key"
    with open(path, "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as file:
        file.write(KEYS["new"] + "\n")
    settings = {**rig.nodes[1].settings, "listen": f"unix:{rig.directory}/other.sock", "encryption_key_file": path}
    done = rig.run(*[f"--{k.replace('_', '-')}={v}" for k, v in settings.items() if v is not None])
    assert done.returncode == 78, done
    assert OLD in done.stdout and path in done.stdout and "add that key" in done.stdout, done.stdout
    assert KEYS["new"] not in done.stdout and KEYS["old"] not in done.stdout
    del settings["encryption_key_file"]
    done = rig.run(*[f"--{k.replace('_', '-')}={v}" for k, v in settings.items() if v is not None],
                   environment={"SLUICE_ENCRYPTION_KEY": KEYS["new"]})
    assert done.returncode == 78 and "SLUICE_ENCRYPTION_KEY" in done.stdout and OLD in done.stdout, done


@test
def rekey_waits_until_every_node_seals_with_the_new_key(rig):
    global NEW
    assert "sealed" in cli(rig, "rekey", "--wait", "20"), "with nothing to do"
    write_keys(rig, "old", "new")
    for node in rig.nodes:
        reload(rig, node)
    NEW = [key for key in told_keys(rig, lambda keys: len(keys) == 2)[0]["keys"] if key != OLD][0]
    write_keys(rig, "new", "old")
    reload(rig, rig.nodes[0])
    wait_until("the first seals with the new key", lambda: status_of(rig)["key"] == NEW)
    told = cli(rig, "rekey", status=65)
    assert "still seals with " + OLD in told and NEW in told, told
    assert set(under(rig)["record"]) == {OLD}
    reload(rig, rig.nodes[1])
    told_keys(rig, lambda keys: keys == [NEW, OLD])
    assert rig.call("ask").json == 200 and rig.call("ask", node=rig.nodes[1]).json == 200
    assert rig.finish(rig.submit("ask"), node=rig.nodes[1]).json == 200, "jobs are signed as before"


class Writers:
    """Syncs that save, credentials that are imported anew, variables and signing keys that are set, until it is told to stop."""

    def __init__(self, rig):
        self.rig, self.stopped, self.errors, self.rounds = rig, threading.Event(), [], {}
        self.threads = [threading.Thread(target=self.repeat, args=(what,)) for what in (self.sync, self.connect, self.variable)]

    def repeat(self, what):
        try:
            while not self.stopped.is_set():
                self.rounds[what.__name__] = self.rounds.get(what.__name__, 0) + 1
                what(self.rounds[what.__name__])
        except Exception as error:  # pylint: disable=broad-except
            self.errors.append(f"{what.__name__}: {error!r}")

    def sync(self, number):
        run_sync(self.rig, "busy", number)

    def connect(self, number):
        name = f"n{number % CONNECTIONS}"
        done = self.rig.request("POST", "/connections", {"provider_config_key": "w", "connection_id": name, "credentials": {
            "type": "API_KEY", "apiKey": f"key-{number}"}}, node=self.rig.nodes[1])
        assert done.status in (200, 201), done
        shown = self.rig.request("GET", f"/connections/{name}?provider_config_key=w").json
        assert shown["credentials"]["apiKey"] == f"key-{number}", shown

    def variable(self, number):
        done = self.rig.request("PUT", "/admin/v1/environments/dev/variables/MOVING", {"value": f"v{number}"},
                                key=self.rig.keys["SLUICE_OPERATOR_KEY"])
        assert done.status < 300, done
        time.sleep(0.02)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_until("all of them write", lambda: len(self.rounds) == 3 and min(self.rounds.values()) > 1, 20)
        return self

    def __exit__(self, *_exc):
        self.stopped.set()
        for thread in self.threads:
            thread.join(40)


@test(seconds=90)
def everything_is_sealed_anew_while_others_write_and_nothing_else_moves(rig):
    still, times, read = places(rig), moments(rig), records(rig)
    with Writers(rig) as writers:
        told = cli(rig, "rekey", "--wait", "60")
        assert "finished" in told, told
    assert not writers.errors, writers.errors
    assert all(set(keys) == {NEW} for keys in under(rig).values()), under(rig)
    quiet = {row[0] for row in rig.postgres.query("SELECT id FROM connection WHERE connection_id = 'c'")}
    assert [row for row in places(rig) if row[0] in quiet] == [row for row in still if row[0] in quiet], "a record moved"
    assert [row for row in moments(rig) if row[0] in quiet] == [row for row in times if row[0] in quiet]
    assert records(rig) == read
    status = status_of(rig)
    assert status["pass"]["state"] == "finished" and status["pass"]["failed"] == 0 and status["pass"]["sealed"] > 2000, status
    assert {key for kind in status["values"] for key in kind["keys"]} == {NEW}, status["values"]
    assert {row["kind"]: sum(row["keys"].values()) for row in status["values"]}["own"] == 2
    log = "".join(node.log() for node in rig.nodes)
    assert "rekey_finished" in log and KEYS["old"] not in log and KEYS["new"] not in log


@test
def a_connection_that_is_being_refreshed_is_left_to_that_and_done_later(rig):
    (row,), = [rig.postgres.query("SELECT id FROM connection WHERE connection_id = 'c'")]
    write_keys(rig, "old", "new")
    for node in rig.nodes:
        reload(rig, node)
    told_keys(rig, lambda keys: keys[0] == OLD)
    rig.postgres.query(f"INSERT INTO refresh (connection_id, claim, claimed_until) VALUES ({row[0]}, 1, now() + interval '1 hour')")
    before = rig.postgres.query("SELECT credentials FROM connection WHERE connection_id = 'c'")
    cli(rig, "rekey")
    wait_until("all others are done", lambda: under(rig)["connection"] == {NEW: 1, OLD: CONNECTIONS + 1}, 20)
    assert rig.postgres.query("SELECT credentials FROM connection WHERE connection_id = 'c'") == before
    assert status_of(rig)["pass"]["state"] == "running"
    rig.postgres.query("UPDATE refresh SET claimed_until = NULL")
    assert "finished" in cli(rig, "rekey", "--wait", "30")
    assert all(set(keys) == {OLD} for keys in under(rig).values()), under(rig)


@test(seconds=60)
def one_whose_node_was_killed_goes_on_where_it_was(rig):
    write_keys(rig, "new", "old")
    for node in rig.nodes:
        reload(rig, node)
    told_keys(rig, lambda keys: keys[0] == NEW)
    killed = rig.nodes[0]
    writer = subprocess.Popen([f"{rig.postgres.bin}/psql", "-h", rig.postgres.directory, "-U", "sluice", "-d", "sluice", "-XAtq"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    writer.stdin.write("BEGIN; SELECT 'held' FROM (SELECT pg_advisory_xact_lock(hashtextextended('Item', id)) FROM connection"
                       " WHERE connection_id = 'busy') l;\n")
    writer.stdin.flush()
    assert writer.stdout.readline() == "held\n"
    cli(rig, "rekey")
    wait_until("it is at the records", lambda: under(rig)["record"].get(NEW, 0) > 0, 20)
    killed.kill()
    counts = under(rig)["record"]
    assert counts[OLD] > 0, counts
    writer.communicate("ROLLBACK;\n", 10)
    rig.postgres.query("UPDATE rekey SET seen_at = now() - interval '1 minute'")
    rig.postgres.query("UPDATE node SET seen_at = now() - interval '1 hour' WHERE name LIKE '%:" + str(killed.process.pid) + ":%'")
    killed.start()
    told_keys(rig, lambda keys: keys[0] == NEW)
    told = cli(rig, "rekey", "--wait", "30")
    assert "finished" in told, told
    assert all(set(keys) == {NEW} for keys in under(rig).values()), under(rig)
    assert "goes_on=1" in killed.log()
    for node in rig.nodes:  # one started before the keys changed, one after: each runs what the other one has signed
        [name] = [row["name"] for row in status_of(rig)["nodes"] if f":{node.process.pid}:" in row["name"]]
        cli(rig, "worker", "quiet", name, "--wait", "10")
        assert rig.finish(rig.submit("ask", node=node)).json == 200
        cli(rig, "worker", "release", name)
    assert "security_event" not in rig.nodes[0].log() + rig.nodes[1].log()


@test
def the_old_key_is_dropped_and_all_that_was_sealed_opens(rig):
    read = records(rig)
    write_keys(rig, "new")
    for node in rig.nodes:
        reload(rig, node)
    told_keys(rig, lambda keys: keys == [NEW])
    assert records(rig) == read
    for node in rig.nodes:
        assert node.stop() == 0
    for node in rig.nodes:
        node.start()
    assert records(rig) == read and len(read) > 2000
    for number in range(CONNECTIONS):
        shown = rig.request("GET", f"/connections/n{number}?provider_config_key=w", node=rig.nodes[number % 2])
        assert shown.status == 200 and shown.json["credentials"]["apiKey"].startswith("key-"), shown
    assert rig.call("ask").json == 200
    assert rig.finish(rig.submit("ask"), node=rig.nodes[1]).json == 200
    assert {"name": "STILL", "value": "variable"} in rig.call("variables").json
    assert "client-secret" in rig.request("GET", "/integrations/gh?include=credentials").body.decode()


@test
def a_value_that_no_key_opens_is_told_and_left(rig):
    rig.postgres.query("UPDATE environment_variable SET value = 's1:00000000:' || substring(value FROM 13) WHERE name = 'STILL'")
    told = cli(rig, "rekey", "--wait", "30", status=65)
    assert "1 values are still under another key" in told, told
    assert {"00000000": 1, NEW: 1} == [row["keys"] for row in status_of(rig)["values"] if row["kind"] == "variables"][0]
    assert "rekey_not_opened" in rig.nodes[0].log()


@test
def keys_of_the_environment_are_used_and_forgotten(rig):
    node = rig.nodes[1]
    assert node.stop() == 0
    path = node.settings.pop("encryption_key_file")
    node.environment = {"SLUICE_ENCRYPTION_KEY": f"{KEYS['new']}, {KEYS['old']}"}
    node.start()
    assert rig.call("ask", node=node).json == 200
    with open(f"/proc/{node.process.pid}/environ", "rb") as file:
        assert KEYS["new"].encode() not in file.read()
    reload(rig, node)
    assert rig.call("ask", node=node).json == 200
    arguments = [f"--{k.replace('_', '-')}={v}" for k, v in node.settings.items()]
    for more, environment, word in (([f"--encryption-key-file={path}"], node.environment, "are both set"),
                                    ([f"--encryption-key={KEYS['new']}"], {}, "from the environment only"),
                                    ([], {"SLUICE_ENCRYPTION_KEY": KEYS["new"][:-1]}, "64 hexadecimal digits"),
                                    ([], {}, "encryption_key_file is not set")):
        done = rig.run("--check-config", *arguments, *more, environment=environment)
        assert done.returncode == 78 and word in done.stdout and KEYS["new"][:-1] not in done.stdout, done
    assert rig.run("--check-config", *arguments, environment=node.environment).returncode == 0


def prepare(rig):
    with open(f"{rig.directory}/seal.key", encoding="ascii") as file:
        KEYS["old"] = file.read().strip()
    KEYS["new"] = secrets.token_hex(32)
    rig.integration()
    for name in ("c", "busy"):
        rig.connection(name)
    for number in range(CONNECTIONS):
        rig.connection(f"n{number}", api_key=f"key-{number}")
    done = rig.request("POST", "/integrations", {"provider": "github", "unique_key": "gh", "credentials": {
        "type": "OAUTH2", "client_id": "i", "client_secret": "client-secret"}})
    assert done.status == 200, done
    done = rig.request("PUT", "/admin/v1/environments/dev/variables/STILL", {"value": "variable"}, key=rig.keys["SLUICE_OPERATOR_KEY"])
    assert done.status < 300, done
    ask = "return (await nango.get({ endpoint: '/ok' })).status;"
    items = """const { n } = await nango.getMetadata();
        const count = nango.connectionId === 'c' ? 2500 : 200;
        for (let at = 0; at < count; at += 100)
            await nango.batchSave(Array.from({ length: 100 }, (_, i) => ({ id: 'r' + (at + i), n, text: 'x'.repeat(200) })), 'Item');
        await nango.post({ endpoint: '/ok/' + nango.connectionId });"""
    done = rig.deploy_flows([rig.flow("ask", ask), rig.flow("variables", "return await nango.getEnvironmentVariables();"),
                             flows.sync("items", items)])
    assert done.status == 200, done
    run_sync(rig, "c", 1)
    assert len(records(rig)) == 2500


main(lambda: Rig(nodes=2, settings={"lease_ttl": "3s"}, prepare=prepare))
