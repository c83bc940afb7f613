"""What judge.py asks of syncs (R1), by a provider whose lists change (tests/lib/source.py) and a reader that follows cursors.

I1  every run that was started has a result
I3, I6  two runs of one sync never call at once; one call that was on the wire may follow the successor's first
I5  a run is started once
I7  a run that ended leaves one event for each model, or one that it failed
R1  a run goes on where the one before it had saved its checkpoint, no earlier and no later; what is kept at the end is what
    the provider has; what was read is what the provider had, never older than before; what was deleted was not there at some
    time since the listing began that did not see it; who followed cursors has read what is kept
"""
from collections import defaultdict
from datetime import datetime

SLACK = 0.05  # seconds between two readings of the two clocks
START = {"listing": "", "changes": "0"}


def check_syncs(story, verdict, run_class, check_limit):
    """check_limit(runs, limit, key): of runs that share a key; both are judge.py's."""
    places = {row["sync"]: (row["list"], row["name"]) for row in story.tables["sync"]}
    check_runs(story, verdict, places)
    syncs = defaultdict(dict)  # (list, sync) -> {run id: run}
    for page in story.pages:
        runs = syncs[(page["list"], page["sync"])]
        run = runs.setdefault(page["run"], run_class(page["run"], page["job"], None))
        run.calls.append(page)
    for place, runs in syncs.items():
        for run in runs.values():
            run.calls.sort(key=lambda page: page["began"])
            result = story.results.get(run.job)
            run.complete = result is not None and result["state"] == 1
        order = sorted(runs.values(), key=lambda run: run.began)
        check_limit(order, 1, "/".join(place))
        check_goes_on(story, verdict, place, order)
        verdict.pages += sum(len(run.calls) for run in order)
    for place in sorted(set(syncs) | {(event["list"], event["sync"]) for event in story.reads + story.kept}):
        check_records(story, verdict, place, sorted(syncs[place].values(), key=lambda run: run.began))


def check_runs(story, verdict, places):
    tries, started = defaultdict(int), defaultdict(set)
    for row in story.tables["attempt"]:
        tries[row["job"]] += 1
    for page in story.pages:
        started[page["job"]].add(page["run"])
    check_starts(story, verdict, places)
    told = defaultdict(set)
    for row in story.tables["outbox"]:
        if row["model"] in told[row["job"]]:
            verdict.add("I7", f"run {row['job']} has two events of {row['model']}", "doubled")
        told[row["job"]].add(row["model"])
        verdict.events += 1
    for row in story.tables["run"]:
        job, what = row["job"], f"run {row['job']} of {'/'.join(places.get(row['sync'], ('?',)))}"
        result = story.results.get(job)
        verdict.runs += 1
        if result is None:
            verdict.add("I1", f"{what} has no result", "lost")
            continue
        verdict.run_states[result["state"]] += 1
        if tries[job] > 1 or len(started[job]) > 1:
            verdict.add("I5", f"{what} was started {max(tries[job], len(started[job]))} times", "doubled")
        if len(started[job]) > tries[job]:
            verdict.add("I5", f"{what} had {len(started[job])} starts with effects, the ledger knows {tries[job]}")
        if result["state"] == 1 and of_source(places, row) and not any(page["last"] for page in story.pages if page["job"] == job) \
                and not story.setup.get("interrupts"):
            verdict.add("I4", f"{what} succeeded and did not read to the end")
        if row["sync"] in places and not told[job]:
            verdict.add("I7", f"{what} ended as {result['state']} and has no event", "lost")


def of_source(places, row):
    """Is the run of one of source.py's functions?  Only of these it is known what they read, and who asked for them."""
    return row["sync"] not in places or places[row["sync"]][1] in START


def check_starts(story, verdict, places):
    """No more runs than were asked for or due, and one at once for a new connection."""
    asked, runs = defaultdict(int), defaultdict(int)
    for do in ("trigger", "reset", "due"):
        for op, _ in story.ops(do):
            asked[(op["list"], op["sync"])] += 1
    for row in story.tables["run"]:
        if of_source(places, row):
            runs[places.get(row["sync"])] += 1
    for place, count in runs.items():
        if place is not None and count > asked[place] + 1:
            verdict.add("R1", f"{'/'.join(place)} has {count} runs, {asked[place]} were asked for or due", "doubled")


def check_goes_on(story, verdict, place, runs):
    for run in runs:
        versions = {page.get("version", "") for page in run.calls}
        if len(versions) > 1:
            verdict.add("R1", f"run {run.id} of {'/'.join(place)} used {len(versions)} versions: {sorted(versions)}")
    for before, run in zip(runs, runs[1:]):
        last = [page for page in before.calls if page["began"] < run.began][-1]
        allowed = {last["at"]} | ({last["to"]} if last["status"] == 200 else set())
        if run.calls[0]["at"] not in allowed and not was_reset(story, place, last["began"], run.began):
            verdict.add("R1", f"run {run.id} of {'/'.join(place)} began at {run.calls[0]['at']!r}; the one before it had asked for"
                        f" {last['at']!r} and was told {last['to']!r}", "lost")


def was_reset(story, place, begin, end):
    return any(asked["list"] == place[0] and asked["t"] <= end and done["t"] >= begin for asked, done in story.ops("reset"))


class Log:
    """What the provider had, of one list."""

    def __init__(self, story, name):
        self.of, self.now = defaultdict(list), {}
        for event in story.items:
            if event["list"] != name:
                continue
            self.of[event["id"]].append((event["at"], event["v"], event["gone"]))
            self.now.pop(event["id"], None)
            if not event["gone"]:
                self.now[event["id"]] = event["v"]

    def had(self, ident, version, gone):
        return any(v == version and g == gone for _, v, g in self.of[ident])

    def was_absent(self, ident, begin, end):
        """At some time between the two."""
        gone = True
        for at, _, now_gone in self.of[ident]:
            if gone and at > begin:
                return True
            if at > end:
                return False
            gone = now_gone
        return gone


def moment(story, text):
    """A time of the database, by the clock of the history."""
    return datetime.fromisoformat(text).timestamp() - story.setup["wall"]


def check_records(story, verdict, place, runs):
    what, log = "/".join(place), Log(story, place[0])
    kept = [event for event in story.kept if (event["list"], event["sync"]) == place]
    reads = [event for event in story.reads if (event["list"], event["sync"]) == place]
    final = {event["id"]: event for event in kept}
    live = {ident: event["v"] for ident, event in final.items() if not event["gone"]}
    verdict.records += len(live)
    verdict.reads += len(reads)
    if len(final) < len(kept):
        verdict.add("R1", f"{what}: {len(kept) - len(final)} records are listed twice", "doubled")
    for ident in sorted(set(live) | set(log.now)):
        if live.get(ident) != log.now.get(ident):
            verdict.add("R1", f"{what}: record {ident} is kept as {live.get(ident)}, the provider has {log.now.get(ident)}",
                        "lost" if ident in log.now else None)
    openings = [page["began"] for run in runs for page in run.calls if page["at"] == ""] if place[1] == "listing" else None
    check_reads(story, verdict, what, log, reads, openings)
    state = {event["id"]: event for event in reads}
    for ident in sorted(set(state) | set(final)):
        ours, theirs = ((e["v"], e["gone"]) if e else None for e in (state.get(ident), final.get(ident)))
        if ours != theirs:
            verdict.add("R1", f"{what}: who followed cursors has {ident} as {ours}, kept is {theirs}", "lost")


def check_reads(story, verdict, what, log, reads, openings):
    newest = {}
    for event in reads:
        ident, version, gone = event["id"], event["v"], event["gone"]
        if not event["good"]:
            verdict.add("R1", f"{what}: record {ident} was read with another one's text")
        if version < newest.get(ident, version):
            verdict.add("R1", f"{what}: record {ident} was read as {version} after {newest[ident]}: an older one came back")
        newest[ident] = version
        if gone and openings is not None:
            at = moment(story, event["at"])
            since = max((began for began in openings if began <= at + SLACK), default=at)
            if not log.was_absent(ident, since - SLACK, at + SLACK):
                verdict.add("R1", f"{what}: record {ident} was deleted at {at:.3f} and was there since {since:.3f}", "lost")
        elif not log.had(ident, version, gone):
            verdict.add("R1", f"{what}: record {ident} was read as {version}{' and gone' if gone else ''}, which it never was")
