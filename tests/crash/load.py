"""Clients that record what they ask and what they are told: Load(fleet).start(), later .stop()."""
import hashlib
import http.client
import random
import threading
import time

from fleet import FUNCTIONS

KINDS = {"none": 3, "one": 5, "two": 5, "fail": 1, "flaky": 2, "bomb": 0.2}
OPEN_MAX = 8  # jobs that one client has open at most
ANSWER_S = 8.0


class Load:
    def __init__(self, fleet, seed=0, clients=6, kinds=None, nodes=None, rate=None, delays=True, internal=False):
        """nodes: those that clients talk to (default all); rate: jobs a second of each client at most; internal: 500 may come."""
        self.fleet, self.history, self.kinds = fleet, fleet.history, kinds or KINDS
        self.nodes, self.rate, self.delays = nodes or fleet.nodes, rate, delays
        self.refusals = (429, 500, 503) if internal else (429, 503)
        self.stopping = threading.Event()
        self.ending = threading.Event()  # no more polls either
        self.count = self.accepted = 0
        self._lock = threading.Lock()
        self.errors = []
        self.threads = [threading.Thread(target=self._client, args=(random.Random(f"{seed}-{i}"), i), daemon=True)
                        for i in range(clients)]

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def stop(self, seconds=60.0):
        """No new jobs; what has no answer yet is asked again, what is open is waited for."""
        self.stopping.set()
        end = time.monotonic() + seconds
        for thread in self.threads:
            thread.join(max(0.1, end - time.monotonic()))
        self.ending.set()
        for thread in self.threads:
            thread.join(2 * ANSWER_S)
        if self.errors:
            raise self.errors[0]

    def _client(self, rng, number):
        mine = []  # (environment, job) that may be open
        try:
            while not self.stopping.is_set():
                self._step(rng, number, mine)
                if self.rate:
                    time.sleep(rng.uniform(0, 2 / self.rate))
            while mine and not self.ending.is_set():
                self._poll(rng, mine, wait=2)
        except Exception as error:  # pylint: disable=broad-except
            self.errors.append(error)

    def _step(self, rng, number, mine):
        dice = rng.random()
        if len(mine) >= OPEN_MAX or (mine and dice < 0.25):
            self._poll(rng, mine, wait=rng.choice((None, None, 1, 2)) if len(mine) >= OPEN_MAX else None)
        elif mine and dice < 0.30:
            self._cancel(rng, mine)
        elif dice < 0.32 and self.fleet.webhooks is not None:
            self._connect(rng)
        elif dice < 0.40:
            self._call(rng)
        else:
            self._submit(rng, number, mine)

    def _next(self):
        with self._lock:
            self.count += 1
            return self.count

    def _ask(self, op, function):
        """function() -> Answer, or None after writing what became of it."""
        try:
            return function()
        except ConnectionRefusedError:  # it never left
            self.history.write("fail", op=op, why="refused")
        except (OSError, http.client.HTTPException, TimeoutError) as error:
            self.history.write("unknown", op=op, why=type(error).__name__)
        return None

    def _draw(self, rng):
        kind = rng.choices(list(self.kinds), list(self.kinds.values()))[0]
        return kind, rng.choice(("dev", "prod")), {"n": self._next(), "ms": rng.choice((0, 0, 5, 20, 60, 120))}

    def _submit(self, rng, number, mine):
        kind, env, value = self._draw(rng)
        retries, headers = rng.choice((0, 0, 0, 1, 1, 2, 3, 4, 5)), {}
        if rng.random() < 0.6:
            headers["Idempotency-Key"] = f"{number}-{value['n']}"
        if self.delays and rng.random() < 0.05:
            headers["X-Delay"] = "1"
        once = "Idempotency-Key" not in headers
        while not self.ending.is_set():
            node = rng.choice(self.nodes)
            op = self.history.invoke("submit", n=value["n"], key=env, kind=kind, calls=FUNCTIONS[kind][0], retries=retries,
                                     node=node.number, idem=headers.get("Idempotency-Key"),
                                     delay=int(headers.get("X-Delay", 0)), silent=kind == "bomb")
            answer = self._ask(op, lambda n=node: self.fleet.call(
                kind, value, {"X-Async": "true", "X-Max-Retries": str(retries), **headers}, env=env, node=n, seconds=ANSWER_S))
            if answer is not None and answer.status == 202:
                self.history.write("ok", op=op, status=202, job=answer.json["id"])
                mine.append((env, answer.json["id"]))
                self.accepted += 1
                return
            if answer is not None:
                self._not_done(op, answer, "fail" if answer.status == 429 else "unknown")
            if once:
                return
            time.sleep(0.2)

    def _not_done(self, op, answer, event):
        if answer.status not in self.refusals:
            raise AssertionError(f"an answer that no client should see: {answer}")
        self.history.write(event, op=op, status=answer.status, retry_after="retry-after" in answer.headers)

    def _call(self, rng):
        kind, env, value = self._draw(rng)
        node = rng.choice(self.nodes)
        op = self.history.invoke("call", n=value["n"], key=env, kind=kind, calls=FUNCTIONS[kind][0], node=node.number)
        answer = self._ask(op, lambda: self.fleet.call(kind, value, env=env, node=node, seconds=40.0))
        if answer is not None and answer.status in (200, 410, 424, 500):
            self.history.write("ok", op=op, status=answer.status)
        elif answer is not None:
            self._not_done(op, answer, "fail")

    def _connect(self, rng):
        """A connection, of which its environment is told."""
        env, name, node = rng.choice(("dev", "prod")), f"k{self._next()}", rng.choice(self.nodes)
        op = self.history.invoke("connect", key=env, connection=name, node=node.number)
        answer = self._ask(op, lambda: self.fleet.request("POST", "/connections", {
            "provider_config_key": "w", "connection_id": name, "credentials": {"type": "API_KEY", "apiKey": "k"}}, key=env, node=node,
            seconds=ANSWER_S))
        if answer is not None and answer.status == 201:
            self.history.write("ok", op=op, status=201)
        elif answer is not None:
            self._not_done(op, answer, "unknown")

    def _poll(self, rng, mine, wait):
        env, job = entry = rng.choice(mine)
        node = rng.choice(self.nodes)
        op = self.history.invoke("poll", job=job, node=node.number, wait=wait)
        answer = self._ask(op, lambda: self.fleet.request(
            "GET", f"/action/{job}" + (f"?wait={wait}" if wait else ""), key=env, node=node, seconds=ANSWER_S + (wait or 0)))
        if answer is None:
            time.sleep(0.1)
        elif answer.status == 404:
            self.history.write("ok", op=op, status=404, state=answer.headers.get("x-sluice-state"))
            time.sleep(0.02)
        elif answer.status in (200, 410, 424, 500):
            self.history.write("ok", op=op, status=answer.status, body=hashlib.sha1(answer.body).hexdigest())
            if entry in mine and (self.stopping.is_set() or rng.random() < 0.8):  # some are asked again: R2
                mine.remove(entry)
        else:
            self._not_done(op, answer, "fail")
            time.sleep(0.1)

    def _cancel(self, rng, mine):
        env, job = rng.choice(mine)
        node = rng.choice(self.nodes)
        op = self.history.invoke("cancel", job=job, node=node.number)
        answer = self._ask(op, lambda: self.fleet.request("DELETE", f"/action/{job}", key=env, node=node, seconds=ANSWER_S))
        if answer is not None and answer.status == 200:
            self.history.write("ok", op=op, status=200)
        elif answer is not None and answer.status in (404, 409):
            self.history.write("fail", op=op, status=answer.status)
        elif answer is not None:
            self._not_done(op, answer, "unknown")
