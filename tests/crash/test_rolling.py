"""F37, I13: three nodes are told to stop and started again, one after the other, while clients send: nobody notices but by 503."""
import os
import random
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import Fleet, wait_until
from load import Load
from tap import main, test

KINDS = {"none": 3, "one": 4, "two": 3}
PATIENCE_S = 20.0  # how long a client tries other nodes


class Patient:
    """Clients that do as they are told: a node that is not there or says 503 is left for another one, at last after Retry-After.
    What they are answered in the end is counted; anything but success is an error."""

    def __init__(self, fleet, nodes, clients):
        self.fleet, self.nodes = fleet, nodes
        self.stopping = threading.Event()
        self.done, self.turned_away, self.errors, self.count = 0, 0, [], 0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._client, args=(random.Random(i),), daemon=True) for i in range(clients)]
        for thread in self.threads:
            thread.start()

    def _client(self, dice):
        try:
            while not self.stopping.is_set():
                with self.lock:
                    self.count += 1
                    n = 500000 + self.count
                self._ask(dice, n)
        except Exception as error:  # pylint: disable=broad-except
            self.errors.append(error)

    def _ask(self, dice, n):
        """One sync call, once it is taken: a refusal is before its start, so that it may go elsewhere."""
        end = time.monotonic() + PATIENCE_S
        order = dice.sample(self.nodes, len(self.nodes))
        while True:
            wait = 0.0
            for node in order:
                op = self.fleet.history.invoke("call", n=n, key="dev", kind="one", calls=1, node=node.number)
                try:
                    answer = self.fleet.call("one", {"n": n, "ms": dice.choice((0, 20, 80))}, node=node, seconds=40)
                except ConnectionRefusedError:
                    self.fleet.history.write("fail", op=op, why="refused")
                    wait = 0.1
                    with self.lock:
                        self.turned_away += 1
                    continue
                self.fleet.history.write("ok" if answer.status == 200 else "fail", op=op, status=answer.status,
                                         retry_after="retry-after" in answer.headers)
                if answer.status == 200:
                    with self.lock:
                        self.done += 1
                    return
                assert answer.status == 503, f"a sync call was answered {answer}"
                wait = float(answer.headers["retry-after"])
                with self.lock:
                    self.turned_away += 1
            assert time.monotonic() < end, f"no node took call {n} for {PATIENCE_S:g} s"
            time.sleep(min(wait, 1.0))

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
        if self.errors:
            raise self.errors[0]


def set_roles(fleet, roles):
    """A node without the API is asked /ready where its metrics are."""
    for node, role in zip(fleet.nodes, roles):
        node.settings["role"] = role
        node.settings["metrics_listen"] = f"127.0.0.1:{node.port}" if role == "worker" else None


def rolled(fleet, roles, entries):
    """Each node in turn is stopped and started, twice over; entries: the nodes that clients know."""
    fleet.only()
    set_roles(fleet, roles)
    fleet.only(*range(len(roles)))
    nodes = [fleet.nodes[number] for number in entries]
    load = Load(fleet, seed=37, clients=6, kinds=KINDS, rate=25, nodes=nodes).start()
    patient = Patient(fleet, nodes, 3)
    try:
        for node in fleet.nodes[:len(roles)] * 2:
            taken, done = load.accepted, patient.done
            wait_until("clients are served", lambda t=taken, d=done: load.accepted >= t + 15 and patient.done >= d + 5, 20)
            with fleet.history.fault("node_term", node=node.number):
                assert node.stop() == 0, f"{node.name} ended with {node.process.returncode}"
                left = fleet.postgres.query(f"SELECT count(*) FROM session WHERE live AND node ~ ':{node.process.pid}(:|$)'")
                assert left == [["0"]], "it left its session behind"
                node.start()
    finally:
        patient.stop()
    load.stop()
    fleet.quiet()
    odd = fleet.postgres.query(f"SELECT job_id, state, encode(output, 'escape') FROM result JOIN job ON id = job_id"
                               f" WHERE seq > {fleet.since} AND state NOT IN (1, 3)")
    again = fleet.postgres.query(f"SELECT count(*) FROM attempt JOIN job ON id = job_id WHERE seq > {fleet.since} AND number > 1")
    assert not odd and again == [["0"]], (odd, again)
    verdict = fleet.judged()
    print(f"# {verdict.jobs} jobs, {patient.done} sync calls of patient clients, who were turned away {patient.turned_away} times")
    assert verdict.jobs > 100 and patient.done > 30, (verdict.jobs, patient.done)
    assert verdict.late == 0, f"{verdict.late} jobs lost their place"


@test(name="F37 three nodes of all roles are stopped and started in turn under load: nothing is lost or tried twice, order is kept, "
           "clients that go elsewhere see no error", seconds=90)
def _(fleet):
    rolled(fleet, (None, None, None), (0, 1, 2))


@test(name="F37 an API node and three workers, stopped and started in turn under load: nothing is lost or tried twice, order is kept",
      seconds=90)
def _(fleet):
    rolled(fleet, ("api,scheduler", "worker", "worker", "worker"), (0,))


@test(name="F37 all three nodes are told to stop at once while busy: exit code 0, no session is left, all goes on where it was", seconds=60)
def _(fleet):
    fleet.only()
    set_roles(fleet, (None, None, None))
    fleet.only(0, 1, 2)
    load = Load(fleet, seed=38, clients=6, kinds=KINDS, rate=25, nodes=fleet.nodes[:3]).start()
    wait_until("there is work", lambda: load.accepted > 30, 20)
    with fleet.history.fault("node_term"):
        for node in fleet.nodes[:3]:
            node.process.send_signal(signal.SIGTERM)
        assert [node.process.wait(20) for node in fleet.nodes[:3]] == [0, 0, 0]
        assert fleet.postgres.query("SELECT count(*) FROM session WHERE live") == [["0"]]
        for node in fleet.nodes[:3]:
            node.start(wait=False)
        for node in fleet.nodes[:3]:
            node.wait_ready()
    before = load.accepted
    wait_until("clients go on", lambda: load.accepted > before + 20, 20)
    load.stop()
    verdict = fleet.judged()
    assert verdict.worker_lost == 0 and verdict.states["failed"] == 0, verdict.states


main(lambda: Fleet(nodes=4))
