"""Histories written by hand, for tests of the checker."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from judge import judge


class Tale:
    """A history written by hand."""

    def __init__(self):
        self.op, self.events = 0, [{"e": "setup", "t": 0.0, "ttl": 1.0}]

    def ask(self, do, at, until, event="ok", answer=None, **asked):
        self.op += 1
        self.events.append({"e": "invoke", "op": self.op, "do": do, "t": at, **asked})
        self.events.append({"e": event, "op": self.op, "t": until, **(answer or {})})

    def submit(self, n, at, retries=0, calls=1, job=None, idem=None, **more):
        self.ask("submit", at, at + 0.1, answer={"status": 202, "job": job or f"job-{n}"}, n=n, key="dev", kind="one", calls=calls,
                 retries=retries, node=0, idem=idem, **more)

    def row(self, table, **columns):
        self.events.append({"e": "row", "table": table, "t": 99.0, **columns})

    def job(self, n, retries=0, key=1, state=1, attempts=1, run=None, job=None):
        job = job or f"job-{n}"
        self.row("job", job=job, environment=1, key=key, seq=n, retries=retries, n=n)
        for number in range(1, attempts + 1):
            self.row("attempt", job=job, number=number, session=1)
        self.row("result", job=job, attempt=attempts, state=state, output='{"run":"%s"}' % (run or f"run-{n}"))

    def call(self, n, began, ended, run=None, job=None):
        self.events.append({"e": "call", "t": 99.0, "job": f"job-{n}" if job is None else job, "run": run or f"run-{n}", "n": n,
                            "began": began, "ended": ended, "path": "/slow/work"})

    def fault(self, what, began, until, **more):
        self.events.append({"e": "fault", "t": until, "what": what, "began": began, "until": until, **more})


def found(tale):
    return {invariant for invariant, _ in judge(tale.events).violations}


def drop(tale, **fields):
    tale.events = [e for e in tale.events if any(e.get(k) != v for k, v in fields.items())]
