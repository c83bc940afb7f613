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
def a_redirect_does_not_lead_to_a_refused_address(rig):
    rig.witness.script("hop", [(302, {"location": f"http://localhost.:{rig.witness.port}/ok"}, {}), (302, {"location": "http://169.254.169.254/x"}, {})])
    rig.call("path", "/script/hop", node=rig.nodes[1])
    answer = rig.call("path", "/script/hop", node=rig.nodes[1])
    assert answer.status >= 400, answer


def prepare(rig):
    rig.nodes[1].settings["egress_allow"] = "127.0.0.0/8"
    for node in rig.nodes:
        node.start()
        if not rig.keys:
            rig.read_keys()
    rig.prepare({"go": "return (await nango.get({ endpoint: '/ok', baseUrlOverride: input })).status;",
                 "path": "return (await nango.get({ endpoint: input })).status;"})


main(lambda: Rig(nodes=2, start=False, settings={"egress_allow": ""}, prepare=prepare))
