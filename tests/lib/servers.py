"""A private Postgres and Redis for tests: own directory, unix sockets, an unprivileged user."""
import glob
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import time


class RigError(Exception):
    """What a test asked for did not come in time, or a program would not start."""


def wait_until(what, probe, seconds=10.0, every=0.02):
    """Calls probe until it returns something true, and returns that; RigError(what) after seconds."""
    end = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() >= end:
            raise RigError(f"not within {seconds:g} s: {what}")
        time.sleep(every)


def unprivileged():
    """(command prefix, user) to run servers: Postgres refuses root.  Both empty when we are not root."""
    if os.getuid() != 0:
        return [], None
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"], user
    raise RigError("neither a user postgres nor nobody")


def stop(process, how=signal.SIGTERM, seconds=15.0):
    """Ends a child and waits for it; SIGKILL when it does not go."""
    if process is None or process.poll() is not None:
        return
    process.send_signal(how)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(seconds)


class Postgres:
    """A cluster under directory; url is what sluiced takes as database_url.  copy_of: another one, that runs; this one
    becomes its streaming standby.  restored: a directory that becomes its data; it is not started."""

    def __init__(self, directory, copy_of=None, restored=None):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not found:
            raise RigError("no PostgreSQL server under /usr/lib/postgresql")
        self.bin = found[-1]
        self.directory = directory
        self.prefix, user = unprivileged()
        os.makedirs(directory)
        if user is not None:
            os.chown(directory, user.pw_uid, user.pw_gid)
        self.url = f"host={directory} user=sluice dbname=sluice"
        self.process = None
        if copy_of is not None:
            self._run([f"{self.bin}/pg_basebackup", "-h", copy_of.directory, "-U", "sluice", "-D", f"{directory}/data",
                       "-R", "-c", "fast", "--no-sync"])
            self.start()
            return
        if restored is not None:
            os.rename(restored, f"{directory}/data")
            return
        self._run([f"{self.bin}/initdb", "-D", f"{directory}/data", "-U", "sluice", "-A", "trust",
                   "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"])
        self.start()
        self._run([f"{self.bin}/createdb", "-h", directory, "-U", "sluice", "sluice"])

    def _run(self, command):
        done = subprocess.run(self.prefix + command, cwd=self.directory, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, text=True)
        if done.returncode != 0:
            raise RigError(f"{command[0]}: {done.stdout}")
        return done.stdout

    def start(self, *options, fsync="off"):
        """Starts the server and waits until it answers."""
        with open(f"{self.directory}/log", "ab") as log:
            self.process = subprocess.Popen(
                self.prefix + [f"{self.bin}/postgres", "-D", f"{self.directory}/data", "-k", self.directory,
                               "-c", "listen_addresses=", "-c", f"fsync={fsync}", "-c", "max_connections=100",
                               *options],
                cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until("Postgres answers", self._answers, 30)

    def _answers(self):
        if self.process.poll() is not None:
            with open(f"{self.directory}/log", encoding="utf-8", errors="replace") as log:
                raise RigError(f"Postgres ended: {log.read()[-2000:]}")
        return subprocess.run([f"{self.bin}/psql", "-h", self.directory, "-U", "sluice", "-d", "postgres", "-Atc",
                               "SELECT 1"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False).returncode == 0

    def query(self, sql):
        """Rows as lists of text (columns by |)."""
        out = self._run([f"{self.bin}/psql", "-h", self.directory, "-U", "sluice", "-d", "sluice", "-XAt",
                         "-v", "ON_ERROR_STOP=1", "-c", sql])
        return [line.split("|") for line in out.splitlines()]

    def promote(self):
        """A standby takes writes from now on."""
        self.query("SELECT pg_promote()")

    def freeze(self, signo=signal.SIGSTOP):
        """The whole server stands still; SIGCONT wakes it."""
        below = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], stdout=subprocess.PIPE, check=False, text=True)
        for pid in [self.process.pid, *map(int, below.stdout.split())]:
            try:
                os.kill(pid, signo)
            except ProcessLookupError:
                pass

    def dump(self):
        """The whole database as pg_dump writes it, bytea as escape text."""
        done = subprocess.run([f"{self.bin}/pg_dump", "-h", self.directory, "-U", "sluice", "sluice"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
        return done.stdout

    def stop(self, immediate=False):
        stop(self.process, signal.SIGQUIT if immediate else signal.SIGINT)
        self.process = None


class PgBouncer:
    """A pooler before postgres, on a unix socket in its directory; url is what sluiced takes as database_url."""

    def __init__(self, directory, postgres, mode, **settings):
        self.program = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if self.program is None:
            raise RigError("pgbouncer is not installed")
        self.directory, self.process = directory, None
        self.prefix, user = unprivileged()
        os.makedirs(directory)
        lines = {"unix_socket_dir": directory, "listen_port": 6432, "pool_mode": mode, "auth_type": "trust",
                 "auth_file": f"{directory}/users", "max_client_conn": 200, "default_pool_size": 20,
                 "admin_users": "sluice", **settings}
        with open(f"{directory}/users", "w", encoding="ascii") as file:
            file.write('"sluice" ""\n')
        with open(f"{directory}/pgbouncer.ini", "w", encoding="ascii") as file:
            file.write(f"[databases]\nsluice = host={postgres.directory} dbname=sluice\n[pgbouncer]\n")
            file.writelines(f"{name} = {value}\n" for name, value in lines.items())
        if user is not None:
            os.chown(directory, user.pw_uid, user.pw_gid)
        self.url = f"host={directory} port=6432 user=sluice dbname=sluice"
        self.start()

    def start(self):
        with open(f"{self.directory}/log", "ab") as log:
            self.process = subprocess.Popen(self.prefix + [self.program, f"{self.directory}/pgbouncer.ini"],
                                            cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until("PgBouncer answers", lambda: self.show("VERSION"), 10)

    def show(self, what):
        """Rows of SHOW what, as lists of text; None while it does not answer."""
        done = subprocess.run(["psql", "-h", self.directory, "-p", "6432", "-U", "sluice", "-d", "pgbouncer", "-XAtc",
                               f"SHOW {what}"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, check=False, text=True)
        return [line.split("|") for line in done.stdout.splitlines()] if done.returncode == 0 else None

    def stop(self, how=signal.SIGTERM):
        stop(self.process, how)
        self.process = None


def free_ports(count):
    """Ports of loopback that nobody uses now, all different, below those that the kernel gives to clients: a server
    that is killed finds its port again."""
    sockets = []
    try:
        while len(sockets) < count:
            sock = socket.socket()
            try:
                sock.bind(("127.0.0.1", random.randint(20000, 32000)))
                sockets.append(sock)
            except OSError:
                sock.close()
        return [sock.getsockname()[1] for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()


class Redis:
    """A server under directory, on a unix socket (and a port of loopback, if given); url is what sluiced takes as
    redis_url.  options are those of every start."""

    def __init__(self, directory, port=0, options=()):
        self.directory, self.port, self.options = directory, port, options
        self.prefix, user = unprivileged()
        os.makedirs(directory)
        if user is not None:
            os.chown(directory, user.pw_uid, user.pw_gid)
        self.path = f"{directory}/redis"
        self.url = f"unix://{self.path}"
        self.process = None
        self.start()

    def start(self, *options):
        with open(f"{self.directory}/log", "ab") as log:
            self.process = subprocess.Popen(
                self.prefix + ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1",
                               "--unixsocket", self.path, "--unixsocketperm", "777",
                               "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction",
                               "--dir", self.directory, *self.options, *options],
                cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until("Redis answers", self._answers, 10)

    def _answers(self):
        try:
            return self.command("PING") == b"PONG"
        except (OSError, RigError):  # not there yet, or it loads
            return False

    def command(self, *words):
        """One command over its own connection; nested replies as lists, errors raise RigError."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(self.path)
            parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
            sock.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
            with sock.makefile("rb") as stream:
                return self._reply(stream)

    def _reply(self, stream):
        line = stream.readline().rstrip(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise RigError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            size = int(rest)
            return None if size < 0 else stream.read(size + 2)[:-2]
        if kind == b"*":
            return [self._reply(stream) for _ in range(int(rest))]
        raise OSError("Redis closed the connection")

    def everything(self):
        """All keys with their values, as one text, for searching."""
        out = []
        for key in self.command("KEYS", "*"):
            kind = self.command("TYPE", key)
            if kind == b"none":  # gone meanwhile
                continue
            value = {b"string": lambda k=key: self.command("GET", k),
                     b"list": lambda k=key: self.command("LRANGE", k, 0, -1),
                     b"hash": lambda k=key: self.command("HGETALL", k),
                     b"set": lambda k=key: self.command("SMEMBERS", k),
                     b"zset": lambda k=key: self.command("ZRANGE", k, 0, -1)}[kind]()
            out.append(key)
            out.extend(value if isinstance(value, list) else [value])
        return b"\n".join(piece for piece in out if piece is not None)

    def kill(self):
        """SIGKILL: nothing is saved."""
        stop(self.process, signal.SIGKILL)
        self.process = None

    def stop(self):
        stop(self.process)
        self.process = None


def wait_caught_up(master, replica):
    """The replica is linked and has all that the master has had until now."""
    def linked():
        role = replica.command("ROLE")
        return role[0] == b"slave" and role[3] == b"connected"
    wait_until("the replica is linked", linked, 20)
    offset = master.command("ROLE")[1]
    wait_until("the replica has all", lambda: replica.command("ROLE")[4] >= offset, 20)


class RedisCluster:
    """Masters of a Redis Cluster on loopback, the slots dealt evenly, and maybe one replica; url names them all."""

    def __init__(self, directory, masters=3, replica_of=None):
        """replica_of: a key; the master of its slot gets the replica."""
        self.directory = directory
        os.makedirs(directory)
        os.chmod(directory, 0o711)
        self.nodes, self.replica = [], None
        try:
            for number in range(masters):
                node = self._node(f"m{number}")
                node.command("CLUSTER", "ADDSLOTSRANGE", 16384 * number // masters,
                             16384 * (number + 1) // masters - 1)
                node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            for node in self.nodes[1:]:
                self._meet(node)
            self.wait_agreed()
            if replica_of is not None:
                owner = self.owner(replica_of)
                self.replica = self._node("r")
                self._meet(self.replica)
                self.wait_agreed()
                self.replica.command("CLUSTER", "REPLICATE", owner.id)
                wait_caught_up(owner, self.replica)
        except BaseException:
            self.stop()
            raise
        self.url = "redis://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:masters]) + "?cluster=yes"

    def _node(self, name):
        port, bus = free_ports(2)
        node = Redis(f"{self.directory}/{name}", port, [
            "--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", "1000",
            "--cluster-require-full-coverage", "no", "--cluster-config-file", "nodes.conf",
            "--repl-diskless-sync-delay", "0"])
        node.bus = bus
        node.id = node.command("CLUSTER", "MYID").decode()
        self.nodes.append(node)
        return node

    def _meet(self, node):
        node.command("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port, self.nodes[0].bus)

    @property
    def process(self):
        return next((node.process for node in self.nodes if node.process is not None), None)

    def wait_agreed(self):
        """All nodes know each other and who has which slot."""
        def agreed():
            views = set()
            for node in self.nodes:
                if b"cluster_state:ok" not in node.command("CLUSTER", "INFO"):
                    return False
                lines = node.command("CLUSTER", "NODES").decode().splitlines()
                if len(lines) != len(self.nodes) or any("handshake" in line for line in lines):
                    return False
                views.add(tuple(sorted((line.split()[0], *line.split()[8:]) for line in lines)))
            return len(views) == 1
        wait_until("the nodes of the cluster agree", agreed, 20)

    def owner(self, key):
        """The running node that serves key, or None."""
        for node in self.nodes:
            try:
                if node.process is not None:
                    node.command("EXISTS", key)
                    return node
            except RigError:  # MOVED, CLUSTERDOWN
                pass
        return None

    def move(self, key, target, meanwhile=None):
        """Moves the slot of key to target, key by key; meanwhile() runs after each one.  Returns how many moved."""
        source, moved = self.owner(key), 0
        slot = source.command("CLUSTER", "KEYSLOT", key)
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        while names := source.command("CLUSTER", "GETKEYSINSLOT", slot, 1):
            source.command("MIGRATE", "127.0.0.1", target.port, names[0], 0, 5000)
            moved += 1
            if meanwhile is not None:
                meanwhile()
        for node in [target, source] + self.nodes:
            if node.process is not None and node is not self.replica:
                node.command("CLUSTER", "SETSLOT", slot, "NODE", target.id)
        return moved

    def command(self, *words):
        """To the node that has the key, which is the second word."""
        return self.owner(words[1]).command(*words)

    def everything(self):
        return b"\n".join(node.everything() for node in self.nodes if node.process is not None)

    def stop(self):
        for node in self.nodes:
            node.stop()


class Sentinels:
    """A master, a replica and three sentinels that fail over after half a second; url names the sentinels."""

    NAME = "tested"

    def __init__(self, directory):
        self.directory = directory
        os.makedirs(directory)
        os.chmod(directory, 0o711)
        self.servers, self.sentinels = [], []
        ports = free_ports(5)
        try:
            for name, port in zip("ab", ports):
                self.servers.append(Redis(f"{directory}/{name}", port, ["--repl-diskless-sync-delay", "0"]))
            self.servers[1].command("REPLICAOF", "127.0.0.1", ports[0])
            for name, port in zip("xyz", ports[2:]):
                self.sentinels.append(Sentinel(f"{directory}/{name}", port))
                self.watch(self.sentinels[-1], self.servers[0])
            self.wait_watched()
        except BaseException:
            self.stop()
            raise
        self.url = "redis+sentinel://" + ",".join(f"127.0.0.1:{s.port}" for s in self.sentinels) + f"/{self.NAME}"

    def watch(self, sentinel, master):
        """Tells one sentinel who is the master."""
        sentinel.command("SENTINEL", "MONITOR", self.NAME, "127.0.0.1", master.port, 2)
        for option, value in (("down-after-milliseconds", 500), ("failover-timeout", 3000)):
            sentinel.command("SENTINEL", "SET", self.NAME, option, value)

    def wait_watched(self):
        def watched(sentinel):
            words = sentinel.command("SENTINEL", "MASTER", self.NAME)
            state = dict(zip(words[::2], words[1::2]))
            return (state[b"flags"] == b"master" and state[b"num-slaves"] == b"1" and
                    state[b"num-other-sentinels"] == b"2")
        wait_until("the sentinels know each other and the replica", lambda: all(map(watched, self.sentinels)), 30)

    @property
    def process(self):
        return next((s.process for s in self.servers + self.sentinels if s.process is not None), None)

    def wait_in_step(self):
        """The replica has all that the master has, and the sentinels know both."""
        wait_caught_up(self.master, self.other(self.master))
        self.wait_watched()

    def other(self, server):
        return self.servers[self.servers[0] is server]

    @property
    def master(self):
        """The running server that is a master now, or None."""
        for server in self.servers:
            if server.process is not None and server.command("ROLE")[0] == b"master":
                return server
        return None

    def command(self, *words):
        return self.master.command(*words)

    def everything(self):
        return b"\n".join(server.everything() for server in self.servers if server.process is not None)

    def stop(self):
        for server in self.sentinels + self.servers:
            server.stop()


class Sentinel(Redis):
    """A sentinel that watches nothing yet."""

    def start(self, *_options):
        conf = f"{self.directory}/sentinel.conf"
        if not os.path.exists(conf):  # it rewrites the file
            with open(conf, "w", encoding="ascii") as file:
                file.write(f"port {self.port}\nbind 127.0.0.1\nunixsocket {self.path}\nunixsocketperm 777\n"
                           f"dir {self.directory}\n")
            if self.prefix:
                shutil.chown(conf, unprivileged()[1].pw_uid, unprivileged()[1].pw_gid)
        with open(f"{self.directory}/log", "ab") as log:
            self.process = subprocess.Popen(self.prefix + ["redis-server", conf, "--sentinel"], cwd=self.directory,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until("the sentinel answers", self._answers, 10)


def remove(directory):
    shutil.rmtree(directory, ignore_errors=True)
