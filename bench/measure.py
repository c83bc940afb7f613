"""What the measurements here share: CPU time by process, the load generator, the limits of the machine."""
import json
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "lib"))
from rig import Rig  # noqa: E402
from servers import Postgres, Redis, wait_until  # noqa: E402

CONNECTIONS, KEYS = 64, 50
INPUT, OUTPUT = 300, 100  # bytes of a job
TICK = os.sysconf("SC_CLK_TCK")


def build_load(folder):
    program = f"{folder}/load"
    subprocess.run(["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", f"{HERE}/load.c", "-o", program], check=True)
    return program


def load(program, *words):
    done = subprocess.run([program, *map(str, words)], stdout=subprocess.PIPE, check=True, timeout=90)
    return json.loads(done.stdout)


def process_table():
    """{pid: (parent, own seconds, seconds of reaped children)}; user and system time."""
    table = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            own, reaped = sum(map(int, fields[11:13])), sum(map(int, fields[13:15]))
            table[int(name)] = (int(fields[1]), own / TICK, reaped / TICK)
    return table


def tree_seconds(table, root):
    """(of root itself, of all that it started, dead or alive)."""
    own, below, wave = table[root][1], table[root][2], [root]
    while wave:
        wave = [p for p, (parent, _, _) in table.items() if parent in wave]
        below += sum(table[p][1] + table[p][2] for p in wave)
    return own, below


def cpu_seconds(root):
    """User and system time of root and all below it that live now, and of their reaped children."""
    return sum(tree_seconds(process_table(), root))


def durable_postgres(directory):
    server = Postgres(directory)
    server.stop()
    server.start("-c", "synchronous_commit=on", fsync="on")
    return server


def durable_redis(directory):
    server = Redis(directory)
    server.stop()
    server.start("--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-min-size", "256mb")
    return server


def fsync_limit(folder, seconds=1.0):
    """Appends of 8 kB with fdatasync, a second, by one writer."""
    count, began = 0, time.monotonic()
    with open(f"{folder}/fsync", "wb", buffering=0) as file:
        while time.monotonic() - began < seconds:
            file.write(b"x" * 8192)
            os.fdatasync(file.fileno())
            count += 1
    return count / (time.monotonic() - began)


def commit_limit(server, clients, seconds=2):
    """Commits a second of one row of a job's size each, by pgbench."""
    script = f"{server.directory}/insert.pgbench"
    server.query("CREATE TABLE IF NOT EXISTS bench_row (id uuid PRIMARY KEY, input bytea)")
    with open(script, "w", encoding="ascii") as file:
        file.write("INSERT INTO bench_row VALUES (gen_random_uuid(), '\\\\x" + "61" * 300 + "');\n")
    done = subprocess.run([f"{server.bin}/pgbench", "-h", server.directory, "-U", "sluice", "-n", "-M", "prepared", "-c", str(clients),
                           "-T", str(seconds), "-f", script, "sluice"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True, text=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("tps"))
    return float(line.split()[2])


def postgres_limit(folder):
    """Rows a second, 1,000 rows of a job's size per commit, durable."""
    server = durable_postgres(f"{folder}/limit-pg")
    try:
        server.query("CREATE TABLE row (id uuid PRIMARY KEY, a bigint, b bigint, c bigint, d smallint, input bytea)")
        commits = 40
        script = f"{folder}/insert.sql"
        with open(script, "w", encoding="ascii") as file:
            file.write("SET synchronous_commit = on;\n" + "INSERT INTO row SELECT gen_random_uuid(), g, g, g, 1, "
                       "'\\x7b2261223a317d' FROM generate_series(1, 1000) g;\n" * commits)
        began = time.monotonic()
        subprocess.run([f"{server.bin}/psql", "-h", server.directory, "-U", "sluice", "-d", "sluice", "-qX", "-f", script],
                       check=True, stdout=subprocess.DEVNULL)
        return commits * 1000 / (time.monotonic() - began)
    finally:
        server.stop()


def redis_limit(folder):
    """EVALSHA calls a second of a script that pushes and trims one entry, pipelined by 50."""
    server = Redis(f"{folder}/limit-redis")
    try:
        sha = server.command("SCRIPT", "LOAD", "redis.call('RPUSH', KEYS[1], ARGV[1]) return redis.call('LTRIM', KEYS[1], -10, -1)")
        done = subprocess.run(["redis-benchmark", "-s", server.path, "-n", "200000", "-c", "8", "-P", "50", "--csv", "EVALSHA",
                               sha.decode(), "1", "q", "x" * 100], stdout=subprocess.PIPE, check=True, text=True, timeout=60)
        return float(done.stdout.splitlines()[-1].split(",")[1].strip('"'))
    finally:
        server.stop()


def keys_of(rig, count, code="return input;"):
    """One key for each of count environments, each with the action `noop` deployed."""
    keys, account = [rig.dev], rig.keys["SLUICE_ACCOUNT_KEY"]
    for n in range(1, count):
        number = rig.request("POST", "/environments", {"name": f"bench-{n}"}, key=account).json["data"]["id"]
        keys.append(rig.request("POST", "/environment/api-keys", {"environment_id": number, "display_name": "bench"},
                                key=account).json["data"]["secret"])
    for key in keys:
        rig.prepare({"noop": code}, env=key)
    return keys


def accept_limit(folder, program, connections, environments=16, jobs=12000):
    """(accepts, GET /health) a second of a node that only accepts: nobody runs the jobs meanwhile.  Medians of three rounds, in turn."""
    with Rig(start=False, settings={"api_rate_limit": "1000000000", "role": "api"}) as rig:
        rig.postgres.stop()
        rig.postgres.start("-c", "synchronous_commit=on", fsync="on")
        rig.redis.stop()
        rig.redis.start("--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-min-size", "256mb")
        port = rig.nodes[0].start().port
        rig.read_keys()
        wait_until("the keys are in the database", lambda: rig.request("GET", "/connections", key=rig.keys["SLUICE_ACCOUNT_KEY"]).status != 401)
        keys = keys_of(rig, environments)
        load(program, "accepts", port, connections, 1000, *keys)
        rounds = [(load(program, "get", port, connections, 1, "/health"), load(program, "accepts", port, connections, jobs, *keys))
                  for _ in range(3)]
    return (statistics.median(jobs / accepts["seconds"] for _, accepts in rounds),
            statistics.median(front["requests"] / front["seconds"] for front, _ in rounds))


class System:
    """Servers of its own; name, what it is made of: {process name: (pid, "own", "below" or "all")}."""

    def cpu(self):
        table, out = process_table(), {}
        for name, (pid, part) in self.processes.items():
            own, below = tree_seconds(table, pid)
            out[name] = {"own": own, "below": below, "all": own + below}[part]
        return out

    def measured(self, mode, jobs):
        """One run: rates, and CPU microseconds a job by process, of the work and of reading the results."""
        before = self.cpu()
        first = self.run(mode, jobs)
        between = self.cpu()
        second = self.read()
        after = self.cpu()
        per_job = lambda a, b: {name: (b[name] - a[name]) / jobs * 1e6 for name in a if name in b}  # noqa: E731
        return {**first, **second, "jobs": jobs, "rate": jobs / first["seconds"], "accepts": jobs / first["accepted_seconds"],
                "cpu": per_job(before, between), "read_cpu": per_job(between, after)}


class Ours(System):
    name = "sluiced"

    def __init__(self, folder, stack, runners, split=False):
        """split: two daemons, so that what the API costs stands apart from what the worker does."""
        self.load_program = build_load(folder)
        self.rig = stack.enter_context(Rig(nodes=2 if split else 1, start=False,
                                           settings={"api_rate_limit": "1000000000", "runners": str(runners)}))
        if split:
            self.rig.nodes[0].settings["role"] = "api"
            self.rig.nodes[1].settings["role"] = "worker,scheduler"
        self.rig.postgres.stop()
        self.rig.postgres.start("-c", "synchronous_commit=on", fsync="on")
        self.rig.redis.stop()
        self.rig.redis.start("--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-min-size", "256mb")
        self.rig.nodes[0].start()
        if split:  # it serves no HTTP: its log says when it is ready
            worker = self.rig.nodes[1].start(wait=False)
            wait_until("the worker is ready", lambda: "worker_ready" in worker.log(), 30)
        self.rig.read_keys()
        self.keys = keys_of(self.rig, KEYS, f'return {{ ok: "{"y" * (OUTPUT - 9)}" }};')
        self.child = None

    @property
    def processes(self):
        daemon = self.rig.nodes[-1].process.pid
        out = {"Postgres": (self.rig.postgres.process.pid, "all"), "Redis": (self.rig.redis.process.pid, "all"),
               "daemon": (daemon, "own"), "runners": (daemon, "below")}
        if len(self.rig.nodes) > 1:
            out["api"] = (self.rig.nodes[0].process.pid, "own")
        if self.child is not None:
            out["producer"] = (self.child.pid, "all")
        return out

    def cpu(self):
        return {"producer": 0.0, **super().cpu()}

    def _load(self, *words):
        return subprocess.Popen([self.load_program, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                env={**os.environ, "LOAD_INPUT": str(INPUT)})

    def run(self, mode, jobs):
        self.child = None
        keys = self.keys if mode == "many" else self.keys[:1]
        self.child = self._load("drain", self.rig.nodes[0].port, CONNECTIONS, jobs, *keys)
        return json.loads(self.child.stdout.readline())

    def read(self):
        self.child.stdin.write("\n")
        self.child.stdin.flush()
        return json.loads(self.child.stdout.readline())

    def measured(self, mode, jobs):
        try:
            return super().measured(mode, jobs)
        finally:
            if self.child is not None:
                self.child.communicate("\n", timeout=10)
                self.child = None

    def lone(self, jobs):
        child = self._load("lone", self.rig.nodes[0].port, jobs, self.keys[0])
        out, _ = child.communicate(timeout=60)
        done = json.loads(out)
        return done["p50_ms"], done["p99_ms"]
