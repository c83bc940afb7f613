"""Secrets stay put: planted ones go through everything that is done with them, and then are looked for in every sink."""
import base64
import glob
import os
import signal
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import flows
from servers import wait_until
from sink import SinkRig
from tap import main, test
from tokens import CLIENT, Tokens

API_KEY = "canary-api-key-7f3a91"
ACCESS_TOKEN = "canary-access-token-51c2d8"
PASSWORD = "canary-password-88e0b4"
CLIENT_SECRET = "canary-client-secret-0d9e27"
VARIABLE = "canary-variable-c4411f"
RECORD = "canary-record-2b70e6"
INPUT = "canary-input-99ab31"
SEALED = [API_KEY, ACCESS_TOKEN, PASSWORD, CLIENT_SECRET, VARIABLE, RECORD]  # and what is made while it runs, by note()
INNER = []  # that no process but the daemon may have: a function is given none of it
tokens = None


def note(*words):
    SEALED.extend(words)
    INNER.extend(words)


def forms(word):
    """How it may be written: as it is, in a URL, in hexadecimal, inside of any base64."""
    raw = word.encode()
    out = {raw, urllib.parse.quote(raw, safe="").encode(), raw.hex().encode(), raw.hex().upper().encode()}
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + raw)
        inner = whole[4 if shift else 0:len(whole) - 4]  # what bytes around it would not change
        out |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    if len(word) == 64 and all(c in "0123456789abcdef" for c in word):
        out.add(bytes.fromhex(word))
    return out


def absent(what, text, words):
    found = [w for w in words if any(form in text for form in forms(w))]
    assert not found, f"{what} holds {found}"


def keys_of(rig):
    return [v for k, v in rig.keys.items() if "KEY" in k]


def everything(rig):
    return SEALED + keys_of(rig)


def logs(rig):
    out = b""
    for path in [node.log_path for node in rig.nodes] + glob.glob(f"{rig.directory}/*/log"):
        with open(path, "rb") as file:
            out += file.read()
    return out


def family(rig):
    """(pid, name) of the daemon and all processes below it."""
    parents, names = {}, {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    head, _, tail = file.read().rpartition(")")
            except OSError:
                continue
            parents[int(name)], names[int(name)] = int(tail.split()[1]), head.partition("(")[2]
    daemon, out = rig.nodes[0].process.pid, []
    for pid in parents:
        at = pid
        while at > 1 and at != daemon:
            at = parents.get(at, 0)
        if at == daemon:
            out.append((pid, names[pid]))
    return out


def operator(rig, method, path, body=None):
    done = rig.request(method, f"/admin/v1/{path}", body, key=rig.keys["SLUICE_OPERATOR_KEY"])
    assert done.status < 300, done
    return done


def proxy(rig, path, connection="c"):
    return rig.request("GET", f"/proxy{path}", headers={"Provider-Config-Key": "w", "Connection-Id": connection})


# ---- all that is done with secrets

@test
def a_search_finds_what_is_written_in_any_form(rig):
    for text in (API_KEY.encode(), b"x" + base64.b64encode(b"Bearer " + API_KEY.encode() + b"\n"), API_KEY.encode().hex().encode(),
                 base64.b64encode(b"user:" + API_KEY.encode())):
        try:
            absent("", b"..." + text + b"...", [API_KEY])
        except AssertionError:
            continue
        raise AssertionError(text)
    absent("", API_KEY[:-1].encode(), [API_KEY])


@test
def secrets_are_used(rig):
    assert rig.call("fetch", INPUT).status == 200
    headers = {k.lower(): v for k, v in rig.witness.seen("/ok")[0].headers.items()}
    assert headers["authorization"] == f"Bearer {API_KEY}"
    assert rig.finish(rig.submit("fetch", INPUT)).status == 200
    for name in ("fail", "leak"):
        assert rig.call(name, INPUT).status in (424, 500)
        rig.finish(rig.submit(name, INPUT, retries=1))
    assert rig.call("variables").json == [{"name": "TOKEN", "value": VARIABLE}]


@test
def the_proxy_carries_them_and_its_errors_do_not(rig):
    assert proxy(rig, "/ok").status == 200
    absent("an error of the proxy", proxy(rig, "/status/500").body, SEALED)
    absent("no such connection", proxy(rig, "/ok", "nobody").body, SEALED)


@test
def a_sync_saves_records_that_are_sealed(rig):
    rig.witness.routes["secret-record"] = lambda _call: (200, {}, b'{"text": "' + RECORD.encode() + b'"}')
    done = rig.request("POST", "/sync/trigger", {"connection_id": "c", "provider_config_key": "w", "syncs": ["items"]})
    assert done.status == 200, done

    def saved():
        return rig.request("GET", "/records?model=Item", headers={"Provider-Config-Key": "w", "Connection-Id": "c"}).json["records"]
    assert wait_until("the record is there", saved, 20)[0]["text"] == RECORD


@test
def tokens_are_refreshed_and_refused(rig):
    grant = tokens.grant()
    note(grant.access, grant.refresh)
    done = rig.request("POST", "/connections", {"provider_config_key": "oauth", "connection_id": "fresh", "credentials": {
        "type": "OAUTH2", "access_token": grant.access, "refresh_token": grant.refresh,
        "expires_at": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + 60))}})
    assert done.status == 201, done
    assert rig.call("resource", connection="fresh", integration="oauth").status == 200
    note(grant.access, grant.refresh)
    assert tokens.count() > 0
    bad = tokens.grant()
    note(bad.access, bad.refresh)
    echo = '{"error": "invalid_grant", "error_description": "no such grant"}'
    tokens.plan([(400, "application/json", echo)] * 2)
    done = rig.request("POST", "/connections", {"provider_config_key": "oauth", "connection_id": "bad", "credentials": {
        "type": "OAUTH2", "access_token": bad.access, "refresh_token": bad.refresh, "expires_at": "2020-01-01T00:00:00.000Z"}})
    assert done.status == 201, done
    answer = rig.request("GET", "/connections/bad?provider_config_key=oauth")
    assert answer.status == 424, answer
    absent("the refusal", answer.body, everything(rig))


@test
def webhooks_are_signed_and_the_key_is_rotated(rig):
    operator(rig, "PATCH", "environments/dev", {"webhook_url": rig.sink.url + "/hooks", "webhook_events": "all"})
    for _ in range(2):
        note(rig.request("POST", "/environment/webhook-signing-key/rotate").json["data"]["webhook_signing_key"])
        before = len(rig.sink.seen("/hooks"))
        rig.finish(rig.submit("fail", INPUT))
        wait_until("the app is told", lambda n=before: len(rig.sink.seen("/hooks")) > n, 20)
    shown = b"".join(call.body for call in rig.sink.seen("/hooks"))
    absent("a webhook", shown, everything(rig))


@test
def a_job_that_kills_its_process_is_set_aside(rig):
    job = rig.submit("hang", INPUT)
    wait_until("it runs", lambda: rig.witness.seen("/hang/dead"), 20)
    root = [pid for pid, name in family(rig) if name.startswith("sluice-runner") and pid != rig.nodes[0].process.pid]
    for pid in root:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            parent = int(file.read().rpartition(")")[2].split()[1])
        if parent != rig.nodes[0].process.pid:
            os.kill(pid, signal.SIGKILL)
    rig.witness.release("dead")
    rig.finish(job)
    dead = operator(rig, "GET", f"dead/{job}").body
    absent("the dead job", dead, everything(rig))
    for path in (f"jobs/{job}", "dead", "quarantine", "doctor", "workers", "webhooks/deliveries", "rekey", "syncs"):
        absent(path, operator(rig, "GET", path).body, everything(rig))


@test
def another_key_seals_them(rig):
    with open(rig.nodes[0].settings["encryption_key_file"], encoding="ascii") as file:
        old = file.read().strip()
    new = os.urandom(32).hex()
    note(old, new)
    with open(rig.nodes[0].settings["encryption_key_file"], "w", encoding="ascii") as file:
        file.write(f"{new}\n{old}\n")
    rig.nodes[0].process.send_signal(signal.SIGHUP)
    wait_until("it is told", lambda: operator(rig, "GET", "rekey?count=false").json["nodes"][0]["keys"][1:], 10)
    operator(rig, "POST", "rekey")
    wait_until("it is done", lambda: operator(rig, "GET", "rekey?count=false").json["pass"]["state"] == "finished", 20)
    assert rig.call("fetch", INPUT).status == 200


# ---- the sinks

@test
def no_log_holds_a_secret_a_key_or_an_input(rig):
    text = logs(rig)
    assert len(text) > 200 and b"level=debug" in text, "there is a log to look at"
    absent("a log", text, everything(rig) + [INPUT])


@test
def redis_holds_no_credential_and_no_api_key(rig):
    rig.submit("fetch", INPUT)  # something in flight
    absent("Redis", rig.redis.everything(), everything(rig))
    rig.redis.command("CONFIG", "SET", "rdbcompression", "no")
    rig.redis.command("SAVE")
    folder = rig.redis.command("CONFIG", "GET", "dir")[1].decode()
    with open(f"{folder}/{rig.redis.command('CONFIG', 'GET', 'dbfilename')[1].decode()}", "rb") as file:
        absent("Redis's file", file.read(), everything(rig))


@test
def a_dump_of_the_ledger_holds_no_credential_and_no_api_key(rig):
    dump = rig.postgres.dump()
    text = dump
    for line in dump.split(b"\n"):  # bytea columns are hex in a dump
        for word in line.split(b"\t"):
            if word.startswith(b"\\\\x"):
                try:
                    text += b"\n" + bytes.fromhex(word[3:].decode())
                except ValueError:
                    continue
    assert b"canary-marker" in text, "the search sees what it should"
    absent("the dump", text, everything(rig))


@test
def no_file_of_postgres_holds_one(rig):
    rig.postgres.query("CHECKPOINT")
    [[folder]] = rig.postgres.query("SHOW data_directory")
    seen = False
    for path in glob.glob(f"{folder}/base/*/*") + glob.glob(f"{folder}/pg_wal/0*") + glob.glob(f"{folder}/log*"):
        if os.path.isfile(path):
            with open(path, "rb") as file:
                text = file.read()
            seen = seen or b"canary-marker" in text
            absent(path, text, everything(rig))
    assert seen, "the search sees what it should"


@test
def no_process_shows_one_and_none_writes_a_core(rig):
    rig.call("fetch", INPUT)
    found = family(rig)
    assert len([name for _, name in found if name.startswith("sluice-runner")]) > 1, found
    for pid, name in found:
        for file_name in ("environ", "cmdline", "comm", "maps", "status", "limits"):
            try:
                with open(f"/proc/{pid}/{file_name}", "rb") as file:
                    text = file.read()
            except OSError:  # it has ended
                continue
            absent(f"{file_name} of {name}", text, everything(rig) + [INPUT])
            if file_name == "limits":
                core = [line.split()[4:6] for line in text.decode().splitlines() if line.startswith("Max core file size")]
                assert core == [["0", "0"]], (name, core)
            if file_name == "environ" and name.startswith("sluice-runner"):
                assert text in (b"", b"TZ=UTC\0"), text[:200]
        for path in glob.glob(f"/proc/{pid}/fdinfo/*") + glob.glob(f"/proc/{pid}/fd/*"):
            try:
                text = os.readlink(path).encode() if "/fd/" in path else open(path, "rb").read()
            except OSError:
                continue
            absent(f"{path} of {name}", text, everything(rig))


def memory(pid):
    """What it has written or may read, without pages that are empty; b"" when it has ended."""
    out, empty = [], bytes(1 << 20)
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
            for line in maps:
                place, rights, *_ = line.split()
                start, end = (int(at, 16) for at in place.split("-"))
                if rights[0] != "r" or "[v" in line:
                    continue
                try:
                    file.seek(start)
                    while start < end:
                        piece = file.read(min(end - start, 1 << 20))
                        if not piece:
                            break
                        start += len(piece)
                        if piece != empty[:len(piece)]:
                            out.append(piece)
                except OSError:
                    continue
    except OSError:
        return b""
    return b"".join(out)


@test
def a_function_s_process_never_had_the_credentials_it_used(rig):
    if os.geteuid() != 0:
        return  # others may not look at it, which is as it should be
    words = [API_KEY, ACCESS_TOKEN, PASSWORD, CLIENT_SECRET] + INNER + keys_of(rig)
    looked = 0
    rig.call("fetch")
    for pid, name in family(rig):
        if name.startswith("sluice-runner"):
            text = memory(pid)
            looked += b"canary-marker" in text
            found = [w for w in words if w.encode() in text or base64.b64encode(w.encode())[:-4] in text]
            assert not found, (name, found)
    assert looked > 0, "the search sees what it should"


@test
def errors_of_a_job_do_not_tell_the_credential(rig):
    for name in ("fail", "leak"):
        absent(f"the answer of {name}", rig.call(name, INPUT).body, [API_KEY])


@test
def listings_do_not_tell_credentials(rig):
    for path in ("/connections", "/integrations", "/integrations/gh", "/config/w"):
        absent(path, rig.request("GET", path).body, SEALED)


@test
def an_api_key_that_is_nearly_right_is_none(rig):
    for wrong in (rig.dev[:-1] + ("0" if rig.dev[-1] != "0" else "1"), rig.dev.upper().replace("A", "B") + "", rig.dev[:-1]):
        assert rig.request("GET", "/connections", key=wrong).status == 401, wrong


@test
def a_node_that_has_other_keys_does_not_start(rig):
    path = f"{rig.directory}/other.key"
    with open(path, "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as file:
        file.write(os.urandom(32).hex() + "\n")
    settings = {**rig.nodes[0].settings, "encryption_key_file": path, "listen": f"unix:{rig.directory}/other.sock"}
    done = rig.run(*[f"--{k.replace('_', '-')}={v}" for k, v in settings.items() if v is not None])
    assert done.returncode == 78 and path in done.stdout and "add that key" in done.stdout, done
    absent("what it says", done.stdout.encode(), everything(rig))


def prepare(rig):
    global tokens
    tokens = Tokens()
    rig.integration()
    rig.connection("c", api_key=API_KEY)
    rig.integration("basic", "private-api-basic")
    done = rig.request("POST", "/connections", {"provider_config_key": "basic", "connection_id": "b", "metadata": {"m": "canary-marker"},
                                                "credentials": {"type": "BASIC", "username": "u", "password": PASSWORD}})
    assert done.status == 201, done
    done = rig.request("POST", "/integrations", {"provider": "github", "unique_key": "gh", "credentials": {
        "type": "OAUTH2", "client_id": "i", "client_secret": CLIENT_SECRET}})
    assert done.status == 200, done
    done = rig.request("POST", "/connections", {"provider_config_key": "gh", "connection_id": "o", "credentials": {
        "type": "OAUTH2", "access_token": ACCESS_TOKEN, "refresh_token": ACCESS_TOKEN + "-refresh"}})
    assert done.status == 201, done
    note(CLIENT[1])
    done = rig.request("POST", "/integrations", {"provider": "private-api-oauth2", "unique_key": "oauth", "integration_config": {
        "baseUrl": tokens.url, "tokenUrl": tokens.url + "/token", "authorizationUrl": tokens.url}, "credentials": {
            "type": "OAUTH2", "client_id": CLIENT[0], "client_secret": CLIENT[1]}})
    assert done.status == 200, done
    operator(rig, "PUT", "environments/dev/variables/TOKEN", {"value": VARIABLE})
    done = rig.deploy_flows([
        rig.flow("fetch", "const marker = 'canary-marker'; return (await nango.get({ endpoint: '/ok', params: { q: 'x' } })).status;"),
        rig.flow("fail", "await nango.get({ endpoint: '/status/500' });"),
        rig.flow("hang", "await nango.get({ endpoint: '/hang/dead' });"),
        rig.flow("leak", "try { await nango.get({ endpoint: '/status/401' }); } catch (e) { throw new Error(JSON.stringify(e) + e.stack); }"),
        rig.flow("variables", "return await nango.getEnvironmentVariables();"),
        rig.flow("resource", "return (await nango.get({ endpoint: '/resource' })).status;", "oauth"),
        flows.sync("items", "const { data } = await nango.get({ endpoint: '/secret-record' });"
                            " await nango.batchSave([{ id: '1', text: data.text }], 'Item');")])
    assert done.status == 200, done


main(lambda: SinkRig(settings={"log_level": "debug", "deaths_max": "1"}, prepare=prepare))
