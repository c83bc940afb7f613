"""Other queues, each with servers of its own; what drives them is in bench/peers."""
import contextlib
import json
import os
import select
import subprocess
import time

from measure import HERE, KEYS, System, durable_postgres, durable_redis
from rig import free_port
from servers import stop, unprivileged

ANSWER_SECONDS = 60
PEERS = {"bullmq": "BullMQ + INSERT", "graphile": "graphile-worker + INSERT", "pgboss": "pg-boss", "beanstalkd": "beanstalkd + INSERT"}


class Peer(System):
    def __init__(self, name, folder, stack):
        self.name = name
        place = f"{folder}/{name}"
        os.mkdir(place)
        os.chmod(place, 0o711)
        self.postgres = durable_postgres(f"{place}/pg")
        stack.callback(self.postgres.stop)
        self.postgres.query("CREATE TABLE result (id uuid PRIMARY KEY, output text NOT NULL)")
        servers = {"postgres": self.postgres.directory}
        self.processes = {"Postgres": (self.postgres.process.pid, "all")}
        if name == "bullmq":
            redis = durable_redis(f"{place}/redis")
            stack.callback(redis.stop)
            servers["redis"] = redis.path
            self.processes["Redis"] = (redis.process.pid, "all")
        if name == "beanstalkd":
            process, servers["beanstalk"] = self._beanstalkd(place)
            stack.callback(stop, process)
            self.processes["beanstalkd"] = (process.pid, "all")
        self.node = subprocess.Popen([f"{HERE}/peers/node_modules/.bin/node", f"{HERE}/peers/peer.mjs", name, json.dumps(servers)],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        stack.callback(self._end)
        self.processes |= {"worker": (self._line()["worker"], "all"), "producer": (self.node.pid, "own")}

    @staticmethod
    def _beanstalkd(place):
        prefix, user = unprivileged()
        log = f"{place}/log"
        os.mkdir(log)
        if user is not None:
            os.chown(log, user.pw_uid, user.pw_gid)
        port = free_port()
        process = subprocess.Popen([*prefix, "beanstalkd", "-l", "127.0.0.1", "-p", str(port), "-b", log, "-f0"], stdin=subprocess.DEVNULL)
        time.sleep(0.3)
        return process, port

    def _end(self):
        with contextlib.suppress(OSError):
            self.node.stdin.close()
        stop(self.node, seconds=10)

    def _line(self):
        ready, _, _ = select.select([self.node.stdout], [], [], ANSWER_SECONDS)
        line = self.node.stdout.readline() if ready else ""
        if not line:
            raise SystemExit(f"bench/peers: {self.name} {'ended' if ready else 'does not answer'}")
        return json.loads(line)

    def ask(self, **request):
        self.node.stdin.write(json.dumps(request) + "\n")
        self.node.stdin.flush()
        return self._line()

    def run(self, mode, jobs):
        return self.ask(run=jobs, keys={"any": 0, "many": KEYS, "one": 1}[mode])

    def read(self):
        return self.ask(read=True)

    def lone(self, jobs):
        took = sorted(self.ask(lone=jobs)["took_ms"])
        return took[len(took) // 2], took[len(took) * 99 // 100]

    def skew(self, large, small):
        return self.ask(large=large, small=small, keys=KEYS)


def install(peers):
    """What is missing of Debian's and npm's packages, as dev/check installs its own."""
    if not os.path.isdir(f"{HERE}/peers"):
        raise SystemExit("bench/peers is in a checkout only; without it: --only none, --no-peer")
    script = f'. {HERE}/../dev/lib.sh; trap drop_home EXIT; need_home; need_packages run'
    script += " bench" if "beanstalkd" in peers else ""
    subprocess.run(["bash", "-euc", f"{script}; need_modules bench/peers"], check=True)
