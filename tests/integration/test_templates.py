"""The projects of templates/, deployed as a user does and run by the daemon against providers of this machine."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import ROOT, Rig, clean_environment, wait_until
from tap import main, test
from witness import Witness

AT = "2026-01-02T03:04:05Z"


class Providers(Witness):
    """GitHub's issues of o/r, HubSpot's contacts and Pipedrive's persons, as far as the templates ask; for tokens of the test."""

    def __init__(self):
        super().__init__()
        self.issues = {n: self.issue(n, n) for n in range(1, 151)}
        self.people = {1: ("Ann", "Lee", "ann@example.org"), 2: ("Bob", "", None), 3: ("Eve", "Ω", None)}
        self.fail = []  # statuses that come first
        self.routes = {"repos": self.github, "crm": self.hubspot, "api": self.pipedrive}

    @staticmethod
    def issue(number, second, title="t"):
        moment = f"2026-01-01T00:{second // 60:02}:{second % 60:02}Z"
        return {"id": 1000 + number, "number": number, "title": title, "body": None, "state": "open", "user": {"login": "ann"}, "labels": [],
                "html_url": f"https://github.test/{number}", "created_at": moment, "updated_at": moment, "closed_at": None}

    def answer(self, call, value, status=200):
        if {k.lower(): v for k, v in call.headers.items()}.get("authorization") != "Bearer token-of-the-test":
            return 401, {}, b'{"message":"bad token"}'
        if self.fail:
            return self.fail.pop(), {}, b'{"message":"not now"}'
        return status, {}, json.dumps(value()).encode()

    def github(self, call):
        def value():
            if call.method == "POST":
                number = len(self.issues) + 1
                self.issues[number] = self.issue(number, 200 + number, json.loads(call.body)["title"])
                return self.issues[number]
            since, page, size = call.query.get("since", ""), int(call.query["page"]), int(call.query["per_page"])
            found = sorted((i for i in self.issues.values() if i["updated_at"] >= since), key=lambda i: i["updated_at"])
            return found[(page - 1) * size:page * size]
        assert call.path == "/repos/o/r/issues", call.path
        return self.answer(call, value, 201 if call.method == "POST" else 200)

    def page(self, call, name, one):
        rest = sorted(n for n in self.people if n > int(call.query.get(name, 0)))
        return [one(n) for n in rest[:2]], str(rest[1]) if len(rest) > 2 else None

    def hubspot(self, call):
        def one(number):
            first, last, email = self.people[number]
            return {"id": str(number), "createdAt": AT, "updatedAt": AT, "properties": {"firstname": first, "lastname": last, "email": email}}

        def value():
            if call.method == "POST":
                given = json.loads(call.body)["properties"]
                self.people[len(self.people) + 1] = (given["firstname"], given.get("lastname", ""), given.get("email"))
                return one(len(self.people))
            results, after = self.page(call, "after", one)
            return {"results": results, **({"paging": {"next": {"after": after}}} if after else {})}
        return self.answer(call, value)

    def pipedrive(self, call):
        def one(number):
            first, last, email = self.people[number]
            return {"id": number, "name": f"{first} {last}".strip(), "first_name": first, "last_name": last or None,
                    "emails": [{"value": email, "primary": True}] if email else [], "phones": [], "add_time": AT, "update_time": AT}

        def value():
            if call.method == "POST":
                given = json.loads(call.body)
                first, _, last = given["name"].partition(" ")
                self.people[len(self.people) + 1] = (first, last, given["emails"][0]["value"])
                return {"success": True, "data": one(len(self.people))}
            data, after = self.page(call, "cursor", one)
            return {"success": True, "data": data, "additional_data": {"next_cursor": after}}
        return self.answer(call, value)


def rig_with_providers():
    providers = Providers()
    catalog = tempfile.mkdtemp(prefix="sluice-catalog-", dir="/tmp")
    os.chmod(catalog, 0o755)
    for name in ("github", "hubspot", "pipedrive", "private-api-bearer"):
        with open(f"{ROOT}/provider/catalog/{name}.json", encoding="utf-8") as file:
            text = re.sub(r'"base_url": "https://[^"]*"', f'"base_url": "{providers.url}"', file.read())
        with open(f"{catalog}/{name}.json", "w", encoding="utf-8") as file:
            file.write(text)

    def prepare(rig):
        rig.providers = providers
        for env, integrations in (("dev", ["github"]), ("prod", ["hubspot", "pipedrive"])):
            for name in integrations:
                made = rig.request("POST", "/integrations", {"provider": name, "unique_key": name}, key=env)
                assert made.status == 200, made
                made = rig.request("POST", "/connections", {
                    "provider_config_key": name, "connection_id": "c", "credentials": {"type": "OAUTH2", "access_token": "token-of-the-test"},
                    **({"connection_config": {"api_domain": providers.url}} if name == "pipedrive" else {}),
                    **({"metadata": {"owner": "o", "repo": "r"}} if name == "github" else {})}, key=env)
                assert made.status == 201, made
        shutil.rmtree(catalog)
    return Rig(prepare=prepare, settings={"catalog_dir": catalog})


def deploy(rig, project, env):
    """As the README of templates/ says it."""
    key = {"dev": rig.dev, "prod": rig.prod}[env]
    done = subprocess.run(["node", f"{ROOT}/compiler/bin/sluice-deploy.mjs", f"{ROOT}/templates/{project}", "--env", env],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False, env=clean_environment({
                              "NANGO_HOSTPORT": f"http://127.0.0.1:{rig.nodes[0].port}", f"NANGO_SECRET_KEY_{env.upper()}": key}))
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])


def status(rig, sync, integration, env):
    found = rig.request("GET", f"/sync/status?syncs={sync}&provider_config_key={integration}&connection_id=c", key=env).json["syncs"]
    return found[0] if found else {}


def run(rig, sync, integration, env):
    """A run to its end, behind any that the schedule begins."""
    def started():
        asked = rig.request("POST", "/sync/trigger", {"syncs": [sync], "provider_config_key": integration, "connection_id": "c"}, key=env)
        assert asked.status == 200, asked
        return asked.headers["x-sluice-started"] == "1"
    wait_until("a run begins", started, 30)
    wait_until("the run ends", lambda: status(rig, sync, integration, env)["status"] != "RUNNING", 30)
    assert status(rig, sync, integration, env)["latestExecutionStatus"] == "SUCCESS", (
        rig.postgres.query("SELECT convert_from(output, 'UTF8') FROM result"), status(rig, sync, integration, env))


def records(rig, model, integration, env):
    answer = rig.request("GET", f"/records?model={model}&limit=1000", headers={"Connection-Id": "c", "Provider-Config-Key": integration}, key=env)
    assert answer.status == 200, answer
    return {r["id"]: {k: v for k, v in r.items() if k != "_nango_metadata"} for r in answer.json["records"]
            if r["_nango_metadata"]["last_action"] != "DELETED"}


@test(seconds=150)
def issues_are_kept_up_incrementally_and_opened(rig):
    deploy(rig, "issues", "dev")
    run(rig, "issues", "github", "dev")
    assert len(records(rig, "Issue", "github", "dev")) == 150
    entry = status(rig, "issues", "github", "dev")
    assert entry["checkpoint"]["since"] == "2026-01-01T00:02:30Z" and entry["latestResult"]["Issue"]["added"] == 150, entry
    made = rig.call("create-issue", {"title": "a new one"}, integration="github")
    assert made.status == 200 and made.json["title"] == "a new one", made
    before = len(rig.providers.seen("/repos/o/r/issues"))
    run(rig, "issues", "github", "dev")
    [call] = rig.providers.seen("/repos/o/r/issues")[before:]
    assert call.query["since"] == "2026-01-01T00:02:30Z", call.query
    assert records(rig, "Issue", "github", "dev")[made.json["id"]] == made.json  # what the action answered
    assert status(rig, "issues", "github", "dev")["latestResult"]["Issue"] == {"added": 1, "updated": 0, "deleted": 0}
    assert rig.call("create-issue", {}, integration="github").status == 500  # no title: refused before it is asked for
    assert len(rig.providers.issues) == 151


@test(seconds=150)
def contacts_of_two_providers_are_one_model(rig):
    deploy(rig, "contacts", "prod")
    for name in ("hubspot", "pipedrive"):
        rig.providers.people = {1: ("Ann", "Lee", "ann@example.org"), 2: ("Bob", "", None), 3: ("Eve", "Ω", None)}
        run(rig, "contacts", name, "prod")
        kept = records(rig, "Contact", name, "prod")
        assert sorted(kept) == ["1", "2", "3"] and kept["1"] == {
            "id": "1", "name": "Ann Lee", "firstName": "Ann", "lastName": "Lee", "email": "ann@example.org", "phone": None,
            "createdAt": AT, "updatedAt": AT, "source": name}, kept
        made = rig.call("create-contact", {"firstName": "Kim", "lastName": "Roe", "email": "kim@example.org"}, integration=name, env="prod")
        assert made.status == 200 and made.json["name"] == "Kim Roe" and made.json["source"] == name, made
        del rig.providers.people[2]
        run(rig, "contacts", name, "prod")
        kept = records(rig, "Contact", name, "prod")
        assert sorted(kept) == ["1", "3", "4"] and kept[made.json["id"]] == made.json, kept
        rig.providers.fail = [500, 500]
        done = rig.call("create-contact", {"firstName": "Nobody", "email": "n@example.org"}, integration=name, env="prod")
        assert done.status == 424 and rig.providers.fail == [500], done  # asked for once
        rig.providers.fail = []


main(rig_with_providers)
