"""Keys: what each scope opens, what account and operator keys may, environments, variables, rate limits."""
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig
from tap import main, test

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def account(rig, method, path, body=None):
    return rig.request(method, path, body, key=rig.keys["SLUICE_ACCOUNT_KEY"])


def operator(rig, method, path, body=None):
    return rig.request(method, path, body, key=rig.keys["SLUICE_OPERATOR_KEY"])


def new_environment(rig, name):
    answer = account(rig, "POST", "/environments", {"name": name})
    assert answer.status == 200 and answer.json["data"]["name"] == name, answer
    return answer.json["data"]["id"]


@test
def an_account_key_creates_an_environment_and_a_key_that_works_there(rig):
    number = new_environment(rig, "staging")
    answer = account(rig, "POST", "/environment/api-keys", {"environment_id": number, "display_name": "first"})
    data = answer.json["data"]
    assert answer.status == 200 and data["display_name"] == "first" and data["scopes"] == ["environment:*"], answer
    assert UUID.fullmatch(data["secret"]) and data["created_at"], answer
    assert rig.request("GET", "/integrations", key=data["secret"]).json == {"data": []}
    gone = account(rig, "DELETE", "/environment/api-keys", {"environment_id": number, "key_id": data["id"]})
    assert gone.status == 200 and gone.json == {"success": True}, gone
    answer = rig.request("GET", "/integrations", key=data["secret"])
    assert answer.status == 401 and answer.code == "unknown_account", answer


@test
def a_taken_name_is_409_and_a_bad_one_400(rig):
    new_environment(rig, "taken")
    answer = account(rig, "POST", "/environments", {"name": "taken"})
    assert answer.status == 409 and answer.code == "conflict", answer
    for name in ("UPPER", "a b", "", "ä", "x" * 256):
        answer = account(rig, "POST", "/environments", {"name": name})
        assert answer.status == 400 and answer.code == "invalid_body", (name, answer)


@test
def an_environment_is_deleted_but_never_production(rig):
    number = new_environment(rig, "short-lived")
    assert account(rig, "DELETE", f"/environments/{number}").status == 204
    assert account(rig, "DELETE", f"/environments/{number}").status == 404
    number = account(rig, "POST", "/environments", {"name": "live", "is_production": True}).json["data"]["id"]
    answer = account(rig, "DELETE", f"/environments/{number}")
    assert answer.status == 400 and answer.code == "cannot_delete_prod_environment", answer


@test
def unknown_environments_and_keys_are_404(rig):
    answer = account(rig, "POST", "/environment/api-keys", {"environment_id": 99999, "display_name": "x"})
    assert answer.status == 404, answer
    answer = account(rig, "DELETE", "/environment/api-keys", {"environment_id": 1, "key_id": 99999})
    assert answer.status == 404, answer


@test
def an_environment_key_gets_403_on_account_paths(rig):
    for method, path, body in (("POST", "/environments", {"name": "x"}), ("DELETE", "/environments/1", None),
                               ("POST", "/environment/api-keys", {"environment_id": 1, "display_name": "y"}),
                               ("DELETE", "/environment/api-keys", {"environment_id": 1, "key_id": 1})):
        answer = rig.request(method, path, body)
        assert answer.status == 403 and answer.code == "forbidden", (path, answer)


@test
def the_admin_api_is_for_operators_only(rig):
    for method, path, body in (("GET", "/admin/v1/environments/dev", None), ("PATCH", "/admin/v1/environments/dev", {}),
                               ("PUT", "/admin/v1/environments/dev/variables/A", {"value": "x"}),
                               ("DELETE", "/admin/v1/environments/dev/variables/A", None)):
        for key in (rig.dev, rig.keys["SLUICE_ACCOUNT_KEY"]):
            answer = rig.request(method, path, body, key=key)
            assert answer.status == 403 and answer.code == "forbidden", (method, path, answer)


@test
def operators_read_and_change_environment_settings(rig):
    before = operator(rig, "GET", "/admin/v1/environments/dev")
    assert before.status == 200 and "settings" in before.body.decode(), before
    answer = operator(rig, "PATCH", "/admin/v1/environments/dev", {"action_timeout": 77})
    assert answer.status == 200, answer
    assert operator(rig, "GET", "/admin/v1/environments/dev").json["settings"] == {"action_timeout": 77}
    assert operator(rig, "GET", "/admin/v1/environments/prod").json["settings"] == {}
    for bad in ({"action_timeout": 0}, {"action_timeout": "soon"}, {"action_timeout": 10 ** 9}, {"nonsense": 1}):
        answer = operator(rig, "PATCH", "/admin/v1/environments/dev", bad)
        assert answer.status == 400 and answer.code == "invalid_body", (bad, answer)
    assert operator(rig, "GET", "/admin/v1/environments/dev").json["settings"] == {"action_timeout": 77}, "a refused change changed something"
    assert operator(rig, "GET", "/admin/v1/environments/nosuch").status == 404


@test
def a_changed_run_limit_holds_for_the_next_action(rig):
    rig.prepare({"wait": "await new Promise((done) => setTimeout(done, 20000)); return 1;"}, env="prod")
    assert operator(rig, "PATCH", "/admin/v1/environments/prod", {"action_timeout": 1}).status == 200
    began = time.monotonic()
    answer = rig.call("wait", env="prod")
    assert answer.status == 500 and answer.code == "execution_timeout", answer
    assert time.monotonic() - began < 5


@test
def variables_are_set_read_by_functions_and_deleted(rig):
    rig.prepare({"variables": "return await nango.getEnvironmentVariables();"})
    assert rig.request("GET", "/environment-variables").json == []
    assert operator(rig, "PUT", "/admin/v1/environments/dev/variables/REGION", {"value": "eu ä"}).status in (200, 201, 204)
    wanted = [{"name": "REGION", "value": "eu ä"}]
    assert rig.request("GET", "/environment-variables").json == wanted
    assert rig.call("variables").json == wanted
    assert rig.request("GET", "/environment-variables", key="prod").json == []
    assert operator(rig, "DELETE", "/admin/v1/environments/dev/variables/REGION").status in (200, 204)
    assert rig.request("GET", "/environment-variables").json == []
    assert operator(rig, "DELETE", "/admin/v1/environments/dev/variables/REGION").status == 404


@test
def the_signing_key_is_rotated(rig):
    first = rig.request("POST", "/environment/webhook-signing-key/rotate")
    assert first.status == 200 and UUID.fullmatch(first.json["data"]["webhook_signing_key"]), first
    second = rig.request("POST", "/environment/webhook-signing-key/rotate")
    assert second.json != first.json


SCOPED = [  # method, path, body, scope without "environment:", a status that says "past the scope check"
    ("GET", "/integrations", None, "integrations:list"),
    ("GET", "/integrations/w", None, "integrations:read"),
    ("POST", "/integrations", {}, "integrations:create"),
    ("PATCH", "/integrations/nosuch", {}, "integrations:update"),
    ("DELETE", "/integrations/nosuch", None, "integrations:delete"),
    ("GET", "/connections", None, "connections:list"),
    ("GET", "/connections/nosuch?provider_config_key=w", None, "connections:read"),
    ("POST", "/connections", {}, "connections:create"),
    ("PATCH", "/connections/nosuch?provider_config_key=w", {}, "connections:update"),
    ("DELETE", "/connections/nosuch?provider_config_key=w", None, "connections:delete"),
    ("POST", "/action/trigger", {}, "actions:execute"),
    ("GET", "/action/11111111-2222-4333-8444-555555555555", None, "actions:execute"),
    ("GET", "/records?model=Item", None, "records:read"),
    ("PATCH", "/records/prune", {}, "records:write"),
    ("GET", "/environment-variables", None, "variables:read"),
    ("POST", "/sync/deploy", {}, "deploy"),
    ("POST", "/sync/deploy/confirmation", {}, "deploy"),
    ("GET", "/webhooks/deliveries", None, "webhooks:read"),
    ("GET", "/webhooks/deliveries/11111111-2222-4333-8444-555555555555", None, "webhooks:read"),
    ("GET", "/webhooks/endpoints", None, "webhooks:read"),
    ("GET", "/webhooks/endpoints/11111111-2222-4333-8444-555555555555", None, "webhooks:read"),
    ("POST", "/webhooks/deliveries/resend", {}, "webhooks:write"),
    ("POST", "/webhooks/deliveries/11111111-2222-4333-8444-555555555555/resend", None, "webhooks:write"),
    ("POST", "/webhooks/endpoints/11111111-2222-4333-8444-555555555555/pause", None, "webhooks:write"),
    ("POST", "/webhooks/endpoints/11111111-2222-4333-8444-555555555555/resume", None, "webhooks:write"),
    ("POST", "/webhooks/test", {"url": "none"}, "webhooks:write"),
]


def scoped_key(rig, scope):
    """Customers cannot narrow a key yet: the row is changed in the ledger, as an operator would."""
    number = rig.postgres.query("SELECT id FROM environment WHERE name = 'dev'")[0][0]
    answer = account(rig, "POST", "/environment/api-keys", {"environment_id": int(number), "display_name": f"only {scope}"})
    data = answer.json["data"]
    rig.postgres.query(f"UPDATE api_key SET scopes = '{scope}' WHERE id = {int(data['id'])}")
    return data["secret"]


def scope_case(method, path, body, scope):
    @test(name=f"{method} {path.split('?')[0]} needs {scope} and no other scope".replace(" ", "_"))
    def run(rig):
        other = scoped_key(rig, "environment:proxy")
        answer = rig.request(method, path, body, key=other)
        assert answer.status == 403 and answer.code == "forbidden", answer
        assert scope in answer.json["error"]["message"], answer
        for granted in (f"environment:{scope}", f"environment:{scope.split(':')[0]}:*" if ":" in scope else None):
            if granted is not None:
                rig.postgres.query(f"DELETE FROM api_key WHERE display_name = 'only {granted}'")
                answer = rig.request(method, path, body, key=scoped_key(rig, granted))
                assert answer.status != 403, (granted, answer)
        rig.postgres.query("DELETE FROM api_key WHERE display_name LIKE 'only %'")


for row in SCOPED:
    scope_case(*row)


@test
def every_authenticated_answer_carries_the_rate_limit_headers(rig):
    left = None
    for path in ("/integrations", "/integrations/nosuch", "/environment-variables"):
        answer = rig.request("GET", path)
        assert answer.headers["x-ratelimit-limit"] == "100000", answer.headers
        assert abs(int(answer.headers["x-ratelimit-reset"]) - time.time()) <= 61
        now = int(answer.headers["x-ratelimit-remaining"])
        assert left is None or now < left or now > 99990, (left, now)  # a new window may have begun
        left = now


@test
def unauthenticated_answers_tell_the_limit_of_their_address_and_health_needs_no_key(rig):
    answer = rig.request("GET", "/integrations", key=None)
    assert answer.status == 401 and int(answer.headers["x-ratelimit-remaining"]) % 10 == 0, answer.headers
    health = rig.request("GET", "/health", key=None)
    assert health.status == 200 and health.json == {"result": "ok"}, health


@test
def past_the_limit_a_caller_gets_429_with_retry_after(rig):
    if time.time() % 60 > 50:  # stay inside one window
        time.sleep(60 - time.time() % 60 + 0.2)
    node = rig.nodes[1]  # its own limit of 30 a minute
    answers = [rig.request("GET", "/integrations", node=node) for _ in range(40)]
    codes = [a.status for a in answers]
    assert 200 in codes and codes[-1] == 429, codes
    last = answers[-1]
    assert last.code == "too_many_request" and 0 < int(last.headers["retry-after"]) <= 60, last
    assert last.json["error"]["method"] == "GET" and last.json["error"]["path"] == "/integrations", last
    assert last.headers["x-ratelimit-remaining"] == "0" and last.headers["x-ratelimit-limit"] == "30"


def prepare(rig):
    rig.nodes[1].settings["api_rate_limit"] = "30"
    rig.nodes[0].start()
    rig.read_keys()
    rig.nodes[1].start()
    rig.integration()


main(lambda: Rig(nodes=2, start=False, prepare=prepare))
