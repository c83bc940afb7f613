"""F30, F31: wall clocks jump, monotonic clocks differ between members."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import TTL, Fleet, wait_until
from load import Load
from tap import main, test

LIBRARY = "libfaketimeMT.so.1"


def library():
    for folder, _, names in os.walk("/usr/lib"):
        if LIBRARY in names:
            return f"{folder}/{LIBRARY}"
    raise AssertionError("libfaketime is not installed (package faketime)")


def jumping(fleet, node, seconds=0):
    """Starts a node whose wall clock is so far ahead, and follows what set_clock() says."""
    if node.process is not None:
        node.stop()
    node.clock = f"{fleet.directory}/{node.name}.clock"
    set_clock(node, seconds)
    node.environment = {"LD_PRELOAD": library(), "FAKETIME_TIMESTAMP_FILE": node.clock, "FAKETIME_NO_CACHE": "1",
                        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
    node.start()


def set_clock(node, seconds):
    with open(node.clock + ".new", "w", encoding="ascii") as file:
        file.write(f"{seconds:+d}s\n")
    os.rename(node.clock + ".new", node.clock)


def jump(seconds, name):
    @test(name=f"F30 wall clock of one member jumps by {name} and back: no lease is stolen, no retry storm, each job runs once", seconds=60)
    def _(fleet):
        fleet.all()
        node = fleet.nodes[0]
        jumping(fleet, node)
        fleet.fresh()
        since = [len(n.log()) for n in fleet.nodes]
        jobs = fleet.jobs("two", range(12), ms=100)
        delayed = fleet.job("one", 50, headers={"X-Delay": "2"})
        fleet.wait_calls(0)
        for offset in (seconds, -seconds, 0):
            set_clock(node, offset)
            jobs.update(fleet.jobs("two", range(100 + offset % 7 * 20, 104 + offset % 7 * 20), ms=30))
            jobs.update(fleet.jobs("two", range(300 + offset % 7 * 20, 304 + offset % 7 * 20), ms=30, node=fleet.nodes[1]))
            time.sleep(1.2)
        verdict = fleet.judged()
        states = fleet.results([*jobs.values(), delayed])
        assert set(states.values()) == {1}, states
        assert verdict.calls == 2 * len(jobs) + 1, "something ran twice"
        for n, begin in zip(fleet.nodes, since):
            for what in ("session_expired", "leases_expired", "worker_reset", "worker_rejoins", "leader_deposed"):
                assert not fleet.logged(n, what, begin), fleet.logged(n, what, begin)


jump(3600, "an hour")
jump(86400, "a day")
jump(31 * 86400, "31 days")


@test(name="F30 wall clock of the leader jumps while retries and delays wait: they come when they are due, once", seconds=60)
def _(fleet):
    fleet.only()
    node = fleet.nodes[0]
    jumping(fleet, node)
    wait_until("it leads", lambda: fleet.leads(node), 20)
    began = time.monotonic()
    delayed = fleet.job("one", 1, headers={"X-Delay": "3"})
    flaky = fleet.job("fail", 2, retries=2)
    set_clock(node, 3600)
    time.sleep(1)
    set_clock(node, -3600)
    assert fleet.finish(delayed, 20).status == 200
    took = time.monotonic() - began
    assert 2.9 < took < 8, took
    assert fleet.finish(flaky, 20).status == 500
    verdict = fleet.judged()
    assert verdict.calls == 4


@test(name="F30 wall clock of a worker is an hour ahead of the API's: a sync call that travels to it runs, and once", seconds=60)
def _(fleet):
    fleet.only()
    fleet.nodes[0].settings["role"] = "api,scheduler"
    try:
        for offset in (3600, -3600):
            jumping(fleet, fleet.nodes[1], offset)
            if not fleet.running(fleet.nodes[0]):
                fleet.nodes[0].start()
            answer = fleet.call("one", {"n": 1}, seconds=40)
            assert answer.status == 200, (offset, answer)
    finally:
        fleet.nodes[0].settings["role"] = None
        fleet.only()


@test(name="F31 members whose monotonic clocks are days apart: keys change hands, a dead one is replaced, nothing runs twice", seconds=60)
def _(fleet):
    fleet.only()
    far = fleet.nodes[1]
    own = [] if os.getuid() == 0 else ["-U", "--map-current-user"]
    far.prefix = ["unshare", *own, "-T", "--monotonic=300000"]
    try:
        fleet.all()
        load = Load(fleet, seed=31, clients=4, kinds={"one": 3, "two": 3}).start()
        time.sleep(2)
        with fleet.history.fault("node_stop", node=1):
            fleet.pause(far)
            time.sleep(2.5 * TTL)
            fleet.wake(far)
        time.sleep(1)
        fleet.kill(fleet.nodes[0])
        time.sleep(TTL)
        fleet.nodes[0].start()
        time.sleep(1)
        load.stop()
        assert fleet.judged().jobs > 20
        with open(f"/proc/{far.process.pid}/timens_offsets", encoding="ascii") as file:
            assert "300000" in file.read(), "the clocks did not differ"
    finally:
        far.process.send_signal(signal.SIGCONT)
        fleet.only()
        far.prefix = []


main(lambda: Fleet(nodes=2))
