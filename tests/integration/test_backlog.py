"""Jobs that do not get to Redis: the node takes as many as its bound, refuses more, loses none, and takes jobs again once
they are there."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig
from servers import wait_until
from tap import main, test

BACKLOG_MAX = 30
ASYNC = {"X-Async": "true"}


def fill(rig):
    """Jobs until the node refuses one, which must be at its bound; their ids."""
    jobs = []
    for _ in range(2 * BACKLOG_MAX):
        answer = rig.call("echo", len(jobs) + 1, ASYNC)
        if answer.status != 202:
            assert answer.status == 503 and answer.code == "service_unavailable", answer
            assert 1 <= int(answer.headers["retry-after"]) <= 30, answer.headers
            assert len(jobs) == BACKLOG_MAX, len(jobs)
            other = rig.call("echo", 1, ASYNC, env="prod")
            assert other.status == 503, "it is the node's bound"
            assert rig.call("echo", 1, ASYNC, node=rig.nodes[1]).status == 202, "of that node"
            return jobs
        jobs.append(answer.json["id"])
    raise AssertionError("it was never full")


def all_end(rig, jobs):
    assert [rig.finish(job, 30).json for job in jobs] == list(range(1, len(jobs) + 1))


def takes_again(rig, seconds):
    began = time.monotonic()
    wait_until("the node takes jobs again", lambda: rig.call("echo", 6, ASYNC).status == 202, seconds)
    print(f"# after {time.monotonic() - began:.1f} s")


@test
def with_redis_away(rig):
    rig.redis.stop()
    try:
        for node in rig.nodes:
            wait_until("the node knows", lambda n=node: rig.request("GET", "/ready", key=None, node=n).status == 503, 10)
        jobs = fill(rig)
    finally:
        rig.redis.start()
    all_end(rig, jobs)
    takes_again(rig, 10)


@test
def with_redis_out_of_memory(rig):
    """Nothing tells the node that there is room again but a push that gets through."""
    assert rig.finish(rig.submit("echo", 7)).json == 7
    rig.redis.command("CONFIG", "SET", "maxmemory", "1")
    try:
        jobs = fill(rig)
        time.sleep(2)
        assert rig.call("echo", 1, ASYNC).status == 503, "it gave up its bound while nothing gets through"
    finally:
        rig.redis.command("CONFIG", "SET", "maxmemory", "0")
    all_end(rig, jobs)
    takes_again(rig, 30)


def prepare(rig):
    for env in ("dev", "prod"):
        rig.prepare({"echo": "return input;"}, env=env)


main(lambda: Rig(nodes=2, prepare=prepare, settings={"backlog_max": str(BACKLOG_MAX)}))
