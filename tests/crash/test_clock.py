"""F30, F31: wall clocks jump, monotonic clocks differ between members."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import TTL, Fleet, wait_until
from load import Load
from tap import main, test
from wrong_clock import wrong_clock



def jumping(fleet, node, seconds=0):
    """Starts a node whose wall clock is so far ahead, and follows what set_clock() says."""
    if node.process is not None:
        node.stop()
    node.clock = f"{fleet.directory}/{node.name}.clock"
    set_clock(node, seconds)
    node.environment = wrong_clock(FAKETIME_TIMESTAMP_FILE=node.clock, FAKETIME_NO_CACHE="1")
    node.start()


def set_clock(node, seconds):
    with open(node.clock + ".new", "w", encoding="ascii") as file:
        file.write(f"{seconds:+d}s\n")
    os.rename(node.clock + ".new", node.clock)


def jump(seconds, name):
    @test(name=f"F30 wall clock of one of three members jumps by {name} and back under load: no lease is stolen, no retry storm, each job "
               "runs once", seconds=60)
    def _(fleet):
        fleet.all()
        node = fleet.nodes[0]
        jumping(fleet, node)
        fleet.fresh()
        since = [len(n.log()) for n in fleet.nodes]
        load = Load(fleet, seed=seconds, clients=6, kinds={"none": 2, "one": 3, "two": 4}, rate=10).start()
        began = time.monotonic()
        fleet.job("one", 90050, headers={"X-Delay": "2"})
        for offset in (seconds, -seconds, 0):
            before = load.accepted
            set_clock(node, offset)
            time.sleep(1.2)  # beats, renewals and sweeps come and go
            wait_until("clients are served", lambda b=before: load.accepted >= b + 20, 10)
        load.stop()
        fleet.quiet()
        first = fleet.calls(90050)[0].began - began
        assert 1.9 < first < 5, f"a delay of 2 s took {first:.1f} s"
        ran = fleet.postgres.query("SELECT count(*), count(*) FILTER (WHERE number > 1) FROM attempt JOIN job ON id = job_id"
                                   f" WHERE seq > {fleet.since}")
        assert ran[0][1] == "0", f"{ran[0][1]} jobs were tried again"
        own = fleet.postgres.query("SELECT count(*) FROM attempt a JOIN session s ON s.id = session_id"
                                   f" WHERE s.node ~ ':{node.process.pid}(:|$)'")
        assert int(own[0][0]) > 0, "the member whose clock jumped ran nothing"
        verdict = fleet.judged()
        assert sum(count for state, count in verdict.states.items() if state not in ("succeeded", "cancelled")) == 0, verdict.states
        print(f"# {verdict.jobs} jobs, {own[0][0]} of {ran[0][0]} attempts by the member whose clock jumped")
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


@test(name="F31 three members whose monotonic clocks are days and weeks apart: keys change hands, dead and frozen ones are replaced, "
           "nothing runs twice", seconds=60)
def _(fleet):
    fleet.only()
    own = [] if os.getuid() == 0 else ["-U", "--map-current-user"]
    apart = {fleet.nodes[1]: "300000", fleet.nodes[2]: "3000000"}
    for node, offset in apart.items():
        node.prefix = ["unshare", *own, "-T", f"--monotonic={offset}"]
    try:
        fleet.all()
        load = Load(fleet, seed=31, clients=6, kinds={"one": 3, "two": 3}, rate=15).start()

        def served():
            before = load.accepted
            wait_until("clients are served", lambda: load.accepted >= before + 15, 20)
        served()
        for node in apart:
            with fleet.history.fault("node_stop", node=node.number):
                fleet.pause(node)
                time.sleep(2.5 * TTL)
                fleet.wake(node)
            served()
        fleet.kill(fleet.nodes[0])
        served()
        fleet.nodes[0].start()
        served()
        load.stop()
        assert fleet.judged().jobs > 60
        for node, offset in apart.items():
            with open(f"/proc/{node.process.pid}/timens_offsets", encoding="ascii") as file:
                assert offset in file.read(), "the clocks did not differ"
    finally:
        for node in apart:
            node.process.send_signal(signal.SIGCONT)
        fleet.only()
        for node in apart:
            node.prefix = []


main(lambda: Fleet(nodes=3))
