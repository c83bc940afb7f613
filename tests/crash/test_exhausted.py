"""F26, F28, F29: one of three nodes has no room for what it writes, no descriptors, or no memory, while clients send through all."""
import mmap
import os
import random
import resource
import signal
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import Fleet, cpu_of, wait_until
from load import Load
from rig import Node
from tap import main, test

LIB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib")
KINDS = {"none": 2, "one": 4, "two": 2}
EX_UNAVAILABLE = 69  # who starts a node starts it again


def library(fleet, name):
    """tests/lib/NAME.c as something to preload."""
    path = f"{fleet.directory}/{name}.so"
    if not os.path.exists(path):
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", path, f"{LIB}/{name}.c", "-ldl"], check=True)
    return path


def go_on(load, jobs=12, seconds=15):
    before = load.accepted
    wait_until("clients go on", lambda: load.accepted >= before + jobs, seconds)


@test(name="F26 disk full for a node's log: it works on as the others do, and stops in order", seconds=60)
def _(fleet):
    fleet.only(0, 1)
    node = fleet.nodes[2]
    node.log_path = "/dev/full"
    try:
        node.start()
        fleet.only(0, 1, 2)
        load = Load(fleet, seed=260, clients=4, kinds=KINDS, rate=15, delays=False).start()
        used, began = cpu_of(node), time.monotonic()
        go_on(load, 40)
        jobs = fleet.jobs("one", range(90001, 90004), node=node)
        assert (cpu_of(node) - used) / (time.monotonic() - began) < 0.5, "a busy loop"
        load.stop()
        fleet.quiet()
        assert set(fleet.results(jobs.values()).values()) == {1}
        ran = fleet.postgres.query(f"SELECT count(*) FROM attempt a JOIN session s ON s.id = a.session_id"
                                   f" WHERE s.node ~ ':{node.process.pid}(:|$)'")
        assert int(ran[0][0]) > 0, "it ran nothing"
        fleet.judged()
        assert node.stop() == 0
    finally:
        node.log_path = f"{fleet.directory}/{node.name}.log"
        fleet.only(0, 1)


@test(name="F26 disk full for the file of keys: a node says so and ends, leaves no half of it, and starts when there is room", seconds=60)
def _(fleet):
    fleet.only(0, 1)
    folder = f"{fleet.directory}/full"
    os.makedirs(folder)
    node = Node(fleet, "new", {**fleet.nodes[0].settings, "keys_file": f"{folder}/keys.env"})
    node.settings["listen"] = f"127.0.0.1:{node.port}"
    with open(f"{folder}.enospc", "w", encoding="ascii") as file:
        file.write(folder)
    os.makedirs(f"{fleet.directory}/on")
    os.rename(f"{folder}.enospc", f"{fleet.directory}/on/enospc")
    node.environment = {"LD_PRELOAD": library(fleet, "shim"), "SHIM_SWITCH": f"{fleet.directory}/on"}
    try:
        node.start(wait=False)
        code = node.process.wait(20)
        assert code == EX_UNAVAILABLE and "keys.env" in node.log() and "No space left" in node.log(), (code, node.log()[-600:])
        assert os.listdir(folder) == [], os.listdir(folder)
        node.environment = {}
        node.start()
    finally:
        node.stop()


def tell(fleet, node):
    """Connects, and gives no word."""
    return socket.create_connection(("127.0.0.1", node.port), timeout=5)


@test(name="F28 no descriptors left in one of three nodes: connections wait, no busy loop, its log says so, the others go on, it recovers",
      seconds=90)
def _(fleet):
    fleet.all()
    node = fleet.nodes[0]
    load = Load(fleet, seed=28, clients=6, kinds=KINDS, rate=10, delays=False).start()
    go_on(load)
    pid, since = node.process.pid, len(node.log())
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")) + 4, before[1]))
    clients = []
    try:
        with fleet.history.fault("descriptors", node=0):
            clients += [tell(fleet, node) for _ in range(40)]
            said = wait_until("its log says so", lambda: fleet.logged(node, "accept_paused", since), 10)
            assert "LimitNOFILE" in said[0], said
            used = cpu_of(node)
            time.sleep(2)  # what is measured is the processor time of so long
            used = cpu_of(node) - used
            print(f"# {used:.2f} s of processor time in 2 s; {len(said)} lines say: {said[0][26:140]}")
            assert used < 0.5, "a busy loop"
            assert len(fleet.logged(node, "accept_paused", since)) < 10, "a flood of lines"
            others = fleet.jobs("one", range(90001, 90004), retries=1, node=fleet.nodes[1])
            fleet.jobs("one", range(90004, 90006), retries=1, node=fleet.nodes[2])
    finally:
        for client in clients:
            client.close()
        wait_until("it answers again", lambda: fleet.request("GET", "/ready", key=None, seconds=10).status == 200, 15)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    own = fleet.jobs("one", range(90006, 90009), retries=1, node=node)
    go_on(load)
    load.stop()
    assert node.process.poll() is None
    fleet.quiet()
    assert set(fleet.results([*others.values(), *own.values()]).values()) == {1}
    fleet.judged()


def until_dead(fleet, node, load, what):
    """Restarts the node if what() ended it; returns its exit code or None."""
    with fleet.history.fault("node_kill", node=node.number):
        what()
        code = node.process.poll()
        if code is not None:
            node.start()
    return code


@test(name="F29 memory of one of three nodes is limited and used up: it ends at once or refuses, and what was accepted ends", seconds=90)
def _(fleet):
    fleet.all()
    node = fleet.nodes[0]
    load = Load(fleet, seed=290, clients=4, kinds=KINDS, rate=10, delays=False).start()
    go_on(load)

    def fill():
        with open(f"/proc/{node.process.pid}/statm", encoding="ascii") as file:
            size = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.prlimit(node.process.pid, resource.RLIMIT_AS, (size + (1 << 20), size + (1 << 20)))
        for n in range(90001, 90005):
            op = fleet.history.invoke("submit", n=n, key="dev", kind="none", calls=0, retries=0, node=0)
            try:
                answer = fleet.call("none", {"n": n, "text": "x" * 4_000_000}, {"X-Async": "true"})
                fleet.history.write("ok" if answer.status == 202 else "unknown", op=op, status=answer.status,
                                    job=answer.json.get("id"), retry_after="retry-after" in answer.headers)
                assert answer.status in (202, 503), answer
            except OSError:
                fleet.history.write("unknown", op=op)
        if node.process.poll() is None:  # it refused: also right
            node.process.send_signal(signal.SIGKILL)
            node.process.wait(10)
            print("# it refused")
    code = until_dead(fleet, node, load, fill)
    print(f"# exit code {code}")
    assert code in (-signal.SIGABRT, -signal.SIGKILL), code
    go_on(load)
    load.stop()
    fleet.judged(60)


@test(name="F29 allocations of one of three nodes fail, one or some in a row, anywhere: it aborts and is started again, or goes on; "
           "nothing is corrupted", seconds=120)
def _(fleet):
    seed = int(os.environ.get("NOMEM_SEED", "29"))
    rounds = int(os.environ.get("NOMEM_ROUNDS", "16"))
    fleet.only(1, 2)
    node, path = fleet.nodes[0], f"{fleet.directory}/nomem"
    with open(path, "wb") as file:
        file.write(bytes(24))
    node.environment = {"LD_PRELOAD": library(fleet, "nomem"), "NOMEM": path}
    with open(path, "r+b") as file:
        plan = mmap.mmap(file.fileno(), 24)
    node.start()
    load = Load(fleet, seed=seed, clients=6, kinds={**KINDS, "fail": 1}, rate=15, delays=False, internal=True).start()
    dice, ends = random.Random(seed), {}
    try:
        for _ in range(rounds):
            good, failing = dice.choice((0, 1, dice.randrange(100), dice.randrange(2000))), dice.choice((1, 1, 3, 20))

            def starve(good=good, failing=failing):
                plan[:] = struct.pack("qqq", good, failing, 0)
                wait_until("they failed", lambda: struct.unpack("qqq", plan[:])[1] <= 0 or node.process.poll() is not None, 20)
                plan[:] = bytes(24)
                # What failed shows within a beat, or not at all.
                wait_until("it is ready or ended", lambda: node.process.poll() is not None or ready(fleet, node), 10)
            code = until_dead(fleet, node, load, starve)
            ends[code] = ends.get(code, 0) + 1
            if code == -signal.SIGSEGV and in_hiredis(node):
                continue
            if code not in (None, -signal.SIGABRT):
                print("\n".join(f"# {line}" for line in node.log().splitlines()[-60:] if "level=info" not in line))
            assert code in (None, -signal.SIGABRT), f"after {good} good ones {failing} failed: exit code {code}"
            go_on(load, 3)
    finally:
        print(f"# {', '.join(f'{count} ended with {code}' if code else f'{count} went on' for code, count in ends.items())}")
        plan[:] = bytes(24)
    load.stop()
    fleet.judged(60)


def in_hiredis(node):
    """Was the last crash that of hiredis before 1.0, which writes to its new output buffer without a look whether it has one?
    The process ends at once, as by abort()."""
    crash = node.log().rpartition("-- no memory at")[0].splitlines()[-16:]
    where = next((line for line in crash if "/nomem.so" not in line and "/libc.so" not in line and ".so" in line), "")
    return "redisBufferWrite" in where


def ready(fleet, node):
    try:
        return fleet.request("GET", "/ready", key=None, node=node, seconds=5).status == 200
    except OSError:
        return False


main(lambda: Fleet(nodes=3))
