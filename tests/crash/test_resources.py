"""F26-F29: disk full, a disk that cannot sync, no descriptors, no memory."""
import contextlib
import http.client
import os
import resource
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import Fleet, wait_until
from tap import main, test

LIB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib")
AOF = ("--appendonly", "yes", "--appendfsync", "always")


class Switch:
    """Servers started within `with` fail when they are told to (tests/lib/shim.c)."""

    def __init__(self, fleet):
        self.folder = f"{fleet.directory}/switch"
        self.library = f"{fleet.directory}/shim.so"
        if not os.path.exists(self.library):
            subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", self.library, f"{LIB}/shim.c", "-ldl"], check=True)
            os.makedirs(self.folder)
            os.chmod(self.folder, 0o755)

    def __enter__(self):
        os.environ.update(LD_PRELOAD=self.library, SHIM_SWITCH=self.folder)
        return self

    def __exit__(self, *_exc):
        del os.environ["LD_PRELOAD"], os.environ["SHIM_SWITCH"]

    def on(self, name, part):
        with open(f"{self.folder}/new", "w", encoding="ascii") as file:
            file.write(part)
        os.chmod(f"{self.folder}/new", 0o644)
        os.rename(f"{self.folder}/new", f"{self.folder}/{name}")

    def off(self):
        for name in os.listdir(self.folder):
            os.unlink(f"{self.folder}/{name}")


@contextlib.contextmanager
def failing(fleet, what):
    """Both servers under the switch; in the end they are as before."""
    switch = Switch(fleet)
    fleet.only()
    fleet.postgres.stop()
    fleet.redis.stop()
    with switch:
        fleet.postgres.start(fsync="on")
        fleet.redis.start(*AOF)
    fleet.all()
    began = time.monotonic()
    try:
        yield switch
        fleet.history.write("fault", what="redis_disk" if what == "redis" else "postgres_disk", began=began, until=time.monotonic())
        verdict = fleet.judged(60)
        assert verdict.jobs > 0
    finally:
        switch.off()
        for node in fleet.nodes:
            node.stop()
        for server in (fleet.postgres, fleet.redis):
            if server.process is not None:
                server.stop()
        fleet.postgres.start()
        fleet.redis.start()


def offered(fleet, numbers, size=0):
    """Async jobs, taken or refused with 503; returns those taken.  size: bytes of input that no compression shortens."""
    taken = {}
    for n in numbers:
        op = fleet.history.invoke("submit", n=n, key="dev", kind="one", calls=1, retries=0, node=0)
        answer = fleet.call("one", {"n": n, "text": os.urandom(size // 2).hex()}, {"X-Async": "true"}, seconds=20)
        assert answer.status in (202, 503), answer
        fleet.history.write("ok" if answer.status == 202 else "unknown", op=op, status=answer.status, job=answer.json.get("id"),
                            retry_after="retry-after" in answer.headers)
        if answer.status == 202:
            taken[n] = answer.json["id"]
    return taken


def revive(fleet):
    """What systemd does: a server that ended is started again."""
    if fleet.postgres.process.poll() is not None:
        print(f"# Postgres had ended with {fleet.postgres.process.returncode}")
        fleet.postgres.start(fsync="on")
    else:
        wait_until("Postgres is back", fleet.postgres._answers, 30)  # pylint: disable=protected-access
    if fleet.redis.process.poll() is not None:
        print(f"# Redis had ended with {fleet.redis.process.returncode}")
        fleet.redis.start(*AOF)


def full(name, part, what="postgres", refuses=True):
    @test(name=f"F26 disk full for {name}: {'new work is refused' if refuses else 'accept goes on'}, old work is kept, it recovers unaided",
          seconds=120)
    def _(fleet):
        with failing(fleet, what) as switch:
            done = fleet.job("one", 1)
            assert fleet.finish(done).status == 200
            before = fleet.jobs("one", range(2, 5), ms=100)
            switch.on("enospc", part)
            taken = offered(fleet, (5, 6), 200_000)
            assert len(taken) == (0 if refuses else 2), taken
            assert all(node.process.poll() is None for node in fleet.nodes)
            assert fleet.poll(done).status in ((200, 503) if refuses else (200,))
            switch.off()
            revive(fleet)
            wait_until("new work is taken", lambda: offered(fleet, (9,)), 30, 0.2)
            fleet.quiet(60)
            assert set(before.values()) <= set(fleet.results(before.values()))


def unsynced(name, part, what="postgres"):
    @test(name=f"F27 syncs of {name} fail: that server ends, what was accepted is there when it is back", seconds=120)
    def _(fleet):
        with failing(fleet, what) as switch:
            before = fleet.jobs("one", range(1, 4), ms=100)
            server = fleet.redis if what == "redis" else fleet.postgres
            crashes = server_crashes(server)
            switch.on("eio", part)
            offered(fleet, (4, 5))
            wait_until("the server took it as fatal", lambda: server_crashes(server) > crashes, 15)
            switch.off()
            revive(fleet)
            wait_until("new work is taken", lambda: offered(fleet, (9,)), 30, 0.2)
            fleet.quiet(60)
            assert set(before.values()) <= set(fleet.results(before.values()))


def server_crashes(server):
    with open(f"{server.directory}/log", encoding="utf-8", errors="replace") as log:
        text = log.read()
    return text.count("PANIC") + text.count("Can't recover from AOF") + text.count("Can't persist AOF")


full("Postgres' log", "pg_wal")
full("Postgres' tables", "/base/")
full("Redis' append-only file", "appendonly", "redis", refuses=False)
unsynced("Postgres' log", "pg_wal")
unsynced("Redis' append-only file", "appendonly", "redis")


def cpu_of(process):
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@test(name="F28 no descriptors left: connections wait, no busy loop, all goes on when there are some again", seconds=90)
def _(fleet):
    fleet.all()
    node = fleet.nodes[0]
    assert fleet.finish(fleet.job("one", 1)).status == 200
    pid = node.process.pid
    open_now = len(os.listdir(f"/proc/{pid}/fd"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_now + 4, resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]))
    clients = []
    try:
        for _ in range(40):
            clients.append(socket.create_connection(("127.0.0.1", node.port), timeout=5))
        time.sleep(0.3)
        used = cpu_of(node.process)
        time.sleep(2)
        used = cpu_of(node.process) - used
        print(f"# {used:.2f} s of processor time in 2 s")
        assert used < 0.5, "a busy loop"
        running = fleet.job("one", 2, node=fleet.nodes[1])
        assert fleet.finish(running, node=fleet.nodes[1]).status in (200, 500)
    finally:
        for client in clients:
            client.close()
    wait_until("it answers again", lambda: fleet.request("GET", "/health", key=None, seconds=10).status == 200, 15)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (4096, resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]))
    jobs = fleet.jobs("one", range(3, 6), retries=1)
    assert fleet.nodes[0].process.poll() is None
    fleet.judged()
    assert set(fleet.results(jobs.values()).values()) == {1}


@test(name="F29 no memory left in the daemon: it ends at once, and what was accepted is there after its restart", seconds=90)
def _(fleet):
    fleet.only(0)
    node = fleet.nodes[0]
    jobs = fleet.jobs("one", range(1, 11), ms=100)
    with open(f"/proc/{node.process.pid}/statm", encoding="ascii") as file:
        size = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.prlimit(node.process.pid, resource.RLIMIT_AS, (size + (1 << 20), size + (1 << 20)))
    with fleet.history.fault("node_kill", node=0):
        for n in range(11, 15):
            op = fleet.history.invoke("submit", n=n, key="dev", kind="none", calls=0, retries=0, node=0)
            try:
                answer = fleet.call("none", {"n": n, "text": "x" * 4_000_000}, {"X-Async": "true"})
                fleet.history.write("ok" if answer.status == 202 else "unknown", op=op, status=answer.status,
                                    job=answer.json.get("id"), retry_after="retry-after" in answer.headers)
                assert answer.status in (202, 503), answer
            except (OSError, http.client.HTTPException):
                fleet.history.write("unknown", op=op)
        died = node.process.poll()
        print(f"# exit code {died}")
        if died is None:  # it refused: also right
            node.process.send_signal(signal.SIGKILL)
        node.process.wait(10)
        assert died in (None, -signal.SIGABRT), died
        node.start()
    fleet.judged(60)
    ended = fleet.results(jobs.values())
    assert len(ended) == 10 and sum(state != 1 for state in ended.values()) <= 1, ended


main(lambda: Fleet(nodes=2))
