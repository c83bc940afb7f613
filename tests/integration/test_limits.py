"""Hostile functions through the daemon, under both isolations: each ends with its own error code within its limit
and a second, and the next jobs, of its environment and of another one, run undisturbed."""
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, wait_until
from tap import main, test

CPU_S, WALL_S = 1.0, 3.0
GRACE_S = 1.0
MIB = 1 << 20

# How long a function may take, at most: by CPU time, by the clock.  Those without a limit of their own end at once.
FUNCTIONS = {
    "echo": "return input;",
    "loop": "for (;;) {}",
    "regex": "return /^(a+)+$/.test('a'.repeat(40) + 'b');",
    "wait": "await nango.get({ endpoint: '/hang/' + input.name });",
    "sleep": "await new Promise((done) => setTimeout(done, 60000));",
    "timers": "for (;;) await new Promise((done) => setTimeout(done, 0));",
    "jobs": "const again = () => Promise.resolve().then(again); await again();",
    "strings": "let s = 'x'; for (;;) s += s;",
    "arrays": "const kept = []; for (;;) kept.push(new Array(1000).fill(kept.length));",
    "objects": "let last = null; for (;;) last = { last };",
    "buffers": "const kept = []; for (;;) kept.push(new Uint8Array(1048576));",
    "join": "return new Array(1e9).join('x').length;",
    "recursion": "const deep = (n) => deep(n + 1) + 1; return deep(0);",
    "recursion_caught": "const deep = (n) => { try { return deep(n + 1); } catch (e) { return n; } }; return deep(0) > 100;",
    "deadlock": "await new Promise(() => {});",
    "big_output": "return 'x'.repeat(100 * 1048576);",
    "output": "return 'x'.repeat(input.n);",
    "output_utf8": "return '\\u00e9'.repeat(input.n);",
    "log_big": "await nango.log('y'.repeat(8 * 1048576), { level: 'error' }); return 1;",
    "log_flood": "for (let i = 0; i < 2000; i++) nango.log('line ' + i + ' ' + 'z'.repeat(100), { level: 'error' });"
                 "return 'done';",
    "log_forever": "for (let i = 0; ; i++) nango.log('line ' + i, { level: 'error' });",
    "timer_flood": "for (let i = 0; ; i++) setTimeout(() => {}, 60000);",
    "call_flood": "const all = []; for (let i = 0; i < input.n; i++) all.push(nango.getConnection('c' + i, 'w').catch(() => 0));"
                  "return (await Promise.all(all)).length;",
    "call_forever": "for (let i = 0; ; i++) nango.getEnvironmentVariables().catch(() => 0);",
    "throw_big": "const e = new Error('m'.repeat(1048576)); throw e;",
    "throw_payload": "throw new nango.ActionError({ small: 1, big: 'p'.repeat(1048576), last: 2 });",
    "throw_list": "throw new nango.ActionError({ list: new Array(1).concat(new Array(200000).fill('item')) , n: 3 });",
    "throw_loop": "const e = { toJSON() { for (;;) {} } }; throw new nango.ActionError(e);",
    "getter": "throw { get message() { for (;;) {} } };",
    "then": "return { then() { for (;;) {} } };",
}


def both(function):
    """A test of each node: the first one reverts memory, the second one forks."""
    for number, isolation in enumerate(("snapshot", "fork")):
        def on_node(rig, number=number):
            rig.node = rig.nodes[number]
            function(rig)
        test(name=f"{function.__name__}_by_{isolation}")(on_node)


def undisturbed(rig):
    """Another job of the environment and one of another environment, at once."""
    for env in ("dev", "prod"):
        answer = rig.call("echo", {"from": env}, env=env, node=rig.node, seconds=10)
        assert answer.status == 200 and answer.json == {"from": env}, answer


def timed(rig, name, value=None):
    """On a busy machine a second of CPU time takes longer, but nothing takes longer than the clock's limit."""
    began = time.monotonic()
    answer = rig.call(name, value, node=rig.node, seconds=30)
    took = time.monotonic() - began
    assert took <= WALL_S + GRACE_S, f"{name} took {took:.2f} s"
    if answer.code == "execution_timeout":
        assert "CPU time limit of 1000 ms" in answer.body.decode() or took >= WALL_S, f"{name}: {took:.2f} s, {answer}"
    undisturbed(rig)
    return answer


def ends(rig, name, code, value=None):
    answer = timed(rig, name, value)
    assert answer.status == 500 and answer.code == code, f"{name}: {answer}"
    return answer


@both
def loops_end_at_the_cpu_limit(rig):
    for name in ("loop", "regex", "jobs", "throw_loop", "getter", "then"):
        ends(rig, name, "execution_timeout")


@both
def what_waits_ends_at_the_action_timeout(rig):
    for name in ("sleep", "timers"):
        ends(rig, name, "execution_timeout")


@both
def memory_bombs_end_at_the_heap_limit(rig):
    for name in ("arrays", "objects", "buffers"):
        answer = ends(rig, name, "function_runtime_out_of_memory")
        assert str(32 * MIB) in str(answer.json["error"]["payload"]), answer


@both
def one_string_or_array_too_large_is_an_error_or_ends_at_a_limit(rig):
    for name in ("strings", "join", "big_output", "log_big"):
        answer = timed(rig, name)
        assert (answer.status, answer.code) in (
            (200, None), (500, "script_internal_error"), (500, "function_runtime_out_of_memory"), (500, "execution_timeout")), answer
        assert name == "log_big" or answer.status == 500, answer


@both
def deep_recursion_is_the_functions_own_error(rig):
    answer = ends(rig, "recursion", "script_internal_error")
    assert answer.json["error"]["payload"]["name"] == "RangeError", answer
    assert rig.call("recursion_caught", node=rig.node).json is True


@both
def a_promise_that_never_settles_is_a_deadlock_at_once(rig):
    answer = ends(rig, "deadlock", "script_internal_error")
    assert "deadlock" in answer.body.decode(), answer


@both
def an_output_of_two_mebibytes_is_the_most_and_the_error_states_both_sizes(rig):
    fits = rig.call("output", {"n": 2 * MIB - 2}, node=rig.node)
    assert fits.status == 200 and len(fits.body) == 2 * MIB, fits.status
    for name, n, size in (("output", 2 * MIB - 1, 2 * MIB + 1), ("output_utf8", MIB, 2 * MIB + 2)):
        answer = ends(rig, name, "script_internal_error", {"n": n})
        message = answer.json["error"]["payload"]["message"]
        assert str(size) in message and str(2 * MIB) in message, message


@both
def an_error_keeps_99_kb_of_payload_and_says_what_fits(rig):
    answer = ends(rig, "throw_payload", "action_script_runtime_error")
    assert answer.json["error"]["payload"] == {"small": 1, "last": 2}, answer
    answer = ends(rig, "throw_big", "script_internal_error")
    assert 1000 < len(answer.body) < 100_000 and answer.json["error"]["payload"]["message"].startswith("mmm"), len(answer.body)
    answer = ends(rig, "throw_list", "action_script_runtime_error")
    assert answer.json["error"]["payload"]["n"] == 3 and len(answer.body) < 100_000, len(answer.body)


def logged(rig, begin):
    lines = rig.node.log()[begin:].splitlines()
    return [line for line in lines if 'msg="function_log"' in line], [line for line in lines if "function_log_full" in line]


@both
def a_log_flood_is_dropped_past_its_volume_with_one_notice(rig):
    begin = len(rig.node.log())
    answer = rig.call("log_flood", node=rig.node)
    assert answer.status == 200 and answer.json == "done", answer
    lines, notices = logged(rig, begin)
    assert 100 < len(lines) < 1000 and len(notices) == 1, (len(lines), len(notices))
    assert sum(map(len, lines)) < 2 * 65536 * 2, "about what the setting allows, with what frames a line"
    ends(rig, "log_forever", "execution_timeout")
    begin = len(rig.node.log())
    rig.call("log_flood", node=rig.node)  # each run has a volume of its own
    assert len(logged(rig, begin)[0]) > 100


@both
def a_timer_flood_ends_at_a_limit(rig):
    answer = timed(rig, "timer_flood")
    assert answer.code in ("execution_timeout", "function_runtime_out_of_memory", "script_internal_error"), answer


@both
def a_flood_of_calls_is_answered_as_far_as_the_cpu_limit_goes(rig):
    answer = rig.call("call_flood", {"n": 1000}, node=rig.node)
    assert (answer.status, answer.json) == (200, 1000), answer
    answer = timed(rig, "call_flood", {"n": 10000})
    assert (answer.status, answer.code) in ((200, None), (500, "execution_timeout")), answer


@both
def calls_without_end_end_at_a_limit(rig):
    answer = timed(rig, "call_forever")
    assert answer.code in ("execution_timeout", "function_runtime_out_of_memory"), answer


@both
def floods_beside_each_other_leave_the_others_room(rig):
    jobs = [rig.submit(name) for name in ("loop", "log_forever", "call_forever", "arrays")]
    began = time.monotonic()
    undisturbed(rig)
    assert time.monotonic() - began < WALL_S + GRACE_S
    codes = [rig.finish(job, 40).code for job in jobs]
    assert set(codes) <= {"execution_timeout", "function_runtime_out_of_memory"}, codes


@both
def a_run_killed_for_a_forbidden_call_is_a_security_event_and_a_dead_runner(rig):
    begin = len(rig.node.log())
    with ThreadPoolExecutor(1) as caller:
        asked = caller.submit(rig.call, "wait", {"name": rig.node.name}, node=rig.node, seconds=30)
        rig.witness.wait_seen(f"/hang/{rig.node.name}")
        killed = set(runs(rig.node.process.pid))  # idle processes go as well
        for pid in killed:
            os.kill(pid, signal.SIGSYS)  # as the filter ends it
        answer = asked.result()
    wait_until("the node has seen all of them die", lambda: not any(os.path.exists(f"/proc/{pid}") for pid in killed), 10)
    rig.witness.release(rig.node.name)
    assert answer.status == 500 and answer.code == "action_script_failure" and "SIGSYS" in answer.body.decode(), answer
    line = next(line for line in rig.node.log()[begin:].splitlines() if 'msg="security_event"' in line and 'function="wait"' in line)
    assert "kind=forbidden_call" in line and "environment=" in line, line
    undisturbed(rig)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def runs(pid):
    """Where functions run below the zygote: the process of a function, or the run that it has forked."""
    zygote = next(child for child in children(pid) if open(f"/proc/{child}/comm", encoding="ascii").read() == "sluice-runner\n")
    return [run for function in children(zygote) for run in children(function) or [function]]


def prepare(rig):
    rig.nodes[1].settings["runner_isolation"] = "fork"
    for node in rig.nodes:
        node.start()
    rig.read_keys()
    rig.prepare(FUNCTIONS)
    rig.prepare({"echo": FUNCTIONS["echo"]}, env="prod")


main(lambda: Rig(nodes=2, start=False, prepare=prepare, settings={
    "runner_cpu": f"{int(CPU_S * 1000)}ms", "action_timeout": f"{int(WALL_S * 1000)}ms", "runner_heap": "32MiB",
    "log_volume": "64KiB"}))
