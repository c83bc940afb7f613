"""The checker objects to each violation by events and webhooks (I7), and only then."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from judge import judge
from tale import Tale, drop, found
from tap import main, test

WANTED, OTHER, GONE = 1, 2, 3  # environments: dev wants all at two endpoints; prod async actions at one; the third one nothing
URLS = {1: (WANTED, 1, "http://h/one"), 2: (WANTED, 2, "http://h/two"), 3: (OTHER, 1, "http://h/other"), 4: (WANTED, 3, "http://h/own")}


def uuid(kind, n, at=50.0):
    milliseconds = f"{int(at * 1000):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}-7000-8{kind:03x}-{n:012x}"


class HookTale(Tale):
    """Jobs and events at 50 s; the settings are older."""

    def __init__(self):
        super().__init__()
        self.events[0].update(wall=0.0, schedule=[0, 0.5, 1.0])
        for environment, slots, bits in ((WANTED, [1, 2], 61), (OTHER, [1], 8), (GONE, [], 61)):
            self.events.append({"e": "wants", "t": 1.0, "began": 0.9, "until": 1.0, "environment": environment, "slots": slots, "events": bits})
        for environment, name in ((WANTED, "dev"), (OTHER, "prod"), (GONE, "gone")):
            self.row("environment", environment=environment, name=name)
        for endpoint, (environment, slot, url) in URLS.items():
            self.row("endpoint", endpoint=endpoint, environment=environment, slot=slot, url=url)

    def asked(self, n, environment=WANTED, webhook=True, ended=True):
        self.row("asked", job=uuid(1, n), environment=environment, webhook=webhook, ended=ended)

    def event(self, n, environment=WANTED, job=None, kind=2, outcome=1, override="", connection="c"):
        self.row("event", event=uuid(2, n), environment=environment, job=uuid(1, n) if job is None else job, type=kind, outcome=outcome,
                 body=f"body {n}", override=override, connection=connection)

    def delivery(self, n, endpoint, *statuses, state=3, due=False, base=0):
        ident = uuid(3 + endpoint, n)
        self.row("delivery", delivery=ident, event=uuid(2, n), endpoint=endpoint, state=state, tries=len(statuses), base=base, due=due)
        for number, status in enumerate(statuses, 1):
            at = 50.0 + number
            self.row("try", delivery=ident, number=number, at=at, status=status, failure="" if status == 200 else "http_status")
            if status:
                self.seen(n, URLS[endpoint][2][8:], at, status == 200)

    def seen(self, n, path, at, taken=True, **more):
        self.events.append({"e": "webhook", "t": 99.0, "id": uuid(2, n), "path": path, "at": at, "taken": taken, "faults": [],
                            "body": f"body {n}", **more})

    def told(self, n, environment=WANTED, **more):
        """A job whose end arrives at all endpoints of its environment."""
        self.asked(n, environment)
        self.event(n, environment, **more)
        for endpoint, (owner, slot, _) in URLS.items():
            if owner == environment and slot < 3:
                self.delivery(n, endpoint, 200)


def connected(tale):
    tale.ask("connect", 49.0, 49.1, answer={"status": 201}, key="dev", connection="k3")
    tale.told(11, kind=3, job="", connection="k3")
    drop(tale, table="asked", job=uuid(1, 11))


def good():
    """Of each sort one: arrived, arrived after failures, given up, still waiting, for nobody, of a connection's own endpoint."""
    tale = HookTale()
    tale.told(1)
    tale.told(2, OTHER)
    tale.asked(3)
    tale.event(3)
    tale.delivery(3, 1, 500, 0, 200)
    tale.delivery(3, 2, 500, 0, 500, state=4)
    tale.asked(4, OTHER)
    tale.event(4, OTHER)
    tale.delivery(4, 3, 500, state=2, due=True)
    tale.asked(5, ended=False)
    tale.asked(6, GONE, webhook=False)
    tale.event(7, kind=1, outcome=2)
    tale.event(8, kind=1, outcome=3, override="http://h/own")
    tale.delivery(8, 4, state=1, due=True)
    tale.event(9, OTHER, kind=3, job="", connection="k1")
    tale.ask("connect", 49.0, 49.1, answer={"status": 201}, key="prod", connection="k2")
    connected(tale)
    tale.asked(10)
    tale.event(10)
    tale.delivery(10, 1, 500, 500, 500, 200, base=3)
    tale.delivery(10, 2, 200)
    return tale


def objects(name, text):
    """The function breaks a good history; the checker must say this of I7, and nothing of other invariants."""
    def mark(change):
        @test(name=f"the_checker_objects_to_{name}")
        def _():
            tale = good()
            change(tale)
            assert found(tale) == {"I7"}, judge(tale.events).violations
            assert any(text in said for _, said in judge(tale.events).violations), judge(tale.events).violations
        return change
    return mark


def change(tale, fields, **new):
    """Rewrites the events that have these fields."""
    hit = [event for event in tale.events if all(event.get(key) == value for key, value in fields.items())]
    assert hit, fields
    for event in hit:
        event.update(new)


@test
def the_checker_is_content_with_good_events_and_deliveries():
    verdict = judge(good().events)
    assert verdict.good and (verdict.delivered, verdict.exhausted, verdict.waiting, verdict.resent) == (8, 1, 2, 0), verdict.violations
    assert (verdict.webhooks, verdict.events) == (15, 7), (verdict.webhooks, verdict.events)


@objects("an_ended_job_that_nobody_is_told_of", "nobody is told")
def _(tale):
    tale.asked(20)


@objects("a_job_that_is_told_of_before_it_ended", "no result")
def _(tale):
    tale.told(5)
    drop(tale, table="asked", job=uuid(1, 5), ended=True)


@objects("a_job_with_two_events", "2 events")
def _(tale):
    tale.event(30, OTHER, job=uuid(1, 2))
    tale.delivery(30, 3, 200)


@objects("a_job_that_is_told_of_though_nobody_asked_for_it", "that nobody wanted")
def _(tale):
    tale.event(6, GONE)


@objects("a_job_that_was_accepted_without_looking_who_is_to_be_told", "is to be told of")
def _(tale):
    tale.asked(20, webhook=False)


@test
def the_checker_leaves_open_what_was_decided_while_settings_changed():
    tale = good()
    tale.row("asked", job=uuid(1, 20, at=2.0), environment=WANTED, webhook=False, ended=True)
    tale.row("event", event=uuid(2, 21, at=0.5), environment=WANTED, job="", type=3, outcome=1, body="b", override="",
             connection="c")
    assert not found(tale), judge(tale.events).violations


@objects("a_connection_that_nobody_is_told_of", "was made and nobody is told")
def _(tale):
    tale.ask("connect", 49.0, 49.1, answer={"status": 201}, key="dev", connection="k4")


@objects("a_connection_with_two_events", "was made once and has 2 events")
def _(tale):
    tale.told(12, kind=3, job="", connection="k3")


@objects("an_event_that_an_endpoint_is_not_told_of", "not addressed to endpoint [2]")
def _(tale):
    drop(tale, table="delivery", event=uuid(2, 1), endpoint=2)
    drop(tale, table="try", delivery=uuid(5, 1))
    drop(tale, e="webhook", id=uuid(2, 1), path="/two")


@objects("an_event_that_is_sent_to_an_endpoint_that_did_not_want_it", "endpoint [1]: unwanted")
def _(tale):
    tale.delivery(9, 3, 200)


@objects("an_event_that_was_wanted_and_has_no_delivery", "not addressed to endpoint [1]")
def _(tale):
    change(tale, {"table": "event", "event": uuid(2, 9)}, type=2, outcome=3)


@objects("two_deliveries_of_an_event_for_one_endpoint", "two deliveries")
def _(tale):
    tale.row("delivery", delivery=uuid(99, 1), event=uuid(2, 1), endpoint=1, state=3, tries=1, base=0, due=False)
    tale.row("try", delivery=uuid(99, 1), number=1, at=51.0, status=200, failure="")


@objects("a_delivery_to_the_environment_of_a_connection_with_its_own_endpoint", "endpoint [1]: unwanted")
def _(tale):
    tale.delivery(8, 1, 200)


@objects("a_delivery_to_the_endpoint_of_another_connection", "another URL")
def _(tale):
    change(tale, {"table": "event", "event": uuid(2, 8)}, override="http://h/theirs")


@objects("a_delivery_to_another_environment", "somebody else")
def _(tale):
    tale.delivery(9, 2, state=1, due=True)


@objects("a_delivery_of_no_event", "of no event")
def _(tale):
    tale.row("delivery", delivery=uuid(99, 1), event=uuid(2, 77), endpoint=1, state=1, tries=0, base=0, due=True)


@objects("a_delivery_that_is_neither_ended_nor_to_be_sent", "neither ended")
def _(tale):
    change(tale, {"table": "delivery", "event": uuid(2, 4)}, due=False)


@objects("a_delivery_that_arrived_and_is_still_to_be_sent", "still to be sent")
def _(tale):
    change(tale, {"table": "delivery", "event": uuid(2, 1), "endpoint": 1}, due=True)


@objects("something_to_be_sent_that_is_no_delivery", "has state 0")
def _(tale):
    tale.row("delivery", delivery=uuid(99, 1), event="", endpoint=1, state=0, tries=0, base=0, due=True)


@objects("a_delivery_that_counts_as_delivered_and_never_came", "in none of 0")
def _(tale):
    drop(tale, e="webhook", id=uuid(2, 1), path="/one")


@objects("a_delivery_that_counts_as_delivered_and_was_not_taken", "in none of 1")
def _(tale):
    change(tale, {"e": "webhook", "id": uuid(2, 1), "path": "/one"}, taken=False)


@objects("a_delivery_that_counts_as_delivered_after_a_failure", "its last try says")
def _(tale):
    change(tale, {"table": "try", "delivery": uuid(4, 1)}, failure="timeout")


@objects("a_delivery_that_was_given_up_too_early", "3 of 4 tries")
def _(tale):
    tale.events[0]["schedule"] = [0, 0.5, 1.0, 1.0]


@objects("a_delivery_that_was_given_up_though_it_arrived", "the last one was good")
def _(tale):
    change(tale, {"table": "try", "delivery": uuid(5, 3), "number": 3}, status=200, failure="")


@objects("a_try_that_is_not_logged", "its log has [1, 3]")
def _(tale):
    drop(tale, table="try", delivery=uuid(4, 3), number=2)


@objects("a_try_of_nothing", "which is no delivery")
def _(tale):
    tale.row("try", delivery=uuid(99, 1), number=1, at=51.0, status=200, failure="")


@objects("a_try_before_its_time", "were over")
def _(tale):
    change(tale, {"table": "try", "delivery": uuid(4, 3), "number": 3}, at=52.9)


@objects("a_pending_delivery_with_tries", "has state 1")
def _(tale):
    change(tale, {"table": "delivery", "event": uuid(2, 4)}, state=1)


@objects("an_unknown_state", "has state 9")
def _(tale):
    change(tale, {"table": "delivery", "event": uuid(2, 4)}, state=9)


@objects("a_webhook_of_no_event", "which is no event")
def _(tale):
    tale.seen(66, "/one", 51.0)


@objects("a_webhook_with_a_wrong_signature", "came with x-nango")
def _(tale):
    change(tale, {"e": "webhook", "id": uuid(2, 1), "path": "/one"}, faults=["x-nango-signature 'a', not 'b'"])


@objects("a_webhook_with_other_bytes_than_those_of_the_outbox", "other bytes")
def _(tale):
    change(tale, {"e": "webhook", "id": uuid(2, 1), "path": "/one"}, body="another")


@objects("a_webhook_at_an_endpoint_that_it_is_not_addressed_to", "came to /one")
def _(tale):
    tale.seen(2, "/one", 51.0)


@objects("a_webhook_that_is_sent_twice_without_a_fault", "2 times in 1 tries")
def _(tale):
    tale.seen(1, "/one", 55.0)


@test
def the_checker_allows_a_webhook_that_is_sent_again_for_a_fault():
    tale = good()
    tale.fault("node_kill", 53.0, 53.1, node=0)
    tale.seen(1, "/one", 55.0)
    assert not found(tale) and judge(tale.events).resent == 1, judge(tale.events).violations


@test
def the_checker_allows_a_client_to_repeat_what_got_no_answer():
    tale = good()
    tale.seen(1, "/one", 50.9, taken=False, until=50.95)
    assert not found(tale) and judge(tale.events).resent == 0, judge(tale.events).violations
    tale.seen(1, "/one", 50.5, taken=False, until=50.55)
    assert found(tale) == {"I7"}, "nobody waits that long with it"


main()
