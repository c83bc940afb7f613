"""F37: nodes are told to stop, once or twice, at once or one after the other, or are killed while they stop."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import Fleet, has_points, wait_until
from rig import Node
from tap import main, test

DRAIN_S = 3.0  # drain_timeout of these nodes


@test(name="F37 TERM while busy: what runs ends well, what waits is handed back without an attempt, exit code 0", seconds=60)
def _(fleet):
    fleet.only(0)
    jobs = fleet.jobs("one", range(1, 6), ms=600)
    fleet.wait_calls(1)
    with fleet.history.fault("node_term", node=0):
        assert fleet.nodes[0].stop() == 0
        assert fleet.postgres.query("SELECT count(*) FROM session WHERE live") == [["0"]]
    fleet.nodes[1].start()
    assert fleet.judged().calls == 5
    assert set(fleet.results(jobs.values()).values()) == {1}


@test(name="F37 TERM while a run takes longer than the drain: it is killed, exit code 0, its retry runs elsewhere", seconds=60)
def _(fleet):
    fleet.all()
    jobs = {retries: fleet.job("one", 1 + retries, retries=retries, path=f"/hang/drain{retries}", env=env)
            for retries, env in ((0, "dev"), (1, "prod"))}
    fleet.wait_calls(1)
    fleet.wait_calls(2)
    began = time.monotonic()
    busy = [node for node in fleet.nodes]
    with fleet.history.fault("node_term"):
        for node in busy:
            node.process.send_signal(signal.SIGTERM)
        codes = [node.process.wait(DRAIN_S + 10) for node in busy]
    assert codes == [0, 0] and DRAIN_S - 0.5 < time.monotonic() - began < DRAIN_S + 5, (codes, time.monotonic() - began)
    fleet.nodes[1].start()
    fleet.nodes[0].start()
    fleet.wait_calls(2, 2)
    for retries in jobs:
        fleet.witness.release(f"drain{retries}")
    fleet.judged()
    states = fleet.results(jobs.values())
    assert states == {jobs[0]: 5, jobs[1]: 1}, states


@test(name="F37 a second TERM while it drains: it ends, nothing is lost", seconds=60)
def _(fleet):
    fleet.only(0)
    jobs = fleet.jobs("one", range(1, 4), retries=1, ms=1000)
    fleet.wait_calls(1)
    with fleet.history.fault("node_term", node=0):
        fleet.nodes[0].process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        fleet.nodes[0].process.send_signal(signal.SIGTERM)
        assert fleet.nodes[0].process.wait(DRAIN_S + 5) in (0, -signal.SIGTERM)
    fleet.nodes[1].start()
    fleet.judged()
    assert set(fleet.results(jobs.values()).values()) == {1}


@test(name="F37 TERM, then KILL while it drains: as a killed worker", seconds=60)
def _(fleet):
    fleet.only(0)
    jobs = fleet.jobs("one", range(1, 4), retries=1, ms=1000)
    fleet.wait_calls(1)
    with fleet.history.fault("node_kill", node=0):
        fleet.nodes[0].process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        fleet.nodes[0].kill()
    fleet.nodes[1].start()
    fleet.judged()
    assert set(fleet.results(jobs.values()).values()) == {1}


if has_points():
    @test(name="F37 killed at drain_begun: as a killed worker", seconds=60)
    def _(fleet):
        fleet.only()
        node = fleet.nodes[0]
        node.environment = {"SLUICE_FAULT": "drain_begun=kill"}
        node.start()
        fleet.jobs("one", range(1, 4), retries=1, ms=500)
        fleet.wait_calls(1)
        with fleet.history.fault("node_kill", node=0):
            assert node.stop() == -signal.SIGKILL
        fleet.nodes[1].start()
        fleet.judged()


@test(name="F37 HUP while busy: nothing happens to what runs", seconds=60)
def _(fleet):
    fleet.only(0)
    job = fleet.job("one", 1, ms=500)
    fleet.wait_calls(1)
    pid = fleet.nodes[0].process.pid
    fleet.nodes[0].process.send_signal(signal.SIGHUP)
    assert fleet.finish(job).status == 200 and fleet.nodes[0].process.pid == pid and fleet.nodes[0].process.poll() is None
    fleet.judged()


@test(name="F37 four nodes that start at the same moment, without a file of keys: all are ready, and they agree on the keys", seconds=60)
def _(fleet):
    fleet.only()
    path = f"{fleet.directory}/new.env"
    nodes = [Node(fleet, f"new{i}", {**fleet.nodes[0].settings, "keys_file": path}) for i in range(4)]
    for node in nodes:
        node.settings["listen"] = f"127.0.0.1:{node.port}"
    try:
        for node in nodes:
            node.start(wait=False)
        for node in nodes:
            node.wait_ready()
        with open(path, encoding="utf-8") as file:
            key = [line.strip().split("=")[1] for line in file if line.startswith("NANGO_SECRET_KEY_DEV=")][0]
        assert [fleet.request("GET", "/connections", key=key, node=node).status for node in nodes] == [200] * 4
        assert sorted(n for n in os.listdir(fleet.directory) if n.startswith("new.env")) == ["new.env"]
    finally:
        for node in nodes:
            node.process.send_signal(signal.SIGTERM)
        codes = [node.process.wait(20) for node in nodes]
    assert codes == [0] * 4, codes


main(lambda: Fleet(nodes=2, settings={"drain_timeout": f"{DRAIN_S:g}s"}))
