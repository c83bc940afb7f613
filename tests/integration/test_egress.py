"""Requests of functions reach only what they may: loopback, private and link-local addresses are refused by default."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from hosts import INNER, ODD
from rig import Rig
from tap import main, test


def refused(host):
    @test(name=f"a_request_to_{host}_is_refused")
    def run(rig):
        before = len(rig.witness.calls)
        answer = rig.call("go", f"http://{host}:{rig.witness.port}")
        assert answer.status == 500 and answer.code, answer
        assert len(rig.witness.calls) == before, "the request was sent"


for each in INNER:
    refused(each)


@test
def other_schemes_and_odd_urls_are_refused(rig):
    for url in ODD:
        answer = rig.call("go", url)
        assert answer.status == 500, (url, answer)
    assert not rig.witness.calls


@test
def the_setting_opens_exactly_its_blocks(rig):
    answer = rig.call("go", rig.witness.url, node=rig.nodes[1])
    assert answer.json == 200, answer
    answer = rig.call("go", f"http://[::1]:{rig.witness.port}", node=rig.nodes[1])
    assert answer.status == 500, answer


@test
def what_is_denied_is_refused_though_it_is_allowed(rig):
    answer = rig.call("go", rig.witness.url, node=rig.nodes[2])
    assert answer.status == 500 and answer.code == "script_network_error", answer


@test
def five_redirects_are_followed_and_a_303_has_no_body(rig):
    def hops(call):
        left = int(call.query.get("n", 0))
        return (302, {"location": f"/hops?n={left - 1}"}, b"{}") if left > 0 else (200, {}, b"{}")
    rig.witness.routes["hops"] = hops
    rig.witness.routes["loop"] = lambda call: (302, {"location": "/loop"}, b"{}")
    rig.witness.routes["other"] = lambda call: (303, {"location": "/ok"}, b"{}")
    assert rig.call("path", "/hops?n=5", node=rig.nodes[1]).json == 200
    answer = rig.call("path", "/hops?n=6", node=rig.nodes[1])
    assert answer.status == 500 and answer.code == "script_network_error", answer
    before = len(rig.witness.calls)
    assert rig.call("path", "/loop", node=rig.nodes[1]).status == 500 and len(rig.witness.calls) == before + 6
    assert rig.call("post", "/other", node=rig.nodes[1]).json == 200
    last = rig.witness.calls[-1]
    assert (last.method, last.path, last.body) == ("GET", "/ok", b""), (last.method, last.path, last.body)


@test
def a_redirect_does_not_lead_to_a_refused_address(rig):
    rig.witness.script("hop", [(302, {"location": f"http://localhost.:{rig.witness.port}/ok"}, {}), (302, {"location": "http://169.254.169.254/x"}, {})])
    rig.call("path", "/script/hop", node=rig.nodes[1])
    answer = rig.call("path", "/script/hop", node=rig.nodes[1])
    assert answer.status == 500 and answer.code == "script_network_error" and "169.254.169.254" in answer.body.decode(), answer


def prepare(rig):
    rig.nodes[1].settings["egress_allow"] = rig.nodes[2].settings["egress_allow"] = "127.0.0.0/8"
    rig.nodes[2].settings["egress_deny"] = "127.0.0.1/32"
    for node in rig.nodes:
        node.start()
        if not rig.keys:
            rig.read_keys()
    rig.prepare({"go": "return (await nango.get({ endpoint: '/ok', baseUrlOverride: input })).status;",
                 "path": "return (await nango.get({ endpoint: input })).status;",
                 "post": "return (await nango.post({ endpoint: input, data: { a: 1 } })).status;"})


main(lambda: Rig(nodes=3, start=False, settings={"egress_allow": ""}, prepare=prepare))
