"""I9: a provider's closed window is kept while workers and Redis die around it."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import Fleet, wait_until
from limiter import Limiter
from tap import main, test

JOBS, COUNT, WINDOW = 24, 5, 0.8
ENOUGH = 15.0  # the windows, a lease, and retries


def submit(fleet, name):
    """Jobs of a connection of their own, from all nodes; each is tried again when its worker dies."""
    fleet.connection(name, "limited", api_key=name)
    return [fleet.submit("go", connection=name, integration="limited", retries=5, node=fleet.nodes[n % len(fleet.nodes)])
            for n in range(JOBS)]


def finish(fleet, jobs):
    node = fleet.nodes[0]
    answers = [fleet.finish(job, ENOUGH, node=node) for job in jobs]
    assert all(answer.json == 200 for answer in answers), answers


def key_of(fleet, name):
    return fleet.limiter.keys.get(f"Bearer {name}")


def closed(fleet, name):
    """Waits until a request was refused; the window is closed then."""
    wait_until("it is closed", lambda: (key := key_of(fleet, name)) and any(each.status == 429 for each in key.requests), 15, 0.01)


def judged(fleet, name, unheard=0):
    key = key_of(fleet, name)
    good = sum(each.status == 200 for each in key.requests)
    print(f"# {good} went well, {len(key.requests) - good} were refused")
    assert good >= JOBS, key.requests
    assert len(key.violations()) <= unheard, (key.violations(), key.requests)


@test(name="F01 I9 a worker killed while requests of its jobs are out and wait: no other sends into the window, its places fall free", seconds=60)
def _(fleet):
    for number, tells in enumerate(("reset_ms", "remaining")):
        fleet.all()
        fleet.limiter.set(count=COUNT, window=WINDOW, tells=tells, latency=0.1)
        name = f"killed{number}"
        jobs = submit(fleet, name)
        if tells == "remaining":
            wait_until("some were asked", lambda name=name: (key := key_of(fleet, name)) and len(key.requests) >= COUNT, 15, 0.01)
        else:
            closed(fleet, name)
        fleet.kill(fleet.nodes[1])
        finish(fleet, jobs)
        judged(fleet, name)


@test(name="F13 I9 Redis killed inside a window and restarted empty: the nodes keep what they know and tell it again", seconds=60)
def _(fleet):
    fleet.all()
    fleet.limiter.set(count=COUNT, window=2.0, tells="reset_ms", latency=0)
    jobs = submit(fleet, "emptied")
    closed(fleet, "emptied")
    with fleet.history.fault("redis_kill"):
        fleet.redis.process.kill()
        fleet.redis.process.wait()
        fleet.restart_redis()
    fleet.limiter.set(window=WINDOW)
    finish(fleet, jobs)
    judged(fleet, "emptied", unheard=len(fleet.nodes) - 1)  # each node that nobody could tell may ask once


def prepare(fleet):
    fleet.limiter = Limiter().__enter__()
    fleet.integration("limited", base=fleet.limiter.url)
    fleet.deploy({"go": "return (await nango.get({ endpoint: '/x', retries: 8, retryHeader: { at: 'x-ratelimit-reset' } })).status;"}, "limited")
    fleet.concurrency("dev", "connection", 8)


main(lambda: Fleet(nodes=3, proxied=False, prepare=prepare))
