"""A fleet whose connections to Redis and Postgres pass proxies, the functions that crash tests run, and what kills them.

    main(lambda: Fleet(nodes=2))
    @test(name="F01 ...")
    def _(fleet): ...

Functions take {n, ms, path}: n tells jobs apart, each call goes to path (default /slow/work) with n, the job's id and the
random id of this start in its query; ms is how long the provider takes.
"""
import contextlib
import http.client
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from exposition import parse  # noqa: E402
from history import NO_EVENT, History  # noqa: E402
from proxy import Proxy  # noqa: E402
from rig import Rig, build_directory, wait_until  # noqa: E402

TTL = 1.0  # lease_ttl, seconds
_BEGIN = ("const run = require('crypto').randomUUID();"
          "const ask = (path) => nango.get({ endpoint: path || input.path || '/slow/work', retries: 0,"
          " params: { n: String(input.n), job: nango.activityLogId || '', run, ms: String(input.ms || 0) } });")
FUNCTIONS = {  # name: (calls, body)
    "none": (0, _BEGIN + "return { n: input.n, run };"),
    "one": (1, _BEGIN + "await ask(); return { n: input.n, run };"),
    "two": (2, _BEGIN + "await ask(); await ask(input.then); return { n: input.n, run };"),
    "fail": (1, _BEGIN + "await ask(); throw new Error('as asked, ' + run);"),
    "flaky": (1, _BEGIN + "await ask(); if (Math.random() < 0.5) throw new Error('by chance, ' + run); return { n: input.n, run };"),
    "bomb": (1, _BEGIN + "await ask(); const held = []; for (;;) held.push(new Array(1000).fill(run + held.length));"),
    "loop": (1, _BEGIN + "await ask(); for (;;) input.n++;"),
}
SETTINGS = {"lease_ttl": f"{TTL:g}s", "retry_first": "100ms", "drain_timeout": "10s", "runner_heap": "16MiB",
            "runner_cpu": "2s", "runners": "8"}


def has_points():
    """Was the daemon built with --enable-faults?"""
    with open(f"{build_directory()}/sluiced", "rb") as file:
        return b"is not name=kill" in file.read()


def children(pid):
    """{pid: name} of all processes below pid."""
    table = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    head, _, tail = file.read().rpartition(")")
            except (FileNotFoundError, ProcessLookupError):
                continue
            table[int(name)] = (int(tail.split()[1]), head.partition("(")[2])
    found, wave = {}, [pid]
    while wave:
        wave = [p for p, (parent, _) in table.items() if parent in wave]
        found.update((p, table[p][1]) for p in wave)
    return found


def runners_of(node):
    """Processes of sluice-runner below a node: the zygote first, then those that hold functions."""
    return [p for p, name in children(node.process.pid).items() if name.startswith("sluice-runner"[:15])]


def cpu_of(node):
    """Seconds of processor time that a node has used."""
    with open(f"/proc/{node.process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def send(pid, signo):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signo)


class Fleet(Rig):
    def __init__(self, nodes=2, settings=None, proxied=True, prepare=None, roles=(), redis=()):
        """roles: of each node, default all; redis: options of its server."""
        super().__init__(nodes, settings={**SETTINGS, **(settings or {})}, start=False, prepare=prepare or Fleet.functions)
        self.proxied, self.roles, self.redis_options = proxied, roles, redis
        self.history, self.since, self.since_event, self.webhooks = None, 0, NO_EVENT, None

    def _enter(self):
        super()._enter()
        self.restart_redis()
        self.fresh()
        for number, node in enumerate(self.nodes):
            node.number = number
            node.settings = {**node.settings, "role": self.roles[number] if self.roles else None}
            if self.proxied:
                folder = f"{self.directory}/p{number}"
                os.mkdir(folder)
                node.to_postgres = Proxy(f"{folder}/.s.PGSQL.5432", f"{self.postgres.directory}/.s.PGSQL.5432")
                node.to_redis = Proxy(f"{folder}/redis", self.redis.path)
                node.settings.update(database_url=f"host={folder} user=sluice dbname=sluice", redis_url=f"unix://{folder}/redis")
        self.before_start()
        for node in self.nodes:
            node.start()
            if not self.keys:
                self.read_keys()

    def before_start(self):
        """For fleets with more around them: the servers are there, no node runs yet."""

    def functions(self):
        for env in ("dev", "prod"):
            self.prepare({name: code for name, (_, code) in FUNCTIONS.items()}, env=env)

    def concurrency(self, env, by, limit, function=None):
        """Through the admin API, of an environment or of INTEGRATION/FUNCTION."""
        path = f"/admin/v1/environments/{env}" + (f"/functions/{function}" if function else "")
        done = self.request("PATCH", path, {"concurrency": {"by": by, "limit": limit}}, key=self.keys["SLUICE_OPERATOR_KEY"])
        assert done.status == 200, done

    def __exit__(self, *exc):
        for node in self.nodes:
            for proxy in self.proxies(node):
                proxy.calm()
                proxy.accept()
        super().__exit__(*exc)
        if self.webhooks is not None:
            self.webhooks.stop()
        for node in self.nodes:
            for proxy in self.proxies(node):
                proxy.stop()

    def proxies(self, node):
        return (node.to_postgres, node.to_redis) if self.proxied and hasattr(node, "to_redis") else ()

    def restart_redis(self, *options):
        self.redis.stop()
        self.redis.start("--enable-debug-command", "local", *self.redis_options, *options)

    def fresh(self):
        """A new history, of the jobs from now on."""
        if self.history is not None:
            self.history.close()
            with contextlib.suppress(FileNotFoundError):
                os.rename(self.history.path, self.history.path + ".last")
        self.since = int(self.postgres.query("SELECT coalesce(max(seq), 0) FROM job")[0][0])
        self.postgres.query("DELETE FROM idempotency")
        with self.witness.lock:
            self.witness.calls.clear()
        self.history = History(f"{self.directory}/history.jsonl")
        self.history.write("setup", ttl=TTL)
        if self.webhooks is not None:
            self.since_event = self.postgres.query(f"SELECT coalesce(max(id::text), '{NO_EVENT}') FROM outbox")[0][0]
            self.webhooks.note()

    # ---- nodes
    def running(self, node):
        return node.process is not None and node.process.poll() is None

    def as_set(self, node):
        """Does it run with the settings that it has now, and without anything special?"""
        with open(f"/proc/{node.process.pid}/cmdline", encoding="utf-8") as file:
            return not node.environment and file.read().split("\0")[:-1] == node.command()

    def only(self, *numbers):
        """These nodes run, the others do not; rules of proxies and settings for one test are gone.  Begins a history."""
        self.fresh()
        for proxy in [p for node in self.nodes for p in self.proxies(node)]:
            proxy.calm()
            proxy.accept()
        for number, node in enumerate(self.nodes):
            if self.running(node):
                node.process.send_signal(signal.SIGCONT)
                if number not in numbers or not self.as_set(node):
                    node.stop()
        for number in numbers:
            node = self.nodes[number]
            if not self.running(node):
                node.environment = {}
                node.start(wait=False)
        for number in numbers:
            self.nodes[number].wait_ready()

    def all(self):
        self.only(*range(len(self.nodes)))

    def kill(self, node):
        with self.history.fault("node_kill", node=node.number):
            node.kill()

    def pause(self, node):
        node.process.send_signal(signal.SIGSTOP)

    def wake(self, node):
        node.process.send_signal(signal.SIGCONT)

    def leads(self, node):
        """Did the scheduler of this process take the leadership?"""
        return any("scheduler_leads" in line and f":{node.process.pid}:" in line for line in node.log().splitlines())

    def logged(self, node, what, since=0):
        """Log lines of a node that hold what, after the first since characters of its log."""
        return [line for line in node.log()[since:].splitlines() if what in line]

    def metric(self, node, name, **labels):
        """What a node's /metrics say of it: the sum of the samples with these labels."""
        return parse(self.request("GET", "/metrics", key=None, node=node).body.decode()).total(name, **labels)

    # ---- jobs
    def job(self, kind="one", n=0, retries=0, env="dev", node=None, headers=None, **value):
        """Submits one, with its place in the history; returns its id."""
        node = node or self.nodes[0]
        op = self.history.invoke("submit", n=n, key=env, kind=kind, calls=FUNCTIONS[kind][0], retries=retries,
                                 node=node.number, idem=(headers or {}).get("Idempotency-Key"),
                                 delay=int((headers or {}).get("X-Delay", 0)))
        try:
            job = self.submit(kind, {"n": n, **value}, retries=retries, env=env, node=node, headers=headers or {})
        except (OSError, http.client.HTTPException):
            self.history.write("unknown", op=op)
            raise
        self.history.write("ok", op=op, status=202, job=job)
        return job

    def jobs(self, kind, numbers, **more):
        return {n: self.job(kind, n, **more) for n in numbers}

    def results(self, jobs):
        """{job: state number} as the ledger has it."""
        rows = self.postgres.query("SELECT job_id, state FROM result WHERE job_id = ANY ('{%s}')" % ",".join(jobs))
        return {job: int(state) for job, state in rows}

    def quiet(self, seconds=40.0):
        """Until no job is open."""
        wait_until("every job has a result", lambda: self.postgres.query(
            f"SELECT count(*) FROM job j WHERE seq > {self.since}"
            " AND NOT EXISTS (SELECT FROM result r WHERE r.job_id = j.id)") == [["0"]], seconds, 0.1)

    def calls(self, n, path=None):
        """What the provider saw of job n."""
        with self.witness.lock:
            return [c for c in self.witness.calls if c.query.get("n") == str(n) and path in (None, c.path)]

    def wait_calls(self, n, count=1, seconds=15.0):
        return wait_until(f"{count} calls of {n}", lambda: (lambda seen: seen if len(seen) >= count else None)(self.calls(n)),
                          seconds)

    def judged(self, seconds=40.0):
        """Waits until all is quiet and has the history so far judged; fails on any violation.  Starts a new history."""
        from judge import judge  # pylint: disable=import-outside-toplevel
        from history import read  # pylint: disable=import-outside-toplevel
        self.quiet(seconds)
        if self.webhooks is not None:
            self.webhooks.drain(seconds)
        self.write_story()
        verdict = judge(read(self.history.path))
        self.fresh()
        asked = sorted(verdict.violations)
        assert verdict.good, "\n".join(f"{invariant}: {text}" for invariant, text in asked[:20])
        return verdict

    def write_story(self):
        self.history.calls(self.witness)
        self.history.ledger(self.postgres, self.since, self.since_event)
        if self.webhooks is not None:
            self.webhooks.record(self.history)


def lasting(fleet, node, seconds=2 * TTL):
    """Stops a node's process for a while."""
    with fleet.history.fault("node_stop", node=node.number):
        fleet.pause(node)
        try:
            time.sleep(seconds)
        finally:
            fleet.wake(node)


def point_of(text):
    """Names of failure points in C sources below the tree, for a test that none is without its test."""
    return set(re.findall(r'FAULT_POINT\("([a-z_]+)"\)', text))
