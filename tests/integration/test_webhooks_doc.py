"""What doc/webhooks.md shows as code does what the document says: switching on, the bodies, each way to verify, the receiver, the requests."""
import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import flows
from rig import ROOT, build_directory, clean_environment, free_port
from servers import stop, wait_until
from sink import OK, SinkRig, status
from tap import main, test

with open(f"{ROOT}/doc/webhooks.md", encoding="utf-8") as _file:
    TEXT = _file.read()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
FILES = {re.match(r"(?://|#) (\S+)\n", body).group(1): body for kind, body in BLOCKS if kind in ("js", "py")}
SYNCS = {
    "contacts": "await nango.saveCheckpoint({ page: 2 });"
                "await nango.batchSave([{ id: '1' }, { id: '2' }], 'Contact');",
    "broken": "await nango.get({ endpoint: '/ok', retries: 0 }); throw new Error('as asked');",
}


def block(kind, words):
    """The one block of that kind in which the words stand."""
    [body] = [body for k, body in BLOCKS if k == kind and words in body]
    return body


def prepare(rig):
    rig.hook = f"{rig.sink.url}/hooks"
    rig.integration("crm")
    rig.connection("ada", "crm")
    done = rig.deploy_flows([rig.flow("good", "return 1;", "crm"), rig.flow("bad", "throw new Error('as asked');", "crm"),
                             *(flows.sync(name, code, "crm", ("Contact",)) for name, code in SYNCS.items())])
    assert done.status == 200, done
    for name, text in FILES.items():
        with open(f"{rig.directory}/{name}", "w", encoding="utf-8") as file:
            file.write(text)
    os.symlink(f"{ROOT}/tests/clients/node_modules", f"{rig.directory}/node_modules")


def shell(rig, script, **variables):
    known = {"API": f"http://127.0.0.1:{rig.nodes[0].port}", "KEY": rig.dev, "OPERATOR": rig.keys["SLUICE_OPERATOR_KEY"], "HOOK": rig.hook,
             "DIR": f"{rig.directory}/data", "PATH": f"{build_directory()}:{os.environ['PATH']}", **getattr(rig, "secrets", {})}
    done = subprocess.run(["sh", "-euc", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=False, timeout=60, cwd=rig.directory, env=clean_environment({**known, **variables}))
    assert done.returncode == 0, (script, done.stdout, done.stderr)
    return done.stdout


def sends(rig, kind, act):
    """The next webhook of that type that comes once act() was called."""
    before = len(rig.sink.seen("/hooks"))
    act()
    return wait_until(f"a webhook of type {kind} comes", lambda: next(
        (r for r in rig.sink.seen("/hooks")[before:] if r.json["type"] == kind), None), 20)


def start_sync(rig, name):
    done = rig.request("POST", "/sync/trigger", {"provider_config_key": "crm", "connection_id": "ada", "syncs": [name]})
    assert done.status == 200, done


def shape(value):
    """Which members there are, and of what kind."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__


@test
def webhooks_are_switched_on_by_the_command_and_over_http(rig):
    out = shell(rig, block("sh", "webhook_events=all"))
    assert re.search(f"^webhook_url +{rig.hook}$", out, re.MULTILINE) and "status       200  (delivered)" in out, out
    assert rig.sink.wait(1, "/hooks")[0].json["type"] == "test"
    shown = dict(re.findall(r"^(webhook_signing_key|standard_webhooks_secret) +(\S+)$", out, re.MULTILINE))
    rig.secrets = {"WEBHOOK_KEY": shown["webhook_signing_key"], "WEBHOOK_SECRET": shown["standard_webhooks_secret"]}
    out = shell(rig, block("sh", "-X PATCH"))
    environment, key = re.fullmatch(r"(\{.*\})(\{.*?\})\s*", out, re.DOTALL).groups()
    assert json.loads(environment)["webhook_url"] == rig.hook, environment
    assert json.loads(key)["webhook_signing_key"] == rig.secrets["WEBHOOK_KEY"], key


@test
def each_body_has_the_members_that_are_shown_and_is_signed(rig):
    rig.last = {}

    def comes(of, act):
        request = sends(rig, of["type"], act)
        assert shape(request.json) == shape(of), (request.json, of)
        assert not request.faults(rig.secrets["WEBHOOK_KEY"]), request.faults(rig.secrets["WEBHOOK_KEY"])
        for name in ("connectionId", "providerConfigKey", "success", "error", "syncName", "syncType", "model", "authMode", "provider"):
            assert request.json.get(name) == of.get(name), (name, request.json, of)
        rig.last[of["type"]] = request
    bodies = [json.loads(body) for kind, body in BLOCKS if kind == "json"]
    good, bad, changed, broken, made = bodies
    assert all(list(b) == sorted(b) for b in bodies)
    comes(bad, lambda: rig.submit("bad", {}, connection="ada", integration="crm"))
    comes(good, lambda: rig.submit("good", {}, connection="ada", integration="crm"))
    comes(changed, lambda: start_sync(rig, "contacts"))
    comes(broken, lambda: start_sync(rig, "broken"))
    assert rig.request("DELETE", "/connections/ada?provider_config_key=crm").status == 200
    comes(made, lambda: rig.connection("ada", "crm"))


@test
def each_way_to_verify_accepts_what_came_and_nothing_that_was_changed(rig):
    request = sends(rig, "async_action", lambda: rig.submit("good", {}, connection="ada", integration="crm"))
    with open(f"{rig.directory}/body.json", "wb") as file:
        file.write(request.body)
    with open(f"{rig.directory}/headers.json", "w", encoding="utf-8") as file:
        json.dump(request.headers, file)
    for name in ("nango.mjs", "standard.mjs", "plain.mjs"):
        script = (f"import {{ isGenuine }} from './{name}'; import {{ readFileSync }} from 'node:fs';"
                  " const body = readFileSync('body.json', 'utf8'), headers = JSON.parse(readFileSync('headers.json'));"
                  " console.log(isGenuine(body, headers), isGenuine(body + ' ', headers));")
        assert shell(rig, f'node --input-type=module -e "{script}"') == "true false\n", name
    script = ("import json; from plain import is_genuine; body = open('body.json', 'rb').read(); headers = json.load(open('headers.json'));"
              " print(is_genuine(body, headers), is_genuine(body + b' ', headers))")
    assert shell(rig, f'python3 -B -c "{script}"') == "True False\n"
    assert shell(rig, block("sh", "openssl dgst")).strip() == request.headers["x-nango-hmac-sha256"]


@test
def the_receiver_takes_each_event_once_and_refuses_what_is_not_signed(rig):
    port = free_port()
    with open(f"{rig.directory}/receiver.log", "wb") as log:
        process = subprocess.Popen(["node", "receiver.mjs"], cwd=rig.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   env=clean_environment({"PORT": str(port), "PATH": os.environ["PATH"], **rig.secrets}))

    def taken():
        with open(f"{rig.directory}/receiver.log", encoding="utf-8") as file:
            return file.read().split()
    try:
        url = f"http://127.0.0.1:{port}/"
        wait_until("it listens", lambda: "401" in shell(rig, f"curl -s -o /dev/null -w '%{{http_code}}' -d '{{}}' {url} || true"), 10)
        shell(rig, f'sluice --dir "$DIR" env set dev webhook_url={url} webhook_events=async_action')
        job = rig.submit("good", {}, connection="ada", integration="crm")
        wait_until("it has it", lambda: taken() == ["async_action"], 15)
        row = wait_until("it is delivered", lambda: (lambda rows: rows[0] if rows and rows[0]["state"] == "delivered" else None)(
            rig.request("GET", f"/webhooks/deliveries?job={job}").json["deliveries"]), 10)
        assert rig.request("POST", f"/webhooks/deliveries/{row['id']}/resend", {}).status == 200
        wait_until("it was sent again", lambda: (lambda d: d["tries"] == 2 and d["state"] == "delivered")(
            rig.request("GET", f"/webhooks/deliveries/{row['id']}").json["delivery"]), 15)
        assert taken() == ["async_action"], taken()
    finally:
        stop(process)
        shell(rig, 'sluice --dir "$DIR" env set dev webhook_url="$HOOK" webhook_events=all')


@test
def what_is_asked_of_deliveries_and_endpoints_does_what_is_said(rig):
    rig.sink.answer("/hooks", status(500), OK)
    job = rig.submit("bad", {}, connection="ada", integration="crm")
    delivery = wait_until("a try failed", lambda: (lambda rows: rows[0] if rows and rows[0]["state"] == "retrying" else None)(
        rig.request("GET", f"/webhooks/deliveries?job={job}").json["deliveries"]), 15)
    out = shell(rig, block("sh", "webhook ls dev --state failed"))
    assert delivery["id"] in out and delivery["endpoint"]["id"] in out and "0 are sent again" in out, out
    out = shell(rig, block("sh", "api GET '/webhooks/deliveries?state=failed"), DELIVERY=delivery["id"], ENDPOINT=delivery["endpoint"]["id"])
    for words in (f'"id":"{delivery["id"]}"', '"attempts":[', '"resent":0', '"endpoints":[', '"cause":"operator"', '"status":200'):
        assert words in out, (words, out)
    wait_until("it is delivered", lambda: rig.request("GET", f"/webhooks/deliveries/{delivery['id']}").json["delivery"]["state"] == "delivered", 15)
    assert "(delivered)" in shell(rig, block("sh", 'webhook test "$HOOK" --environment dev'))


@test
def for_a_day_after_a_rotation_both_keys_sign(rig):
    before = rig.secrets["WEBHOOK_KEY"]
    out = shell(rig, block("sh", "rotate-key"))
    after = re.search(r"^webhook_signing_key +(\S+)$", out, re.MULTILINE).group(1)
    request = sends(rig, "async_action", lambda: rig.submit("good", {}, connection="ada", integration="crm"))
    assert after != before and not request.faults(after, before), request.faults(after, before)
    until = re.search(r"^previous_until +(\S+)$", out, re.MULTILINE).group(1)
    ends = time.mktime(time.strptime(until[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    assert abs(ends - time.time() - 86400) < 60, until


@test
def every_block_is_run_here(_rig):
    ran = ("webhook_events=all", "-X PATCH", "openssl dgst", "webhook ls dev --state failed", "api GET '/webhooks/deliveries?state=failed",
           "rotate-key", 'webhook test "$HOOK" --environment dev')
    assert [kind for kind, body in BLOCKS if kind == "sh" and sum(words in body for words in ran) != 1] == []
    assert {kind for kind, _ in BLOCKS} == {"sh", "json", "js", "py"} and len(FILES) == 5, FILES.keys()


if __name__ == "__main__":
    main(lambda: SinkRig(standalone=True, prepare=prepare))
