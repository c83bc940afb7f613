"""Behind PgBouncer: one node in session mode, two in transaction mode over three connections; any version will do."""
import os
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "crash")]
import flows
from fleet import Fleet, wait_until
from load import Load
from servers import PgBouncer
from tap import main, test

KINDS = {"none": 3, "one": 5, "two": 3, "flaky": 1}
SERVERS = 3  # of the transaction pool: far fewer than there are clients of it


class Pooled(Fleet):
    def __init__(self):
        super().__init__(nodes=3, proxied=False, prepare=Pooled.more)
        self.session = self.transaction = None

    def before_start(self):
        folder = self.directory
        self.session = PgBouncer(f"{folder}/s", self.postgres, "session")
        self.transaction = PgBouncer(f"{folder}/t", self.postgres, "transaction", default_pool_size=SERVERS)
        for node, pooler in zip(self.nodes, (self.session, self.transaction, self.transaction)):
            node.settings.update(database_url=pooler.url, database_direct_url=self.postgres.url)
            if pooler is self.transaction:
                node.settings["database_pooling"] = "transaction"
        # What a database may say; a job that is accepted must not rest on it.
        self.postgres.query("ALTER DATABASE sluice SET synchronous_commit = off")
        self.postgres.query("CREATE TABLE told (commits text, timeout text, jit text, scans text);"
                            "CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO told SELECT"
                            " current_setting('synchronous_commit'), current_setting('statement_timeout'),"
                            " current_setting('jit'), current_setting('enable_seqscan'); RETURN NULL; END $$;"
                            "CREATE TRIGGER told AFTER INSERT ON job FOR EACH STATEMENT EXECUTE FUNCTION told()")

    def more(self):
        self.functions()
        flow = flows.sync("items", "await nango.batchSave([{ id: '1', n: 1 }, { id: '2', n: 2 }], 'Item');")
        done = self.deploy_flows([flow] + [self.flow(name, code) for name, code in
                                           (("hangs", "await nango.get({ endpoint: '/hang/' + input.name, retries: 0 });"),
                                            ("meta", "return (await nango.getMetadata()).colour;"))], reconcile=False)
        assert done.status == 200, done

    def __exit__(self, *exc):
        try:
            for node in self.nodes:
                if node.process is not None:
                    node.stop()
        finally:
            for pooler in (self.session, self.transaction):
                if pooler is not None:
                    pooler.stop()
            super().__exit__(*exc)


def direct(fleet):
    """Names of the connections that sluiced has to Postgres itself, with how often."""
    rows = fleet.postgres.query("SELECT application_name, count(*) FROM pg_stat_activity WHERE datname = 'sluice' GROUP BY 1")
    return {name: int(count) for name, count in rows}


@test
def jobs_and_syncs_run_in_both_modes(fleet):
    for node in fleet.nodes:
        job = fleet.submit("one", {"n": 1}, node=node)
        assert fleet.finish(job, node=node).status == 200
        assert fleet.call("none", {"n": 1}, node=node).status == 200
    for node in fleet.nodes[::2]:
        done = fleet.request("POST", "/sync/trigger", {"provider_config_key": "w", "connection_id": "c", "syncs": ["items"]}, node=node)
        assert done.status == 200 and done.headers["x-sluice-started"] == "1", done
        status = "/sync/status?syncs=items&provider_config_key=w&connection_id=c"
        wait_until("the sync ends", lambda n=node: fleet.request("GET", status, node=n).json["syncs"][0].get("latestExecutionStatus") == "SUCCESS", 20)
        done = fleet.request("GET", "/records?model=Item", headers={"Connection-Id": "c", "Provider-Config-Key": "w"}, node=node)
        assert sorted(r["id"] for r in done.json["records"]) == ["1", "2"], done


@test
def what_needs_a_session_goes_past_the_pooler_and_nothing_else_does(fleet):
    names = direct(fleet)
    assert names["sluiced account"] == 3 and names["sluiced scheduler"] == 3, names
    pooled = sum(int(row[6]) + int(row[7]) + int(row[9]) for row in fleet.transaction.show("POOLS") if row[0] == "sluice")
    assert pooled <= SERVERS, fleet.transaction.show("POOLS")
    assert names.get("sluiced", 0) <= SERVERS, names


@test
def a_load_over_three_connections_mixes_nothing_up(fleet):
    fleet.fresh()
    load = Load(fleet, seed=1, kinds=KINDS, clients=10).start()
    time.sleep(3)
    load.stop()
    assert fleet.judged().jobs > 20


@test
def each_transaction_brings_its_settings_and_leaves_none_behind(fleet):
    for node in fleet.nodes:
        assert fleet.finish(fleet.submit("none", {"n": 1}, node=node)).status == 200
    rows = fleet.postgres.query("SELECT DISTINCT * FROM told ORDER BY 1")
    assert rows == [["on", "8s", "off", "off"]], rows
    for _ in range(2 * SERVERS):
        got = fleet.postgres._run([f"{fleet.postgres.bin}/psql", fleet.transaction.url, "-XAtc",  # pylint: disable=protected-access
                                   "SELECT current_setting('statement_timeout'), current_setting('enable_seqscan'),"
                                   " current_setting('synchronous_commit'), (SELECT count(*) FROM pg_prepared_statements)"])
        assert got == "0|on|off|0\n", got


@test
def a_cancel_reaches_the_node_that_runs_the_job_at_once(fleet):
    for number, (asked, other) in enumerate(((fleet.nodes[0], fleet.nodes[1]), (fleet.nodes[1], fleet.nodes[0]))):
        job = fleet.submit("hangs", {"name": f"c{number}"}, node=asked)
        fleet.witness.wait_seen(f"/hang/c{number}")
        assert fleet.request("DELETE", f"/action/{job}", node=other).status == 200
        wait_until("no node runs it", lambda: not any("x-sluice-state" in fleet.poll(job, node=node).headers for node in fleet.nodes), 5)
        assert fleet.poll(job).status == 410
        began = time.monotonic()
        assert fleet.finish(fleet.submit("none", {"n": 1}, node=asked), 5).status == 200  # its key is free at once
        assert time.monotonic() - began < 3
        fleet.witness.release(f"c{number}")


@test
def a_change_on_one_node_is_seen_by_the_others(fleet):
    for number, node in enumerate(fleet.nodes):
        done = fleet.request("PATCH", "/connections/metadata", {"connection_id": "c", "provider_config_key": "w",
                                                                "metadata": {"colour": f"red{number}"}}, node=node)
        assert done.status == 200, done
        for other in fleet.nodes:
            wait_until("the change is seen", lambda o=other, n=number: fleet.call("meta", node=o).json == f"red{n}", 5)


@test
def the_scheduler_that_leads_is_killed_and_another_leads(fleet):
    fleet.fresh()
    leader = wait_until("one leads", lambda: next((n for n in fleet.nodes if fleet.leads(n)), None))
    jobs = fleet.jobs("one", range(1, 7), retries=2, ms=200, node=leader)
    fleet.wait_calls(1)
    fleet.kill(leader)
    others = [n for n in fleet.nodes if n is not leader]
    wait_until("another leads", lambda: any(fleet.leads(n) for n in others), 15)
    leader.start()
    fleet.judged()
    assert set(fleet.results(jobs.values()).values()) == {1}


@test
def poolers_that_are_killed_and_started_again_under_load_lose_nothing(fleet):
    fleet.fresh()
    load = Load(fleet, seed=2, kinds=KINDS, clients=6).start()
    for how in (signal.SIGKILL, signal.SIGTERM):  # SIGTERM: PgBouncer goes at once, and its clients with it
        time.sleep(0.8)
        with fleet.history.fault("postgres_pooler"):
            for pooler in (fleet.session, fleet.transaction):
                pooler.stop(how)
            time.sleep(0.3)
            for pooler in (fleet.session, fleet.transaction):
                pooler.start()
    time.sleep(1)
    load.stop()
    assert fleet.judged().jobs > 20


@test
def servers_that_end_under_a_pooler_lose_nothing(fleet):
    fleet.fresh()
    load = Load(fleet, seed=3, kinds=KINDS, clients=6).start()
    for _ in range(6):
        time.sleep(0.3)
        with fleet.history.fault("postgres_terminate"):
            fleet.postgres.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'sluiced%'")
    load.stop()
    assert fleet.judged().jobs > 20


@test
def transaction_pooling_without_a_direct_url_is_refused_with_the_remedy(fleet):
    node = fleet.nodes[1]
    flags = [f"--{k.replace('_', '-')}={v}" for k, v in node.settings.items() if v is not None and k != "database_direct_url"]
    done = fleet.run("--check-config", *flags)
    assert done.returncode == 78 and "database_direct_url" in done.stdout and "pooler" in done.stdout, done
    done = fleet.run("--check-config", *flags, "--database-pooling=statement")
    assert done.returncode == 78 and "session or transaction" in done.stdout, done


main(Pooled)
