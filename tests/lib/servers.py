"""A private Postgres and Redis for tests: own directory, unix sockets, an unprivileged user."""
import glob
import os
import pwd
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
    """A cluster under directory; url is what sluiced takes as database_url."""

    def __init__(self, directory):
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

    def dump(self):
        """The whole database as pg_dump writes it, bytea as escape text."""
        done = subprocess.run([f"{self.bin}/pg_dump", "-h", self.directory, "-U", "sluice", "sluice"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
        return done.stdout

    def stop(self, immediate=False):
        stop(self.process, signal.SIGQUIT if immediate else signal.SIGINT)
        self.process = None


class Redis:
    """A server under directory, on a unix socket; url is what sluiced takes as redis_url."""

    def __init__(self, directory):
        self.directory = directory
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
                self.prefix + ["redis-server", "--port", "0", "--unixsocket", self.path, "--unixsocketperm", "777",
                               "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction",
                               "--dir", self.directory, *options],
                cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until("Redis answers", self._answers, 10)

    def _answers(self):
        try:
            return self.command("PING") == b"PONG"
        except OSError:
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

    def stop(self):
        stop(self.process)
        self.process = None


def remove(directory):
    shutil.rmtree(directory, ignore_errors=True)
