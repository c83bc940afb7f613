"""What clients asked and were told, faults, and what a provider saw: one file of JSON lines."""
import contextlib
import hashlib
import json
import threading
import time

NO_EVENT = "00000000-0000-0000-0000-000000000000"  # none is older


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
    wants: from until on an environment wants these events at these slots; webhook: what a receiver saw (sink.py); its
    until is when the connection ended of a request that got no byte of an answer
    """

    def __init__(self, path):
        self.path = path
        self._file = open(path, "a", encoding="utf-8", buffering=1)  # a line is there once it was written
        self._lock = threading.Lock()
        self._ops = 0

    def write(self, event, /, **fields):
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

    def ledger(self, postgres, since=0, since_event=NO_EVENT):
        """All rows of jobs that a client asked for, after that place in the order accepted, and of events behind that one."""
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
        self._webhooks(postgres, since, since_event)

    def _webhooks(self, postgres, since, since_event):
        if postgres.query("SELECT to_regclass('delivery') IS NULL") == [["t"]]:
            return  # before an upgrade
        for job, env, webhook, ended in postgres.query(
                "SELECT id, environment_id, webhook, EXISTS (SELECT FROM result r WHERE r.job_id = j.id) FROM job j"
                f" WHERE kind = 1 AND seq > {since} ORDER BY seq"):
            self.write("row", table="asked", job=job, environment=int(env), webhook=webhook == "t", ended=ended == "t")
        for env, name in postgres.query("SELECT id, name FROM environment"):
            self.write("row", table="environment", environment=int(env), name=name)
        for event, env, job, kind, outcome, body, override, connection in postgres.query(
                "SELECT o.id, o.environment_id, o.job_id, type, outcome, encode(sha256(convert_to(body, 'UTF8')), 'hex'),"
                " coalesce(c.webhook_url_override, ''), c.connection_id FROM outbox o LEFT JOIN connection c ON c.id = o.connection_id"
                f" WHERE o.id > '{since_event}' ORDER BY o.id"):
            self.write("row", table="event", event=event, environment=int(env), job=job, type=int(kind), outcome=int(outcome),
                       body=body, override=override, connection=connection)
        for endpoint, env, slot, url in postgres.query("SELECT id, environment_id, slot, url FROM endpoint"):
            self.write("row", table="endpoint", endpoint=int(endpoint), environment=int(env), slot=int(slot), url=url)
        for ident, event, endpoint, state, tries, base, due in postgres.query(
                "SELECT coalesce(d.id, u.delivery_id), coalesce(d.event_id::text, ''), coalesce(d.endpoint_id, u.endpoint_id),"
                " coalesce(state, 0), coalesce(tries, 0), coalesce(base, 0), u.delivery_id IS NOT NULL"
                " FROM delivery d FULL JOIN delivery_due u ON u.delivery_id = d.id"
                f" WHERE d.event_id IS NULL OR d.event_id > '{since_event}'"):
            self.write("row", table="delivery", delivery=ident, event=event, endpoint=int(endpoint), state=int(state),
                       tries=int(tries), base=int(base), due=due == "t")
        for ident, number, at, status, failure in postgres.query(
                "SELECT delivery_id, number, extract(epoch FROM at), t.status, failure FROM delivery_try t"
                f" LEFT JOIN delivery d ON d.id = delivery_id WHERE d.id IS NULL OR d.event_id > '{since_event}'"):
            self.write("row", table="try", delivery=ident, number=int(number), at=float(at), status=int(status), failure=failure)

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

    def webhooks(self, sink, faults, since_event=NO_EVENT):
        """What a receiver saw of events behind that one; faults(request): what is wrong with it, as texts."""
        for request in sink.seen():
            if (request.id or "") > since_event:
                self.write("webhook", id=request.id, path=request.path, at=request.began, taken=request.taken, faults=faults(request),
                           until=request.ended if not request.sent else None, body=hashlib.sha256(request.body).hexdigest())

    def close(self):
        self._file.close()


def read(path):
    """The events of a history."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]
