"""F06, F30 with schedules: whoever is killed at whatever step, and whatever the clocks do, each slot runs once and none is lost."""
import json
import os
import signal
import sys
import time

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [FOLDER, os.path.join(FOLDER, "..", "lib")]
from fleet import has_points
from rig import Rig, wait_until
from schedules import deploy, ran, schedule, state_of, sync_flow
from tap import main, test
from wrong_clock import wrong_clock

CONNECTIONS = [f"c{n}" for n in range(8)]


def runs_of(rig, name):
    """{connection: runs that reached the provider}"""
    found = dict.fromkeys(CONNECTIONS, 0)
    for call in rig.witness.seen(f"/ran/{name}"):
        found[json.loads(call.body)["c"]] += 1
    return found


def all_due(rig, name):
    rig.postgres.query("UPDATE schedule x SET next_run_at = now() FROM sync s JOIN function f ON f.id = s.function_id"
                       f" WHERE s.id = x.sync_id AND f.name = '{name}'")
    rig.postgres.query("SELECT pg_notify('sluice_schedule', '')")


def each_ran(rig, name, times):
    wait_until(f"each of {name} has run {times} times ({runs_of(rig, name)})", lambda: min(runs_of(rig, name).values()) >= times, 30)
    wait_until("no run is open", lambda: not any(state_of(rig, name, c).open for c in CONNECTIONS[:2]))
    assert set(runs_of(rig, name).values()) == {times}, runs_of(rig, name)


def roles(rig, first, second, fault=None):
    """The first node anew; it dies at the failure point, if one is given.  The second only if it is to be another one."""
    for node, role in zip(rig.nodes, (first, second)):
        if node.process.poll() is None and (node is rig.nodes[0] or node.settings.get("role") != role):
            node.stop()
        node.settings["role"] = role
        node.environment = {}
    if fault:
        rig.nodes[0].environment = {"SLUICE_FAULT": f"{fault}=kill"}
    for node in rig.nodes:
        if node.process.poll() is not None:
            node.start(wait=False)
    rig.nodes[1].wait_ready()


def dies(rig, point):
    wait_until(f"{point} is reached", lambda: rig.nodes[0].process.poll() is not None, 20)
    rig.nodes[0].environment = {}


def older(rig):
    """What was accepted is old enough for the sweep, which leaves alone what may be on its way."""
    rig.postgres.query("UPDATE job SET accepted_at = accepted_at - interval '10 seconds' WHERE kind = 2")


if has_points():
    def killed(point, what):
        @test(name=f"F06 the scheduler is killed at {point}: {what}", seconds=60)
        def _(rig):
            name = point.replace("_", "-")
            roles(rig, "scheduler", "api,worker", point)
            deploy(rig, sync_flow(name), node=rig.nodes[1])
            dies(rig, point)
            older(rig)
            rig.nodes[0].start(wait=False)
            each_ran(rig, name, 1)
            all_due(rig, name)
            each_ran(rig, name, 2)

    killed("schedule_made", "each sync is there, and runs once for each slot")
    killed("schedule_taken", "what was accepted and not pushed runs once")
    killed("schedule_pushed", "what was pushed runs once")

    @test(name="F06 the scheduler is killed at schedule_removed: a sync that was removed is gone in the end with all that it saved", seconds=60)
    def _(rig):
        deploy(rig, sync_flow("removed", "await nango.batchSave([{ id: 'x' }], 'Item');"), node=rig.nodes[1])
        each_ran(rig, "removed", 1)
        roles(rig, "scheduler", "api,worker", "schedule_removed")
        deploy(rig, sync_flow("stays"), node=rig.nodes[1], mode="all")
        dies(rig, "schedule_removed")
        rig.nodes[0].start(wait=False)
        wait_until("nothing of it is left", lambda: rig.postgres.query(
            "SELECT (SELECT count(*) FROM sync s JOIN function f ON f.id = s.function_id WHERE f.deleted_at IS NOT NULL),"
            " (SELECT count(*) FROM record), (SELECT count(*) FROM schedule_work)") == [["0", "0", "0"]], 20)


@test(name="F06 a leader that was frozen wakes beside the next one: each slot runs once", seconds=60)
def _(rig):
    roles(rig, None, None)
    first = rig.nodes[0]
    first.wait_ready()
    deploy(rig, sync_flow("twice"))
    each_ran(rig, "twice", 1)
    for times in (2, 4):
        leader = leading(rig)
        leader.process.send_signal(signal.SIGSTOP)
        all_due(rig, "twice")
        wait_until("the other leads", lambda was=leader: leading(rig, without=was))
        each_ran(rig, "twice", times)
        all_due(rig, "twice")
        leader.process.send_signal(signal.SIGCONT)
        each_ran(rig, "twice", times + 1)


def leading(rig, without=None):
    """The node whose connection has the scheduler's lock."""
    rows = rig.postgres.query("SELECT n.name FROM node n WHERE n.leads")
    pids = {name.split(":")[1] for (name,) in rows}
    return next((n for n in rig.nodes if str(n.process.pid) in pids and n is not without), None)


# ---- clocks

def set_clock(path, seconds):
    with open(path + ".new", "w", encoding="ascii") as file:
        file.write(f"{seconds:+d}s\n")
    os.rename(path + ".new", path)


def faked(path):
    set_clock(path, 0)
    return wrong_clock(FAKETIME_TIMESTAMP_FILE=path, FAKETIME_NO_CACHE="1")


@test(name="F30 the ledger's clock and then the leader's jump by an hour, a day and back: schedules run once, and none waits longer than "
           "its interval", seconds=120)
def _(rig):
    for node in rig.nodes:
        node.stop()
        node.settings["role"] = None
    ledger, own = f"{rig.directory}/ledger.clock", f"{rig.directory}/own.clock"
    rig.postgres.stop()
    usual = rig.postgres.prefix
    rig.postgres.prefix = [*usual, "env", *(f"{k}={v}" for k, v in faked(ledger).items())]
    rig.postgres.start()
    rig.nodes[0].environment = faked(own)
    rig.nodes[0].start()
    try:
        deploy(rig, sync_flow("jumps"), node=rig.nodes[0])
        each_ran(rig, "jumps", 1)
        times = 1
        for seconds in (3600, 0, 86400, -86400, 0):
            was = float(rig.postgres.query("SELECT extract(epoch FROM now())")[0][0])
            set_clock(ledger, seconds)
            now = float(rig.postgres.query("SELECT extract(epoch FROM now()), pg_notify('sluice_schedule', '')")[0][0])
            times += now > was
            each_ran(rig, "jumps", times)
            wait_until("the next slot is within the interval", lambda: all(0 < schedule(rig, "jumps", c).seconds <= 3600 for c in CONNECTIONS[:3]))
            time.sleep(0.5)  # a storm would be seen
            each_ran(rig, "jumps", times)
        for seconds in (86400, -3600):
            set_clock(own, seconds)
            all_due(rig, "jumps")
            times += 1
            each_ran(rig, "jumps", times)
    finally:
        rig.nodes[0].stop()
        rig.postgres.stop()
        rig.postgres.prefix = usual
        rig.postgres.start()


def prepare(rig):
    rig.integration()
    for name in CONNECTIONS:
        rig.connection(name)


main(lambda: Rig(nodes=2, settings={"lease_ttl": "1s"}, prepare=prepare))
