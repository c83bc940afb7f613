#!/usr/bin/env python3
"""Load for the trial in a machine: jobs that call a provider once each, each asked for once, counted at both ends.

usage: load.py prepare                deploys the function `once` of integration `w`, connection `c`
       load.py run STATE [--rate N]   from the start of the file STATE/run until it is gone; then waits for all that was
                                      accepted, prints the counts and ends: 0 when each job ended once and none began twice

Keys and address come from /var/lib/sluice/keys.env.  X-Max-Retries is 0: whatever begins twice is a fault.
"""
import collections
import http.client
import json
import os
import sys
import threading
import time
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from witness import Witness  # noqa: E402

KEYS = "/var/lib/sluice/keys.env"
PROVIDER_PORT = 9900
CLIENTS = 6
# n tells jobs apart, run the starts of one: a second start is a second run with the same n.
ONCE = """"use strict";
var z = require("zod");
module.exports = { default: { type: "action", description: "one call", input: z.any(), output: z.any(),
  exec: async (nango, input) => {
    const run = require("crypto").randomUUID();
    await nango.get({ endpoint: "/slow/once", retries: 0, params: { n: input.n, run, ms: String(input.ms) } });
    return { n: input.n, run };
  } } };
"""


def keys():
    with open(KEYS, encoding="utf-8") as file:
        return dict(line.strip().split("=", 1) for line in file if "=" in line and line[0] != "#")


class Client:
    """One kept connection to the API; a lost one is made again by the next request."""

    def __init__(self, known):
        self.address = known["NANGO_HOSTPORT"].removeprefix("http://").split(":")
        self.key = known["NANGO_SECRET_KEY_DEV"]
        self.connection = None

    def ask(self, method, path, body=None, headers=None, seconds=60.0):
        """(status, JSON or None)"""
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.address[0], int(self.address[1]), timeout=seconds)
        try:
            self.connection.request(method, path, None if body is None else json.dumps(body), {
                "Authorization": f"Bearer {self.key}", "Content-Type": "application/json", **(headers or {})})
            response = self.connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
            raise
        return response.status, json.loads(text) if text else None


def prepare():
    client = Client(keys())
    status, _ = client.ask("PATCH", "/admin/v1/environments/dev", {"concurrency": {"by": "environment", "limit": 20}},
                           {"Authorization": f"Bearer {keys()['SLUICE_OPERATOR_KEY']}"}, seconds=400.0)
    print(f"PATCH /admin/v1/environments/dev: {status} (20 jobs at a time)")
    for path, body in (
            ("/integrations", {"provider": "private-api-bearer", "unique_key": "w",
                               "integration_config": {"baseUrl": f"http://127.0.0.1:{PROVIDER_PORT}"}}),
            ("/connections", {"provider_config_key": "w", "connection_id": "c", "credentials": {"type": "API_KEY", "apiKey": "k"}}),
            ("/sync/deploy", {"flowConfigs": [{
                "syncName": "once", "providerConfigKey": "w", "models": ["ActionOutput_w_once"], "version": "1.0.0", "runs": None,
                "metadata": {"description": "one call", "scopes": []}, "input": "ActionInput_w_once", "type": "action",
                "fileBody": {"js": ONCE, "ts": "export default {};"}, "endpoints": [], "track_deletes": False,
                "models_json_schema": {"definitions": {"ActionInput_w_once": {}, "ActionOutput_w_once": {}}}, "features": []}],
                "deployMode": "single", "reconcile": True, "debug": False, "nangoYamlBody": "", "sdkVersion": "0.71.10-zero",
                "source": "repo"})):
        began = time.monotonic()
        status, answer = client.ask("POST", path, body, seconds=400.0)
        print(f"POST {path}: {status} ({(time.monotonic() - began) * 1000:.0f} ms)")
        if status not in (200, 201):
            sys.exit(json.dumps(answer))


class Load:
    def __init__(self, state, rate):
        self.state = state
        self.flag, self.pause = f"{state}/run", CLIENTS / rate
        self.known = keys()
        self.jobs = {}  # id: n
        self.ended = collections.Counter()
        self.trouble = collections.Counter()
        self.waits = []  # (seconds that the result was waited for once the load was over, job)
        self.lock = threading.Lock()

    def client(self, number):
        client = Client(self.known)
        count = 0
        while os.path.exists(self.flag):
            count += 1
            self.submit(client, f"{number}-{count}")
            time.sleep(self.pause)

    def submit(self, client, n):
        """Until it is accepted: the idempotency key makes it one job however often it is asked for."""
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                status, answer = client.ask("POST", "/action/trigger", {"action_name": "once", "input": {"n": n, "ms": 300}}, {
                    "Provider-Config-Key": "w", "Connection-Id": "c", "X-Async": "true", "X-Max-Retries": "0",
                    "Idempotency-Key": f"{n}-{self.run}"})
            except ConnectionRefusedError:
                status = "refused"
            except (OSError, http.client.HTTPException):
                status = "connection lost"
            if status == 202:
                with self.lock:
                    self.jobs[answer["id"]] = n
                    with open(f"{self.state}/going", "w", encoding="ascii"):
                        return
            with self.lock:
                self.trouble[status] += 1
            time.sleep(0.1)
        self.trouble["given up"] += 1

    def wait(self, client, job):
        until = time.monotonic() + 90
        while time.monotonic() < until:
            status, answer = client.ask("GET", f"/action/{job}?wait=10")
            if status == 200:
                return "succeeded"
            if status != 404:
                return answer["error"]["code"] if isinstance(answer, dict) and "error" in answer else str(status)
        return "never ended"

    def collect(self, jobs):
        client = Client(self.known)
        for job in jobs:
            began = time.monotonic()
            outcome = self.wait(client, job)
            with self.lock:
                self.ended[outcome] += 1
                self.waits.append((time.monotonic() - began, job))

    def parallel(self, function, arguments):
        threads = [threading.Thread(target=function, args=(argument,)) for argument in arguments]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def main(self):
        witness = Witness(port=PROVIDER_PORT)
        self.run = uuid.uuid4().hex[:8]
        began = time.monotonic()
        self.parallel(self.client, range(CLIENTS))
        seconds = time.monotonic() - began
        jobs = list(self.jobs)
        self.parallel(self.collect, [jobs[i::CLIENTS] for i in range(CLIENTS)])
        starts = collections.defaultdict(set)
        for call in list(witness.calls):
            if call.path == "/slow/once":
                starts[call.query["n"]].add(call.query["run"])
        twice = sum(1 for runs in starts.values() if len(runs) > 1)
        calls = sum(1 for call in witness.calls if call.path == "/slow/once")
        longest, job = max(self.waits, default=(0, "none"))
        shown = ", ".join(f"{count} {name}" for name, count in self.ended.most_common())
        print(f"accepted {len(jobs)} jobs in {seconds:.0f} s; ended: {shown}")
        print(f"longest wait for a result when the load was over: {longest:.1f} s (job {job})")
        print(f"answers that were not 202: {dict(self.trouble) or 'none'}")
        print(f"provider: {calls} calls of {len(starts)} jobs; jobs that began twice: {twice}")
        witness.stop()
        good = twice == 0 and calls == len(starts) and self.ended["never ended"] == 0 and sum(self.ended.values()) == len(jobs)
        return 0 if good and jobs and self.ended["succeeded"] <= len(starts) else 1


if sys.argv[1:] == ["prepare"]:
    prepare()
elif sys.argv[1:2] == ["run"]:
    sys.exit(Load(sys.argv[2], float(sys.argv[4]) if sys.argv[3:4] == ["--rate"] else 30.0).main())
else:
    sys.exit(__doc__)
