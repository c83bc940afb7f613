"""Backup and restore as doc/fleet.md says: pg_dump, a base backup with the log archived, the encryption key kept or lost."""
import os
import secrets
import sys
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "crash")]
from fleet import Fleet, wait_until
from load import Load
from servers import Postgres
from tap import main, test

WORKER_LOST = 5


class Archived(Fleet):
    def __init__(self):
        super().__init__(nodes=1, proxied=False)
        self.first, self.others = None, []

    def before_start(self):
        self.first = self.postgres
        self.archive = f"{self.postgres.directory}/archive"
        os.mkdir(self.archive)
        os.chmod(self.archive, 0o777)
        self.postgres.stop()
        self.postgres.start("-c", "archive_mode=on", "-c", f"archive_command=test ! -f {self.archive}/%f && cp %p {self.archive}/%f")

    def command(self, name, *words):
        """A program of Postgres, as its user, in its directory."""
        return self.first._run([f"{self.first.bin}/{name}", *words])  # pylint: disable=protected-access

    def fresh_server(self, name, **more):
        server = Postgres(f"{self.directory}/{name}", **more)
        self.others.append(server)
        return server

    def start_on(self, postgres, key_file=None, start=True):
        """The node is gone and so is all that Redis held; it starts again on another Postgres."""
        node = self.nodes[0]
        if self.running(node):
            node.kill()
        self.redis.command("FLUSHALL")
        node.settings["database_url"] = postgres.url
        if key_file is not None:
            node.settings["encryption_key_file"] = key_file
        self.postgres = postgres
        if start:
            node.start()

    def __exit__(self, *exc):
        for node in self.nodes:
            if self.running(node):
                node.kill()
        for server in [*self.others, self.first]:
            if server is not None and server.process is not None:
                server.stop(immediate=True)
        super().__exit__(*exc)


def jobs_of(postgres):
    """{job: (max_retries, attempts begun, result's state or None)}"""
    return {job: (int(retries), int(begun), int(state) if state else None) for job, retries, begun, state in postgres.query(
        "SELECT j.id, j.max_retries, (SELECT count(*) FROM attempt a WHERE a.job_id = j.id), r.state"
        " FROM job j LEFT JOIN result r ON r.job_id = j.id")}


@test
def a_dump_made_under_load_and_restored_into_fresh_servers_ends_every_job_it_knows(fleet):
    load = Load(fleet, seed=1, kinds={"none": 3, "one": 4, "two": 2, "fail": 1}, clients=4, delays=False).start()
    begun = fleet.job("one", 90001, path="/hang/begun")
    again = fleet.job("one", 90002, path="/hang/again", retries=1, env="prod")
    queued = fleet.jobs("one", range(90003, 90008))
    fleet.wait_calls(90001)
    fleet.wait_calls(90002)
    time.sleep(0.5)
    fleet.command("pg_dump", "-h", fleet.first.directory, "-U", "sluice", "-Fc", "-f", "dump", "sluice")
    time.sleep(0.3)
    fleet.nodes[0].kill()
    load.stopping.set()
    load.ending.set()
    fleet.first.stop()
    calls = len(fleet.calls(90001))
    fleet.witness.release("begun")
    fleet.witness.release("again")

    postgres = fleet.fresh_server("restored")
    fleet.command("pg_restore", "-h", postgres.directory, "-U", "sluice", "-d", "sluice", "--no-owner", "--exit-on-error", "dump")
    known = jobs_of(postgres)
    assert len(known) > 20 and begun in known and all(job in known for job in queued.values()), len(known)
    fleet.start_on(postgres)
    wait_until("every job has a result", lambda: all(state for _, _, state in jobs_of(postgres).values()), 40, 0.2)
    ended = jobs_of(postgres)
    assert set(known) <= set(ended)
    for job, (_, attempts, state) in known.items():
        if state is not None:
            assert ended[job][2] == state, "an end is an end"
        elif attempts > known[job][0]:
            assert ended[job][2] == WORKER_LOST and ended[job][1] == attempts, (known[job], ended[job])
    assert ended[begun][2] == WORKER_LOST and len(fleet.calls(90001)) == calls, "begun with retries 0: not started again"
    assert ended[again][2] == 1 and len(fleet.calls(90002)) == 2, ended[again]
    assert {ended[job][2] for job in queued.values()} == {1}
    assert fleet.finish(fleet.submit("one", {"n": 1})).status == 200, "keys, connections and functions are as before"


@test
def without_its_encryption_key_a_restored_ledger_says_what_is_missing(fleet):
    kept = fleet.nodes[0].settings["encryption_key_file"]
    other = f"{fleet.directory}/other.key"
    with open(other, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32) + "\n")
    os.chmod(other, 0o600)
    fleet.start_on(fleet.postgres, key_file=other, start=False)
    node = fleet.nodes[0]
    done = fleet.run(*[f"--{k.replace('_', '-')}={v}" for k, v in node.settings.items() if v is not None])
    assert done.returncode == 78 and other in done.stdout and "do not open the check value" in done.stdout, done
    fleet.start_on(fleet.postgres, key_file=kept)
    assert fleet.call("one", {"n": 3}).status == 200


@test
def a_base_backup_and_the_archived_log_bring_back_the_moment_before_a_mistake(fleet):
    fleet.start_on(fleet.first, start=False)
    fleet.first.start("-c", "archive_mode=on", "-c",
                      f"archive_command=test ! -f {fleet.archive}/%f && cp %p {fleet.archive}/%f")
    fleet.nodes[0].start()
    fleet.quiet()
    fleet.command("pg_basebackup", "-h", fleet.first.directory, "-U", "sluice", "-D", f"{fleet.first.directory}/base", "-c", "fast",
                  "--no-sync")
    fleet.command("pg_verifybackup", f"{fleet.first.directory}/base")
    jobs = fleet.jobs("one", range(1, 9))
    for job in jobs.values():
        assert fleet.finish(job).status == 200
    last = fleet.job("one", 90010, path="/hang/pitr")
    fleet.wait_calls(90010)
    [[segment]] = fleet.first.query("SELECT pg_walfile_name(pg_create_restore_point('before'))")
    before = jobs_of(fleet.first)
    fleet.first.query("DELETE FROM result")
    fleet.first.query("SELECT pg_switch_wal()")
    wait_until("the log is archived", lambda: os.path.exists(f"{fleet.archive}/{segment}"), 20)
    fleet.nodes[0].kill()
    fleet.first.stop()
    fleet.witness.release("pitr")

    postgres = fleet.fresh_server("pitr", restored=f"{fleet.first.directory}/base")
    with open(f"{postgres.directory}/data/postgresql.auto.conf", "a", encoding="ascii") as file:
        file.write(f"restore_command = 'cp {fleet.archive}/%f %p'\nrecovery_target_name = 'before'\n"
                   "recovery_target_action = 'promote'\n")
    with open(f"{postgres.directory}/data/recovery.signal", "w", encoding="ascii"):
        pass
    postgres.start()
    wait_until("it takes writes", lambda: postgres.query("SELECT pg_is_in_recovery()") == [["f"]], 20)
    assert jobs_of(postgres) == before
    fleet.start_on(postgres)
    for job in jobs.values():
        assert fleet.poll(job).status == 200
    assert fleet.finish(last, 20).code is not None and fleet.results([last]) == {last: WORKER_LOST}
    assert len(fleet.calls(90010)) == 1


@test
def a_keys_file_that_was_lost_or_changed_gives_keys_that_work_beside_the_old_ones(fleet):
    node, old = fleet.nodes[0], dict(fleet.keys)
    def status(key):
        return fleet.request("GET", "/admin/v1/dead", key=key).status
    node.stop()
    os.unlink(fleet.keys_file)
    node.start()
    fleet.read_keys()
    assert status(fleet.keys["SLUICE_OPERATOR_KEY"]) == status(old["SLUICE_OPERATOR_KEY"]) == 200
    assert fleet.request("GET", "/connections", key=fleet.keys["NANGO_SECRET_KEY_DEV"]).status == 200
    node.stop()
    chosen = str(uuid.uuid4())
    with open(fleet.keys_file, "r+", encoding="utf-8") as file:
        text = file.read().replace(fleet.keys["SLUICE_OPERATOR_KEY"], chosen)
        file.seek(0)
        file.write(text)
    node.start()
    assert status(chosen) == 200
    fleet.postgres.query("DELETE FROM api_key WHERE scopes = 'operator'"
                         f" AND digest <> encode(sha256(convert_to('{chosen}', 'UTF8')), 'hex')")
    node.stop()
    node.start()
    assert status(chosen) == 200 and status(old["SLUICE_OPERATOR_KEY"]) == 401
    fleet.read_keys()


main(Archived)
