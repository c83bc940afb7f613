"""Entries of the queue that are none: kept for a human with a reason, or left for who can read them; the key goes on in either case."""
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig
from servers import wait_until
from tap import main, test

FUNCTIONS = {
    "echo": "return input;",
    "call": "const r = await nango.get({ endpoint: input.path }); return r.data.path;",
}
PREFIX = "sluice:{s00}:"
SEED = 4711


def key_of(rig, env="dev"):
    return rig.postgres.query(f"SELECT k.id FROM concurrency_key k JOIN environment e ON e.id = k.environment_id"
                              f" WHERE k.name = 'actions' AND e.name = '{env}'")[0][0]


def quarantined(rig, after=0):
    return rig.postgres.query(f"SELECT id, key_id, security, reason, encode(bytes, 'hex') FROM quarantine WHERE id > {after} ORDER BY id")


def newest(rig):
    return int(rig.postgres.query("SELECT coalesce(max(id), 0) FROM quarantine")[0][0])


def put(rig, entries, lane="q", env="dev"):
    """Entries as somebody with access to Redis would write them, and the key lined up as a push does."""
    key = key_of(rig, env)
    rig.redis.command("RPUSH", f"{PREFIX}{lane}:{key}", *entries)
    if lane == "f":
        rig.redis.command("SADD", f"{PREFIX}fronts", key)
    rig.redis.command("ZADD", f"{PREFIX}ready", "NX", "0", key)
    if not rig.redis.command("LLEN", f"{PREFIX}wake"):
        rig.redis.command("RPUSH", f"{PREFIX}wake", "1")


def behind_a_gate(rig, name, write, env="dev"):
    """Runs write() while a job holds the key, then lets it go; its answer."""
    gate = rig.submit("call", {"path": f"/hang/{name}"}, env=env)
    rig.witness.wait_seen(f"/hang/{name}")
    made = write()
    rig.witness.release(name)
    assert rig.finish(gate, env=env).status == 200
    return made


def real_entry(rig, name, env="dev"):
    """The bytes of an entry that a node has written, and the job, which is taken out of the queue and ended."""
    gate = rig.submit("call", {"path": f"/hang/{name}"}, env=env)
    rig.witness.wait_seen(f"/hang/{name}")
    job = rig.submit("echo", "real", env=env)
    queue = f"{PREFIX}q:{key_of(rig, env)}"
    wait_until("both stand there", lambda: rig.redis.command("LLEN", queue) == 2, 5)
    entry = rig.redis.command("LINDEX", queue, 1)
    rig.witness.release(name)
    assert rig.finish(gate, env=env).status == 200 and rig.finish(job, env=env).status == 200
    return entry, job


def goes_on(rig, env="dev"):
    assert rig.finish(rig.submit("echo", "goes on", env=env), 20, env=env).json == "goes on"


def kept(rig, before, entries):
    """Waits until these entries, and no others, are in quarantine; their rows by bytes."""
    wanted = {entry.hex() for entry in entries}
    wait_until(f"{len(wanted)} in quarantine", lambda: {row[4] for row in quarantined(rig, before)} >= wanted, 15)
    rows = {row[4]: row for row in quarantined(rig, before)}
    assert set(rows) == wanted, set(rows) ^ wanted
    return rows


@test
def bytes_that_are_no_entry_are_kept_and_the_key_goes_on(rig):
    """42, 43, 44: empty, short, random, with heads that claim millions of items."""
    before, rng = newest(rig), random.Random(SEED)
    entries = [b"", b"x", b"000000000001", b"\x00" * 28] + [rng.randbytes(rng.randrange(1, 400)) for _ in range(40)]
    for head in (b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdc\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x91" * 64, b"\xc7\x05\x01abcde",
                 b"\x81\xa1\xff\x01", b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"):
        entries.append(b"000000000009" + head + b"m" * 16)
    put(rig, entries)
    goes_on(rig)
    kept(rig, before, entries)


@test
def an_entry_cut_at_any_place_or_changed_in_any_byte_is_kept(rig):
    entry, _ = real_entry(rig, "cut")
    before = newest(rig)
    cut = [entry[:n] for n in range(len(entry))]
    changed = [entry[:n] + bytes([entry[n] ^ 1]) + entry[n + 1:] for n in range(len(entry))]
    for part in (cut, changed):
        put(rig, part)
        goes_on(rig)
    rows = kept(rig, before, cut + changed)
    assert all(rows[e.hex()][2] == "t" for e in changed[20:]), "a forged one is a security event"


@test
def an_entry_of_another_key_is_a_security_event_and_does_not_run_there(rig):
    """47: the right MAC in the wrong place."""
    entry, job = real_entry(rig, "other")
    before, log = newest(rig), len(rig.nodes[0].log())
    put(rig, [entry], env="prod")
    goes_on(rig, "prod")
    rows = kept(rig, before, [entry])
    assert rows[entry.hex()][1] == key_of(rig, "prod") and rows[entry.hex()][2] == "t", rows
    assert "security_queue_entry" in rig.nodes[0].log()[log:]
    assert rig.postgres.query(f"SELECT count(*) FROM result WHERE job_id = '{job}'") == [["1"]]


@test
def an_entry_whose_job_is_gone_is_kept_and_one_without_an_entry_still_runs(rig):
    """46: neither side alone decides."""
    entry, job = real_entry(rig, "gone")
    for table in ("result", "attempt", "job"):
        column = "id" if table == "job" else "job_id"
        rig.postgres.query(f"DELETE FROM {table} WHERE {column} = '{job}'")
    before = newest(rig)
    put(rig, [entry], lane="f")
    goes_on(rig)
    rows = kept(rig, before, [entry])
    assert rows[entry.hex()][2] == "f", rows
    gate = rig.submit("call", {"path": "/hang/bare"})
    rig.witness.wait_seen("/hang/bare")
    bare = rig.submit("echo", "bare")
    queue = f"{PREFIX}q:{key_of(rig)}"
    wait_until("it stands there", lambda: rig.redis.command("LLEN", queue) == 2, 5)
    rig.redis.command("RPOP", queue)
    rig.witness.release("bare")
    assert rig.finish(gate).status == 200
    assert rig.finish(bare, 40).json == "bare", "the sweep brings what stands in no list"


@test
def an_entry_that_ran_already_is_skipped(rig):
    entry, job = real_entry(rig, "again")
    before = newest(rig)
    put(rig, [entry] * 3, lane="f")
    goes_on(rig)
    assert quarantined(rig, before) == []
    assert rig.postgres.query(f"SELECT count(*) FROM result WHERE job_id = '{job}'") == [["1"]]


@test
def keys_of_another_type_or_with_an_end_do_not_stop_the_queue(rig):
    """46: what somebody did to the keys."""
    key = key_of(rig)
    for lane in ("q", "f"):
        rig.redis.command("DEL", f"{PREFIX}{lane}:{key}")
        rig.redis.command("SET", f"{PREFIX}{lane}:{key}", "a string")
        goes_on(rig)
    waits = behind_a_gate(rig, "ttl", lambda: (rig.submit("echo", "kept"), rig.redis.command("PEXPIRE", f"{PREFIX}q:{key}", "300"))[0])
    time.sleep(0.4)
    assert rig.finish(waits, 40).json == "kept"
    for names in (("held",), ("ready", "fronts", "workers")):
        for name in names:
            rig.redis.command("DEL", PREFIX + name)
            rig.redis.command("SET", PREFIX + name, "a string")
        assert rig.finish(rig.submit("echo", names[0]), 40).json == names[0]


def newer(entry, ring):
    """The same entry as a later release would write it: version 2, signed with the fleet's key."""
    import hashlib
    import hmac
    body = bytearray(entry[:-16])
    assert body[13] == 1, body[:16]  # 12 digits, the head of the array, the version
    body[13] = 2
    return bytes(body) + hmac.new(ring, bytes(body), hashlib.sha256).digest()[:16]


def mac_key(rig):
    """As base/envelope.c derives it from the first line of the sealing key."""
    import hashlib
    import hmac
    with open(f"{rig.directory}/seal.key", encoding="ascii") as file:
        seal = bytes.fromhex(file.readline().strip())
    return hmac.new(seal, b"sluice envelope", hashlib.sha256).digest()


@test
def an_entry_of_a_newer_version_is_left_where_it_is_and_what_stands_before_it_runs(rig):
    """45: it belongs to a worker that can read it, and order is kept."""
    entry, _ = real_entry(rig, "newer")
    before, strange = newest(rig), newer(entry, mac_key(rig))
    queue = f"{PREFIX}q:{key_of(rig)}"

    def write():
        first = rig.submit("echo", "first")
        wait_until("it stands there", lambda: rig.redis.command("LLEN", queue) == 2, 5)
        rig.redis.command("RPUSH", queue, strange)
        behind = rig.submit("echo", "behind")
        return first, behind
    first, behind = behind_a_gate(rig, "before", write)
    assert rig.finish(first).json == "first"
    wait_until("a worker has seen it", lambda: "queue_entry_newer" in rig.nodes[0].log(), 10)
    time.sleep(2.5)
    assert rig.redis.command("LINDEX", queue, 0) == strange, "it was taken away"
    assert rig.poll(behind).status == 404, "it was overtaken"
    assert quarantined(rig, before) == []
    rows = rig.postgres.query(f"SELECT session_id FROM hold WHERE key_id = {key_of(rig)} AND slot = 0")
    assert rows == [[""]], f"the newer worker could not claim the key: {rows}"
    turns = rig.nodes[0].log().count("queue_entry_newer")
    assert turns < 8, f"{turns} turns in 3 s"
    rig.redis.command("LPOP", queue)  # as the newer worker would
    assert rig.finish(behind, 20).json == "behind"


@test
def a_flood_of_bad_entries_delays_no_other_key(rig):
    rng = random.Random(SEED + 1)
    entries = [rng.randbytes(60) for _ in range(3000)]
    for at in range(0, len(entries), 500):
        put(rig, entries[at:at + 500])
    began = time.monotonic()
    assert rig.finish(rig.submit("echo", "prod", env="prod"), env="prod").json == "prod"
    assert time.monotonic() - began < 2.0
    goes_on(rig)
    assert rig.nodes[0].process.poll() is None


def prepare(rig):
    for env in ("dev", "prod"):
        rig.prepare(FUNCTIONS, env)


main(lambda: Rig(settings={"lease_ttl": "2s", "retry_first": "100ms"}, prepare=prepare))
