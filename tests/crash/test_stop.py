"""F37: nodes are told to stop, once or twice, at once or one after the other, or are killed while they stop."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import Fleet, has_points, wait_until
from load import Load
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


@test(name="F37 a second TERM while it drains: it ends at once with exit code 0 and a closed session, nothing is lost", seconds=60)
def _(fleet):
    fleet.only(0)
    jobs = fleet.jobs("one", range(1, 4), retries=1, path="/hang/second")
    fleet.wait_calls(1)
    since = len(fleet.nodes[0].log())
    with fleet.history.fault("node_term", node=0):
        fleet.nodes[0].process.send_signal(signal.SIGTERM)
        wait_until("it drains", lambda: fleet.logged(fleet.nodes[0], 'msg="stopping"', since))
        began = time.monotonic()
        fleet.nodes[0].process.send_signal(signal.SIGTERM)
        assert fleet.nodes[0].process.wait(DRAIN_S + 5) == 0
        assert time.monotonic() - began < DRAIN_S - 0.5, "it was not quick"
        assert fleet.postgres.query("SELECT count(*) FROM session WHERE live") == [["0"]]
    fleet.witness.release("second")
    fleet.nodes[1].start()
    fleet.judged()
    assert set(fleet.results(jobs.values()).values()) == {1}


@test(name="F37 TERM, a second TERM and KILL, one right after the other: as a killed worker at worst", seconds=60)
def _(fleet):
    fleet.only(0)
    jobs = fleet.jobs("one", range(1, 4), retries=1, ms=1000)
    fleet.wait_calls(1)
    with fleet.history.fault("node_kill", node=0):
        for signo in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            fleet.nodes[0].process.send_signal(signo)
            time.sleep(0.01)
        assert fleet.nodes[0].process.wait(5) in (0, -signal.SIGKILL)
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


@test(name="F37 HUP under load, with a broken config and a good one in turns: nothing happens to what runs, the log says what is wrong",
      seconds=60)
def _(fleet):
    fleet.only(1)
    node, path = fleet.nodes[0], f"{fleet.directory}/sluice.conf"

    def write(text):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    settings, drain = dict(node.settings), node.settings.pop("drain_timeout")
    write(f"drain_timeout = {drain}\n")
    node.settings["config"] = path
    try:
        node.start()
        pid, since = node.process.pid, len(node.log())
        load = Load(fleet, seed=73, clients=4, kinds={"none": 3, "one": 4, "two": 3}, delays=False).start()
        for number in range(6):
            good = number % 2
            write(f"drain_timeout = {2 + number}s\n" + ("" if good else "retry_first = never\n"))
            node.process.send_signal(signal.SIGHUP)
            told = "reloaded" if good else "reload_failed"
            lines = wait_until(told, lambda told=told, number=number: (lambda found: found if len(found) > number // 2 else None)(
                fleet.logged(node, f'msg="{told}"', since)))
            assert good or "sluice.conf:2" in lines[-1], lines
            time.sleep(0.2)
        load.stop()
        assert not fleet.logged(node, "setting_changed", since)[3:], "a broken config changed something"
        assert node.process.pid == pid and node.process.poll() is None
        verdict = fleet.judged()
        assert verdict.worker_lost == 0 and verdict.states["failed"] == 0 and verdict.jobs > 20, verdict.states
    finally:
        node.settings = settings
        node.stop()


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
