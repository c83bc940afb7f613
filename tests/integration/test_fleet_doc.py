"""What doc/fleet.md shows as a whole file or a command: every settings file is good, and those of its fleets run jobs."""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib")]
from rig import ROOT, Node, Rig, clean_environment
from servers import PgBouncer, Postgres, Redis, stop
from tap import main, test

with open(f"{ROOT}/doc/fleet.md", encoding="utf-8") as _file:
    TEXT = _file.read()
FILES = re.findall(r"^```conf\n# /etc/sluice/sluice.conf of ([^\n]*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def settings_of(words):
    """The settings of the one file whose first line has these words."""
    [body] = [body for title, body in FILES if words in title]
    return dict(line.split(" = ", 1) for line in body.splitlines())


@test
def every_settings_file_is_good(rig):
    assert len(FILES) >= 6
    for title, body in FILES:
        path = f"{rig.directory}/doc.conf"
        with open(path, "w", encoding="utf-8") as file:
            file.write(body)
        os.chmod(path, 0o600)
        done = rig.run(f"--config={path}", "--check-config")
        assert done.returncode == 0 and "the settings are good" in done.stdout, (title, done.stdout)


@test
def a_fleet_of_api_nodes_and_workers_made_of_the_two_files_runs_jobs_and_calls(rig):
    api, worker = settings_of("an API node"), settings_of("a worker")
    assert {k: v for k, v in worker.items() if k in api and k not in ("role", "runners")} == \
        {k: api[k] for k in worker if k in api and k != "role"}, "what nodes share differs"
    run(rig, [api, worker])


@test
def a_node_that_does_all_behind_pgbouncer_runs_jobs_with_the_pooler_of_the_document(rig):
    node = settings_of("with PgBouncer")
    [ini] = re.findall(r"^```ini\n; /etc/pgbouncer/pgbouncer.ini\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    lines = dict(line.split(" = ", 1) for line in ini.split("[pgbouncer]")[1].splitlines() if line)
    wanted = {k: v for k, v in lines.items() if not k.startswith(("auth", "listen", "pool_mode"))}  # a socket here, and trust
    pooler = PgBouncer(f"{rig.directory}/pb", rig.postgres, lines["pool_mode"], **wanted)
    try:
        run(rig, [node], database_url=pooler.url, database_direct_url=rig.postgres.url)
        assert [row[-1] for row in pooler.show("POOLS") if row[0] == "sluice"] == ["transaction"]
    finally:
        pooler.stop()


def run(rig, files, **changes):
    """Nodes with these settings, but for the addresses of this machine, run a job and a sync call."""
    nodes = []
    for number, settings in enumerate(files):
        own = {"database_url": rig.postgres.url, "redis_url": rig.redis.url, "keys_file": f"{rig.directory}/keys.env",
               "encryption_key_file": rig.nodes[0].settings["encryption_key_file"], "metrics_listen": f"unix:{rig.directory}/m{number}",
               **changes}
        chosen = {**settings, **{k: v for k, v in own.items() if k in settings}, "egress_allow": "127.0.0.0/8", "lease_ttl": "2s",
                  "drain_timeout": "2s"}
        node = Node(rig, f"doc{number}", {k: v for k, v in chosen.items() if k not in ("listen", "public_url")})
        node.settings["listen"] = f"127.0.0.1:{node.port}" if "listen" in settings else None
        nodes.append(node)
    rig.redis.command("FLUSHALL")
    was, rig.nodes = rig.nodes, nodes
    try:
        for node in nodes:
            node.start(wait="listen" in node.settings and node.settings["listen"] is not None)
        rig.keys_file = f"{rig.directory}/keys.env"
        rig.read_keys()
        rig.prepare({"f": "await nango.get({ endpoint: '/ok/' + input }); return input;"})
        assert rig.finish(rig.submit("f", "job"), 30).json == "job"
        assert rig.call("f", "call").json == "call"
        for node in nodes:
            assert node.stop() == 0, node.log()[-2000:]
    finally:
        for node in nodes:
            stop(node.process)
        rig.nodes = was


def dump_of(node):
    """The command of the document, run for a standalone service; the dump's path."""
    [command] = re.findall(r'^    (PGPASSWORD=.* pg_dump .* postgres)$', TEXT, re.MULTILINE)
    folder = node.settings["standalone"]
    subprocess.run(["sh", "-ec", command.replace("DIR", folder).replace("-f sluice.dump", f"-f {folder}.dump")], check=True,
                   env=clean_environment({"PATH": f"{os.environ['PATH']}:/usr/bin"}), stdin=subprocess.DEVNULL)
    os.chmod(f"{folder}.dump", 0o644)
    return f"{folder}.dump"


@test
def a_standalone_service_that_is_dumped_goes_on_as_a_fleet_with_its_key_and_its_keys(_):
    with Rig(standalone=True, settings={"lease_ttl": "2s"}) as rig:
        rig.prepare({"f": "await nango.get({ endpoint: '/ok/' + input }); return input;"})
        job = rig.submit("f", "before")
        assert rig.finish(job).status == 200
        node, folder = rig.nodes[0], rig.nodes[0].settings["standalone"]
        dump = dump_of(node)
        assert node.stop() == 0
        rig.postgres, rig.redis = Postgres(f"{rig.directory}/pg"), Redis(f"{rig.directory}/redis")
        subprocess.run([f"{rig.postgres.bin}/pg_restore", "-h", rig.postgres.directory, "-U", "sluice", "-d", "sluice", "--no-owner",
                        "--exit-on-error", dump], check=True, stdin=subprocess.DEVNULL)
        node.settings.update(standalone=None, database_url=rig.postgres.url, redis_url=rig.redis.url, keys_file=f"{folder}/keys.env",
                             encryption_key_file=f"{folder}/secrets/encryption.key")
        node.start()
        assert rig.poll(job).json == "before"
        assert rig.finish(rig.submit("f", "after")).json == "after"


main(lambda: Rig(start=False))
