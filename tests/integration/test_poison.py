"""What kills the processes that run it is set aside after three deaths, with what is known of it; its key and its neighbours go on."""
import contextlib
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, build_directory
from servers import wait_until
from tap import main, test

TTL = 1.0
FUNCTIONS = {
    "echo": "return input;",
    "call": "const r = await nango.get({ endpoint: input.path + '?secret=query', headers: { 'x-secret': 'header' } }); return r.data.path;",
    "sleep": "await new Promise((done) => setTimeout(done, 60000)); return 'slept';",
    "nap": "await new Promise((done) => setTimeout(done, 1500)); return 'woke';",
}


def has_points():
    with open(f"{build_directory()}/sluiced", "rb") as file:
        return b"is not name=kill" in file.read()


def function_processes(node):
    """Processes that run functions below a node, without the root that forks them."""
    table = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    head, _, tail = file.read().rpartition(")")
                table[int(name)] = (int(tail.split()[1]), head.partition("(")[2])
    roots = [pid for pid, (parent, command) in table.items() if parent == node.process.pid and command.startswith("sluice-runner"[:15])]
    return [pid for pid, (parent, _) in table.items() if parent in roots]


def kill_functions(node, how=signal.SIGKILL):
    for pid in function_processes(node):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)


def state(rig, job):
    return rig.poll(job).headers.get("x-sluice-state")


def start_only(rig, *roles):
    for node, role in zip(rig.nodes, roles):
        if node.process is not None and node.process.poll() is None:
            if node.settings.get("role") == role and role is not None:
                continue
            node.stop()
        node.settings["role"], node.environment = role, {}
        if role is not None:
            node.start()


ALL = "api,worker,scheduler"


def deaths(rig, job):
    return rig.postgres.query(f"SELECT cause, signal, memory > 1000000, last_call FROM death WHERE job_id = '{job}' AND NOT open ORDER BY at")


def kill_run(rig, job, number, how=signal.SIGKILL):
    """A job without calls, its number-th death: a job that runs may have no process yet, so until it is known."""
    wait_until("it runs", lambda: state(rig, job) == "running", 10)

    def died():
        if len(deaths(rig, job)) >= number:
            return True
        kill_functions(rig.nodes[0], how)
        return False
    wait_until("the death is known", died, 10, every=0.04)


def kill_at_each_call(rig, job, path, times):
    for n in range(1, times + 1):
        rig.witness.wait_seen(path, n, 20)
        before = len(deaths(rig, job))
        kill_functions(rig.nodes[0])
        wait_until("the death is known", lambda: len(deaths(rig, job)) > before or rig.poll(job).status != 404, 10)


@test
def a_job_whose_runner_dies_three_times_is_set_aside_although_tries_are_left(rig):
    start_only(rig, ALL, None)
    job = rig.submit("call", {"path": "/hang/poison"}, retries=5)
    behind = rig.submit("echo", "behind")
    kill_at_each_call(rig, job, "/hang/poison", 3)
    answer = rig.finish(job)
    rig.witness.release("poison")
    assert answer.status == 500 and answer.code == "action_script_failure", answer
    assert answer.json["error"]["payload"]["error"].startswith("poison: "), answer
    rows = rig.postgres.query(f"SELECT deaths, signal, memory > 1000000, last_call FROM dead WHERE job_id = '{job}'")
    assert rows == [["3", "9", "t", "http GET /hang/poison"]], rows
    assert len(rig.witness.seen("/hang/poison")) == 3, "one that was set aside was started again"
    assert rig.postgres.query(f"SELECT count(*) FROM attempt WHERE job_id = '{job}'") == [["3"]]
    assert rig.finish(behind).json == "behind"
    log = rig.nodes[0].log()
    assert "secret" not in log and "job_set_aside" in log


@test
def without_retries_a_runner_that_dies_after_an_effect_is_the_end_but_no_poison(rig):
    start_only(rig, ALL, None)
    job = rig.submit("call", {"path": "/hang/once"})
    kill_at_each_call(rig, job, "/hang/once", 1)
    answer = rig.finish(job)
    rig.witness.release("once")
    assert answer.status == 500 and "died" in answer.json["error"]["message"], answer
    assert not answer.json["error"]["payload"]["error"].startswith("poison"), answer
    assert len(deaths(rig, job)) == 1 and not rig.postgres.query(f"SELECT job_id FROM dead WHERE job_id = '{job}'")


@test
def a_runner_that_dies_before_any_effect_costs_no_try(rig):
    start_only(rig, ALL, None)
    job = rig.submit("nap")
    for n in range(1, 3):
        kill_run(rig, job, n)
    answer = rig.finish(job)
    assert answer.status == 200 and answer.json == "woke", answer
    assert rig.postgres.query(f"SELECT count(*) FROM attempt WHERE job_id = '{job}'") == [["0"]], "a try was used up"


@test
def three_deaths_before_any_effect_are_enough(rig):
    start_only(rig, ALL, None)
    job = rig.submit("sleep")
    for n in range(1, 4):
        kill_run(rig, job, n, signal.SIGABRT)
    answer = rig.finish(job)
    assert answer.status == 500 and answer.json["error"]["payload"]["error"].startswith("poison: "), answer
    assert rig.postgres.query(f"SELECT deaths, signal FROM dead WHERE job_id = '{job}'") == [["3", "6"]]
    assert rig.finish(rig.submit("echo", "after")).json == "after"


if has_points():
    @test
    def a_job_that_kills_its_worker_again_and_again_is_set_aside_and_those_behind_it_run(rig):
        start_only(rig, None, "api,scheduler")
        observer, victim = rig.nodes[1], rig.nodes[0]
        job = rig.submit("echo", "poison", node=observer)
        behind = [rig.submit("echo", n, node=observer) for n in range(1, 4)]
        victim.settings["role"], victim.environment = "worker", {"SLUICE_FAULT": "attempt_start=kill@1"}
        kills = 0
        while rig.poll(job, node=observer).status == 404 and kills < 6:
            victim.start(wait=False)
            wait_until("it dies, or all is done", lambda: victim.process.poll() is not None or rig.poll(job, node=observer).status != 404, 20)
            if victim.process.poll() is not None:
                kills += rig.poll(job, node=observer).status == 404  # else it died of what was behind
                wait_until("its session has ended", lambda: not rig.postgres.query("SELECT id FROM session WHERE live"), 15)
        answer = rig.finish(job, node=observer)
        assert answer.status == 500 and answer.json["error"]["payload"]["error"].startswith("poison: "), answer
        print(f"# {kills} workers died")
        assert kills == 3, kills
        rows = rig.postgres.query(f"SELECT deaths FROM dead WHERE job_id = '{job}'")
        assert rows == [["3"]], rows
        if victim.process.poll() is None:
            victim.stop()
        victim.environment = {}
        victim.start(wait=False)
        assert [rig.finish(one, node=observer).json for one in behind] == [1, 2, 3]
        assert not rig.postgres.query("SELECT job_id FROM dead WHERE job_id IN ('%s')" % "','".join(behind))


def prepare(rig):
    rig.nodes[0].start()
    rig.read_keys()
    rig.prepare(FUNCTIONS)


main(lambda: Rig(nodes=2, start=False, settings={"lease_ttl": f"{TTL:g}s", "retry_first": "100ms", "drain_timeout": "5s"}, prepare=prepare))
