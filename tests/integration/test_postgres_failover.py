"""Two Postgres servers with synchronous streaming replication: the primary dies or hangs under load, the standby is promoted."""
import os
import signal
import socket
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "crash")]
from fleet import Fleet, wait_until
from load import Load
from servers import Postgres, RigError
from tap import main, test

KINDS = {"none": 3, "one": 5, "two": 3}


class Replicated(Fleet):
    def __init__(self):
        super().__init__(nodes=2, proxied=False)
        self.servers = []

    def before_start(self):
        self.servers = [self.postgres]
        self.stand_by()
        hosts = ",".join(f"{self.directory}/pg{'' if n == 0 else n}" for n in range(4))
        for node in self.nodes:  # those that are not there yet will be
            node.settings["database_url"] = f"host={hosts} user=sluice dbname=sluice"

    def stand_by(self):
        """A standby for the primary of now, which from then on acknowledges no commit that the standby has not got."""
        standby = Postgres(f"{self.directory}/pg{len(self.servers)}", copy_of=self.postgres)
        self.servers.append(standby)
        self.postgres.query("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.postgres.query("SELECT pg_reload_conf()")
        wait_until("the standby is synchronous", lambda: self.postgres.query("SELECT sync_state FROM pg_stat_replication") == [["sync"]])
        return standby

    def promote(self, standby):
        """From now on it is the primary; nothing waits for a standby of its own until it has one."""
        standby.promote()
        standby.query("ALTER SYSTEM RESET synchronous_standby_names")
        standby.query("SELECT pg_reload_conf()")
        self.postgres = standby

    def wait_accepted(self, node, seconds):
        """Until the node accepts a job; how long it took, in seconds."""
        began = time.monotonic()
        wait_until("a job is accepted", lambda: self.call("none", {}, {"X-Async": "true"}, node=node).status == 202, seconds, 0.1)
        return time.monotonic() - began

    def __exit__(self, *exc):
        for node in self.nodes:
            if node.process is not None and node.process.poll() is None:
                node.kill()
        for server in self.servers:
            if server.process is not None:
                server.freeze(signal.SIGCONT)
                server.stop(immediate=True)
        super().__exit__(*exc)


def refused(fleet, node):
    """The next answers to a trigger, up to the first that is not 202, which must be 503 and say when to come back."""
    def answer():
        got = fleet.call("none", {}, {"X-Async": "true"}, node=node)
        assert got.status in (202, 503), got
        return got if got.status == 503 else None
    got = wait_until("a trigger is refused", answer, 20, 0.05)
    assert "retry-after" in got.headers, got


@test
def a_primary_that_dies_under_load_loses_nothing_that_was_accepted(fleet):
    fleet.fresh()
    old, standby = fleet.servers
    load = Load(fleet, seed=1, kinds=KINDS, clients=6).start()
    time.sleep(1.5)
    with fleet.history.fault("postgres_failover"):
        old.freeze(signal.SIGKILL)
        old.process.wait(10)
        refused(fleet, fleet.nodes[0])
        assert fleet.request("GET", "/ready", key=None).status == 503
        fleet.promote(standby)
        took = fleet.wait_accepted(fleet.nodes[0], 15)
    print(f"# {took:.1f} s from the promotion to the next 202")
    time.sleep(0.5)
    load.stop()
    assert fleet.judged().jobs > 20


@test
def the_old_primary_as_a_second_writer_acknowledges_nothing_and_a_node_that_met_it_comes_back_by_itself(fleet):
    fleet.fresh()
    old = fleet.servers[0]
    node = fleet.nodes[1]
    node.stop()
    assert not os.path.exists(f"{old.directory}/data/standby.signal"), "it is to be a writer"
    os.unlink(f"{old.directory}/data/postmaster.pid")
    old.start()  # not fenced: it stands first in the URL, and takes writes
    try:
        node.start(wait=False)
        wait_until("the node meets the old primary", lambda: old.query(
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name LIKE 'sluiced%'") == [["t"]], 20)
        op = fleet.history.invoke("submit", n=1, key="dev", kind="none", calls=0, retries=0, node=1)
        try:
            got = fleet.call("none", {"n": 1}, {"X-Async": "true"}, node=node, seconds=3)
            assert got.status == 503, got
        except OSError:
            pass  # it does not listen yet, or it waits for the commit
        fleet.history.write("unknown", op=op)
        jobs = fleet.jobs("one", range(2, 6), node=fleet.nodes[0])
    finally:
        old.stop(immediate=True)  # the operator fences
    try:
        node.wait_ready(30)
    except RigError:  # it may have given up: then the service manager starts it again
        assert node.process.poll() == 69, node.log()[-2000:]
        node.start()
    assert fleet.poll(jobs[2], node=node).status in (200, 404)
    fleet.judged()
    assert set(fleet.results(jobs.values()).values()) == {1}


@test
def a_primary_that_hangs_is_left_for_the_next_server(fleet):
    standby, old = fleet.stand_by(), fleet.servers[1]
    fleet.fresh()
    load = Load(fleet, seed=2, kinds=KINDS, clients=6).start()
    time.sleep(1)
    with fleet.history.fault("postgres_failover"):
        old.freeze()
        fleet.promote(standby)
        took = fleet.wait_accepted(fleet.nodes[0], 40)
        old.freeze(signal.SIGKILL)  # the operator fences
        old.process.wait(10)
    print(f"# {took:.1f} s from the promotion to the next 202")
    time.sleep(0.5)
    load.stop()
    assert fleet.judged().jobs > 20


@test
def a_server_whose_packets_vanish_is_passed_over(fleet):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)  # full after one connection: further ones get no answer at all
        full = [socket.create_connection(sock.getsockname())]
        pending = socket.socket()
        pending.setblocking(False)
        pending.connect_ex(sock.getsockname())
        full.append(pending)
        node = fleet.nodes[0]
        node.stop()
        was = node.settings["database_url"]
        port = sock.getsockname()[1]
        node.settings["database_url"] = f"host=127.0.0.1,{fleet.postgres.directory} port={port},5432 user=sluice dbname=sluice connect_timeout=2"
        try:
            node.start(wait=False)
            node.wait_ready(40)
            print(f"# ready after {node.ready_ms / 1000:.1f} s")
            assert fleet.finish(fleet.submit("one", {"n": 1}, node=node), node=node).status == 200
        finally:
            node.settings["database_url"] = was
            for one in full:
                one.close()


main(Replicated)
