"""The `sluice` of the build under test, run as an operator or a script would."""
import json
import os
import pty
import select
import subprocess
import time

from rig import build_directory, clean_environment


class Done:
    """A run that ended."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def error(self):
        return json.loads(self.err)["error"]

    def __repr__(self):
        return f"exit {self.code}\n{self.out}\n--\n{self.err}"


def run(*words, environment=None, seconds=40, stdin=None, cwd="/"):
    """Without a terminal, without settings of ours in the environment."""
    done = subprocess.run([f"{build_directory()}/sluice", *words], input=stdin if stdin is not None else "", cwd=cwd,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, timeout=seconds,
                          env=clean_environment({"TERM": "xterm", **(environment or {})}))
    return Done(done.returncode, done.stdout, done.stderr)


def run_on_terminal(*words, typed="", environment=None, seconds=40):
    """On a terminal of its own, where typed is entered; out is all that the terminal shows."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir("/")
        os.execve(f"{build_directory()}/sluice", ["sluice", *words],
                  clean_environment({"TERM": "xterm", "PATH": "/usr/bin:/bin", **(environment or {})}))
    if typed:
        os.write(fd, typed.encode())
    shown, until = b"", time.monotonic() + seconds
    while time.monotonic() < until:
        if not select.select([fd], [], [], 0.2)[0]:
            continue
        try:
            piece = os.read(fd, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    else:
        os.kill(pid, 9)
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    return Done(os.waitstatus_to_exitcode(status), shown.decode(errors="replace"), "")
