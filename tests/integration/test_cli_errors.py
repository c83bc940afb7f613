"""`sluice` where something is wrong: nobody answers, a wrong key, bad words, bytes that would steer a terminal."""
import http.server
import json
import os
import socket
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from operator_cli import run, run_on_terminal
from rig import build_directory, clean_environment, free_port
from servers import remove
from tap import main, test

KEY = "11111111-2222-4333-8444-555555555555"
JOB = "01a201e4-9e69-7582-b741-81dccdf5eacc"
OTHER = "01a201e4-9e69-7582-b741-81dccdf5eacd"
EVIL = "\033[2J\u202eevil\u009b31m\n"


def queue(environment="dev", **more):
    return {"environment": environment, "paused": False, "draining": False, "depth": 0, "running": 0, "delayed": 0,
            "oldest_ms": None, **more}


def worker(name, **more):
    return {"name": name, "roles": ["api", "worker"], "version": "0.1.0", "started_at": "2026-11-22T05:12:00.000Z",
            "seen_ms": 12, "state": "live", "leads": False, "session": 1, "runners": 16, "running": 0, "calls": 0,
            "jobs": [], **more}


class Stand:
    """A server that answers as it is told and keeps what it was asked."""

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="sluice-cli-", dir="/tmp")
        self.answers, self.asked = {}, []
        stand = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                stand.asked.append((self.command, self.path, json.loads(body) if body else None, dict(self.headers)))
                rows = stand.answers.get((self.command, self.path.split("?")[0]), [(404, {"error": {"code": "not_found",
                                                                                                    "message": "no such path"}}, {})])
                status, value, headers = rows.pop(0) if len(rows) > 1 else rows[0]
                sent = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(sent)))
                for name, text in headers.items():
                    self.send_header(name, text)
                self.end_headers()
                self.wfile.write(sent)

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *_arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.key_file = self.file("key", KEY + "\n")
        return self

    def __exit__(self, *_exc):
        self.server.shutdown()
        self.server.server_close()
        remove(self.directory)

    def file(self, name, text, mode=0o600):
        path = f"{self.directory}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def says(self, method, path, *rows):
        """rows: (status, JSON or bytes, headers); the last one stays."""
        self.answers[(method, path)] = [(*row, {}) if len(row) == 2 else row for row in rows]

    def sluice(self, *words, **more):
        self.asked.clear()
        return run("--host", self.url, "--key-file", self.key_file, *words, **more)


def strings(value):
    """Every text in a document."""
    if isinstance(value, dict):
        value = list(value.values())
    return [value] if isinstance(value, str) else [t for v in value for t in strings(v)] if isinstance(value, list) else []


def refused(code, message, status=400):
    return status, {"error": {"code": code, "message": message}}


# ---- nobody there

@test
def a_port_where_nobody_listens_is_told_with_what_to_check(stand):
    host = f"http://127.0.0.1:{free_port()}"
    done = run("--host", host, "--key-file", stand.key_file, "queue", "ls")
    assert done.code == 69 and f"nobody listens on {host}" in done.err and "systemctl status sluiced" in done.err, done
    assert not done.out, done
    done = run("--host", host, "--key-file", stand.key_file, "--json", "queue", "ls")
    assert done.code == 69 and done.error["code"] == "refused" and not done.out, done
    done = run("--host", f"unix:{stand.directory}/no.sock", "--key-file", stand.key_file, "queue", "ls")
    assert done.code == 69 and f"there is no socket {stand.directory}/no.sock" in done.err, done


@test
def the_doctor_finds_out_itself_why_nobody_answers(stand):
    host = f"http://127.0.0.1:{free_port()}"
    done = run("--host", host, "--key-file", stand.key_file, "doctor")
    assert done.code == 2 and done.out.startswith("down: network\n") and "nobody listens" in done.out, done
    done = run("--host", host, "--key-file", stand.key_file, "--json", "doctor")
    assert done.code == 2 and done.json["verdict"] == "down" and done.json["checks"][0]["state"] == "fail", done
    assert set(done.json) == {"verdict", "node", "version", "checks"}, done
    done = run("--host", "http://no-such-host.invalid", "--key-file", stand.key_file, "doctor")
    assert done.code == 2 and "no address is known" in done.out, done


@test
def one_that_accepts_and_says_nothing_is_told_apart_from_one_that_hangs_up(stand):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        host = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = run("--host", host, "--key-file", stand.key_file, "--timeout", "1", "doctor")
        assert done.code == 2 and f"no answer from {host} within 1 s" in done.out and "kill -CONT" in done.out, done

        def hang_up():
            for _ in range(2):  # the first one is of the doctor that gave up
                silent.accept()[0].close()
        thread = threading.Thread(target=hang_up)
        thread.start()
        done = run("--host", host, "--key-file", stand.key_file, "queue", "ls")
        thread.join(5)
        assert done.code == 69 and "closed the connection without an answer" in done.err, done


@test
def one_that_speaks_something_else_is_told(stand):
    stand.says("GET", "/admin/v1/queues", (200, b"<html>a proxy</html>"))
    done = stand.sluice("queue", "ls")
    assert done.code == 76 and "is not this API" in done.err, done
    stand.says("GET", "/admin/v1/queues", (302, b"", {"Location": "https://elsewhere.example/login"}))
    done = stand.sluice("queue", "ls")
    assert done.code == 76 and "sends us on to https://elsewhere.example/login" in done.err, done
    done = run("--host", stand.url.replace("http:", "https:"), "--key-file", stand.key_file, "queue", "ls")
    assert done.code == 69 and "no TLS with" in done.err and "plain HTTP" in done.err, done


@test
def a_certificate_that_is_not_trusted_is_told(stand):
    pem = f"{stand.directory}/self.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", pem,
                    "-out", pem + ".crt", "-days", "1", "-subj", "/CN=localhost"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem + ".crt", pem)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(5)

        def serve():
            try:
                context.wrap_socket(listener.accept()[0], server_side=True).close()
            except OSError:
                pass  # the client breaks it off
        thread = threading.Thread(target=serve)
        thread.start()
        done = run("--host", f"https://localhost:{listener.getsockname()[1]}", "--key-file", stand.key_file, "doctor")
        thread.join(5)
    assert done.code == 2 and "no TLS with" in done.out and "certificate" in done.out, done


# ---- keys

@test
def a_key_that_is_refused_is_named_by_where_it_is_from_and_never_shown(stand):
    stand.says("GET", "/admin/v1/queues", refused("unknown_account", "no environment or account has this key", 401))
    done = stand.sluice("queue", "ls")
    assert done.code == 77 and stand.key_file in done.err and "SLUICE_OPERATOR_KEY" in done.err, done
    stand.says("GET", "/admin/v1/queues", refused("forbidden", "not an operator", 403))
    done = run("--host", stand.url, "queue", "ls", environment={"SLUICE_OPERATOR_KEY": KEY})
    assert done.code == 77 and "the key from SLUICE_OPERATOR_KEY is not an operator's" in done.err, done
    for words in (("queue", "ls"), ("--json", "queue", "ls"), ("doctor",)):
        assert KEY not in repr(stand.sluice(*words))


@test
def without_a_key_nothing_is_sent_and_the_places_looked_at_are_named(stand):
    stand.asked.clear()
    done = run("--host", stand.url, "queue", "ls")
    assert done.code == 77 and "no operator key" in done.err and "--key-file" in done.err and not stand.asked, done
    stand.says("GET", "/ready", (200, {"ready": True}))
    done = run("--host", stand.url, "doctor")
    assert done.code == 77 and done.out.startswith("unknown: key") and "/ready needs none and says it is well" in done.out, done


@test
def a_key_comes_from_a_file_of_its_own_or_a_line_of_one(stand):
    stand.says("GET", "/admin/v1/queues", (200, {"queues": []}))
    for text in (KEY, f"{KEY}\n", f"# keys\nNANGO_SECRET_KEY_DEV=x\nSLUICE_OPERATOR_KEY={KEY}\n", f"export SLUICE_OPERATOR_KEY='{KEY}'"):
        stand.asked.clear()
        done = run("--host", stand.url, "--key-file", stand.file("k", text), "queue", "ls")
        assert done.code == 0 and stand.asked[0][3]["Authorization"] == f"Bearer {KEY}", (text, done)
    for text in ("", "two words", "NANGO_SECRET_KEY_DEV=x\n"):
        done = run("--host", stand.url, "--key-file", stand.file("k", text), "queue", "ls")
        assert done.code == 78 and "holds neither a key alone nor a line SLUICE_OPERATOR_KEY=" in done.err, (text, done)
    done = run("--host", stand.url, "--key-file", f"{stand.directory}/nowhere", "queue", "ls")
    assert done.code == 78 and "No such file" in done.err, done


@test
def a_key_file_that_everybody_may_read_is_warned_about_and_used(stand):
    stand.says("GET", "/admin/v1/queues", (200, {"queues": []}))
    done = run("--host", stand.url, "--key-file", stand.file("open", KEY, 0o644), "queue", "ls")
    assert done.code == 0 and "everybody may read it (mode 0644): chmod 600" in done.err, done
    assert "warning" not in stand.sluice("queue", "ls").err


@test
def a_directory_gives_host_and_key_and_tells_what_is_missing(stand):
    stand.says("GET", "/admin/v1/queues", (200, {"queues": []}))
    keys = f"SLUICE_OPERATOR_KEY={KEY}\nNANGO_HOSTPORT={stand.url}\n"
    stand.file("dir/keys.env", keys)
    done = run("--dir", f"{stand.directory}/dir", "queue", "ls", environment={"SLUICE_HOST": "http://127.0.0.1:1"})
    assert done.code == 0, done
    empty = f"{stand.directory}/empty"
    os.makedirs(empty, exist_ok=True)
    done = run("--dir", empty, "queue", "ls", environment={"SLUICE_OPERATOR_KEY": KEY, "SLUICE_HOST": stand.url})
    assert done.code == 78 and f"cannot read {empty}/keys.env" in done.err, done
    done = run("--dir", empty, "doctor")
    assert done.code == 2 and "sluiced.pid" in done.out and f"sluiced --standalone {empty}" in done.out, done
    # A daemon that was killed leaves its pid; one that is stopped keeps it.
    dead = subprocess.Popen(["true"])
    dead.wait()
    stand.file("dir/sluiced.pid", f"{dead.pid}\n")
    stand.file("dir/keys.env", keys.replace(stand.url, f"http://127.0.0.1:{free_port()}"))
    done = run("--dir", f"{stand.directory}/dir", "doctor")
    assert done.code == 2 and "no daemon runs on this directory" in done.out, done


@test
def a_service_that_listens_on_a_socket_only_is_reached_by_its_path(stand):
    path = f"{stand.directory}/api.sock"

    class OnSocket(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

        def get_request(self):  # http.server wants an address of two parts
            return super().get_request()[0], ("unix", 0)

    with OnSocket(path, stand.server.RequestHandlerClass) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        stand.says("GET", "/admin/v1/queues", (200, {"queues": [queue("on-socket")]}))
        stand.file("dir/keys.env", f"SLUICE_OPERATOR_KEY={KEY}\nNANGO_HOSTPORT=http://unix:{path},127.0.0.1:1\n")
        for words in (("--host", f"unix:{path}", "--key-file", stand.key_file), ("--dir", f"{stand.directory}/dir")):
            done = run(*words, "queue", "ls")
            assert done.code == 0 and "on-socket" in done.out, done
        server.shutdown()


# ---- what the server refuses

@test
def the_servers_words_and_its_retry_after_are_passed_on(stand):
    for row, code, text in ((refused("not_found", "there is no job of that id", 404), 66, "there is no job of that id"),
                            (refused("conflict", "the job runs", 409), 65, "the job runs"),
                            (refused("invalid_body", "line must be a text"), 65, "line must be a text"),
                            (refused("server_error", "oh", 500), 70, "the server failed (500): oh"),
                            ((*refused("queue_draining", "dev drains", 503), {"Retry-After": "30"}), 75, "try again in 30 s"),
                            ((*refused("too_many_request", None, 429), {"Retry-After": "7"}), 75, "try again in 7 s")):
        stand.says("GET", f"/admin/v1/jobs/{JOB}", row)
        done = stand.sluice("job", "show", JOB)
        assert done.code == code and text in done.err and not done.out, done
        done = stand.sluice("--json", "job", "show", JOB)
        assert done.code == code and done.error == row[1]["error"] and not done.out, done


@test
def bad_words_are_refused_before_anything_is_sent(stand):
    for words, text in ((("job", "show", "x"), "is no job's id"), (("queue", "peek", ".."), "name of an environment"),
                        (("queue", "peek", ""), "name of an environment"), (("queue", "peek", "dev", "--limit", "0"), "--limit must be"),
                        (("dead", "purge"), "either ids"), (("dead", "purge", JOB, "--environment", "dev"), "either ids"),
                        (("dead", "replay", "x"), "is no job's id"), (("worker", "quiet"), "names of workers, or --all"),
                        (("worker", "release", "--all", "--force"), "--force takes names"), (("bench", "--function", "f"), "needs all of"),
                        (("bench", "--clients", "1000"), "--clients must be"), (("--timeout", "0", "doctor"), "--timeout must be"),
                        (("nonsense",), "see `sluice help`"), ((), "say what to do"), (("completion", "fish"), "bash and zsh"),
                        (("help", "nonsense"), "no command nonsense")):
        done = stand.sluice(*words)
        assert done.code == 64 and text in done.err and not done.out and not stand.asked, (words, done)
    done = stand.sluice("--json", "nonsense")
    assert done.code == 64 and done.error["code"] == "usage", done
    for host in ("ftp://x", "127.0.0.1:3003", "unix:x", "http://user@x", "http://"):
        done = run("--host", host, "--key-file", stand.key_file, "queue", "ls")
        assert done.code == 64, (host, done)


# ---- bytes from outside

@test
def names_that_would_steer_the_terminal_are_shown_as_escapes(stand):
    stand.says("GET", "/admin/v1/queues", (200, {"queues": [queue(EVIL, lines=[{"id": 1, "name": EVIL, "limit": 1, "paused": False,
                                                                               "depth": 1, "running": 0, "oldest_ms": 5}])]}))
    stand.says("GET", "/admin/v1/workers", (200, {"workers": [worker(EVIL, state=EVIL, roles=[EVIL])]}))
    stand.says("GET", "/admin/v1/queues/dev/jobs", (200, {"jobs": [
        {"id": JOB, "line": EVIL, "kind": "action", "integration": EVIL, "function": EVIL, "connection": EVIL, "state": "queued",
         "attempt": 0, "accepted_at": EVIL, "due_at": None, "node": EVIL}], "next": EVIL}))
    stand.says("GET", f"/admin/v1/jobs/{JOB}", (200, {"job": {
        "id": JOB, "environment": EVIL, "function": EVIL, "state": EVIL, "max_retries": 0, "attempts": [
            {"number": 1, "began_at": EVIL, "node": EVIL}], "deaths": 0, "result": {"at": EVIL, "output": EVIL, "cut": False}}}))
    stand.says("GET", "/admin/v1/dead", (200, {"data": [{"id": JOB, "environment": EVIL, "function": EVIL, "integration": EVIL,
                                                        "last_call": EVIL, "at": EVIL}], "next": EVIL}))
    stand.says("GET", "/admin/v1/doctor", (200, {"verdict": EVIL, "checks": [{"name": EVIL, "state": "fail", "text": EVIL, "cause": EVIL,
                                                                             "remedy": EVIL, "runbook": EVIL}]}))
    stand.says("POST", f"/admin/v1/jobs/{JOB}/cancel", refused("x", EVIL, 409))
    for words in (("queue", "ls"), ("worker", "ls"), ("queue", "peek", "dev"), ("job", "show", JOB), ("dead", "ls"), ("doctor",),
                  ("job", "cancel", JOB)):
        done = stand.sluice(*words)
        assert "evil" in done.out + done.err, (words, done)
        assert not any(byte in done.out + done.err for byte in "\033\u202e\u009b"), (words, done)
        done = stand.sluice("--json", *words)
        assert not any(byte in done.out + done.err for byte in "\033\u202e\u009b"), (words, done)
        assert EVIL in strings(json.loads(done.out or done.err)), (words, done)


@test
def colours_come_on_a_terminal_only_and_not_with_no_color(stand):
    stand.says("GET", "/admin/v1/workers", (200, {"workers": [worker("a:1:2")]}))
    words = ("--host", stand.url, "--key-file", stand.key_file, "worker", "ls")
    assert "\033[32mlive\033[0m" in run_on_terminal(*words).out
    assert "\033" not in run_on_terminal(*words, environment={"NO_COLOR": "1"}).out
    assert "\033" not in run_on_terminal(*words, environment={"TERM": "dumb"}).out
    assert "\033" not in run(*words).out


# ---- what cannot be taken back

@test
def what_cannot_be_taken_back_is_asked_on_a_terminal_and_refused_without(stand):
    stand.says("POST", f"/admin/v1/jobs/{JOB}/kill", (200, {"id": JOB, "state": "cancelled"}))
    stand.says("DELETE", "/admin/v1/dead", (200, {"deleted": 3}))
    stand.says("POST", "/admin/v1/queues/dev/drain", (200, {"queue": queue(draining=True), "cancelled": 2}))
    stand.says("GET", "/admin/v1/workers", (200, {"workers": [worker("a:1:2", state="lost")]}))
    stand.says("POST", "/admin/v1/workers/a%3A1%3A2/release", (200, {"worker": worker("a:1:2"), "resolved": 2}))
    cases = (("job", "kill", JOB), ("dead", "purge", JOB), ("dead", "purge", "--environment", "dev"),
             ("queue", "drain", "dev", "--cancel"), ("worker", "release", "a", "--force"))
    for words in cases:
        done = stand.sluice(*words, stdin="y\n")
        assert done.code == 64 and "add --yes" in done.err and not any(a[0] != "GET" for a in stand.asked), (words, done)
        done = stand.sluice(*words, "--yes")
        assert done.code == 0 and any(a[0] != "GET" for a in stand.asked), (words, done)
    words = ("--host", stand.url, "--key-file", stand.key_file, *cases[0])
    for typed, code in (("\n", 75), ("n\n", 75), ("y\n", 0)):
        stand.asked.clear()
        done = run_on_terminal(*words, typed=typed)
        assert done.code == code and "[y/N]" in done.out and bool(stand.asked) == (code == 0), (typed, done)


# ---- requests as agreed

@test
def each_command_asks_for_what_the_api_has(stand):
    rows = (
        (("queue", "ls", "dé v"), "GET", "/admin/v1/queues?environment=d%C3%A9%20v", None, {"queues": [queue()]}),
        (("queue", "peek", "dev", "--line", "a/b&c", "--limit", "3", "--after", JOB), "GET",
         f"/admin/v1/queues/dev/jobs?limit=3&line=a%2Fb%26c&after={JOB}", None, {"jobs": [], "next": None}),
        (("queue", "pause", "dev"), "POST", "/admin/v1/queues/dev/pause", {}, {"queue": queue(paused=True)}),
        (("queue", "pause", "dev", "--line", "actions"), "POST", "/admin/v1/queues/dev/pause", {"line": "actions"}, {"queue": queue()}),
        (("queue", "resume", "dev"), "POST", "/admin/v1/queues/dev/resume", {}, {"queue": queue()}),
        (("queue", "drain", "dev"), "POST", "/admin/v1/queues/dev/drain", {"cancel": False}, {"queue": queue(draining=True), "cancelled": 0}),
        (("job", "retry", JOB), "POST", f"/admin/v1/jobs/{JOB}/retry", {}, {"id": OTHER, "retry_of": JOB}),
        (("job", "cancel", JOB), "POST", f"/admin/v1/jobs/{JOB}/cancel", {}, {"id": JOB, "state": "cancelled"}),
        (("dead", "ls", "dev", "--limit", "2", "--before", JOB), "GET", f"/admin/v1/dead?limit=2&environment=dev&before={JOB}", None,
         {"data": [], "next": None}),
        (("dead", "replay", JOB, OTHER), "POST", "/admin/v1/dead/replay", {"ids": [JOB, OTHER]}, {"data": [], "replayed": 0}),
        (("dead", "replay", "--environment", "dev", "--limit", "5"), "POST", "/admin/v1/dead/replay", {"environment": "dev", "limit": 5},
         {"data": [{"id": JOB, "new_id": OTHER}], "replayed": 1}),
        (("dead", "purge", "--yes", "--environment", "dev", "--before", "2026-11-22T05:12:00.000Z"), "DELETE",
         "/admin/v1/dead?environment=dev&before=2026-11-22T05%3A12%3A00.000Z", None, {"deleted": 1}),
    )
    for words, method, path, body, answer in rows:
        stand.says(method, path.split("?")[0], (200, answer))
        done = stand.sluice(*words)
        assert done.code == 0 and [a[:3] for a in stand.asked] == [(method, path, body)], (words, done, stand.asked)
        done = stand.sluice("--json", *words)
        assert done.code == 0 and done.json == answer and done.out.count("\n") == 1 and not done.err, (words, done)


@test
def a_worker_is_found_by_the_beginning_of_its_name_when_it_is_the_only_one(stand):
    names = ("db1:7:aa", "db1:7:aab", "db2:9:cc")
    stand.says("GET", "/admin/v1/workers", (200, {"workers": [worker(n) for n in names]}))
    for name in names:
        stand.says("POST", f"/admin/v1/workers/{name.replace(':', '%3A')}/quiet", (200, {"worker": worker(name, state="quiet")}))
    for word, name in (("db2", names[2]), ("db1:7:aa", names[0]), ("db1:7:aab", names[1])):
        done = stand.sluice("worker", "quiet", word)
        assert done.code == 0 and stand.asked[-1][1].split("/")[4] == name.replace(":", "%3A"), done
    done = stand.sluice("worker", "quiet", "db1")
    assert done.code == 64 and names[0] in done.err and names[1] in done.err and len(stand.asked) == 1, done
    done = stand.sluice("worker", "quiet", "db3")
    assert done.code == 66 and "sluice worker ls" in done.err, done
    done = stand.sluice("--json", "worker", "quiet", "--all")
    assert [row["name"] for row in done.json["workers"]] == list(names), done


@test
def a_wait_polls_until_it_is_so_or_says_what_is_left(stand):
    stand.says("POST", "/admin/v1/queues/dev/drain", (200, {"queue": queue(depth=2), "cancelled": 0}))
    rows = [(200, {"queues": [queue(depth=2, running=1)]}), (200, {"queues": [queue(delayed=1)]}), (200, {"queues": [queue(draining=True)]})]
    stand.says("GET", "/admin/v1/queues", *rows)
    done = stand.sluice("--json", "queue", "drain", "dev", "--wait", "20")
    assert done.code == 0 and done.json == {"queue": queue(draining=True), "cancelled": 0} and len(stand.asked) == 4, done
    stand.says("GET", "/admin/v1/queues", *rows[:2])
    done = stand.sluice("queue", "drain", "dev", "--wait", "1")
    assert done.code == 75 and "1 jobs are still there after 1 s" in done.err, done
    stand.says("GET", "/admin/v1/workers", *[(200, {"workers": [worker("a:1:2", running=n), worker("b:1:2", running=9)]}) for n in (3, 3, 1, 0)])
    stand.says("POST", "/admin/v1/workers/a%3A1%3A2/quiet", (200, {"worker": worker("a:1:2", state="quiet")}))
    done = stand.sluice("--json", "worker", "quiet", "a", "--wait", "20")
    assert done.code == 0 and done.json["workers"] == [worker("a:1:2")] and len(stand.asked) == 5, done


# ---- completion

def complete(*words):
    """What bash offers for the last of these words."""
    script = ('source <("$0" completion bash); complete -p sluice >&2 || exit 1; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
              '_sluice; printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-c", script, f"{build_directory()}/sluice", *words], capture_output=True, text=True, check=True,
                          env=clean_environment())
    assert "complete -F _sluice sluice" in done.stderr, done
    return done.stdout.split()


@test
def bash_completes_commands_and_their_options(_stand):
    assert complete("sluice", "qu") == ["queue"]
    assert complete("sluice", "queue", "") == ["ls", "peek", "pause", "resume", "drain"]
    assert complete("sluice", "--dir", "/x", "queue", "dr") == ["drain"]
    assert complete("sluice", "queue", "drain", "dev", "--") == [
        "--help", "--version", "--host", "--dir", "--key-file", "--key", "--json", "--yes", "--timeout", "--cancel", "--wait"]
    assert complete("sluice", "worker", "release", "--f") == ["--force"]
    assert complete("sluice", "queue", "drain", "dev", "--wait", "") == []
    assert complete("sluice", "completion", "") == ["bash", "zsh"]
    assert "doctor" in complete("sluice", "help", "")


main(Stand)
