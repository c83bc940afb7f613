"""The compiler beside the daemon: what hangs it, kills it or fills it fails alone, and the next source is compiled."""
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig
from tap import main, test

LIMIT_S = 8

# Each of these grows to some thousand characters, and takes milliseconds, on its way to ES5.
SLOW = ",".join(f"/[^\\p{{L}}{chr(0x4e00 + i)}]/u" for i in range(20000))
HUNGRY = "(" * 200 + ",".join(f"async (a{i}) => {{ for await (const x of a{i}) yield_(x) }}" for i in range(22000)) + ")" * 200


def module(expression):
    return f'"use strict"; module.exports = {{ default: {{ type: "action", exec: async () => [{expression}].length }} }};'


def workers(rig):
    """The ids of the compiler's processes of this rig's node."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                command = file.read()
            with open(f"/proc/{name}/stat", encoding="latin-1") as file:
                parent = int(file.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        if b"bin/worker.mjs" in command and parent in [node.process.pid for node in rig.nodes]:
            found.append(int(name))
    return found


@test
def a_source_that_hangs_the_compiler_fails_within_its_limit_and_others_go_on(rig):
    answers = {}

    def poison():
        began = time.monotonic()
        answers["poison"] = rig.deploy_flows([rig.flow("poison", module(SLOW))])
        answers["took"] = time.monotonic() - began

    thread = threading.Thread(target=poison)
    thread.start()
    time.sleep(0.5)
    other = rig.deploy_flows([rig.flow("fine", "return 'fine';")], env="prod")
    thread.join(60)
    assert answers["poison"].status == 400, answers["poison"]
    assert answers["poison"].json["error"]["code"] == "compilation_error", answers["poison"]
    assert "compile_timeout" in answers["poison"].json["error"]["message"], answers["poison"]
    assert answers["took"] < 2 * LIMIT_S, answers["took"]
    assert other.status == 200, other
    assert rig.call("poison").status == 404


@test
def a_source_that_fills_the_compilers_memory_fails_alone(rig):
    answer = rig.deploy_flows([rig.flow("hungry", module(HUNGRY))])
    assert answer.status == 400 and answer.json["error"]["code"] == "compilation_error", answer
    assert rig.deploy_flows([rig.flow("fine", "return 1;")]).status == 200
    assert rig.call("fine").json == 1


@test
def a_compiler_that_was_killed_is_started_again(rig):
    assert rig.deploy_flows([rig.flow("fine", "return 1;")]).status == 200
    (pid,) = workers(rig)
    os.kill(pid, signal.SIGKILL)
    assert rig.deploy_flows([rig.flow("fine", "return 2;")]).status == 200
    assert rig.call("fine").json == 2
    assert workers(rig) != [pid]


def prepare(rig):
    for env in ("dev", "prod"):
        rig.integration(env=env)
        rig.connection(env=env)


main(lambda: Rig(prepare=prepare, settings={"compile_timeout": f"{LIMIT_S}s", "compile_memory": "128MiB"}))
