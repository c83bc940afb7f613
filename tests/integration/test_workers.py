"""Workers can be seen and steered: the list, quiet and release, what is lost, and a session that is ended by hand."""
import os
import re
import shutil
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig
from servers import wait_until
from tap import main, test

TTL = 2.0  # lease_ttl, seconds
NAME = re.compile(r"[A-Za-z0-9._-]+:(\d+):[0-9a-f]{8}")
FUNCTIONS = {
    "echo": "return input;",
    "work": "const r = await nango.get({ endpoint: input.path, retries: 0, params: { n: String(input.n || 0) } }); return r.data.path;",
}


def operator(rig, method, path, body=None, node=None, key=None):
    return rig.request(method, f"/admin/v1/workers{path}", body, key=key or rig.keys["SLUICE_OPERATOR_KEY"], node=node)


def workers(rig, node=None):
    """{pid: worker} of the list."""
    answer = operator(rig, "GET", "", node=node)
    assert answer.status == 200, answer
    return {int(NAME.fullmatch(row["name"])[1]): row for row in answer.json["workers"]}


def row_of(rig, node, asked=None):
    return workers(rig, asked)[node.process.pid]


def steer(rig, node, what, body=None, asked=None):
    return operator(rig, "POST", f"/{row_of(rig, node, asked)['name']}/{what}", body, node=asked)


def in_state(rig, node, state, asked=None, seconds=10):
    return wait_until(f"{node.name} is {state}", lambda: row_of(rig, node, asked)["state"] == state, seconds)


def fresh(rig):
    """All nodes run, none is quiet, none is lost."""
    for node in rig.nodes:
        if node.process.poll() is not None:
            node.start()
    def good():
        rows = workers(rig)
        for node in rig.nodes:
            if rows.get(node.process.pid, {}).get("state") == "quiet":
                steer(rig, node, "release")
        return all(rows.get(node.process.pid, {}).get("state") == "live" for node in rig.nodes)
    wait_until("all are live", good)


def sessions_of(rig, node):
    """Of jobs that were begun: {session: node's name}."""
    name = row_of(rig, node)["name"]
    return {row[0] for row in rig.postgres.query(f"SELECT id FROM session WHERE node = '{name}'")}


def runs_on(rig, job):
    """The session that began the job's last try."""
    rows = rig.postgres.query(f"SELECT session_id FROM attempt WHERE job_id = '{job}' ORDER BY number DESC LIMIT 1")
    return rows[0][0] if rows else None


def run_by(rig, jobs):
    """The sessions that began any try of these jobs."""
    some = ", ".join(f"'{job}'" for job in jobs)
    rows = rig.postgres.query(f"SELECT job_id, session_id FROM attempt WHERE job_id IN ({some})")
    assert {row[0] for row in rows} == set(jobs), rows
    return {row[1] for row in rows}


def start_on(rig, node, path, n=0, retries=0):
    """Jobs until one of them runs on node; returns that one's id.  The others run, too."""
    others = [other for other in rig.nodes if other is not node]
    for other in others:
        assert steer(rig, other, "quiet", asked=node).status == 200
    job = rig.submit("work", {"path": path, "n": n}, retries=retries, node=node)
    rig.witness.wait_seen(path)
    assert runs_on(rig, job) in sessions_of(rig, node)
    for other in others:
        assert steer(rig, other, "release", asked=node).status == 200
    return job


@test
def the_list_says_who_is_there_and_what_each_does(rig):
    fresh(rig)
    rows = workers(rig)
    assert set(rows) >= {node.process.pid for node in rig.nodes} and len({row["name"] for row in rows.values()}) == len(rows)
    assert sum(row["leads"] for row in rows.values()) == 1, rows
    rig.postgres.query("UPDATE node SET leads = true, seen_at = seen_at - interval '1 s' WHERE NOT leads")  # as killed ones leave it
    assert [row["name"] for row in workers(rig).values() if row["leads"]] == [row["name"] for row in rows.values() if row["leads"]]
    for row in rows.values():
        assert row["roles"] == ["api", "worker", "scheduler"] and row["state"] == "live" and row["runners"] == 4, row
        assert row["version"] == "0.1.0" and 0 <= row["seen_ms"] < 60_000 and isinstance(row["session"], int), row
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", row["started_at"]), row
    job = start_on(rig, rig.nodes[1], "/hang/list")
    wait_until("its row names the job", lambda: row_of(rig, rig.nodes[1])["jobs"] == [job])
    row = row_of(rig, rig.nodes[1])
    assert row["running"] == 1 and str(row["session"]) in sessions_of(rig, rig.nodes[1]), row
    rig.witness.release("list")
    assert rig.finish(job).status == 200
    wait_until("it is idle again", lambda: row_of(rig, rig.nodes[1])["running"] == 0)


@test
def what_is_lost_is_shown_for_an_hour(rig):
    fresh(rig)
    for name, minutes in (("gone:999998:00000000", 61), ("gone:999999:00000000", 58)):
        rig.postgres.query("INSERT INTO node (name, roles, version, schema_version, beat_ms, state, doing, seen_at)"
                           f" VALUES ('{name}', 7, '0.1.0', 11, 1000, 2, 'no JSON', now() - interval '{minutes} minutes')")
    wait_until("the older one is forgotten", lambda: 999998 not in workers(rig))
    row = workers(rig)[999999]
    assert row["state"] == "lost" and row["seen_ms"] > 58 * 60_000 and not row["leads"] and row["jobs"] == [], row
    rig.postgres.query("DELETE FROM node WHERE name LIKE 'gone:%'")


@test
def only_operators_see_and_steer(rig):
    name = row_of(rig, rig.nodes[0])["name"]
    for method, path in (("GET", ""), ("POST", f"/{name}/quiet"), ("POST", f"/{name}/release")):
        for key in ("dev", "prod"):
            answer = operator(rig, method, path, key=key)
            assert answer.status == 403 and answer.code == "forbidden", answer
        assert operator(rig, method, path, key="0" * 8 + "-0000-4000-8000-" + "0" * 12).status == 401
    assert row_of(rig, rig.nodes[0])["state"] == "live"


@test
def what_makes_no_sense_is_refused_and_says_why(rig):
    fresh(rig)
    name = row_of(rig, rig.nodes[0])["name"]
    for path, body, status, code in ((f"/{name}/release", None, 409, "conflict"), (f"/{name}/release", {"force": True}, 409, "conflict"),
                                     ("/nobody:1:00000000/quiet", None, 404, "not_found"), (f"/{name[:-1]}/quiet", None, 404, "not_found"),
                                     (f"/{name}/release", {"force": 1}, 400, "invalid_body"),
                                     (f"/{name}/quiet", {"now": True}, 400, "invalid_body")):
        answer = operator(rig, "POST", path, body)
        assert (answer.status, answer.code) == (status, code), answer
    assert row_of(rig, rig.nodes[0])["state"] == "live"


@test
def a_quiet_worker_starts_nothing_and_its_api_serves_on(rig):
    fresh(rig)
    answer = rig.request("PATCH", "/admin/v1/environments/prod", {"concurrency": {"by": "environment", "limit": 30}},
                         key=rig.keys["SLUICE_OPERATOR_KEY"])
    assert answer.status == 200, answer
    quiet = rig.nodes[2]
    running = start_on(rig, quiet, "/hang/goes-on")
    answer = steer(rig, quiet, "quiet", asked=rig.nodes[0])  # by another node
    assert answer.status == 200 and answer.json["worker"]["state"] == "quiet", answer
    assert answer.json["worker"]["running"] == 1
    mine = sessions_of(rig, quiet)
    jobs = [rig.submit("work", {"path": "/hang/prod", "n": n}, node=rig.nodes[n % 3], env="prod") for n in range(30)]
    rig.witness.wait_seen("/hang/prod", 8)  # all places of the other two
    for n in range(10):
        answer = rig.call("echo", {"n": n}, node=quiet)
        assert answer.status == 200 and answer.json == {"n": n}, answer
    long = threading.Thread(target=lambda: rig.call("work", {"path": "/hang/call"}, node=quiet), daemon=True)
    long.start()
    rig.witness.wait_seen("/hang/call")
    wait_until("another one runs it", lambda: sum(row["calls"] for row in workers(rig).values()) == 1)
    assert row_of(rig, quiet)["calls"] == 0
    rig.witness.release("call")
    assert rig.request("GET", "/ready", key=None, node=quiet).status == 200
    assert row_of(rig, quiet)["running"] == 1 and len(rig.witness.seen("/hang/prod")) == 8
    rig.witness.release("prod")
    for job in jobs:
        assert rig.finish(job, env="prod").status == 200
    assert run_by(rig, jobs).isdisjoint(mine)
    assert row_of(rig, quiet)["running"] == 1 and rig.poll(running).status == 404  # what ran goes on
    rig.witness.release("goes-on")
    assert rig.finish(running).status == 200
    answer = steer(rig, quiet, "release")
    assert answer.status == 200 and answer.json["worker"]["state"] == "live", answer
    for other in rig.nodes[:2]:
        steer(rig, other, "quiet")
    job = rig.submit("work", {"path": "/slow", "n": 1})
    assert rig.finish(job).status == 200 and runs_on(rig, job) in mine
    fresh(rig)


@test
def jobs_that_a_quiet_worker_holds_and_does_not_run_go_to_others_at_once(rig):
    fresh(rig)
    quiet = rig.nodes[1]
    first = start_on(rig, quiet, "/hang/first")
    behind = [rig.submit("work", {"path": "/ok", "n": n}) for n in range(5)]  # of the same line
    assert steer(rig, quiet, "quiet").status == 200
    rig.witness.release("first")
    assert rig.finish(first).status == 200
    for job in behind:
        assert rig.finish(job, seconds=TTL).status == 200  # sooner than any lease ends
    assert run_by(rig, behind).isdisjoint(sessions_of(rig, quiet))
    fresh(rig)


@test
def quiet_outlives_the_loss_of_both_servers_but_not_a_restart(rig):
    fresh(rig)
    node = rig.nodes[1]
    assert steer(rig, node, "quiet").status == 200
    rig.redis.stop()
    wait_until("it knows", lambda: rig.request("GET", "/ready", key=None, node=node).status == 503)
    answer = rig.call("echo", {"n": 1}, node=node)  # it cannot travel, and nothing new is started here
    assert answer.status == 503 and answer.code == "service_unavailable" and answer.headers["retry-after"], answer
    rig.postgres.stop(immediate=True)
    rig.postgres.start()
    rig.redis.start()
    wait_until("the node is back", lambda: rig.request("GET", "/ready", key=None, node=node).status == 200)
    mine = sessions_of(rig, node)
    in_state(rig, node, "quiet")
    jobs = [rig.submit("work", {"path": "/ok", "n": n}) for n in range(5)]
    assert all(rig.finish(job).status == 200 for job in jobs)
    assert run_by(rig, jobs).isdisjoint(mine | sessions_of(rig, node))
    before = row_of(rig, node)["name"]
    assert node.stop() == 0
    assert before not in [row["name"] for row in workers(rig).values()]  # it stopped in order
    node.start()
    in_state(rig, node, "live")
    assert row_of(rig, node)["name"] != before


@test
def signals_on_the_machine_say_the_same(rig):
    fresh(rig)
    node = rig.nodes[0]
    node.process.send_signal(signal.SIGUSR1)
    in_state(rig, node, "quiet")
    node.process.send_signal(signal.SIGUSR1)  # no toggle
    node.process.send_signal(signal.SIGUSR2)
    in_state(rig, node, "live")
    node.process.send_signal(signal.SIGUSR1)
    in_state(rig, node, "quiet")
    assert steer(rig, node, "release").json["worker"]["state"] == "live"  # the last word counts, whoever said it
    rig.postgres.stop()
    before = node.log().count("worker_quiet")
    node.process.send_signal(signal.SIGUSR1)  # nobody to tell: it is so all the same
    wait_until("it is quiet", lambda: node.log().count("worker_quiet") > before)
    rig.postgres.start()
    in_state(rig, node, "quiet", seconds=20)
    fresh(rig)


@test
def a_worker_that_cannot_start_functions_takes_none_for_a_while(rig):
    fresh(rig)
    broken, file = rig.nodes[1], f"{rig.directory}/runner"
    broken.stop()
    shutil.copy(f"{rig.build}/sluice-runner", file)
    broken.settings["runner_path"] = file
    broken.start()
    fresh(rig)
    os.remove(file)
    for pid in runners(broken):
        os.kill(pid, signal.SIGKILL)
    job = rig.submit("work", {"path": "/ok"}, node=broken)  # whoever takes it, it runs
    for other in (rig.nodes[0], rig.nodes[2]):
        steer(rig, other, "quiet", asked=broken)
    held = rig.submit("work", {"path": "/ok"}, node=broken, env="prod")
    wait_until("it says so", lambda: "worker_short" in broken.log(), 15)
    for other in (rig.nodes[0], rig.nodes[2]):
        steer(rig, other, "release", asked=broken)
    assert rig.finish(job).status == 200
    began = time.monotonic()
    assert all(rig.finish(rig.submit("work", {"path": "/ok"}, node=broken)).status == 200 for _ in range(10))
    for n in range(5):  # its calls travel
        answer = rig.call("echo", {"n": n}, node=broken)
        assert answer.status == 200 and answer.json == {"n": n}, answer
    assert time.monotonic() - began < 3 and not runners(broken)
    assert rig.finish(held, env="prod").status == 200
    shutil.copy(f"{rig.build}/sluice-runner", file)
    wait_until("its runner is back", lambda: runners(broken), 20)
    broken.stop()
    broken.settings["runner_path"] = None
    fresh(rig)


def runners(node):
    """Processes of sluice-runner, the zygote among them, below a node."""
    table = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    table[int(name)] = int(file.read().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                pass
    return [pid for pid, parent in table.items() if parent == node.process.pid]


@test
def when_all_are_quiet_a_call_waits_for_one_that_is_released(rig):
    fresh(rig)
    for node in rig.nodes:
        assert steer(rig, node, "quiet").status == 200
    answers = []
    caller = threading.Thread(target=lambda: answers.append(rig.call("echo", {"n": 1}, node=rig.nodes[0])), daemon=True)
    caller.start()
    wait_until("it waits in Redis", lambda: rig.redis.command("LLEN", "sluice:{s00}:calls") == 1)
    assert not answers
    assert steer(rig, rig.nodes[2], "release").status == 200
    caller.join(10)
    assert answers and answers[0].status == 200, answers
    fresh(rig)


@test
def killed_and_frozen_ones_are_lost_and_what_a_frozen_one_does_later_changes_nothing(rig):
    fresh(rig)
    frozen, killed, asked = sorted(rig.nodes, key=lambda node: not row_of(rig, node)["leads"])
    job = start_on(rig, frozen, "/hang/frozen", retries=1)
    behind = rig.submit("work", {"path": "/ok"}, node=asked)
    frozen.process.send_signal(signal.SIGSTOP)
    killed_pid = killed.process.pid
    killed.kill()
    in_state(rig, frozen, "lost", asked)
    wait_until("the killed one is lost", lambda: workers(rig, asked)[killed_pid]["state"] == "lost")
    refused = steer(rig, frozen, "release", asked=asked)
    assert refused.status == 409 and "force" in refused.json["error"]["message"], refused
    # Its scheduler led: the other one has to depose it first, so all is still its.
    answer = steer(rig, frozen, "release", {"force": True}, asked=asked)
    assert answer.status == 200 and answer.json["worker"]["state"] == "lost", answer
    assert answer.json["resolved"] == 1, answer
    assert rig.finish(behind, seconds=5, node=asked).status == 200  # no try was lost: before any sweep
    rig.witness.release("frozen")
    rig.witness.wait_seen("/hang/frozen", 2)
    assert rig.finish(job, node=asked).status == 200
    calls = len(rig.witness.calls)
    assert frozen.process.pid not in workers(rig, asked)  # dealt with; the killed one is still told
    assert workers(rig, asked)[killed_pid]["state"] == "lost"
    frozen.process.send_signal(signal.SIGCONT)
    wait_until("it is back", lambda: workers(rig, asked).get(frozen.process.pid, {}).get("state") == "live")
    assert len(rig.witness.calls) == calls and rig.postgres.query(
        f"SELECT count(*), max(attempt) FROM result WHERE job_id = '{job}'") == [["1", "2"]]
    fresh(rig)


main(lambda: Rig(nodes=3, settings={"lease_ttl": f"{TTL:g}s", "runners": "4", "retry_first": "100ms", "drain_timeout": "5s"},
                 prepare=lambda rig: [rig.prepare(FUNCTIONS, env=env) for env in ("dev", "prod")]))
