"""Requests of functions to a provider: who waits for a provider's limit, and what others may do meanwhile."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, wait_until
from tap import main, test

FUNCTIONS = {
    "go": "const r = await nango.get(input); return r.data;",
    "status": "try { return (await nango.get(input)).status } catch (e) { return e.response ? e.response.status : e.code }",
    "inside": "return nango.triggerAction('w', nango.connectionId, 'go', input);",
}


def own(rig, name):
    """A connection of the test: what it learns of limits is nobody else's."""
    rig.connection(name)
    return name


def limited(rig, name, seconds=1):
    """A path whose first answer is a 429 that lasts so long."""
    rig.witness.script(name, [(429, {"retry-after": str(seconds)}, {})])
    return f"/script/{name}"


def gauges(rig):
    lines = rig.request("GET", "/metrics", key=None).body.decode().splitlines()
    return {name: int(value) for name, _, value in (line.partition(" ") for line in lines) if name in ("sluice_running", "sluice_runs_waiting")}


def lines(rig, part):
    """What the log says of tries of URLs with this part, by the names of its values."""
    found = [line for line in rig.nodes[0].log().splitlines() if 'msg="provider_request"' in line and part in line]
    return [dict(word.partition("=")[::2] for word in line.split()) for line in found]


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
    job = rig.submit("go", {"endpoint": path, "retries": 1}, connection=own(rig, "told"))
    wait_until("one waits", lambda: gauges(rig) == {"sluice_running": 0, "sluice_runs_waiting": 1})
    assert rig.finish(job).json["n"] == 2
    assert gauges(rig) == {"sluice_running": 0, "sluice_runs_waiting": 0}


@test
def a_run_that_is_cancelled_while_it_waits_lends_nothing_more(rig):
    path = limited(rig, "cancelled", 30)
    job = rig.submit("go", {"endpoint": path, "retries": 1}, connection=own(rig, "cancelled"))
    wait_until("it waits", lambda: gauges(rig)["sluice_runs_waiting"] == 1)
    assert rig.request("DELETE", f"/action/{job}").status == 200
    wait_until("none waits", lambda: gauges(rig) == {"sluice_running": 0, "sluice_runs_waiting": 0})


@test
def a_job_that_failed_at_a_limit_comes_back_behind_it(rig):
    path = limited(rig, "again", 2)
    job = rig.submit("go", {"endpoint": path}, retries=1, connection=own(rig, "again"))
    wait_until("it is to come back", lambda: rig.poll(job).headers.get("x-sluice-state") == "retrying")
    assert rig.finish(job).json["n"] == 2
    first, second = rig.witness.seen(path)
    assert second.began - first.ended >= 1.9, second.began - first.ended
    assert int(lines(rig, path)[1]["gate_ms"]) < 500, "it waited in a worker's hands"


# ---- tries

@test
def a_401_is_final_unless_the_credentials_changed(rig):
    rig.witness.script("final", [(401, {}, {})])
    assert rig.call("status", {"endpoint": "/script/final", "retries": 3}).json == 401
    assert len(rig.witness.seen("/script/final")) == 1

    def changed(call):
        if call.headers["authorization"].endswith("-old"):
            rig.connection("turned", api_key="key-new")
            return 401, {}, b"{}"
        return 200, {}, b"{}"
    rig.witness.routes["turned"] = changed
    rig.connection("turned", api_key="key-old")
    assert rig.call("status", {"endpoint": "/turned", "retries": 3, "retryOn": [401]}, connection="turned").json == 200
    assert [c.headers["authorization"] for c in rig.witness.seen("/turned")] == ["Bearer key-old", "Bearer key-new"]


# ---- the log

@test
def each_try_is_one_line(rig):
    path = limited(rig, "line")
    rig.call("go", {"endpoint": path, "params": {"a": "1", "b": "x=y"}, "retries": 1}, connection=own(rig, "line"))
    first, second = lines(rig, path)
    assert first["by"] == '"function=go"' and first["connection"] == '"line"' and first["method"] == "GET", first
    assert first["url"] == f'"{rig.witness.url}{path}?a&b"', first
    assert (first["status"], first["code"], first["try"], first["retry_ms"]) == ("429", "none", "1", "0"), first
    assert (second["status"], second["try"]) == ("200", "2") and int(second["retry_ms"]) >= 1000, second
    rig.call("go", {"endpoint": "/", "baseUrlOverride": "http://127.0.0.1:1"}, connection="c2")
    assert lines(rig, "http://127.0.0.1:1/")[0]["code"] == "ECONNREFUSED"


@test
def no_secret_comes_up_in_the_log(rig):
    secret = "planted-0123456789"
    done = rig.request("POST", "/integrations", {"provider": "private-api-generic", "unique_key": "queried", "integration_config": {
        "baseUrl": rig.witness.url, "keyPlacement": "query", "keyName": "key"}})
    assert done.status == 200, done
    for integration in ("w", "queried"):
        rig.connection("planted", integration, api_key=secret)
        rig.deploy({"go_planted": FUNCTIONS["go"]}, integration)
        done = rig.call("go_planted", {"endpoint": f"/ok/{integration}?of={secret}&{secret}", "params": {"to": secret}, "headers": {"x-mine": secret}},
                        connection="planted", integration=integration)
        assert done.json["path"] == f"/ok/{integration}", done
        assert lines(rig, f"/ok/{integration}"), "it is not told of"
        rig.call("go_planted", {"endpoint": "/", "baseUrlOverride": f"http://me:{secret}@127.0.0.1:1"}, connection="planted", integration=integration)
    assert secret not in rig.nodes[0].log()


def prepare(rig):
    rig.prepare(FUNCTIONS)
    for n in range(3):
        rig.connection(f"c{n}")
    done = rig.request("PATCH", "/admin/v1/environments/dev", {"concurrency": {"by": "connection", "limit": 1}},
                       key=rig.keys["SLUICE_OPERATOR_KEY"])
    assert done.status == 200, done


main(lambda: Rig(settings={"runners": "2", "call_runners": "0", "retry_first": "100ms"}, prepare=prepare))
