#!/usr/bin/env python3
"""Credentials that are good to use: refreshed once in the fleet, never overwritten by an older one, told of when not."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from servers import wait_until  # noqa: E402
from sink import SinkRig  # noqa: E402
from tap import main, test  # noqa: E402
from tokens import CLIENT, Tokens  # noqa: E402

rig = tokens = None
serial = iter(range(1, 10000))


def iso(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + seconds))


def integration(server=None, key="oauth", provider="private-api-oauth2", **more):
    server = server or tokens
    credentials = {"type": "OAUTH2", "client_id": CLIENT[0], "client_secret": CLIENT[1]} if provider.endswith("oauth2") else None
    body = {"provider": provider, "unique_key": key,
            "integration_config": {"baseUrl": server.url, "tokenUrl": server.url + "/token", "authorizationUrl": server.url}, **more}
    if credentials:
        body["credentials"] = credentials
    done = rig.request("POST", "/integrations", body)
    assert done.status == 200 or "unique" in done.body.decode(), done


def connect(family, left=60, key="oauth", name=None, **more):
    """A connection whose token ends in left seconds; its name."""
    name = name or f"c{next(serial)}"
    credentials = {"type": "OAUTH2", "access_token": family.access, **more}
    if family.refresh:
        credentials["refresh_token"] = family.refresh
    if left is not None:
        credentials["expires_at"] = iso(left)
    made = rig.request("POST", "/connections", {"provider_config_key": key, "connection_id": name, "credentials": credentials})
    assert made.status == 201, made
    return name


def read(name, key="oauth", node=None, **query):
    extra = "".join(f"&{k}={v}" for k, v in query.items())
    return rig.request("GET", f"/connections/{name}?provider_config_key={key}{extra}", node=rig.nodes[node or 0])


def sql(text):
    return rig.postgres.query(text)


def row_of(name):
    return f"(SELECT id FROM connection WHERE connection_id = '{name}')"


@test
def a_token_that_ends_soon_is_refreshed_when_it_is_read(_rig):
    family = tokens.grant()
    name = connect(family, left=14 * 60)
    before = tokens.count()
    first = read(name, refresh_token="true")
    assert first.status == 200, first
    shown = first.json["credentials"]
    assert shown["access_token"] == family.access and shown["refresh_token"] == family.refresh, shown
    assert shown["expires_at"] > iso(3000) and shown["raw"]["scope"] == "all", shown
    assert read(name).json["credentials"]["access_token"] == family.access
    assert tokens.count() == before + 1


@test
def one_that_lives_longer_is_left_alone_until_it_is_forced(_rig):
    family = tokens.grant()
    name = connect(family, left=16 * 60)
    before = tokens.count()
    assert read(name).json["credentials"]["access_token"] == family.access
    assert tokens.count() == before
    assert read(name, force_refresh="true").json["credentials"]["access_token"] == family.access
    assert tokens.count() == before + 1 and len(family.old) == 1


@test
def twenty_callers_on_four_nodes_make_one_call(_rig):
    family = tokens.grant()
    name = connect(family)
    before = tokens.count()
    tokens.hold()
    answers = []

    def ask(i):
        answers.append(read(name, node=i % 4))

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    wait_until("the call of the token endpoint", lambda: tokens.count() > before, 10)
    time.sleep(0.3)  # the others come to the lock meanwhile
    tokens.release()
    for thread in threads:
        thread.join(30)
    assert [a.json["credentials"]["access_token"] for a in answers] == [family.access] * 20, answers
    assert tokens.count() == before + 1, tokens.count() - before


@test
def a_refresh_token_that_is_not_sent_again_is_kept(_rig):
    with Tokens(rotate=False) as server:
        integration(server, "kept")
        family = server.grant()
        name = connect(family, key="kept")
        for _ in range(2):
            shown = read(name, "kept", force_refresh="true", refresh_token="true").json["credentials"]
            assert shown["refresh_token"] == family.refresh and shown["access_token"] == family.access, shown


@test
def client_credentials_get_their_first_token_when_it_is_needed(_rig):
    integration(key="cc", provider="private-api-oauth2-cc")
    made = rig.request("POST", "/connections", {"provider_config_key": "cc", "connection_id": "machine", "credentials":
                                                {"type": "OAUTH2_CC", "client_id": CLIENT[0], "client_secret": CLIENT[1]}})
    assert made.status == 201, made
    before = tokens.count()
    shown = read("machine", "cc").json["credentials"]
    assert shown["type"] == "OAUTH2_CC" and shown["token"] == tokens.families[-1].access, shown
    assert read("machine", "cc").json["credentials"]["token"] == shown["token"] and tokens.count() == before + 1


@test
def a_refusal_is_confirmed_told_and_backed_off_from(_rig):
    family = tokens.grant()
    name = connect(family, left=300)
    family.revoked = True
    before, told = tokens.count(), len(rig.sink.requests)
    answer = read(name)
    assert answer.status == 424 and answer.code == "invalid_credentials", answer
    error = answer.json["error"]
    assert "invalid_grant" in error["message"] and error["payload"]["connection_id"] == name, error
    assert error["payload"]["credentials"] == {} and family.refresh not in answer.body.decode(), error
    assert tokens.count() == before + 2
    assert read(name).code == "connection_refresh_backoff" and read(name, node=1).code == "connection_refresh_backoff"
    listed = rig.request("GET", f"/connections?connectionId={name}").json["connections"][0]
    assert [e["type"] for e in listed["errors"]] == ["auth"] and len(listed["errors"][0]["log_id"]) == 36, listed
    assert read(name, force_refresh="true").code == "invalid_credentials"
    events = []

    def told_now():
        events[:] = [r.json for r in rig.sink.requests[told:] if r.json.get("operation") == "refresh"]
        return events

    wait_until("the webhook", told_now, 10)
    assert rig.postgres.query(f"SELECT count(*) FROM outbox WHERE connection_id = {row_of(name)} AND outcome = 3") == [["1"]]
    event = events[0]  # the second failure in a row was no news
    assert (event["type"], event["operation"], event["success"], event["connectionId"]) == ("auth", "refresh", False, name), event
    assert event["error"]["type"] == "refresh_token_refused" and "invalid_grant" in event["error"]["description"], event
    family.revoked = False
    assert read(name, force_refresh="true").status == 200 and read(name).json["errors"] == []


@test
def one_refusal_alone_is_not_believed(_rig):
    family = tokens.grant()
    name = connect(family)
    tokens.plan([tokens.refuse("invalid_grant")])
    answer = read(name)
    assert answer.status == 200 and answer.json["credentials"]["access_token"] == family.access and answer.json["errors"] == [], answer


@test
def an_endpoint_that_is_away_costs_nothing_while_the_token_lives(_rig):
    family = tokens.grant()
    name, dead = connect(family, left=300), connect(family, left=-5)
    odd = [(503, "text/html", "<html>busy</html>"), (200, "text/html", "<html>welcome</html>"), (200, "application/json", "")]
    tokens.plan(odd)
    answer = read(name)
    assert answer.status == 200 and answer.json["credentials"]["access_token"] == family.access and answer.json["errors"] == [], answer
    before = tokens.count()
    assert read(name).status == 200 and tokens.count() == before  # not asked again at once
    tokens.plan(odd)
    answer = read(dead)
    assert answer.status == 424 and answer.code == "invalid_credentials", answer
    assert len(read(dead, force_refresh="true").json["credentials"]) > 0


@test
def four_failing_days_exhaust_it_until_it_is_forced(_rig):
    family = tokens.grant()
    name = connect(family, left=-5)
    family.revoked = True
    for day in range(4):
        assert read(name).code == "invalid_credentials", day
        sql(f"UPDATE refresh SET failing_day = failing_day - 1, failed_at = failed_at - interval '1 day'"
            f" WHERE connection_id = {row_of(name)}")
        sql("SELECT pg_notify('sluice_catalog', '1')")
    before = tokens.count()
    assert read(name).code == "connection_refresh_exhausted" and tokens.count() == before
    family.revoked = False
    assert read(name, force_refresh="true").status == 200
    assert sql(f"SELECT failing_days, failed_at IS NULL FROM refresh WHERE connection_id = {row_of(name)}") == [["0", "t"]]


@test
def a_token_that_lives_serves_while_a_dead_node_holds_the_claim(_rig):
    family = tokens.grant()
    living, ended = connect(family, left=300), connect(family, left=-5)
    for name in (living, ended):
        sql(f"INSERT INTO refresh (connection_id, claim, claimed_until) VALUES ({row_of(name)}, 1, now() + interval '7 seconds')")
    before = tokens.count()
    waits = threading.Thread(target=lambda: read(ended))
    waits.start()
    answer = read(living)
    assert answer.status == 200 and answer.json["credentials"]["access_token"] == family.access and tokens.count() == before, answer
    waits.join(20)
    assert tokens.count() == before + 1, "who has no token waits for the claim to end"


@test
def an_import_in_the_middle_of_a_refresh_stays(_rig):
    family, newer = tokens.grant(), tokens.grant()
    name = connect(family)
    before = tokens.count()
    tokens.hold()
    answers = []
    thread = threading.Thread(target=lambda: answers.append(read(name)))
    thread.start()
    wait_until("the call", lambda: tokens.count() > before, 10)
    connect(newer, left=7200, name=name)
    tokens.release()
    thread.join(30)
    assert answers[0].json["credentials"]["access_token"] == newer.access, answers
    assert read(name).json["credentials"]["access_token"] == newer.access


@test
def what_token_answers_may_look_like(_rig):
    def body(**members):
        return 200, "application/json", __import__("json").dumps({"access_token": "x" + str(next(serial)), **members})

    rows = [(body(), None), (body(expires_in=0), None), (body(expires_in=-1), None), (body(expires_in="soon"), None),
            (body(expires_in=10**12), None), (body(expires_in="7200"), 7200), (body(expires_in=7200, scope="less"), 7200),
            ((200, "application/x-www-form-urlencoded", "access_token=f1&expires_in=7200"), 7200)]
    for planned, left in rows:
        name = connect(tokens.grant())
        tokens.plan([planned])
        shown = read(name, refresh_token="true").json["credentials"]
        assert shown["access_token"][0] in "xf" and shown["refresh_token"].startswith("refresh-"), (planned, shown)
        assert ("expires_at" in shown) == (left is not None), (planned, shown)
        assert left is None or iso(left - 60) < shown["expires_at"] < iso(left + 60), (planned, shown)


@test
def connections_that_nobody_uses_are_kept_fresh_and_reads_are_noted(_rig):
    family = tokens.grant()
    name = connect(family, left=-5)
    sql(f"UPDATE connection SET last_fetched_at = now() - interval '25 hours' WHERE id = {row_of(name)}")
    wait_until("the background refresh", lambda: len(family.old) == 1, 20)
    assert read(name).json["credentials"]["access_token"] == family.access and len(family.old) == 1
    sql(f"UPDATE connection SET last_fetched_at = now() - interval '2 hours' WHERE id = {row_of(name)}")
    read(name)
    wait_until("last_fetched_at", lambda: sql(f"SELECT last_fetched_at > now() - interval '1 minute' FROM connection WHERE id = {row_of(name)}")
               == [["t"]], 10)


class RefreshRig(SinkRig):
    """Four nodes, a receiver of webhooks, a token endpoint; what the helpers above use."""

    def __enter__(self):
        global rig, tokens
        tokens = Tokens()
        rig = super().__enter__()
        integration()
        done = self.request("PATCH", "/admin/v1/environments/dev", {"webhook_url": self.sink.url + "/hook"}, key=self.keys["SLUICE_OPERATOR_KEY"])
        assert done.status == 200, done
        return self

    def __exit__(self, *exc):
        super().__exit__(*exc)
        tokens.stop()


main(lambda: RefreshRig(nodes=4, settings={"egress_allow": "127.0.0.0/8"}))
