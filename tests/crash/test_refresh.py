"""F34: one token call in the fleet, no old token over a new one, and nobody told to connect again without need, whatever dies."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import Fleet, has_points, wait_until
from sink import Sink
from tap import main, test
from tokens import CLIENT, Tokens

JOBS = 20
AUTH_EVENT, FAILED = 3, 3  # type and outcome of such an event in the outbox


def connect(fleet, name, family, left=-5, integration="strict"):
    """A connection whose token ends in left seconds: it has run out, unless said otherwise."""
    ends = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + left))
    made = fleet.request("POST", "/connections", {"provider_config_key": integration, "connection_id": name, "credentials": {
        "type": "OAUTH2", "access_token": family.access, "refresh_token": family.refresh, "expires_at": ends}}, node=fleet.nodes[1])
    assert made.status == 201, made


def started(fleet, name, integration="strict"):
    """A server's count of calls now, a new grant, and a connection of this name with it."""
    server = fleet.servers[integration]
    server.plan([])
    family = server.grant()
    connect(fleet, name, family, integration=integration)
    return server, server.count(), family


def submit(fleet, name, count=JOBS, integration="strict", nodes=None, retries=0):
    nodes = nodes or fleet.nodes
    return [fleet.submit("go", connection=name, integration=integration, retries=retries, node=nodes[n % len(nodes)]) for n in range(count)]


def finish(fleet, jobs):
    """Each ends well: its request was answered 200, by a resource that takes no token but the newest."""
    answers = [fleet.finish(job, node=fleet.nodes[1]) for job in jobs]
    assert all(answer.status == 200 and answer.json == 200 for answer in answers), answers


def busy(fleet):
    """How many functions are on the nodes, at work or waiting."""
    return sum(fleet.metric(node, name) for node in fleet.nodes if fleet.running(node) for name in ("sluice_running", "sluice_runs_waiting"))


def read(fleet, name, node, integration="strict", **query):
    return fleet.request("GET", f"/connections/{name}?provider_config_key={integration}" + "".join(f"&{k}={v}" for k, v in query.items()),
                         node=node)


def state_of(node):
    with open(f"/proc/{node.process.pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0]


class Ask(threading.Thread):
    """GET /connections/NAME beside the test; answer is None when the node was killed."""

    def __init__(self, fleet, name, node, integration="strict"):
        super().__init__(daemon=True)
        self.what, self.answer = (fleet, name, node, integration), None
        self.start()

    def run(self):
        try:
            self.answer = read(*self.what)
        except OSError:
            pass

    def token(self):
        self.join(30)
        assert self.answer is not None and self.answer.status == 200, self.answer
        return self.answer.json["credentials"]["access_token"]


def row_of(name):
    return f"(SELECT id FROM connection WHERE connection_id = '{name}')"


def failures_told(fleet, name):
    """How often its owner is told that a connection's credentials are no good any more."""
    [[count]] = fleet.postgres.query(f"SELECT count(*) FROM outbox WHERE connection_id = {row_of(name)}"
                                     f" AND type = {AUTH_EVENT} AND outcome = {FAILED}")
    return int(count)


def well(fleet, name, integration="strict"):
    """Nobody was told that it has to be connected again, and nothing is left of a refresh under way."""
    answer = read(fleet, name, fleet.nodes[1], integration)
    assert answer.status == 200 and answer.json["errors"] == [], answer
    assert failures_told(fleet, name) == 0
    [[claimed, failed]] = fleet.postgres.query(f"SELECT claimed_until IS NULL, failed_at IS NULL FROM refresh"
                                               f" WHERE connection_id = {row_of(name)}")
    assert (claimed, failed) == ("t", "t")
    return answer.json["credentials"]["access_token"]


def end_claims(fleet):
    """The time that whoever is at it has in Redis and in Postgres is over."""
    with fleet.history.fault("claims_end"):
        fleet.postgres.query("UPDATE refresh SET claimed_until = now() WHERE claimed_until IS NOT NULL")
        for key in fleet.redis.command("KEYS", "*lock:0:*"):
            fleet.redis.command("DEL", key)


def called(server, before):
    wait_until("the token endpoint is asked", lambda: server.count() > before, 15, 0.01)


def point(fleet, what):
    """All nodes, the first one with this fault."""
    fleet.all()
    victim = fleet.nodes[0]
    victim.stop()
    victim.environment = {"SLUICE_FAULT": what}
    victim.start()
    return victim


@test(name="F34 20 jobs on 4 nodes of a connection whose token has run out: one token call, also of a slow endpoint; others do not wait")
def _(fleet):
    fleet.all()
    server, before, family = started(fleet, "race")
    connect(fleet, "other", server.grant(), left=3600)
    server.hold()
    jobs = submit(fleet, "race")
    called(server, before)
    wait_until("all jobs are at it", lambda: busy(fleet) == JOBS, 15)
    finish(fleet, submit(fleet, "other", count=4))
    assert busy(fleet) == JOBS and len(family.old) == 0
    server.release()
    finish(fleet, jobs)
    assert server.count() == before + 1 and len(family.old) == 1, server.calls[before:]
    assert well(fleet, "race") == family.access


@test(name="F34 one invalid_grant: asked again before it is believed, and nobody hears of it")
def _(fleet):
    fleet.all()
    server, before, family = started(fleet, "once")
    server.plan([server.refuse("invalid_grant")])
    finish(fleet, submit(fleet, "once"))
    assert server.count() == before + 2 and len(family.old) == 1, server.calls[before:]
    assert well(fleet, "once") == family.access


def lost(fleet, name, integration):
    """A node is killed with a new token in its hands, jobs of other nodes wait for it; then its claim is over."""
    victim = point(fleet, "token_answered=kill")
    server, before, family = started(fleet, name, integration)
    server.hold()
    asked = Ask(fleet, name, victim, integration)
    called(server, before)
    jobs = submit(fleet, name, 8, integration, fleet.nodes[1:])
    wait_until("the jobs are at it", lambda: busy(fleet) == 8, 15)
    began = time.monotonic()
    server.release()
    wait_until("the node dies", lambda: not fleet.running(victim), 10, 0.01)
    fleet.history.write("fault", what="node_kill", node=0, began=began, until=time.monotonic())
    asked.join(10)
    assert asked.answer is None and server.count() == before + 1 and len(family.old) == 1
    end_claims(fleet)
    return server, before, family, jobs


if has_points():
    @test(name="F34 killed between the answer and the store, the endpoint gives the new pair again: jobs go on, nobody hears of it")
    def _(fleet):
        server, before, family, jobs = lost(fleet, "given-again", "lenient")
        finish(fleet, jobs)
        assert server.count() == before + 2 and len(family.old) == 1, server.calls[before:]
        assert well(fleet, "given-again", "lenient") == family.access

    @test(name="F34 killed between the answer and the store, the endpoint revokes on reuse: marked, told once, well when connected again")
    def _(fleet):
        server, before, family, jobs = lost(fleet, "revoked", "strict")
        answers = [fleet.finish(job, node=fleet.nodes[1]) for job in jobs]
        assert all(answer.status == 424 for answer in answers), answers
        assert server.count() == before + 3 and family.revoked, server.calls[before:]
        for node in fleet.nodes[1:]:
            assert read(fleet, "revoked", node).code == "connection_refresh_backoff"
        assert read(fleet, "revoked", fleet.nodes[2], force_refresh="true").code == "invalid_credentials"
        listed = fleet.request("GET", "/connections?connectionId=revoked", node=fleet.nodes[3]).json["connections"][0]
        assert [each["type"] for each in listed["errors"]] == ["auth"], listed

        def told():
            return [each for each in fleet.sink.seen("/auth") if each.json.get("connectionId") == "revoked"
                    and each.json.get("operation") == "refresh"]
        wait_until("it is told", told, 10)
        assert not told()[0].json["success"] and "invalid_grant" in told()[0].json["error"]["description"], told()[0].json
        newer = server.grant()
        connect(fleet, "revoked", newer)
        finish(fleet, submit(fleet, "revoked", 4, nodes=fleet.nodes[1:]))
        assert read(fleet, "revoked", fleet.nodes[1]).json["errors"] == [] and len(newer.old) == 1
        assert len(told()) == failures_told(fleet, "revoked") == 1

    @test(name="F34 killed right behind the store: the others have the new token without a call, whoever held the lock is gone")
    def _(fleet):
        victim = point(fleet, "token_stored=kill")
        server, before, family = started(fleet, "stored")
        asked = Ask(fleet, "stored", victim)
        wait_until("the node dies", lambda: not fleet.running(victim), 10, 0.01)
        asked.join(10)
        finish(fleet, submit(fleet, "stored", 8, nodes=fleet.nodes[1:]))
        assert server.count() == before + 1 and well(fleet, "stored") == family.access

    @test(name="F34 frozen with a new token in its hands until others have a newer one, refreshed or imported: the older one is dropped")
    def _(fleet):
        for name, imported in (("newer", False), ("imported", True)):
            victim = point(fleet, "token_answered=stop")
            server, before, family = started(fleet, name, "kept")
            asked = Ask(fleet, name, victim, "kept")
            wait_until("the node stands", lambda victim=victim: state_of(victim) == "T", 10, 0.01)
            older = family.access
            end_claims(fleet)
            if imported:
                family = server.grant()
                connect(fleet, name, family, left=3600, integration="kept")
            else:
                finish(fleet, submit(fleet, name, 4, "kept", fleet.nodes[1:]))
                assert server.count() == before + 2
            assert family.access != older and read(fleet, name, fleet.nodes[1], "kept").json["credentials"]["access_token"] == family.access
            fleet.wake(victim)
            assert asked.token() == family.access, "the node that slept gave out the older token"
            assert read(fleet, name, victim, "kept").json["credentials"]["access_token"] == family.access
            assert well(fleet, name, "kept") == family.access


@test(name="F34 F13 Redis killed while the token call is out, and restarted empty: the claim in Postgres holds, still one call")
def _(fleet):
    fleet.all()
    server, before, family = started(fleet, "emptied")
    server.hold()
    asked = [Ask(fleet, "emptied", node) for node in fleet.nodes]
    called(server, before)
    with fleet.history.fault("redis_kill"):
        fleet.redis.process.kill()
        fleet.redis.process.wait()
        asked += [Ask(fleet, "emptied", node) for node in fleet.nodes]
        time.sleep(0.4)  # some polls of all who wait
        assert server.count() == before + 1
        fleet.restart_redis()
    jobs = submit(fleet, "emptied", 8, retries=5)
    wait_until("the jobs are at it", lambda: busy(fleet) == 8, 15)
    assert server.count() == before + 1
    server.release()
    assert {each.token() for each in asked} == {family.access}
    finish(fleet, jobs)
    assert server.count() == before + 1 and well(fleet, "emptied") == family.access


class RefreshFleet(Fleet):
    """With token endpoints: one revokes on reuse, one gives the new pair again until it is used, one keeps the refresh token."""

    def __enter__(self):
        self.servers = {"strict": Tokens(), "lenient": Tokens(lenient=True), "kept": Tokens(rotate=False)}
        self.sink = Sink()
        try:
            return super().__enter__()
        except BaseException:
            self.stop_servers()
            raise

    def stop_servers(self):
        for server in (*self.servers.values(), self.sink):
            server.stop()

    def __exit__(self, *exc):
        for server in self.servers.values():
            server.release()
        super().__exit__(*exc)
        self.stop_servers()

    def provide(self):
        for key, server in self.servers.items():
            made = self.request("POST", "/integrations", {
                "provider": "private-api-oauth2", "unique_key": key,
                "credentials": {"type": "OAUTH2", "client_id": CLIENT[0], "client_secret": CLIENT[1]},
                "integration_config": {"baseUrl": server.url, "tokenUrl": server.url + "/token", "authorizationUrl": server.url}})
            assert made.status == 200, made
            self.deploy({"go": "return (await nango.get({ endpoint: '/resource', retries: 0 })).status;"}, key)
        self.concurrency("dev", "environment", 2 * JOBS)
        done = self.request("PATCH", "/admin/v1/environments/dev", {"webhook_url": self.sink.url + "/auth"}, key=self.keys["SLUICE_OPERATOR_KEY"])
        assert done.status == 200, done


main(lambda: RefreshFleet(nodes=4, proxied=False, prepare=RefreshFleet.provide))
