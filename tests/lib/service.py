"""What systemd does for a sluiced, without systemd: a notify socket, a watchdog, sockets and credentials.

    with Manager(node) as manager:           # node: of a Rig, not running
        manager.start(watchdog_ms=400)
        manager.wait("READY", "1")

LISTEN_PID has to be the daemon's own process id: a shell sets it and is then replaced by the daemon.
"""
import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import threading
import time

from rig import clean_environment
from servers import stop, wait_until

# Sockets stand from descriptor 20 on, where no shell and no Python keeps anything of its own.
_LAUNCH = ('n=$1; shift; i=0; while [ $i -lt $n ]; do eval "exec $((3 + i))<&$((20 + i)) $((20 + i))<&-"; i=$((i + 1)); done;'
           ' [ -z "$LISTEN_FDS" ] || export LISTEN_PID=${LISTEN_PID:-$$};'
           ' [ -z "$WATCHDOG_USEC" ] || export WATCHDOG_PID=${WATCHDOG_PID:-$$}; exec "$@"')


class Message:
    """One datagram; at is when it came, monotonic seconds."""

    def __init__(self, text):
        self.at = time.monotonic()
        self.fields = dict(line.split("=", 1) for line in text.split("\n") if "=" in line)

    def __repr__(self):
        return f"{self.at:.3f} {self.fields}"


class Manager:
    def __init__(self, node, abstract=False):
        self.node, self.messages = node, []
        name = f"sluice-test-{os.getpid()}-{id(self)}"
        self.path = f"@{name}" if abstract else f"{node.rig.directory}/{name}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name if abstract else self.path)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        process = self.node.process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGCONT)
            stop(process, signal.SIGTERM, 20)
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(5)
        self.socket.close()
        if not self.path.startswith("@"):
            os.unlink(self.path)

    def _read(self):
        while True:
            try:
                data = self.socket.recv(65536)
            except OSError:
                return
            if not data:
                return
            self.messages.append(Message(data.decode()))

    def start(self, watchdog_ms=None, sockets=(), environment=None, wait=True):
        """sockets: listening (or not) sockets to pass; environment wins over what is made of the others."""
        variables = {"NOTIFY_SOCKET": self.path, **self.node.environment}
        if watchdog_ms is not None:
            variables["WATCHDOG_USEC"] = str(watchdog_ms * 1000)
        if sockets:
            variables["LISTEN_FDS"] = str(len(sockets))
        variables.update(environment or {})
        copies, began = [], time.monotonic()
        try:
            for number, sock in enumerate(sockets):
                copies.append(fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD, 20 + number))
                assert copies[-1] == 20 + number, "descriptor taken"
            with open(self.node.log_path, "ab") as log:
                self.node.process = subprocess.Popen(
                    ["bash", "-c", _LAUNCH, "launch", str(len(sockets)), *self.node.command()], stdin=subprocess.DEVNULL,
                    stdout=log, stderr=log, env=clean_environment(variables), cwd=self.node.rig.directory,
                    pass_fds=copies, start_new_session=True)
        finally:
            for copy in copies:
                os.close(copy)
        if wait:
            self.wait("READY", "1", began)
        return self

    def all(self, key, since=0.0):
        return [m for m in list(self.messages) if key in m.fields and m.at >= since]

    def wait(self, key, value=None, since=0.0, seconds=20.0):
        """The first message with the field (its text begins with value) that came after since."""
        def there():
            return next((m for m in self.all(key, since) if value is None or m.fields[key].startswith(value)), None)
        return wait_until(f"{key}={value} is told; got {self.messages[-5:]}", there, seconds, every=0.005)

    def supervise(self, watchdog_ms, abort_s=0.5):
        """As WatchdogSec= and TimeoutAbortSec= do: once no sign came for so long, SIGABRT, then SIGKILL (a process that is
        stopped takes no other).  Returns the exit code."""
        def silent():
            last = max((m.at for m in self.all("WATCHDOG")), default=0)
            return time.monotonic() - last > watchdog_ms / 1000
        wait_until("the signs of life stop", silent, 20)
        self.node.process.send_signal(signal.SIGABRT)
        try:
            return self.node.process.wait(abort_s)
        except subprocess.TimeoutExpired:
            self.node.process.kill()
            return self.node.process.wait(10)
