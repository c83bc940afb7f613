"""What is deployed is loaded before its first call, on every worker, where there is room for it."""
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig
from servers import wait_until
from tap import main, test

RUNNERS = 8
PROCESSES = 2 * RUNNERS  # as many again for actions that actions trigger


def warmed(node):
    """Names of the functions that were loaded ahead, in order."""
    return re.findall(r"msg=\"?function_warm\"? .*function=\"?([\w-]+)", node.log())


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def function_processes(node):
    """The children of the runners' root process."""
    found = set()
    for child in children(node.process.pid):
        with open(f"/proc/{child}/comm", encoding="ascii") as file:
            if file.read().strip() == "sluice-runner":
                found.update(children(child))
    return found


def deploy(rig, functions):
    """Deploys and waits until every node has loaded all of them."""
    before = {node.name: len(warmed(node)) for node in rig.nodes}
    rig.deploy(functions)
    for node in rig.nodes:
        wait_until(f"{node.name} has loaded {list(functions)}",
                   lambda node=node: sorted(warmed(node)[before[node.name]:]) == sorted(functions), 20)


@test
def a_deploy_is_loaded_on_every_worker_and_its_process_serves_the_first_call(rig):
    deploy(rig, {"one": "return 1;", "two": "return 2;"})
    for node in rig.nodes:
        before = function_processes(node)
        answer = rig.call("one", node=node)
        assert (answer.status, answer.json) == (200, 1), answer
        assert function_processes(node) == before, (before, function_processes(node))


@test
def only_what_a_deploy_changed_is_loaded(rig):
    deploy(rig, {"first": "return 1;"})
    deploy(rig, {"second": "return 2;"})
    assert all(warmed(node).count("first") == 1 for node in rig.nodes)


@test
def a_new_version_is_loaded_and_served(rig):
    deploy(rig, {"changing": "return 'old';"})
    assert rig.call("changing").json == "old"
    deploy(rig, {"changing": "return 'new';"})
    assert rig.call("changing").json == "new"


@test
def a_module_that_fails_to_load_holds_nothing_up(rig):
    broken = '"use strict";\nexports.default = { type: "action" };\nthrow new Error("at load");'
    answer = rig.deploy_flows([rig.flow("broken", broken), rig.flow("sound", "return 4;")])
    assert answer.status == 200, answer
    wait_until("the sound one is loaded", lambda: "sound" in warmed(rig.nodes[0]), 20)
    assert "broken" not in warmed(rig.nodes[0])
    assert rig.call("sound").json == 4
    assert rig.call("broken").status >= 400


@test
def many_that_are_deployed_at_once_take_half_of_the_processes_at_most(rig):
    node = rig.nodes[1]
    others, most, until = len(function_processes(node)), 0, time.monotonic() + 20
    rig.deploy({f"many-{n}": f"return {n};" for n in range(12)})
    while sum(name.startswith("many-") for name in warmed(node)) < 12 and time.monotonic() < until:
        most = max(most, len(function_processes(node)))
        time.sleep(0.005)
    assert sum(name.startswith("many-") for name in warmed(node)) == 12, warmed(node)
    assert most <= min(others + PROCESSES // 2 + 1, PROCESSES), (most, others)
    assert rig.call("many-3", node=node).json == 3


def prepare(rig):
    rig.integration()
    rig.connection()


main(lambda: Rig(nodes=2, settings={"runners": str(RUNNERS), "runner_processes": "1"}, prepare=prepare))
