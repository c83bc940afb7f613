"""Integrations, providers, connections and metadata: shapes, errors and the legacy twins."""
import os
import re
import sys
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig
from tap import main, test

PROVIDERS = {"github", "slack", "hubspot", "notion", "stripe", "linear", "airtable", "private-api-bearer",
             "private-api-basic", "private-api-generic", "unauthenticated"}
GET_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")


def post(rig, path, body, **more):
    return rig.request("POST", path, body, **more)


def connection_body(**more):
    return {"provider_config_key": "w", "connection_id": "c1", "credentials": {"type": "API_KEY", "apiKey": "k"}, **more}


@test
def an_integration_is_created_read_changed_listed_and_deleted(rig):
    made = post(rig, "/integrations", {"provider": "github", "unique_key": "gh", "display_name": "Hub",
                                       "credentials": {"type": "OAUTH2", "client_id": "id", "client_secret": "s", "scopes": "a,b"}})
    assert made.status == 200, made
    data = made.json["data"]
    assert set(data) >= {"unique_key", "provider", "display_name", "logo", "forward_webhooks", "created_at", "updated_at"}, data
    assert data["unique_key"] == "gh" and data["provider"] == "github" and data["display_name"] == "Hub"
    plain = rig.request("GET", "/integrations/gh").json["data"]
    assert "credentials" not in plain and "webhook_url" not in plain, plain
    full = rig.request("GET", "/integrations/gh?include=webhook&include=credentials").json["data"]
    assert full["credentials"]["client_secret"] == "s" and "webhook_url" in full, full
    changed = rig.request("PATCH", "/integrations/gh", {"display_name": "Other"})
    assert changed.status == 200 and changed.json["data"]["display_name"] == "Other", changed
    assert "gh" in [i["unique_key"] for i in rig.request("GET", "/integrations").json["data"]]
    legacy = rig.request("GET", "/config/gh")
    assert legacy.json["config"]["unique_key"] == "gh" and legacy.json["config"]["provider"] == "github", legacy
    assert rig.request("DELETE", "/integrations/gh").json == {"success": True}
    answer = rig.request("GET", "/integrations/gh")
    assert answer.status == 404 and answer.code == "not_found", answer


@test
def a_rename_keeps_the_integration(rig):
    post(rig, "/integrations", {"provider": "github", "unique_key": "before"})
    assert rig.request("PATCH", "/integrations/before", {"unique_key": "after"}).json["data"]["unique_key"] == "after"
    assert rig.request("GET", "/integrations/before").status == 404


@test
def a_bad_provider_or_a_taken_key_is_400_naming_the_member(rig):
    answer = post(rig, "/integrations", {"provider": "nosuch", "unique_key": "x"})
    assert answer.status == 400 and answer.code == "invalid_body" and answer.json["error"]["errors"][0]["path"] == ["provider"], answer
    answer = post(rig, "/integrations", {"provider": "github", "unique_key": "w"})
    assert answer.status == 400 and answer.json["error"]["errors"][0]["path"] == ["uniqueKey"], answer


@test
def unknown_members_and_bad_names_of_an_integration_are_400(rig):
    for body in ({"provider": "github", "unique_key": "x", "more": 1}, {"provider": "github", "unique_key": "a/b"},
                 {"provider": "github", "unique_key": ""}, {"provider": "github"}, {"unique_key": "x"},
                 {"provider": "github", "unique_key": "x", "display_name": 1},
                 {"provider": "github", "unique_key": "x", "credentials": {"type": "BASIC"}}):
        answer = post(rig, "/integrations", body)
        assert answer.status == 400 and answer.code == "invalid_body", (body, answer)


@test
def a_key_that_no_path_can_name_is_refused(rig):
    post(rig, "/integrations", {"provider": "github", "unique_key": "named"})
    for key in (".", ".."):
        for answer in (post(rig, "/integrations", {"provider": "github", "unique_key": key}),
                       rig.request("PATCH", "/integrations/named", {"unique_key": key})):
            assert answer.status == 400 and answer.code == "invalid_body", answer
            assert answer.json["error"]["errors"][0]["path"] == ["unique_key"], answer
    assert rig.request("GET", "/integrations/named").status == 200


@test
def paths_without_parameters_refuse_a_query(rig):
    for method, path, body in (("GET", "/config/w", None), ("GET", "/providers/github", None), ("GET", "/providers/github/templates", None),
                               ("GET", "/api/v1/environments", None), ("POST", "/connection/c1/metadata", {}), ("PATCH", "/connection/c1/metadata", {})):
        answer = rig.request(method, path + "?x=1", body, {"Provider-Config-Key": "w"})
        assert answer.status == 400 and answer.code == "invalid_query_params", (path, answer)


@test
def an_unknown_integration_is_404_everywhere(rig):
    for method, body in (("GET", None), ("PATCH", {"display_name": "x"}), ("DELETE", None)):
        answer = rig.request(method, "/integrations/nosuch", body)
        assert answer.status == 404 and answer.code == "not_found", (method, answer)


@test
def providers_are_listed_and_found_by_search(rig):
    everything = {p["name"]: p for p in rig.request("GET", "/providers").json["data"]}
    assert PROVIDERS <= set(everything), PROVIDERS - set(everything)
    assert all(p.get("auth_mode") for p in everything.values())
    found = [p["name"] for p in rig.request("GET", "/providers?search=hubsp").json["data"]]
    assert found and all("hubsp" in n for n in found), found
    assert rig.request("GET", "/providers/github").json["data"]["name"] == "github"
    answer = rig.request("GET", "/providers/nosuch")
    assert answer.status == 404, answer


@test
def a_connection_is_imported_read_listed_patched_and_deleted(rig):
    made = post(rig, "/connections", connection_body(metadata={"a": 1}, connection_config={"region": "eu"},
                                                      end_user={"id": "u1", "email": "u@example.org"}, tags={"Team": "x"}))
    assert made.status == 201, made
    full = made.json
    assert full["connection_id"] == "c1" and full["provider_config_key"] == "w" and full["metadata"] == {"a": 1}, full
    assert full["credentials"] == {"type": "API_KEY", "apiKey": "k"} and full["connection_config"]["region"] == "eu", full
    assert full["tags"]["team"] == "x" and full["tags"]["end_user_id"] == "u1" and full["end_user"]["id"] == "u1", full
    read = rig.request("GET", "/connections/c1?provider_config_key=w")
    assert read.status == 200 and GET_TIME.fullmatch(read.json["created_at"]), read
    assert {"id", "errors", "webhook_url_override", "updated_at", "last_fetched_at"} <= set(read.json), read
    listed = [c for c in rig.request("GET", "/connections").json["connections"] if c["connection_id"] == "c1"]
    assert len(listed) == 1 and "credentials" not in listed[0] and GET_TIME.fullmatch(listed[0]["created"]), listed
    patched = rig.request("PATCH", "/connections/c1?provider_config_key=w", {"tags": {"team": "y"}})
    assert patched.status == 200 and patched.json == {"success": True}, patched
    assert rig.request("GET", "/connections/c1?provider_config_key=w").json["tags"]["team"] == "y"
    gone = rig.request("DELETE", "/connections/c1?provider_config_key=w")
    assert gone.status == 200 and gone.json == {"success": True}, gone
    answer = rig.request("GET", "/connections/c1?provider_config_key=w")
    assert answer.status == 404 and answer.code == "not_found", answer


@test
def a_connection_without_an_id_gets_a_uuid(rig):
    body = connection_body()
    del body["connection_id"]
    uuid.UUID(post(rig, "/connections", body).json["connection_id"])


@test
def importing_again_overrides_and_keeps_the_number(rig):
    first = post(rig, "/connections", connection_body(connection_id="again", metadata={"a": 1})).json
    second = post(rig, "/connections", connection_body(connection_id="again", credentials={"type": "API_KEY", "apiKey": "new"})).json
    assert second["id"] == first["id"] and second["credentials"]["apiKey"] == "new" and not second["metadata"], second


@test
def the_credential_type_must_match_the_provider(rig):
    answer = post(rig, "/connections", connection_body(credentials={"type": "BASIC", "username": "u", "password": "p"}))
    assert answer.status == 400 and answer.code == "invalid_body", answer
    for credentials in ({}, {"type": "API_KEY"}, {"type": "API_KEY", "apiKey": ""}, {"type": "API_KEY", "apiKey": "x" * 1025},
                        {"type": "API_KEY", "apiKey": "k", "more": 1}, "text", None, {"type": "NOSUCH"}):
        answer = post(rig, "/connections", connection_body(credentials=credentials))
        assert answer.status == 400 and answer.code == "invalid_body", (credentials, answer)


@test
def basic_oauth2_and_none_connections_inject_what_they_hold(rig):
    rig.integration("wb", "private-api-basic")
    rig.deploy({"go": "return (await nango.get({ endpoint: '/ok/basic' })).status;"}, "wb")
    made = post(rig, "/connections", {"provider_config_key": "wb", "connection_id": "b",
                                      "credentials": {"type": "BASIC", "username": "ann", "password": "pä:ss"}})
    assert made.status == 201 and made.json["credentials"] == {"type": "BASIC", "username": "ann", "password": "pä:ss"}, made
    assert rig.call("go", connection="b", integration="wb").json == 200
    import base64
    header = {k.lower(): v for k, v in rig.witness.seen("/ok/basic")[0].headers.items()}["authorization"]
    assert header == "Basic " + base64.b64encode("ann:pä:ss".encode()).decode(), header
    post(rig, "/integrations", {"provider": "github", "unique_key": "gh2"})
    made = post(rig, "/connections", {"provider_config_key": "gh2", "connection_id": "o",
                                      "credentials": {"type": "OAUTH2", "access_token": "tok", "refresh_token": "ref"}})
    assert made.status == 201 and made.json["credentials"]["access_token"] == "tok", made
    rig.deploy({"go": f"return (await nango.get({{ endpoint: '/ok/oauth', baseUrlOverride: '{rig.witness.url}' }})).status;"}, "gh2")
    assert rig.call("go", connection="o", integration="gh2").json == 200
    header = {k.lower(): v for k, v in rig.witness.seen("/ok/oauth")[0].headers.items()}["authorization"]
    assert header == "Bearer tok", header
    rig.integration("none", "unauthenticated")
    made = post(rig, "/connections", {"provider_config_key": "none", "connection_id": "n", "credentials": {"type": "NONE"}})
    assert made.status == 201 and made.json["credentials"] == {}, made


@test
def a_generic_private_api_puts_its_key_where_it_is_told(rig):
    for place, config in (("header", {"keyPlacement": "header", "keyName": "X-Token", "valueTemplate": "Tok ${apiKey}"}),
                          ("query", {"keyPlacement": "query", "keyName": "token", "valueTemplate": "${apiKey}"})):
        key = f"generic-{place}"
        made = post(rig, "/integrations", {"provider": "private-api-generic", "unique_key": key,
                                           "integration_config": {"baseUrl": rig.witness.url, **config}})
        assert made.status == 200, made
        rig.connection("g", key, "s3cret")
        rig.deploy({"go": f"return (await nango.get({{ endpoint: '/ok/{place}' }})).status;"}, key)
        assert rig.call("go", connection="g", integration=key).json == 200
    header = {k.lower(): v for k, v in rig.witness.seen("/ok/header")[0].headers.items()}
    assert header["x-token"] == "Tok s3cret", header
    assert rig.witness.seen("/ok/query")[0].query == {"token": "s3cret"}


@test
def errors_of_connections_have_the_originals_shapes(rig):
    answer = post(rig, "/connections", connection_body(provider_config_key="nosuch"))
    assert answer.status == 404 and answer.code == "not_found", answer
    answer = rig.request("GET", "/connections/c?provider_config_key=nosuch")
    assert answer.status == 400 and answer.code == "unknown_provider_config", answer
    answer = rig.request("GET", "/connections/nosuch?provider_config_key=w")
    assert answer.status == 404 and answer.code == "not_found", answer
    answer = rig.request("DELETE", "/connections/nosuch?provider_config_key=w")
    assert answer.status == 400 and answer.code == "unknown_connection", answer
    answer = rig.request("PATCH", "/connections/nosuch?provider_config_key=w", {"tags": {}})
    assert answer.status == 404 and answer.code == "not_found", answer
    answer = rig.request("GET", "/connections/c")
    assert answer.status == 400 and answer.code == "invalid_query_params", answer


@test
def metadata_is_set_merged_and_echoed(rig):
    for name in ("m1", "m2"):
        rig.connection(name)
    body = {"connection_id": ["m1", "m2"], "provider_config_key": "w", "metadata": {"a": 1, "b": {"c": 2}}}
    answer = post(rig, "/connections/metadata", body)
    assert answer.status == 201 and answer.json == body, answer
    body = {"connection_id": "m1", "provider_config_key": "w", "metadata": {"b": 3}}
    answer = rig.request("PATCH", "/connections/metadata", body)
    assert answer.status == 200 and answer.json == body, answer
    read = {n: rig.request("GET", f"/connections/{n}?provider_config_key=w").json["metadata"] for n in ("m1", "m2")}
    assert read == {"m1": {"a": 1, "b": 3}, "m2": {"a": 1, "b": {"c": 2}}}, read
    body = {"connection_id": ["m1", "nosuch"], "provider_config_key": "w", "metadata": {"z": 1}}
    answer = post(rig, "/connections/metadata", body)
    assert answer.status == 404 and answer.code == "unknown_connection", answer
    assert "z" not in rig.request("GET", "/connections/m1?provider_config_key=w").json["metadata"]


@test
def the_legacy_twins_answer_the_same(rig):
    rig.connection("twin", metadata={"a": 1})
    assert rig.request("GET", "/connection/twin?provider_config_key=w").json["connection_id"] == "twin"
    assert "twin" in [c["connection_id"] for c in rig.request("GET", "/connection").json["connections"]]
    answer = post(rig, "/connection/metadata", {"connection_id": "twin", "provider_config_key": "w", "metadata": {"b": 2}})
    assert answer.status == 201, answer
    answer = rig.request("POST", "/connection/twin/metadata", {"c": 3}, {"provider-config-key": "w"})
    assert answer.status == 201 and answer.json == {"c": 3}, answer
    answer = rig.request("PATCH", "/connection/twin/metadata", {"d": 4}, {"provider-config-key": "w"})
    assert answer.status == 200, answer
    assert rig.request("GET", "/connection/twin?provider_config_key=w").json["metadata"] == {"c": 3, "d": 4}
    assert rig.request("DELETE", "/connection/twin?provider_config_key=w").json == {"success": True}


@test
def the_legacy_import_echoes_its_flat_body(rig):
    body = {"connection_id": "flat", "provider_config_key": "w", "api_key": "k9", "metadata": {"a": 1}}
    answer = post(rig, "/connection", body)
    assert answer.status == 201 and answer.json["connection_id"] == "flat", answer
    assert rig.request("GET", "/connections/flat?provider_config_key=w").json["credentials"]["apiKey"] == "k9"


@test
def connections_are_filtered_and_paged_newest_first(rig):
    for n in range(4):
        rig.connection(f"page-{n}", tags={"kind": "paged", "n": str(n)})
    names = [c["connection_id"] for c in rig.request("GET", "/connections?tags[kind]=paged").json["connections"]]
    assert names == [f"page-{n}" for n in (3, 2, 1, 0)], names
    names = [c["connection_id"] for c in rig.request("GET", "/connections?tags[kind]=paged&limit=2&page=1").json["connections"]]
    assert names == ["page-1", "page-0"], names
    names = [c["connection_id"] for c in rig.request("GET", "/connections?tags[kind]=paged&tags[n]=2").json["connections"]]
    assert names == ["page-2"], names
    assert [c["connection_id"] for c in rig.request("GET", "/connections?connectionId=page-3").json["connections"]] == ["page-3"]
    assert rig.request("GET", "/connections?integrationId=nosuch").json == {"connections": []}


@test
def environments_do_not_see_each_others_things(rig):
    rig.connection("mine")
    assert rig.request("GET", "/integrations", key="prod").json == {"data": []}
    assert rig.request("GET", "/connections", key="prod").json == {"connections": []}
    assert rig.request("GET", "/connections/mine?provider_config_key=w", key="prod").status in (400, 404)
    assert rig.request("DELETE", "/integrations/w", key="prod").status == 404
    assert rig.request("GET", "/integrations/w").status == 200


@test
def deleting_an_integration_deletes_its_connections(rig):
    rig.integration("doomed")
    rig.connection("d", "doomed")
    assert rig.request("DELETE", "/integrations/doomed").status == 200
    assert rig.request("GET", "/connections?integrationId=doomed").json == {"connections": []}
    rig.integration("doomed")
    assert rig.request("GET", "/connections/d?provider_config_key=doomed").status == 404


main(lambda: Rig(prepare=lambda rig: rig.integration()))
