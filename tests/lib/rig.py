"""One or more real sluiced processes with a Redis and a Postgres of their own, for tests.

    with Rig() as rig:                      # a fleet of one node against own servers
        rig.deploy("echo", "return input;")
        assert rig.call("echo", {"a": 1}).json == {"a": 1}

Rig(nodes=3), Rig(standalone=True), Rig(settings={"lease_ttl": "1s"}).  Everything listens on loopback or
a unix socket, lives under one temporary directory and ends with the rig.  The build under test is
$RIG_BUILD (default: build-check or build, whichever is there).
"""
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from servers import Postgres, Redis, RigError, remove, stop, wait_until  # noqa: E402
from witness import Witness  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def build_directory():
    chosen = os.environ.get("RIG_BUILD")
    for folder in [chosen] if chosen else [f"{ROOT}/build-check", f"{ROOT}/build"]:
        if os.access(f"{folder}/sluiced", os.X_OK):
            return folder
    raise RigError("sluiced is not built: make it in build/, or set RIG_BUILD")


_ports = set()


def free_port():
    """One that nobody listens on, and that was not given before: whoever it is for may listen later."""
    while True:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        if port not in _ports:
            _ports.add(port)
            return port


def clean_environment(extra=None):
    """The environment of a child: ours without settings of sluice."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLUICE_", "NANGO_", "RIG_"))}
    kept.update(extra or {})
    return kept


class Answer:
    """An HTTP answer; headers by lower-case name (the last one of a name)."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {k.lower(): v for k, v in headers}
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """error.code of the body, or None."""
        try:
            return self.json["error"]["code"]
        except (ValueError, KeyError, TypeError):
            return None

    def __repr__(self):
        return f"{self.status} {self.body[:400]!r}"


class Node:
    """One sluiced process.  settings are flags; None leaves one out."""

    def __init__(self, rig, name, settings, environment=None):
        self.rig, self.name = rig, name
        self.port = free_port()
        self.settings = {"listen": f"127.0.0.1:{self.port}", **settings}
        self.environment = environment or {}
        self.log_path = f"{rig.directory}/{name}.log"
        self.prefix = []  # a command that executes it, as unshare does
        self.build = rig.build
        self.process = None
        self.ready_ms = 0

    def command(self):
        return self.prefix + [f"{self.build}/sluiced"] + [f"--{key.replace('_', '-')}={value}"
                                                for key, value in self.settings.items() if value is not None]

    def start(self, wait=True):
        with open(self.log_path, "ab") as log:
            # A group of its own: what is sent to the test's group does not reach it by accident.
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=clean_environment(self.environment), cwd=self.rig.directory,
                                            start_new_session=True)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=30.0):
        began = time.monotonic()
        wait_until(f"{self.name} is ready", self._is_ready, seconds, every=0.01)
        self.ready_ms = int((time.monotonic() - began) * 1000)

    def _is_ready(self):
        if self.process.poll() is not None:
            raise RigError(f"{self.name} ended with {self.process.returncode}:\n{self.log()[-3000:]}")
        try:
            return self.rig.request("GET", "/ready", key=None, node=self).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def kill(self):
        """SIGKILL: nothing cleans up."""
        self.process.kill()
        self.process.wait(10)

    def stop(self, seconds=40.0):
        """SIGTERM; returns the exit code."""
        stop(self.process, signal.SIGTERM, seconds)
        return self.process.returncode


class Rig:
    def __init__(self, nodes=1, standalone=False, settings=None, environment=None, start=True,
                 prepare=None, redis=Redis):
        """prepare(rig) runs once everything is up; redis(directory) makes the Redis, cluster or sentinels."""
        self.build = build_directory()
        self.node_count, self.standalone = nodes, standalone
        self.extra = dict(settings or {})
        self.environment = environment
        self.start_nodes, self.prepare_more, self.make_redis = start, prepare, redis
        self.directory = self.postgres = self.redis = self.witness = None
        self.nodes, self.keys = [], {}

    # ---- life
    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="sluice-", dir="/tmp")  # short: unix sockets live below it
        os.chmod(self.directory, 0o711)
        try:
            self._enter()
            if self.prepare_more is not None:
                self.prepare_more(self)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _enter(self):
        self.witness = Witness()
        common = {"egress_allow": "127.0.0.0/8", **self.extra}
        if self.standalone:
            common["standalone"] = f"{self.directory}/data"
            self.keys_file = f"{self.directory}/data/keys.env"
        else:
            self.postgres = Postgres(f"{self.directory}/pg")
            self.redis = self.make_redis(f"{self.directory}/redis")
            key_file = f"{self.directory}/seal.key"
            with open(key_file, "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as file:
                file.write(secrets.token_hex(32) + "\n")
            self.keys_file = f"{self.directory}/keys.env"
            common = {"database_url": self.postgres.url, "redis_url": self.redis.url,
                      "encryption_key_file": key_file, "keys_file": self.keys_file, **common}
            done = self.run("--migrate", f"--database-url={self.postgres.url}",
                            f"--redis-url={self.redis.url}", f"--encryption-key-file={key_file}")
            if done.returncode != 0:
                raise RigError(f"--migrate ended with {done.returncode}: {done.stdout}")
        self.nodes = [Node(self, f"node{i}", common, self.environment) for i in range(self.node_count)]
        if self.start_nodes:
            for node in self.nodes:
                node.start()
                if not self.keys:
                    self.read_keys()

    def __exit__(self, *_exc):
        for node in self.nodes:
            if node.process is not None and node.process.poll() is None:
                node.process.send_signal(signal.SIGCONT)
                node.process.terminate()
        for node in self.nodes:
            stop(node.process, signal.SIGTERM, 20)
        if self.witness is not None:
            self.witness.stop()
        for server in (self.redis, self.postgres):
            if server is not None and server.process is not None:
                server.stop()
        if self.directory is not None:
            remove(self.directory)

    def run(self, *arguments, seconds=30, environment=None, build=None):
        """sluiced with these arguments, to its end; stdout holds both streams."""
        return subprocess.run([f"{build or self.build}/sluiced", *arguments], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, text=True,
                              timeout=seconds, cwd=self.directory, env=clean_environment(environment))

    def read_keys(self):
        wait_until("keys.env is there", lambda: os.path.exists(self.keys_file), 10)
        with open(self.keys_file, encoding="utf-8") as file:
            pairs = [line.strip().removeprefix("export ").split("=", 1) for line in file if "=" in line and line[0] != "#"]
        self.keys = {name: value.strip("\"'") for name, value in pairs}

    @property
    def dev(self):
        return self.keys["NANGO_SECRET_KEY_DEV"]

    @property
    def prod(self):
        return self.keys["NANGO_SECRET_KEY_PROD"]

    def describe(self):
        """The last log lines of every node, for a failed test."""
        for node in self.nodes:
            state = "not started" if node.process is None else node.process.poll()
            yield f"{node.name} (exit code {state}):"
            yield from ("  " + line[:400] for line in node.log().splitlines()[-15:])

    # ---- HTTP
    def request(self, method, path, body=None, headers=None, key="dev", node=None, seconds=30.0):
        """key: "dev", "prod", a key's text, or None.  body: bytes as they are, anything else as JSON."""
        node = node or self.nodes[0]
        sent = dict(headers or {})
        if key is not None:
            sent["Authorization"] = "Bearer " + {"dev": lambda: self.dev, "prod": lambda: self.prod}.get(key, lambda: key)()
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=seconds)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()

    def raw(self, data, node=None, seconds=10.0, half_close=False):
        """Sends bytes as they are and returns all that comes until the server closes or is silent for long."""
        node = node or self.nodes[0]
        with socket.create_connection(("127.0.0.1", node.port), timeout=seconds) as sock:
            try:
                sock.sendall(data)
                if half_close:
                    sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # refused before all was sent: the answer is still there to read
            out = b""
            sock.settimeout(seconds)
            try:
                while True:
                    piece = sock.recv(65536)
                    if not piece:
                        return out
                    out += piece
            except (TimeoutError, ConnectionResetError):
                return out

    # ---- what tests need first
    def integration(self, key="w", provider="private-api-bearer", base=None, env="dev", node=None):
        done = self.request("POST", "/integrations", {"provider": provider, "unique_key": key,
                                                      "integration_config": {"baseUrl": base or self.witness.url}},
                            key=env, node=node)
        if done.status not in (200, 400):
            raise RigError(f"integration {key}: {done}")
        return done

    def connection(self, name="c", integration="w", api_key="key-of-the-test", env="dev", **more):
        done = self.request("POST", "/connections", {
            "provider_config_key": integration, "connection_id": name,
            "credentials": {"type": "API_KEY", "apiKey": api_key}, **more}, key=env)
        if done.status != 201:
            raise RigError(f"connection {name}: {done}")
        return done.json

    @staticmethod
    def flow(name, code, integration="w", **more):
        """One action as a deploy carries it; code is the body of exec(nango, input)."""
        script = code if "exports" in code else (
            '"use strict";\nvar z = require("zod");\nmodule.exports = { default: { type: "action", description: "test",'
            ' input: z.any(), output: z.any(), exec: async (nango, input) => {\n' + code + "\n} } };\n")
        schema = f"{integration}_{name}".replace("-", "")
        return {"syncName": name, "providerConfigKey": integration, "models": [f"ActionOutput_{schema}"],
                "version": "1.0.0", "runs": None, "metadata": {"description": "test", "scopes": []},
                "input": f"ActionInput_{schema}", "type": "action",
                "fileBody": {"js": script, "ts": "export default {};"}, "endpoints": [], "track_deletes": False,
                "models_json_schema": {"definitions": {f"ActionInput_{schema}": {}, f"ActionOutput_{schema}": {}}},
                "features": [], **more}

    def deploy_flows(self, flows, env="dev", mode="single", node=None, **more):
        body = {"flowConfigs": flows, "deployMode": mode, "reconcile": True, "debug": False, "nangoYamlBody": "",
                "sdkVersion": "0.71.10-zero", "source": "repo", **more}
        return self.request("POST", "/sync/deploy", body, key=env, node=node, seconds=120)

    def deploy(self, functions, integration="w", env="dev", node=None):
        """functions: {name: body of exec}."""
        done = self.deploy_flows([self.flow(n, c, integration) for n, c in functions.items()], env, node=node)
        if done.status != 200:
            raise RigError(f"deploy: {done}")
        return done.json

    def prepare(self, functions, env="dev"):
        """Integration w, connection c and these functions."""
        self.integration(env=env)
        self.connection(env=env)
        self.deploy(functions, env=env)

    # ---- actions
    def call(self, action, value=None, headers=None, connection="c", integration="w", env="dev", node=None, seconds=60.0):
        """A trigger; sync unless headers say otherwise."""
        body = {"action_name": action}
        if value is not None:
            body["input"] = value
        return self.request("POST", "/action/trigger", body, {
            "Provider-Config-Key": integration, "Connection-Id": connection, **(headers or {})}, key=env, node=node,
            seconds=seconds)

    def submit(self, action, value=None, retries=None, **more):
        """An async trigger; returns the job's id."""
        headers = {"X-Async": "true"}
        if retries is not None:
            headers["X-Max-Retries"] = str(retries)
        headers.update(more.pop("headers", {}))
        done = self.call(action, value, headers, **more)
        if done.status != 202:
            raise RigError(f"submit {action}: {done}")
        return done.json["id"]

    def poll(self, job, env="dev", node=None):
        return self.request("GET", f"/action/{job}", key=env, node=node)

    def finish(self, job, seconds=30.0, env="dev", node=None):
        """Waits for the job's end; its answer."""
        def ended():
            answer = self.poll(job, env, node)
            return answer if answer.status != 404 else None
        return wait_until(f"job {job} ends", ended, seconds)
