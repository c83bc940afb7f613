"""F07, F08: who runs a sync, or its runner, stands still and wakes when another has gone on (R1, I6)."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import TTL, Fleet, has_points, wait_until
from syncs import Syncs
from tap import main, test


def state_of(node):
    with open(f"/proc/{node.process.pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0]


def begin(fleet, name):
    """Both syncs of a new connection are complete, then its list changes.  No node runs."""
    fleet.all()
    syncs = Syncs(fleet, names=(name,), change_s=0, trigger_s=0, nodes=fleet.nodes[1:]).start()
    syncs.complete()
    syncs.source.put(name, "r1", "r3", "new1", "new2")
    syncs.source.remove(name, "r2", "r20")
    for node in fleet.nodes:
        node.stop()
    return syncs


def takes_over(fleet, syncs, since):
    """Node 0 stands still: the list changes again, and node 1 reads it."""
    fleet.nodes[1].start()
    syncs.source.put(syncs.names[0], "r1", "r4", "r5", "new1", "r2")
    syncs.complete(30)
    fleet.history.write("fault", what="node_stop", node=0, began=since, until=time.monotonic())


def wakes(fleet, syncs):
    victim, calls = fleet.nodes[0], len(syncs.source.pages)
    victim.process.send_signal(signal.SIGCONT)
    wait_until("it has noticed", lambda: fleet.metric(victim, "sluice_session_lost_total") == 1, 20)
    time.sleep(TTL / 2)  # time enough for what must not come
    assert len(syncs.source.pages) == calls, "the stale worker called the provider"
    syncs.stop(30)
    fleet.judged()


def ask(syncs, node):
    for place in syncs.places:
        syncs.trigger(*place, node=node)
    return time.monotonic()


if has_points():
    @test(name="F07 worker of a sync frozen between a page and its records wakes after its lease: it writes nothing and calls nobody", seconds=60)
    def _(fleet):
        syncs, victim = begin(fleet, "frozen"), fleet.nodes[0]
        victim.environment = {"SLUICE_FAULT": "provider_answered=stop@4"}
        victim.start()
        since = ask(syncs, victim)
        wait_until("it stands still", lambda: state_of(victim) == "T", 15)
        takes_over(fleet, syncs, since)
        wakes(fleet, syncs)


def late(what, pattern):
    @test(name=f"F07 {what} of a sync that arrive after its worker's lease are refused", seconds=60)
    def _(fleet):
        syncs, victim = begin(fleet, pattern.replace("_", "-")), fleet.nodes[0]
        victim.start()
        proxy = victim.to_postgres
        proxy.stalled = 0
        proxy.stall(pattern.encode())
        since = ask(syncs, victim)
        wait_until("they are on their way", lambda: proxy.stalled, 15)
        victim.process.send_signal(signal.SIGSTOP)
        takes_over(fleet, syncs, since)
        proxy.release()
        time.sleep(TTL / 4)
        wakes(fleet, syncs)


late("records", "record_save_items")
late("deletions", "record_delete_items")


main(lambda: Fleet(nodes=2, prepare=lambda fleet: (fleet.integration(), Syncs.prepare(fleet))))
