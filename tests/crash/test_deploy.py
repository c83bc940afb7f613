"""F35: deploys through any of three nodes while jobs run: a job uses one version to its end, one version is active."""
import http.client
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import Fleet, has_points, wait_until
from load import Load
from tap import main, test


def version(number):
    """Says its version in each of its two calls and in its result."""
    return {"version": "const tell = (k) => nango.get({ endpoint: '/slow/version', retries: 0,"
                       f" params: {{ job: nango.activityLogId || '', version: '{number}', k, ms: '15' }} }});"
                       f" await tell('1'); await tell('2'); return {number};"}


def told(fleet, job):
    return [c.query["version"] for c in fleet.witness.seen("/slow/version") if c.query.get("job") == job]


class Stream:
    """Jobs one after the other through all nodes, until told to stop; beside them other work, which is judged."""

    def __init__(self, fleet):
        self.fleet, self.jobs, self.error, self.stopped = fleet, [], None, False
        self.nodes = [node for node in fleet.nodes if fleet.running(node)]
        fleet.fresh()
        self.load = Load(fleet, seed=35, clients=4, kinds={"none": 2, "one": 3, "two": 3}, nodes=self.nodes, rate=8).start()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        n = 0
        try:
            while not self.stopped:
                node = self.nodes[n % len(self.nodes)]
                asked = time.monotonic()
                try:
                    answer = self.fleet.call("version", {}, {"X-Async": "true"}, node=node)
                    if answer.status == 202:
                        self.jobs.append((asked, answer.json["id"]))
                except (OSError, http.client.HTTPException):
                    pass
                n += 1
                time.sleep(0.04)  # the line takes about as many
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def end(self):
        """[(when it was asked for, version)]; each job had one version from its first call to its result."""
        self.stopped = True
        self.thread.join()
        if self.error:
            raise self.error
        out = []
        for asked, job in self.jobs:
            answer = self.fleet.finish(job, 60, node=self.fleet.nodes[1])
            assert answer.status == 200 and set(told(self.fleet, job)) == {str(answer.json)}, (answer, told(self.fleet, job))
            out.append((asked, answer.json))
        self.load.stop()
        verdict = self.fleet.judged()
        assert verdict.states["failed"] == 0 and verdict.jobs > 0, verdict.states
        return out


def same(fleet):
    """The version that all nodes run, or None."""
    told_by = {fleet.call("version", node=node).json for node in fleet.nodes}
    return told_by.pop() if len(told_by) == 1 else None


@test(name="F35 deploys and a roll back while jobs run: a job has one version to its end, later jobs have the later one", seconds=90)
def _(fleet):
    fleet.all()
    fleet.deploy(version(1))
    stream, done = Stream(fleet), []
    for number, node in zip((2, 3, 1), fleet.nodes):  # the last one is the roll back
        time.sleep(0.4)
        began = time.monotonic()
        fleet.deploy(version(number), node=node)
        done.append((began, time.monotonic(), number))
    time.sleep(0.4)
    answers = stream.end()
    assert {v for _, v in answers} == {1, 2, 3}, answers
    for _, when, number in done:  # other nodes hear of it by a notice
        following = [began for began, _, _ in done if began > when]
        late = [v for asked, v in answers if asked > when + 1 and (not following or asked < following[0])]
        assert set(late) <= {number}, (number, late)
    assert same(fleet) == 1


@test(name="F35 two deploys at once through two nodes while jobs run: one version is active everywhere", seconds=90)
def _(fleet):
    fleet.all()
    fleet.deploy(version(1))
    stream, answers = Stream(fleet), []

    def deploy(number):
        flows = [fleet.flow(name, code) for name, code in version(number).items()]
        answers.append(fleet.deploy_flows(flows, node=fleet.nodes[number - 1]).status)
    threads = [threading.Thread(target=deploy, args=(number,)) for number in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) <= {200, 409} and 200 in answers, answers
    wait_until("all nodes agree", lambda: same(fleet) in (2, 3), 5)
    stream.end()
    active = fleet.postgres.query("SELECT count(*) FROM function WHERE name = 'version'")
    assert active == [["1"]], active


if has_points():
    @test(name="F35 node killed at deploy_committed: the new version is active, jobs go on", seconds=90)
    def _(fleet):
        fleet.all()
        fleet.deploy(version(1))
        fleet.only()
        # It runs nothing: a job of one try that dies with its worker ends as lost, which is not what is looked at here.
        fleet.nodes[0].settings["role"] = "api,scheduler"
        fleet.nodes[0].environment = {"SLUICE_FAULT": "deploy_committed=kill"}
        fleet.nodes[1].start()
        fleet.nodes[2].start()
        fleet.nodes[0].start()
        assert fleet.call("version", node=fleet.nodes[1]).json == 1
        stream = Stream(fleet)
        with fleet.history.fault("node_kill", node=0):
            try:
                fleet.deploy(version(2))
                raise AssertionError("it was not killed")
            except (OSError, http.client.HTTPException):
                pass
            for node in fleet.nodes[1:]:
                wait_until("others have it", lambda n=node: fleet.call("version", node=n).json == 2, 5)
            fleet.nodes[0].environment = {}
            fleet.nodes[0].settings["role"] = None
            fleet.nodes[0].start()
        stream.end()
        assert same(fleet) == 2


main(lambda: Fleet(nodes=3, proxied=False))
