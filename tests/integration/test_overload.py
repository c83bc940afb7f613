"""Ten times what a node drains: what is refused is told when to come back, what was accepted ends, in bounded time, and
neither the queue nor the daemon grows past its bounds."""
import http.client
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from flows import sync
from rig import Rig
from servers import wait_until
from tap import main, test

QUEUED_MAX = 50
SERVICE_MS, SECONDS, THREADS, RATE = 50, 15, 8, 200  # 20 jobs a second drain, 200 are asked for
FUNCTIONS = {
    "slow": f"await nango.get({{ endpoint: '/slow', params: {{ ms: '{SERVICE_MS}' }} }}); return input;",
    "hang": "await nango.get({ endpoint: '/hang/' + input }); return input;",
    "echo": "return input;",
    "starts": "try { await nango.triggerSync('w', 'c', 'fetch'); return 'started'; }"
              "catch (e) { return { status: e.response?.status, body: e.response?.data }; }",
}


class Load(threading.Thread):
    """A client with one connection that asks at its share of the rate and notes each answer."""

    def __init__(self, rig, until):
        super().__init__(daemon=True)
        self.rig, self.until, self.answers, self.error = rig, until, [], None

    def run(self):
        try:
            self.ask()
        except Exception as e:  # pylint: disable=broad-except
            self.error = e

    def ask(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.rig.nodes[0].port, timeout=30)
        body = json.dumps({"action_name": "slow", "input": "x" * 2000}).encode()
        headers = {"Authorization": f"Bearer {self.rig.dev}", "Content-Type": "application/json", "X-Async": "true",
                   "Provider-Config-Key": "w", "Connection-Id": "c"}
        due = time.monotonic()
        while due < self.until:
            time.sleep(max(0.0, due - time.monotonic()))
            asked = time.monotonic()
            connection.request("POST", "/action/trigger", body, headers)
            response = connection.getresponse()
            text = response.read()
            self.answers.append((asked, time.monotonic() - asked, response.status, response.getheader("Retry-After"), text))
            due += THREADS / RATE
        connection.close()


def depth(rig):
    """Entries in the lists of Redis, all environments."""
    return sum(rig.redis.command("LLEN", key) for key in rig.redis.command("KEYS", "sluice:*")
               if key.rsplit(b"}:", 1)[-1][:2] in (b"q:", b"f:", b"s:"))


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))


def median(values):
    return sorted(values)[len(values) // 2]


def check_refusal(status, retry_after, text):
    assert status in (429, 503), (status, text)
    assert retry_after is not None and 1 <= int(retry_after) <= 30, (status, retry_after)
    error = json.loads(text)["error"]
    assert error["code"] == ("queue_full" if status == 429 else "service_unavailable") and error["message"], error


@test
def ten_times_the_rate_is_refused_and_what_is_accepted_ends_in_bounded_time(rig):
    began = time.monotonic()
    clients = [Load(rig, began + SECONDS) for _ in range(THREADS)]
    for client in clients:
        client.start()
    samples = []
    while time.monotonic() < began + SECONDS:
        samples.append((time.monotonic() - began, depth(rig), rss_kib(rig.nodes[0].process.pid)))
        time.sleep(0.05)
    for client in clients:
        client.join(30)
    assert not [client.error for client in clients if client.error], [client.error for client in clients]
    answers = sorted(answer for client in clients for answer in client.answers)
    jobs = [json.loads(text)["id"] for _, _, status, _, text in answers if status == 202]
    refused = [answer for answer in answers if answer[2] != 202]
    print(f"# {len(jobs)} accepted, {len(refused)} refused, depth at most {max(s[1] for s in samples)}")
    for _, _, status, retry_after, text in refused:
        check_refusal(status, retry_after, text)
    assert len(refused) > len(jobs) > SECONDS * 1000 / SERVICE_MS / 4, "it was not overloaded, or did nothing"
    # The queue: its bound, and what was on its way when the bound was met.
    assert QUEUED_MAX / 2 < max(s[1] for s in samples) <= QUEUED_MAX + THREADS, max(s[1] for s in samples)
    # Answers and memory: the last third is as the first one (after a second to settle), with room for a busy machine.
    thirds = [[s for s in samples if 1 + third * (SECONDS - 1) / 3 <= s[0] < 1 + (third + 1) * (SECONDS - 1) / 3] for third in (0, 2)]
    first, last = (max(s[2] for s in third) for third in thirds)
    print(f"# rss {first} to {last} KiB")
    assert last <= first * 1.25 + 8192, (first, last)
    first, last = (median([a[1] for a in answers if low <= a[0] - began < low + SECONDS / 3]) for low in (1, SECONDS * 2 / 3))
    print(f"# an answer takes {first * 1000:.1f} and then {last * 1000:.1f} ms")
    assert last < 4 * first + 0.05, (first, last)
    # What was accepted: all of it ends, and none waited longer than a full queue takes.
    for job in jobs[-1:] + jobs:
        assert rig.finish(job, 30).status == 200
    took = [float(row[0]) for row in rig.postgres.query(
        "SELECT extract(epoch FROM r.ended_at - j.accepted_at) FROM job j JOIN result r ON r.job_id = j.id"
        f" WHERE j.id = ANY ('{{{','.join(jobs)}}}') ORDER BY j.seq")]
    third = len(took) // 3
    print(f"# accepted jobs ended after {median(took[:third]):.2f} s at first, {median(took[-third:]):.2f} s at last, {max(took):.2f} s at most")
    assert median(took[-third:]) < 3 * median(took[:third]) + 1, "accepted work waits longer and longer"
    drained = SECONDS / (len(took) - QUEUED_MAX)  # seconds a job, as it was here
    assert max(took) < 3 * (QUEUED_MAX + THREADS) * drained + 2, (max(took), drained)
    assert wait_until("the queue is empty", lambda: depth(rig) == 0, 10)


def fill(rig, name):
    """The environment's queue at its bound, behind a job that hangs."""
    held = rig.submit("hang", name)
    rig.witness.wait_seen(f"/hang/{name}")
    jobs = []
    for _ in range(2 * QUEUED_MAX):
        answer = rig.call("echo", 1, {"X-Async": "true"})
        if answer.status != 202:
            check_refusal(answer.status, answer.headers.get("retry-after"), answer.body)
            assert answer.status == 429
            assert len(jobs) + 1 == QUEUED_MAX, len(jobs)
            return [held] + jobs
        jobs.append(answer.json["id"])
    raise AssertionError("it was never full")


@test
def whatever_enqueues_heeds_the_bound_and_the_other_environment_does_not_feel_it(rig):
    jobs = fill(rig, "full")
    before = depth(rig)
    assert rig.finish(rig.submit("echo", 2, env="prod"), env="prod").json == 2
    assert rig.call("echo", 3).json == 3, "a sync call needs no place"
    delayed = rig.call("echo", 1, {"X-Async": "true", "X-Delay": "1"})
    check_refusal(delayed.status, delayed.headers.get("retry-after"), delayed.body)
    once = rig.call("echo", 1, {"X-Async": "true", "Idempotency-Key": "full"})
    check_refusal(once.status, once.headers.get("retry-after"), once.body)
    trigger = {"syncs": ["fetch"], "provider_config_key": "w", "connection_id": "c"}
    answer = rig.request("POST", "/sync/trigger", trigger)
    check_refusal(answer.status, answer.headers.get("retry-after"), answer.body)
    hook = rig.request("POST", f"/webhook/{rig.uuid}/hooks", {"type": "t", "connectionId": "h"}, key=None)
    check_refusal(hook.status, hook.headers.get("retry-after"), hook.body)
    inside = rig.call("starts").json
    assert inside["status"] == 429 and inside["body"]["error"]["code"] == "queue_full", inside
    assert depth(rig) == before, "a refused job came in"
    rig.witness.release("full")
    assert all(rig.finish(job, 30).status == 200 for job in jobs)
    # There is room again, for what was refused as well: nothing was written for it.
    answer = wait_until("there is room", lambda: (lambda a: a if a.status == 200 else None)(rig.request("POST", "/sync/trigger", trigger)), 5)
    assert answer.headers["x-sluice-started"] == "1", answer.headers
    assert rig.finish(rig.submit("echo", 4)).json == 4
    assert rig.request("POST", f"/webhook/{rig.uuid}/hooks", {"type": "t", "connectionId": "h"}, key=None).status == 200


@test
def too_many_syncs_in_one_trigger_are_refused(rig):
    body = {"provider_config_key": "w", "connection_id": "c"}
    answer = rig.request("POST", "/sync/trigger", {**body, "syncs": ["fetch"] * 257})
    assert answer.status == 400 and answer.code == "invalid_body", answer
    assert answer.json["error"]["errors"][0]["code"] == "too_big" and "256" in answer.json["error"]["message"], answer
    assert rig.request("POST", "/sync/trigger", {**body, "syncs": ["fetch"] * 256}).status == 200


def prepare(rig):
    rig.prepare({"echo": FUNCTIONS["echo"]}, env="prod")
    rig.integration()
    rig.connection()
    rig.integration("hooks", provider="unauthenticated")
    done = rig.request("POST", "/connections", {"provider_config_key": "hooks", "connection_id": "h", "credentials": {"type": "NONE"}})
    assert done.status == 201, done
    fetch = sync("fetch", "await nango.batchSave([{ id: '1' }], 'Item');")
    hooked = sync("hooked", "return;", integration="hooks", webhook="return;", subscriptions=["*"])
    flows = [rig.flow(name, code) for name, code in FUNCTIONS.items()] + [fetch, hooked]
    done = rig.deploy_flows(flows)
    assert done.status == 200, done
    rig.uuid = rig.request("GET", "/admin/v1/environments/dev", key=rig.keys["SLUICE_OPERATOR_KEY"]).json["uuid"]


main(lambda: Rig(prepare=prepare, settings={"queued_max": str(QUEUED_MAX), "runners": "4"}))
