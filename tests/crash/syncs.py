"""Syncs under load: lists that change, runs that are asked for, a reader that follows cursors.  Syncs(fleet, ...).start(), later
.stop(), which brings the last complete run and writes what is kept; judge_sync.py decides.

The functions of source_flows() must be deployed (Syncs.prepare does).
"""
import http.client
import random
import threading
import time
from urllib.parse import urlencode

from fleet import wait_until
from servers import RigError
from source import MODELS, Source, source_flows, text_of

ANSWER_S = 8.0


class Syncs:
    @staticmethod
    def prepare(fleet, **more):
        """Integration w is there.  auto_start=True: they have schedules, of an hour, and run at once."""
        done = fleet.deploy_flows(source_flows(**more))
        assert done.status == 200, done

    def __init__(self, fleet, names=("s0", "s1"), seed=0, items=60, change_s=0.03, trigger_s=0.4, nodes=None, failing=0.0, page=8,
                 page_ms=10):
        """names: of connections, made here; items: ids that a list may have; every so many seconds (in the mean; 0: never) one of
        them changes, and a run is asked for through one of nodes."""
        self.fleet, self.history, self.names, self.nodes = fleet, fleet.history, names, nodes or fleet.nodes
        self.items, self.change_s, self.trigger_s = items, change_s, trigger_s
        self.source = Source(fleet.witness, seed)
        self.source.page, self.source.page_ms, self.source.failing = page, page_ms, failing
        self.stopping, self.ending = threading.Event(), threading.Event()
        self.places = [(name, sync) for name in names for sync in MODELS]
        self.cursors = dict.fromkeys(self.places)
        self.errors = []
        self.reader, *self.others = (
            threading.Thread(target=self._guarded, args=(what, random.Random(f"{seed}-{what.__name__}")), daemon=True)
            for what, wanted in ((self._read, True), (self._change, change_s), (self._trigger, trigger_s)) if wanted)
        for name in names:
            fleet.connection(name)
            self.source.put(name, *(f"r{n}" for n in range(items // 2)))

    def start(self):
        self.history.write("setup", wall=time.time() - time.monotonic())
        for thread in (self.reader, *self.others):
            thread.start()
        return self

    def _guarded(self, what, rng):
        try:
            what(rng)
        except Exception as error:  # pylint: disable=broad-except
            self.errors.append(error)

    # ---- the provider's lists
    def _change(self, rng):
        while not self.stopping.wait(rng.uniform(0, 2 * self.change_s)):
            change = self.source.put if rng.random() < 0.65 else self.source.remove
            change(rng.choice(self.names), f"r{rng.randrange(self.items)}")

    # ---- runs
    def _trigger(self, rng):
        while not self.stopping.wait(rng.uniform(0, 2 * self.trigger_s)):
            place = rng.choice(self.places)
            if rng.random() < 0.5 or not self.due(*place):
                self.trigger(*place, node=rng.choice(self.nodes))

    def due(self, name, sync):
        """Its slot is now; whether that was done: it has a schedule, which was not due before."""
        op = self.history.invoke("due", list=name, sync=sync)
        try:
            done = self.fleet.postgres.query(
                "WITH u AS (UPDATE schedule c SET next_run_at = now() FROM sync s JOIN connection k ON k.id = s.connection_id"
                " JOIN function f ON f.id = s.function_id WHERE c.sync_id = s.id AND c.next_run_at > now()"
                f" AND k.connection_id = '{name}' AND f.name = '{sync}' RETURNING 1)"
                " SELECT count(*), pg_notify('sluice_schedule', '') FROM u")[0][0] == "1"
        except RigError:  # Postgres is in trouble
            self.history.write("unknown", op=op)
            return False
        self.history.write("ok" if done else "fail", op=op)
        return done

    def _ask(self, op, *request, **more):
        """An answer that counts, or None after writing what became of it."""
        try:
            answer = self.fleet.request(*request, seconds=ANSWER_S, **more)
        except ConnectionRefusedError:
            self.history.write("fail", op=op, why="refused")
            return None
        except (OSError, http.client.HTTPException) as error:
            self.history.write("unknown", op=op, why=type(error).__name__)
            return None
        if answer.status == 200:
            self.history.write("ok", op=op, status=200)
            return answer
        assert answer.status in (429, 503), f"an answer that no client should see: {answer}"
        self.history.write("fail" if answer.status == 429 else "unknown", op=op, status=answer.status,
                           retry_after="retry-after" in answer.headers)
        return None

    def trigger(self, name, sync, node=None, **more):
        """Whether it was taken; the run may be there already."""
        op = self.history.invoke("reset" if more else "trigger", list=name, sync=sync)
        return self._ask(op, "POST", "/sync/trigger", {"syncs": [sync], "provider_config_key": "w", "connection_id": name, **more},
                         node=node) is not None

    # ---- who reads
    def _page(self, name, sync, limit, cursor, node):
        op = self.history.invoke("records", list=name, sync=sync)
        query = {"model": MODELS[sync], "limit": limit, **({"cursor": cursor} if cursor else {})}
        return self._ask(op, "GET", f"/records?{urlencode(query)}", headers={"Connection-Id": name, "Provider-Config-Key": "w"}, node=node)

    def _record(self, event, name, sync, record):
        told = record["_nango_metadata"]
        gone = told["last_action"] == "DELETED"
        self.history.write(event, list=name, sync=sync, id=record["id"], v=record["v"], gone=gone, at=told["last_modified_at"],
                           good=gone or record["text"] == text_of(record["id"], record["v"]))

    def _read(self, rng):
        """Round and round until told to stop; then on, until each model is read to its end."""
        left = set(self.places)
        while left:
            ending = self.ending.is_set()
            for place in list(left):
                answer = self._page(*place, rng.choice((1, 3, 7, 20, 500)), self.cursors[place], rng.choice(self.nodes))
                if answer is None:
                    time.sleep(0.1)
                    continue
                for record in answer.json["records"]:
                    self._record("read", *place, record)
                    self.cursors[place] = record["_nango_metadata"]["cursor"]
                if ending and not answer.json["records"]:
                    left.remove(place)
            if not ending:
                self.ending.wait(0.05)

    # ---- the end
    def _behind(self, since):
        """Syncs without a good run that began after that time (CLOCK_REALTIME)."""
        rows = self.fleet.postgres.query(
            "SELECT c.connection_id, f.name FROM sync s JOIN connection c ON c.id = s.connection_id JOIN function f ON f.id = s.function_id"
            f" WHERE coalesce(last_success, 'epoch') <= to_timestamp({since:.6f})")
        there = {tuple(row) for row in self.fleet.postgres.query(
            "SELECT c.connection_id, f.name FROM sync s JOIN connection c ON c.id = s.connection_id JOIN function f ON f.id = s.function_id")}
        return [place for place in self.places if list(place) in rows or place not in there]

    def complete(self, seconds=60.0):
        """Each sync runs from now on until it has seen all that the lists have now."""
        since = time.monotonic()
        self._succeed(seconds)
        # A listing that went on from a checkpoint has seen the first pages as they were before.
        if any(not any(page["at"] == "" and page["began"] > since for page in self.source.seen(name, "listing")) for name in self.names):
            self._succeed(seconds)

    def _succeed(self, seconds):
        since, until = time.time(), time.monotonic() + seconds
        while behind := self._behind(since):
            if time.monotonic() > until:
                raise RigError(f"no complete run within {seconds:g} s of {behind}")
            for place in behind:
                self.trigger(*place, node=self.nodes[0])
            time.sleep(0.2)

    def stop(self, seconds=90.0):
        """The lists stand still; each sync runs once more, the reader reads to the end, and what is kept is written down."""
        self.stopping.set()
        for thread in self.others:
            thread.join(2 * ANSWER_S)
        self.source.failing = 0.0
        wait_until("no slot is due", lambda: self.fleet.postgres.query(
            "SELECT count(*) FROM schedule WHERE next_run_at <= now()") == [["0"]], 30, 0.1)
        self.complete(seconds)
        wait_until("no run is open", lambda: self.fleet.postgres.query(
            "SELECT count(*) FROM job j WHERE kind = 2 AND NOT EXISTS (SELECT FROM result r WHERE r.job_id = j.id)") == [["0"]], 20, 0.1)
        self.ending.set()
        self.reader.join(60)
        assert not self.reader.is_alive(), "the reader does not come to an end"
        if self.errors:
            raise self.errors[0]
        for place in self.places:
            answer = self._page(*place, 10000, None, self.nodes[0])
            assert answer.json["next_cursor"] is None, "more records than this can list"
            for record in answer.json["records"]:
                self._record("kept", *place, record)
        self.source.record(self.history)
