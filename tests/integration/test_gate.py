"""A provider's limit is obeyed by the whole fleet: no request inside a closed window, none of them idle, no other delayed."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import operator_cli
from limiter import Limiter
from rig import Rig
from servers import wait_until
from tap import main, test

NODES, CONNECTIONS, JOBS = 4, 10, 40  # jobs of each connection
FUNCTIONS = {
    "go": "return (await nango.get({ endpoint: '/x', retries: 8, retryHeader: { at: 'x-ratelimit-reset' } })).status;",
    "once": "try { return (await nango.get({ endpoint: '/x' })).status } catch (e) { return e.response ? e.response.status : e.code }",
}


def operator(rig, method, path, body=None):
    answer = rig.request(method, path, body, key=rig.keys["SLUICE_OPERATOR_KEY"])
    assert answer.status == 200, answer
    return answer.json


def sluice(rig, *words):
    done = operator_cli.run("--host", f"http://127.0.0.1:{rig.nodes[0].port}", "--key", rig.keys["SLUICE_OPERATOR_KEY"], *words)
    assert done.code == 0, done
    return done


def connections(rig, names, integration="limited"):
    """Connections of the test, each with a key of its own: what is learnt of them is nobody else's."""
    for name in names:
        rig.connection(name, integration, api_key=name)
    return names


def finish(rig, jobs, seconds=30):
    left = dict(jobs)

    def look():
        for job, node in list(left.items()):
            answer = rig.poll(job, node=node)
            if answer.status != 404:
                assert answer.json == 200, answer
                del left[job]
        return not left
    wait_until("all jobs have ended", look, seconds)


def submit_all(rig, names, count):
    jobs = {}
    lock = threading.Lock()

    def post(at):
        node = rig.nodes[at % NODES]
        for _ in range(count):
            for name in names[at::NODES]:
                job = rig.submit("go", connection=name, integration="limited", node=node)
                with lock:
                    jobs[job] = node
    threads = [threading.Thread(target=post, args=(at,)) for at in range(NODES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(jobs) == len(names) * count
    return jobs


@test
def four_nodes_and_ten_connections_keep_every_window_and_lose_none_of_its_time(rig):
    limiter = rig.limiter
    limiter.set(count=10, window=0.8, tells="reset_ms", latency=0.01)
    names = connections(rig, [f"fleet{n}" for n in range(CONNECTIONS)])
    others, stop = [], threading.Event()

    def look_on():
        while not stop.wait(0.1):
            began = time.monotonic()
            answer = rig.call("other", node=rig.nodes[1])
            others.append(time.monotonic() - began)
            assert answer.json == 200, answer
    watch = threading.Thread(target=look_on)
    watch.start()
    jobs = submit_all(rig, names, JOBS)
    try:
        finish(rig, jobs)
    finally:
        stop.set()
        watch.join()
    optimum = limiter.optimum(JOBS)
    spans = [limiter.span(f"Bearer {name}") for name in names]
    refused = [sum(limiter.keys[f"Bearer {name}"].bursts()) for name in names]
    print(f"# longest {max(spans):.2f} s, optimum {optimum:.2f} s; refused {refused}; others at most {max(others):.3f} s of {len(others)}")
    assert limiter.answered() == CONNECTIONS * JOBS
    assert not limiter.violations(), limiter.violations()
    assert max(spans) <= optimum * 1.15, spans
    assert sorted(others)[int(len(others) * 0.9)] < 0.5, sorted(others)[-5:]


@test
def what_remains_keeps_a_connection_from_ever_being_refused(rig):
    limiter = rig.limiter
    limiter.set(count=5, window=0.5, tells="remaining", latency=0)
    name, = connections(rig, ["remains"])
    assert rig.call("go", connection=name, integration="limited").json == 200
    finish(rig, submit_all(rig, [name], 0) | {rig.submit("go", connection=name, integration="limited", node=rig.nodes[n % NODES]): rig.nodes[n % NODES] for n in range(14)})
    key = limiter.keys[f"Bearer {name}"]
    assert [each for each in key.requests if each.status == 429] == [], key.requests


@test
def what_one_node_was_told_holds_on_another(rig):
    limiter = rig.limiter
    limiter.set(count=1, window=1.0, tells="seconds", latency=0)
    name, = connections(rig, ["shared"])
    first, second = rig.nodes[0], rig.nodes[2]
    assert rig.call("once", connection=name, integration="limited", node=first).json == 200
    assert rig.call("once", connection=name, integration="limited", node=first).json == 429
    began = time.monotonic()
    assert rig.call("once", connection=name, integration="limited", node=second).json == 200
    assert time.monotonic() - began > 0.7
    assert not limiter.keys[f"Bearer {name}"].violations()


@test
def the_window_of_an_app_is_that_of_all_its_connections(rig):
    """strava's definition says that it limits per app."""
    with Limiter(count=2, window=1.0, tells="reset_ms", latency=0, by="app") as limiter:
        for key in ("strava", "other-app"):
            made = rig.request("POST", "/integrations", {"provider": "strava", "unique_key": key,
                                                         "credentials": {"type": "OAUTH2", "client_id": "a", "client_secret": "b"}})
            assert made.status == 200, made
            rig.deploy({"once": "try { return (await nango.get({ endpoint: '/x', baseUrlOverride: input })).status } catch (e) { return e.response.status }"}, key)
        for key, name in (("strava", "s1"), ("strava", "s2"), ("other-app", "s3")):
            made = rig.request("POST", "/connections", {"provider_config_key": key, "connection_id": name,
                                                        "credentials": {"type": "OAUTH2", "access_token": name}})
            assert made.status == 201, made

        def once(name, node, key="strava"):
            return rig.call("once", limiter.url, connection=name, integration=key, node=rig.nodes[node]).json
        assert [once("s1", 0), once("s1", 1), once("s1", 2)] == [200, 200, 429]
        began = time.monotonic()
        assert once("s3", 3, "other-app") == 429 and time.monotonic() - began < 0.5, "another app has a window of its own"
        assert once("s2", 3) == 200 and time.monotonic() - began > 0.5, "another connection of the app waits"
        row, = [row for row in operator(rig, "GET", "/admin/v1/gates?environment=dev")["gates"] if row["integration"] == "strava"]
        assert row["connection"] is None, row


@test
def the_proxy_obeys_what_a_function_was_told_and_the_other_way_round(rig):
    limiter = rig.limiter
    limiter.set(count=1, window=0.7, tells="reset_ms", latency=0)
    name, = connections(rig, ["proxied"])
    proxied = {"Provider-Config-Key": "limited", "Connection-Id": name}

    def proxy(node):
        return rig.request("GET", "/proxy/x", headers=proxied, node=node).status
    assert rig.call("once", connection=name, integration="limited", node=rig.nodes[0]).json == 200
    assert rig.call("once", connection=name, integration="limited", node=rig.nodes[0]).json == 429
    assert proxy(rig.nodes[3]) == 200  # waited for the window
    assert proxy(rig.nodes[3]) == 429  # and what it is told now
    assert rig.call("once", connection=name, integration="limited", node=rig.nodes[1]).json == 200
    key = limiter.keys[f"Bearer {name}"]
    assert [each.status for each in key.requests] == [200, 429, 200, 429, 200], key.requests
    assert not key.violations()


def gates(rig, name):
    """The windows of the connection, as the API and the command tell them."""
    rows = operator(rig, "GET", "/admin/v1/gates?environment=dev")["gates"]
    told = sluice(rig, "--json", "gate", "ls", "dev").json["gates"]
    assert [row["connection"] for row in told] == [row["connection"] for row in rows]
    return [row for row in rows if row["connection"] == name]


@test
def operators_see_a_window_and_forget_it(rig):
    limiter = rig.limiter
    limiter.set(count=1, window=30.0, tells="seconds", latency=0)
    name, = connections(rig, ["seen"])
    assert rig.call("once", connection=name, integration="limited").json == 200
    assert rig.call("once", connection=name, integration="limited").json == 429
    job = rig.submit("go", connection=name, integration="limited")
    wait_until("it waits", lambda: sum(row["waiting_here"] for row in gates(rig, name)) == 1, 10)
    row, = gates(rig, name)
    assert row["integration"] == "limited" and row["environment"] == "dev" and row["learnt_from"] == "told", row
    assert 25000 < row["closed_ms"] <= 30000 and row["remaining"] is None, row
    assert " closed " in next(line for line in sluice(rig, "gate", "ls").out.splitlines() if f" {name} " in line)
    metrics = rig.request("GET", "/metrics", key=None).body.decode()
    assert "sluice_gate_waiting 1\n" in metrics, metrics
    assert operator(rig, "GET", "/admin/v1/gates?environment=prod") == {"gates": []}
    limiter.reset()
    assert sluice(rig, "gate", "clear", "dev", "limited", name).out == "1 window forgotten\n"
    assert rig.finish(job, 10).json == 200
    assert gates(rig, name) == []
    log = rig.nodes[0].log()
    assert 'msg="gate_closed"' in log and 'msg="gate_cleared"' in log and 'msg="gate_opened"' in log
    for path in ("dev/limited/nobody", "dev/nothing", "nowhere/limited"):
        answer = rig.request("DELETE", f"/admin/v1/gates/{path}", key=rig.keys["SLUICE_OPERATOR_KEY"])
        assert answer.status == 404, (path, answer)
    assert rig.request("GET", "/admin/v1/gates").status in (401, 403)
    assert operator(rig, "DELETE", "/admin/v1/gates/dev/limited")["cleared"] > 0


@test
def without_redis_a_node_lets_one_request_at_a_time_out_and_tells_what_it_learnt_when_it_is_back(rig):
    limiter = rig.limiter
    limiter.set(count=3, window=2.0, tells="seconds", latency=0.1)
    name, = connections(rig, ["away"])
    rig.call("other")  # looked up before Redis goes
    rig.redis.stop()
    answers = []

    def ask():
        answers.append(rig.call("once", connection=name, integration="limited", seconds=40).json)
    askers = [threading.Thread(target=ask) for _ in range(5)]
    for asker in askers:
        asker.start()
    wait_until("four were asked", lambda: (key := limiter.keys.get(f"Bearer {name}")) and len(key.requests) >= 4, 10)
    rig.redis.start()
    for asker in askers:
        asker.join()
    key = limiter.keys[f"Bearer {name}"]
    times = [each.at for each in key.requests]
    assert all(after - before >= 0.09 for before, after in zip(times, times[1:])), times
    assert [each.status for each in key.requests[:4]] == [200, 200, 200, 429], key.requests
    assert sorted(answers) == [200, 200, 200, 200, 429], answers
    assert not key.violations(), key.violations()
    assert 'msg="gate_store_away"' in rig.nodes[0].log()
    row = wait_until("Redis knows of it", lambda: gates(rig, name), 10)
    assert row[0]["learnt_from"] == "told", row


def prepare(rig):
    rig.limiter = Limiter(by="authorization").__enter__()
    rig.integration("limited", base=rig.limiter.url)
    rig.prepare({"other": "return (await nango.get({ endpoint: '/ok' })).status;"})
    rig.deploy(FUNCTIONS, "limited")
    operator(rig, "PATCH", "/admin/v1/environments/dev", {"concurrency": {"by": "connection", "limit": 20}})


main(lambda: Rig(nodes=NODES, prepare=prepare, settings={"lease_ttl": "3s"}))
