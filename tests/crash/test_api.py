"""F11, F12: the API dies, or its answer is lost, between a commit, a push and the answer."""
import http.client
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import Fleet, has_points, wait_until
from proxy import Proxy
from tap import main, test


def killed_at(fault, point, visit, what):
    @test(name=f"{fault} API killed at {point}: {what}", seconds=90)
    def _(fleet):
        fleet.only()
        fleet.nodes[0].settings["role"] = "api"
        fleet.nodes[0].environment = {"SLUICE_FAULT": f"{point}=kill@{visit}"}
        fleet.nodes[1].start()
        fleet.nodes[0].start()
        began, victim, jobs = time.monotonic(), fleet.nodes[0], {}
        try:
            for n in range(1, 9):
                jobs[n] = fleet.job("one", n, headers={"Idempotency-Key": f"{point}-{n}"})
            raise AssertionError("it was not killed")
        except (OSError, http.client.HTTPException):
            wait_until("it is dead", lambda: victim.process.poll() is not None, 5)
        finally:
            victim.settings["role"] = None
        fleet.history.write("fault", what="node_kill", node=0, began=began, until=time.monotonic())
        for n in range(1, 9):
            again = fleet.job("one", n, node=fleet.nodes[1], headers={"Idempotency-Key": f"{point}-{n}"})
            assert jobs.setdefault(n, again) == again, "one Idempotency-Key, two jobs"
        verdict = fleet.judged()
        assert set(fleet.results(jobs.values()).values()) == {1} and verdict.calls == 8


if has_points():
    killed_at("F11", "accept_committed", 4, "the reconciler pushes the job, it runs once")
    killed_at("F12", "accept_pushed", 3, "the same Idempotency-Key returns the same id")
    killed_at("F12", "accept_answered", 3, "the same Idempotency-Key returns the same id")

    @test(name="F12 API killed at cancel_committed: the job stays cancelled and makes no further call", seconds=60)
    def _(fleet):
        fleet.only()
        fleet.nodes[0].settings["role"] = "api"
        fleet.nodes[0].environment = {"SLUICE_FAULT": "cancel_committed=kill"}
        try:
            fleet.nodes[1].start()
            fleet.nodes[0].start()
            job = fleet.job("two", 1, path="/hang/cancel", node=fleet.nodes[1])
            fleet.wait_calls(1)
            with fleet.history.fault("node_kill", node=0):
                try:
                    fleet.request("DELETE", f"/action/{job}")
                    raise AssertionError("it was not killed")
                except (OSError, http.client.HTTPException):
                    pass
        finally:
            fleet.nodes[0].settings["role"] = None
        assert fleet.finish(job, node=fleet.nodes[1]).status == 410
        fleet.witness.release("cancel")
        assert fleet.finish(fleet.job("one", 2, node=fleet.nodes[1]), node=fleet.nodes[1]).status == 200
        assert len(fleet.calls(1)) == 1
        fleet.judged()


@test(name="F12 answers lost on their way to the client: repeated with their Idempotency-Keys they are the same jobs", seconds=60)
def _(fleet):
    fleet.all()
    node = fleet.nodes[0]
    direct, proxy = node.port, Proxy(target=("127.0.0.1", node.port))
    node.port = proxy.port
    try:
        for n in range(1, 11):
            proxy.calm()
            if n % 2:
                proxy.lose_answer(b"action_name", linger=0.2, forward=n % 4 == 1)
            try:
                fleet.job("one", n, headers={"Idempotency-Key": f"lost-{n}"})
                assert n % 2 == 0, "the answer came through"
            except (OSError, http.client.HTTPException):
                assert n % 2 == 1
        assert proxy.lost == 5
    finally:
        node.port = direct
        proxy.stop()
    jobs = {n: fleet.job("one", n, node=fleet.nodes[n % 2], headers={"Idempotency-Key": f"lost-{n}"}) for n in range(1, 11)}
    assert fleet.judged().calls == 10 and len(set(jobs.values())) == 10


@test(name="F12 one Idempotency-Key from 20 threads on two nodes: one job", seconds=60)
def _(fleet):
    fleet.all()
    found, lock = [], threading.Lock()

    def ask(n):
        job = fleet.job("one", 1, node=fleet.nodes[n % 2], headers={"Idempotency-Key": "once"})
        with lock:
            found.append(job)
    threads = [threading.Thread(target=ask, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20 and len(set(found)) == 1, found
    assert fleet.judged().calls == 1


@test(name="F12 requests in pieces, slowly, cut in the middle: whole ones are done once, the others not at all", seconds=60)
def _(fleet):
    fleet.all()
    node = fleet.nodes[0]
    direct, proxy = node.port, Proxy(target=("127.0.0.1", node.port))
    node.port = proxy.port
    try:
        proxy.split(7)
        whole = fleet.jobs("one", range(1, 4))
        for n, count in ((4, 40), (5, 200), (6, 300)):
            proxy.calm()
            proxy.cut_after(count, "up")
            try:
                fleet.job("one", n)
                raise AssertionError("it came through")
            except (OSError, http.client.HTTPException):
                pass
    finally:
        node.port = direct
        proxy.stop()
    verdict = fleet.judged()
    assert verdict.calls == 3 and len(fleet.results(whole.values())) == 3


main(lambda: Fleet(nodes=2))
