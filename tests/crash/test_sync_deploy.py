"""F35: deploys, a roll back, a new frequency and a removal while syncs run."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import Fleet, wait_until
from source import source_flows
from syncs import Syncs
from tap import main, test


def deploy(fleet, version, node):
    return fleet.deploy_flows(source_flows(version), node=node)


def running(fleet, name):
    """Syncs of a connection whose run is open."""
    answer = fleet.request("GET", f"/sync/status?syncs=*&provider_config_key=w&connection_id={name}")
    assert answer.status == 200, answer
    return [entry["name"] for entry in answer.json["syncs"] if entry["status"] == "RUNNING"]


@test(name="F35 deploys, a roll back and two deploys at once while syncs run: a run has one version to its end", seconds=60)
def _(fleet):
    fleet.all()
    syncs = Syncs(fleet, names=("d0", "d1"), trigger_s=0.1, change_s=0.02, page_ms=30).start()
    done = []
    for version, node in (("2", fleet.nodes[1]), ("3", fleet.nodes[0]), ("2", fleet.nodes[1])):
        time.sleep(0.5)
        answer = deploy(fleet, version, node)
        assert answer.status == 200, answer
        done.append((time.monotonic(), version))
    time.sleep(0.5)
    answers = []
    threads = [threading.Thread(target=lambda v=v, n=n: answers.append(deploy(fleet, v, n).status)) for v, n in zip("45", fleet.nodes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) <= {200, 409} and 200 in answers, answers
    syncs.stop(30)
    used = {page["run"]: (page["began"], page["version"]) for page in reversed(syncs.source.pages)}  # of each run its first page
    newest = max(used.values())
    assert newest[1] in "45" and {version for _, version in used.values()} >= {"2", "3"}, used
    for told, version in done:
        until = min((at for at, _ in done if at > told), default=told + 0.5)
        late = {v for began, v in used.values() if told + 0.3 < began < until - 0.3}
        assert late <= {version}, (version, late)
    fleet.judged()


@test(name="F35 frequency changed while a sync runs: the run goes on to its end, the next slot is the new one, nothing runs twice", seconds=60)
def _(fleet):
    fleet.all()
    assert fleet.deploy_flows(source_flows("6", auto_start=True)).status == 200
    syncs = Syncs(fleet, names=("often",), change_s=0, trigger_s=0).start()
    syncs.complete()
    syncs.source.page_ms = 200
    before = int(fleet.postgres.query("SELECT count(*) FROM job WHERE kind = 2")[0][0])
    syncs.trigger("often", "listing")
    wait_until("it runs", lambda: running(fleet, "often") == ["listing"], 10)
    for frequency, every in (("every 2h", 7200), ("every 30s", 30), (None, 3600)):
        answer = fleet.request("PUT", "/sync/update-connection-frequency", {
            "sync_name": "listing", "provider_config_key": "w", "connection_id": "often", "frequency": frequency})
        assert answer.status == 200, answer
        late = fleet.postgres.query("SELECT extract(epoch FROM next_run_at - now()) FROM schedule c JOIN sync s ON s.id = c.sync_id"
                                    " JOIN function f ON f.id = s.function_id JOIN connection k ON k.id = s.connection_id"
                                    " WHERE f.name = 'listing' AND k.connection_id = 'often'")
        assert 0 < float(late[0][0]) <= every, (frequency, late)
    assert running(fleet, "often") == ["listing"], "it was over before anything was tested"
    wait_until("it ends", lambda: not running(fleet, "often"), 20)
    assert int(fleet.postgres.query("SELECT count(*) FROM job WHERE kind = 2")[0][0]) == before + 1
    syncs.stop(30)
    fleet.judged()


@test(name="F35 sync removed while it runs: it has no effect any more, its records go, the others go on", seconds=60)
def _(fleet):
    fleet.all()
    syncs = Syncs(fleet, names=("gone",), change_s=0.05, trigger_s=0).start()
    syncs.complete()
    syncs.source.page_ms = 300
    syncs.trigger("gone", "listing")
    syncs.trigger("gone", "changes")
    wait_until("both run", lambda: len(running(fleet, "gone")) == 2, 10)
    op = fleet.history.invoke("reset", list="gone", sync="listing")
    keep = [flow for flow in source_flows("6") if flow["syncName"] == "changes"]
    answer = fleet.deploy_flows(keep, mode="all")
    assert answer.status == 200, answer
    calls = len(syncs.source.seen("gone", "listing"))
    syncs.source.page_ms = 10
    wait_until("its rows are gone", lambda: fleet.postgres.query(
        "SELECT (SELECT count(*) FROM record WHERE model = 'Listed') + (SELECT count(*) FROM sync s JOIN function f ON f.id = s.function_id"
        " WHERE f.name = 'listing')") == [["0"]], 20, 0.1)
    wait_until("no run is open", lambda: not running(fleet, "gone"), 20)
    assert len(syncs.source.seen("gone", "listing")) <= calls + 1, "it went on"
    assert fleet.postgres.query("SELECT count(*) > 0 FROM record WHERE model = 'Changed'") == [["t"]], "those of the other went, too"
    fleet.history.write("ok", op=op)
    fleet.history.write("forget", list="gone", sync="listing")
    answer = fleet.deploy_flows(source_flows("7"))
    assert answer.status == 200, answer
    syncs.stop(30)
    fleet.judged()


main(lambda: Fleet(nodes=2, prepare=lambda fleet: (fleet.integration(), Syncs.prepare(fleet))))
