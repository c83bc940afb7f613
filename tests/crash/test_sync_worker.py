"""F03, F04, F05: who runs a sync dies at each step of it (R1); after a checkpoint: test_sync.py."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import Fleet, has_points, wait_until
from syncs import Syncs
from tap import main, test


def begin(fleet, name, **more):
    """Both syncs of a new connection are complete, then the lists change; node 0 runs alone, as victim."""
    fleet.all()
    syncs = Syncs(fleet, names=(name,), change_s=0, trigger_s=0, nodes=fleet.nodes[1:], **more).start()
    syncs.complete()
    syncs.source.put(name, "r1", "r3", "new1", "new2")
    syncs.source.remove(name, "r2", "r20")
    fleet.nodes[1].stop()
    return syncs


def killed_at(fault, what, point, visit, **more):
    @test(name=f"{fault} worker of a sync killed {what}: it goes on from its checkpoint, no record is lost, doubled or deleted", seconds=60)
    def _(fleet):
        syncs, victim = begin(fleet, f"{point.replace('_', '-')}-{visit}", **more), fleet.nodes[0]
        victim.stop()
        victim.environment = {"SLUICE_FAULT": f"{point}=kill@{visit}"}
        victim.start()
        since = time.monotonic()
        for place in syncs.places:
            syncs.trigger(*place, node=victim)
        wait_until(f"{point} is reached", lambda: victim.process.poll() is not None, 15)
        fleet.history.write("fault", what="node_kill", node=0, began=since, until=time.monotonic())
        fleet.nodes[1].start()
        syncs.stop(30)
        fleet.judged()


if has_points():
    killed_at("F03", "between a page and its records", "provider_answered", 5)
    killed_at("F03", "in the middle of a batch", "records_saved", 2, items=5000, page=2500)
    killed_at("F03", "between records and their checkpoint", "records_saved", 4)
    killed_at("F04", "before its result", "result_known", 1)
    killed_at("F05", "after its result", "result_committed", 1)


main(lambda: Fleet(nodes=2, prepare=lambda fleet: (fleet.integration(), Syncs.prepare(fleet))))
