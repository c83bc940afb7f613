"""What clients asked and were told, faults, and what a provider saw: one file of JSON lines."""
import contextlib
import json
import threading
import time


class History:
    """Writes a history; tests/crash/judge.py decides on it, now or again later.  Times are CLOCK_MONOTONIC seconds, which
    every process of the machine shares.

    invoke: op, do (submit, call, poll, cancel, trigger, ...), and what was asked      ok: it was done (status, job, ...)
    fail: refused, without any effect                                    unknown: nobody knows
    fault: what, t, until, node                                          call: a request that the provider saw
    row: table and columns of the ledger at the end                      setup: ttl, wall: CLOCK_REALTIME at 0, ...
    item, page: a change of a provider's list, and what it served of it (source.py)
    read: a record that was read by cursor; forget: what was read of a sync is gone with it
    kept: a record, at the end
    """

    def __init__(self, path):
        self.path = path
        self._file = open(path, "a", encoding="utf-8", buffering=1)  # a line is there once it was written
        self._lock = threading.Lock()
        self._ops = 0

    def write(self, event, **fields):
        line = json.dumps({"e": event, "t": time.monotonic(), **fields})
        with self._lock:
            self._file.write(line + "\n")

    def invoke(self, do, **fields):
        with self._lock:
            self._ops += 1
            op = self._ops
        self.write("invoke", op=op, do=do, **fields)
        return op

    @contextlib.contextmanager
    def fault(self, what, **fields):
        """Around a fault: from before it begins until it is over."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.write("fault", what=what, began=began, until=time.monotonic(), **fields)

    def calls(self, witness):
        """What the provider saw, but for calls without n (they are no part of the history)."""
        with witness.lock:
            seen = [c for c in witness.calls if c.query.get("n", "").isdigit()]
        for call in seen:
            self.write("call", job=call.query.get("job", ""), run=call.query.get("run", ""), n=int(call.query["n"]),
                       began=call.began, ended=call.ended, path=call.path)

    def ledger(self, postgres, since=0):
        """All rows of jobs that a client asked for, after that place in the order accepted."""
        for job, env, key, seq, retries, n in postgres.query(
                "SELECT id, environment_id, key_id, seq, max_retries, coalesce(json_view(convert_from(input, 'UTF8'))->>'n', '')"
                f" FROM job WHERE kind = 1 AND seq > {since} ORDER BY seq"):
            if n != "":
                self.write("row", table="job", job=job, environment=int(env), key=int(key), seq=int(seq),
                           retries=int(retries), n=int(n))
        self._syncs(postgres, since)
        for job, number, session in postgres.query("SELECT job_id, number, session_id FROM attempt ORDER BY job_id, number"):
            self.write("row", table="attempt", job=job, number=int(number), session=int(session))
        for job, attempt, state, output in postgres.query(
                "SELECT job_id, attempt, state, encode(substr(output, 1, 2000), 'hex') FROM result"):
            self.write("row", table="result", job=job, attempt=int(attempt), state=int(state),
                       output=bytes.fromhex(output or "").decode("utf-8", "replace"))

        for key, slots in postgres.query("SELECT id, slots FROM concurrency_key WHERE slots > 1"):
            self.write("row", table="key", key=int(key), slots=int(slots))
        for job, deaths in postgres.query("SELECT job_id, deaths FROM dead"):
            self.write("row", table="dead", job=job, deaths=int(deaths))

    def _syncs(self, postgres, since):
        for ident, name, function in postgres.query(
                "SELECT s.id, c.connection_id, f.name FROM sync s JOIN connection c ON c.id = s.connection_id"
                " JOIN function f ON f.id = s.function_id ORDER BY s.id"):
            self.write("row", table="sync", sync=int(ident), list=name, name=function)
        for job, sync in postgres.query("SELECT id, json_view(convert_from(input, 'UTF8'))->>'sync' FROM job"
                                        f" WHERE kind = 2 AND seq > {since} ORDER BY seq"):
            self.write("row", table="run", job=job, sync=int(sync))
        if postgres.query("SELECT to_regclass('outbox') IS NULL") == [["t"]]:
            return  # before an upgrade
        for job, model, added, updated, deleted in postgres.query(
                "SELECT o.job_id, v->>'model', v#>>'{responseResults,added}', v#>>'{responseResults,updated}',"
                " v#>>'{responseResults,deleted}' FROM outbox o, LATERAL json_view(o.body) v WHERE o.type = 1"):
            self.write("row", table="outbox", job=job, model=model, counts=[int(n or 0) for n in (added, updated, deleted)])

    def close(self):
        self._file.close()


def read(path):
    """The events of a history."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]
