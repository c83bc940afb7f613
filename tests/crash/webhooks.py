"""Environments that tell a receiver of what happens: hooks = Webhooks(fleet), hooks.wants("dev", ...), later hooks.drain().

From then on fleet.judged() waits for what is to be sent, and has it judged (judge_webhook.py).  SETTINGS are for such fleets: a
schedule of seconds, and a short patience.  Paths begin with the name of the environment, whose key signs.
"""
import time

from fleet import wait_until
from sink import Sink

SCHEDULE = (0, 0.3, 0.5, 1, 1, 2)
TIMEOUT = 2  # delivery_timeout, seconds
SETTINGS = {"delivery_schedule": ",".join(f"{int(seconds * 1000)}ms" for seconds in SCHEDULE), "delivery_timeout": f"{TIMEOUT}s"}
EVENTS = ("sync", "sync_unchanged", "sync_error", "async_action", "auth_creation", "auth_refresh_error")  # by bit, the lowest first
CLAIM = TIMEOUT + 10  # seconds that a claim keeps others off


class Webhooks:
    def __init__(self, fleet, node=None, schedule=SCHEDULE):
        """node: whom to ask; schedule: None for that of a daemon without these SETTINGS."""
        self.fleet, self.sink, self.node, self.schedule = fleet, Sink(), node, schedule
        self.keys, self.changes, self.ids = {}, {}, {}
        fleet.webhooks = self
        for ident, name in fleet.postgres.query("SELECT id, name FROM environment"):
            self.ids[name] = int(ident)
            self.keys[name] = [(0.0, self.ask("GET", f"environments/{name}/signing-key").json["webhook_signing_key"])]
        self.note()

    def ask(self, method, path, body=None):
        node = self.node or next(node for node in self.fleet.nodes if self.fleet.running(node))
        done = self.fleet.request(method, f"/admin/v1/{path}", body, key=self.fleet.keys["SLUICE_OPERATOR_KEY"], node=node)
        assert done.status == 200, done
        return done

    # ---- settings
    def url(self, path):
        return f"{self.sink.url}/{path}"

    def wants(self, env, *paths, events=EVENTS):
        """Of these events at one or two paths below /ENV/."""
        began = time.monotonic()
        urls = [self.url(f"{env}/{path}") for path in paths] + [None, None]
        self.ask("PATCH", f"environments/{env}", {"webhook_url": urls[0], "webhook_url_secondary": urls[1], "webhook_events": list(events)})
        self.changes[env] = {"began": began, "until": time.monotonic(), "environment": self.ids[env],
                             "slots": list(range(1, len(paths) + 1)), "events": sum(1 << EVENTS.index(name) for name in events)}
        self.fleet.history.write("wants", **self.changes[env])

    def learn(self, env, key, since):
        """A key that was made at that time or later; the one before signs beside it."""
        if key != self.keys[env][-1][1]:
            self.keys[env].append((since, key))

    def note(self):
        """What every history begins with."""
        setup = {"wall": time.time() - time.monotonic()}
        self.fleet.history.write("setup", **setup, **({"schedule": self.schedule} if self.schedule else {}))
        for change in self.changes.values():
            self.fleet.history.write("wants", **change)

    def own(self, name, path, env="dev"):
        """A connection with a URL of its own."""
        return self.fleet.connection(name, env=env, webhook_url_override=self.url(f"{env}/{path}"))

    # ---- what is to be sent
    def due(self):
        """How many deliveries wait for an endpoint that is there."""
        return int(self.fleet.postgres.query("SELECT count(*) FROM delivery_due d JOIN endpoint p ON p.id = d.endpoint_id"
                                             " WHERE p.paused_at IS NULL AND p.url <> ''")[0][0])

    def drain(self, seconds=30.0):
        wait_until("every delivery has ended", lambda: self.due() == 0, seconds, 0.1)

    def heal(self, seconds=60.0):
        """All receivers take what comes, and nobody keeps off any more: until all is sent."""
        self.sink.well()
        def ended():
            self.close_breakers()
            return self.due() == 0
        wait_until("every delivery has ended", ended, seconds, 0.5)

    def close_breakers(self):
        """The minute that a breaker stays open is over."""
        self.fleet.postgres.query("UPDATE endpoint SET open_until = now() WHERE open_until > now()")

    def end_claims(self):
        """The time that claims last is over, and that of waits: what is under way may be sent twice."""
        with self.fleet.history.fault("claims_end"):
            self.fleet.postgres.query("UPDATE delivery_due SET due_at = now()")

    def skip_waits(self):
        """The time until the next try is over, and was so long; what is under way goes on."""
        self.fleet.postgres.query("UPDATE delivery_try SET at = at - interval '1 hour';"
                                  " UPDATE delivery_due SET due_at = now() WHERE claim & 1 = 0")

    def deliveries(self, job, columns="state, tries"):
        """Of a job's event, as the ledger has them, by endpoint."""
        return self.fleet.postgres.query(f"SELECT {columns} FROM delivery d WHERE job_id = '{job}' ORDER BY endpoint_id")

    def event(self, job):
        """The id of its event."""
        [[ident]] = self.fleet.postgres.query(f"SELECT id FROM outbox WHERE job_id = '{job}'")
        return ident

    # ---- the end
    def faults(self, request):
        """By the keys of its time; who had claimed it before a rotation still signs with the ones before."""
        keys = self.keys[request.path.split("/")[1]]
        found = []
        for at, (since, key) in enumerate(keys):
            until = keys[at + 1][0] + 2 * CLAIM if at + 1 < len(keys) else float("inf")
            if since - 1 <= request.began <= until:
                found.append(request.faults(key, keys[at - 1][1] if at else None))
        return min(found, key=len)

    def record(self, history):
        history.webhooks(self.sink, self.faults, self.fleet.since_event)

    def stop(self):
        self.sink.stop()
