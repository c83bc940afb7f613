#!/usr/bin/env python3
"""The random kill loop (F06): nodes, runners, Redis, Postgres and receivers of webhooks fail at random under a load of jobs and of
syncs whose lists change, while an operator steers queues, nodes and endpoints and a reader follows cursors; then the history is judged.

usage: chaos.py [--minutes N] [--seed S] [--rate JOBS]      (dev/check chaos builds first)

The schedule of faults follows from the seed alone: four lanes, for nodes, for servers and networks, for receivers, and for
the operator, each fault with the time at which it comes.  Prints the seed, a line a minute and a table; keeps history and logs on a violation.
"""
import argparse
import contextlib
import http.client
import os
import random
import shutil
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from fleet import TTL, Fleet, runners_of, send, wait_until
from history import read
from judge import judge
from load import Load
from servers import RigError
from sink import drop, hang, later, reset, slow, status
from syncs import Syncs
from webhooks import SETTINGS, Webhooks

ROLES = ("api,worker,scheduler", "api,worker", "api,scheduler")
NODE_FAULTS = {"node_kill": 4, "node_stop": 3, "node_term": 2, "runner_kill": 3, "runner_stop": 1}
SERVER_FAULTS = {"redis_flush": 3, "redis_scripts": 2, "redis_kill": 2, "redis_slow": 1, "redis_stop": 1,
                 "postgres_immediate": 2, "postgres_terminate": 3, "cut_redis": 3, "hold_redis": 2, "cut_postgres": 3,
                 "hold_postgres": 2, "lose_postgres": 4}
RECEIVER_FAULTS = {"receiver_fails": 4, "receiver_hangs": 2, "receiver_down": 2, "receiver_cut": 2, "receiver_gone": 1}
STEERING = {"node_quiet": 3, "node_hup": 2, "queue_pause": 3, "queue_drain": 1, "endpoint_pause": 2, "key_rotated": 1}
UNAVAILABLE = 69  # EX_UNAVAILABLE: who starts a node starts it again
STATEMENTS = (b"ledger_insert", b"settle_results", b"settle_begins", b"claim_holds", b"settle_beat", b"settle_retries", b"death_jobs",
              b"record_save_items", b"record_delete_items", b"checkpoint_put", b"track_close", b"sync_job", b"settle_runs",
              b"delivery_claim", b"delivery_tries", b"delivery_trouble",
              b"INSERT INTO job (id, environment_id, key_id, function_version_id, connection_id, kind")


def schedule(seed, minutes, kinds, lane):
    """[(seconds from the start, kind, node, how long, a number in 0..1)]: the same for the same seed."""
    rng = random.Random(f"{seed}-{lane}")
    at, out = rng.uniform(1, 3), []
    while at < minutes * 60 - 2:
        kind = rng.choices(list(kinds), list(kinds.values()))[0]
        lasts = rng.choice((0.1, 0.5, 1.0, 1.5 * TTL, 2.5 * TTL, 4 * TTL))
        out.append((at, kind, rng.randrange(3), lasts, rng.random()))
        at += rng.uniform(1.5, 6.0) + lasts
    return out


class Chaos:
    def __init__(self, fleet, load):
        self.fleet, self.load, self.history = fleet, load, fleet.history
        self.hooks, self.sink = fleet.webhooks, fleet.webhooks.sink
        self.died = []  # nodes that ended though nobody killed them
        self.lock = [threading.RLock() for _ in fleet.nodes]
        self.stopped = threading.Event()
        self.errors = []
        self.count = 0

    # ---- nodes
    def restart(self, node):
        if node.process.poll() is not None:
            node.start(wait=False)

    def node_kill(self, node, lasts, dice):
        self.fleet.kill(node)
        self.stopped.wait(min(lasts, 2.0))
        self.restart(node)

    def node_stop(self, node, lasts, dice):
        with self.history.fault("node_stop", node=node.number):
            self.fleet.pause(node)
            self.stopped.wait(lasts)
            self.fleet.wake(node)

    def node_term(self, node, lasts, dice):
        with self.history.fault("node_term", node=node.number):
            code = node.stop(30)
            if code != 0:
                self.died.append(f"{node.name} was told to stop and ended with {code}")
            self.restart(node)

    def runner_kill(self, node, lasts, dice):
        victims = runners_of(node)
        if victims:
            with self.history.fault("runner_kill", node=node.number):
                send(victims[int(dice * len(victims))], signal.SIGKILL)

    def runner_stop(self, node, lasts, dice):
        victims = runners_of(node)
        if victims:
            victim = victims[int(dice * len(victims))]
            with self.history.fault("runner_stop", node=node.number):
                send(victim, signal.SIGSTOP)
                self.stopped.wait(lasts)
                send(victim, signal.SIGCONT)

    # ---- servers
    def redis_flush(self, node, lasts, dice):
        with self.history.fault("redis_flush"):
            self.fleet.redis.command("FLUSHALL")

    def redis_scripts(self, node, lasts, dice):
        with self.history.fault("redis_scripts"):
            self.fleet.redis.command("SCRIPT", "FLUSH")

    def redis_kill(self, node, lasts, dice):
        """Half of the time it has forgotten all, else it knows what the append-only file knew."""
        with self.history.fault("redis_kill"):
            self.fleet.redis.process.kill()
            self.fleet.redis.process.wait(10)
            if dice < 0.5:
                shutil.rmtree(f"{self.fleet.redis.directory}/appendonlydir", ignore_errors=True)
            self.stopped.wait(min(lasts, 3.0))
            self.fleet.restart_redis()

    def redis_slow(self, node, lasts, dice):
        with self.history.fault("redis_slow"):
            try:
                self.fleet.redis.command("DEBUG", "SLEEP", f"{lasts:g}")
            except OSError:
                pass

    def redis_stop(self, node, lasts, dice):
        with self.history.fault("redis_stop"):
            send(self.fleet.redis.process.pid, signal.SIGSTOP)
            self.stopped.wait(lasts)
            send(self.fleet.redis.process.pid, signal.SIGCONT)

    def postgres_immediate(self, node, lasts, dice):
        with self.history.fault("postgres_immediate"):
            self.fleet.postgres.stop(immediate=True)
            self.stopped.wait(min(lasts, 2.0))
            self.fleet.postgres.start()

    def postgres_terminate(self, node, lasts, dice):
        some = "" if dice < 0.3 else " AND random() < 0.4"
        with self.history.fault("postgres_terminate"):
            self.fleet.postgres.query("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                                      " WHERE application_name LIKE 'sluiced%'" + some)

    def cut_redis(self, node, lasts, dice):
        with self.history.fault("cut_redis", node=node.number):
            node.to_redis.refuse()
            node.to_redis.cut("close" if dice < 0.5 else "half")
            self.stopped.wait(lasts)
            node.to_redis.cut()
            node.to_redis.accept()

    def hold_redis(self, node, lasts, dice):
        with self.history.fault("cut_redis", node=node.number):
            node.to_redis.hold()
            self.stopped.wait(lasts)
            node.to_redis.flow()
            if dice < 0.5:
                node.to_redis.cut()

    def cut_postgres(self, node, lasts, dice):
        with self.history.fault("cut_postgres", node=node.number):
            node.to_postgres.refuse()
            node.to_postgres.cut()
            self.stopped.wait(lasts)
            node.to_postgres.accept()

    def hold_postgres(self, node, lasts, dice):
        with self.history.fault("cut_postgres", node=node.number):
            node.to_postgres.hold()
            self.stopped.wait(lasts)
            node.to_postgres.flow()
            if dice < 0.5:
                node.to_postgres.cut()

    def lose_postgres(self, node, lasts, dice):
        """The answer to a commit is lost, or the commit itself."""
        with self.history.fault("lose_postgres", node=node.number):
            pattern = STATEMENTS[int(dice * 1000) % len(STATEMENTS)]
            node.to_postgres.lose_answer(pattern, linger=min(lasts, 1.5), forward=dice < 0.7)
            self.stopped.wait(2.0)
            node.to_postgres.calm()

    # ---- receivers; after each of these the minute is over that the daemon keeps off
    def receiver(self, what, dice, lasts, answer, path=None):
        path = path or ("/dev/one", "/dev/two", "/prod/one")[int(dice * 3)]
        with self.history.fault(what):
            self.sink.answer(path, answer)
            self.stopped.wait(lasts)
            self.sink.answer(path)
        self.rested()

    def rested(self):
        with contextlib.suppress(RigError):  # Postgres is in trouble
            self.hooks.close_breakers()

    def receiver_fails(self, node, lasts, dice):
        answer = (status(500), status(404), later(1), drop, reset)[int(dice * 1000) % 5]
        self.receiver("receiver_fails", dice, lasts, answer)

    def receiver_hangs(self, node, lasts, dice):
        self.receiver("receiver_hangs", dice, lasts, hang if dice < 0.5 else slow(0.3))

    def receiver_down(self, node, lasts, dice):
        with self.history.fault("receiver_down"):
            self.sink.refuse()
            self.stopped.wait(lasts)
            self.sink.accept()
        self.rested()

    def receiver_cut(self, node, lasts, dice):
        with self.history.fault("receiver_cut"):
            self.sink.cut()

    def receiver_gone(self, node, lasts, dice):
        """Its endpoint is paused; an operator resumes it."""
        self.receiver("receiver_gone", dice, lasts, status(410))
        self.resume_endpoints()

    def endpoints(self):
        return [endpoint for env in ("dev", "prod")
                for endpoint in (self.asked(f"webhooks/endpoints?environment={env}") or {"endpoints": []})["endpoints"]]

    def resume_endpoints(self):
        """Whether none is paused any more."""
        paused = [endpoint for endpoint in self.endpoints() if endpoint["paused"]]
        return all([self.asked(f"webhooks/endpoints/{e['id']}/resume", {"environment": e["environment"]}) for e in paused])

    # ---- the operator; what is asked may fail, as anything may: what counts is that nobody else notices
    def signalled(self, node, signo):
        """To a node that is up: one that starts has no use for it yet."""
        with self.lock[node.number]:
            if answers(self.fleet, node):
                node.process.send_signal(signo)

    def asked(self, path, body=None):
        """An admin call to the first node that takes it; its answer or None."""
        for node in self.fleet.nodes:
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer = self.fleet.request("GET" if body is None else "POST", f"/admin/v1/{path}", body, node=node, seconds=8,
                                            key=self.fleet.keys["SLUICE_OPERATOR_KEY"])
                if answer.status == 200:
                    return answer.json
        return None

    def node_quiet(self, node, lasts, dice):
        with self.history.fault("node_quiet", node=node.number):
            names = [worker["name"] for worker in (self.asked("workers") or {"workers": []})["workers"]
                     if dice < 0.5 and f":{node.process.pid}:" in worker["name"]]
            if names:
                self.asked(f"workers/{names[0]}/quiet", {})
            else:
                self.signalled(node, signal.SIGUSR1)
            self.stopped.wait(lasts)
            if not names or self.asked(f"workers/{names[0]}/release", {}) is None:
                self.signalled(node, signal.SIGUSR2)

    def node_hup(self, node, lasts, dice):
        with self.history.fault("node_hup", node=node.number):
            self.signalled(node, signal.SIGHUP)

    def steered(self, what, lasts, dice):
        env = "dev" if dice < 0.5 else "prod"
        with self.history.fault(f"queue_{what}"):
            self.asked(f"queues/{env}/{what}", {})
            self.stopped.wait(lasts)
            self.asked(f"queues/{env}/resume", {})

    def queue_pause(self, node, lasts, dice):
        self.steered("pause", lasts, dice)

    def queue_drain(self, node, lasts, dice):
        self.steered("drain", lasts, dice)

    def endpoint_pause(self, node, lasts, dice):
        endpoints = self.endpoints()
        if endpoints:
            endpoint = endpoints[int(dice * len(endpoints))]
            with self.history.fault("endpoint_pause"):
                self.asked(f"webhooks/endpoints/{endpoint['id']}/pause", {"environment": endpoint["environment"]})
                self.stopped.wait(lasts)
                self.resume_endpoints()

    def key_rotated(self, node, lasts, dice):
        env, since = "dev" if dice < 0.5 else "prod", time.monotonic()
        with self.history.fault("key_rotated"):
            self.asked(f"environments/{env}/signing-key/rotate", {})
            wait_until(f"the key of {env} is known", lambda: self.learn(env, since), 60, 0.2)

    def learn(self, env, since):
        answer = self.asked(f"environments/{env}/signing-key")
        if answer is not None:
            self.hooks.learn(env, answer["webhook_signing_key"], since)
        return answer is not None

    def resume_all(self):
        for node in self.fleet.nodes:
            self.signalled(node, signal.SIGUSR2)
        for env in ("dev", "prod"):
            wait_until(f"{env} goes on", lambda e=env: self.asked(f"queues/{e}/resume", {}), 30, 0.2)
        wait_until("no endpoint is paused", self.resume_endpoints, 30, 0.2)

    # ---- the lanes
    def lane(self, plan, began, name):
        for at, kind, number, lasts, dice in plan:
            if self.stopped.wait(max(0.0, began + at - time.monotonic())):
                return
            node = self.fleet.nodes[number]
            try:
                if name in ("receivers", "operator"):
                    getattr(self, kind)(node, lasts, dice)
                    self.count += 1
                    continue
                with self.lock[number]:
                    if name == "nodes" and node.process.poll() is not None:
                        continue
                    getattr(self, kind)(node, lasts, dice)
                self.count += 1
            except Exception as error:  # pylint: disable=broad-except
                self.errors.append(f"{kind}: {error}")

    def watch(self):
        """A node that ended by itself is a violation, but for one that found no server to start with; it is started again."""
        for number, node in enumerate(self.fleet.nodes):
            if not self.lock[number].acquire(blocking=False):
                continue
            try:
                code = node.process.poll()
                if code not in (None, UNAVAILABLE):
                    self.died.append(f"{node.name} ended by itself with {code}")
                self.restart(node)
            finally:
                self.lock[number].release()


def prepare(fleet):
    """dev has strict order; of prod three at once, and of each connection's `two` one.  Syncs are of dev, which is told of
    everything at two endpoints."""
    Fleet.functions(fleet)
    Syncs.prepare(fleet, auto_start=True)
    fleet.concurrency("prod", "environment", 3)
    fleet.concurrency("prod", "connection", 2, function="w/two")
    hooks = Webhooks(fleet)
    hooks.wants("dev", "one", "two")
    hooks.wants("prod", "one", events=("async_action", "auth_creation"))
    hooks.sink.answer(None, slow(0.03))  # there is always something on its way


def answers(fleet, node):
    try:
        return fleet.request("GET", "/ready", key=None, node=node, seconds=2).status == 200
    except (OSError, http.client.HTTPException):
        return False


def logged(fleet, what):
    return sum(len(fleet.logged(node, what)) for node in fleet.nodes)


def keep(fleet, seed):
    kept = f"/tmp/sluice-chaos-{seed}-{os.getpid()}"
    os.makedirs(kept, exist_ok=True)
    for node in fleet.nodes:
        shutil.copy(node.log_path, kept)
    for path in (fleet.history.path, f"{fleet.postgres.directory}/log", f"{fleet.redis.directory}/log"):
        shutil.copy(path, f"{kept}/{os.path.basename(os.path.dirname(path))}.{os.path.basename(path)}")
    return kept


def run(fleet, minutes, seed, rate):
    load = Load(fleet, seed=seed, clients=8, rate=rate / 8).start()
    syncs = Syncs(fleet, seed=seed, failing=0.02).start()
    chaos = Chaos(fleet, load)
    began = time.monotonic()
    lanes = [threading.Thread(target=chaos.lane, args=(schedule(seed, minutes, kinds, lane), began, lane), daemon=True)
             for kinds, lane in ((NODE_FAULTS, "nodes"), (SERVER_FAULTS, "servers"), (RECEIVER_FAULTS, "receivers"),
                                 (STEERING, "operator"))]
    for lane in lanes:
        lane.start()
    minute = 1
    while time.monotonic() < began + minutes * 60:
        time.sleep(0.5)
        chaos.watch()
        if time.monotonic() >= began + minute * 60:
            print(f"minute {minute}: {load.accepted} jobs accepted, {chaos.count} faults, "
                  f"{logged(fleet, 'result_refused')} late results refused, {len(chaos.died)} nodes died", flush=True)
            minute += 1
    chaos.stopped.set()
    for lane in lanes:
        lane.join(60)
    for node in fleet.nodes:
        for proxy in fleet.proxies(node):
            proxy.calm()
            proxy.accept()
        fleet.wake(node)
        chaos.restart(node)
    for node in fleet.nodes:
        node.wait_ready(60)
    chaos.resume_all()
    load.stop(90)
    syncs.stop(120)
    return chaos


def main():
    parser = argparse.ArgumentParser(description="random faults under load; exit code 1 on any violation")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--rate", type=float, default=60.0, help="jobs a second at most")
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.minutes:g} minutes", flush=True)
    violations = []
    with Fleet(nodes=3, roles=ROLES, redis=("--appendonly", "yes", "--appendfsync", "everysec"), prepare=prepare,
               settings={"queue_shards": "2", **SETTINGS}) as fleet:
        quiet = ""
        chaos = run(fleet, options.minutes, options.seed, options.rate)
        try:
            fleet.quiet(120)
            fleet.webhooks.heal(90)
        except RigError as error:
            quiet = str(error)
        fleet.write_story()
        verdict = judge(read(fleet.history.path))
        violations = [f"{invariant}: {text}" for invariant, text in verdict.violations]
        violations += [f"node: {text}" for text in chaos.died] + [f"harness: {text}" for text in chaos.errors]
        if quiet:
            violations.append(f"I1, I7: {quiet}")
        print("\n".join(verdict.table()))
        print(f"{'late results refused':52} {logged(fleet, 'result_refused')}")
        print(f"{'sessions ended for a lost worker':52} {logged(fleet, 'session_expired')}")
        print(f"{'queues rebuilt':52} {logged(fleet, 'queue_rebuilt')}")
        print(f"{'late words of webhooks refused, endpoints paused':52} {logged(fleet, 'webhook_record_late')},"
              f" {logged(fleet, 'webhook_endpoint_paused')}")
        for text in violations[:40]:
            print(text)
        if violations:
            print(f"{len(violations)} violations; seed {options.seed}; history and logs are in {keep(fleet, options.seed)}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
