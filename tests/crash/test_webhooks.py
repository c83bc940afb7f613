"""F33, F05, F25: receivers of webhooks fail in each way, and so does who sends to them.  What was to be told is told (I7)."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import Fleet, has_points, wait_until
import sink as answers
from load import Load
from sink import OK, later, moved, slow, status
from tap import main, test
from webhooks import CLAIM, SCHEDULE, SETTINGS, TIMEOUT, Webhooks

QUIET_KINDS = {"none": 3, "one": 5, "fail": 1}


def state_of(node):
    with open(f"/proc/{node.process.pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0]


def first_tries(fleet, names):
    """{connection: (status, failure, cut)} of the first try of each one's delivery."""
    rows = fleet.postgres.query(
        "SELECT c.connection_id, t.status, t.failure, t.cut, octet_length(t.answer) FROM delivery_try t JOIN delivery d ON d.id = t.delivery_id"
        " JOIN outbox o ON o.id = d.event_id JOIN connection c ON c.id = o.connection_id WHERE t.number = 1")
    assert all(int(row[4]) <= 65536 for row in rows), "more of an answer is kept than may be"
    return {name: (int(code), failure, cut == "t") for name, code, failure, cut, _ in rows if name in names}


# What one receiver does, and what the first try's log says of it: its status, and a failure, or None where it arrived.
BAD = {
    "500": (status(500), 500, "http_status"),
    "404": (status(404), 404, "http_status"),
    "429": (later(2), 429, "http_status"),
    "429-date": (later(answers.date(1)), 429, "http_status"),
    "429-garbage": (later("soon"), 429, "http_status"),
    "410": (status(410), 410, "http_status"),
    "304": (status(304), 304, "http_status"),
    "moved": (moved("/dev/elsewhere", 307), 307, "http_status"),
    "moved-inside": (moved("http://169.254.169.254/", 301), 301, "http_status"),
    "hang": (answers.hang, 0, "timeout"),
    "drip": (answers.drip(1.0), 0, "timeout"),
    "drop": (answers.drop, 0, "ECONNRESET"),
    "reset": (answers.reset, 200, "ECONNRESET"),
    "short": (answers.short, 200, "ECONNRESET"),
    "head": (answers.endless_head, 0, "HPE_HEADER_OVERFLOW"),
    "line": (answers.endless_line, 0, "HPE_INVALID_CONSTANT"),
    "204": (status(204), 204, None),
    "slow": (slow(1), 200, None),
    "body": (answers.endless_body, 200, None),
    "chunks": (answers.endless_chunks, 200, None),
}


@test(name="F33 receivers that fail in each way: each try is told as it was, in bounded time and memory; a healthy one does not wait",
      seconds=90)
def _(fleet):
    fleet.all()
    hooks = fleet.webhooks
    hooks.wants("dev", "healthy", events=("async_action",))
    hooks.sink.answer("/dev/elsewhere", status(599))
    for name, (answer, _, _) in BAD.items():
        hooks.sink.answer(f"/dev/{name}", answer)
        hooks.own(f"c-{name}", name)
    jobs = {name: fleet.submit("none", {}, connection=f"c-{name}") for name in BAD}
    waits = []
    for n in range(100, 120):
        job = fleet.job("none", n)
        fleet.finish(job)
        began = time.monotonic()
        hooks.sink.wait_for(lambda j=job: any(r.taken and r.json["payload"]["id"] == j for r in hooks.sink.seen("/dev/healthy")),
                            f"job {n} is told of")
        waits.append(time.monotonic() - began)
    print(f"# the healthy one was told after {sorted(waits)[len(waits) // 2] * 1000:.0f} ms in the middle, {max(waits) * 1000:.0f} ms at most")
    assert max(waits) < 1.0, waits
    names = [f"c-{name}" for name in BAD]
    wait_until("each was tried", lambda: len(first_tries(fleet, names)) == len(BAD), TIMEOUT + 10)
    seen = first_tries(fleet, names)
    wrong = {name: seen[f"c-{name}"] for name, (_, code, failure) in BAD.items()
             if seen[f"c-{name}"] != (code, failure or "", name in ("body", "chunks"))}
    assert not wrong, wrong
    for name in ("head", "line", "body", "chunks"):
        assert hooks.sink.seen(f"/dev/{name}")[0].sent < 16 << 20, f"{name}: all of it was read"
    assert not hooks.sink.seen("/dev/elsewhere"), "a redirect was followed"

    hooks.heal()
    [[cause, tries]] = fleet.postgres.query("SELECT pause_cause, tries FROM endpoint p JOIN delivery d ON d.endpoint_id = p.id"
                                            " WHERE url LIKE '%/410'")
    assert (cause, tries) == ("2", "1") and hooks.deliveries(jobs["410"]) == [["2", "1"]], "410 pauses, and the event waits"
    assert any("webhook_endpoint_paused" in line for node in fleet.nodes for line in node.log().splitlines())
    [[endpoint]] = fleet.postgres.query("SELECT uuid FROM endpoint WHERE url LIKE '%/410'")
    hooks.ask("POST", f"webhooks/endpoints/{endpoint}/resume", {"environment": "dev"})
    verdict = fleet.judged()
    assert verdict.delivered == len(BAD) + 20 and verdict.waiting == verdict.exhausted == 0, verdict.table()
    late = hooks.sink.seen("/dev/429")
    assert late[1].began - late[0].began >= 2.0, "Retry-After was not heeded"


@test(name="F33 a receiver that never takes anything: after the whole schedule the event is listed as exhausted, and can be sent again",
      seconds=60)
def _(fleet):
    fleet.only(0)
    hooks = fleet.webhooks
    hooks.wants("dev", "never", "other")
    hooks.sink.answer("/dev/never", status(503))
    job = fleet.job("none", 1)

    def ended():
        hooks.close_breakers()
        hooks.skip_waits()
        return hooks.deliveries(job) == [["4", str(len(SCHEDULE))], ["3", "1"]]
    wait_until("it is given up", ended, 30, 0.2)
    tries = hooks.sink.seen("/dev/never")
    assert {r.id for r in tries} == {hooks.event(job)} and len(tries) == len(SCHEDULE), tries
    assert len({r.headers["webhook-timestamp"] for r in tries}) > 2, "each try has its own time"
    hooks.sink.answer("/dev/never", OK)
    [[delivery]] = fleet.postgres.query(f"SELECT id FROM delivery WHERE job_id = '{job}' AND state = 4")
    hooks.close_breakers()
    hooks.ask("POST", f"webhooks/deliveries/{delivery}/resend", {"environment": "dev"})
    hooks.sink.wait_ids([hooks.event(job)], "/dev/never")
    assert fleet.judged().delivered == 2


def killed_at(fault, point, what, sends, waits=False):
    """sends: how often the receiver sees the event; waits: for as long as a claim lasts, else that time is skipped."""
    @test(name=f"{fault} worker killed {what}: another one sends the event, under the same id", seconds=60)
    def _(fleet):
        fleet.only()
        victim, other = fleet.nodes
        victim.environment = {"SLUICE_FAULT": f"{point}=kill"}
        victim.start()
        hooks = fleet.webhooks
        hooks.wants("dev", "hook")
        began = time.monotonic()
        job = fleet.job("one", 1, ms=5)
        wait_until(f"{point} is reached", lambda: victim.process.poll() is not None, 10)
        fleet.history.write("fault", what="node_kill", node=0, began=began, until=time.monotonic())
        other.start()
        fleet.quiet(20)
        assert waits or sends == 1 or hooks.deliveries(job) == [["1", "0"]], "it was recorded too early"
        if not waits:
            hooks.end_claims()
        hooks.drain(CLAIM + 5)
        fleet.judged()
        seen = [request.id for request in hooks.sink.seen("/dev/hook") if request.began > began]
        assert seen == [hooks.event(job)] * sends, seen
        if waits:
            print(f"# told after {time.monotonic() - began:.1f} s")


if has_points():
    killed_at("F05", "settle_committed", "between a result and the word of it", 1)
    killed_at("F33", "delivery_claimed", "between the commit of an event and its sending", 1)
    killed_at("F33", "delivery_answered", "between an answer and its record", 2)
    killed_at("F33", "delivery_recorded", "after the record of an answer", 1)

    def frozen_at(point, what, sends):
        @test(name=f"F33 worker frozen {what} wakes past its claim: its record is refused, the event arrived", seconds=60)
        def _(fleet):
            fleet.only()
            victim, other = fleet.nodes
            victim.environment = {"SLUICE_FAULT": f"{point}=stop"}
            victim.start()
            hooks = fleet.webhooks
            hooks.wants("dev", "hook")
            began = time.monotonic()
            job = fleet.job("none", 1)
            wait_until("it stands still", lambda: state_of(victim) == "T", 10)
            other.start()
            hooks.end_claims()
            hooks.drain(10)
            row = hooks.deliveries(job, "state, tries, ended_at")
            assert row[0][:2] == ["3", "1"] and len(hooks.sink.taken("/dev/hook")) >= 1, row
            since = len(victim.log())
            fleet.wake(victim)
            wait_until("its record is refused", lambda: fleet.metric(victim, "sluice_webhook_late_records_total") == 1, 10)
            fleet.history.write("fault", what="node_stop", node=0, began=began, until=time.monotonic())
            assert hooks.deliveries(job, "state, tries, ended_at") == row, "the late record counted"
            assert not fleet.logged(victim, "webhook_delivered", since)
            second = fleet.job("none", 2, node=victim)
            fleet.judged()
            assert hooks.deliveries(second) == [["3", "1"]]
            seen = [request.id for request in hooks.sink.seen("/dev/hook") if request.began > began]
            assert seen.count(hooks.event(job)) == sends and seen.count(hooks.event(second)) == 1, seen

    frozen_at("delivery_claimed", "before it sends", 2)
    frozen_at("delivery_answered", "before it records", 2)

    @test(name="F33 worker frozen before it records a failure wakes when another one waits for the next try: that is neither counted nor "
               "moved", seconds=60)
    def _(fleet):
        fleet.only()
        victim, other = fleet.nodes
        victim.environment = {"SLUICE_FAULT": "delivery_answered=stop"}
        victim.start()
        hooks = fleet.webhooks
        hooks.wants("dev", "hook")
        hooks.sink.answer("/dev/hook", status(500), later(30), OK)
        began = time.monotonic()
        job = fleet.job("none", 1)
        wait_until("it stands still", lambda: state_of(victim) == "T", 10)
        other.start()
        hooks.end_claims()
        wait_until("the other one has tried", lambda: hooks.deliveries(job) == [["2", "1"]], 10)
        due = fleet.postgres.query("SELECT due_at, claim FROM delivery_due")
        fleet.wake(victim)
        wait_until("its record is refused", lambda: fleet.metric(victim, "sluice_webhook_late_records_total") == 1, 10)
        fleet.history.write("fault", what="node_stop", node=0, began=began, until=time.monotonic())
        assert hooks.deliveries(job) == [["2", "1"]] and fleet.postgres.query("SELECT due_at, claim FROM delivery_due") == due
        hooks.skip_waits()
        fleet.judged()
        assert hooks.deliveries(job) == [["3", "2"]] and len(hooks.sink.tries(hooks.event(job))) == 3


def under_load(fleet, fault, before=0.5, after=0.5, kinds=None):
    """A fault while events of both environments are sent, those of dev to two endpoints, one of which is slow; then all is judged."""
    hooks = fleet.webhooks
    hooks.wants("dev", "fast", "slow")
    hooks.wants("prod", "fast")
    hooks.sink.answer("/dev/slow", slow(0.05))
    load = Load(fleet, seed=before, kinds=kinds or QUIET_KINDS, clients=4, rate=20).start()
    time.sleep(before)
    fault()
    time.sleep(after)
    load.stop()
    fleet.quiet()
    hooks.end_claims()  # those of nodes that are gone
    hooks.heal()
    verdict = fleet.judged()
    assert verdict.delivered > 10, "there was no load"
    print(f"# {verdict.jobs} jobs, {verdict.delivered} deliveries, {verdict.resent} sent again")
    return verdict


@test(name="F06 nodes killed one after the other while events flow: each event arrives at each endpoint", seconds=60)
def _(fleet):
    fleet.all()

    def fault():
        for number in (0, 1):
            fleet.kill(fleet.nodes[number])
            time.sleep(0.2)
            fleet.nodes[number].start(wait=False)
            time.sleep(0.5)
        for node in fleet.nodes:
            node.wait_ready()
    under_load(fleet, fault)


@test(name="F21 F22 Postgres stopped at once, restarted, then cut off while events are sent: each arrives", seconds=60)
def _(fleet):
    fleet.all()

    def fault():
        with fleet.history.fault("postgres_immediate"):
            fleet.postgres.stop(immediate=True)
            time.sleep(0.5)
            fleet.postgres.start()
        time.sleep(0.5)
        for node in fleet.nodes:
            with fleet.history.fault("cut_postgres", node=node.number):
                node.to_postgres.cut()
                time.sleep(0.3)
    under_load(fleet, fault)


def lost(pattern, forward, times=1):
    what = "commit" if forward else "statement"
    @test(name=f"F25 {what} of {pattern} lost on its way {'back' if forward else 'there'}: one event, which arrives", seconds=60)
    def _(fleet):
        fleet.only(0)

        def fault():
            proxy = fleet.nodes[0].to_postgres
            with fleet.history.fault("lose_postgres", node=0):
                proxy.lost = 0
                proxy.lose_answer(pattern.encode(), linger=0.2, forward=forward, times=times)
                wait_until(f"{pattern} was lost", lambda: proxy.lost >= times, 15)
                proxy.calm()
        under_load(fleet, fault, before=0.2, after=0.2, kinds={"none": 1})


lost("delivery_tries", True)
lost("delivery_tries", False)
lost("settle_results", True)


@test(name="F25 commit of a claim lost on its way back: once its time is over the events are claimed again, and arrive", seconds=60)
def _(fleet):
    fleet.only(0)
    hooks, node = fleet.webhooks, fleet.nodes[0]
    hooks.wants("dev", "hook")
    fleet.postgres.query("UPDATE endpoint SET paused_at = now(), pause_cause = 1")
    jobs = fleet.jobs("none", range(1, 6))
    fleet.quiet()
    with fleet.history.fault("lose_postgres", node=0):
        fleet.pause(node)  # or a claim that finds nothing would be the one, and so would one that is under way
        wait_until("what it has asked is answered", lambda: fleet.postgres.query(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sluiced deliveries' AND state <> 'idle'") == [["0"]], 5)
        time.sleep(0.1)  # and the answer has passed the proxy
        node.to_postgres.lost = 0
        node.to_postgres.lose_answer(b"delivery_claim", linger=0.2)
        fleet.postgres.query("UPDATE endpoint SET paused_at = NULL, pause_cause = 0")
        fleet.wake(node)
        wait_until("the claim was lost", lambda: node.to_postgres.lost, 10)
    wait_until("it was made", lambda: fleet.postgres.query("SELECT count(*) FROM delivery_due WHERE claim & 1 = 1") != [["0"]], 5)
    hooks.end_claims()
    fleet.judged()
    assert all(len(hooks.sink.tries(hooks.event(job))) == 1 for job in jobs.values()), "nothing of a claim in doubt is sent"


@test(name="F33 F14 F17 a receiver that is down for a while, then Redis, emptied and frozen: what waited arrives once, without Redis", seconds=60)
def _(fleet):
    fleet.all()
    hooks = fleet.webhooks
    hooks.wants("dev", "down")
    hooks.sink.refuse()
    jobs = fleet.jobs("none", range(1, 31))
    for node in (0, 1):
        fleet.job("none", 31 + node, node=fleet.nodes[node])
    fleet.quiet()
    fleet.redis.command("FLUSHALL")
    wait_until("the receiver is found to be down", lambda: fleet.postgres.query(
        "SELECT count(*) FROM endpoint WHERE open_until > now()") == [["1"]], 15)
    assert hooks.due() == 32, "events got lost while the receiver was down"
    with fleet.history.fault("redis_stop"):
        fleet.redis.process.send_signal(signal.SIGSTOP)
        try:
            hooks.sink.accept()
            hooks.close_breakers()
            hooks.end_claims()
            hooks.sink.wait_ids([hooks.event(job) for job in jobs.values()], "/dev/down", 15)
            hooks.drain(15)
        finally:
            fleet.redis.process.send_signal(signal.SIGCONT)
    for node in fleet.nodes:
        node.wait_ready()
    verdict = fleet.judged()
    assert verdict.resent == 0, "nothing that arrived was sent again"


def prepare(fleet):
    fleet.functions()
    Webhooks(fleet)


main(lambda: Fleet(nodes=2, settings=SETTINGS, prepare=prepare))
