"""F36: a fleet of three of the release before (tests/upgrade/previous, built by dev/check) is upgraded one by one under load.

RIG_PREVIOUS (build-previous) is the folder of that build, RIG_BUILD that of the new one.
"""
import os
import re
import sys
import time
from collections import Counter

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "crash"))
from fleet import Fleet, wait_until
import flows
from load import Load
from rig import ROOT
from tap import main, test
from webhooks import Webhooks

EX_DATAERR, EX_CONFIG = 65, 78
ROLES = ("api,worker,scheduler", "api,worker", "api,scheduler")  # what node 2 is called for travels to another node
KINDS = {"none": 3, "one": 4, "two": 3, "flaky": 2}
# Its first run saves two records, the second one opens a window of tracked deletes, sees one of them and is cut, the third one ends it.
SYNC = """
    const was = await nango.getCheckpoint(), n = was ? was.n : 0;
    if (n === 1) await nango.trackDeletesStart('Item');
    await nango.batchSave([[{ id: 'gone' }, { id: 'seen' }], [{ id: 'seen' }], [{ id: 'late' }]][n], 'Item');
    await nango.saveCheckpoint({ n: n + 1 });
    if (n === 1) throw new Error('by chance');
    if (n === 2) await nango.trackDeletesEnd('Item');
"""
TELLING = """
    const n = ((await nango.getCheckpoint()) || { n: 0 }).n + 1;
    await nango.batchSave([{ id: 'r' + n }], 'Told');
    await nango.saveCheckpoint({ n });
"""
NEVER = ("security_event", "queue_rebuilt", "session_expired", "worker_rejoins")


class Upgrade(Fleet):
    def __init__(self):
        super().__init__(nodes=3, roles=ROLES, proxied=False, prepare=Upgrade.functions)
        self.new, self.build = self.build, os.environ.get("RIG_PREVIOUS", f"{ROOT}/build-previous")
        self.ran = {}  # process id: "old" or "new"
        self.changes = []  # (from when, node, "old", "new", or None while it is down)

    def functions(self):
        Fleet.functions(self)
        self.concurrency("prod", "environment", 3)
        for node in self.nodes:
            self.note(node, "old")
        answer = self.deploy_flows([flows.sync("kept", SYNC), flows.sync("telling", TELLING, models=("Told",))])
        assert answer.status == 200, answer
        assert self.synced(1) == "SUCCESS" and self.synced(2) == "STOPPED" and self.synced(1, "telling") == "SUCCESS"
        self.fresh()

    def kept(self, name="kept"):
        [entry] = self.request("GET", f"/sync/status?syncs={name}&provider_config_key=w&connection_id=c").json["syncs"]
        return entry

    def synced(self, n, name="kept"):
        """Runs the sync for the nth time; how that ended."""
        answer = self.request("POST", "/sync/trigger", {"syncs": [name], "provider_config_key": "w", "connection_id": "c"})
        assert answer.status == 200, answer
        return wait_until(f"run {n} ends", lambda: (lambda e: e["status"] != "RUNNING" and (e["checkpoint"] or {}).get("n") == n
                                                    and e["latestExecutionStatus"])(self.kept(name)), 20)

    def note(self, node, kind):
        self.changes.append((time.monotonic(), node.number, kind))
        if kind:
            self.ran[node.process.pid] = kind

    def replace(self, node, build):
        """Stops a node, and starts it with that build."""
        with self.history.fault("node_term", node=node.number):
            self.note(node, None)
            if self.running(node):
                assert node.stop() == 0, node.process.returncode
            node.build = build
            node.start()
            self.note(node, "new" if build == self.new else "old")

    def refused(self, node, build):
        """(exit code, text) of a node that is stopped, started with that build, which does not want to, and started as it was."""
        was = node.build
        with self.history.fault("node_term", node=node.number):
            self.note(node, None)
            assert node.stop() == 0, node.process.returncode
            node.build = build
            before = len(node.log())
            node.start(wait=False)
            code = node.process.wait(15)
            node.build = was
        return code, node.log()[before:]

    def version(self):
        return int(self.postgres.query("SELECT max(version) FROM schema_migration")[0][0])

    def migrates(self):
        """Has the new build a newer schema than what is there?"""
        return max(int(name[:4]) for name in os.listdir(f"{ROOT}/sql/migrations")) > self.version()

    def well(self, load, jobs):
        """Ends the load and has all judged: of those that failed each was to fail."""
        load.stop()
        self.quiet()
        odd = self.postgres.query("SELECT job_id, state, encode(output, 'escape') FROM result JOIN job ON id = job_id"
                                  f" WHERE seq > {self.since} AND state NOT IN (1, 3) AND strpos(encode(output, 'escape'), 'by chance') = 0")
        verdict = self.judged()
        assert not odd and verdict.jobs >= jobs, (verdict.states, verdict.jobs, odd)

    def kind_at(self, node, when):
        return next((kind for t, number, kind in reversed(self.changes) if number == node and t <= when), None)

    def crossed(self):
        """{(accepted by, run by): jobs} of those that are known to the history so far."""
        from history import read  # pylint: disable=import-outside-toplevel
        asked, took = {}, {}
        for event in read(self.history.path):
            if event["e"] == "invoke" and event["do"] == "submit":
                asked[event["op"]] = event
            elif event["e"] == "ok" and event["op"] in asked:
                node = asked[event["op"]]["node"]
                kinds = {self.kind_at(node, asked[event["op"]]["t"]), self.kind_at(node, event["t"])}
                if len(kinds) == 1:
                    took[event["job"]] = kinds.pop()
        out = Counter()
        for job, name in self.postgres.query("SELECT a.job_id, s.node FROM attempt a JOIN session s ON s.id = a.session_id"):
            pid = re.search(r":(\d+)", name)
            ran = self.ran.get(int(pid.group(1)))
            if ran and took.get(job):  # neither while a node changed
                out[took[job], ran] += 1
        return out

    def reached(self, *pairs):
        """Waits until jobs went each of these ways from now on."""
        before = self.crossed()
        wait_until(f"jobs go {pairs}", lambda: (lambda now: all(now[p] - before[p] >= 8 for p in pairs))(self.crossed()), 20, 0.3)

    def travels(self):
        """A sync call at the node without a worker."""
        answer = self.call("one", {"n": "across"}, node=self.nodes[2])
        assert answer.status == 200, answer


@test(name="F36 before the migration: the new build says that it is needed and ends, the old one takes its place again, under load",
      seconds=60)
def _(fleet):
    if not fleet.migrates():
        print("# both builds have one schema: there is nothing to refuse")
        return
    load = Load(fleet, seed=360, clients=6, kinds=KINDS, rate=15).start()
    code, text = fleet.refused(fleet.nodes[1], fleet.new)
    assert code == EX_CONFIG and "sluiced --migrate" in text and str(fleet.version()) in text, (code, text)
    fleet.nodes[1].start()
    fleet.note(fleet.nodes[1], "old")
    fleet.reached(("old", "old"))
    fleet.well(load, 20)


@test(name="F36 the schema changes under the old nodes, then they are replaced one by one, under load: nothing is lost, nothing "
           "started twice, and each build runs what the other accepted", seconds=150)
def _(fleet):
    migrates, since = fleet.migrates(), [len(node.log()) for node in fleet.nodes]
    load = Load(fleet, seed=361, clients=8, kinds=KINDS, rate=15).start()
    fleet.reached(("old", "old"))

    done = fleet.run("--migrate", *(word for word in fleet.nodes[0].command()[1:] if word.split("=")[0] in
                                    ("--database-url", "--redis-url", "--encryption-key-file")), build=fleet.new)
    assert done.returncode == 0, done.stdout
    assert not fleet.migrates(), done.stdout
    fleet.reached(("old", "old"))
    fleet.travels()

    fleet.replace(fleet.nodes[2], fleet.new)  # it accepts and schedules, the old ones work
    fleet.reached(("old", "old"), ("new", "old"))
    fleet.travels()
    hooks = Webhooks(fleet, node=fleet.nodes[2], schedule=None)
    hooks.wants("dev", "hook", events=("sync",))
    assert fleet.synced(2, "telling") == "SUCCESS"
    hooks.sink.wait(1, "/dev/hook")  # an old worker has run it, and tells of it

    if migrates:  # an old one that ends now does not come back
        code, text = fleet.refused(fleet.nodes[0], fleet.nodes[0].build)
        assert code == EX_DATAERR and "start a newer build" in text, (code, text)
    fleet.replace(fleet.nodes[0], fleet.new)
    fleet.reached(("old", "new"), ("new", "old"), ("new", "new"))
    fleet.travels()

    fleet.replace(fleet.nodes[1], fleet.new)
    fleet.reached(("new", "new"))
    fleet.travels()
    assert fleet.synced(3, "telling") == "SUCCESS"
    seen = [request.json for request in hooks.sink.wait(2, "/dev/hook")]
    assert [(event["syncName"], event["responseResults"]["added"]) for event in seen] == [("telling", 1)] * 2, seen
    hooks.wants("dev", "hook")
    wait_until("actions are told of", lambda: any(r.json["type"] == "async_action" for r in hooks.sink.seen("/dev/hook")), 20)
    ways = fleet.crossed()
    print("# accepted by, run by: " + ", ".join(f"{a} {b} {count}" for (a, b), count in sorted(ways.items())))
    fleet.well(load, 100)
    for node, begin in zip(fleet.nodes, since):
        for what in NEVER:
            assert not fleet.logged(node, what, begin), fleet.logged(node, what, begin)
        for line in fleet.logged(node, "result_refused", begin):  # only of what a client had cancelled
            job = re.search(r"job=(\S+)", line).group(1)
            assert fleet.results([job]) == {job: 3}, line
    assert fleet.postgres.query("SELECT count(*) FROM quarantine") == [["0"]]


@test(name="F36 after the upgrade: a deploy by the new build is what all nodes run, with what the old build had stored", seconds=60)
def _(fleet):
    fleet.deploy({"after": "const answer = await nango.get({ endpoint: '/slow/work', retries: 0 });"
                           " return { status: answer.status };"})
    for node in fleet.nodes:
        assert wait_until("it is known", lambda n=node: fleet.call("after", {}, node=n).status == 200, 10)
    assert all(header.get("authorization") == "Bearer key-of-the-test" for header in
               (call.headers for call in fleet.witness.seen("/slow/work")[-3:])), "the credential of the old build is not read"


@test(name="F36 after the upgrade: a sync goes on from the checkpoint and in the window of deletes of the old build, and has a schedule",
      seconds=60)
def _(fleet):
    assert fleet.synced(3) == "SUCCESS"
    rows = fleet.postgres.query("SELECT id, deleted IS NOT NULL FROM record WHERE id NOT LIKE 'r_' ORDER BY id")
    assert rows == [["gone", "t"], ["late", "f"], ["seen", "f"]], rows
    entry = fleet.kept()
    assert entry["recordCount"] == {"Item": 2} and entry["latestResult"] == {"Item": {"added": 1, "updated": 0, "deleted": 1}}, entry
    assert entry["status"] == "PAUSED" and entry["nextScheduledSyncAt"] is None, entry
    answer = fleet.request("POST", "/sync/start", {"syncs": ["kept"], "provider_config_key": "w", "connection_id": "c"})
    assert answer.status == 200 and fleet.kept()["nextScheduledSyncAt"] is not None, answer


main(Upgrade)
