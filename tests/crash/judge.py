"""Decides from a history (tests/lib/history.py) whether the invariants held: judge(events) -> Verdict.

I1  accepted is durable: each 202 has its job and, once all is quiet, its one result; one Idempotency-Key is one job
I2  (a lost Redis loses nothing and starts nothing twice) is I1, I3 and I5 over a history in which it was lost
I3  no more runs of one key at once than its limit; where that is 1, first starts in the order accepted
I4  one result: every answer of one job says the same, and what the ledger says; no success without its calls
I5  starts <= retries + 1, of sync calls 1
I6  a worker whose successor has begun sends nothing more, but for the one call that was on the wire
I12 what is refused says when to come back
I13 what was accepted before a node was told to stop, ended (I1), and was not started twice (I5)
R3  what was set aside for its deaths says so, and had as many as it takes
R2  a poll never lies: 404 only while open and never for an unknown job, never after an end was told
R1  and the others for runs of syncs: judge_sync.py
I7  who is to be told is told: judge_webhook.py

A run is one start of a function: it draws a random id and sends it with each of its calls.  What makes a job come late
without being a violation: its 202 came while Redis was in trouble, or from a node that was killed or stood still before
the push; nothing else does (Verdict.late counts them).  One call of an earlier run after its successor's first is allowed
only when a fault stood between (Verdict.on_wire).
"""
from collections import Counter, defaultdict

from judge_sync import check_syncs
from judge_webhook import check_webhooks

STATES = {1: "succeeded", 2: "failed", 3: "cancelled", 4: "expired", 5: "worker_lost"}
STATUS = {1: (200,), 2: (500, 424), 3: (410,), 4: (500,), 5: (500,)}
# Faults after which a push may come late: up to a sweep (10 s, and as long for its age) or a rebuild after the end.
PUSH_FAULTS = ("redis_",)
NODE_FAULTS = ("node_kill", "node_stop", "node_term", "cut_redis")
SWEEP = 25.0


class Verdict:
    """violations: list of (invariant, text); the rest are counts for the table."""

    def __init__(self):
        self.violations = []
        self.jobs = self.calls = self.lost = self.doubled = self.overlapped = self.out_of_order = 0
        self.dead = 0
        self.late = self.on_wire = self.after_cancel = self.unknown = self.refused = self.worker_lost = self.expired = 0
        self.runs = self.pages = self.reads = self.records = self.events = 0  # of syncs
        self.webhooks = self.delivered = self.exhausted = self.waiting = self.resent = 0
        self.states, self.run_states = defaultdict(int), defaultdict(int)
        self.faults = defaultdict(int)

    def add(self, invariant, text, count=None):
        self.violations.append((invariant, text))
        if count is not None:
            setattr(self, count, getattr(self, count) + 1)

    @property
    def good(self):
        return not self.violations

    def table(self):
        kinds = ", ".join(f"{what} {count}" for what, count in sorted(self.faults.items()))
        ends = ", ".join(f"{STATES.get(k, k)} {v}" for k, v in sorted(self.run_states.items()))
        rows = [("jobs accepted", self.jobs), ("ended as", ", ".join(f"{k} {v}" for k, v in sorted(self.states.items()))),
                ("sync calls and polls of unknown outcome, or refused", f"{self.unknown}, {self.refused}"),
                ("provider calls", self.calls), ("faults", f"{sum(self.faults.values())} ({kinds})"),
                ("lost", self.lost), ("doubled", self.doubled), ("overlapped", self.overlapped),
                ("out of order", self.out_of_order), ("late, as faults allow", self.late),
                ("calls on the wire when the successor began", self.on_wire),
                ("calls within the grace of a cancel", self.after_cancel), ("worker_lost", self.worker_lost), ("dead", self.dead),
                ("runs of syncs, and their ends; all events", f"{self.runs} ({ends}); {self.events}"),
                ("pages, records kept, records read", f"{self.pages}, {self.records}, {self.reads}"),
                ("webhooks seen, sent again for a fault", f"{self.webhooks}, {self.resent}"),
                ("deliveries that arrived, exhausted, still waiting", f"{self.delivered}, {self.exhausted}, {self.waiting}"),
                ("violations", len(self.violations))]
        return [f"{name:52} {value}" for name, value in rows]


class Run:
    def __init__(self, run, job, n):
        self.id, self.job, self.n = run, job, n
        self.calls = []
        self.complete = False  # its end is known to the ledger: it had the answers of all its calls

    @property
    def began(self):
        return self.calls[0]["began"]

    @property
    def until(self):
        """When its last effect is known to have begun, or to have ended."""
        last = self.calls[-1]
        return max(last["began"], last["ended"] or 0.0) if self.complete else last["began"]


class Story:
    """The events, by what they are about."""

    def __init__(self, events):
        self.setup, self.asked, self.ended, self.faults = {}, {}, {}, []
        self.tables = defaultdict(list)
        self.runs = {}
        self.items, self.pages, self.reads, self.kept = [], [], [], []  # of syncs
        self.webhooks, self.wants = [], []  # what a receiver saw; what environments wanted to be told of, from when
        for event in events:
            getattr(self, "on_" + event["e"])(event)
        for run in self.runs.values():
            run.calls.sort(key=lambda c: c["began"])
        self.jobs = {row["job"]: row for row in self.tables["job"]}
        self.results = {row["job"]: row for row in self.tables["result"]}
        self.limits = {row["key"]: row["slots"] for row in self.tables["key"]}
        self.by_n = {op["n"]: op for op in self.asked.values() if op["do"] in ("submit", "call")}
        self.by_job = defaultdict(list)
        for run in self.runs.values():
            self.by_job[run.job].append(run)
            result = self.results.get(run.job)
            run.complete = result is not None and run.id in result["output"]
        for runs in self.by_job.values():
            runs.sort(key=lambda r: r.began)

    def on_setup(self, event):
        self.setup.update(event)

    def on_invoke(self, event):
        self.asked.setdefault(event["op"], event)

    def on_ok(self, event):
        self.ended[event["op"]] = event

    on_fail = on_unknown = on_ok

    def on_fault(self, event):
        self.faults.append(event)

    def on_call(self, event):
        run = self.runs.setdefault(event["run"], Run(event["run"], event["job"], event["n"]))
        run.calls.append(event)

    def on_row(self, event):
        self.tables[event["table"]].append(event)

    def on_item(self, event):
        self.items.append(event)

    def on_page(self, event):
        self.pages.append(event)

    def on_read(self, event):
        self.reads.append(event)

    def on_forget(self, event):
        """Records of a sync that was removed are gone without a trace."""
        place = (event["list"], event["sync"])
        self.reads = [read for read in self.reads if (read["list"], read["sync"]) != place]

    def on_kept(self, event):
        self.kept.append(event)

    def on_webhook(self, event):
        self.webhooks.append(event)

    def on_wants(self, event):
        self.wants.append(event)

    def on_note(self, event):
        pass

    def ops(self, do, kind=None):
        for op, asked in self.asked.items():
            end = self.ended.get(op, {"e": "unknown", "t": float("inf")})
            if asked["do"] == do and (kind is None or end["e"] == kind):
                yield asked, end

    def fault_between(self, begin, end, prefixes=None, slack=0.0, node=None):
        for fault in self.faults:
            if prefixes is not None and not fault["what"].startswith(tuple(prefixes)):
                continue
            if node is not None and fault.get("node") not in (None, node):
                continue
            if fault["began"] <= end and fault["until"] + slack >= begin:
                return fault
        return None


# ---- I1: accepted -------------------------------------------------------------------------------

def check_accepted(story, verdict):
    accepted = {}  # job -> when it was first asked for (begun) and first told, by which nodes, and what was asked
    ids = defaultdict(set)  # (environment, Idempotency-Key) -> jobs
    for asked, end in story.ops("submit", "ok"):
        job = end["job"]
        known = accepted.setdefault(job, {"told": float("inf"), "asked": asked})
        known["told"] = min(known["told"], end["t"])
        if asked.get("idem"):
            ids[(asked["key"], asked["idem"])].add(job)
    tries = defaultdict(list)
    for asked, _ in story.ops("submit"):
        tries[asked["n"]].append(asked)
    for known in accepted.values():  # with those of unknown outcome: one of them may have been the one
        same = tries[known["asked"]["n"]]
        known["begun"] = min(asked["t"] for asked in same)
        known["nodes"] = {asked.get("node") for asked in same}
    for name, jobs in ids.items():
        if len(jobs) > 1:
            verdict.add("I1", f"Idempotency-Key {name} answered with {len(jobs)} jobs: {sorted(jobs)}", "doubled")
    for job in accepted:
        if job not in story.jobs:
            verdict.add("I1", f"job {job} was accepted and is not in the ledger", "lost")
    for job in story.jobs:
        if job not in story.results:
            verdict.add("I1", f"job {job} (n {story.jobs[job]['n']}) has no result", "lost")
    rows = defaultdict(list)
    for job, row in story.jobs.items():
        rows[row["n"]].append(job)
    for n, jobs in rows.items():
        allowed = 1 if story.by_n.get(n, {}).get("idem") else len(tries[n])
        if len(jobs) > allowed:
            verdict.add("I1", f"n {n} is {len(jobs)} jobs: {sorted(jobs)}", "doubled")
    for asked, end in story.ops("submit", "fail"):
        if asked["n"] in rows and len(tries[asked["n"]]) == 1:
            verdict.add("I12", f"n {asked['n']} was refused with {end.get('status')} and is job {rows[asked['n']]}")
    verdict.jobs = len(accepted)
    return accepted


# ---- I4: results, R2: polls -----------------------------------------------------------------------

def check_results(story, verdict):
    seen = set()
    for row in story.tables["result"]:
        if row["job"] in seen:
            verdict.add("I4", f"job {row['job']} has two results", "doubled")
        seen.add(row["job"])
        if row["job"] not in story.jobs:
            continue
        verdict.states[STATES.get(row["state"], str(row["state"]))] += 1
        asked = story.by_n.get(story.jobs[row["job"]]["n"], {})
        if row["state"] == 1 and asked.get("calls", 0) > 0:
            done = [r for r in story.by_job[row["job"]] if r.id in row["output"]]
            if not done:
                verdict.add("I4", f"job {row['job']} succeeded without a run that the provider saw")
            elif len(done[0].calls) < asked["calls"]:
                verdict.add("I4", f"job {row['job']} succeeded with {len(done[0].calls)} of {asked['calls']} calls")
    for row in story.tables["dead"]:
        if row["job"] not in story.jobs:
            continue
        verdict.dead += 1
        result = story.results.get(row["job"], {"output": ""})
        if row["deaths"] < story.setup.get("deaths", 3) or "poison: " not in result["output"]:
            verdict.add("R3", f"job {row['job']} was set aside after {row['deaths']} deaths, its result is {result['output'][:80]!r}")
    verdict.worker_lost, verdict.expired = verdict.states["worker_lost"], verdict.states["expired"]


def check_polls(story, verdict, accepted):
    polls = defaultdict(list)
    for asked, end in story.ops("poll", "ok"):
        polls[asked["job"]].append((asked["t"], end["t"], end))
    for job, answers in polls.items():
        told = float("inf")  # when an end was first known to a client
        first = None
        for begun, ended, answer in sorted(answers, key=lambda a: a[1]):
            if answer["status"] == 404:
                if not answer.get("state"):
                    verdict.add("R2", f"a poll of the accepted job {job} answered that it is unknown")
                if begun > told:
                    verdict.add("R2", f"a poll of job {job} answered 404 after its end was told")
                continue
            if told == float("inf"):
                told, first = ended, answer
            elif (answer["status"], answer.get("body")) != (first["status"], first.get("body")):
                verdict.add("I4", f"job {job} ended as {first['status']} and as {answer['status']}: two answers", "doubled")
        if first is not None and job in story.results and \
                first["status"] not in STATUS.get(story.results[job]["state"], (first["status"],)):
            verdict.add("I4", f"job {job} was told as {first['status']}, the ledger has state {story.results[job]['state']}")
        if first is not None and job in accepted and job not in story.results:
            verdict.add("I4", f"job {job} was told as {first['status']}, the ledger has no result", "lost")


def check_cancels(story, verdict):
    grace = 2 * story.setup.get("ttl", 15.0) + 1
    for asked, end in story.ops("cancel", "ok"):
        job = asked["job"]
        result = story.results.get(job)
        if result is None or result["state"] != 3:
            verdict.add("I4", f"job {job} was cancelled and its result is {result and result['state']}")
        # A begin that was durable before has its call on the wire; one that came later is refused, and a call without
        # one is what check_starts() objects to.
        for run in story.by_job[job]:
            after = [c for c in run.calls if c["began"] > end["t"]]
            if len(after) > 1 and not story.fault_between(asked["t"] - grace, end["t"] + grace):
                verdict.add("I6", f"job {job} made {len(after)} calls after its cancel was answered, without a fault")
            elif after and after[-1]["began"] > end["t"] + grace:
                verdict.add("I6", f"job {job} called {after[-1]['began'] - end['t']:.3f} s after its cancel was answered")
            else:
                verdict.after_cancel += len(after)
        for begun, answer in ((a["t"], e) for a, e in story.ops("poll", "ok") if a["job"] == job):
            if begun > end["t"] and answer["status"] == 404:
                verdict.add("R2", f"a poll of the cancelled job {job} answered 404")
    for asked, end in story.ops("cancel", "fail"):
        if end.get("status") == 404:
            verdict.add("R2", f"a cancel of the accepted job {asked['job']} answered that it is unknown")


# ---- I5: starts -------------------------------------------------------------------------------------

def check_starts(story, verdict):
    numbers = defaultdict(list)
    for row in story.tables["attempt"]:
        numbers[row["job"]].append(row["number"])
    for job, row in story.jobs.items():
        allowed = row["retries"] + 1
        runs = story.by_job[job]
        if len(runs) > allowed:
            verdict.add("I5", f"job {job} with {row['retries']} retries was started {len(runs)} times", "doubled")
        if numbers[job] and (max(numbers[job]) > allowed or len(numbers[job]) > allowed):
            verdict.add("I5", f"job {job} with {row['retries']} retries has attempts {numbers[job]}", "doubled")
        if len(runs) > len(numbers[job]):
            verdict.add("I5", f"job {job} had {len(runs)} starts with effects, the ledger knows {len(numbers[job])}")
    calls = defaultdict(set)
    for run in story.by_job[""]:
        calls[run.n].add(run.id)
    for n, runs in calls.items():
        if len(runs) > 1:
            verdict.add("I5", f"the sync call {n} was started {len(runs)} times", "doubled")
    for asked, end in story.ops("call", "ok"):
        if end["status"] == 200 and asked.get("calls", 0) > 0 and asked["n"] not in calls:
            verdict.add("I4", f"the sync call {asked['n']} succeeded without a run that the provider saw")
    verdict.calls = sum(len(run.calls) for run in story.runs.values())


# ---- I3, I6: at once, and in which order --------------------------------------------------------------

def stale_calls(story, verdict, run, successor, key):
    """run still had effects when successor began: one call that was on the wire, or a violation."""
    after = [c for c in run.calls if c["began"] > successor.began]
    what = f"run {run.id} of job {run.job}, run {successor.id} of job {successor.job} (key {key})"
    if not after:
        verdict.add("I3", f"two of one key at once: {what}; the first one's last call was still open", "overlapped")
    elif not story.fault_between(run.began - 1, after[0]["began"], slack=2 * story.setup.get("ttl", 15.0) + 5):
        verdict.add("I3", f"two of one key at once without a fault: {what}", "overlapped")
    elif len(after) > 1:
        verdict.add("I6", f"{len(after)} calls after the successor began: {what}", "overlapped")
    else:
        verdict.on_wire += 1


def check_limit(story, verdict, runs, limit, key):
    """runs, in the order of their starts, share a key."""
    active = []
    for run in runs:
        active = [r for r in active if r.until > run.began]
        same = [r for r in active if r.job == run.job]
        for old in same:  # a job never runs twice at once, whatever the limit
            stale_calls(story, verdict, old, run, key)
            active.remove(old)
        while len(active) >= limit:
            stale_calls(story, verdict, active.pop(0), run, key)
        active.append(run)


def check_overlap(story, verdict):
    keys = defaultdict(list)
    for job, row in story.jobs.items():
        keys[row["key"]].extend(story.by_job[job])
    for key, runs in keys.items():
        check_limit(story, verdict, sorted(runs, key=lambda r: r.began), story.limits.get(key, 1), key)


def check_order(story, verdict, accepted):
    keys, tries = defaultdict(list), Counter(row["job"] for row in story.tables["attempt"])
    for job, known in accepted.items():
        row, asked = story.jobs.get(job), known["asked"]
        runs = story.by_job[job]
        if row is None or not runs or asked.get("delay") or story.limits.get(row["key"], 1) != 1:
            continue
        if asked.get("calls", 0) == 0 or asked.get("silent"):  # it may have failed before its first call
            continue
        if tries[job] > len(runs):  # a try failed before its first call: others pass while the job waits for the next
            continue
        keys[row["key"]].append((runs[0].began, job, known))
    for jobs in keys.values():
        jobs.sort(key=lambda j: j[0])
        newest, passed = -float("inf"), None  # the latest request among those that started before
        for started, job, known in jobs:
            if known["told"] < newest:
                if late_by(story, known["begun"], started, known["nodes"]) is None:
                    verdict.add("I3", f"job {job} (n {known['asked']['n']}) was accepted {newest - known['told']:.3f} s before job"
                                f" {passed} was asked for, and started after it", "out_of_order")
                else:
                    verdict.late += 1
            if known["begun"] > newest:
                newest, passed = known["begun"], job


def late_by(story, begun, started, nodes):
    """The fault that explains a late push, or None."""
    found = [story.fault_between(begun - SWEEP, started, PUSH_FAULTS)]
    found += [story.fault_between(begun - 1, started, NODE_FAULTS, node=node, slack=1.0) for node in nodes]
    return next((fault for fault in found if fault), None)


# ---- I12: refusals ------------------------------------------------------------------------------------

def check_refusals(story, verdict):
    for op, end in story.ended.items():
        if end["e"] == "ok":
            continue
        if end["e"] == "unknown":
            verdict.unknown += 1
        else:
            verdict.refused += 1
        if end.get("status") in (429, 503) and not end.get("retry_after"):
            verdict.add("I12", f"{end['status']} to {story.asked[op]['do']} without Retry-After")


def judge(events):
    verdict = Verdict()
    story = Story(events)
    for fault in story.faults:
        verdict.faults[fault["what"]] += 1
    accepted = check_accepted(story, verdict)
    check_results(story, verdict)
    check_polls(story, verdict, accepted)
    check_cancels(story, verdict)
    check_starts(story, verdict)
    check_overlap(story, verdict)
    check_order(story, verdict, accepted)
    check_refusals(story, verdict)
    check_syncs(story, verdict, Run, lambda runs, limit, key: check_limit(story, verdict, runs, limit, key))
    check_webhooks(story, verdict)
    return verdict
