#!/usr/bin/env python3
"""The units as `make install` leaves them, in a root of their own: systemd's own tools find nothing wrong.

systemd need not run here; what it does with them is tried by dev/vm.
"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import build_directory, clean_environment  # noqa: E402
from tap import main, test  # noqa: E402

EXPOSURE_MAX = 15  # tenths
SERVICES = ["sluiced.service", "sluiced-worker@1.service", "sluiced-migrate.service"]
UNITS = SERVICES + ["sluiced.socket", "sluiced.target"]
PARTS = ["install-binPROGRAMS", "install-nodist_unitDATA", "install-dist_unitDATA", "install-dist_pkgdataDATA", "install-data-local"]


class Root:
    """A root directory with Debian's own units, ours, and no user yet."""

    def __enter__(self):
        self.build = build_directory()
        self.path = tempfile.mkdtemp(prefix="sluice-units-", dir="/tmp")
        try:
            self._fill()
        except BaseException:
            shutil.rmtree(self.path)
            raise
        return self

    def _fill(self):
        self.run("make", "-s", "-C", self.build, *PARTS, f"DESTDIR={self.path}")
        [units] = glob.glob(f"{self.path}/**/systemd/system", recursive=True)
        self.units, self.prefix = units, units.removesuffix("/lib/systemd/system")
        shutil.copytree("/usr/lib/systemd/system", f"{self.path}/usr/lib/systemd/system", symlinks=True)
        os.makedirs(f"{self.path}/bin")
        shutil.copy("/bin/kill", f"{self.path}/bin/kill")
        os.makedirs(f"{self.path}/etc")
        for name in ("passwd", "group"):
            with open(f"{self.path}/etc/{name}", "w", encoding="utf-8") as file:
                file.write("root:x:0:0::/root:/bin/sh\n" if name == "passwd" else "root:x:0:\n")

    def __exit__(self, *_exc):
        shutil.rmtree(self.path)

    @staticmethod
    def run(*command):
        """Its output, both streams; it must succeed."""
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False, timeout=110, env=clean_environment({"LC_ALL": "C.UTF-8"}))
        assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def text(self, name):
        with open(f"{self.units}/{name}", encoding="utf-8") as file:
            return file.read()

    def example(self):
        with open(f"{self.prefix}/share/sluice/sluice.conf.example", encoding="utf-8") as file:
            return file.read()


@test
def systemd_finds_nothing_to_say_about_the_units(root):
    said = root.run("systemd-analyze", "verify", "--man=no", f"--root={root.path}", *UNITS)
    ours = [line for line in said.splitlines() if "sluice" in line]
    assert not ours, "\n".join(ours)


@test
def the_exposure_of_each_service_is_at_most_one_and_a_half(root):
    for unit in SERVICES:
        shown = root.run("systemd-analyze", "security", "--offline=true", "--no-pager", f"--root={root.path}",
                         f"--threshold={EXPOSURE_MAX}", unit)
        level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", shown)
        assert level and float(level.group(1)) * 10 <= EXPOSURE_MAX, shown[-300:]


@test
def workers_have_no_memory_that_is_written_and_executed(root):
    for unit in ("sluiced-worker@1.service", "sluiced-migrate.service"):
        rows = json.loads(root.run("systemd-analyze", "security", "--offline=true", "--no-pager", "--json=short",
                                   f"--root={root.path}", unit))
        [row] = [row for row in rows if row["json_field"] == "MemoryDenyWriteExecute"]
        assert row["set"] is True, row


@test
def the_sandbox_of_functions_may_make_its_system_calls(root):
    """What runtime/ calls before it has a filter of its own, by the unit's list of system calls."""
    needed = {"seccomp", "landlock_create_ruleset", "landlock_restrict_self", "prlimit64", "prctl", "capset", "memfd_create",
              "timer_create", "signalfd4", "close_range", "clone", "pidfd_open", "setpgid"}
    groups = {}
    for block in re.split(r"\n(?=@)", root.run("systemd-analyze", "syscall-filter", "--no-pager")):
        name, *members = block.split("\n")
        groups[name.strip()] = [word.strip() for word in members if word.strip() and not word.strip().startswith("#")]

    def expand(word):
        return set().union(*map(expand, groups[word])) if word.startswith("@") else {word}

    for unit in ("sluiced.service", "sluiced-worker@.service", "sluiced-migrate.service"):
        allowed = set()
        for line in re.findall(r"^SystemCallFilter=(.*)$", root.text(unit), re.MULTILINE):
            calls = set().union(*map(expand, line.removeprefix("~").split()))
            allowed = allowed - calls if line.startswith("~") else allowed | calls
        assert needed <= allowed, f"{unit}: {sorted(needed - allowed)}"


@test
def a_unit_has_no_placeholder_left_and_starts_what_was_installed(root):
    for name in os.listdir(root.units):
        if name.startswith("sluiced"):
            assert not re.search(r"^@|@\w+@", root.text(name), re.MULTILINE), name
    for unit in ("sluiced.service", "sluiced-worker@.service", "sluiced-migrate.service"):
        program = re.search(r"^ExecStart=(\S+)", root.text(unit), re.MULTILINE).group(1)
        assert os.access(f"{root.path}{program}", os.X_OK), program


@test
def exit_codes_that_a_restart_cannot_mend_are_those_of_the_manual(root):
    with open(os.path.join(os.path.dirname(__file__), "../../doc/man/sluiced.8"), encoding="utf-8") as file:
        [said] = re.findall(r"A restart does not help after ([0-9, and]+)\.", file.read())
    for unit in ("sluiced.service", "sluiced-worker@.service"):
        [codes] = re.findall(r"^RestartPreventExitStatus=(.*)$", root.text(unit), re.MULTILINE)
        assert codes.split() == re.findall(r"\d+", said), unit


@test
def the_user_and_the_first_settings_are_made(root):
    root.run("systemd-sysusers", f"--root={root.path}", "sluice.conf")
    with open(f"{root.path}/etc/passwd", encoding="utf-8") as file:
        [user] = [line for line in file if line.startswith("sluice:")]
    assert user.rstrip().endswith("/nologin"), user
    if os.getuid() != 0:  # nobody else may give files away
        return
    root.run("systemd-tmpfiles", f"--root={root.path}", "--create", "sluice.conf")
    [made] = glob.glob(f"{root.path}/**/etc/sluice/sluice.conf", recursive=True)
    assert os.stat(made).st_mode & 0o777 == 0o640, oct(os.stat(made).st_mode)
    with open(made, encoding="utf-8") as file:
        assert file.read() == root.example()
    assert os.stat(f"{root.path}/etc/credstore").st_mode & 0o777 == 0o700


@test
def each_setting_of_the_example_is_one_and_good(root):
    names = re.findall(r"^(\w+) = ", root.example(), re.MULTILINE)
    assert {"role", "listen", "database_url", "redis_url", "keys_file", "drain_timeout"} <= set(names), names
    example = f"{root.prefix}/share/sluice/sluice.conf.example"
    root.run(f"{root.build}/sluiced", "--config", example, "--encryption-key-file=/nonexistent", "--check-config")


main(Root)
