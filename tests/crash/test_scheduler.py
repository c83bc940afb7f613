"""F06: the active scheduler is killed at each of its steps; nodes are killed at random under load."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import TTL, Fleet, has_points, wait_until
from tap import main, test

FOLDER = os.path.dirname(os.path.abspath(__file__))


def killed_at(point, what, setup, seconds=60):
    """Node 0 schedules and dies at point; setup(fleet) brings it there; then it is started again."""
    @test(name=f"F06 scheduler killed at {point}: {what}", seconds=seconds)
    def _(fleet):
        fleet.only()
        victim, worker = fleet.nodes
        victim.settings["role"], worker.settings["role"] = "api,scheduler", "api,worker"
        try:
            victim.environment = {"SLUICE_FAULT": f"{point}=kill"}
            victim.start()
            worker.start()
            began = time.monotonic()
            wait_until("it leads", lambda: fleet.leads(victim), 10)
            setup(fleet)
            wait_until(f"{point} is reached", lambda: victim.process.poll() is not None, 25)
            fleet.history.write("fault", what="node_kill", node=0, began=began, until=time.monotonic())
            victim.environment = {}
            victim.start()
            worker.wait_ready()
            assert fleet.judged().jobs > 0
        finally:
            victim.settings["role"] = worker.settings["role"] = None
            fleet.wake(worker)
            fleet.only()


def lose_a_worker(fleet):
    worker = fleet.nodes[1]
    job = fleet.job("one", 1, retries=1, ms=300, node=worker)
    fleet.wait_calls(1)
    with fleet.history.fault("node_stop", node=1):
        fleet.pause(worker)
        wait_until("it is dead", lambda: fleet.nodes[0].process.poll() is not None, 15)
        fleet.wake(worker)
    return job


def lose_a_push(fleet):
    proxy = fleet.nodes[1].to_redis
    with fleet.history.fault("cut_redis", node=1):
        proxy.refuse()
        proxy.cut()
        time.sleep(0.2)
        for n in range(1, 4):
            fleet.job("one", n, node=fleet.nodes[1])
        proxy.accept()


def retry(fleet):
    fleet.job("fail", 1, retries=2, node=fleet.nodes[1])


if has_points():
    killed_at("session_ended", "the worker's jobs are taken over once another leads", lose_a_worker)
    killed_at("retries_taken", "a retry that was taken and not pushed comes all the same", retry, 90)
    killed_at("sweep_pushed", "what was not pushed comes all the same", lose_a_push, 90)

    def rebuilds(point):
        @test(name=f"F06 scheduler killed at {point}: the next one rebuilds the queue, each job runs once", seconds=60)
        def _(fleet):
            fleet.only()
            victim, worker = fleet.nodes
            victim.settings["role"], worker.settings["role"] = "api,scheduler", "api,worker"
            try:
                worker.start(wait=False)
                victim.environment = {"SLUICE_FAULT": f"{point}=kill@1"}
                began = time.monotonic()
                fleet.redis.command("FLUSHALL")
                wait_until("it accepts", lambda: accepts(fleet, worker), 15)
                jobs = fleet.jobs("one", range(1, 21), node=worker)  # none of them can be pushed: there is no epoch
                victim.start(wait=False)
                wait_until(f"{point} is reached", lambda: victim.process.poll() is not None, 20)
                victim.environment = {}
                victim.start()
                worker.wait_ready()
                fleet.history.write("fault", what="redis_flush", began=began, until=time.monotonic())
                verdict = fleet.judged()
                assert verdict.calls == 20 and len(fleet.results(jobs.values())) == 20
            finally:
                victim.settings["role"] = worker.settings["role"] = None
                fleet.only()

    for _point in ("rebuild_begun", "rebuild_pushed", "rebuild_published"):
        rebuilds(_point)


def accepts(fleet, node):
    try:
        return fleet.request("GET", "/health", key=None, node=node).status == 200
    except OSError:
        return False


@test(name="F06 random faults of a fleet of three under load for half a minute: the whole history holds", seconds=180)
def _(fleet):
    fleet.only()
    done = subprocess.run([sys.executable, f"{FOLDER}/chaos.py", "--minutes", "0.5", "--seed", os.environ.get("CHAOS_SEED", "6")],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    for line in done.stdout.splitlines():
        print(f"# {line}")
    assert done.returncode == 0, "see the lines above"


main(lambda: Fleet(nodes=2))
