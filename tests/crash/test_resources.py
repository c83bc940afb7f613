"""F26, F27: the disk of Redis or Postgres is full or cannot sync, while clients send through all three nodes."""
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import Fleet, cpu_of, wait_until
from load import Load
from tap import main, test

LIB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib")
AOF = ("--appendonly", "yes", "--appendfsync", "always")
LASTS = 1.5  # seconds that a fault is there at least
KINDS = {"none": 2, "one": 4, "two": 2}


class Switched(Fleet):
    """Both servers sync, and fail when they are told to (tests/lib/shim.c)."""

    def __init__(self):
        super().__init__(nodes=3)

    def _enter(self):
        self.folder, library = f"{self.directory}/switch", f"{self.directory}/shim.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, f"{LIB}/shim.c", "-ldl"], check=True)
        os.makedirs(self.folder)
        os.chmod(self.folder, 0o755)
        self.preload = {"LD_PRELOAD": library, "SHIM_SWITCH": self.folder}
        super()._enter()
        for node in self.nodes:
            node.stop()
        self.postgres.stop()
        self.redis.stop()
        self.revive()
        self.all()

    def revive(self):
        """What systemd does: a server that ended is started again."""
        os.environ.update(self.preload)
        try:
            for server, start in ((self.postgres, lambda: self.postgres.start(fsync="on")), (self.redis, lambda: self.redis.start(*AOF))):
                if server.process is None or server.process.poll() is not None:
                    start()
        finally:
            for name in self.preload:
                del os.environ[name]
        wait_until("Postgres is back", self.postgres._answers, 30)  # pylint: disable=protected-access

    def on(self, name, part):
        with open(f"{self.folder}/new", "w", encoding="ascii") as file:
            file.write(part)
        os.chmod(f"{self.folder}/new", 0o644)
        os.rename(f"{self.folder}/new", f"{self.folder}/{name}")

    def off(self):
        for name in os.listdir(self.folder):
            os.unlink(f"{self.folder}/{name}")


def offered(fleet, first, size=0):
    """An async job to each node at once, taken or refused with 503; returns those taken.  size: bytes that no compression shortens."""
    def offer(n, node):
        op = fleet.history.invoke("submit", n=n, key="dev", kind="one", calls=1, retries=0, node=node.number)
        answer = fleet.call("one", {"n": n, "text": os.urandom(size // 2).hex()}, {"X-Async": "true"}, seconds=20, node=node)
        fleet.history.write("ok" if answer.status == 202 else "unknown", op=op, status=answer.status, job=answer.json.get("id"),
                            retry_after="retry-after" in answer.headers)
        return answer
    with ThreadPoolExecutor(len(fleet.nodes)) as pool:
        answers = list(pool.map(offer, range(first, first + len(fleet.nodes)), fleet.nodes))
    assert all(answer.status in (202, 503) for answer in answers), answers
    return [answer.json["id"] for answer in answers if answer.status == 202]


def says_so(fleet, node, words, since):
    """Does the node tell an operator: not ready, or a warning in its log?"""
    if fleet.request("GET", "/ready", key=None, node=node, seconds=10).status == 503:
        return "not ready"
    return next((line for line in fleet.logged(node, "level=", since) if any(word in line for word in words)), None)


def faulty(fleet, fault, part, what, during):
    """The fault while four clients send; during(taken) looks at it.  In the end all is judged."""
    fleet.all()
    load = Load(fleet, seed=26, clients=4, kinds=KINDS, rate=8, delays=False).start()
    before = fleet.jobs("one", range(90001, 90004), ms=100)
    wait_until("there is work", lambda: load.accepted >= 8, 10)
    since, used, began = [len(node.log()) for node in fleet.nodes], [cpu_of(node) for node in fleet.nodes], time.monotonic()
    with fleet.history.fault("redis_disk" if what == "redis" else "postgres_disk"):
        fleet.on(fault, part)
        try:
            during(since)
            time.sleep(max(0.0, began + LASTS - time.monotonic()))  # what is measured is the processor time of so long
            took = time.monotonic() - began
            share = max((cpu_of(node) - was) / took for node, was in zip(fleet.nodes, used))
        finally:
            fleet.off()
        fleet.revive()
        again = time.monotonic()
        for round_ in range(200):
            if len(offered(fleet, 92000 + 3 * round_)) == 3:
                break
            time.sleep(0.2)
        back = time.monotonic() - again
    assert all(node.process.poll() is None for node in fleet.nodes), "a node ended"
    print(f"# {took:.1f} s of it, {share:.2f} s of processor time a second at most; all nodes took work {back:.1f} s after it was over")
    assert back < 20 and share < 0.5, "it took long, or a loop was busy"
    after = load.accepted
    wait_until("clients go on", lambda: load.accepted >= after + 12, 15)
    load.stop()
    fleet.quiet(60)
    assert set(fleet.results(before.values()).values()) <= {1, 5}, fleet.results(before.values())
    verdict = fleet.judged()
    assert verdict.jobs > 20, verdict.jobs
    print(f"# {verdict.jobs} jobs, {verdict.refused} refused, {verdict.unknown} unknown")


def full(name, part, what="postgres", refuses=True):
    @test(name=f"F26 disk full for {name}: {'new work is refused' if refuses else 'accept goes on'} by all three nodes, old work is kept, "
               "it recovers unaided", seconds=120)
    def _(fleet):
        def during(since):
            taken = offered(fleet, 91000, 200_000)
            assert len(taken) == (0 if refuses else 3), taken
            if refuses:
                for node, begin in zip(fleet.nodes, since):
                    print(f"# {node.name}: " + wait_until("it says so", lambda n=node, b=begin: says_so(
                        fleet, n, ("No space left", "postgres_down", "could not"), b), 10)[:160])
        faulty(fleet, "enospc", part, what, during)


def unsynced(name, part, what="postgres"):
    @test(name=f"F27 syncs of {name} fail: that server ends, what was accepted through any node is there when it is back", seconds=120)
    def _(fleet):
        server = fleet.redis if what == "redis" else fleet.postgres

        def during(_since, crashes=server_crashes(server)):
            offered(fleet, 91000)
            wait_until("the server took it as fatal", lambda: server_crashes(server) > crashes, 15)
        faulty(fleet, "eio", part, what, during)


def server_crashes(server):
    with open(f"{server.directory}/log", encoding="utf-8", errors="replace") as log:
        text = log.read()
    return text.count("PANIC") + text.count("Can't recover from AOF") + text.count("Can't persist AOF")


full("Postgres' log", "pg_wal")
full("Postgres' tables", "/base/")
full("Redis' append-only file", "appendonly", "redis", refuses=False)
unsynced("Postgres' log", "pg_wal")
unsynced("Redis' append-only file", "appendonly", "redis")
main(Switched)
