"""What the measurements here share: CPU time by process, the load generator, the limits of the machine."""
import json
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "lib"))
from rig import Rig, build_directory  # noqa: E402
from servers import Postgres, Redis, stop, wait_until  # noqa: E402

CONNECTIONS, KEYS = 64, 50
INPUT, OUTPUT = 300, 100  # bytes of a job
TICK = os.sysconf("SC_CLK_TCK")


def build_load(folder):
    program = f"{folder}/load"
    subprocess.run(["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra",
                    *(f"{HERE}/{name}.c" for name in ("load", "load_http", "load_pace")), "-o", program], check=True)
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


def is_runner(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as file:
            return file.read().startswith("sluice-runner")
    except OSError:
        return False


def members(processes):
    """All pids of each part of a system, {name: [pid, ...]}; the compiler, which is below the daemon too, is none of the runners."""
    table, out = process_table(), {}
    for name, (pid, part) in processes.items():
        found, wave = [], [pid]
        while wave:
            found += wave
            wave = [p for p, (parent, _, _) in table.items() if parent in wave]
        out[name] = {"own": [pid], "below": [p for p in found[1:] if is_runner(p)], "all": found}[part]
    return out


def resident(pids):
    """(PSS, RSS) of these in bytes, as far as they live; PSS has shared pages once in all."""
    pss = rss = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                lines = dict(line.split(":", 1) for line in file.read().splitlines()[1:])
        except (OSError, ValueError):
            continue
        pss += int(lines["Pss"].split()[0]) << 10
        rss += int(lines["Rss"].split()[0]) << 10
    return pss, rss


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
    with Rig(start=False, settings={"api_rate_limit": "1000000000", "role": "api,scheduler"}) as rig:
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


def has_setting(name):
    """Older builds, for comparison, lack some."""
    done = subprocess.run([f"{build_directory()}/sluiced", "--help"], stdout=subprocess.PIPE, check=True, text=True)
    return f"--{name.replace('_', '-')}=" in done.stdout


# Bounds of what is accepted: they are not what most runs are about.
UNBOUNDED = {"api_rate_limit": "1000000000", "queued_max": "100000000", "backlog_max": "100000000"}


class Ours(System):
    name = "sluiced"

    def __init__(self, folder, stack, runners, roles=None, settings=None, code=None, rewrite="256mb"):
        """roles: of two daemons, the first one with the API, so that what each does stands apart.  settings: of
        the daemons.  code: of the action.  rewrite: how long Redis's file gets before it is written anew."""
        self.load_program = build_load(folder)
        chosen = {name: value for name, value in UNBOUNDED.items() if has_setting(name)} | {"runners": str(runners), **(settings or {})}
        self.rig = stack.enter_context(Rig(nodes=len(roles or [0]), start=False, settings=chosen))
        for node, role in zip(self.rig.nodes, roles or []):
            node.settings["role"] = role
        self.rig.postgres.stop()
        self.rig.postgres.start("-c", "synchronous_commit=on", fsync="on")
        self.rig.redis.stop()
        self.rig.redis.start("--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-min-size", rewrite)
        self.rig.nodes[0].start()
        self.rig.read_keys()
        account = self.rig.keys["SLUICE_ACCOUNT_KEY"]  # a node without a worker can be ready before its keys are in the ledger
        wait_until("the account's key is known", lambda: self.rig.request("POST", "/environments", {}, key=account).status != 401, 10)
        self.keys = keys_of(self.rig, KEYS, code or f'return {{ ok: "{"y" * (OUTPUT - 9)}" }};')
        self.child = None

    def start_worker(self):
        """The second daemon; it serves no HTTP: its log says when it is ready."""
        worker = self.rig.nodes[1]
        seen = worker.log().count("worker_ready")
        worker.start(wait=False)
        wait_until("the worker is ready", lambda: worker.log().count("worker_ready") > seen, 30)

    @property
    def processes(self):
        out = {"Postgres": (self.rig.postgres.process.pid, "all"), "Redis": (self.rig.redis.process.pid, "all")}
        if self.rig.nodes[-1].process is not None:
            daemon = self.rig.nodes[-1].process.pid
            out |= {"daemon": (daemon, "own"), "runners": (daemon, "below")}
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

    def fill(self, jobs, keys=None):
        """Has them accepted, the keys in turn; accepts a second."""
        out, _ = self._load("accepts", self.rig.nodes[0].port, CONNECTIONS, jobs, *(keys or self.keys)).communicate(timeout=90)
        return jobs / json.loads(out)["seconds"]

    def pace(self, what, rate, seconds, every, connections=CONNECTIONS):
        """Requests at a rate; gives what the load generator counted, every so many seconds."""
        child = self._load("pace", what, self.rig.nodes[0].port, connections, rate, seconds, every, *self.keys)
        try:
            for line in child.stdout:
                yield json.loads(line)
        finally:
            stop(child)
        if child.returncode != 0:
            raise SystemExit(f"the load generator ended with {child.returncode}")

    def query(self, sql):
        return self.rig.postgres.query(sql)

    def redis_bytes(self):
        info = self.rig.redis.command("INFO", "memory").decode()
        return int(next(line for line in info.splitlines() if line.startswith("used_memory:")).split(":")[1])

    def table_bytes(self):
        """{table: (its pages, its indexes)} of those that grow with jobs."""
        rows = self.query("SELECT coalesce(i.inhparent::regclass::text, c.relname), sum(pg_table_size(c.oid)), sum(pg_indexes_size(c.oid)) "
                          "FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid WHERE c.relkind = 'r' "
                          "AND c.relnamespace = 'public'::regnamespace GROUP BY 1")
        return {name: (int(pages), int(indexes)) for name, pages, indexes in rows}

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
