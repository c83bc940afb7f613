"""F38: a node whose main loop is blocked gives no sign of life, is ended by its manager and started again."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import TTL, Fleet, children, has_points, wait_until
from load import Load
from service import Manager
from tap import main, test

WATCHDOG_MS = 600


def watched(fleet, freeze, environment=None, kind="one", **job):
    """Node 0 gets blocked by freeze() in the middle of a job, is ended as systemd does it, and comes back."""
    fleet.only()
    node = fleet.nodes[0]
    with Manager(node) as manager:
        manager.start(watchdog_ms=WATCHDOG_MS, environment=environment)
        jobs = fleet.jobs(kind, range(1, 5), retries=1, node=node, **job)
        below = children(node.process.pid)
        with fleet.history.fault("node_kill", node=0):
            freeze(node)
            fleet.nodes[1].start()
            ended = manager.supervise(WATCHDOG_MS)
            assert ended in (-signal.SIGABRT, -signal.SIGKILL), ended
        wait_until("its children are gone", lambda: not any(os.path.exists(f"/proc/{pid}") for pid in below), 5)
        began = time.monotonic()
        manager.start(watchdog_ms=WATCHDOG_MS)
        manager.wait("WATCHDOG", "1", began)
        fleet.judged()
        assert set(fleet.results(jobs.values()).values()) == {1}, fleet.results(jobs.values())


@test(name="F38 a node is stopped in the middle of a job: no sign of life, it is ended and started, one result each", seconds=60)
def _(fleet):
    def freeze(node):
        fleet.wait_calls(1)
        fleet.pause(node)
    watched(fleet, freeze, ms=300)


if has_points():
    for point in ("provider_answered", "result_committed"):
        @test(name=f"F38 the main loop is blocked at {point}: no sign of life, it is ended and started, one result each", seconds=60)
        def _(fleet, point=point):
            watched(fleet, lambda node: fleet.wait_calls(1), {"SLUICE_FAULT": f"{point}=hang"}, ms=100)


@test(name="F38 the loop goes round while Redis and Postgres are away for long: signs of life, and no restart", seconds=60)
def _(fleet):
    fleet.only()
    node = fleet.nodes[0]
    with Manager(node) as manager:
        manager.start(watchdog_ms=WATCHDOG_MS)
        jobs = fleet.jobs("one", range(1, 4), retries=1)
        for proxy in fleet.proxies(node):
            proxy.refuse()
        with fleet.history.fault("node_stop", node=0):
            since = time.monotonic()
            wait_until("four leases' time of signs", lambda: len(manager.all("WATCHDOG", since)) > 8 * TTL * 1000 / WATCHDOG_MS)
            at = [m.at for m in manager.all("WATCHDOG", since)]
            assert max(b - a for a, b in zip(at, at[1:])) < WATCHDOG_MS / 1000, at
        for proxy in fleet.proxies(node):
            proxy.accept()
        fleet.judged()
        assert set(fleet.results(jobs.values()).values()) == {1} and len(manager.all("READY")) == 1


@test(name="F38 blocked and restarted under load, three times: nothing is lost, one result each", seconds=90)
def _(fleet):
    fleet.only(1)
    node = fleet.nodes[0]
    with Manager(node) as manager:
        manager.start(watchdog_ms=WATCHDOG_MS)
        load = Load(fleet, seed=38, clients=4, kinds={"none": 3, "one": 4, "two": 3}, delays=False).start()
        for _ in range(3):
            time.sleep(0.5)
            with fleet.history.fault("node_kill", node=0):
                fleet.pause(node)
                manager.supervise(WATCHDOG_MS)
                manager.start(watchdog_ms=WATCHDOG_MS)
        load.stop()
        verdict = fleet.judged()
        assert verdict.jobs > 20, verdict.states


main(lambda: Fleet(nodes=2))
