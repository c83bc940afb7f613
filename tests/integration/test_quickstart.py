"""dev/quickstart, as a newcomer runs it: a finished job at the end, again on the same directory, Ctrl-C and --detach."""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import ROOT, clean_environment, free_port, wait_until
from servers import remove
from tap import main, test

LIMIT = 500


class Place:
    """A directory for one service, and what runs there is ended at the end."""

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="sluice-qs-", dir="/tmp")
        os.chmod(self.directory, 0o711)
        self.data = f"{self.directory}/data"
        self.port = free_port()
        return self

    def __exit__(self, *_exc):
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        wait_until("all is gone", lambda: not any(alive(p) for p in self.pids()), 40)
        remove(self.directory)

    def describe(self):
        for name in ("log/sluiced.log", "example/provider.log"):
            try:
                with open(f"{self.data}/{name}", encoding="utf-8", errors="replace") as file:
                    yield from (f"{name}: {line[:300]}" for line in file.read().splitlines()[-12:])
            except FileNotFoundError:
                continue

    def pids(self):
        for name in ("sluiced.pid", "example/pid"):
            try:
                with open(f"{self.data}/{name}", encoding="ascii") as file:
                    yield int(file.read())
            except (FileNotFoundError, ValueError):
                continue

    def run(self, *more, environment=None):
        return subprocess.run([f"{ROOT}/dev/quickstart", "--dir", self.data, *more], stdin=subprocess.DEVNULL, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=LIMIT, cwd="/",
                              env=clean_environment(environment))


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def result(done):
    assert done.returncode == 0, (done.returncode, done.stdout[-1500:], done.stderr[-3000:])
    found = re.search(r"after the start:\n(\{.*?\n\})\n", done.stdout, re.DOTALL)
    assert found, done.stdout
    return json.loads(found.group(1))


@test(seconds=LIMIT)
def detached_it_prints_the_result_and_leaves_the_daemon_running(place):
    done = place.run("--port", str(place.port), "--detach")
    assert "42" in json.dumps(result(done)), done.stdout
    assert "Three things to try" in done.stdout
    assert re.search(r"^build/sluice --dir \S+ doctor\n(healthy|degraded): ", done.stdout, re.MULTILINE), done.stdout
    webhooks = re.search(r"^Webhooks to your app: (.*)$", done.stdout, re.MULTILINE).group(1).replace("=URL", "=http://127.0.0.1:9/")
    shown = subprocess.run(webhooks.split(), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           check=False, timeout=30, env=clean_environment())
    assert shown.returncode == 0 and "http://127.0.0.1:9/" in shown.stdout, shown
    assert all(alive(p) for p in place.pids()) and len(list(place.pids())) == 2
    with open(f"{place.data}/example/provider.log", encoding="utf-8") as file:
        log = file.read()
    assert " 429" in log and log.count(" 200") >= 2, log


@test(seconds=LIMIT)
def again_on_the_same_directory_it_uses_the_daemon_that_runs(place):
    before = list(place.pids())
    first = place.run("--detach")
    assert "42" in json.dumps(result(first)) and list(place.pids()) == before, first.stderr
    assert "already runs" in first.stderr


@test(seconds=LIMIT)
def when_only_the_provider_is_gone_it_comes_back_and_the_example_works(place):
    _, provider = place.pids()
    os.kill(provider, signal.SIGKILL)
    wait_until("the provider is gone", lambda: not alive(provider), 5)
    result(place.run("--detach"))


@test(seconds=LIMIT)
def another_port_for_a_directory_in_use_is_refused_with_the_reason(place):
    done = place.run("--port", str(free_port()), "--detach")
    assert done.returncode != 0 and str(place.port) in done.stderr, done.stderr


@test(seconds=LIMIT)
def a_port_in_use_is_named(place):
    done = subprocess.run([f"{ROOT}/dev/quickstart", "--dir", f"{place.directory}/other", "--port", str(place.port), "--detach"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT,
                          env=clean_environment(), check=False)
    assert done.returncode != 0 and f"port {place.port}" in done.stdout, done.stdout


@test(seconds=LIMIT)
def after_kill_9_of_the_daemon_it_starts_again_with_the_data(place):
    daemon, _ = place.pids()
    os.kill(daemon, signal.SIGKILL)
    wait_until("the daemon is gone", lambda: not alive(daemon), 5)
    result(place.run("--port", str(place.port), "--detach"))
    assert list(place.pids())[0] != daemon


@test(seconds=LIMIT)
def in_the_foreground_ctrl_c_stops_everything(place):
    for pid in list(place.pids()):
        os.kill(pid, signal.SIGTERM)
    wait_until("all is gone", lambda: not any(alive(p) for p in place.pids()), 40)
    process = subprocess.Popen([f"{ROOT}/dev/quickstart", f"--dir={place.data}", f"--port={place.port}"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), env=clean_environment())
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    assert lines and "Ctrl-C" in lines[-1], "".join(lines)
    pids = list(place.pids())
    os.killpg(process.pid, signal.SIGINT)
    began = time.monotonic()
    process.communicate(timeout=60)
    assert process.returncode == 0, process.returncode
    assert not any(alive(p) for p in pids), "something was left running"
    print(f"# stopped after {time.monotonic() - began:.1f} s")


@test(seconds=LIMIT)
def settings_in_the_environment_reach_the_daemon(place):
    done = place.run("--port", str(place.port), "--detach", environment={"SLUICE_LOG_LEVEL": "nosuch"})
    assert done.returncode != 0 and "log_level" in done.stderr, done.stderr
    result(place.run("--port", str(place.port), "--detach", environment={"SLUICE_EGRESS_ALLOW": "10.1.2.0/24"}))


main(Place)
