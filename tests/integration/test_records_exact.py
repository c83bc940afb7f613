"""Records are exact: every filter with every other, bytes that come back as they were saved, the life of a record by
the wire's sentences, and readers that miss nothing while syncs and webhooks write one model."""
import itertools
import json
import os
import sys
import threading
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import flows
from rig import Rig, wait_until
from tap import main, test

# Does the steps that the provider gives it; what the last one returned goes back as the text that it is in the function.
PLAY = """
    const todo = (await nango.get({ endpoint: '/todo/' + nango.connectionId })).data;
    let last;
    for (const [call, value] of todo) {
        last = call === 'list' ? await (async () => { const out = []; for await (const r of nango.listRecords('Item')) out.push(r); return out; })()
            : call === 'refused' ? await nango.batchSave(value, 'Item').then(() => 'saved', (error) => error.message)
            : call === 'ids' ? [...await nango.getRecordsByIds(value, 'Item')] : await nango[call](value, 'Item');
    }
    await nango.post({ endpoint: '/said/' + nango.connectionId, data: { last: JSON.stringify(last) } });
"""
# Saves its own records, version by version, one that nobody changes again, and one that all writers share.
WRITER = """
    const { from, versions } = await nango.getMetadata();
    for (let v = from; v < from + versions; v++) {
        const own = []; for (let i = 0; i < 7; i++) own.push({ id: 'NAME-' + (v * 3 + i) % 20, by: 'NAME', v });
        await nango.batchSave(own.concat([{ id: 'NAME-once-' + v, by: 'NAME', v }, { id: 'shared', by: 'NAME', v }]), 'Item');
        if (v % 5 === 4) await nango.batchDelete([{ id: 'NAME-' + v % 20, by: 'NAME', v }], 'Item');
    }
"""
HOOK = "await nango.batchSave([{ id: 'hook-' + payload.n % 10, by: 'hook', v: payload.n }, { id: 'hook-once-' + payload.n }, { id: 'shared', by: 'hook', v: payload.n }], 'Item');"
WRITERS = ("one", "two", "three")


def prepare(rig):
    rig.todo, rig.said = {}, {}
    rig.witness.routes["todo"] = lambda call: (200, {}, rig.todo[call.path.split("/")[2]])
    rig.integration()
    rig.integration("hook", "unauthenticated")
    for name in ("grid", "bytes", "big", "life"):
        rig.connection(name)
    answer = rig.request("POST", "/connections", {"provider_config_key": "hook", "connection_id": "load", "credentials": {"type": "NONE"}})
    assert answer.status == 201, answer
    done = rig.deploy_flows([flows.sync("play", PLAY),
                             flows.sync("one", WRITER.replace("NAME", "one"), "hook", webhook=HOOK, subscriptions=["*"]),
                             *(flows.sync(name, WRITER.replace("NAME", name), "hook") for name in WRITERS[1:])])
    assert done.status == 200, done


def play(rig, connection, steps, sync="play"):
    """steps: JSON text, or a list; returns what the last call returned, as JSON text of the function."""
    rig.todo[connection] = (steps if isinstance(steps, str) else json.dumps(steps)).encode()
    before = len(rig.witness.seen(f"/said/{connection}"))
    asked = rig.request("POST", "/sync/trigger", {"syncs": [sync], "provider_config_key": "w", "connection_id": connection})
    assert asked.status == 200 and asked.headers["x-sluice-started"] == "1", asked
    said = rig.witness.wait_seen(f"/said/{connection}", before + 1)[-1]
    wait_until("the run has ended", lambda: ended(rig, connection, sync), 20)
    return json.loads(said.body).get("last")


def integration(connection):
    return "hook" if connection == "load" else "w"


def status(rig, connection, sync="play"):
    return rig.request("GET", f"/sync/status?syncs={sync}&provider_config_key={integration(connection)}&connection_id={connection}").json["syncs"][0]


def ended(rig, connection, sync):
    entry = status(rig, connection, sync)
    assert entry["latestExecutionStatus"] in ("RUNNING", "SUCCESS"), entry
    return entry["status"] != "RUNNING"


def ask(rig, connection, **query):
    pairs = [(name, each) for name, value in query.items() for each in (value if isinstance(value, list) else [value]) if each is not None]
    answer = rig.request("GET", f"/records?{urllib.parse.urlencode([('model', 'Item'), *pairs])}",
                         headers={"Connection-Id": connection, "Provider-Config-Key": integration(connection)})
    assert answer.status == 200, answer
    return answer


def records(rig, connection, **query):
    return ask(rig, connection, limit=10000, **query).json["records"]


def meta(record):
    return record["_nango_metadata"]


def shown(record):
    return {name: value for name, value in record.items() if name != "_nango_metadata"}


# ---- filters

@test(seconds=90)
def every_filter_agrees_with_every_other(rig):
    for variant in ("play", "play::other"):
        if variant != "play":
            made = rig.request("POST", "/sync/play/variant/other", {"provider_config_key": "w", "connection_id": "grid"})
            assert made.status == 200, made
        for step in (["a", "b", "c", "d", "e", "f"], ["b", "c", "g"], ["h", "i"]):
            play(rig, "grid", [["batchSave", [{"id": each, "step": step[0], "variant": variant} for each in step]]], variant)
        play(rig, "grid", [["batchDelete", [{"id": "c"}, {"id": "d"}, {"id": "x"}]], ["batchSave", [{"id": "d", "again": True}]]], variant)
    actions = ("added", "updated", "deleted")
    for variant in (None, "base", "other"):
        everything = records(rig, "grid", variant=variant)
        assert sorted(r["id"] for r in everything) == list("abcdefghix") and {meta(r)["last_action"] for r in everything} == {
            "ADDED", "UPDATED", "DELETED"}, everything
        assert all(r.get("variant", f"play{'::other' if variant == 'other' else ''}") == f"play{'::other' if variant == 'other' else ''}"
                   for r in everything), everything
        middle = everything[4]
        for words, since, after, ids in itertools.product(
                [c for n in range(4) for c in itertools.combinations(actions, n)], (False, True), (False, True), (False, True)):
            want = [r["id"] for r in everything
                    if (not words or meta(r)["last_action"].lower() in words)
                    and (not since or meta(r)["last_modified_at"] >= meta(middle)["last_modified_at"])
                    and (not after or everything.index(r) > 1) and (not ids or r["id"] in "bcdxh")]
            query = {"variant": variant, "filter": ",".join(words) or None, "ids": [*"bcdxh", "none"] if ids else None,
                     "modified_after": meta(middle)["last_modified_at"].replace("+00:00", "Z") if since else None,
                     "cursor": meta(everything[1])["cursor"] if after else None}
            got, cursor = [], query.pop("cursor")
            while True:
                page = ask(rig, "grid", limit=3, cursor=cursor, **query).json
                got += [r["id"] for r in page["records"]]
                assert len(page["records"]) <= 3 and (page["next_cursor"] is None or len(page["records"]) == 3)
                cursor = page["next_cursor"]
                if cursor is None:
                    break
            assert got == want, (variant, words, since, after, ids, got, want)


@test
def a_hundred_ids_can_be_asked_for(rig):
    play(rig, "big", [["batchSave", [{"id": n} for n in range(150)]]])
    assert sorted(int(r["id"]) for r in records(rig, "big", ids=[str(n) for n in range(30, 130)])) == list(range(30, 130))
    assert len(ask(rig, "big").json["records"]) == 100 and len(ask(rig, "big", limit=1).json["records"]) == 1


# ---- bytes

# As it comes from the provider, and as JSON.stringify(JSON.parse(text)) of Node.js writes it: JavaScript has doubles, so
# whole numbers above 2^53 are rounded where the function parses them, -0 loses its sign and exponents are normalised.
BYTES = [
    ("9007199254740993", "9007199254740992"), ("12345678901234567890", "12345678901234567000"), ("1e21", "1e+21"), ("-0", "0"),
    ("0.1", "0.1"), ("5e-324", "5e-324"), ("1.0", "1"), ("1e400", "null"), ("9007199254740991", "9007199254740991"),
    ("-1.7976931348623157e308", "-1.7976931348623157e+308"), ("123456789.123456789", "123456789.12345679"),
    ('"\\u0000 in a value"', '"\\u0000 in a value"'), ('{"\\u0000key\\u0000":1}', '{"\\u0000key\\u0000":1}'),
    ('"😀 e\u0301 \u200f \ufffe"', '"😀 e\u0301 \u200f \ufffe"'), ('"\\ud83d\\ude00"', '"😀"'), ('"\\ud800"', '"\\ud800"'),
    ('"\\udc00x"', '"\\udc00x"'), ('{"\\ud800":1}', '{"\\ud800":1}'), ('"\u2028\u2029"', '"\u2028\u2029"'),
    ('"\\u007f\\u001f\\/\\n"', '"\x7f\\u001f/\\n"'), ('{"__proto__":{"x":1},"constructor":2,"prototype":3}', '{"__proto__":{"x":1},"constructor":2,"prototype":3}'),
    ("[" * 100 + "]" * 100, "[" * 100 + "]" * 100), ('{"d":' * 100 + "1" + "}" * 100, '{"d":' * 100 + "1" + "}" * 100), ('{"b":1,"a":2,"10":3,"9":4}', '{"9":4,"10":3,"b":1,"a":2}'),
]


@test(seconds=60)
def values_come_back_byte_for_byte(rig):
    given = ",".join(f'{{"id":"{n}","needle-{n}":{text}}}' for n, (text, _) in enumerate(BYTES))
    play(rig, "bytes", f'[["batchSave",[{given}]]]')
    listed = play(rig, "bytes", [["list", None]])
    by_ids = play(rig, "bytes", [["ids", [str(n) for n in range(len(BYTES))]]])
    body = ask(rig, "bytes").body.decode()
    for n, (_, text) in enumerate(BYTES):
        want = f'{{"id":"{n}","needle-{n}":{text},"_nango_metadata"'
        assert want in body, (n, text, body[body.index(f'"needle-{n}"'):][:300])
        assert want in listed and want in by_ids, (n, text)
    # Parsed and merged with nothing, they are the same: nobody is told of a change.
    play(rig, "bytes", f'[["batchSave",[{given}]],["batchUpdate",[{{"id":"0"}},{{"id":"12"}}]]]')
    assert status(rig, "bytes")["latestResult"] == {"Item": {"added": 0, "updated": 0, "deleted": 0}}, status(rig, "bytes")
    assert b"needle-" not in rig.postgres.dump()


@test(seconds=60)
def a_record_of_a_megabyte_comes_back_whole(rig):
    text = "é😀x" * 150000
    assert play(rig, "big", [["batchSave", [{"id": "mega", "text": text}]], ["ids", ["mega"]]]).startswith('[["mega",{"id":"mega","text":"é😀x')
    [record] = records(rig, "big", ids="mega")
    assert shown(record) == {"id": "mega", "text": text}


# ---- the life of a record

@test(seconds=60)
def a_record_lives_as_the_wire_says(rig):
    def now(*steps):
        play(rig, "life", list(steps))
        return {r["id"]: r for r in records(rig, "life")}

    def counts():
        return status(rig, "life")["latestResult"]["Item"]

    first = now(["batchSave", [{"id": 7, "v": 1}, {"id": "7", "v": 2}, {"id": 1.5, "v": 1}, {"id": "nul\0l", "v": 1}]])
    assert {name: shown(r) for name, r in first.items()} == {
        "7": {"id": "7", "v": 1}, "1.5": {"id": "1.5", "v": 1}, "null": {"id": "null", "v": 1}}, first  # the first of an id counts
    assert counts() == {"added": 3, "updated": 0, "deleted": 0} and all(meta(r)["last_action"] == "ADDED" for r in first.values())
    found = json.loads(play(rig, "life", [["ids", [7, "nul\0l", "none"]]]))
    assert found == [[7, first["7"]], ["nul\0l", first["null"]]], found  # by what the caller calls them
    second = now(["batchSave", [{"id": 7, "v": 1}, {"id": 1.5, "v": 2}]])
    assert second["7"] == first["7"] and counts() == {"added": 0, "updated": 1, "deleted": 0}, second
    assert meta(second["1.5"])["last_action"] == "UPDATED" and meta(second["1.5"])["first_seen_at"] == meta(first["1.5"])["first_seen_at"]
    assert meta(second["1.5"])["last_modified_at"] > meta(first["1.5"])["last_modified_at"]
    third = now(["batchDelete", [{"id": 7, "deletedAt": "2026-01-02T03:04:05.678Z"}, {"id": "never"}, {"id": "1.5"}]])
    assert counts() == {"added": 0, "updated": 0, "deleted": 2}, counts()
    assert meta(third["7"])["deleted_at"] == "2026-01-02T03:04:05.678000+00:00" and "v" not in third["7"], third["7"]
    assert meta(third["never"])["last_action"] == "DELETED" and meta(third["1.5"])["deleted_at"] == meta(third["1.5"])["last_modified_at"]
    fourth = now(["batchSave", [{"id": 7, "v": 1}, {"id": "never", "v": 1}]], ["batchDelete", [{"id": "1.5", "x": 1}]])
    assert counts() == {"added": 2, "updated": 0, "deleted": 0}, counts()
    assert meta(fourth["7"])["last_action"] == "ADDED" and meta(fourth["7"])["deleted_at"] is None
    assert meta(fourth["7"])["first_seen_at"] == meta(fourth["7"])["last_modified_at"] > meta(first["7"])["last_modified_at"]
    assert fourth["1.5"] == third["1.5"]  # deleted before: left as it was
    fifth = now(["batchUpdate", [{"id": 7, "o": {"a": 1, "l": [1, 2]}}]], ["batchUpdate", [
        {"id": "7", "o": {"b": None, "l": [3]}}, {"id": "1.5", "v": 9}, {"id": "unknown", "v": 9}]])
    assert shown(fifth["7"]) == {"id": "7", "v": 1, "o": {"a": 1, "l": [3], "b": None}} and "unknown" not in fifth, fifth
    assert fifth["1.5"] == third["1.5"] and counts() == {"added": 0, "updated": 2, "deleted": 0}, (fifth, counts())


@test
def a_call_with_a_record_twice_and_one_without_an_id_is_refused_and_saves_nothing(rig):
    said = play(rig, "life", [["refused", [{"id": "twice"}, {"id": "twice"}, {"id": None}]]])
    assert "index 2" in said and not records(rig, "life", ids="twice"), said


# ---- readers beside writers

class Reader(threading.Thread):
    """Follows cursors, or asks for what was modified since the last thing it saw, as apps do."""

    def __init__(self, rig, by_cursor):
        super().__init__(daemon=True)
        self.rig, self.by_cursor, self.known, self.place, self.stop, self.error = rig, by_cursor, {}, None, False, None

    def turn(self):
        query = {"cursor": self.place} if self.by_cursor else {"modified_after": self.place}
        while True:
            page = ask(self.rig, "load", limit=50, **query).json
            for record in page["records"]:
                self.known[record["id"]] = record
            if page["records"]:
                last = meta(page["records"][-1])
                self.place = last["cursor"] if self.by_cursor else last["last_modified_at"].replace("+00:00", "Z")
            if page["next_cursor"] is None:
                return
            query = {**query, "cursor": page["next_cursor"]}

    def run(self):
        try:
            while not self.stop:
                self.turn()
            self.turn()
        except Exception as error:
            self.error = error


@test(seconds=120)
def readers_miss_nothing_while_syncs_and_webhooks_write_one_model(rig):
    readers = [Reader(rig, True), Reader(rig, False)]
    url = rig.request("GET", "/integrations/hook?include=webhook").json["data"]["webhook_url"]
    place = url[url.index("/webhook/"):]
    for reader in readers:
        reader.start()
    hooks = 0
    for turn in range(3):
        rig.request("POST", "/connections/metadata", {"connection_id": "load", "provider_config_key": "hook", "metadata": {
            "from": turn * 60, "versions": 60}})
        asked = rig.request("POST", "/sync/trigger", {"syncs": list(WRITERS), "provider_config_key": "hook", "connection_id": "load"})
        assert asked.headers["x-sluice-started"] == "3", asked
        for _ in range(10):
            answer = rig.request("POST", place, {"type": "any", "connectionId": "load", "n": hooks}, key=None)
            assert answer.status == 200, answer
            hooks += 1
        wait_until("the writers have ended", lambda: all(ended(rig, "load", name) for name in WRITERS), 60)
    wait_until("the webhooks are written", lambda: {r["id"]: r for r in records(rig, "load")}.get(f"hook-{(hooks - 1) % 10}", {}).get("v")
               == hooks - 1, 30)
    for reader in readers:
        reader.stop = True
        reader.join(30)
        assert reader.error is None and not reader.is_alive(), reader.error
    truth = {r["id"]: r for r in records(rig, "load")}
    assert len(truth) == 3 * (20 + 180) + 10 + hooks + 1, sorted(truth)
    for reader in readers:
        assert reader.known == truth, (reader.by_cursor, [(name, reader.known.get(name), r) for name, r in truth.items() if reader.known.get(name) != r][:3])
    for name in WRITERS:  # and what is there is what was written last
        for n in range(20):
            last = max(v for v in range(180) if (n - v * 3) % 20 < 7)
            record = truth[f"{name}-{n}"]
            assert record["v"] >= last, (record, last)


main(lambda: Rig(nodes=3, prepare=prepare))  # each has a connection of its own to the ledger
