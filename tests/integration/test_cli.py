"""`sluice` against real nodes: each command does what it says, and says what it did."""
import os
import signal
import sys
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from operator_cli import run, run_on_terminal
from rig import Rig
from servers import wait_until
from tap import main, test

CALL = "const r = await nango.get({ endpoint: input.endpoint }); return r.data;"


def sluice(rig, *words, code=0, **more):
    """By the first node; the key is from the keys file."""
    done = run("--host", f"http://127.0.0.1:{rig.nodes[0].port}", "--dir", rig.directory, *words, **more)
    assert code in (None, done.code), (words, done)
    return done


def document(rig, *words, **more):
    return sluice(rig, "--json", *words, **more).json


def operator(rig, path):
    answer = rig.request("GET", path, key=rig.keys["SLUICE_OPERATOR_KEY"])
    assert answer.status == 200, answer
    return answer.json


def hang(rig, name):
    """A job whose request is held until release(name)."""
    job = rig.submit("step", {"endpoint": f"/hang/{name}"})
    rig.witness.wait_seen(f"/hang/{name}")
    return job


def queue_of(rig, environment="dev"):
    return document(rig, "queue", "ls", environment)["queues"][0]


def state_of(rig, job):
    return document(rig, "job", "show", job)["job"]["state"]


def mends(function):
    """What an operator did in a test that fails must not fail those behind it."""
    def mended(rig):
        try:
            function(rig)
        finally:
            for words in (("queue", "resume", "dev"), ("queue", "resume", "dev", "--line", "actions"), ("worker", "release", "--all")):
                sluice(rig, *words, code=None)
    mended.__name__ = function.__name__
    return mended


# ---- queues

@test
def what_waits_and_what_runs_is_listed_and_peeked_at(rig):
    running = hang(rig, "listed")
    waiting = [rig.submit("step", {"endpoint": "/ok"}) for _ in range(2)]
    queue = wait_until("three are there", lambda: (lambda q: q if (q["depth"], q["running"]) == (3, 1) else None)(queue_of(rig)), 10)
    assert queue["lines"][0]["name"] == "actions" and not queue["paused"], queue
    text = sluice(rig, "queue", "ls").out.splitlines()
    assert text[0].split() == ["ENVIRONMENT", "STATE", "DEPTH", "RUNNING", "DELAYED", "OLDEST"], text
    assert [line.split()[:5] for line in text if line.startswith("dev ")] == [["dev", "open", "3", "1", "0"]], text
    lines = sluice(rig, "queue", "ls", "dev").out
    assert "LINE" in lines and "actions" in lines, lines
    jobs = document(rig, "queue", "peek", "dev")["jobs"]
    assert [(j["id"], j["state"]) for j in jobs] == [(running, "running"), *((w, "queued") for w in waiting)], jobs
    page = document(rig, "queue", "peek", "dev", "--limit", "1")
    assert [j["id"] for j in page["jobs"]] == [running] and page["next"] == running, page
    shown = sluice(rig, "queue", "peek", "dev", "--limit", "1")
    assert "w/step" in shown.out and f"more: --after {running}" in shown.out, shown
    assert document(rig, "queue", "peek", "dev", "--after", running)["jobs"][0]["id"] == waiting[0]
    rig.witness.release("listed")
    assert [rig.finish(j).status for j in (running, *waiting)] == [200] * 3
    wait_until("it is empty", lambda: sluice(rig, "queue", "peek", "dev").out == "no jobs wait or run here\n", 10)


@test
@mends
def a_paused_queue_accepts_and_starts_nothing_until_it_is_resumed(rig):
    assert document(rig, "queue", "pause", "dev")["queue"]["paused"] is True
    assert "paused" in sluice(rig, "queue", "ls").out
    job = rig.submit("step", {"endpoint": "/paused"})
    other = rig.submit("step", {"endpoint": "/ok"}, env="prod")
    assert rig.finish(other, env="prod").status == 200, "another environment goes on"
    assert state_of(rig, job) == "queued" and not rig.witness.seen("/paused")
    assert "paused" in sluice(rig, "doctor", code=1).out
    assert "open" in sluice(rig, "queue", "resume", "dev").out
    assert rig.finish(job).status == 200


@test
@mends
def a_line_is_paused_alone(rig):
    queue = document(rig, "queue", "pause", "dev", "--line", "actions")["queue"]
    assert not queue["paused"], queue
    job = rig.submit("step", {"endpoint": "/line"})
    wait_until("the line is there", lambda: any(line["paused"] for line in queue_of(rig)["lines"]), 10)
    assert state_of(rig, job) == "queued" and not rig.witness.seen("/line")
    sluice(rig, "queue", "resume", "dev", "--line", "actions")
    assert rig.finish(job).status == 200


@test
@mends
def a_drain_refuses_what_is_new_and_waits_for_what_is_there(rig):
    job = hang(rig, "drained")
    behind = rig.submit("step", {"endpoint": "/ok"})
    done = sluice(rig, "queue", "drain", "dev", "--wait", "1", code=75)
    assert "still there after 1 s" in done.err, done
    refused = rig.call("step", {"endpoint": "/ok"}, {"X-Async": "true"})
    assert refused.status == 503 and refused.code == "queue_draining", refused
    rig.witness.release("drained")
    drained = document(rig, "queue", "drain", "dev", "--wait", "20")
    assert drained["queue"]["draining"] and drained["queue"]["depth"] == 0 and drained["cancelled"] == 0, drained
    assert [rig.finish(j).status for j in (job, behind)] == [200, 200]
    sluice(rig, "queue", "resume", "dev")
    assert rig.finish(rig.submit("step", {"endpoint": "/ok"})).status == 200


@test
@mends
def a_drain_that_cancels_ends_what_waits_and_leaves_what_runs(rig):
    job = hang(rig, "kept")
    behind = [rig.submit("step", {"endpoint": "/cancelled"}) for _ in range(2)]
    sluice(rig, "queue", "drain", "dev", "--cancel", code=64)
    assert state_of(rig, behind[0]) == "queued"
    done = sluice(rig, "queue", "drain", "dev", "--cancel", "--yes")
    assert "2 jobs that waited were cancelled" in done.out, done
    assert [state_of(rig, j) for j in behind] == ["cancelled"] * 2
    rig.witness.release("kept")
    assert rig.finish(job).status == 200 and not rig.witness.seen("/cancelled")
    sluice(rig, "queue", "resume", "dev")


# ---- jobs

@test
def a_job_is_shown_from_its_start_to_its_end_and_run_again(rig):
    job = hang(rig, "shown")
    shown = wait_until("it runs", lambda: (lambda s: s if "running" in s else None)(sluice(rig, "job", "show", job).out), 10)
    assert "try 1 of 1" in shown and "function     step" in shown and f"on {names(rig)[0].split(':')[0]}" in shown, shown
    done = sluice(rig, "job", "retry", job, code=65)
    assert done.err.startswith("sluice: ") and len(done.err) > 12, done
    rig.witness.release("shown")
    rig.finish(job)
    shown = sluice(rig, "job", "show", job).out
    assert "succeeded" in shown and "output" in shown and "ended" in shown, shown
    again = document(rig, "job", "retry", job)
    assert again["retry_of"] == job and again["id"] != job, again
    assert rig.finish(again["id"]).status == 200
    done = sluice(rig, "job", "show", str(uuid.uuid4()), code=66)
    assert "sluice: " in done.err and not done.out, done
    sluice(rig, "job", "cancel", job, code=65)


@test
def a_job_that_runs_is_cancelled_or_killed_and_the_next_one_goes_on(rig):
    job = hang(rig, "cancelled")
    assert "is cancelled" in sluice(rig, "job", "cancel", job).out
    assert state_of(rig, job) == "cancelled"
    killed = rig.submit("spin")
    wait_until("it runs", lambda: (queue_of(rig)["depth"], queue_of(rig)["running"]) == (1, 1), 15)  # it calls nobody: only Redis knows who has it
    done = run_on_terminal("--host", f"http://127.0.0.1:{rig.nodes[0].port}", "--dir", rig.directory, "job", "kill", killed, typed="y\n")
    assert done.code == 0 and "its process killed" in done.out, done
    assert state_of(rig, killed) == "cancelled"
    assert rig.finish(rig.submit("step", {"endpoint": "/ok"}), 15).status == 200
    rig.witness.release("cancelled")


# ---- the dead list

@test
def dead_jobs_are_shown_replayed_and_taken_off(rig):
    jobs = [rig.submit("step", {"endpoint": "/ok"}) for _ in range(2)]
    for job in jobs:
        rig.finish(job)
        rig.postgres.query("INSERT INTO dead (job_id, environment_id, kind, function_version_id, connection_id, deaths, signal, memory, last_call)"
                           f" SELECT id, environment_id, kind, function_version_id, connection_id, 3, 9, 5242880, 'GET /x' FROM job WHERE id = '{job}'")
    assert [row["id"] for row in document(rig, "dead", "ls", "dev")["data"]] == jobs[::-1]
    shown = sluice(rig, "dead", "show", jobs[0]).out
    assert "w/step" in shown and "KILL" in shown and "5 MiB" in shown and "GET /x" in shown, shown
    done = sluice(rig, "dead", "replay", jobs[0], str(uuid.uuid4()), code=65)
    assert f"{jobs[0]} runs again as " in done.out and "is not replayed: " in done.out, done
    assert rig.finish(done.out.split("runs again as ")[1].split()[0]).status == 200
    assert document(rig, "dead", "purge", jobs[0], "--yes") == {"deleted": 1}
    assert "1 taken off" in sluice(rig, "dead", "purge", "--environment", "dev", "--yes").out
    assert sluice(rig, "dead", "ls").out == "no job was set aside\n"


# ---- workers

def names(rig):
    """Of the workers, in the order of the nodes."""
    rows = document(rig, "worker", "ls")["workers"]
    return [next(row["name"] for row in rows if f":{node.process.pid}:" in row["name"]) for node in rig.nodes]


def worker_of(rig, name):
    return next((row for row in document(rig, "worker", "ls")["workers"] if row["name"] == name), {"state": "not in the list"})


@test
@mends
def a_quiet_worker_ends_what_it_runs_and_takes_nothing_until_released(rig):
    first, second = names(rig)
    table = sluice(rig, "worker", "ls").out
    assert first in table and second in table and "(leads)" in table, table
    job = hang(rig, "quiet")
    node = document(rig, "job", "show", job)["job"]["attempts"][0]["node"]
    prefix = node[:-2]
    done = sluice(rig, "worker", "quiet", prefix, "--wait", "1", code=75)
    assert "1 jobs and calls still run after 1 s" in done.err, done
    assert worker_of(rig, node)["state"] == "quiet"
    rig.witness.release("quiet")
    rows = document(rig, "worker", "quiet", prefix, "--wait", "20")["workers"]
    assert [(r["name"], r["state"], r["running"]) for r in rows] == [(node, "quiet", 0)], rows
    assert rig.finish(job).status == 200
    other = rig.submit("step", {"endpoint": "/ok"})
    assert rig.finish(other).status == 200
    assert document(rig, "job", "show", other)["job"]["attempts"][0]["node"] != node
    assert "live" in sluice(rig, "worker", "release", prefix).out
    assert worker_of(rig, node)["state"] == "live"
    sluice(rig, "worker", "release", prefix, code=65)


@test
@mends
def the_doctor_says_well_and_then_what_an_operator_did(rig):
    wait_until("all is well", lambda: sluice(rig, "doctor", code=None).code == 0, 20)
    done = sluice(rig, "doctor", "--all")
    assert done.out.startswith("healthy: ") and "ok    postgres: " in done.out, done
    assert document(rig, "doctor")["verdict"] == "healthy"
    sluice(rig, "worker", "quiet", "--all")
    done = sluice(rig, "doctor", code=None)
    assert done.code in (1, 2) and "workers" in done.out.splitlines()[0] and "sluice worker release" in done.out, done
    sluice(rig, "worker", "release", "--all")
    wait_until("all is well", lambda: sluice(rig, "doctor", code=None).code == 0, 20)


@test
def a_worker_that_froze_is_lost_and_its_session_can_be_ended(rig):
    name = names(rig)[1]
    os.kill(rig.nodes[1].process.pid, signal.SIGSTOP)
    try:
        wait_until("it is lost", lambda: worker_of(rig, name)["state"] == "lost", 30)
        done = sluice(rig, "doctor", code=None)
        assert done.code == 1 and name in done.out, done
        done = sluice(rig, "worker", "release", name, "--force", "--yes")
        assert name in done.out, done
    finally:
        os.kill(rig.nodes[1].process.pid, signal.SIGCONT)
    wait_until("it works again", lambda: worker_of(rig, name)["state"] == "live", 30)


# ---- bench

@test
def a_bench_runs_jobs_of_its_own_and_says_what_limited_it(rig):
    done = sluice(rig, "bench", "--jobs", "40", "--clients", "4")
    assert "40 of 40 by 4 clients" in done.out and "40 well, 0 failed" in done.out and "limited by" in done.out, done
    figures = document(rig, "bench", "--jobs", "20", "--clients", "4")["bench"]
    assert (figures["mode"], figures["accepted"], figures["succeeded"], figures["not_ended"]) == ("async", 20, 20, 0), figures
    assert 0 < figures["result_p50_ms"] <= figures["result_p99_ms"] and figures["ends_per_s"] > 0, figures
    figures = document(rig, "bench", "--jobs", "10", "--clients", "2", "--sync")["bench"]
    assert figures["mode"] == "sync" and figures["succeeded"] == 10 and figures["accept_p50_ms"] is None, figures
    own = ("--environment", "dev", "--integration", "w", "--connection", "c", "--function", "step")
    figures = document(rig, "bench", "--jobs", "5", *own, "--input", '{"endpoint": "/own"}')["bench"]
    assert figures["succeeded"] == 5 and len(rig.witness.seen("/own")) == 5, figures
    done = sluice(rig, "--json", "bench", "--jobs", "5", *own, "--input", '{"endpoint": "/status/404"}', code=65)
    assert done.json["bench"]["failed"] == 5 and done.error["code"] == "failed", done


@test
def a_bench_that_gets_no_answers_stops_when_its_time_is_over(rig):
    sluice(rig, "queue", "pause", "bench")
    done = sluice(rig, "--json", "bench", "--jobs", "5", "--seconds", "1", code=75)
    assert done.json["bench"]["not_ended"] == 5 and "sluice queue drain bench --cancel" in done.error["message"], done
    assert "the queue is paused" in done.json["bench"]["limited_by"], done
    sluice(rig, "queue", "drain", "bench", "--cancel", "--yes")
    done = sluice(rig, "bench", "--jobs", "5", code=75)
    assert "not now (503)" in done.err and not done.out, done
    sluice(rig, "queue", "resume", "bench")


def prepare(rig):
    for env in ("dev", "prod"):
        rig.prepare({"step": CALL, "spin": "while (true) {}"}, env=env)


main(lambda: Rig(nodes=2, prepare=prepare))
