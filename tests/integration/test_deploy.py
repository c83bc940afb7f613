"""Deploys: plan, versions, redeploy, reconcile, and sources that are refused before anything changes."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, wait_until
from tap import main, test

PLAN = {"newSyncs", "updatedSyncs", "newActions", "updatedActions", "deletedSyncs", "deletedActions", "deletedModels",
        "newOnEventScripts", "updatedOnEventScripts", "deletedOnEventScripts"}


def confirm(rig, flows, mode="all", **more):
    return rig.request("POST", "/sync/deploy/confirmation", {
        "flowConfigs": flows, "deployMode": mode, "reconcile": False, "debug": False, "sdkVersion": "0.71.10-zero", **more})


@test
def the_plan_has_every_list_and_names_what_is_new(rig):
    answer = confirm(rig, [rig.flow("one", "return 1;")], onEventScriptsByProvider=[])
    assert answer.status == 200 and set(answer.json) == PLAN, answer
    assert answer.json["newActions"] == [{"name": "one", "providerConfigKey": "w"}], answer
    assert rig.call("one").status == 404, "a plan changes nothing"


@test
def a_deploy_answers_what_is_there_now_and_the_action_runs(rig):
    answer = rig.deploy_flows([rig.flow("one", "return 1;")], mode="all")
    assert answer.status == 200, answer
    assert answer.json == [{"name": "one", "models": [], "version": "1.0.0", "providerConfigKey": "w", "type": "action"}] or \
        (answer.json[0]["name"], answer.json[0]["version"], answer.json[0]["type"]) == ("one", "1.0.0", "action"), answer
    assert rig.call("one").json == 1


@test
def a_redeploy_takes_effect_at_once(rig):
    for n in (2, 3, 4):
        rig.deploy({"one": f"return {n};"})
        assert rig.call("one").json == n
        assert rig.finish(rig.submit("one")).json == n


@test
def a_running_job_keeps_its_version(rig):
    rig.deploy({"slow": "await nango.get({ endpoint: '/hang/version' }); return 'old';"})
    job = rig.submit("slow")
    rig.witness.wait_seen("/hang/version")
    rig.deploy({"slow": "return 'new';"})
    rig.witness.release("version")
    assert rig.finish(job).json == "old"
    assert rig.call("slow").json == "new"


@test
def a_second_node_sees_the_new_version_too(rig):
    for n in range(5):
        rig.deploy({"one": f"return 'node {n}';"})
        wait_until("the other node has heard of it", lambda n=n: rig.call("one", node=rig.nodes[1]).json == f"node {n}", 2)


@test
def an_empty_version_is_counted_by_the_server(rig):
    first = rig.deploy_flows([rig.flow("counted", "return 1;", version="")])
    assert first.status == 200 and first.json[0]["version"] == "1", first
    second = rig.deploy_flows([rig.flow("counted", "return 2;", version="")])
    assert second.json[0]["version"] == "2", second


@test
def mode_all_removes_what_is_absent_and_mode_single_does_not(rig):
    rig.deploy_flows([rig.flow("stays", "return 1;"), rig.flow("goes", "return 1;")], mode="all")
    assert rig.deploy_flows([rig.flow("added", "return 1;")], mode="single").status == 200
    assert rig.call("goes").json == 1
    plan = confirm(rig, [rig.flow("stays", "return 1;")])
    assert sorted(a["name"] for a in plan.json["deletedActions"]) == ["added", "goes"], plan
    assert [a["name"] for a in plan.json["updatedActions"]] == ["stays"], plan
    assert rig.deploy_flows([rig.flow("stays", "return 2;")], mode="all").status == 200
    assert rig.call("goes").status == 404 and rig.call("added").status == 404 and rig.call("stays").json == 2


@test
def mode_integration_leaves_other_integrations_alone(rig):
    rig.integration("other")
    rig.connection("o", "other")
    rig.deploy({"far": "return 'far';"}, "other")
    rig.deploy({"near": "return 1;", "nearer": "return 2;"})
    assert rig.deploy_flows([rig.flow("near", "return 3;")], mode="integration").status == 200
    assert rig.call("far", connection="o", integration="other").json == "far"
    assert rig.call("near").json == 3 and rig.call("nearer").status == 404


@test
def deploying_nothing_removes_all_and_answers_an_empty_list(rig):
    rig.deploy({"last": "return 1;"})
    answer = rig.deploy_flows([], mode="all")
    assert answer.status == 200 and answer.json == [], answer
    assert rig.call("last").status == 404


def refused(name, code, *words):
    @test(name=name)
    def run(rig):
        rig.deploy({"kept": "return 'kept';"})
        answer = rig.deploy_flows([rig.flow("kept", "return 'changed';"), rig.flow("broken", code)])
        assert answer.status == 400 and answer.json["error"]["message"], answer
        for word in words:
            assert word in answer.body.decode(), (word, answer)
        assert rig.call("kept").json == "kept", "a refused deploy changed something"
        assert rig.call("broken").status == 404


refused("broken_syntax_is_400_and_changes_nothing", "return {;", "broken")
refused("a_module_that_we_do_not_have_is_400_naming_it", "const fs = require('fs'); return 1;", "fs")
refused("a_named_group_in_a_regular_expression_is_400_naming_it", "return /(?<n>a)/.exec('a');", "named group")


@test
def an_unknown_integration_is_400(rig):
    answer = rig.deploy_flows([rig.flow("x", "return 1;", "nosuch")])
    assert answer.status == 400 and answer.code, answer


@test
def bad_bodies_are_400(rig):
    good = rig.flow("x", "return 1;")
    for change in ({"syncName": "a b"}, {"type": "nosuch"}, {"fileBody": {}}, {"fileBody": {"js": 1, "ts": ""}}, {"providerConfigKey": ""},
                   {"fileBody": {"js": "", "ts": ""}}, {"models_json_schema": {"definitions": {}}}, {"metadata": {"description": "x" * 2001, "scopes": []}}):
        answer = rig.deploy_flows([{**good, **change}])
        assert answer.status == 400, (change, answer)
    for body in ({}, {"flowConfigs": "x"}, {"flowConfigs": [1]}, {"flowConfigs": [], "deployMode": "nosuch"}):
        answer = rig.request("POST", "/sync/deploy", body)
        assert answer.status == 400 and answer.code == "invalid_body", (body, answer)


@test
def a_deploy_request_is_strict_and_typed(rig):
    good = {"flowConfigs": [rig.flow("strict", "return 1;")], "deployMode": "single", "reconcile": True, "debug": False,
            "nangoYamlBody": "", "sdkVersion": "0.71.10-zero", "source": "repo", "onEventScriptsByProvider": []}
    for change in ({"unknown": 1}, {"reconcile": "yes"}, {"debug": 1}, {"sdkVersion": 5}, {"nangoYamlBody": []}, {"source": 1},
                   {"onEventScriptsByProvider": {}}, {"singleDeployMode": "x"}):
        for path in ("/sync/deploy", "/sync/deploy/confirmation"):
            answer = rig.request("POST", path, {**good, **change})
            assert answer.status == 400 and answer.code == "invalid_body", (path, change, answer)
    for change in ({"version": 5}, {"input": 5}, {"metadata": []}, {"metadata": {"description": 5}}, {"endpoints": {}},
                   {"features": "x"}, {"auto_start": "x"}, {"track_deletes": 1}, {"sync_type": "x"}, {"fileBody": {"js": "1", "ts": 1}}):
        answer = rig.request("POST", "/sync/deploy", {**good, "flowConfigs": [{**good["flowConfigs"][0], **change}]})
        assert answer.status == 400 and answer.code == "invalid_body", (change, answer)
        path = answer.json["error"]["errors"][0]["path"]
        assert path[:2] == ["flowConfigs", "0"] and path[2] == next(iter(change)), (change, path)
    assert rig.call("strict").status == 404, "a refused deploy changed something"
    legacy = {**good, "jsonSchema": {}, "postConnectionScriptsByProvider": [], "singleDeployMode": False}
    assert rig.request("POST", "/sync/deploy", legacy).status == 200


@test(seconds=120)
def a_deploy_beside_another_one_is_409_and_mixes_nothing(rig):
    slow = [rig.flow(f"slow-{i}", f"return {i};") for i in range(150)]
    quick = [rig.flow("quick", "return 1;")]
    done = []

    def go():  # a quick one may be first
        while not done or done[-1].status == 409:
            done.append(rig.deploy_flows(slow, mode="all"))
    thread = threading.Thread(target=go)
    thread.start()
    answers = []
    while thread.is_alive():
        answers.append(rig.deploy_flows(quick, mode="all"))
        time.sleep(0.02)
    thread.join()
    assert done[-1].status == 200, done[-1]
    assert {(a.status, a.code) for a in done[:-1]} <= {(409, "concurrent_deployment")}, done
    assert (409, "concurrent_deployment") in {(a.status, a.status == 409 and a.code) for a in answers}, answers
    assert {a.status for a in answers} <= {200, 409}, answers
    assert rig.deploy_flows([rig.flow("quick", "return 2;")], mode="all").status == 200, "the turn ends with the deploy"
    assert rig.deploy_flows([rig.flow("broken", "return {;")], mode="all").status == 400
    assert rig.deploy_flows([rig.flow("quick", "return 3;")], mode="all").status == 200, "and with one that fails"
    assert [a["name"] for a in rig.request("GET", "/config/w").json["config"]["actions"]] == ["quick"]


@test
def the_same_function_twice_in_one_deploy_is_400(rig):
    answer = rig.deploy_flows([rig.flow("twin", "return 1;"), rig.flow("twin", "return 2;")])
    assert answer.status == 400, answer


@test
def modern_syntax_of_the_clis_bundles_runs(rig):
    code = """
        const { a = 1, ...rest } = input ?? {};
        class Base { #hidden = 3; static made = 0; get hidden() { return this.#hidden; } }
        class Derived extends Base { constructor() { super(); Derived.made += 1; } async *pages() { yield [1, 2]; yield [3]; } }
        const out = []; const d = new Derived();
        for await (const page of d.pages()) for (const n of page) out.push(n ** 2);
        const map = new Map([["k", new Set([1, 1, 2])]]);
        let label = `t${out.length}`; label ||= 'x';
        const found = [..."äb"].map((c) => c.toUpperCase()).join('') + [1, [2, [3]]].flat(Infinity).at(-1);
        return { a, rest, out, hidden: d.hidden, made: Derived.made, size: map.get("k")?.size, none: map.get("z")?.size ?? null,
                 label, found, entries: Object.fromEntries(Object.entries({ p: 1 })), re: "x-1".replace(/(\\d)/u, "[$1]") };
    """
    rig.deploy({"modern": code})
    answer = rig.call("modern", {"b": 2})
    assert answer.json == {"a": 1, "rest": {"b": 2}, "out": [1, 4, 9], "hidden": 3, "made": 1, "size": 2, "none": None, "label": "t3",
                           "found": "ÄB3", "entries": {"p": 1}, "re": "x-[1]"}, answer


@test(seconds=90)
def two_deploys_at_once_leave_one_whole_set(rig):
    answers = []

    def go(n):
        answers.append(rig.deploy_flows([rig.flow(f"set-{i}", f"return {n};") for i in range(4)]).status)
    threads = [threading.Thread(target=go, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(80)
    assert set(answers) <= {200, 409} and 200 in answers, answers
    values = {rig.call(f"set-{i}").json for i in range(4)}
    assert len(values) == 1, values


@test
def telemetry_of_the_cli_is_taken_without_a_key(rig):
    answer = rig.request("POST", "/cli/telemetry", {"deviceId": "d", "event": "cli:deploy", "ephemeral": False}, key=None)
    assert answer.status == 204, answer


@test
def the_list_of_environments_accepts_a_key(rig):
    answer = rig.request("GET", "/api/v1/environments")
    assert {"name": "dev", "is_production": False} in [{k: e[k] for k in ("name", "is_production")} for e in answer.json["data"]], answer


main(lambda: Rig(nodes=2, prepare=lambda rig: (rig.integration(), rig.connection())))
