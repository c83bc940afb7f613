"""A sync near its time limit is interrupted where its checkpoint is safe, and goes on at once in a new run."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import flows
from rig import Rig, wait_until
from tap import main, test

STEPS = 24
FUNCTIONS = [
    flows.sync("long", """
        const saved = await nango.getCheckpoint();
        await nango.post({ endpoint: '/ok/began', data: { n: saved ? saved.n : 0 }, retries: 0 });
        for (let n = saved ? saved.n + 1 : 1; n <= %d; n++) {
            await nango.batchSave([{ id: 'step-' + n }], 'Step');
            await nango.saveCheckpoint({ n });
            await new Promise((done) => setTimeout(done, 250));
        }
        await nango.clearCheckpoint();
        """ % STEPS, models=["Step"]),
    flows.sync("stubborn", """
        for (let n = 1; ; n++) {
            try { await nango.saveCheckpoint({ n }); } catch (error) { await nango.log(error.message, { level: 'warn' }); }
            await new Promise((done) => setTimeout(done, 250));
        }
        """, models=["Stubborn"]),
]


def trigger(rig, sync, connection):
    answer = rig.request("POST", "/sync/trigger", {"syncs": [sync], "connection_id": connection, "provider_config_key": "w"})
    assert answer.status == 200 and answer.headers["x-sluice-started"] == "1", answer


def one(rig, sync, connection):
    [entry] = rig.request("GET", f"/sync/status?syncs={sync}&provider_config_key=w&connection_id={connection}").json["syncs"]
    return entry


def steps(rig):
    answer = rig.request("GET", "/records?model=Step", headers={"Connection-Id": "a", "Provider-Config-Key": "w"})
    return len(answer.json["records"])


def prepare(rig):
    rig.integration()
    for name in ("a", "b"):
        rig.connection(name)
    assert rig.deploy_flows(FUNCTIONS).status == 200


@test
def an_interrupted_sync_goes_on_from_its_checkpoint_until_it_is_done(rig):
    trigger(rig, "long", "a")
    wait_until("all steps are saved", lambda: steps(rig) == STEPS, 40)
    wait_until("it ends", lambda: one(rig, "long", "a")["latestExecutionStatus"] == "SUCCESS", 20)
    begins = [json.loads(call.body)["n"] for call in rig.witness.seen("/ok/began")]
    assert len(begins) >= 2 and begins[0] == 0, begins
    assert begins == sorted(set(begins)), "each run goes on where the one before has ended"
    assert one(rig, "long", "a")["checkpoint"] is None


@test
def one_that_goes_on_in_spite_of_it_ends_at_the_limit(rig):
    trigger(rig, "stubborn", "b")
    wait_until("it fails", lambda: one(rig, "stubborn", "b")["latestExecutionStatus"] == "STOPPED", 30)
    assert "the run is near its time limit" in rig.nodes[0].log()


main(lambda: Rig(settings={"sync_timeout": "4s"}, prepare=prepare))
