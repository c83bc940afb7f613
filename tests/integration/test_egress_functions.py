"""Requests of functions to a provider: who waits for a provider's limit, and what others may do meanwhile."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, wait_until
from tap import main, test
from tokens import CLIENT, Tokens

FUNCTIONS = {
    "go": "const r = await nango.get(input); return r.data;",
    "status": "try { return (await nango.get(input)).status } catch (e) { return e.response ? e.response.status : e.code }",
    "account": "const caught = async (f) => { try { return await f() } catch (e) { return { message: e.message, status: e.response && e.response.status,"
               " axios: e.isAxiosError, data: e.response && e.response.data } } };"
               " const out = []; for (const [op, ...args] of input) out.push(await caught(() => nango[op](...args))); return out;",
    "inside": "return nango.triggerAction('w', nango.connectionId, 'go', input);",
}


def own(rig, name):
    """A connection of the test: what it learns of limits is nobody else's."""
    rig.connection(name)
    return name


def limited(rig, name, seconds=1):
    """A path whose first answer is a 429 that lasts so long."""
    rig.witness.script(name, [(429, {"retry-after": str(seconds)}, {})])
    return f"/script/{name}"


def gauges(rig):
    lines = rig.request("GET", "/metrics", key=None).body.decode().splitlines()
    return {name: int(value) for name, _, value in (line.partition(" ") for line in lines) if name in ("sluice_running", "sluice_runs_waiting")}


def lines(rig, part):
    """What the log says of tries of URLs with this part, by the names of its values."""
    found = [line for line in rig.nodes[0].log().splitlines() if 'msg="provider_request"' in line and part in line]
    return [dict(word.partition("=")[::2] for word in line.split()) for line in found]


# ---- a run that waits holds no place

@test
def jobs_and_calls_go_on_while_as_many_jobs_as_there_are_places_wait(rig):
    paths = [limited(rig, "job-a"), limited(rig, "job-b")]
    waiting = [rig.submit("go", {"endpoint": path, "retries": 1}, connection=f"c{n}") for n, path in enumerate(paths)]
    wait_until("both wait, and are counted so", lambda: gauges(rig) == {"sluice_running": 0, "sluice_runs_waiting": 2})
    assert rig.finish(rig.submit("go", {"endpoint": "/ok/job-c"}, connection="c2")).json["path"] == "/ok/job-c"
    assert rig.call("go", {"endpoint": "/ok/call"}).json["path"] == "/ok/call"
    assert [len(rig.witness.seen(path)) for path in paths] == [1, 1], "the places were held until the wait was over"
    for path, job in zip(paths, waiting):
        assert rig.finish(job).json["n"] == 2
        first, second = rig.witness.seen(path)
        assert second.began - first.ended >= 0.9, second.began - first.ended


@test
def calls_of_actions_in_actions_go_on_while_others_of_them_wait(rig):
    paths = [limited(rig, "inner-a"), limited(rig, "inner-b")]
    waiting = [rig.submit("inside", {"endpoint": path, "retries": 1}, connection=f"c{n}") for n, path in enumerate(paths)]
    for path in paths:
        rig.witness.wait_seen(path)
    assert rig.call("inside", {"endpoint": "/ok/inner"}).json["path"] == "/ok/inner"
    assert [len(rig.witness.seen(path)) for path in paths] == [1, 1], "the places were held until the wait was over"
    for job in waiting:
        assert rig.finish(job).json["n"] == 2


@test
def a_run_that_is_cancelled_while_it_waits_lends_nothing_more(rig):
    path = limited(rig, "cancelled", 10)
    job = rig.submit("go", {"endpoint": path, "retries": 1}, connection=own(rig, "cancelled"))
    wait_until("it waits", lambda: gauges(rig)["sluice_runs_waiting"] == 1)
    assert rig.request("DELETE", f"/action/{job}").status == 200
    wait_until("none waits", lambda: gauges(rig) == {"sluice_running": 0, "sluice_runs_waiting": 0})


@test
def a_job_that_failed_at_a_limit_comes_back_behind_it(rig):
    path = limited(rig, "again", 2)
    job = rig.submit("go", {"endpoint": path}, retries=1, connection=own(rig, "again"))
    wait_until("it is to come back", lambda: rig.poll(job).headers.get("x-sluice-state") == "retrying")
    assert rig.finish(job).json["n"] == 2
    first, second = rig.witness.seen(path)
    assert second.began - first.ended >= 1.9, second.began - first.ended
    assert int(lines(rig, path)[1]["gate_ms"]) < 500, "it waited in a worker's hands"


# ---- tries

@test
def a_401_is_final_unless_the_credentials_changed(rig):
    rig.witness.script("final", [(401, {}, {})])
    assert rig.call("status", {"endpoint": "/script/final", "retries": 3}).json == 401
    assert len(rig.witness.seen("/script/final")) == 1

    def changed(call):
        if call.headers["authorization"].endswith("-old"):
            rig.connection("turned", api_key="key-new")
            return 401, {"retry-after": "0"}, b"{}"
        return 200, {}, b"{}"
    rig.witness.routes["turned"] = changed
    rig.connection("turned", api_key="key-old")
    assert rig.call("status", {"endpoint": "/turned", "retries": 3, "retryOn": [401]}, connection="turned").json == 200
    assert [c.headers["authorization"] for c in rig.witness.seen("/turned")] == ["Bearer key-old", "Bearer key-new"]


@test
def a_wait_that_is_longer_than_the_run_may_last_is_not_begun(rig):
    path = limited(rig, "late", 60)
    ask = {"endpoint": path, "retries": 2}
    assert rig.call("status", ask, connection=own(rig, "late")).json == 429  # the answer at hand
    assert rig.call("status", {**ask, "retryHeader": {"after": "retry-after"}}, connection="late").json == "ETIMEDOUT"  # it was not sent
    assert len(rig.witness.seen(path)) == 1


@test
def credentials_follow_to_another_origin_only_when_they_are_told_to(rig):
    rig.connection("moved", api_key=rig.tokens.grant().access)
    for forward, status in ((False, 401), (True, 200)):
        rig.witness.script("moved", [(302, {"location": rig.tokens.url + "/resource"}, {})])
        ask = {"endpoint": "/script/moved", "forwardHeadersOnRedirect": forward}
        assert rig.call("status", ask, connection="moved").json == status, forward


# ---- credentials

def oauth(rig, name, family, left):
    """A connection of the token server whose token ends in so many seconds."""
    ends = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + left))
    done = rig.request("POST", "/connections", {"provider_config_key": "oauth", "connection_id": name, "credentials": {
        "type": "OAUTH2", "access_token": family.access, "refresh_token": family.refresh, "expires_at": ends}})
    assert done.status == 201, done
    return name


def ask(rig, name, *steps):
    answer = rig.call("account", list(steps), connection=name, integration="oauth")
    assert answer.status == 200, answer
    return answer.json


@test
def a_request_carries_a_token_that_is_good_to_use(rig):
    family = rig.tokens.grant()
    name, before = oauth(rig, "ends", family, 60), rig.tokens.count()
    assert ask(rig, name, ["get", {"endpoint": "/resource"}], ["get", {"endpoint": "/resource"}])[1]["status"] == 200
    assert rig.tokens.count() == before + 1


@test
def a_token_that_was_refused_is_refreshed_before_it_is_sent_again(rig):
    family = rig.tokens.grant()
    name, before = oauth(rig, "refused", family, 3600), rig.tokens.count()
    family.access = "another"  # the provider has forgotten ours
    got = ask(rig, name, ["get", {"endpoint": "/resource"}], ["get", {"endpoint": "/resource", "retries": 3}])
    assert [each["status"] for each in got] == [401, 200], got
    assert rig.tokens.count() == before + 1 and len(lines(rig, "/resource")) >= 3


@test
def getConnection_refreshes_as_it_is_told(rig):
    family = rig.tokens.grant()
    name = oauth(rig, "read", family, 3600)
    old = family.access
    first, again, forced, with_token, token = ask(rig, name, ["getConnection"], ["getConnection"], ["getConnection", None, None, {"forceRefresh": True}],
                                                  ["getConnection", None, None, {"refreshToken": True}], ["getToken"])
    assert first["credentials"]["access_token"] == again["credentials"]["access_token"] == old and "refresh_token" not in first["credentials"], first
    assert forced["credentials"]["access_token"] == family.access != old, forced
    assert with_token["credentials"]["refresh_token"] == family.refresh, with_token
    assert token == family.access, token


@test
def credentials_that_cannot_be_refreshed_are_what_the_api_answers(rig):
    name = oauth(rig, "dead", rig.tokens.grant(), -60)
    refusal = (400, "application/json", b'{"error":"invalid_grant","error_description":"it was revoked"}')
    rig.tokens.plan([refusal, refusal])
    read, sent = ask(rig, name, ["getConnection"], ["get", {"endpoint": "/resource"}])
    for got, code in ((read, "invalid_credentials"), (sent, "connection_refresh_backoff")):
        assert got["axios"] and got["status"] == 424 and got["message"] == "Request failed with status code 424", got
        assert got["data"]["error"]["code"] == code and got["data"]["error"]["payload"]["connection_id"] == name, got
        assert got["data"]["error"]["payload"]["credentials"] == {}, got
    answer = rig.call("go", {"endpoint": "/resource"}, connection=name, integration="oauth")
    assert answer.status == 424 and answer.code == "script_http_error", answer


# ---- the log

@test
def each_try_is_one_line(rig):
    path = limited(rig, "line")
    rig.call("go", {"endpoint": path, "params": {"a": "1", "b": "x=y"}, "retries": 1}, connection=own(rig, "line"))
    first, second = lines(rig, path)
    assert first["by"] == '"function=go"' and first["connection"] == '"line"' and first["method"] == "GET", first
    assert first["url"] == f'"{rig.witness.url}{path}?a&b"', first
    assert (first["status"], first["code"], first["try"], first["retry_ms"]) == ("429", "none", "1", "0"), first
    assert (second["status"], second["try"]) == ("200", "2") and int(second["retry_ms"]) >= 1000, second
    rig.call("go", {"endpoint": "/", "baseUrlOverride": "http://127.0.0.1:1"}, connection="c2")
    assert lines(rig, "http://127.0.0.1:1/")[0]["code"] == "ECONNREFUSED"


@test
def no_secret_comes_up_in_the_log(rig):
    secret = "planted-0123456789"
    done = rig.request("POST", "/integrations", {"provider": "private-api-generic", "unique_key": "queried", "integration_config": {
        "baseUrl": rig.witness.url, "keyPlacement": "query", "keyName": "key"}})
    assert done.status == 200, done
    for integration in ("w", "queried"):
        rig.connection("planted", integration, api_key=secret)
        rig.deploy({"go_planted": FUNCTIONS["go"]}, integration)
        done = rig.call("go_planted", {"endpoint": f"/ok/{integration}?of={secret}&{secret}", "params": {"to": secret}, "headers": {"x-mine": secret}},
                        connection="planted", integration=integration)
        assert done.json["path"] == f"/ok/{integration}", done
        assert lines(rig, f"/ok/{integration}"), "it is not told of"
        rig.call("go_planted", {"endpoint": "/", "baseUrlOverride": f"http://me:{secret}@127.0.0.1:1"}, connection="planted", integration=integration)
    assert secret not in rig.nodes[0].log()


class TokenRig(Rig):
    def __enter__(self):
        self.tokens = Tokens()
        try:
            return super().__enter__()
        except BaseException:
            self.tokens.stop()
            raise

    def __exit__(self, *exc):
        super().__exit__(*exc)
        self.tokens.stop()


def prepare(rig):
    rig.prepare(FUNCTIONS)
    done = rig.request("POST", "/integrations", {
        "provider": "private-api-oauth2", "unique_key": "oauth", "credentials": {"type": "OAUTH2", "client_id": CLIENT[0], "client_secret": CLIENT[1]},
        "integration_config": {"baseUrl": rig.tokens.url, "tokenUrl": rig.tokens.url + "/token", "authorizationUrl": rig.tokens.url}})
    assert done.status == 200, done
    rig.deploy({name: FUNCTIONS[name] for name in ("account", "go")}, "oauth")
    for n in range(3):
        rig.connection(f"c{n}")
    done = rig.request("PATCH", "/admin/v1/environments/dev", {"concurrency": {"by": "connection", "limit": 1}},
                       key=rig.keys["SLUICE_OPERATOR_KEY"])
    assert done.status == 200, done


main(lambda: TokenRig(settings={"runners": "2", "call_runners": "0", "retry_first": "100ms", "action_timeout": "30s"}, prepare=prepare))
