"""Requests of functions to a provider: who waits for a provider's limit, and what others may do meanwhile."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, wait_until
from tap import main, test

FUNCTIONS = {
    "go": "const r = await nango.get(input); return r.data;",
    "inside": "return nango.triggerAction('w', 'c', 'go', input);",
}


def limited(rig, name, seconds=1):
    """A path whose first answer is a 429 that lasts so long."""
    rig.witness.script(name, [(429, {"retry-after": str(seconds)}, {})])
    return f"/script/{name}"


def gauges(rig):
    lines = rig.request("GET", "/metrics", key=None).body.decode().splitlines()
    return {name: int(value) for name, _, value in (line.partition(" ") for line in lines) if name in ("sluice_running", "sluice_runs_waiting")}


# ---- a run that waits holds no place

@test
def jobs_and_calls_go_on_while_as_many_jobs_as_there_are_places_wait(rig):
    paths = [limited(rig, "job-a"), limited(rig, "job-b")]
    waiting = [rig.submit("go", {"endpoint": path, "retries": 1}, connection=f"c{n}") for n, path in enumerate(paths)]
    for path in paths:
        rig.witness.wait_seen(path)
    assert rig.finish(rig.submit("go", {"endpoint": "/ok/job-c"}, connection="c2")).json["path"] == "/ok/job-c"
    assert rig.call("go", {"endpoint": "/ok/call"}).json["path"] == "/ok/call"
    assert [len(rig.witness.seen(path)) for path in paths] == [1, 1], "the places were held until the wait was over"
    for path, job in zip(paths, waiting):
        assert rig.finish(job).json["n"] == 2
        first, second = rig.witness.seen(path)
        assert second.began - first.ended >= 0.9, second.began - first.ended


@test
def calls_of_actions_in_actions_go_on_while_others_of_them_wait(rig):
    paths = [limited(rig, "inner-a"), limited(rig, "inner-b")]
    waiting = [rig.submit("inside", {"endpoint": path, "retries": 1}, connection=f"c{n}") for n, path in enumerate(paths)]
    for path in paths:
        rig.witness.wait_seen(path)
    assert rig.call("inside", {"endpoint": "/ok/inner"}).json["path"] == "/ok/inner"
    assert [len(rig.witness.seen(path)) for path in paths] == [1, 1], "the places were held until the wait was over"
    for job in waiting:
        assert rig.finish(job).json["n"] == 2


@test
def a_run_that_waits_is_counted_as_one(rig):
    path = limited(rig, "told")
    job = rig.submit("go", {"endpoint": path, "retries": 1})
    wait_until("one waits", lambda: gauges(rig) == {"sluice_running": 0, "sluice_runs_waiting": 1})
    assert rig.finish(job).json["n"] == 2
    assert gauges(rig) == {"sluice_running": 0, "sluice_runs_waiting": 0}


@test
def a_run_that_is_cancelled_while_it_waits_lends_nothing_more(rig):
    path = limited(rig, "cancelled", 30)
    job = rig.submit("go", {"endpoint": path, "retries": 1})
    wait_until("it waits", lambda: gauges(rig)["sluice_runs_waiting"] == 1)
    assert rig.request("DELETE", f"/action/{job}").status == 200
    wait_until("none waits", lambda: gauges(rig) == {"sluice_running": 0, "sluice_runs_waiting": 0})


def prepare(rig):
    rig.prepare(FUNCTIONS)
    for n in range(3):
        rig.connection(f"c{n}")
    done = rig.request("PATCH", "/admin/v1/environments/dev", {"concurrency": {"by": "connection", "limit": 1}},
                       key=rig.keys["SLUICE_OPERATOR_KEY"])
    assert done.status == 200, done


main(lambda: Rig(settings={"runners": "2", "call_runners": "0"}, prepare=prepare))
