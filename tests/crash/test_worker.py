"""F01-F09: a worker or a runner dies or stands still at each step of a job."""
import http.client
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import TTL, Fleet, has_points, lasting, runners_of, send, wait_until
from tap import main, test

ACTION_S = 6.0  # action_timeout of these nodes


def at_point(fleet, point, visit=1, action="kill"):
    """Node 0 runs alone and will die, or stand still, at that visit of point."""
    fleet.only()
    victim = fleet.nodes[0]
    victim.environment = {"SLUICE_FAULT": f"{point}={action}@{visit}"}
    victim.start(wait=point != "session_opened")
    return victim


def state_of(node):
    with open(f"/proc/{node.process.pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0]


def submit_until_dead(fleet, victim, kind, numbers, retries, one_by_one):
    """Each n until the node is gone, one_by_one: once the one before has ended; returns the jobs that were answered for."""
    jobs = {}
    for n in numbers:
        try:
            jobs[n] = fleet.job(kind, n, retries=retries, ms=5, node=victim, headers={"Idempotency-Key": f"n{n}"})
            time.sleep(0.03)  # time for its push: a job that is left to the sweep costs 10 s
            if one_by_one:
                fleet.finish(jobs[n], 10, node=victim)
        except (OSError, http.client.HTTPException):
            break
    return jobs


def killed_at(fault, point, visit=1, retries=0, lost=0, kind="two", one_by_one=False):
    """lost: jobs without retries that may end as worker_lost."""
    @test(name=f"{fault} worker killed at {point}, {retries} retries: no job is lost, none is started too often", seconds=60)
    def _(fleet):
        victim = at_point(fleet, point, visit)
        began = time.monotonic()
        jobs = submit_until_dead(fleet, victim, kind, range(1, 11), retries, one_by_one)
        wait_until(f"{point} is reached", lambda: victim.process.poll() is not None, 10)
        fleet.history.write("fault", what="node_kill", node=0, began=began, until=time.monotonic())
        other = fleet.nodes[1]
        other.start()
        for n in range(1, 15):  # those without an answer once more; all of them end, behind what was there
            again = fleet.job(kind, n, retries=retries, ms=5, node=other, headers={"Idempotency-Key": f"n{n}"})
            assert jobs.setdefault(n, again) == again, "one Idempotency-Key, two jobs"
        verdict = fleet.judged()
        ended = fleet.results(jobs.values())
        unhappy = [n for n, job in jobs.items() if ended[job] != 1]
        assert len(unhappy) <= lost and all(ended[jobs[n]] == 5 for n in unhappy), (unhappy, ended)
        assert verdict.doubled == 0 and verdict.jobs == 14


@test(name="F01 worker killed while idle: the next one claims its keys within a lease and a second", seconds=60)
def _(fleet):
    fleet.only(0)
    assert fleet.finish(fleet.job("one", 1)).status == 200
    fleet.nodes[1].start()
    wait_until("node 0 leads", lambda: fleet.leads(fleet.nodes[0]) or fleet.leads(fleet.nodes[1]), 10)
    fleet.kill(fleet.nodes[0])
    began = time.monotonic()
    fleet.job("one", 2, node=fleet.nodes[1])
    fleet.wait_calls(2)
    took = time.monotonic() - began
    print(f"# {took:.2f} s")
    assert took < TTL + 1
    fleet.judged()


if has_points():
    killed_at("F02", "turn_taken")
    killed_at("F02", "turn_claimed")
    killed_at("F02", "turn_fenced", one_by_one=True)  # its key must have been let go of
    killed_at("F02", "attempt_start", 2)
    killed_at("F02", "session_opened")
    killed_at("F03", "attempt_begun", 2, lost=1)
    killed_at("F03", "attempt_begun", 3, retries=1)
    killed_at("F03", "provider_call", 3, lost=1)
    killed_at("F04", "provider_answered", 3, lost=1)
    killed_at("F04", "provider_answered", 2, retries=2)
    killed_at("F04", "result_known", 2, lost=1)
    killed_at("F05", "settle_committed", 3, lost=1)
    killed_at("F05", "result_committed", 2)
    killed_at("F05", "result_committed", 2, retries=1)
    killed_at("F05", "turn_handed", 2)


def call_killed_at(fault, point, killed, statuses):
    """A sync call that node 0 passes to node 1; killed is the one of them that dies."""
    @test(name=f"{fault} {'worker' if killed else 'API'} killed at {point} of a sync call that travels: it starts once at most", seconds=60)
    def _(fleet):
        fleet.only()
        fleet.nodes[0].settings["role"] = "api,scheduler"
        victim = fleet.nodes[killed]
        victim.environment = {"SLUICE_FAULT": f"{point}=kill"}
        try:
            for node in fleet.nodes:
                node.start()
            op = fleet.history.invoke("call", n=1, key="dev", kind="one", calls=1, node=0)
            began = time.monotonic()
            try:
                answer = fleet.call("one", {"n": 1})
                fleet.history.write("ok", op=op, status=answer.status)
                assert answer.status in statuses, answer
                assert answer.status == 200 or "worker_lost" in answer.body.decode(), answer
                print(f"# answered after {time.monotonic() - began:.1f} s")
            except (OSError, http.client.HTTPException):
                assert killed == 0
                fleet.history.write("unknown", op=op)
            wait_until(f"{point} is reached", lambda: victim.process.poll() is not None, 10)
            fleet.history.write("fault", what="node_kill", node=killed, began=began, until=time.monotonic())
            victim.environment = {}
            victim.start()
            op = fleet.history.invoke("call", n=2, key="dev", kind="one", calls=1, node=0)
            assert fleet.call("one", {"n": 2}).status == 200
            fleet.history.write("ok", op=op, status=200)
            time.sleep(TTL)  # time enough for a second start that must not come
        finally:
            fleet.nodes[0].settings["role"] = None
        fleet.judged()


if has_points():
    call_killed_at("F02", "call_taken", 1, (500,))
    call_killed_at("F04", "call_ended", 1, (500,))
    call_killed_at("F05", "call_told", 1, (200, 500))
    call_killed_at("F12", "call_pushed", 0, ())


@test(name="F03 worker killed during a call, no retries: the job ends as worker_lost and is not started again", seconds=60)
def _(fleet):
    fleet.only(0)
    job = fleet.job("one", 1, path="/hang/lost")
    behind = [fleet.job("none", n) for n in (2, 3)]
    fleet.wait_calls(1)
    fleet.nodes[1].start()
    fleet.kill(fleet.nodes[0])
    answer = fleet.finish(job, node=fleet.nodes[1])
    assert answer.status == 500 and answer.code == "action_script_failure", answer
    assert "worker_lost" in answer.json["error"]["payload"]["error"], answer
    assert all(fleet.finish(job, node=fleet.nodes[1]).status == 200 for job in behind), "the key's next jobs go on"
    fleet.witness.release("lost")
    assert fleet.judged().worker_lost == 1 and len(fleet.calls(1)) <= 1


@test(name="F03 worker killed during a call, one retry: the other node runs it again", seconds=60)
def _(fleet):
    fleet.only(0)
    job = fleet.job("one", 1, retries=1, path="/hang/again")
    fleet.wait_calls(1)
    fleet.nodes[1].start()
    fleet.kill(fleet.nodes[0])
    fleet.wait_calls(1, 2)
    fleet.witness.release("again")
    assert fleet.finish(job, node=fleet.nodes[1]).status == 200
    fleet.judged()


@test(name="F03 worker killed right after thirty 202s: every job ends, none is started three times", seconds=60)
def _(fleet):
    fleet.only(0)
    fleet.jobs("one", range(30), retries=1, ms=20)
    fleet.kill(fleet.nodes[0])
    assert len(fleet.witness.calls) < 30, "the kill came too late to test anything"
    fleet.nodes[0].start()
    fleet.judged()


def takes_over(fleet, name):
    """Node 0 stands still in the first of the two calls of job 1; node 1 takes it over, then node 0 wakes."""
    job = fleet.job("two", 1, retries=1, path=f"/hang/{name}", then="/ok/then")
    fleet.wait_calls(1)
    lost = fleet.metric(fleet.nodes[0], "sluice_session_lost_total")
    began = time.monotonic()
    fleet.pause(fleet.nodes[0])
    try:
        fleet.nodes[1].settings["role"] = None
        if not fleet.running(fleet.nodes[1]):
            fleet.nodes[1].start()
        fleet.wait_calls(1, 2, 20)
        fleet.witness.release(name)
        assert fleet.finish(job, node=fleet.nodes[1]).status == 200
    finally:
        fleet.wake(fleet.nodes[0])
        fleet.history.write("fault", what="node_stop", node=0, began=began, until=time.monotonic())
    fleet.nodes[0].wait_ready(20)
    wait_until("it is counted", lambda: fleet.metric(fleet.nodes[0], "sluice_session_lost_total") == lost + 1, 10)
    time.sleep(2 * TTL)  # time enough for a call that must not come
    assert len(fleet.calls(1, "/ok/then")) == 1, "the stale worker called the provider"
    assert fleet.finish(fleet.job("none", 2)).status == 200
    verdict = fleet.judged()
    assert verdict.on_wire == 0


@test(name="F07 frozen worker wakes after its lease: no further request, no second result", seconds=60)
def _(fleet):
    fleet.only()
    fleet.nodes[1].settings["role"] = "api,scheduler"  # leads, and leaves the job to node 0
    fleet.nodes[0].settings["role"] = "api,worker"
    try:
        fleet.nodes[1].start()
        wait_until("node 1 leads", lambda: fleet.leads(fleet.nodes[1]), 20)
        fleet.nodes[0].start()
        job = fleet.job("none", 3)
        assert fleet.finish(job).status == 200
        fleet.nodes[1].stop()
        takes_over(fleet, "frozen")
    finally:
        for node in fleet.nodes:
            node.settings["role"] = None
        fleet.only()


@test(name="F07 frozen leader and worker wakes after its lease: it was replaced, its jobs went on", seconds=60)
def _(fleet):
    fleet.only(0)
    wait_until("node 0 leads", lambda: fleet.leads(fleet.nodes[0]), 20)
    takes_over(fleet, "leader")


if has_points():
    @test(name="F07 worker frozen between a result and its commit: the result is refused when it wakes", seconds=60)
    def _(fleet):
        victim = at_point(fleet, "result_known", 2, "stop")
        fleet.witness.release("commit")
        fleet.job("one", 1, retries=1)
        began = time.monotonic()
        job = fleet.job("one", 2, retries=1, path="/hang/commit")
        fleet.wait_calls(2)
        wait_until("it stands still", lambda: state_of(victim) == "T", 10)
        fleet.witness.hold("commit")
        fleet.nodes[1].start()
        fleet.wait_calls(2, 2, 20)  # the successor runs: the job is open
        since = len(victim.log())
        fleet.wake(victim)
        wait_until("the late result is refused", lambda: fleet.logged(victim, "result_refused", since), 10)
        wait_until("it is counted", lambda: fleet.metric(victim, "sluice_late_results_total") == 1, 10)
        assert fleet.metric(victim, "sluice_session_lost_total") == 1
        fleet.history.write("fault", what="node_stop", node=0, began=began, until=time.monotonic())
        victim.wait_ready()
        assert fleet.poll(job, node=fleet.nodes[1]).status == 404 and not fleet.results([job]), "the late result counted"
        fleet.witness.release("commit")
        answer = fleet.finish(job, node=fleet.nodes[1])
        assert answer.status == 200 and answer.json["run"] == fleet.calls(2)[1].query["run"], answer
        fleet.judged()


@test(name="F07 worker that sleeps less than a lease, again and again, loses and doubles nothing", seconds=60)
def _(fleet):
    fleet.all()
    jobs = fleet.jobs("two", range(12), retries=0, ms=40)
    for number in (0, 1, 0, 1):
        lasting(fleet, fleet.nodes[number], 0.6 * TTL)
        time.sleep(0.2)
    fleet.judged()
    assert set(fleet.results(jobs.values()).values()) <= {1}, fleet.results(jobs.values())


@test(name="F08 frozen runner: its run ends with its deadline, the key goes on", seconds=60)
def _(fleet):
    fleet.only(0)
    assert fleet.finish(fleet.job("two", 1)).status == 200
    job = fleet.job("two", 2, path="/slow/work", ms=1000)
    behind = fleet.job("none", 3)
    fleet.wait_calls(2)
    began = time.monotonic()
    frozen = runners_of(fleet.nodes[0])[1:]
    for pid in frozen:
        send(pid, signal.SIGSTOP)
    answer = fleet.finish(job, ACTION_S + 10)
    took = time.monotonic() - began
    print(f"# {took:.1f} s")
    assert answer.code == "execution_timeout" and took < ACTION_S + 2, answer
    for pid in frozen:  # those of other functions
        send(pid, signal.SIGCONT)
    assert fleet.finish(behind).status == 200
    fleet.judged()


@test(name="F09 killed runner: its job fails, is tried again if it may, and the node goes on", seconds=60)
def _(fleet):
    fleet.only(0)
    pid = fleet.nodes[0].process.pid
    for retries, path in ((0, "dies"), (1, "dies-once")):
        job = fleet.job("one", retries + 1, retries=retries, path=f"/hang/{path}")
        fleet.wait_calls(retries + 1)
        for victim in runners_of(fleet.nodes[0]):
            send(victim, signal.SIGKILL)  # the first one takes the others along
        if retries:
            fleet.wait_calls(retries + 1, 2)
        fleet.witness.release(path)
        answer = fleet.finish(job)
        assert answer.status == (200 if retries else 500), answer
        assert retries or answer.code == "action_script_failure", answer
    assert fleet.finish(fleet.job("none", 9)).status == 200 and fleet.nodes[0].process.pid == pid
    fleet.judged()


@test(name="F09 runners that loop or eat memory: killed within their limit, worker unharmed", seconds=60)
def _(fleet):
    fleet.only(0)
    pid = fleet.nodes[0].process.pid
    for n, (kind, code) in enumerate((("loop", "execution_timeout"), ("bomb", "function_runtime_out_of_memory")), 1):
        job = fleet.job(kind, n)
        fleet.wait_calls(n)
        began = time.monotonic()
        answer = fleet.finish(job)
        assert answer.code == code and time.monotonic() - began < 2 + 6, (kind, answer)  # 2 s of processor time
    assert fleet.finish(fleet.job("one", 9)).status == 200 and fleet.nodes[0].process.pid == pid
    fleet.judged()


main(lambda: Fleet(nodes=2, settings={"action_timeout": f"{ACTION_S:g}s", "call_start_limit": "4s"}))
