"""Connections and metadata in detail: bytes that must survive, every refusal, filters, overrides, races."""
import os
import re
import sys
import threading
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig
from tap import main, test

JSON = {"Content-Type": "application/json"}
GET_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")
POST_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
# What JSON.parse and a re-encoder would change, in the bytes in which a customer sent it.
METADATA = ('{"big":12345678901234567890,"one":1.0,"exp":1e400,"tiny":5e-324,"neg":-0,"zero":"a\\u0000b",'
            '"esc":"\\u00e9\\/","\\u0000key":1,"lone":"\\ud800","emoji":"\\ud83d\\ude00","raw":"é 😀 \u2028",'
            ' "space" : [ 1 , {} ],"__proto__":{"x":1},"dup":{"a":1,"a":2}}')


def body(name, **more):
    return {"provider_config_key": "w", "connection_id": name, "credentials": {"type": "API_KEY", "apiKey": "k"}, **more}


def create(rig, name, **more):
    answer = rig.request("POST", "/connections", body(name, **more))
    assert answer.status == 201, answer
    return answer.json


def read(rig, name, query="", **more):
    return rig.request("GET", f"/connections/{urllib.parse.quote(name, safe='')}?provider_config_key=w{query}", **more)


def names(rig, query, key="dev"):
    answer = rig.request("GET", f"/connections?{query}", key=key)
    assert answer.status == 200, answer
    return [c["connection_id"] for c in answer.json["connections"]]


def refused(answer, code, path=None, status=400):
    assert answer.status == status and answer.code == code, answer
    if path is not None:
        assert answer.json["error"]["errors"][0]["path"] == path, answer


def raw_metadata(answer):
    """The bytes of `metadata` of one connection, as they stand in the answer."""
    text = answer.body.decode()
    start = text.index('"metadata":') + len('"metadata":')
    return text[start:text.index(',"connection_config":')]


# ---- bytes

@test
def metadata_comes_back_as_the_bytes_that_were_sent(rig):
    sent = ('{"provider_config_key":"w","connection_id":"bytes","credentials":{"type":"API_KEY","apiKey":"k"},"metadata":'
            + METADATA + "}").encode()
    made = rig.request("POST", "/connections", sent, JSON)
    assert made.status == 201 and raw_metadata(made) == METADATA, made
    assert raw_metadata(read(rig, "bytes")) == METADATA
    listed = rig.request("GET", "/connections?connectionId=bytes").body.decode()
    assert METADATA in listed, listed


@test
def replacing_metadata_keeps_and_echoes_the_bytes(rig):
    create(rig, "replace")
    sent = ('{"connection_id":"replace","provider_config_key":"w","metadata":' + METADATA + "}").encode()
    answer = rig.request("POST", "/connections/metadata", sent, JSON)
    assert answer.status == 201 and answer.body == sent, answer
    assert raw_metadata(read(rig, "replace")) == METADATA
    answer = rig.request("POST", "/connection/replace/metadata", METADATA.encode(), {**JSON, "provider-config-key": "w"})
    assert answer.status == 201 and answer.body == METADATA.encode(), answer
    assert raw_metadata(read(rig, "replace")) == METADATA


@test
def a_merge_is_shallow_and_leaves_the_bytes_of_other_members(rig):
    create(rig, "merge")
    rig.request("POST", "/connection/merge/metadata", METADATA.encode(), {**JSON, "provider-config-key": "w"})
    patch = '{"one":2.50,"dup":null,"\\u006eew":1.0,"\\u0000key":0.10}'
    sent = ('{"connection_id":["merge"],"provider_config_key":"w","metadata":' + patch + "}").encode()
    answer = rig.request("PATCH", "/connections/metadata", sent, JSON)
    assert answer.status == 200 and answer.body == sent, answer
    got = raw_metadata(read(rig, "merge"))
    want = METADATA.replace('"one":1.0', '"one":2.50').replace('{"a":1,"a":2}', "null")
    want = want.replace('"\\u0000key":1', '"\\u0000key":0.10').replace(' "space" : [ 1 , {} ]', '"space":[ 1 , {} ]')
    assert got == want[:-1] + ',"\\u006eew":1.0}', got


@test
def equal_names_in_different_spelling_are_one_member(rig):
    create(rig, "spelling", metadata={"a": 1, "b": 1})
    answer = rig.request("PATCH", "/connection/spelling/metadata", b'{"\\u0061":2,"c":1}', {**JSON, "provider-config-key": "w"})
    assert answer.status == 200, answer
    assert read(rig, "spelling").json["metadata"] == {"a": 2, "b": 1, "c": 1}


@test
def merges_at_the_same_time_lose_nothing(rig):
    create(rig, "race")
    failed = []

    def write(number):
        while True:  # others win ten times in a row only under a load that is over soon
            answer = rig.request("PATCH", "/connections/metadata", {"connection_id": "race", "provider_config_key": "w",
                                                                    "metadata": {f"k{number}": number}})
            if answer.status != 409:
                break
        if answer.status != 200:
            failed.append(answer)
    threads = [threading.Thread(target=write, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed
    assert read(rig, "race").json["metadata"] == {f"k{n}": n for n in range(12)}


@test
def metadata_of_many_connections_changes_in_all_or_in_none(rig):
    for name in ("all-1", "all-2", "all-3"):
        create(rig, name, metadata={"old": name})
    sent = {"connection_id": ["all-1", "all-2", "all-1"], "provider_config_key": "w", "metadata": {"new": 1}}
    assert rig.request("PATCH", "/connections/metadata", sent).status == 200
    assert [read(rig, n).json["metadata"] for n in ("all-1", "all-2", "all-3")] == [
        {"old": "all-1", "new": 1}, {"old": "all-2", "new": 1}, {"old": "all-3"}]
    for method in ("POST", "PATCH"):
        for path in ("/connections/metadata", "/connection/metadata"):
            refused(rig.request(method, path, {**sent, "connection_id": ["all-3", "nosuch"], "metadata": {"x": 1}}),
                    "unknown_connection", status=404)
            refused(rig.request(method, path, {**sent, "provider_config_key": "nosuch"}), "unknown_connection", status=404)
    assert read(rig, "all-3").json["metadata"] == {"old": "all-3"}
    assert rig.request("POST", "/connections/metadata", {**sent, "connection_id": []}).status == 201


@test(seconds=60)
def metadata_of_many_connections_is_bounded_in_sum(rig):
    ids = [create(rig, f"sum-{n}")["connection_id"] for n in range(40)]
    body = {"connection_id": ids, "provider_config_key": "w", "metadata": {"big": "x" * (27 << 20)}}  # 1 GiB in all
    for method in ("POST", "PATCH"):
        refused(rig.request(method, "/connections/metadata", body, seconds=60), "invalid_body", ["metadata"])
    assert read(rig, "sum-0").json["metadata"] == {}
    body["metadata"] = {"big": "x" * (1 << 20)}
    assert rig.request("POST", "/connections/metadata", body, seconds=60).status == 201
    assert len(read(rig, "sum-39").json["metadata"]["big"]) == 1 << 20
    for name in ids:
        rig.request("DELETE", f"/connections/{name}?provider_config_key=w")


@test
def metadata_requests_are_strict(rig):
    create(rig, "strict")
    good = {"connection_id": "strict", "provider_config_key": "w", "metadata": {}}
    for change, path in (({"more": 1}, []), ({"metadata": None}, ["metadata"]), ({"metadata": []}, ["metadata"]),
                         ({"metadata": "x"}, ["metadata"]), ({"connection_id": 1}, ["connection_id"]),
                         ({"connection_id": ["strict", 1]}, ["connection_id", "1"]),
                         ({"connection_id": ["a\nb"]}, ["connection_id", "0"]), ({"connection_id": None}, ["connection_id"]),
                         ({"connection_id": ["x"] * 1001}, ["connection_id"]), ({"connection_id": ""}, ["connection_id"]),
                         ({"provider_config_key": "a/b"}, ["provider_config_key"]), ({"provider_config_key": 1}, ["provider_config_key"])):
        refused(rig.request("POST", "/connections/metadata", {**good, **change}), "invalid_body", path)
        refused(rig.request("PATCH", "/connections/metadata", {**good, **change}), "invalid_body", path)
    refused(rig.request("POST", "/connections/metadata?a=1", good), "invalid_query_params")
    refused(rig.request("POST", "/connection/strict/metadata", {}), "invalid_headers", ["provider-config-key"])
    refused(rig.request("POST", "/connection/strict/metadata", [], {"provider-config-key": "w"}), "invalid_body", [])
    refused(rig.request("POST", "/connection/strict/metadata", b"{", {**JSON, "provider-config-key": "w"}), "invalid_json")
    refused(rig.request("POST", "/connection/nosuch/metadata", {}, {"provider-config-key": "w"}), "unknown_connection", status=404)
    refused(rig.request("PATCH", "/connection/strict/metadata", {}, {"provider-config-key": "nosuch"}), "unknown_connection", status=404)


# ---- shapes

@test
def a_connection_has_exactly_the_members_of_the_wire(rig):
    made = create(rig, "shape")
    assert list(made) == ["id", "connection_id", "provider_config_key", "provider", "errors", "end_user", "tags", "metadata",
                          "connection_config", "webhook_url_override", "created_at", "updated_at", "last_fetched_at",
                          "credentials"], made
    assert isinstance(made["id"], int) and made["errors"] == [] and made["end_user"] is None and made["tags"] == {}, made
    assert made["metadata"] == {} and made["connection_config"] == {} and made["webhook_url_override"] is None, made
    got = read(rig, "shape").json
    for name in ("created_at", "updated_at", "last_fetched_at"):
        assert POST_TIME.fullmatch(made[name]) and GET_TIME.fullmatch(got[name]), (name, made, got)
    listed = [c for c in rig.request("GET", "/connections").json["connections"] if c["connection_id"] == "shape"][0]
    assert list(listed) == ["id", "connection_id", "provider_config_key", "provider", "errors", "end_user", "tags", "metadata",
                            "created"], listed
    assert listed["id"] == made["id"]


@test
def an_end_user_makes_tags_and_is_shown(rig):
    made = create(rig, "user", end_user={"id": "u-1", "email": "ann@example.org", "display_name": "Ann", "tags": {"Plan": "Pro"}},
                  tags={"TEAM": "Blue", "end_user_email": "own@example.org"})
    assert made["end_user"] == {"id": "u-1", "display_name": "Ann", "email": "ann@example.org", "tags": {"Plan": "Pro"},
                                "organization": None}, made
    assert made["tags"] == {"team": "Blue", "end_user_email": "own@example.org", "end_user_id": "u-1",
                            "end_user_display_name": "Ann"}, made


@test
def an_override_keeps_the_number_and_resets_the_rest(rig):
    first = create(rig, "over", metadata={"a": 1}, tags={"t": "1"}, end_user={"id": "u"}, connection_config={"r": "eu"},
                   webhook_url_override="https://example.org/hook")
    assert first["webhook_url_override"] == "https://example.org/hook" and first["connection_config"] == {"r": "eu"}, first
    second = create(rig, "over", credentials={"type": "API_KEY", "apiKey": "other"})
    assert second["id"] == first["id"] and second["created_at"] == first["created_at"], second
    assert second["metadata"] == {} and second["tags"] == {} and second["end_user"] is None, second
    assert second["credentials"]["apiKey"] == "other" and second["connection_config"] == {}, second
    assert second["webhook_url_override"] is None and second["updated_at"] > first["updated_at"], second
    assert read(rig, "over").json["credentials"] == {"type": "API_KEY", "apiKey": "other"}
    assert names(rig, "connectionId=over") == ["over"]


@test
def oauth2_shows_its_refresh_token_only_when_asked(rig):
    assert rig.request("POST", "/integrations", {"provider": "github", "unique_key": "gh-read"}).status == 200
    made = rig.request("POST", "/connections", {
        "provider_config_key": "gh-read", "connection_id": "o", "credentials": {
            "type": "OAUTH2", "access_token": "at", "refresh_token": "rt", "expires_at": "2040-01-02T03:04:05Z"}})
    assert made.status == 201 and "rt" not in made.body.decode(), made
    path = "/connections/o?provider_config_key=gh-read"
    plain = rig.request("GET", path).json["credentials"]
    assert plain["access_token"] == "at" and "refresh_token" not in plain and plain["raw"] == {}, plain
    assert plain["expires_at"].startswith("2040-01-02T03:04:05"), plain
    assert rig.request("GET", path + "&refresh_token=true").json["credentials"]["refresh_token"] == "rt"
    assert "refresh_token" not in rig.request("GET", path + "&refresh_token=false&force_refresh=false").json["credentials"]


@test
def client_credentials_are_of_the_connection(rig):
    assert rig.request("POST", "/integrations", {"provider": "private-api-oauth2-cc", "unique_key": "cc", "integration_config": {
        "baseUrl": "http://127.0.0.1:9", "tokenUrl": "http://127.0.0.1:9/token"}}).status == 200
    whole = {"type": "OAUTH2_CC", "token": "t", "client_id": "i", "client_secret": "canary-cc", "expires_at": "2040-01-02T03:04:05.000Z",
             "client_certificate": "-----BEGIN CERTIFICATE-----\nA\n", "client_private_key": "-----BEGIN PRIVATE KEY-----\nB\n"}
    made = rig.request("POST", "/connections", {"provider_config_key": "cc", "connection_id": "c", "credentials": whole})
    assert made.status == 201 and made.json["credentials"] == {**whole, "raw": {}}, made
    assert rig.request("GET", "/connections/c?provider_config_key=cc").json["credentials"] == {**whole, "raw": {}}
    later = {name: whole[name] for name in ("type", "client_id", "client_secret")}
    made = rig.request("POST", "/connections", {"provider_config_key": "cc", "connection_id": "later", "credentials": later})
    assert made.status == 201 and made.json["credentials"] == {**later, "raw": {}}, made
    for bad, path in (({"client_secret": None}, "client_secret"), ({"client_id": ""}, "client_id"), ({"expires_at": "soon"}, "expires_at"),
                      ({"client_certificate": "a\1"}, "client_certificate"), ({"type": "OAUTH2"}, "type"), ({"more": 1}, "more")):
        refused(rig.request("POST", "/connections", {"provider_config_key": "cc", "credentials": {**whole, **bad}}),
                "invalid_body", ["credentials", path])


@test
def credentials_are_shown_to_keys_with_the_scope_only(rig):
    create(rig, "scoped")
    number = rig.postgres.query("SELECT id FROM environment WHERE name = 'dev'")[0][0]
    data = rig.request("POST", "/environment/api-keys", {"environment_id": int(number), "display_name": "no credentials"},
                       key=rig.keys["SLUICE_ACCOUNT_KEY"]).json["data"]
    rig.postgres.query("UPDATE api_key SET scopes = 'environment:connections:read environment:connections:create "
                       f"environment:integrations:read' WHERE id = {int(data['id'])}")
    key = data["secret"]
    assert read(rig, "scoped", key=key).json["credentials"] == {}
    made = rig.request("POST", "/connections", body("scoped-2"), key=key)
    assert made.status == 201 and made.json["credentials"] == {}, made
    for flag in ("force_refresh", "refresh_token", "refresh_github_app_jwt_token"):
        refused(read(rig, "scoped", f"&{flag}=true", key=key), "forbidden", status=403)
        assert read(rig, "scoped", f"&{flag}=false", key=key).status == 200
    assert rig.request("GET", "/integrations/w?include=webhook", key=key).status == 200
    refused(rig.request("GET", "/integrations/w?include=credentials", key=key), "forbidden", status=403)


@test
def credentials_are_sealed_in_the_ledger_each_for_its_own_row(rig):
    for name in ("sealed-1", "sealed-2"):
        create(rig, name, credentials={"type": "API_KEY", "apiKey": "canary-" + name})
    rows = rig.postgres.query("SELECT credentials, seal_row FROM connection WHERE connection_id LIKE 'sealed-%'")
    assert len(rows) == 2 and all(r[0].startswith("s1:") and "canary" not in r[0] for r in rows), rows
    assert all(r[1].startswith("connection:") for r in rows) and rows[0][1] != rows[1][1], rows
    rig.postgres.query("UPDATE connection SET credentials = (SELECT credentials FROM connection WHERE connection_id = 'sealed-1')"
                       " WHERE connection_id = 'sealed-2'")
    refused(read(rig, "sealed-2"), "invalid_credentials", status=424)


# ---- refusals

@test
def a_bad_import_is_400_naming_the_member(rig):
    key = {"type": "API_KEY", "apiKey": "k"}
    for change, path in (
            ({"more": 1}, []), ({"provider_config_key": None}, ["provider_config_key"]), ({"provider_config_key": "a/b"}, ["provider_config_key"]),
            ({"connection_id": 1}, ["connection_id"]), ({"connection_id": ""}, ["connection_id"]), ({"metadata": []}, ["metadata"]),
            ({"connection_config": "x"}, ["connection_config"]),
            ({"connection_config": {"oauth_scopes_override": "a"}}, ["connection_config", "oauth_scopes_override"]),
            ({"connection_config": {"oauth_scopes_override": [1]}}, ["connection_config", "oauth_scopes_override"]),
            ({"webhook_url_override": "ftp://example.org"}, ["webhook_url_override"]), ({"webhook_url_override": "x"}, ["webhook_url_override"]),
            ({"webhook_url_override": "https://u:p@example.org/"}, ["webhook_url_override"]), ({"webhook_url_override": 1}, ["webhook_url_override"]),
            ({"webhook_url_override": "https://example.org/a\r\nb"}, ["webhook_url_override"]),
            ({"tags": []}, ["tags"]), ({"tags": {"a": 1}}, ["tags", "a"]), ({"tags": {"a": "x" * 256}}, ["tags", "a"]),
            ({"tags": {str(n): "x" for n in range(11)}}, ["tags"]), ({"tags": {"": "x"}}, ["tags"]), ({"tags": {"a": "x\0"}}, ["tags", "a"]),
            ({"tags": {"a\0b": "x"}}, ["tags"]), ({"tags": {"a": None}}, ["tags", "a"]),
            ({"end_user": "x"}, ["end_user"]), ({"end_user": {}}, ["end_user", "id"]), ({"end_user": {"id": ""}}, ["end_user", "id"]),
            ({"end_user": {"id": 1}}, ["end_user", "id"]), ({"end_user": {"id": "x" * 256}}, ["end_user", "id"]),
            ({"end_user": {"id": "u", "email": "nobody"}}, ["end_user", "email"]), ({"end_user": {"id": "u", "more": 1}}, ["end_user"]),
            ({"end_user": {"id": "u", "tags": {"a": 1}}}, ["end_user", "tags", "a"]),
            ({"credentials": None}, ["credentials"]), ({"credentials": {**key, "type": "BASIC"}}, ["credentials", "type"]),
            ({"credentials": {"type": "API_KEY"}}, ["credentials", "apiKey"]), ({"credentials": {**key, "apiKey": "x" * 1025}}, ["credentials", "apiKey"]),
            ({"credentials": {**key, "more": 1}}, ["credentials", "more"])):
        refused(rig.request("POST", "/connections", {**body("bad"), **change}), "invalid_body", path)
    refused(rig.request("POST", "/connections?a=1", body("bad")), "invalid_query_params")
    refused(rig.request("POST", "/connections", body("bad", provider_config_key="nosuch")), "not_found", status=404)
    assert names(rig, "connectionId=bad") == []


@test
def tags_of_ten_and_values_of_255_characters_fit(rig):
    tags = {f"Tag{n}": "é" * 255 for n in range(10)}
    made = create(rig, "tags", tags=tags, end_user={"id": "u", "email": "u@e", "display_name": "U"})
    assert made["tags"] == {**{k.lower(): v for k, v in tags.items()}, "end_user_id": "u", "end_user_email": "u@e",
                            "end_user_display_name": "U"}, made
    made = create(rig, "tags", tags={"A": "1", "a": "2", "quote\"\\": "😀\n"})
    assert made["tags"] == {"a": "2", "quote\"\\": "😀\n"}, made


def id_case(name, wanted):
    @test(name=f"row_30_connection_id_{ascii(name)[:60]}_is_{wanted}")
    def run(rig):
        answer = rig.request("POST", "/connections", body(name))
        if wanted == 400:
            refused(answer, "invalid_body", ["connection_id"])
            return
        assert answer.status == 201 and answer.json["connection_id"] == name, answer
        assert read(rig, name).json["connection_id"] == name
        assert names(rig, "connectionId=" + urllib.parse.quote(name, safe="")) == [name]
        answer = rig.request("POST", "/connections/metadata", {"connection_id": name, "provider_config_key": "w", "metadata": {"n": 1}})
        assert answer.status == 201 and read(rig, name).json["metadata"] == {"n": 1}, answer
        path = f"/connections/{urllib.parse.quote(name, safe='')}?provider_config_key=w"
        assert rig.request("PATCH", path, {"tags": {"x": "y"}}).json == {"success": True}
        assert rig.request("DELETE", path).json == {"success": True}
        refused(read(rig, name), "not_found", status=404)


for identifier in ("a/b", "a:b", "{sluice}", "a{b}c", "x" * 255, "a b", " a", "a'b\"c", "a\\b", "$[]|@${}", "a+=~;,.-_",
                   "...", "..a"):
    id_case(identifier, 201)
for identifier in ("a*b", "a\nb", "a\tb", "x" * 256, "x" * 300, "   ", "", "ä", "a\u0430", "a\u200bb", "\uff41", "a?b", "a#b", "a%b", "a&b",
                   "<a>", "a\0b", "a\x7f", ".", ".."):
    id_case(identifier, 400)


@test
def bad_ids_in_paths_and_queries_are_400(rig):
    for path in ("/connections/a%0Ab?provider_config_key=w", "/connections/%20?provider_config_key=w",
                 "/connections/" + "x" * 300 + "?provider_config_key=w", "/connection/a*b?provider_config_key=w"):
        for method, sent in (("GET", None), ("PATCH", {}), ("DELETE", None)):
            refused(rig.request(method, path, sent), "invalid_uri_params", ["connectionId"])
    for query in ("", "?provider_config_key=a%2Fb", "?provider_config_key=", "?provider_config_key=w&more=1"):
        for method, sent in (("GET", None), ("PATCH", {}), ("DELETE", None)):
            refused(rig.request(method, f"/connections/c{query}", sent), "invalid_query_params")
    for flag in ("force_refresh=1", "refresh_token=yes", "refresh_github_app_jwt_token=TRUE"):
        refused(read(rig, "c", "&" + flag), "invalid_query_params", [flag.split("=")[0]])
    refused(rig.request("POST", "/connection/a%0Ab/metadata", {}, {"provider-config-key": "w"}), "invalid_uri_params", ["connectionId"])


@test
def unknown_names_answer_as_each_endpoint_does(rig):
    refused(read(rig, "nosuch"), "not_found", status=404)
    refused(rig.request("GET", "/connections/c?provider_config_key=nosuch"), "unknown_provider_config")
    for path in ("/connections/nosuch?provider_config_key=w", "/connection/c?provider_config_key=nosuch"):
        answer = rig.request("DELETE", path)
        assert answer.status == 400 and answer.json == {"error": {"code": "unknown_connection"}}, answer
        refused(rig.request("PATCH", path, {"tags": {}}), "not_found", status=404)


# ---- patch

@test
def a_patch_changes_what_it_names_and_nothing_else(rig):
    create(rig, "patch", tags={"a": "1"}, end_user={"id": "u1", "email": "u1@example.org"}, webhook_url_override="https://e.org/")

    def patch(**change):
        answer = rig.request("PATCH", "/connections/patch?provider_config_key=w", change)
        assert answer.status == 200 and answer.json == {"success": True}, answer
        return read(rig, "patch").json
    got = patch()
    assert got["tags"] == {"a": "1", "end_user_id": "u1", "end_user_email": "u1@example.org"}, got
    got = patch(end_user={"id": "u2", "display_name": "Two"})
    assert got["tags"] == {"a": "1", "end_user_id": "u2", "end_user_display_name": "Two"}, got
    assert got["end_user"]["id"] == "u2" and got["end_user"]["email"] is None and got["webhook_url_override"] == "https://e.org/", got
    got = patch(tags={"B": "2"})
    assert got["tags"] == {"b": "2"} and got["end_user"]["id"] == "u2", got
    got = patch(webhook_url_override=None)
    assert got["webhook_url_override"] is None and got["tags"] == {"b": "2"}, got
    got = patch(webhook_url_override="http://example.org:8080/x?y=z", tags={}, end_user={"id": "u3"})
    assert got["webhook_url_override"] == "http://example.org:8080/x?y=z" and got["tags"] == {"end_user_id": "u3"}, got
    for bad in ({"more": 1}, {"tags": {"a": 1}}, {"end_user": {"id": ""}}, {"webhook_url_override": "no url"}, {"connection_id": "x"}):
        refused(rig.request("PATCH", "/connection/patch?provider_config_key=w", bad), "invalid_body")


# ---- lists

@test
def lists_are_filtered_by_each_parameter(rig):
    rig.integration("w2")
    create(rig, "list-1", end_user={"id": "lu-1", "email": "first@example.org", "display_name": "Ärger 100%"}, tags={"kind": "l", "x": "1"})
    create(rig, "list-2", end_user={"id": "lu-2"}, tags={"Kind": "l", "x": "2"})
    rig.connection("list-3", "w2", tags={"kind": "l", "x": "quo\"te\\"})
    assert names(rig, "tags[kind]=l") == ["list-3", "list-2", "list-1"]
    assert names(rig, "tags[KIND]=l&tags[x]=1") == ["list-1"]
    assert names(rig, "tags%5Bx%5D=" + urllib.parse.quote("quo\"te\\")) == ["list-3"]
    assert names(rig, "tags[kind]=L") == [] and names(rig, "tags[nosuch]=l") == []
    assert names(rig, "tags[end_user_email]=first@example.org") == ["list-1"]
    assert names(rig, "endUserId=lu-2") == ["list-2"] and names(rig, "endUserId=lu") == []
    assert names(rig, "endUserOrganizationId=none") == []
    assert names(rig, "tags[kind]=l&integrationId=w2") == ["list-3"]
    assert names(rig, "tags[kind]=l&integrationId=w2,w,nosuch") == ["list-3", "list-2", "list-1"]
    assert names(rig, "tags[kind]=l&integrationId=w2&integrationId=w") == ["list-3", "list-2", "list-1"]
    assert names(rig, "search=LIST-") == ["list-3", "list-2", "list-1"]
    assert names(rig, "search=first@example") == ["list-1"] and names(rig, "search=100%25") == ["list-1"]
    assert names(rig, "search=list_1") == [] and names(rig, "search=lu-2") == ["list-2"]
    assert names(rig, "connectionId=list-2&search=list") == ["list-2"] and names(rig, "connectionId=list") == []
    assert names(rig, "tags[kind]=l&limit=2") == ["list-3", "list-2"]
    assert names(rig, "tags[kind]=l&limit=2&page=1") == ["list-1"] and names(rig, "tags[kind]=l&limit=2&page=2") == []
    assert names(rig, "tags[kind]=l", key="prod") == []
    assert [c["connection_id"] for c in rig.request("GET", "/connection?tags[kind]=l&limit=1").json["connections"]] == ["list-3"]


@test
def bad_list_parameters_are_400(rig):
    many = "&".join(f"tags[t{n}]=x" for n in range(11))
    for query, path in (("limit=0", "limit"), ("limit=2001", "limit"), ("limit=-1", "limit"), ("limit=x", "limit"), ("limit=1e2", "limit"),
                        ("limit=", "limit"), ("limit=99999999999999999999", "limit"), ("page=-1", "page"), ("page=x", "page"),
                        ("page=99999999999", "page"), ("page=1.5", "page"), ("integrationId=a/b", "integrationId"), ("integrationId=", "integrationId"),
                        ("integrationId=w,", "integrationId"), ("connectionId=a*b", "connectionId"), ("connectionId=", "connectionId"),
                        ("search=" + "x" * 256, "search"), ("tags[]=x", "tags"), ("tags[a=x", "tags"), (many, "tags"), ("more=1", None)):
        refused(rig.request("GET", f"/connections?{query}"), "invalid_query_params", [path] if path else [])


# ---- the flat form

@test
def the_flat_import_names_what_is_missing(rig):
    good = {"connection_id": "flat-1", "provider_config_key": "w", "api_key": "k"}
    for name, code in (("connection_id", "missing_connection"), ("provider_config_key", "missing_provider_config"),
                       ("api_key", "missing_api_key")):
        refused(rig.request("POST", "/connection", {k: v for k, v in good.items() if k != name}), code)
    refused(rig.request("POST", "/connection", {**good, "provider_config_key": "nosuch"}), "unknown_provider_config")
    refused(rig.request("POST", "/connection", {**good, "connection_id": "a*b"}), "invalid_body", ["connection_id"])
    refused(rig.request("POST", "/connection", {**good, "metadata": []}), "invalid_body", ["metadata"])
    assert rig.request("POST", "/integrations", {"provider": "github", "unique_key": "gh-flat"}).status == 200
    assert rig.request("POST", "/integrations", {"provider": "private-api-basic", "unique_key": "basic-flat"}).status == 200
    refused(rig.request("POST", "/connection", {**good, "provider_config_key": "gh-flat"}), "missing_access_token")
    refused(rig.request("POST", "/connection", {**good, "provider_config_key": "basic-flat"}), "missing_basic_username")


@test
def the_flat_import_echoes_the_bytes_and_stores_the_documents(rig):
    sent = ('{"connection_id":"flat-2","provider_config_key":"w","api_key":"s3cret","connection_config":{"a":1.0},"metadata":'
            + METADATA + ',"anything":[1.0]}').encode()
    answer = rig.request("POST", "/connection", sent, JSON)
    assert answer.status == 201 and answer.body == sent, answer
    got = read(rig, "flat-2")
    assert raw_metadata(got) == METADATA and got.json["credentials"] == {"type": "API_KEY", "apiKey": "s3cret"}, got
    assert '"connection_config":{"a":1.0}' in got.body.decode(), got


@test
def the_log_holds_no_credential(rig):
    create(rig, "quiet", credentials={"type": "API_KEY", "apiKey": "canary-in-the-log"}, metadata={"m": "canary-too"})
    rig.request("POST", "/connections", body("quiet", credentials={"type": "API_KEY", "apiKey": "canary-in-the-log\n"}))
    log = rig.nodes[0].log()
    assert "connection_imported" in log and "canary" not in log, "a secret is in the log"


main(lambda: Rig(settings={"log_level": "debug"}, prepare=lambda rig: rig.integration()))
