"""Secrets stay put: after use, no log, no Redis key and no dump of the ledger holds one of them."""
import glob
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig
from tap import main, test

API_KEY = "canary-api-key-7f3a91"
ACCESS_TOKEN = "canary-access-token-51c2d8"
PASSWORD = "canary-password-88e0b4"
CLIENT_SECRET = "canary-client-secret-0d9e27"
VARIABLE = "canary-variable-c4411f"
INPUT = "canary-input-99ab31"
SEALED = (API_KEY, ACCESS_TOKEN, PASSWORD, CLIENT_SECRET, VARIABLE)


def logs(rig):
    out = b""
    for path in [node.log_path for node in rig.nodes] + glob.glob(f"{rig.directory}/*/log"):
        with open(path, "rb") as file:
            out += file.read()
    return out


def absent(what, text, words):
    found = [w for w in words if w.encode() in text]
    assert not found, f"{what} holds {found}"


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
def no_log_holds_a_secret_a_key_or_an_input(rig):
    text = logs(rig)
    assert len(text) > 200, "there is a log to look at"
    absent("a log", text, SEALED + (INPUT,) + tuple(v for k, v in rig.keys.items() if "KEY" in k))


@test
def redis_holds_no_credential_and_no_api_key(rig):
    rig.submit("fetch", INPUT)  # something in flight
    absent("Redis", rig.redis.everything(), SEALED + tuple(v for k, v in rig.keys.items() if "KEY" in k))


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
    absent("the dump", text, SEALED + tuple(v for k, v in rig.keys.items() if "KEY" in k))


def descends(pid, ancestor):
    while pid > 1 and pid != ancestor:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            pid = int(file.read().rpartition(")")[2].split()[1])
    return pid == ancestor


@test
def no_process_shows_a_secret_on_its_command_line_or_in_a_runners_environment(rig):
    out, runners = b"", 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    line = file.read()
                with open(f"/proc/{name}/environ", "rb") as file:
                    environment = file.read()
                ours = descends(int(name), rig.nodes[0].process.pid)
            except (OSError, ValueError):
                continue
            if b"sluice" in line:
                out += line
            if b"sluice-runner" in line and ours:  # other tests have runners, too, in whatever state
                runners += 1
                assert environment in (b"", b"TZ=UTC\0"), environment[:200]
    absent("a command line", out, SEALED + tuple(v for k, v in rig.keys.items() if "KEY" in k))
    assert runners > 0


@test
def errors_of_a_job_do_not_tell_the_credential(rig):
    for name in ("fail", "leak"):
        absent(f"the answer of {name}", rig.call(name, INPUT).body, (API_KEY,))


@test
def listings_do_not_tell_credentials(rig):
    for path in ("/connections", "/integrations", "/integrations/gh", "/config/w"):
        absent(path, rig.request("GET", path).body, SEALED)


@test
def a_core_of_the_daemon_is_not_written(rig):
    with open(f"/proc/{rig.nodes[0].process.pid}/limits", encoding="ascii") as file:
        core = [line.split()[4] for line in file if line.startswith("Max core file size")][0]
    assert core == "0", core


@test
def another_sealing_key_does_not_open_what_is_there(rig):
    """A ciphertext under an unknown key is an error that names no secret, not garbage sent to a provider."""
    rig.nodes[0].stop()
    before = rig.nodes[0].settings["encryption_key_file"]
    path = f"{rig.directory}/other.key"
    subprocess.run(["sh", "-c", f"head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \\n' > {path}; chmod 600 {path}"], check=True)
    calls = len(rig.witness.calls)
    rig.nodes[0].settings["encryption_key_file"] = path
    try:
        rig.nodes[0].start()
        answer = rig.call("fetch", INPUT)
        assert answer.status >= 400 and len(rig.witness.calls) == calls, answer
        absent("the answer", answer.body, SEALED)
    finally:
        rig.nodes[0].stop()
        rig.nodes[0].settings["encryption_key_file"] = before
        rig.nodes[0].start()
    assert rig.call("fetch", INPUT).status == 200


def prepare(rig):
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
    done = rig.request("PUT", "/admin/v1/environments/dev/variables/TOKEN", {"value": VARIABLE}, key=rig.keys["SLUICE_OPERATOR_KEY"])
    assert done.status < 300, done
    rig.deploy({"fetch": "return (await nango.get({ endpoint: '/ok', params: { q: 'x' } })).status;",
                "fail": "await nango.get({ endpoint: '/status/500' });",
                "leak": "try { await nango.get({ endpoint: '/status/401' }); } catch (e) { throw new Error(JSON.stringify(e) + e.stack); }",
                "variables": "return await nango.getEnvironmentVariables();"})


main(lambda: Rig(settings={"log_level": "debug"}, prepare=prepare))
