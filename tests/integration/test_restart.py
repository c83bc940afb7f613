"""Postgres ends at once in the middle of accepts and comes back: who was answered 202 has one job, whether the commit was
made and only its answer lost, or was not made."""
import os
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, wait_until
from tap import main, test

KINDS = {  # headers of a kind of accept, and whether the ledger makes it by itself
    "plain": {},
    "key": {"Idempotency-Key": "{}"},
    "delay": {"X-Delay": "2"},
    "key and delay": {"Idempotency-Key": "{}", "X-Delay": "2"},
}
EACH = 8


def ask(rig, name, kind, n):
    headers = {header: value.format(f"{name}-{kind}-{n}".replace(" ", "-")) for header, value in KINDS[kind].items()}
    return rig.call("echo", f"{name} {kind} {n}", {"X-Async": "true", **headers})


def ask_all(rig, name):
    """Threads that ask for EACH of every kind at once, and where their answers will be."""
    answers, threads = {}, []
    for kind in KINDS:
        for n in range(EACH):
            def run(kind=kind, n=n):
                answers[kind, n] = ask(rig, name, kind, n)
            threads.append(threading.Thread(target=run))
            threads[-1].start()
    return threads, answers


def assert_one_job_each(rig, name, threads, answers):
    for thread in threads:
        thread.join(30)
    assert len(answers) == EACH * len(KINDS), answers
    bad = {which: answer for which, answer in answers.items() if answer.status != 202}
    assert not bad, bad
    ids = {which: answer.json["id"] for which, answer in answers.items()}
    assert len(set(ids.values())) == len(ids)
    rows = rig.postgres.query("SELECT id, convert_from(input, 'UTF8') FROM job"
                              f" WHERE convert_from(input, 'UTF8') LIKE '\"{name} %'")
    assert sorted(rows) == sorted([job, f'"{name} {kind} {n}"'] for (kind, n), job in ids.items()), (rows, ids)
    late = [job for (kind, _), job in ids.items() if "delay" in kind]
    listed = ",".join(f"'{job}'" for job in late)
    waiting, all_retries = rig.postgres.query(
        f"SELECT count(*) FILTER (WHERE number = 1), count(*) FROM retry WHERE job_id IN ({listed})")[0]
    assert waiting == all_retries, "a delay is one row with number 1"
    for (kind, n), job in ids.items():
        if "key" in kind:
            assert ask(rig, name, kind, n).json == {"id": job, "statusUrl": f"/action/{job}"}
    for (kind, n), job in ids.items():
        assert rig.finish(job, 30).json == f"{name} {kind} {n}"


def count(rig, of):
    return int(rig.postgres.query(f"SELECT count(*) FROM {of}")[0][0])


@test(seconds=90)
def accepts_whose_commit_was_not_made_are_made_when_postgres_is_back(rig):
    holder = subprocess.Popen([*rig.postgres.prefix, f"{rig.postgres.bin}/psql", "-h", rig.postgres.directory, "-U", "sluice", "-d", "sluice",
                               "-c", "BEGIN; LOCK TABLE job IN EXCLUSIVE MODE; SELECT pg_sleep(60)"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until("the lock is there", lambda: count(rig, "pg_locks WHERE mode = 'ExclusiveLock' AND relation = 'job'::regclass AND granted"))
    before = count(rig, "job")
    threads, answers = ask_all(rig, "lost")
    wait_until("a batch waits for the lock", lambda: count(rig, "pg_locks WHERE relation = 'job'::regclass AND NOT granted") > 0)
    rig.postgres.stop(immediate=True)
    holder.wait(10)
    assert not answers, answers
    rig.postgres.start()
    assert_one_job_each(rig, "lost", threads, answers)
    assert count(rig, "job") == before + EACH * len(KINDS)


@test(seconds=90)
def accepts_whose_commit_was_made_but_not_answered_find_their_rows(rig):
    """A commit is in the log and waits for a standby that there is not: then the server ends."""
    assert rig.finish(rig.submit("echo", "first")).status == 200  # what an accept looks up is known: a beat that waits would be before it
    rig.postgres.query("ALTER SYSTEM SET synchronous_standby_names TO 'nobody'")
    rig.postgres.query("SELECT pg_reload_conf()")
    wait_until("commits wait", lambda: rig.postgres.query("SHOW synchronous_standby_names") == [["nobody"]])
    threads, answers = ask_all(rig, "made")
    wait_until("a batch of accepts is committed and waits",
               lambda: count(rig, "pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'sluiced ledger'") > 0)
    rig.postgres.stop(immediate=True)
    assert not answers, answers
    rig.postgres.start("-c", "synchronous_standby_names=")
    there = count(rig, "job WHERE convert_from(input, 'UTF8') LIKE '\"made %'")
    assert there > 0, "nothing was committed before the end"
    assert_one_job_each(rig, "made", threads, answers)


main(lambda: Rig(prepare=lambda rig: rig.prepare({"echo": "return input;"})))
