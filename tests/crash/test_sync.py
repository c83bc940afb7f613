"""F40: a sync is cut in the middle of a page, of a checkpoint, of a window of deletes (R1)."""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import Fleet, has_points, wait_until
import flows
from tap import main, test

PAGES, SIZE = 8, 5
# The list of the provider: SIZE ids a page; the witness is asked for each page, so that it sees where a run goes on.
SYNC = """
    const saved = await nango.getCheckpoint();
    let page = saved ? saved.page : 0;
    if (page === 0) await nango.trackDeletesStart('Item');
    for (; page < %d; page++) {
        const answer = await nango.get({ endpoint: '/script/skipped', params: { page: String(page) }, retries: 0 });
        await nango.get({ endpoint: '/slow/page', params: { page: String(page), ms: '15' }, retries: 0 });
        const ids = [];
        for (let n = page * %d; n < (page + 1) * %d; n++) if (n !== answer.data.skip) ids.push({ id: 'r' + n });
        await nango.batchSave(ids, 'Item');
        await nango.saveCheckpoint({ page: page + 1 });
    }
    await nango.trackDeletesEnd('Item');
    await nango.clearCheckpoint();
""" % (PAGES, SIZE, SIZE)
GONE = 7  # the record that the provider does not list any more in the second run


def trigger(fleet, connection, node):
    answer = fleet.request("POST", "/sync/trigger", {"syncs": ["pages"], "connection_id": connection, "provider_config_key": "w"},
                           node=node)
    assert answer.status == 200, answer


def state(fleet, connection, node):
    [entry] = fleet.request("GET", f"/sync/status?syncs=pages&provider_config_key=w&connection_id={connection}", node=node).json["syncs"]
    return entry.get("latestExecutionStatus")  # its schedule is paused: so says "status" when it does not run


def rows(fleet, connection):
    """{id: deleted}"""
    return {row[0]: row[1] == "t" for row in fleet.postgres.query(
        "SELECT r.id, r.deleted IS NOT NULL FROM record r JOIN connection c ON c.id = r.connection_id"
        f" WHERE c.connection_id = '{connection}'")}


def checkpoint(fleet, connection):
    found = fleet.postgres.query("SELECT value FROM checkpoint k JOIN connection c ON c.id = k.connection_id"
                                 f" WHERE c.connection_id = '{connection}' AND value IS NOT NULL")
    return json.loads(found[0][0])["page"] if found else 0


def pages(fleet):
    return [int(c.query["page"]) for c in fleet.witness.seen("/slow/page")]


def first_run(fleet, connection):
    fleet.connection(connection)
    fleet.witness.script("skipped", [])
    trigger(fleet, connection, fleet.nodes[1])
    wait_until("the first run ends", lambda: state(fleet, connection, fleet.nodes[1]) == "SUCCESS", 20)
    assert rows(fleet, connection) == {f"r{n}": False for n in range(PAGES * SIZE)}


def goes_on(fleet, connection, node):
    """A run was cut.  Nothing that exists is deleted; the next run goes on where the last checkpoint is and ends well."""
    wait_until("the cut run is over", lambda: state(fleet, connection, node) != "RUNNING", 20)
    there = rows(fleet, connection)
    assert len(there) == PAGES * SIZE and not any(gone for name, gone in there.items() if name != f"r{GONE}"), there
    at, seen = checkpoint(fleet, connection), len(pages(fleet))
    if state(fleet, connection, node) != "SUCCESS":
        trigger(fleet, connection, node)
    wait_until("the next run ends", lambda: state(fleet, connection, node) == "SUCCESS", 20)
    after = pages(fleet)[seen:]
    assert after == list(range(at, PAGES)), f"checkpoint {at}, then pages {after}"
    there = rows(fleet, connection)
    assert [name for name, gone in there.items() if gone] == [f"r{GONE}"], there
    assert len(there) == PAGES * SIZE, "lost or doubled"
    assert checkpoint(fleet, connection) == 0


def skips(fleet):
    """The provider's list is without GONE from now on."""
    fleet.witness.script("skipped", [(200, {}, {"skip": GONE})] * 200)


def killed_at(point, visit):
    @test(name=f"F40 sync killed at {point}: no record is lost, doubled or deleted, the next run goes on from the checkpoint", seconds=60)
    def _(fleet):
        fleet.all()
        connection = point.replace("_", "-")
        first_run(fleet, connection)
        skips(fleet)
        fleet.only()
        victim = fleet.nodes[0]
        victim.environment = {"SLUICE_FAULT": f"{point}=kill@{visit}"}
        victim.start()
        trigger(fleet, connection, victim)
        wait_until(f"{point} is reached", lambda: victim.process.poll() is not None, 15)
        fleet.nodes[1].start()
        goes_on(fleet, connection, fleet.nodes[1])


if has_points():
    killed_at("checkpoint_saved", 4)


@test(name="F40 sync that is cut again and again in one window of deletes: nothing is deleted before a run saw the whole list", seconds=60)
def _(fleet):
    fleet.all()
    first_run(fleet, "window")
    skips(fleet)
    for number in (0, 1, 0):
        victim = fleet.nodes[number]
        fleet.nodes[1 - number].stop()
        seen, at = len(pages(fleet)), checkpoint(fleet, "window")
        trigger(fleet, "window", victim)
        wait_until("it is in the middle", lambda: len(pages(fleet)) >= seen + 2, 15)
        victim.kill()
        fleet.nodes[1 - number].start()
        wait_until("the cut run is over", lambda: state(fleet, "window", fleet.nodes[1 - number]) != "RUNNING", 20)
        assert pages(fleet)[seen] == at
        assert not any(rows(fleet, "window").values()), "deleted by a run that did not see the whole list"
    goes_on(fleet, "window", fleet.nodes[1])


def prepare(fleet):
    fleet.integration()
    assert fleet.deploy_flows([flows.sync("pages", SYNC)]).status == 200


main(lambda: Fleet(nodes=2, prepare=prepare))
