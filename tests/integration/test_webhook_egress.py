"""Webhooks, functions, the proxy and token calls reach only what they may: inner addresses in each spelling, names with one, names that change; odd URLs are not taken."""
import os
import subprocess
import sys

LIB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib")
sys.path.insert(0, LIB)
from hosts import INNER, ODD
from rig import Rig, wait_until
from sink import Sink, moved, status
from tap import main, test

OPEN, CLOSED = "127.0.0.2", "127.0.0.1"  # loopback both; the node may reach the first only
NAMES = f"""open.test {OPEN}
closed-first.test {CLOSED},{OPEN}
closed-last.test {OPEN},{CLOSED}
turns.test {OPEN} {CLOSED} {OPEN}
turned.test {CLOSED} {OPEN}
flips.test {OPEN} {CLOSED} {OPEN} {CLOSED} {OPEN} {CLOSED}
"""


def operator(rig, method, path, body=None):
    return rig.request(method, f"/admin/v1/{path}", body, key=rig.keys["SLUICE_OPERATOR_KEY"])


def tries(rig, name):
    """[(status, failure)] of what was sent for a connection."""
    return [(int(code), failure) for code, failure in rig.postgres.query(
        "SELECT t.status, t.failure FROM delivery_try t JOIN delivery d ON d.id = t.delivery_id JOIN outbox o ON o.id = d.event_id"
        f" JOIN connection c ON c.id = o.connection_id WHERE c.connection_id = '{name}' ORDER BY d.id, t.number")]


def told(rig, name, url, count=1):
    """Its own URL, and an event for it; the first count tries."""
    rig.connection(name, webhook_url_override=url)
    rig.finish(rig.submit("done", {}, connection=name))
    return wait_until(f"{url} was tried", lambda: (lambda rows: rows if len(rows) >= count else None)(tries(rig, name)), 20)


@test(seconds=90)
def no_spelling_of_an_inner_address_is_sent_to(rig):
    for n, host in enumerate(INNER):
        rig.connection(f"inner-{n}", webhook_url_override=f"http://{host}:{rig.closed.port}/hook")
    jobs = [rig.submit("done", {}, connection=f"inner-{n}") for n in range(len(INNER))]
    for job in jobs:
        rig.finish(job)
    for n, host in enumerate(INNER):
        [first] = wait_until(f"{host} was tried", lambda n=n: tries(rig, f"inner-{n}")[:1], 20)
        assert first == (0, "refused_url") or (host, first) == ("localhost.", (0, "ENOTFOUND")), (host, first)
    assert not rig.closed.seen()


@test
def a_test_call_does_not_get_further(rig):
    for host in INNER:
        answer = operator(rig, "POST", "webhooks/test", {"environment": "dev", "url": f"http://{host}:{rig.closed.port}/hook"})
        assert answer.status == 200 and answer.json["status"] is None and answer.json["failure"] in ("refused_url", "ENOTFOUND"), (host, answer)
    assert not rig.closed.seen()


@test
def odd_urls_are_not_taken_or_not_sent_to(rig):
    for url in ODD:
        tried = operator(rig, "POST", "webhooks/test", {"environment": "dev", "url": url})
        assert tried.status == 400 or tried.json["failure"] == "refused_url", (url, tried)
        answer = operator(rig, "PATCH", "environments/dev", {"webhook_url_secondary": url})
        assert answer.status == tried.status, (url, answer)
        answer = rig.request("POST", "/connections", {"provider_config_key": "w", "connection_id": "odd", "webhook_url_override": url,
                                                      "credentials": {"type": "API_KEY", "apiKey": "k"}})
        assert answer.status == {200: 201}.get(tried.status, 400), (url, answer)
    assert operator(rig, "PATCH", "environments/dev", {"webhook_url_secondary": None}).status == 200
    assert not rig.closed.seen()


@test
def what_may_be_reached_is_reached(rig):
    assert told(rig, "open", f"http://open.test:{rig.open.port}/open") == [(200, "")]
    assert rig.open.seen("/open")


@test
def a_name_with_an_inner_address_is_not_sent_to(rig):
    assert told(rig, "first", f"http://closed-first.test:{rig.closed.port}/first") == [(0, "refused_url")]
    assert told(rig, "last", f"http://closed-last.test:{rig.closed.port}/last") == [(0, "refused_url")]  # though the first one may be asked
    assert not rig.closed.seen() and not rig.open.seen("/last")


@test
def a_name_that_changes_is_judged_by_what_it_is_when_it_is_asked(rig):
    rig.open.answer("/turns", status(500, {"connection": "close"}))
    seen = told(rig, "turns", f"http://turns.test:{rig.open.port}/turns", 3)
    assert (0, "refused_url") in seen or not rig.lookups("turns.test") > 1, seen
    assert told(rig, "turned", f"http://turned.test:{rig.open.port}/turned")[0] == (0, "refused_url")
    assert not rig.closed.seen()


@test
def a_redirect_is_an_answer_and_leads_nowhere(rig):
    rig.open.answer("/moved", moved(f"{rig.closed.url}/x"), moved(f"{rig.open.url}/x", 307))
    assert told(rig, "moved", f"{rig.open.url}/moved", 2)[:2] == [(302, "http_status"), (307, "http_status")]
    assert not rig.closed.seen() and not rig.open.seen("/x")


def turned_away(rig, host, path):
    """By all ways out: a function, fetch, the proxy, a token endpoint."""
    base = f"http://{host}:{rig.open.port}"
    got = rig.call("get", base + path)
    assert got.status == 500 and got.code == "script_network_error", got
    got = rig.call("fetch", base + path)
    assert got.json == "url_not_allowed", got
    named = {"Connection-Id": "c", "Provider-Config-Key": "w", "Base-Url-Override": base}
    got = rig.request("GET", "/proxy" + path, headers=named)
    assert (got.status, got.code) == (400, "base_url_override_not_allowed"), got
    key = "t" + host.replace("[", "").replace("]", "").replace(":", "-")
    config = {"baseUrl": base, "tokenUrl": base + path, "authorizationUrl": base}
    made = rig.request("POST", "/integrations", {"provider": "private-api-oauth2", "unique_key": key, "integration_config": config,
                                                 "credentials": {"type": "OAUTH2", "client_id": "a", "client_secret": "b"}})
    assert made.status == 200, made
    made = rig.request("POST", "/connections", {"provider_config_key": key, "connection_id": "c", "credentials":
                                                {"type": "OAUTH2", "access_token": "a", "refresh_token": "r",
                                                 "expires_at": "2020-01-01T00:00:00Z"}})
    assert made.status == 201, made
    got = rig.request("GET", f"/connections/c?provider_config_key={key}")
    assert got.status == 424 and "token URL is refused" in got.json["error"]["message"], got


@test(seconds=60)
def all_other_ways_out_are_guarded_alike(rig):
    before = len(rig.closed.seen())
    for host in ("closed-first.test", "closed-last.test", CLOSED, "0x7f.1", "[::ffff:7f00:1]"):
        turned_away(rig, host, "/inner")
    assert len(rig.closed.seen()) == before and not rig.open.seen("/inner")
    seen = {rig.call("get", f"http://flips.test:{rig.open.port}/flips").status for _ in range(4)}
    assert seen <= {200, 500}, seen  # each address is judged as it is when it is asked
    assert rig.call("get", f"http://open.test:{rig.open.port}/fine").json == 200
    assert not rig.closed.seen(), "and none went to the proxy that the environment names"


class Guarded(Rig):
    """One node, which may reach OPEN and no other inner address; two receivers, of the same port."""

    def _enter(self):
        super()._enter()
        self.open = Sink(host=OPEN)
        self.closed = Sink(host=CLOSED, port=self.open.port)
        self.names = f"{self.directory}/names"
        with open(self.names, "w", encoding="ascii") as file:
            file.write(NAMES)
        library = f"{self.directory}/names.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, f"{LIB}/names.c", "-ldl"], check=True)
        node = self.nodes[0]
        proxied = {name: self.closed.url for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")}
        node.environment = {"LD_PRELOAD": library, "NAMES": self.names, **proxied}
        node.start()
        self.read_keys()
        self.prepare({"done": "return 1;", "get": "return (await nango.get({ endpoint: '', baseUrlOverride: input })).status;",
                      "fetch": """try { return (await nango.uncontrolledFetch({ url: new URL(input) })).status; }
                                  catch (e) { return e.payload ? e.payload.code : String(e); }"""})
        assert operator(self, "PATCH", "environments/dev", {"webhook_events": "async_action"}).status == 200

    def lookups(self, name):
        try:
            return os.path.getsize(f"{self.names}.{name}")
        except FileNotFoundError:
            return 0

    def __exit__(self, *exc):
        super().__exit__(*exc)
        for sink in (self.open, self.closed):
            sink.stop()


main(lambda: Guarded(start=False, settings={"egress_allow": f"{OPEN}/32", "delivery_schedule": "0s,200ms,200ms,1h"}))
