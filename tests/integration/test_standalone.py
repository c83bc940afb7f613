"""One command, nothing to configure: own servers under DIR, keys, one daemon per DIR, data kept."""
import os
import pwd
import signal
import stat
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Node, Rig, free_port, stop, wait_until
from tap import main, test

EX_TEMPFAIL = 75


def children(pid):
    """(pid, command, uid) of all processes below pid."""
    table = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    parent = int(file.read().rsplit(")", 1)[1].split()[1])
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    command = file.read().replace(b"\0", b" ").decode(errors="replace")
                table[int(name)] = (parent, command, os.stat(f"/proc/{name}").st_uid)
            except (FileNotFoundError, ProcessLookupError):
                continue
    found, wave = [], [pid]
    while wave:
        wave = [p for p, (parent, _, _) in table.items() if parent in wave]
        found += [(p, table[p][1], table[p][2]) for p in wave]
    return found


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@test
def a_new_directory_is_ready_within_eight_seconds(rig):
    print(f"# ready on a new directory after {rig.nodes[0].ready_ms} ms")
    assert rig.nodes[0].ready_ms <= 8000


@test
def keys_env_has_every_key_and_only_its_owner_reads_it(rig):
    mode = os.stat(rig.keys_file).st_mode
    assert stat.S_IMODE(mode) == 0o600, oct(mode)
    wanted = {"NANGO_SECRET_KEY_DEV", "NANGO_SECRET_KEY_PROD", "NANGO_HOSTPORT", "SLUICE_ACCOUNT_KEY", "SLUICE_OPERATOR_KEY"}
    assert wanted <= set(rig.keys), rig.keys.keys()
    assert rig.keys["NANGO_HOSTPORT"] == f"http://127.0.0.1:{rig.nodes[0].port}"


@test
def the_pid_file_names_the_daemon(rig):
    with open(f"{rig.directory}/data/sluiced.pid", encoding="ascii") as file:
        assert int(file.read()) == rig.nodes[0].process.pid


@test
def the_log_folder_is_there(rig):
    assert os.path.isdir(f"{rig.directory}/data/log")


@test
def the_private_servers_run_unprivileged_and_listen_on_no_port(rig):
    servers = [c for c in children(rig.nodes[0].process.pid) if "redis-server" in c[1] or "postgres" in c[1]]
    assert any("redis-server" in c[1] for c in servers) and any("postgres" in c[1] for c in servers), servers
    assert all(uid != 0 for _, _, uid in servers), servers
    inodes = set()
    for pid, _, _ in servers:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                target = os.readlink(f"/proc/{pid}/fd/{fd}")
            except OSError:
                continue
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    for table in ("tcp", "tcp6"):
        with open(f"/proc/net/{table}", encoding="ascii") as file:
            for line in file.readlines()[1:]:
                fields = line.split()
                assert not (fields[3] == "0A" and fields[9] in inodes), f"a private server listens: {line}"


@test
def a_second_start_on_the_same_directory_says_so(rig):
    done = rig.run(f"--standalone={rig.directory}/data", f"--listen=127.0.0.1:{free_port()}")
    assert done.returncode == EX_TEMPFAIL, (done.returncode, done.stdout)
    assert str(rig.nodes[0].process.pid) in done.stdout and "data" in done.stdout, done.stdout
    assert rig.request("GET", "/ready", key=None).status == 200


@test
def an_action_runs(rig):
    rig.prepare({"echo": "return input;", "fetch": "return (await nango.get({ endpoint: '/ok' })).data;"})
    assert rig.call("echo", {"a": 1}).json == {"a": 1}
    assert rig.finish(rig.submit("fetch")).status == 200


@test(seconds=120)
def a_stop_ends_everything_and_a_warm_start_is_ready_in_two_seconds_with_all_data(rig):
    node = rig.nodes[0]
    job = rig.submit("echo", "kept")
    rig.finish(job)
    below = [pid for pid, _, _ in children(node.process.pid)]
    keys = dict(rig.keys)
    code = node.stop()
    assert code == 0, code
    wait_until("its children are gone", lambda: not any(alive(pid) for pid in below), 10)
    assert not os.path.exists(f"{rig.directory}/data/sluiced.pid")
    node.start()
    print(f"# ready on a warm directory after {node.ready_ms} ms")
    assert node.ready_ms <= 2000 + 500, node.ready_ms  # the tests share a small machine
    rig.read_keys()
    assert rig.keys == keys
    assert rig.poll(job).json == "kept"
    assert rig.call("echo", 5).json == 5


@test
def a_killed_private_server_is_started_again(rig):
    for word in ("redis-server", "postgres"):
        victim = [pid for pid, command, _ in children(rig.nodes[0].process.pid)
                  if word in command and (word != "postgres" or " -D" in command)][0]
        os.kill(victim, signal.SIGKILL)
        wait_until(f"{word} is back", lambda: any(word in c and p != victim for p, c, _ in children(rig.nodes[0].process.pid)), 20)
        wait_until("ready again", lambda: rig.request("GET", "/ready", key=None).status == 200, 30)
        assert rig.finish(rig.submit("echo", word)).json == word


@test(seconds=120)
def after_kill_9_of_the_daemon_the_next_start_finds_the_job_and_ends_it(rig):
    node = rig.nodes[0]
    held = rig.submit("fetch", retries=1)
    jobs = [rig.submit("echo", n) for n in range(1, 6)]
    node.kill()
    node.start()
    answers = [rig.finish(job) for job in jobs]
    assert [answer.body for answer in answers] == [b"1", b"2", b"3", b"4", b"5"], answers
    assert rig.finish(held).status == 200


@test
def another_directory_is_another_service_with_other_keys(rig):
    other = Node(rig, "other", {"standalone": f"{rig.directory}/more", "egress_allow": "127.0.0.0/8"})
    try:
        other.start()
        answer = rig.request("GET", "/integrations", node=other)
        assert answer.status == 401 and answer.code == "unknown_account", answer
    finally:
        stop(other.process, signal.SIGTERM, 40)


@test
def it_starts_with_a_scrubbed_environment(rig):
    import subprocess
    port = free_port()
    process = subprocess.Popen([f"{rig.build}/sluiced", f"--standalone={rig.directory}/bare", f"--listen=127.0.0.1:{port}"],
                               env={}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               cwd="/", start_new_session=True)
    try:
        class At:  # enough of a node for request()
            pass
        at = At()
        at.port = port

        def ready():
            assert process.poll() is None, f"ended with {process.returncode}"
            try:
                return rig.request("GET", "/ready", key=None, node=at).status == 200
            except OSError:
                return False
        wait_until("ready", ready, 30)
    finally:
        stop(process, signal.SIGTERM, 40)


main(lambda: Rig(standalone=True, settings={"lease_ttl": "2s"}))
