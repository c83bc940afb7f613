"""Nothing of a run is visible to the next one on the same process, by snapshots and by forks: globals, prototypes,
module variables, zod's registries, random numbers, timers, pending promises, what closures keep of a connection."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig
from tap import main, test

MODULE = '''"use strict";
var z = require("zod");
var crypto = require("crypto");
var count = 0, kept = [], connection = null, later = null, ticks = 0;
var load = [Math.random(), crypto.randomUUID()].join();
var schema = z.object({ a: z.string() });
module.exports = { default: { type: "action", description: "test", input: z.any(), output: z.any(),
exec: async function (nango, input) { %s } } };
'''

# Each does what it can to be seen later, and says what it sees of the last one.
FUNCTIONS = {
    "globals": "const seen = { here: typeof globalThis.left, date: typeof Date.now.left, json: JSON.parse.left === undefined };"
               "globalThis.left = 1; Date.now.left = 1; JSON.parse.left = 1; globalThis.parseInt = () => 7;"
               "return [seen, parseInt('12')];",
    "prototypes": "const seen = [[].left, ({}).left, 'x'.left, Promise.prototype.left, Error.prototype.left, (() => 1).left,"
                  "new Map().left, typeof [].map, new Date(0).toISOString()].map(String);"
                  "Object.prototype.left = Array.prototype.left = String.prototype.left = 'left'; Promise.prototype.left = 1;"
                  "Error.prototype.left = Function.prototype.left = Map.prototype.left = 'left';"
                  "Date.prototype.toISOString = () => 'mine'; delete Array.prototype.map; return seen;",
    "modules": "kept.push(input.n); count++; return [count, kept, connection === null];",
    "required": "const seen = [z.left, crypto.left, typeof crypto.createHash, require('zod').left].map(String);"
                "try { z.left = 'l'; } catch (e) {} try { crypto.left = 'l'; crypto.createHash = 1; } catch (e) {} return seen;",
    "registry": "const seen = z.globalRegistry.get(schema) === undefined && schema.left === undefined;"
                "z.globalRegistry.add(schema, { id: 'left' }); schema.left = 1;"
                "return [seen, schema.safeParse({ a: 'x' }).success];",
    "zod_config": "const text = schema.safeParse({ a: 1 }).error.issues[0].message;"
                  "z.config({ customError: () => 'mine' }); return [text, schema.safeParse({ a: 1 }).error.issues[0].message];",
    "random": "return [Math.random(), Math.random(), crypto.randomUUID(), crypto.randomBytes(8).toString('hex')];",
    "loaded": "return load;",
    "timers": "const seen = ticks; setTimeout(() => { ticks++; }, 5); setInterval(() => { ticks++; }, 5);"
              "await new Promise((done) => setTimeout(done, 20)); return [seen, ticks > 1];",
    "seen_ticks": "await new Promise((done) => setTimeout(done, 20)); return [ticks];",
    "promises": "const seen = later === null; later = new Promise((done) => setTimeout(() => { globalThis.done = 1; done(); }, 20));"
                "later.then(() => { count++; }); return [seen, count, typeof globalThis.done];",
    "answers": "if (!input.leave) return (await nango.getEnvironmentVariables()) instanceof Array;"
               "for (let i = 0; i < 50; i++) nango.getConnection().then((c) => { kept.push(c); }); return 'left';",
    "connection": "if (connection === null) connection = await nango.getConnection();"
                  "try { nango.left = nango.left || connection.connection_id; } catch (e) {}"
                  "return [connection.connection_id, nango.left || connection.connection_id, nango.connectionId];",
    "metadata": "const m = await nango.getMetadata(); return [m, await nango.getMetadata()];",
    "thrower": "globalThis.left = 'thrown'; kept.push('thrown'); throw new Error('thrown ' + kept.length);",
    "after_throw": "return [typeof globalThis.left, kept.length];",
    "frozen": "Object.freeze(Object.prototype); Object.freeze(Array.prototype); Object.preventExtensions(globalThis); return 1;",
    "not_frozen": "Array.prototype.mine = 1; globalThis.mine = 2; return [[].mine, globalThis.mine];",
    "symbols": "const s = Symbol.for('left'); const seen = globalThis[s]; globalThis[s] = 1; return String(seen);",
}
# Those that look at each other's work are one function with a switch, for a process serves one function.
PAIRS = {"thrower": "after_throw", "frozen": "not_frozen", "timers": "seen_ticks"}


def both(function):
    for number, isolation in enumerate(("snapshot", "fork")):
        def on_node(rig, number=number):
            rig.node = rig.nodes[number]
            function(rig)
        test(name=f"{function.__name__}_by_{isolation}")(on_node)


def results(rig, name, times=4, value=None, **more):
    out = []
    for n in range(times):
        answer = rig.call(name, value if value is not None else {"n": n}, node=rig.node, **more)
        assert answer.status == 200, (name, answer)
        out.append(answer.json)
    return out


def all_equal(rig, name, wanted, **more):
    for got in results(rig, name, **more):
        assert got == wanted, (name, got)


@both
def globals_and_prototypes_are_new(rig):
    all_equal(rig, "globals", [{"here": "undefined", "date": "undefined", "json": True}, 7])
    all_equal(rig, "prototypes", ["undefined"] * 7 + ["function", "1970-01-01T00:00:00.000Z"])
    all_equal(rig, "symbols", "undefined")


@both
def module_variables_are_as_they_were_loaded(rig):
    for n, got in enumerate(results(rig, "modules")):
        assert got == [1, [n], True], got
    all_equal(rig, "required", ["undefined", "undefined", "function", "undefined"])


@both
def zods_registries_and_settings_are_new(rig):
    all_equal(rig, "registry", [True, True])
    texts = results(rig, "zod_config")
    assert all(text == texts[0] and text[0] != "mine" and text[1] == "mine" for text in texts), texts


@both
def random_numbers_differ_between_runs(rig):
    runs = results(rig, "random", times=8)
    for column in zip(*runs):
        assert len(set(column)) == len(runs), column


@both
def timers_and_pending_promises_end_with_their_run(rig):
    all_equal(rig, "timers", [0, True])
    time.sleep(0.05)
    assert results(rig, "timers", value={"see": 1}) == [[0]] * 4
    for _ in range(4):
        assert results(rig, "promises", times=1) == [[True, 0, "undefined"]]
        time.sleep(0.03)


@both
def answers_to_calls_of_a_run_that_ended_reach_nobody(rig):
    for _ in range(5):
        assert results(rig, "answers", times=1, value={"leave": 1}) == ["left"]
        assert results(rig, "answers", times=1) == [True]


@both
def a_connection_that_a_closure_kept_is_not_the_next_runs(rig):
    for name in ("c", "other", "c", "third", "other"):
        assert results(rig, "connection", times=1, connection=name) == [[name] * 3]
    assert results(rig, "metadata", times=1, connection="other") == [[{"of": "other"}] * 2]
    assert results(rig, "metadata", times=1, connection="third") == [[{"of": "third"}] * 2]


@both
def a_run_that_failed_or_was_killed_leaves_nothing(rig):
    for _ in range(3):
        answer = rig.call("thrower", {}, node=rig.node)
        assert answer.json["error"]["payload"]["message"] == "thrown 1", answer
        assert results(rig, "thrower", times=1, value={"see": 1}) == [["undefined", 0]]
    all_equal(rig, "frozen", [1, 2], value={"see": 1})
    assert results(rig, "frozen") == [1] * 4
    all_equal(rig, "frozen", [1, 2], value={"see": 1})


@both
def the_processes_of_two_environments_are_two(rig):
    here, there = results(rig, "loaded"), results(rig, "loaded", env="prod")
    assert not set(here) & set(there), "one module was loaded for both"
    # The module's own numbers may be shared by the runs of a process, which is one version of one environment.
    assert len(set(here)) == 1 and len(set(there)) == 1, (here, there)


def prepare(rig):
    rig.nodes[1].settings["runner_isolation"] = "fork"
    for node in rig.nodes:
        node.start()
    rig.read_keys()
    code = {name: MODULE % (f"if (input.see) {{ {FUNCTIONS[PAIRS[name]]} }} {body}" if name in PAIRS else body)
            for name, body in FUNCTIONS.items()}
    rig.prepare(code)
    rig.prepare({"loaded": code["loaded"]}, env="prod")
    for name in ("other", "third"):
        rig.connection(name, metadata={"of": name})


main(lambda: Rig(nodes=2, start=False, prepare=prepare))
