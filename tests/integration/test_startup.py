"""What goes wrong before the daemon runs: one clear line, a distinct exit code, nothing half done."""
import os
import socket
import sys
import subprocess

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, clean_environment, free_port
from tap import main, test

EX_USAGE, EX_DATAERR, EX_UNAVAILABLE, EX_OSERR, EX_CONFIG = 64, 65, 69, 71, 78


def flags(rig, **changes):
    node = rig.nodes[0]
    settings = {**node.settings, "listen": f"127.0.0.1:{free_port()}", **changes}
    return [f"--{k.replace('_', '-')}={v}" for k, v in settings.items() if v is not None]


def one_line(done, *words):
    """The human gets one line that names the matter, besides ordinary log lines; it is returned."""
    lines = [line for line in done.stdout.splitlines() if " level=" not in line]
    assert len(lines) == 1 and lines[0].startswith("sluiced: "), done.stdout
    assert all(word in lines[0] for word in words), (words, done.stdout)
    return lines[0]


@test
def version_and_help_exit_0(rig):
    done = rig.run("--version")
    assert done.returncode == 0 and done.stdout.startswith("sluiced 0."), done.stdout
    done = rig.run("--help")
    assert done.returncode == 0 and "--standalone" in done.stdout and "egress" in done.stdout, done.stdout


@test
def help_names_every_setting_once_and_is_in_columns_of_100(rig):
    text = rig.run("--help").stdout
    for name in ("listen", "role", "database-url", "redis-url", "api-rate-limit", "runners", "lease-ttl"):
        assert f"--{name}" in text, name


@test
def an_unknown_flag_is_a_usage_error(rig):
    done = rig.run("--nonsense=1")
    assert done.returncode in (EX_USAGE, EX_CONFIG), (done.returncode, done.stdout)
    one_line(done, "nonsense")


@test
def a_stray_argument_is_a_usage_error(rig):
    done = rig.run("nonsense")
    assert done.returncode == EX_USAGE and "nonsense" in done.stdout, (done.returncode, done.stdout)


def config_case(name, text, *words):
    @test(name=name)
    def run(rig):
        path = f"{rig.directory}/broken.conf"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        for more in ([], ["--check-config"]):
            done = rig.run(f"--config={path}", *more)
            assert done.returncode == EX_CONFIG, (done.returncode, done.stdout)
            one_line(done, "broken.conf", *words)


@test
def a_host_name_in_egress_allow_wants_an_allowlist(rig):
    for more in ([], ["--check-config"]):
        done = rig.run(*flags(rig, egress_allow="api.example.org"), *more)
        assert done.returncode == EX_CONFIG, (done.returncode, done.stdout)
        one_line(done, "egress_allow", "allowlist")
    done = rig.run(*flags(rig, egress_allow="api.example.org, *.example.com", egress_policy="allowlist"), "--check-config")
    assert done.returncode == 0, done.stdout


config_case("an_unknown_setting_in_the_file_is_named_with_its_line", "# mine\nlog_level = info\nnonsense = 1\n", "3", "nonsense")
config_case("a_line_that_is_no_setting_is_named", "log_level info\n", "1")
config_case("a_number_out_of_range_is_named", "runners = 0\n", "runners")
config_case("a_text_where_a_number_belongs_is_named", "runners = many\n", "runners")
config_case("a_bad_cidr_block_is_named", "egress_allow = 127.0.0.0/99\n", "egress_allow")
config_case("a_policy_that_there_is_not_is_named", "egress_policy = open\n", "egress_policy")
config_case("a_setting_that_stands_twice_is_named", "runners = 4\nrunners = 5\n", "runners")
config_case("a_bad_time_is_named", "lease_ttl = soon\n", "lease_ttl")


@test
def a_config_file_that_is_not_there_is_named(rig):
    done = rig.run("--config=/nonexistent/sluice.conf")
    assert done.returncode == EX_CONFIG, (done.returncode, done.stdout)
    one_line(done, "/nonexistent/sluice.conf")


@test
def an_unknown_setting_in_the_environment_is_named(rig):
    done = rig.run("--check-config", *flags(rig), environment={"SLUICE_NONSENSE": "1"})
    assert done.returncode == EX_CONFIG, (done.returncode, done.stdout)
    one_line(done, "SLUICE_NONSENSE")


@test
def check_config_names_the_promises_that_settings_weaken(rig):
    done = rig.run("--check-config", *flags(rig, egress_allow=None))
    assert done.returncode == 0 and done.stdout == "sluiced: the settings are good\n", done.stdout
    done = rig.run("--check-config", *flags(rig, egress_allow="10.0.0.0/8", drain_timeout="0"))
    assert done.returncode == 0 and "I13" in done.stdout and "egress_allow" in done.stdout, done.stdout


@test
def flags_win_over_the_environment_and_that_over_the_file(rig):
    path = f"{rig.directory}/good.conf"
    with open(path, "w", encoding="utf-8") as file:
        file.write("runners = 3\nlog_level = warn\n")
    bad = {"SLUICE_RUNNERS": "0"}
    done = rig.run(f"--config={path}", "--check-config", *flags(rig), environment=bad)
    assert done.returncode == EX_CONFIG, done.stdout
    done = rig.run(f"--config={path}", "--check-config", *flags(rig), environment={"SLUICE_RUNNERS": "5"})
    assert done.returncode == 0, done.stdout
    done = rig.run(f"--config={path}", "--check-config", *flags(rig, runners=4), environment={"SLUICE_RUNNERS": "5"})
    assert done.returncode == 0, done.stdout


@test
def a_missing_setting_is_named_with_the_remedy(rig):
    done = rig.run(*flags(rig, database_url=None))
    assert done.returncode == EX_CONFIG, (done.returncode, done.stdout)
    one_line(done, "database_url", "standalone")


@test
def standalone_and_a_database_url_contradict_each_other(rig):
    done = rig.run(*flags(rig, standalone=f"{rig.directory}/s"))
    assert done.returncode == EX_CONFIG, (done.returncode, done.stdout)


@test
def an_unreachable_postgres_is_69(rig):
    done = rig.run(*flags(rig, database_url=f"host={rig.directory}/nosuch user=sluice dbname=sluice"))
    assert done.returncode == EX_UNAVAILABLE, (done.returncode, done.stdout)
    assert "ostgres" in one_line(done)


@test
def an_unreachable_redis_is_69(rig):
    done = rig.run(*flags(rig, redis_url=f"unix://{rig.directory}/nosuch"))
    assert done.returncode == EX_UNAVAILABLE, (done.returncode, done.stdout)
    assert "edis" in one_line(done)


@test
def a_redis_that_evicts_is_named_in_the_log_and_one_that_does_not_is_not(rig):
    for policy, told in (("allkeys-lru", True), ("noeviction", False)):
        rig.redis.command("CONFIG", "SET", "maxmemory-policy", policy)
        before = len(rig.nodes[0].log())
        rig.nodes[0].start()
        assert rig.nodes[0].stop() == 0
        assert ("redis_evicts" in rig.nodes[0].log()[before:]) == told, policy


@test
def a_busy_port_is_71(rig):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        done = rig.run(*flags(rig, listen=f"127.0.0.1:{port}"))
    assert done.returncode == EX_OSERR, (done.returncode, done.stdout)
    one_line(done, str(port))


@test
def a_password_in_a_url_is_not_shown(rig):
    done = rig.run(*flags(rig, database_url="postgresql://sluice:geheim123@127.0.0.1:1/sluice"))
    assert done.returncode == EX_UNAVAILABLE, (done.returncode, done.stdout)
    assert "geheim123" not in done.stdout, done.stdout
    done = rig.run(*flags(rig, redis_url="redis://:geheim123@127.0.0.1:1/0"))
    assert done.returncode == EX_UNAVAILABLE and "geheim123" not in done.stdout, (done.returncode, done.stdout)


@test
def a_file_with_secrets_that_everybody_may_read_is_named_with_the_remedy(rig):
    path = f"{rig.directory}/open.conf"
    settings = {k: v for k, v in rig.nodes[0].settings.items() if k != "listen"}
    settings["database_url"] = "postgresql://sluice:geheim123@127.0.0.1:1/sluice"
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{k} = {v}\n" for k, v in settings.items())
    for mode, told in ((0o644, True), (0o640, False)):
        for name in (path, settings["encryption_key_file"]):
            os.chmod(name, mode)
        done = rig.run(f"--config={path}", "--check-config")
        assert done.returncode == 0, done.stdout
        assert done.stdout.count("secret_exposed") == (2 if told else 0), done.stdout
        assert not told or (path in done.stdout and settings["encryption_key_file"] in done.stdout and "chmod" in done.stdout)
        assert "geheim123" not in done.stdout
    os.chmod(path, 0o644)
    os.chmod(settings["encryption_key_file"], 0o600)
    done = rig.run(f"--config={path}", "--check-config", "--database-url=host=/nowhere dbname=sluice")
    assert "secret_exposed" not in done.stdout, "no secret is in that file"


@test
def a_key_file_that_is_broken_is_named_and_its_content_is_not_shown(rig):
    path = f"{rig.directory}/bad.key"
    with open(path, "w", encoding="ascii") as file:
        file.write("deadbeefdead\n")
    done = rig.run(*flags(rig, encryption_key_file=path))
    assert done.returncode == EX_CONFIG, (done.returncode, done.stdout)
    assert "deadbeef" not in one_line(done, "bad.key")


@test
def migrate_twice_is_fine(rig):
    for _ in range(2):
        done = rig.run("--migrate", *flags(rig))
        assert done.returncode == 0, done.stdout


@test
def a_newer_schema_is_65_for_the_daemon_and_for_migrate(rig):
    table = rig.postgres.query("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' "
                               "AND table_name LIKE '%migration%' AND data_type IN ('integer', 'smallint', 'bigint')")
    assert table, "no table of migrations"
    name, column = table[0]
    rig.postgres.query("CREATE TABLE keep AS SELECT * FROM " + name)
    rig.postgres.query(f"INSERT INTO {name} SELECT (r).* FROM (SELECT jsonb_populate_record(k, jsonb_build_object('{column}', 9999)) AS r "
                       f"FROM keep k ORDER BY {column} DESC LIMIT 1) x")
    try:
        for more in ([], ["--migrate"]):
            done = rig.run(*flags(rig), *more)
            assert done.returncode == EX_DATAERR, (more, done.returncode, done.stdout)
            assert "newer" in one_line(done), done.stdout
    finally:
        rig.postgres.query(f"DELETE FROM {name} WHERE {column} = 9999; DROP TABLE keep")


@test
def an_empty_database_is_refused_with_the_remedy(rig):
    rig.postgres.query("CREATE DATABASE empty")
    done = rig.run(*flags(rig, database_url=rig.postgres.url.replace("dbname=sluice", "dbname=empty")))
    assert done.returncode != 0, done.stdout
    assert "--migrate" in one_line(done), done.stdout


@test
def an_unwritable_directory_for_standalone_is_named(rig):
    done = subprocess.run([f"{rig.build}/sluiced", "--standalone=/proc/sluice", f"--listen=127.0.0.1:{free_port()}"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=clean_environment(), timeout=30, check=False)
    assert 64 <= done.returncode <= 78 and "/proc/sluice" in done.stdout, (done.returncode, done.stdout)


main(lambda: Rig(start=False))
