"""The alert rules, the dashboard and the run book: against promtool, a Prometheus that scrapes a node, and each other."""
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from exposition import parse
from rig import ROOT, Rig, free_port
from servers import stop, wait_until
from tap import main, test

MONITORING = f"{ROOT}/doc/monitoring"
WINDOW = "20s"  # of $__rate_interval: scrapes are a second apart


def read(path):
    with open(f"{ROOT}/{path}", encoding="utf-8") as file:
        return file.read()


def alerts():
    """{name: expression}; the file is plain enough for that."""
    found = re.findall(r"^      - alert: (\w+)\n        expr: (.+)$", read("doc/monitoring/alerts.yml"), re.M)
    assert len(found) == read("doc/monitoring/alerts.yml").count("- alert:") > 30
    return {name: expression.strip("'") for name, expression in found}


def dashboard():
    """[(title, expression)] of all panels."""
    board = json.loads(read("doc/monitoring/dashboard.json"))
    return [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel.get("targets", [])]


def families(expression):
    text = re.sub(r'"[^"]*"', "", expression)
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\b(?:sluice|process)_\w+", text)}


def promtool(*arguments, **more):
    done = subprocess.run(["promtool", *arguments], check=False, cwd=MONITORING, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60, **more)
    assert done.returncode == 0, done.stdout
    return done.stdout


def scrape(rig):
    return rig.request("GET", "/metrics", key=None).body.decode()


class Prometheus:
    def __init__(self, rig):
        self.directory, self.port = f"{rig.directory}/prometheus", free_port()
        os.mkdir(self.directory)
        with open(f"{self.directory}/prometheus.yml", "w", encoding="ascii") as file:
            json.dump({"global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                       "rule_files": [f"{MONITORING}/alerts.yml"],
                       "scrape_configs": [{"job_name": "sluice", "static_configs": [
                           {"targets": [f"127.0.0.1:{rig.nodes[0].port}"]}]}]}, file)  # JSON is YAML
        with open(f"{self.directory}/log", "wb") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={self.directory}/prometheus.yml", f"--storage.tsdb.path={self.directory}/data",
                 f"--web.listen-address=127.0.0.1:{self.port}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.directory)

    def ask(self, path, **query):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()}") from error

    def query(self, expression):
        return self.ask("query", query=expression.replace("$__rate_interval", WINDOW))["result"]

    def is_ready(self):
        assert self.process.poll() is None, open(f"{self.directory}/log", encoding="utf-8").read()
        try:
            return self.query("count_over_time(up[1m]) >= 3")
        except OSError:
            return False


def prepare(rig):
    rig.prepare({"get": "await nango.get({ endpoint: '/ok', retries: 0 }); return 1;"})
    rig.prometheus = Prometheus(rig)


def open_rig():
    class Monitored(Rig):
        def __exit__(self, *exc):
            if getattr(self, "prometheus", None) is not None:
                stop(self.prometheus.process)
            super().__exit__(*exc)
    return Monitored(prepare=prepare)


# ---- without a server

@test
def promtool_accepts_the_rules_and_each_fires_when_it_should(_rig):
    assert f"{len(alerts())} rules found" in promtool("check", "rules", "alerts.yml")
    tested = re.findall(r"^  - name: (\w+)$", read("doc/monitoring/alerts_test.yml"), re.M)
    assert sorted(tested) == sorted(alerts())
    promtool("test", "rules", "alerts_test.yml")


@test
def promtool_finds_nothing_to_say_about_the_metrics(rig):
    assert promtool("check", "metrics", input=scrape(rig)) == ""


@test
def every_alert_has_its_section_in_the_run_book_and_the_reverse(_rig):
    book = read("doc/runbook.md")
    sections = re.split(r"^## ", book, flags=re.M)[1:]
    names = [section.split("\n", 1)[0].strip() for section in sections]
    assert sorted(names) == sorted(alerts()), set(names) ^ set(alerts())
    for section, name in zip(sections, names):
        for part in ("**Cause.**", "**Check.**", "**Remedy.**"):
            assert section.count(part) == 1, f"{name}: {part}"
    anchors = re.findall(r"runbook: doc/runbook\.md#(\w+)", read("doc/monitoring/alerts.yml"))
    assert anchors == [name.lower() for name in alerts()]
    for folder, _, files in os.walk(f"{ROOT}/daemon"):  # what `sluice doctor` sends its reader to
        for file in files:
            for anchor in re.findall(r'runbook = "(\w+)"', read(os.path.relpath(f"{folder}/{file}", ROOT))):
                assert anchor in {name.lower() for name in names}, f"{file}: {anchor}"


@test
def every_metric_that_is_asked_for_exists_and_every_one_is_documented(rig):
    there = set(parse(scrape(rig)).types)
    asked = set().union(*(families(e) for e in [*alerts().values(), *(e for _, e in dashboard())]))
    assert asked <= there, asked - there
    written = re.findall(r"^\| `((?:sluice|process)_\w+)", read("doc/metrics.md"), re.M)
    assert sorted(written) == sorted(there), set(written) ^ there


# ---- with one

@test
def every_query_of_the_dashboard_has_a_result(rig):
    wait_until("Prometheus has scraped", rig.prometheus.is_ready, 30, 0.2)
    for job in [rig.submit("get") for _ in range(5)]:
        assert rig.finish(job).status == 200

    def empty():
        return [(title, e) for title, e in dashboard() if not rig.prometheus.query(e)]
    wait_until("all queries have results", lambda: not empty(), 20, 0.5) if empty() else None
    assert len(dashboard()) > 40


@test
def no_alert_of_a_healthy_node_fires_and_none_has_an_error(rig):
    def judged():
        rules = rig.prometheus.ask("rules")["groups"][0]["rules"]
        return all(rule["health"] == "ok" for rule in rules) and rules
    rules = wait_until("all rules were evaluated", judged, 20, 0.2)
    assert [rule["name"] for rule in rules] == list(alerts())
    firing = [name for name, expression in alerts().items() if rig.prometheus.query(expression)]
    assert not firing, firing


@test
def an_alert_fires_in_a_real_server(rig):
    rig.redis.stop()
    began = time.monotonic()
    wait_until("it is pending", lambda: rig.prometheus.query('ALERTS{alertname="RedisDown"}'), 20, 0.2)
    assert time.monotonic() - began < 20
    rig.redis.start()


if __name__ == "__main__":
    main(open_rig)
