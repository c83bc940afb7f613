"""F35: deploys while jobs run: a job uses one version to its end, one version is active."""
import http.client
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import Fleet, has_points, wait_until
from tap import main, test


def version(number):
    """Says its version in each of its two calls and in its result."""
    return {"version": "const tell = (k) => nango.get({ endpoint: '/slow/version', retries: 0,"
                       f" params: {{ job: nango.activityLogId || '', version: '{number}', k, ms: '15' }} }});"
                       f" await tell('1'); await tell('2'); return {number};"}


def told(fleet, job):
    return [c.query["version"] for c in fleet.witness.seen("/slow/version") if c.query.get("job") == job]


class Stream:
    """Jobs one after the other through both nodes, until told to stop."""

    def __init__(self, fleet):
        self.fleet, self.jobs, self.error, self.stopped = fleet, [], None, False
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        n = 0
        try:
            while not self.stopped:
                node = self.fleet.nodes[n % 2]
                asked = time.monotonic()
                try:
                    answer = self.fleet.call("version", {}, {"X-Async": "true"}, node=node)
                    if answer.status == 202:
                        self.jobs.append((asked, answer.json["id"]))
                except (OSError, http.client.HTTPException):
                    pass
                n += 1
                time.sleep(0.01)
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
        return out


@test(name="F35 deploys and a roll back while jobs run: a job has one version to its end, later jobs have the later one", seconds=90)
def _(fleet):
    fleet.all()
    fleet.deploy(version(1))
    stream, done = Stream(fleet), []
    for number in (2, 3, 1):  # the last one is the roll back
        time.sleep(0.4)
        fleet.deploy(version(number))
        done.append((time.monotonic(), number))
    time.sleep(0.4)
    answers = stream.end()
    assert {v for _, v in answers} == {1, 2, 3}, answers
    for when, number in done:  # other nodes hear of it by a notice
        following = [w for w, _ in done if w > when]
        late = [v for asked, v in answers if asked > when + 1 and (not following or asked < following[0])]
        assert set(late) <= {number}, (number, late)
    assert fleet.call("version").json == 1 and fleet.call("version", node=fleet.nodes[1]).json == 1


@test(name="F35 two deploys at once while jobs run: one version is active everywhere", seconds=90)
def _(fleet):
    fleet.all()
    fleet.deploy(version(1))
    stream, answers = Stream(fleet), []

    def deploy(number):
        flows = [fleet.flow(name, code) for name, code in version(number).items()]
        answers.append(fleet.deploy_flows(flows).status)
    threads = [threading.Thread(target=deploy, args=(number,)) for number in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) <= {200, 409} and 200 in answers, answers
    wait_until("both nodes agree", lambda: fleet.call("version").json == fleet.call("version", node=fleet.nodes[1]).json, 5)
    stream.end()
    active = fleet.postgres.query("SELECT count(*) FROM function WHERE name = 'version'")
    assert active == [["1"]], active


if has_points():
    @test(name="F35 node killed at deploy_committed: the new version is active, jobs go on", seconds=90)
    def _(fleet):
        fleet.all()
        fleet.deploy(version(1))
        fleet.only()
        fleet.nodes[0].environment = {"SLUICE_FAULT": "deploy_committed=kill"}
        fleet.nodes[1].start()
        fleet.nodes[0].start()
        assert fleet.call("version", node=fleet.nodes[1]).json == 1
        stream = Stream(fleet)
        try:
            fleet.deploy(version(2))
            raise AssertionError("it was not killed")
        except (OSError, http.client.HTTPException):
            pass
        wait_until("node 1 has it", lambda: fleet.call("version", node=fleet.nodes[1]).json == 2, 5)
        stream.end()


main(lambda: Fleet(nodes=2, proxied=False))
