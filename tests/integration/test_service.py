"""sluiced as a service: what it tells its manager, what it takes from it, and what signals do to it."""
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, free_port, wait_until
from service import Manager
from tap import main, test

EX_OSERR, EX_CONFIG = 71, 78
FUNCTIONS = {
    "echo": "return input;",
    "hang": "await nango.get({ endpoint: '/hang/' + input, retries: 0 }); return input;",
    "ask": "return (await nango.get({ endpoint: '/ok', retries: 0 })).status;",
}


def children(pid):
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
            found += [int(word) for word in file.read().split()]
    return found + [below for child in found for below in children(child)]


def log_since(node, mark):
    return node.log()[mark:]


def reload(manager, *words):
    """SIGHUP; returns what is logged until the end of the reload.  words: each in it."""
    node, mark, now = manager.node, len(manager.node.log()), time.monotonic()
    node.process.send_signal(signal.SIGHUP)
    begun = manager.wait("RELOADING", "1", now)
    assert now * 1e6 <= int(begun.fields["MONOTONIC_USEC"]) <= time.monotonic() * 1e6, begun
    manager.wait("READY", "1", now)
    text = wait_until("the reload is logged", lambda: re.search(r'msg="reload(ed|_failed)".*\n', log_since(node, mark))
                      and log_since(node, mark), 5)
    assert all(word in text for word in words), (words, text)
    return text


def configure(rig, lines, **settings):
    """A node whose settings stand in a file; lines: {setting: text}, written anew by the function that is returned."""
    node = rig.nodes[0]
    path = f"{rig.directory}/sluice.conf"
    base = {k: v for k, v in node.settings.items() if k not in lines}
    base.update(settings)

    def write(changed):
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"{name} = {text}\n" for name, text in {**lines, **changed}.items())
    write({})
    node.settings = base
    node.prefix = []
    node.command = lambda: [f"{rig.build}/sluiced", f"--config={path}"] + [
        f"--{k.replace('_', '-')}={v}" for k, v in node.settings.items() if v is not None]
    return write


class Restored(Manager):
    """A manager of the first node, which is afterwards as it was, whatever the test did to it."""

    def __init__(self, rig, **how):
        super().__init__(rig.nodes[0], **how)
        self.kept = dict(self.node.__dict__, settings=dict(self.node.settings))

    def __exit__(self, *exc):
        super().__exit__(*exc)
        process = self.node.process
        self.node.__dict__.clear()
        self.node.__dict__.update(self.kept, process=process)


def listener(path=None):
    sock = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
    sock.bind(path or ("127.0.0.1", 0))
    sock.listen(128)
    return sock


# ---- notify

@test
def ready_is_told_when_slash_ready_says_so_and_not_before(rig):
    node = rig.nodes[0]
    holder = subprocess.Popen([*rig.postgres.prefix, f"{rig.postgres.bin}/psql", "-h", rig.postgres.directory, "-U", "sluice", "-d",
                               "sluice", "-c", "BEGIN; LOCK TABLE session IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(60)"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until("the lock is there", lambda: rig.postgres.query(
        "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'session'::regclass AND granted") == [["1"]])
    with Restored(rig) as manager:
        try:
            manager.start(wait=False)
            manager.wait("STATUS", "Starting: the worker has no session")
            assert rig.request("GET", "/ready", key=None).status == 503
            assert not manager.all("READY"), manager.messages
        finally:
            holder.terminate()
            holder.wait(10)
        rig.postgres.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()")
        ready = manager.wait("READY", "1")
        assert ready.fields["STATUS"].startswith("Running, 0 functions at work"), ready
        assert rig.request("GET", "/ready", key=None).status == 200
        assert node.stop() == 0
        assert manager.wait("STOPPING", "1").at >= ready.at


@test
def an_abstract_socket_is_told_the_same_and_status_follows_the_work(rig):
    node = rig.nodes[0]
    with Restored(rig, abstract=True) as manager:
        manager.start()
        job = rig.submit("hang", "status")
        manager.wait("STATUS", "Running, 1 function at work")
        rig.witness.release("status")
        assert rig.finish(job).status == 200
        manager.wait("STATUS", "Running, 0 functions at work", manager.all("STATUS")[-1].at)
        rig.redis.stop()
        try:
            manager.wait("STATUS", "Degraded (Redis does not answer")
        finally:
            rig.redis.start()
        assert node.stop() == 0


@test
def children_inherit_neither_the_variables_of_the_manager_nor_its_sockets(rig):
    node = rig.nodes[0]
    with listener() as sock, Restored(rig) as manager:
        node.port = sock.getsockname()[1]
        folder = f"{rig.directory}/none"
        os.mkdir(folder)
        manager.start(watchdog_ms=60000, sockets=[sock], environment={"CREDENTIALS_DIRECTORY": folder})
        assert rig.call("echo", 1).status == 200
        inode = os.fstat(sock.fileno()).st_ino
        found = children(node.process.pid)
        assert found
        for child in found:
            with open(f"/proc/{child}/environ", "rb") as file:
                names = {pair.split(b"=")[0] for pair in file.read().split(b"\0")}
            assert not {n for n in names if n.startswith((b"NOTIFY", b"WATCHDOG", b"LISTEN", b"CREDENTIALS"))}, names
            links = [os.readlink(f"/proc/{child}/fd/{fd}") for fd in os.listdir(f"/proc/{child}/fd")]
            assert f"socket:[{inode}]" not in links, links


# ---- watchdog

@test
def signs_of_life_come_twice_a_period_whatever_postgres_does_and_stop_with_the_process(rig):
    node = rig.nodes[0]
    with Restored(rig) as manager:
        manager.start(watchdog_ms=300)

        def gaps(count):
            since = time.monotonic()
            wait_until(f"{count} signs", lambda: len(manager.all("WATCHDOG", since)) >= count, 10)
            at = [m.at for m in manager.all("WATCHDOG", since)]
            return [b - a for a, b in zip(at, at[1:])]
        assert max(gaps(6)) < 0.3, "signs come too late"
        rig.postgres.stop(immediate=True)
        try:
            manager.wait("STATUS", "Degraded (Postgres")
            assert max(gaps(6)) < 0.3, "signs come too late without Postgres"
        finally:
            rig.postgres.start()
        node.process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        time.sleep(0.7)
        assert not manager.all("WATCHDOG", stopped + 0.05), manager.messages[-3:]
        node.process.send_signal(signal.SIGCONT)
        gaps(2)
        node.wait_ready()


@test
def a_sign_of_life_is_not_given_for_another_process(rig):
    with Restored(rig) as manager:
        manager.start(watchdog_ms=100, environment={"WATCHDOG_PID": "1"})
        manager.wait("STATUS", "Running")
        time.sleep(0.3)
        assert not manager.all("WATCHDOG"), manager.messages


def refused(rig, manager, status, *words, **how):
    mark = len(manager.node.log())
    manager.start(wait=False, **how)
    assert manager.node.process.wait(20) == status, manager.node.log()[-500:]
    text = log_since(manager.node, mark)
    assert all(word in text for word in words), (words, text)
    assert not manager.all("READY")


@test
def a_variable_of_the_manager_that_is_no_number_is_named(rig):
    for name, text in (("WATCHDOG_USEC", "soon"), ("WATCHDOG_USEC", "0"), ("LISTEN_FDS", "two")):
        with Restored(rig) as manager:
            refused(rig, manager, EX_CONFIG, name, text, environment={name: text})


# ---- sockets

@test
def passed_sockets_are_served_instead_of_listen(rig):
    node = rig.nodes[0]
    path = f"{rig.directory}/api.sock"
    with Restored(rig) as manager, listener() as one, listener(path) as two, listener() as three:
        node.port = one.getsockname()[1]
        other = free_port()
        node.settings["listen"] = f"127.0.0.1:{other}"
        manager.start(sockets=[one, two, three], environment={"LISTEN_FDNAMES": "api:sluiced.socket:metrics"})
        assert rig.request("GET", "/ready", key=None).status == 200
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.sendall(b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200"), "the unix socket"
        with socket.socket() as client:
            client.connect(three.getsockname())
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200"), "the metrics"
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", other)) != 0, "listen was opened too"
        rig.read_keys()
        assert rig.keys["NANGO_HOSTPORT"] == f"http://127.0.0.1:{node.port}", rig.keys["NANGO_HOSTPORT"]
        assert node.stop() == 0
        assert os.path.exists(path), "the manager's socket file is gone"


@test
def sockets_that_were_passed_to_a_parent_are_not_taken(rig):
    with listener() as sock, Restored(rig) as manager:
        manager.start(sockets=[sock], environment={"LISTEN_PID": "1"})
        rig.nodes[0].wait_ready()  # on its own port


@test
def no_connection_is_refused_while_the_service_restarts(rig):
    node = rig.nodes[0]
    with Restored(rig) as manager, listener() as sock:
        node.port = sock.getsockname()[1]
        bad, good, over = [], [], threading.Event()

        def client():
            while not over.is_set():
                try:
                    answer = rig.call("echo", 7, {"X-Async": "true"})
                    (good if answer.status == 202 else bad).append(answer)
                except OSError as error:
                    bad.append(error)
        manager.start(sockets=[sock])
        threads = [threading.Thread(target=client) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(3):
                enough = len(good) + 20
                wait_until("jobs are taken", lambda enough=enough: len(good) >= enough)
                assert node.stop() == 0
                manager.start(sockets=[sock], wait=False)
            enough = len(good) + 20
            wait_until("jobs are taken", lambda: len(good) >= enough)
        finally:
            over.set()
            for thread in threads:
                thread.join(30)
        assert not bad, bad[:3]


@test
def what_is_no_listening_stream_socket_is_refused_by_its_number(rig):
    node = rig.nodes[0]
    with Restored(rig) as manager, socket.socket() as fresh, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        for sock in (fresh, datagram):
            refused(rig, manager, EX_OSERR, "LISTEN_FDS: descriptor 3 is not a listening", sockets=[sock])
        with listener() as sock:
            refused(rig, manager, EX_OSERR, "descriptor 4", sockets=[sock], environment={"LISTEN_FDS": "2"})
            refused(rig, manager, EX_CONFIG, "FileDescriptorName=api", sockets=[sock], environment={"LISTEN_FDNAMES": "web"})
            refused(rig, manager, EX_CONFIG, "role has no api", sockets=[sock], environment={"SLUICE_ROLE": "worker"})


# ---- reload

@test
def a_reload_changes_what_can_change_names_the_rest_and_drops_no_job(rig):
    node = rig.nodes[0]
    with Restored(rig) as manager:
        write = configure(rig, {"egress_allow": "127.0.0.0/8", "runners": "4", "log_level": "info", "api_rate_limit": "100000",
                                "queued_max": "10000"}, egress_allow=None, api_rate_limit=None)
        node.settings = {k: v for k, v in node.settings.items() if v is not None}
        manager.start()
        job = rig.submit("hang", "reload")
        rig.witness.wait_seen("/hang/reload")
        assert rig.call("ask").json == 200  # its connection to the provider is kept
        write({"egress_allow": "", "runners": "5", "log_level": "warn", "queued_max": "1"})
        mark, now = len(node.log()), time.monotonic()
        node.process.send_signal(signal.SIGHUP)
        manager.wait("READY", "1", now)
        text = wait_until("it is logged", lambda: "setting_needs_restart" in log_since(node, mark) and log_since(node, mark))
        assert "setting=runners" in text and "setting=log_level" not in text, "log_level is not in force"
        refusal = rig.call("ask")
        assert refusal.status != 200 and len(rig.witness.seen("/ok")) == 1, refusal
        assert rig.call("echo", 2, {"X-Async": "true"}).status == 429, "queued_max is not in force"
        rig.witness.release("reload")
        assert rig.finish(job).json == "reload"
        write({})
        reload(manager, "setting=log_level source=file", "changed=3 need_restart=0")
        assert rig.call("ask").json == 200 and len(rig.witness.seen("/ok")) == 2


@test
def a_reload_with_one_bad_setting_changes_nothing_and_says_where(rig):
    node = rig.nodes[0]
    with Restored(rig) as manager:
        write = configure(rig, {"egress_allow": "127.0.0.0/8"}, egress_allow=None)
        node.settings = {k: v for k, v in node.settings.items() if v is not None}
        manager.start()
        for changed, word in (({"egress_allow": "", "nonsense": "1"}, "sluice.conf:2"), ({"egress_allow": "", "runners": "0"}, "runners"),
                              ({"egress_allow": "", "role": "cook"}, "role"), ({"egress_allow": "10.0.0.0/99"}, "egress_allow")):
            write(changed)
            now = time.monotonic()
            assert "setting_changed" not in reload(manager, "reload_failed", word)
            assert word in manager.wait("STATUS", "Running", now).fields["STATUS"], "the status says nothing of it"
            assert rig.call("ask").json == 200, changed
        os.unlink(f"{rig.directory}/sluice.conf")
        reload(manager, "reload_failed", "sluice.conf")
        write({})
        now = time.monotonic()
        reload(manager, "changed=0 need_restart=0")
        assert "reload" not in manager.wait("STATUS", "Running", now).fields["STATUS"]


@test
def keys_can_be_added_and_another_one_put_first_by_a_reload(rig):
    node = rig.nodes[0]
    with Restored(rig) as manager:
        path = node.settings["encryption_key_file"]
        with open(path, encoding="ascii") as file:
            first = file.read()

        def write(text):
            with open(path, "w", encoding="ascii") as file:
                file.write(text)
        try:
            manager.start()
            write(first + "b" * 64 + "\n")
            reload(manager, 'reloaded" changed=0 need_restart=0')
            write(first + "bbb\n")
            assert "bbb" not in reload(manager, "reload_failed", "seal.key:2")
            write("b" * 64 + "\n" + first)
            reload(manager, 'encryption_keys_changed" keys=2')
            assert rig.call("ask").json == 200, "what was sealed does not open"
            job = rig.submit("ask")
            assert rig.finish(job).json == 200, "what signs jobs has not changed"
        finally:
            write(first)


# ---- credentials

@test
def credentials_give_the_secrets_below_the_environment_and_above_the_file(rig):
    node = rig.nodes[0]
    with Restored(rig) as manager:
        folder = f"{rig.directory}/credentials"
        os.mkdir(folder)

        def write(name, text):
            with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
                file.write(text)
        with open(node.settings["encryption_key_file"], encoding="ascii") as file:
            write("encryption_key", file.read())
        with open(node.settings["keys_file"], encoding="utf-8") as file:
            write("keys", file.read())
        os.chmod(f"{folder}/keys", 0o400)
        write("database_url", rig.postgres.url + "\n")
        write("redis_url", f"unix://{rig.directory}/nosuch\n")
        write("tls_key", "")  # of somebody else
        configure(rig, {"database_url": "host=/nonexistent"})
        node.settings = {k: v for k, v in node.settings.items() if k in ("listen", "egress_allow")}
        given = {"CREDENTIALS_DIRECTORY": folder, "SLUICE_REDIS_URL": rig.redis.url}
        kept = os.stat(f"{folder}/keys").st_mtime_ns
        manager.start(environment=given)
        assert rig.call("ask").json == 200
        assert os.stat(f"{folder}/keys").st_mtime_ns == kept, "a credential was written to"
        write("database_url", "host=/elsewhere password=geheim123")
        assert "geheim123" not in reload(manager, 'setting_needs_restart" setting=database_url')
        assert node.stop() == 0
        for name, text, word in (("database_url", "\n", "is empty"), ("encryption_key", "geheim123", "encryption_key"),
                                 ("keys", "geheim123=1", "keys has no line")):
            with open(f"{folder}/{name}", encoding="utf-8") as file:
                before = file.read()
            os.chmod(f"{folder}/{name}", 0o600)
            write(name, text)
            environment = dict(given, **({} if name == "database_url" else {"SLUICE_DATABASE_URL": rig.postgres.url}))
            mark = len(node.log())
            manager.start(environment=environment, wait=False)
            assert manager.node.process.wait(20) in (69, EX_CONFIG)
            text = log_since(node, mark)
            assert word in text and folder in text and "geheim123" not in text, text
            write(name, before)
        os.unlink(f"{folder}/database_url")
        os.mkdir(f"{folder}/database_url")  # cannot be read, not even by root
        mark = len(node.log())
        manager.start(environment=given, wait=False)
        assert node.process.wait(20) == EX_CONFIG and f"{folder}/database_url" in log_since(node, mark), log_since(node, mark)


# ---- stop

@test
def a_second_term_ends_what_runs_closes_the_session_and_exits_0_at_once(rig):
    node = rig.nodes[0]
    with Restored(rig) as manager:
        manager.start()
        job = rig.submit("hang", "second", retries=0)
        rig.witness.wait_seen("/hang/second")
        below = children(node.process.pid)
        node.process.send_signal(signal.SIGTERM)
        manager.wait("STOPPING", "1")
        manager.wait("EXTEND_TIMEOUT_USEC")
        began = time.monotonic()
        node.process.send_signal(signal.SIGTERM)
        assert node.process.wait(5) == 0 and time.monotonic() - began < 1.5, time.monotonic() - began
        manager.wait("STATUS", "Stopping now")
        assert rig.postgres.query("SELECT count(*) FROM session WHERE live") == [["0"]]
        wait_until("children are gone", lambda: not any(os.path.exists(f"/proc/{pid}") for pid in below), 2)
        rig.witness.release("second")
        manager.start()
        answer = rig.finish(job)
        assert answer.status == 500 and "worker_lost" in answer.body.decode(), answer


@test
def a_second_term_does_not_wait_for_a_postgres_that_is_frozen(rig):
    node = rig.nodes[0]
    with Restored(rig) as manager:
        manager.start()
        job = rig.submit("hang", "frozen", retries=1)
        rig.witness.wait_seen("/hang/frozen")
        servers = [rig.postgres.process.pid, *children(rig.postgres.process.pid)]
        try:
            for pid in servers:
                os.kill(pid, signal.SIGSTOP)
            node.process.send_signal(signal.SIGINT)
            manager.wait("STOPPING", "1")
            began = time.monotonic()
            node.process.send_signal(signal.SIGINT)
            assert node.process.wait(5) == 0 and time.monotonic() - began < 2.5, time.monotonic() - began
        finally:
            for pid in reversed(servers):
                os.kill(pid, signal.SIGCONT)
        rig.witness.release("frozen")
        manager.start()
        assert rig.finish(job, 40).status == 200


@test
def a_second_term_in_the_start_ends_it_too(rig):
    node = rig.nodes[0]
    with Restored(rig) as manager, listener(f"{rig.directory}/dumb") as sock:
        node.settings["redis_url"] = f"unix://{sock.getsockname()}"  # takes connections and never answers
        manager.start(wait=False)
        manager.wait("STATUS", "Starting: waiting for Redis")
        began = time.monotonic()
        for _ in range(2):
            node.process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
        assert node.process.wait(10) == 0 and time.monotonic() - began < 2, time.monotonic() - began


@test
def a_stop_answers_long_polls_and_calls_and_takes_nothing_new(rig):
    node = rig.nodes[0]
    with Restored(rig) as manager:
        manager.start()
        answers = {}
        job = rig.submit("hang", "poll", retries=0)
        threads = [threading.Thread(target=lambda: answers.update(poll=rig.request("GET", f"/action/{job}?wait=25"))),
                   threading.Thread(target=lambda: answers.update(call=rig.call("hang", "call")))]
        for thread in threads:
            thread.start()
        rig.witness.wait_seen("/hang/poll")
        rig.witness.wait_seen("/hang/call")
        node.process.send_signal(signal.SIGTERM)
        manager.wait("STATUS", "Stopping, 2 functions at work")
        wait_until("the poll is answered", lambda: "poll" in answers, 5)
        assert answers["poll"].status == 404, answers
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", node.port)) != 0, "it still listens"
        assert node.process.poll() is None
        rig.witness.release("call")
        rig.witness.release("poll")
        assert node.process.wait(10) == 0
        for thread in threads:
            thread.join(10)
        assert answers["call"].status == 200 and answers["call"].json == "call", answers
        manager.start()
        assert rig.finish(job).json == "poll"


main(lambda: Rig(settings={"lease_ttl": "2s", "drain_timeout": "20s"}, prepare=lambda rig: (rig.prepare(FUNCTIONS), rig.nodes[0].stop())))
