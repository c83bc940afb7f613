"""What judge.py asks of events and webhooks (I7), by a receiver of our own (tests/lib/sink.py).

I7  a job that is to be told of has one event once it ended, and none before; one that is not has none; a connection
    that was made has one
    an event has one delivery for each endpoint that wanted it: its connection's own, or those of its environment; and for no other
    a delivery is delivered, and the receiver took that id as a whole 2xx; or exhausted, after as many tries as the schedule has;
    or it has its place among what is still to be sent; nothing else has one
    what the receiver saw are events of ours: the bytes of the outbox, signed by their environment's key, at their endpoint
    tries are logged without a gap, and none comes before its time; what the receiver saw beyond them has a fault beside it
"""
from collections import Counter, defaultdict
from urllib.parse import urlsplit

SLACK = 3.0  # seconds within which a node may still know an environment as it was
EARLY = 0.05  # a try that many seconds early is in time: the schedule counts milliseconds
BITS = {(1, 0): 1, (1, 1): 1, (1, 2): 2, (1, 3): 4, (3, 3): 32}  # (type, outcome): what an environment must want
ALWAYS = {2: 8, 3: 16}  # of the other outcomes
REPEAT = 0.2  # seconds until a client has sent once more
ASYNC_ACTION, AUTH, OVERRIDE = 2, 3, 3  # types, a slot
PENDING, RETRYING, DELIVERED, EXHAUSTED = 1, 2, 3, 4
SCHEDULE = (0, 5, 300, 1800, 7200, 18000, 36000, 36000)


def check_webhooks(story, verdict):
    events = {row["event"]: row for row in story.tables["event"]}
    endpoints = {row["endpoint"]: row for row in story.tables["endpoint"]}
    deliveries = {row["delivery"]: row for row in story.tables["delivery"]}
    check_told(story, verdict, events)
    check_connected(story, verdict, events)
    check_addressed(story, verdict, events, endpoints, deliveries)
    seen = defaultdict(list)  # (event, path) -> requests
    for request in story.webhooks:
        seen[(request["id"], request["path"])].append(request)
    tries = defaultdict(list)
    for row in story.tables["try"]:
        tries[row["delivery"]].append(row)
    for requests in seen.values():
        requests.sort(key=lambda request: request["at"])
    for ident, row in deliveries.items():
        path = path_of(endpoints.get(row["endpoint"], {"url": ""})["url"])
        check_delivery(story, verdict, row, sorted(tries.pop(ident, []), key=lambda t: t["number"]), seen[(row["event"], path)])
    for ident in tries:
        verdict.add("I7", f"there are tries of {ident}, which is no delivery")
    check_seen(story, verdict, events, endpoints, deliveries)


def path_of(url):
    return urlsplit(url).path


def uuid_moment(story, ident):
    """When a UUID of version 7 was made, by the clock of the history."""
    return int(ident[:8] + ident[9:13], 16) / 1000 - story.setup["wall"]


def wish(story, environment, at):
    """What an environment wanted then; None: not known, or just being changed."""
    force = None
    for change in story.wants:
        if change["environment"] == environment and change["until"] + SLACK <= at:
            force = change
        elif change["environment"] == environment and change["began"] - SLACK <= at:
            return None
    return force


def check_told(story, verdict, events):
    told = Counter(row["job"] for row in events.values() if row["type"] == ASYNC_ACTION)
    for row in story.tables["asked"]:
        job, count = row["job"], told.pop(row["job"], 0)
        if count > 1:
            verdict.add("I7", f"job {job} has {count} events", "doubled")
        elif row["webhook"] and row["ended"] and not count:
            verdict.add("I7", f"job {job} ended and nobody is told", "lost")
        elif count and not row["ended"]:
            verdict.add("I7", f"job {job} has an event and no result")
        elif count and not row["webhook"]:
            verdict.add("I7", f"job {job} has an event that nobody wanted")
        wants = wish(story, row["environment"], uuid_moment(story, job)) if story.wants else None
        if wants and not row["webhook"] and wants["events"] & ALWAYS[ASYNC_ACTION] and wants["slots"]:
            verdict.add("I7", f"job {job} was accepted as one that nobody is to be told of", "lost")


def check_connected(story, verdict, events):
    names = {row["name"]: row["environment"] for row in story.tables["environment"]}
    told = Counter((row["environment"], row["connection"]) for row in events.values() if row["type"] == AUTH)
    for asked, _ in story.ops("connect", "ok"):
        place = (names.get(asked["key"]), asked["connection"])
        wants = wish(story, place[0], asked["t"])
        if told[place] > 1:
            verdict.add("I7", f"connection {place[1]} was made once and has {told[place]} events", "doubled")
        elif wants and wants["events"] & ALWAYS[AUTH] and wants["slots"] and not told[place]:
            verdict.add("I7", f"connection {place[1]} was made and nobody is told", "lost")


def check_addressed(story, verdict, events, endpoints, deliveries):
    addressed = defaultdict(list)
    for row in deliveries.values():
        if row["event"] not in events:
            verdict.add("I7", f"delivery {row['delivery']} is of no event")
        elif row["endpoint"] not in endpoints or endpoints[row["endpoint"]]["environment"] != events[row["event"]]["environment"]:
            verdict.add("I7", f"delivery {row['delivery']} of {row['event']} goes to an endpoint of somebody else")
        else:
            addressed[row["event"]].append(endpoints[row["endpoint"]])
    for event, row in events.items():
        verdict.events += row["type"] != 1  # those of syncs are counted there
        slots = [endpoint["slot"] for endpoint in addressed[event]]
        if len(slots) > len(set(slots)):
            verdict.add("I7", f"event {event} has two deliveries for one endpoint", "doubled")
        wants = wish(story, row["environment"], uuid_moment(story, event)) if story.wants else None
        if wants is None:
            continue
        bit = BITS.get((row["type"], row["outcome"]), ALWAYS.get(row["type"], 0))
        meant = set() if not wants["events"] & bit else {OVERRIDE} if row["override"] else set(wants["slots"])
        if meant - set(slots):
            verdict.add("I7", f"event {event} of job {row['job']} is not addressed to endpoint {sorted(meant - set(slots))}", "lost")
        if set(slots) - meant:
            verdict.add("I7", f"event {event} of job {row['job']} is addressed to endpoint {sorted(set(slots) - meant)}: unwanted")
        if row["override"] and any(endpoint["url"] != row["override"] for endpoint in addressed[event]):
            verdict.add("I7", f"event {event} goes to another URL than its connection's")


def check_delivery(story, verdict, row, tries, requests):
    what = f"delivery {row['delivery']} of event {row['event']}"
    if [t["number"] for t in tries] != list(range(1, row["tries"] + 1)):
        verdict.add("I7", f"{what} was tried {row['tries']} times, its log has {[t['number'] for t in tries]}")
        return
    good = bool(tries) and 200 <= tries[-1]["status"] < 300 and not tries[-1]["failure"]
    state, schedule = row["state"], story.setup.get("schedule", SCHEDULE)
    if state in (DELIVERED, EXHAUSTED) and row["due"]:
        verdict.add("I7", f"{what} has ended and is still to be sent")
    if state in (PENDING, RETRYING):
        verdict.waiting += 1
        if not row["due"]:
            verdict.add("I7", f"{what} neither ended nor is it to be sent", "lost")
        if (state == PENDING) != (row["tries"] == 0) and row["base"] == 0:
            verdict.add("I7", f"{what} has state {state} after {row['tries']} tries")
    elif state == DELIVERED:
        verdict.delivered += 1
        if not good:
            verdict.add("I7", f"{what} counts as delivered, its last try says {tries[-1] if tries else 'nothing'}", "lost")
        elif not any(request["taken"] and not request["faults"] for request in requests):
            verdict.add("I7", f"{what} counts as delivered, the receiver took it in none of {len(requests)} requests", "lost")
    elif state == EXHAUSTED:
        verdict.exhausted += 1
        if good or row["tries"] - row["base"] != len(schedule):
            verdict.add("I7", f"{what} was given up after {row['tries'] - row['base']} of {len(schedule)} tries"
                        f"{', the last one was good' if good else ''}", "lost")
    else:
        verdict.add("I7", f"{what} has state {state}")
    check_times(story, verdict, what, row, tries, schedule)
    beyond = len(requests) - len(tries) - sum(map(repeated, requests, requests[1:]))
    if beyond > 0:
        verdict.resent += beyond
        if not story.fault_between(requests[0]["at"] - SLACK, requests[-1]["at"], slack=SLACK):
            verdict.add("I7", f"{what} was sent {len(requests)} times in {len(tries)} tries, without a fault", "doubled")


def repeated(request, after):
    """Was it sent once more within one try?  So the client does with what got no answer on a connection that it had kept."""
    return request.get("until") is not None and abs(after["at"] - request["until"]) < REPEAT


def check_times(story, verdict, what, row, tries, schedule):
    if any(fault["what"].startswith("clock") for fault in story.faults):
        return
    for before, after in zip(tries, tries[1:]):
        step = after["number"] - row["base"] - 1  # of the schedule; 0: it was resent
        if 0 < step < len(schedule) and after["at"] < before["at"] + schedule[step] - EARLY:
            verdict.add("I7", f"{what} was tried again after {after['at'] - before['at']:.3f} s, before {schedule[step]:g} s were over")


def check_seen(story, verdict, events, endpoints, deliveries):
    addressed = defaultdict(set)
    for row in deliveries.values():
        if row["endpoint"] in endpoints:
            addressed[row["event"]].add(path_of(endpoints[row["endpoint"]]["url"]))
    for request in story.webhooks:
        verdict.webhooks += 1
        event = events.get(request["id"])
        if event is None:
            verdict.add("I7", f"the receiver saw {request['id']} at {request['path']}, which is no event")
            continue
        for fault in request["faults"]:
            verdict.add("I7", f"event {request['id']} came with {fault}")
        if request["body"] != event["body"]:
            verdict.add("I7", f"event {request['id']} came with other bytes than were written")
        if request["path"] not in addressed[request["id"]]:
            verdict.add("I7", f"event {request['id']} came to {request['path']}, where it was not addressed to")
