"""The checker objects to each violation by syncs and their records (R1), and only then."""
import os
import sys
from datetime import datetime, timezone

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from judge import judge
from tale import Tale, drop, found
from tap import main, test


class SyncTale(Tale):
    """What a list had, what syncs of it asked for, and what was read of their records.  Clocks agree."""

    def __init__(self):
        super().__init__()
        self.events[0]["wall"] = 0.0

    def item(self, at, ident, version, gone=False):
        self.events.append({"e": "item", "t": 99.0, "list": "c", "id": ident, "v": version, "gone": gone, "at": at})

    def run(self, number, name, at, *pages, state=1, attempts=1):
        """pages: (at, to, last) each, half a second apart, or None: the call failed."""
        self.row("run", job=f"s-{number}", sync={"listing": 1, "changes": 2}[name])
        self.ask("trigger", at - 0.1, at, answer={"status": 200}, list="c", sync=name)
        for attempt in range(1, attempts + 1):
            self.row("attempt", job=f"s-{number}", number=attempt, session=1)
        if state:
            self.row("outbox", job=f"s-{number}", model={"listing": "Listed", "changes": "Changed"}[name])
            self.row("result", job=f"s-{number}", attempt=attempts, state=state, output="true")
        for n, (start, to, last) in enumerate(pages):
            self.page(number, name, at + n / 2, start, to, last)

    def page(self, number, name, at, start, to, last, run=None):
        self.events.append({"e": "page", "t": 99.0, "list": "c", "sync": name, "job": f"s-{number}", "run": run or f"u-{number}",
                            "began": at, "ended": at + 0.1, "at": start, "to": to or "", "last": last, "status": 200 if to is not None else 500})

    def record(self, event, name, at, ident, version, gone=False, good=True):
        self.events.append({"e": event, "t": at, "list": "c", "sync": name, "id": ident, "v": version, "gone": gone, "good": good,
                            "at": datetime.fromtimestamp(at, timezone.utc).isoformat()})


def good():
    """a and c stay, b goes; the second listing sees it gone, and so do the changes, whose second run is cut."""
    tale = SyncTale()
    for name, number in (("listing", 1), ("changes", 2)):
        tale.row("sync", sync=number, list="c", name=name)
    tale.item(0.1, "a", 1)
    tale.item(0.2, "b", 2)
    tale.item(0.3, "c", 3)
    tale.run(1, "listing", 1.0, ("", "b", False), ("b", "", True))
    for ident, version in (("a", 1), ("b", 2), ("c", 3)):
        tale.record("read", "listing", 1.0 + version / 10, ident, version)
    tale.run(2, "changes", 1.0, ("0", "2", False), ("2", "3", True))
    tale.record("read", "changes", 1.1, "a", 1)
    tale.record("read", "changes", 1.2, "b", 2)
    tale.record("read", "changes", 1.6, "c", 3)
    tale.item(2.0, "b", 4, gone=True)
    tale.item(2.1, "a", 5)
    tale.run(3, "listing", 3.0, ("", "a", False), ("a", "", True))
    tale.record("read", "listing", 3.2, "a", 5)
    tale.record("read", "listing", 3.8, "b", 2, gone=True)
    tale.run(4, "changes", 3.0, ("3", "4", False), state=5)
    tale.record("read", "changes", 3.2, "b", 4, gone=True)
    tale.fault("node_kill", 3.3, 3.4, node=0)
    tale.run(5, "changes", 5.0, ("4", "5", True))
    tale.record("read", "changes", 5.2, "a", 5)
    for name, gone in (("listing", 2), ("changes", 4)):
        tale.record("kept", name, 9.0, "a", 5)
        tale.record("kept", name, 9.0, "b", gone, gone=True)
        tale.record("kept", name, 9.0, "c", 3)
    return tale


def objects(name, *invariants):
    """The function breaks a good history; the checker must name these invariants, and nothing else."""
    def mark(change):
        @test(name=f"the_checker_objects_to_{name}")
        def _():
            tale = good()
            change(tale)
            assert found(tale) == set(invariants), judge(tale.events).violations
        return change
    return mark


def change(tale, fields, **new):
    """Rewrites the events that have these fields."""
    hit = [event for event in tale.events if all(event.get(key) == value for key, value in fields.items())]
    assert hit, fields
    for event in hit:
        event.update(new)


@test
def the_checker_is_content_with_good_runs_and_records():
    verdict = judge(good().events)
    assert verdict.good and (verdict.runs, verdict.pages, verdict.records, verdict.reads) == (5, 8, 4, 10), verdict.violations


@objects("a_run_without_a_result", "I1")
def _(tale):
    tale.run(6, "listing", 7.0, ("", "", True), state=0)


@objects("a_run_that_was_started_twice", "I5")
def _(tale):
    tale.run(6, "listing", 7.0, ("", "", True), attempts=2)


@objects("a_second_start_of_a_run_that_the_ledger_does_not_know", "I5")
def _(tale):
    tale.page(5, "changes", 6.0, "5", "5", True, run="u-5b")


@objects("more_runs_than_were_asked_for", "R1")
def _(tale):
    for number in (6, 7):
        tale.run(number, "listing", 7.0 + number, ("", "", True))
        tale.events.pop(next(i for i, e in reversed(list(enumerate(tale.events))) if e.get("do") == "trigger"))


@objects("a_success_that_did_not_read_to_the_end", "I4")
def _(tale):
    tale.run(6, "listing", 7.0, ("", "b", False))


@objects("two_runs_of_one_sync_at_once", "I3")
def _(tale):
    tale.run(6, "listing", 20.0, ("", "a", False), ("a", "", True))
    tale.run(7, "listing", 20.2, ("", "", True))


def stale(tale, calls):
    """Run 5 follows run 4, which calls again that often after that."""
    for n in range(calls):
        tale.page(4, "changes", 5.02 + n / 100, "4", "5", True)


@objects("a_call_of_a_run_after_its_successor_began_without_any_fault", "I3")
def _(tale):
    tale.run(6, "listing", 20.0, ("", "a", False), state=5)
    tale.run(7, "listing", 30.0, ("a", "", True))
    tale.page(6, "listing", 30.1, "a", "", True)


@objects("two_calls_of_a_run_after_its_successor_began", "I6")
def _(tale):
    stale(tale, 2)


@test
def the_checker_allows_one_call_on_the_wire():
    tale = good()
    stale(tale, 1)
    assert found(tale) == set() and judge(tale.events).on_wire == 1, judge(tale.events).violations


@objects("a_checkpoint_that_was_lost", "R1")
def _(tale):
    tale.run(6, "changes", 7.0, ("3", "5", True))


@objects("a_run_that_passed_over_a_page", "R1")
def _(tale):
    change(tale, {"e": "page", "job": "s-5"}, at="5")


@objects("a_run_that_used_two_versions", "R1")
def _(tale):
    tale.run(6, "listing", 7.0, ("", "a", False), ("a", "", True))
    change(tale, {"e": "page", "job": "s-6", "at": "a"}, version="2")


@test
def the_checker_allows_a_run_to_begin_where_a_reset_put_it():
    tale = good()
    change(tale, {"e": "page", "job": "s-5"}, at="0")
    tale.ask("reset", 4.0, 4.1, answer={"status": 200}, list="c", sync="changes")
    assert found(tale) == set(), judge(tale.events).violations


@objects("a_record_that_is_not_kept", "R1")
def _(tale):
    drop(tale, e="kept", sync="listing", id="c")
    drop(tale, e="read", sync="listing", id="c")


@objects("a_record_that_is_kept_as_it_was_before", "R1")
def _(tale):
    change(tale, {"e": "kept", "sync": "changes", "id": "a"}, v=1)
    drop(tale, e="read", sync="changes", id="a", v=5)


@objects("a_record_that_is_kept_and_gone", "R1")
def _(tale):
    change(tale, {"e": "kept", "sync": "listing", "id": "b"}, gone=False)
    drop(tale, e="read", sync="listing", id="b", gone=True)


@objects("a_record_that_is_listed_twice", "R1")
def _(tale):
    tale.record("kept", "listing", 9.0, "c", 3)


@objects("a_change_that_a_reader_missed", "R1")
def _(tale):
    drop(tale, e="read", sync="changes", id="a", v=5)


@objects("a_deletion_that_a_reader_missed", "R1")
def _(tale):
    drop(tale, e="read", sync="listing", id="b", gone=True)


@objects("a_record_that_was_deleted_while_it_existed", "R1")
def _(tale):
    tale.record("read", "listing", 3.7, "c", 3, gone=True)
    tale.record("read", "listing", 3.9, "c", 3)


@objects("a_record_that_was_deleted_for_an_absence_before_the_listing", "R1")
def _(tale):
    tale.item(2.2, "b", 6)
    tale.record("read", "changes", 5.3, "b", 6)
    tale.record("read", "listing", 3.9, "b", 6)
    for name in ("listing", "changes"):
        change(tale, {"e": "kept", "sync": name, "id": "b"}, v=6, gone=False)


@objects("an_older_record_that_came_back", "R1")
def _(tale):
    tale.record("read", "listing", 3.3, "a", 1)
    tale.record("read", "listing", 3.4, "a", 5)


@objects("a_record_that_the_provider_never_had", "R1")
def _(tale):
    tale.record("read", "listing", 3.1, "a", 4)


@objects("a_record_with_the_text_of_another", "R1")
def _(tale):
    change(tale, {"e": "read", "sync": "listing", "id": "a", "v": 5}, good=False)


@objects("a_run_with_two_events_of_a_model", "I7")
def _(tale):
    tale.row("outbox", job="s-3", model="Listed")


@objects("a_run_without_an_event", "I7")
def _(tale):
    drop(tale, e="row", table="outbox", job="s-4")


main()
