"""Integrations, providers, environments, keys, variables and the admin API in detail; readiness."""
import os
import re
import sys
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig
from servers import wait_until
from tap import main, test

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
OAUTH2 = {"type": "OAUTH2", "client_id": "cid", "client_secret": "canary-client-secret", "scopes": "a,b"}


def refused(answer, code, path=None, status=400):
    assert answer.status == status and answer.code == code, answer
    if path is not None:
        assert answer.json["error"]["errors"][0]["path"] == path, answer


def make(rig, key, provider="github", **more):
    answer = rig.request("POST", "/integrations", {"provider": provider, "unique_key": key, **more})
    assert answer.status == 200, answer
    return answer.json["data"]


def account(rig, method, path, body=None):
    return rig.request(method, path, body, key=rig.keys["SLUICE_ACCOUNT_KEY"])


def operator(rig, method, path, body=None):
    return rig.request(method, path, body, key=rig.keys["SLUICE_OPERATOR_KEY"])


def environment(rig, name, **more):
    answer = account(rig, "POST", "/environments", {"name": name, **more})
    assert answer.status == 200 and list(answer.json["data"]) == ["id", "name"], answer
    return answer.json["data"]["id"]


# ---- integrations

@test
def an_integration_has_exactly_the_members_of_the_wire(rig):
    data = make(rig, "shape")
    assert list(data) == ["unique_key", "provider", "display_name", "logo", "forward_webhooks", "created_at", "updated_at"], data
    assert data["display_name"] == "GitHub" and data["forward_webhooks"] is True, data
    assert TIME.fullmatch(data["created_at"]) and TIME.fullmatch(data["updated_at"]), data
    assert data["logo"] == rig.request("GET", "/providers/github").json["data"]["logo_url"], data
    read = rig.request("GET", "/integrations/shape").json
    assert read == {"data": data}, read
    assert data in rig.request("GET", "/integrations").json["data"]
    assert rig.request("GET", "/integrations/shape?include=webhook").json["data"] == {**data, "webhook_url": None}
    both = rig.request("GET", "/integrations/shape?include=credentials&include=webhook").json["data"]
    assert both == {**data, "webhook_url": None, "credentials": None}, both


@test
def credentials_of_an_integration_are_sealed_and_come_back(rig):
    make(rig, "oauth", credentials=OAUTH2)
    full = {**OAUTH2, "webhook_secret": None}
    assert rig.request("GET", "/integrations/oauth?include=credentials").json["data"]["credentials"] == full
    stored, row = rig.postgres.query("SELECT credentials, seal_row FROM integration WHERE unique_key = 'oauth'")[0]
    assert stored.startswith("s1:") and "canary" not in stored and row.startswith("integration:"), (stored, row)
    answer = rig.request("PATCH", "/integrations/oauth", {"unique_key": "oauth-renamed"})
    assert answer.status == 200 and "credentials" not in answer.json["data"], answer
    assert rig.request("GET", "/integrations/oauth-renamed?include=credentials").json["data"]["credentials"] == full
    changed = {**OAUTH2, "client_secret": "other", "webhook_secret": "hook", "scopes": None}
    assert rig.request("PATCH", "/integrations/oauth-renamed", {"credentials": changed}).status == 200
    assert rig.request("GET", "/integrations/oauth-renamed?include=credentials").json["data"]["credentials"] == changed
    assert "canary" not in rig.nodes[0].log()


@test
def an_integration_with_client_credentials_needs_no_client_of_its_own(rig):
    make(rig, "cc", "microsoft-oauth2-cc", credentials={"type": "OAUTH2_CC", "scopes": "a b"})
    assert rig.request("GET", "/integrations/cc?include=credentials").json["data"]["credentials"] == {
        "type": "OAUTH2_CC", "client_id": None, "client_secret": None, "scopes": "a b", "webhook_secret": None}
    make(rig, "cc-own", "microsoft-oauth2-cc", credentials={**OAUTH2, "type": "OAUTH2_CC"})
    make(rig, "cc-none", "microsoft-oauth2-cc")
    refused(rig.request("POST", "/integrations", {"provider": "microsoft-oauth2-cc", "unique_key": "cc-bad", "credentials": OAUTH2}),
            "invalid_body", ["credentials", "type"])


@test
def a_patch_changes_what_it_names_and_nothing_else(rig):
    first = make(rig, "patched", "private-api-generic", display_name="First", forward_webhooks=False,
                 integration_config={"baseUrl": "https://a.example", "keyName": "X"}, custom={"a": "1"})
    assert first["forward_webhooks"] is False and first["display_name"] == "First", first
    answer = rig.request("PATCH", "/integrations/patched", {})
    assert answer.status == 200 and answer.json["data"]["forward_webhooks"] is False, answer
    answer = rig.request("PATCH", "/integrations/patched", {"integration_config": {"keyName": "Y"}, "custom": {"b": "2"}})
    assert answer.json["data"]["display_name"] == "First" and answer.json["data"]["updated_at"] > first["updated_at"], answer
    row = rig.postgres.query("SELECT config, custom FROM integration WHERE unique_key = 'patched'")[0]
    assert list(row) == ['{"baseUrl":"https://a.example","keyName":"Y"}', '{"a":"1","b":"2"}'], row
    assert rig.request("PATCH", "/integrations/patched", {"forward_webhooks": True}).json["data"]["forward_webhooks"] is True


@test
def a_rename_is_refused_when_taken_or_in_use(rig):
    make(rig, "used", "private-api-bearer")
    make(rig, "other")
    rig.connection("c", "used")
    refused(rig.request("PATCH", "/integrations/used", {"unique_key": "unused"}), "invalid_body", ["uniqueKey"])
    refused(rig.request("PATCH", "/integrations/other", {"unique_key": "used"}), "invalid_body", ["uniqueKey"])
    assert rig.request("PATCH", "/integrations/used", {"unique_key": "used", "display_name": "x"}).status == 200
    assert rig.request("PATCH", "/integrations/other", {"unique_key": "free"}).json["data"]["unique_key"] == "free"


@test
def a_bad_integration_is_400_naming_the_member(rig):
    good = {"provider": "github", "unique_key": "bad"}
    both = (({"unique_key": "a/b"}, ["unique_key"]), ({"unique_key": "x" * 256}, ["unique_key"]), ({"unique_key": "a\nb"}, ["unique_key"]),
            ({"unique_key": 1}, ["unique_key"]), ({"more": 1}, []), ({"display_name": 1}, ["display_name"]),
            ({"forward_webhooks": "true"}, ["forward_webhooks"]), ({"integration_config": []}, ["integration_config"]),
            ({"integration_config": {"a": 1}}, ["integration_config", "a"]), ({"custom": {"b": None}}, ["custom", "b"]),
            ({"credentials": "x"}, ["credentials"]), ({"credentials": {"type": "BASIC"}}, ["credentials", "type"]),
            ({"credentials": {}}, ["credentials", "type"]), ({"credentials": {**OAUTH2, "more": 1}}, []),
            ({"credentials": {"type": "OAUTH2", "client_id": "x"}}, ["credentials", "client_secret"]),
            ({"credentials": {**OAUTH2, "client_id": ""}}, ["credentials", "client_id"]),
            ({"credentials": {**OAUTH2, "client_secret": "a\0"}}, ["credentials", "client_secret"]),
            ({"credentials": {**OAUTH2, "scopes": 1}}, ["credentials", "scopes"]))
    make(rig, "there")
    for change, path in both + (({"provider": None}, ["provider"]), ({"provider": "nosuch"}, ["provider"]), ({"provider": "../github"}, ["provider"]),
                                ({"unique_key": ""}, ["unique_key"])):
        refused(rig.request("POST", "/integrations", {**good, **change}), "invalid_body", path)
    for change, path in both + (({"provider": "slack"}, []),):
        refused(rig.request("PATCH", "/integrations/there", change), "invalid_body", path)
    refused(rig.request("POST", "/integrations", {"provider": "private-api-basic", "unique_key": "bad", "credentials": OAUTH2}),
            "invalid_body", ["credentials", "type"])
    refused(rig.request("POST", "/integrations", {**good, "unique_key": "there"}), "invalid_body", ["uniqueKey"])
    refused(rig.request("GET", "/integrations?a=1"), "invalid_query_params")
    refused(rig.request("GET", "/integrations/there?include=x"), "invalid_query_params", ["include"])
    refused(rig.request("GET", "/integrations/there?includes=webhook"), "invalid_query_params", [])
    for method, sent in (("GET", None), ("PATCH", {}), ("DELETE", None)):
        refused(rig.request(method, "/integrations/a%2Fb", sent), "invalid_uri_params", ["uniqueKey"])
        refused(rig.request(method, "/integrations/nosuch", sent), "not_found", status=404)
    assert rig.request("GET", "/integrations/bad").status == 404


@test
def every_character_of_a_key_works(rig):
    key = "aZ0~:.@ _-"
    make(rig, key)
    path = "/integrations/" + urllib.parse.quote(key, safe="")
    assert rig.request("GET", path).json["data"]["unique_key"] == key
    assert rig.request("GET", "/config/" + urllib.parse.quote(key, safe="")).json["config"]["unique_key"] == key
    assert rig.request("DELETE", path).json == {"success": True}


@test
def the_legacy_config_lists_functions(rig):
    make(rig, "legacy", "private-api-bearer", integration_config={"baseUrl": rig.witness.url})
    assert rig.request("GET", "/config/legacy").json == {"config": {"unique_key": "legacy", "provider": "private-api-bearer",
                                                                    "syncs": [], "actions": []}}
    rig.deploy({"shout": "return 1;"}, "legacy")
    config = rig.request("GET", "/config/legacy").json["config"]
    assert [a["name"] for a in config["actions"]] == ["shout"] and config["syncs"] == [], config
    assert config["actions"][0]["description"] == "test", config
    refused(rig.request("GET", "/config/nosuch"), "not_found", status=404)


# ---- providers

@test
def providers_are_shown_with_their_definition(rig):
    raw = rig.request("GET", "/providers.json", key=None).json
    listed = rig.request("GET", "/providers").json["data"]
    assert [p["name"] for p in listed] == sorted(raw), listed
    assert all(raw[p["name"]] == p and p["logo_url"] and p["display_name"] for p in listed)
    assert [p["name"] for p in rig.request("GET", "/providers?search=GITHUB").json["data"]] == ["github", "github-pat"]
    assert rig.request("GET", "/providers?search=nosuch").json == {"data": []}
    assert rig.request("GET", "/providers/github/templates").json == {"data": []}
    assert rig.request("GET", "/providers/github").json["data"]["auth_mode"] == "OAUTH2"
    for path in ("/providers/nosuch", "/providers/nosuch/templates"):
        refused(rig.request("GET", path), "not_found", status=404)
    refused(rig.request("GET", "/providers/a.b"), "invalid_uri_params", ["provider"])
    refused(rig.request("GET", "/providers?more=1"), "invalid_query_params")


# ---- environments and keys

@test
def an_environment_keeps_its_options_and_seals_the_secret_ones(rig):
    number = environment(rig, "options", callback_url="https://example.org/hook", hmac_key="canary-hmac", hmac_enabled=True,
                         slack_notifications=False, otlp_endpoint="https://otlp.example", otlp_headers=[{"name": "x", "value": "canary-otlp"}])
    data = operator(rig, "GET", "/admin/v1/environments/options").json
    assert data["id"] == number and data["callback_url"] == "https://example.org/hook" and UUID.fullmatch(data["uuid"]), data
    assert data["settings"] == {"hmac_enabled": True, "slack_notifications": False, "otlp_endpoint": "https://otlp.example",
                                "hmac_key": "(set)", "otlp_headers": "(set)"}, data
    row = rig.postgres.query("SELECT settings, signing_key FROM environment WHERE name = 'options'")[0]
    assert "canary" not in row[0] and row[1].startswith("s1:"), row
    for bad, path in (({"callback_url": "x"}, ["callback_url"]), ({"callback_url": "ftp://x"}, ["callback_url"]), ({"hmac_key": 1}, ["hmac_key"]),
                      ({"hmac_enabled": "x"}, ["hmac_enabled"]), ({"slack_notifications": 1}, ["slack_notifications"]),
                      ({"otlp_endpoint": "x"}, ["otlp_endpoint"]), ({"otlp_headers": "x"}, ["otlp_headers"]), ({"more": 1}, []),
                      ({"is_production": "yes"}, ["is_production"]), ({"name": "A"}, ["name"]), ({"name": None}, ["name"])):
        refused(account(rig, "POST", "/environments", {"name": "bad", **bad}), "invalid_body", path)
    assert operator(rig, "GET", "/admin/v1/environments/bad").status == 404


@test
def an_environment_of_the_largest_options_can_still_be_changed(rig):
    def headers(size):
        return [{"name": "x", "value": "v" * (size - len('[{"name": "x", "value": ""}]'))}]
    refused(account(rig, "POST", "/environments", {"name": "heavy", "otlp_headers": headers((64 << 10) + 1)}), "invalid_body", ["otlp_headers"])
    environment(rig, "heavy", hmac_key="k" * 1024, otlp_headers=headers(64 << 10))
    changed = operator(rig, "PATCH", "/admin/v1/environments/heavy", {"action_timeout": 5})
    assert changed.status == 200 and changed.json["settings"]["action_timeout"] == 5, changed


@test
def production_environments_need_a_scope_and_stay(rig):
    data = rig.postgres.query("SELECT id, scopes FROM api_key WHERE scopes LIKE 'account:%'")[0]
    rig.postgres.query(f"UPDATE api_key SET scopes = 'account:environments:create' WHERE id = {int(data[0])}")
    rig.postgres.query("NOTIFY sluice_catalog, '0'")
    try:
        wait_until("the key has lost its scope", lambda: account(
            rig, "POST", "/environments", {"name": "live", "is_production": True}).status == 403, 5)
        environment(rig, "not-live")
    finally:
        rig.postgres.query(f"UPDATE api_key SET scopes = '{data[1]}' WHERE id = {int(data[0])}")
        rig.postgres.query("NOTIFY sluice_catalog, '0'")
    wait_until("the scope is back", lambda: account(rig, "POST", "/environments", {"name": "live", "is_production": True}).status in (200, 409), 5)
    for name in ("prod", "live"):
        number = operator(rig, "GET", f"/admin/v1/environments/{name}").json["id"]
        refused(account(rig, "DELETE", f"/environments/{number}"), "cannot_delete_prod_environment")


@test
def bad_ids_of_environments_and_keys_are_refused(rig):
    for text in ("x", "0", "-1", "1.5", "01", "99999999999999999999", "1e3"):
        refused(account(rig, "DELETE", f"/environments/{text}"), "invalid_uri_params", ["environmentId"])
    for text in ("2147483648", "9223372036854775807", "99999"):
        refused(account(rig, "DELETE", f"/environments/{text}"), "not_found", status=404)
    refused(account(rig, "DELETE", "/environments/1?a=1"), "invalid_query_params")
    for body, path in (({"environment_id": "1", "display_name": "x"}, ["environment_id"]), ({"environment_id": 1}, ["display_name"]),
                       ({"environment_id": 1.5, "display_name": "x"}, ["environment_id"]), ({"environment_id": 0, "display_name": "x"}, ["environment_id"]),
                       ({"environment_id": 1, "display_name": ""}, ["display_name"]), ({"environment_id": 1, "display_name": "x" * 256}, ["display_name"]),
                       ({"environment_id": 1, "display_name": "x", "scopes": []}, [])):
        refused(account(rig, "POST", "/environment/api-keys", body), "invalid_body", path)
    for body, path in (({"environment_id": 1}, ["key_id"]), ({"key_id": 1}, ["environment_id"]), ({"environment_id": 1, "key_id": 1, "x": 1}, [])):
        refused(account(rig, "DELETE", "/environment/api-keys", body), "invalid_body", path)
    for body in ({"environment_id": 2147483648, "display_name": "x"}, {"environment_id": 99999, "display_name": "x"}):
        refused(account(rig, "POST", "/environment/api-keys", body), "not_found", status=404)


@test
def a_key_is_shown_once_kept_as_a_digest_and_named_once(rig):
    number = environment(rig, "keys")
    data = account(rig, "POST", "/environment/api-keys", {"environment_id": number, "display_name": "Ünique"}).json["data"]
    assert list(data) == ["id", "display_name", "scopes", "secret", "created_at"] and UUID.fullmatch(data["secret"]), data
    assert data["display_name"] == "Ünique" and TIME.fullmatch(data["created_at"]) and data["scopes"] == ["environment:*"], data
    assert data["secret"] not in str(rig.postgres.query("SELECT * FROM api_key"))
    refused(account(rig, "POST", "/environment/api-keys", {"environment_id": number, "display_name": "Ünique"}), "conflict", status=409)
    other = environment(rig, "keys-other")
    refused(account(rig, "DELETE", "/environment/api-keys", {"environment_id": other, "key_id": data["id"]}), "not_found", status=404)
    assert rig.request("GET", "/connections", key=data["secret"]).json == {"connections": []}
    assert rig.request("GET", "/api/v1/environments", key=data["secret"]).json == {"data": [{"name": "keys", "is_production": False}]}
    account(rig, "DELETE", f"/environments/{number}")
    refused(rig.request("GET", "/connections", key=data["secret"]), "unknown_account", status=401)


@test
def environments_are_listed_by_what_the_key_may_see(rig):
    assert rig.request("GET", "/api/v1/environments").json == {"data": [{"name": "dev", "is_production": False}]}
    listed = {e["name"]: e["is_production"] for e in account(rig, "GET", "/api/v1/environments").json["data"]}
    assert listed["dev"] is False and listed["prod"] is True, listed


@test
def a_rotated_signing_key_is_stored_sealed(rig):
    before = rig.postgres.query("SELECT signing_key FROM environment WHERE name = 'dev'")[0][0]
    answer = rig.request("POST", "/environment/webhook-signing-key/rotate")
    assert answer.status == 200 and list(answer.json) == ["data"], answer
    key = answer.json["data"]["webhook_signing_key"]
    after = rig.postgres.query("SELECT signing_key FROM environment WHERE name = 'dev'")[0][0]
    assert UUID.fullmatch(key) and after != before and after.startswith("s1:") and key not in rig.nodes[0].log()
    refused(rig.request("POST", "/environment/webhook-signing-key/rotate?a=1"), "invalid_query_params")


# ---- admin

@test
def operators_read_and_change_settings(rig):
    environment(rig, "admin")
    path = "/admin/v1/environments/admin"
    data = operator(rig, "GET", path).json
    assert list(data) == ["name", "id", "uuid", "is_production", "callback_url", "settings", "concurrency", "sync_limit",
                          "webhook_url", "webhook_url_secondary", "webhook_events"], data
    assert data["settings"] == {} and data["callback_url"] is None and data["is_production"] is False, data
    answer = operator(rig, "PATCH", path, {"action_timeout": 7})
    assert answer.status == 200 and answer.json == {**data, "settings": {"action_timeout": 7}}, answer
    for bad, where in (({"action_timeout": 0}, ["action_timeout"]), ({"action_timeout": 86401}, ["action_timeout"]),
                       ({"action_timeout": 1.5}, ["action_timeout"]), ({"action_timeout": "7"}, ["action_timeout"]), ({"nonsense": 1}, []),
                       ({"action_timeout": 9, "hmac_key": "x"}, []), ({"sync_limit": 0}, ["sync_limit"]),
                       ({"sync_limit": 501}, ["sync_limit"]), ({"sync_limit": "7"}, ["sync_limit"])):
        answer = operator(rig, "PATCH", path, bad)
        refused(answer, "invalid_body", where)
        assert where or "nonsense" in answer.body.decode() or "hmac_key" in answer.body.decode(), answer
    assert operator(rig, "GET", path).json["settings"] == {"action_timeout": 7}
    assert operator(rig, "PATCH", path, {"action_timeout": None}).json["settings"] == {}
    assert data["sync_limit"] is None
    assert operator(rig, "PATCH", path, {"sync_limit": 7}).json == {**data, "sync_limit": 7}
    assert operator(rig, "PATCH", path, {"sync_limit": None, "action_timeout": None}).json == data
    refused(operator(rig, "GET", "/admin/v1/environments/nosuch"), "not_found", status=404)
    refused(operator(rig, "PATCH", "/admin/v1/environments/nosuch", {}), "not_found", status=404)
    refused(operator(rig, "GET", "/admin/v1/environments/UPPER"), "invalid_uri_params", ["name"])
    refused(operator(rig, "GET", path + "?a=1"), "invalid_query_params")


@test
def a_changed_action_timeout_ends_the_next_run(rig):
    make(rig, "slow", "private-api-bearer", integration_config={"baseUrl": rig.witness.url})
    rig.connection("c", "slow")
    rig.deploy({"sleep": "await new Promise((r) => setTimeout(r, 3000)); return 'slept';"}, "slow")
    assert operator(rig, "PATCH", "/admin/v1/environments/dev", {"action_timeout": 1}).status == 200
    answer = rig.call("sleep", integration="slow")
    assert answer.status == 500 and answer.code == "execution_timeout", answer
    assert operator(rig, "PATCH", "/admin/v1/environments/dev", {"action_timeout": None}).status == 200
    assert rig.call("sleep", integration="slow").json == "slept"


@test
def variables_are_sealed_bounded_and_named_as_in_a_shell(rig):
    path = "/admin/v1/environments/dev/variables/"
    value = "é 😀 \"\\\n" + "x" * 1000
    for name in ("A", "_b9", "N" * 255):
        answer = operator(rig, "PUT", path + name, {"value": value})
        assert answer.status == 200 and answer.json == {"success": True}, answer
    assert operator(rig, "PUT", path + "A", {"value": ""}).status == 200
    assert operator(rig, "PUT", path + "BIG", {"value": "x" * 65536}).status == 200
    refused(operator(rig, "PUT", path + "BIGGER", {"value": "x" * 65537}), "invalid_body", ["value"])
    got = {v["name"]: v["value"] for v in rig.request("GET", "/environment-variables").json}
    assert got == {"A": "", "_b9": value, "N" * 255: value, "BIG": "x" * 65536}, list(got)
    rows = rig.postgres.query("SELECT value FROM environment_variable")
    assert all(r[0].startswith("s1:") for r in rows), rows
    for name in ("9A", "A-B", "A.B", "%20", "%C3%A4", "N" * 256, "A%0A"):
        for method, body in (("PUT", {"value": "x"}), ("DELETE", None)):
            refused(operator(rig, method, path + name, body), "invalid_uri_params", ["variable"])
    for body, where in (({}, ["value"]), ({"value": 1}, ["value"]), ({"value": None}, ["value"]), ({"value": "a\0b"}, ["value"]),
                        ({"value": "x", "more": 1}, [])):
        refused(operator(rig, "PUT", path + "A", body), "invalid_body", where)
    refused(operator(rig, "PUT", "/admin/v1/environments/nosuch/variables/A", {"value": "x"}), "not_found", status=404)
    for name in got:
        assert operator(rig, "DELETE", path + name).json == {"success": True}
        refused(operator(rig, "DELETE", path + name), "not_found", status=404)
    assert rig.request("GET", "/environment-variables").json == []
    refused(rig.request("GET", "/environment-variables?a=1"), "invalid_query_params")


# ---- health

@test
def readiness_names_what_is_missing_and_comes_back(rig):
    assert rig.request("GET", "/health", key=None).json == {"result": "ok"}
    assert rig.request("GET", "/ready", key=None).json == {"result": "ok"}
    rig.redis.stop()
    try:
        answer = wait_until("Redis is missed", lambda: (lambda a: a if a.status == 503 else None)(
            rig.request("GET", "/ready", key=None)), 15)
        assert answer.code == "not_ready" and "Redis" in answer.json["error"]["message"], answer
        assert rig.request("GET", "/health", key=None).status == 200
    finally:
        rig.redis.start()
    wait_until("it is ready again", lambda: rig.request("GET", "/ready", key=None).status == 200, 30)


main(lambda: Rig(settings={"log_level": "debug"}))
