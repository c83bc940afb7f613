"""What tests of schedules share: a sync that tells of its runs, and what the ledger says of its schedules."""
import collections
import json

from rig import Rig

Schedule = collections.namedtuple("Schedule", "id started every_ms frequency seconds slots")
State = collections.namedtuple("State", "id open runs")


def sync_flow(name, code="", **more):
    """A sync that tells the witness /ran/NAME at the end of each run, with its connection."""
    script = ('"use strict";\nmodule.exports = { default: { type: "sync", description: "test", frequency: "every hour", models: {},'
              " exec: async (nango) => { " + code
              + f"\nawait nango.post({{ endpoint: '/ran/{name}', data: {{ c: nango.connectionId }} }}); }} }} }};\n")
    flow = Rig.flow(name, script)
    del flow["input"]
    return {**flow, "type": "sync", "models": ["Item"], "runs": "every hour", "sync_type": "full", "auto_start": True,
            "models_json_schema": {"definitions": {"Item": {"type": "object"}}}, **more}


def deploy(rig, *flows, **more):
    done = rig.deploy_flows(list(flows), **more)
    assert done.status == 200, done


def ran(rig, name, connection=None):
    """How many runs of a sync (of a connection) have come to their end."""
    return sum(connection in (None, json.loads(call.body)["c"]) for call in rig.witness.seen(f"/ran/{name}"))


def _one(rig, columns, name, connection):
    rows = rig.postgres.query(
        f"SELECT {columns} FROM sync s JOIN function f ON f.id = s.function_id JOIN connection c ON c.id = s.connection_id"
        f" LEFT JOIN schedule x ON x.sync_id = s.id WHERE f.name = '{name}' AND f.deleted_at IS NULL AND s.removed_at IS NULL"
        f" AND s.variant = 'base' AND c.connection_id = '{connection}'")
    assert len(rows) <= 1, rows
    return rows[0] if rows else None


def schedule(rig, name, connection):
    """None: there is none (yet).  seconds: until the next run, None: never; slots: how many of them lie between the anchor and it."""
    row = _one(rig, "s.id, x.started, x.every_ms, x.frequency, extract(epoch FROM x.next_run_at - now()),"
                    " extract(epoch FROM x.next_run_at - x.anchor) * 1000 / x.every_ms", name, connection)
    if row is None or row[1] == "":
        return None
    return Schedule(int(row[0]), row[1] == "t", int(row[2]) if row[2] else None, row[3], float(row[4]) if row[4] else None,
                    float(row[5]) if row[5] else None)


def state_of(rig, name, connection):
    """Whether its newest run is open, and how many it had."""
    row = _one(rig, "s.id, s.job_id IS NOT NULL AND NOT EXISTS (SELECT FROM result r WHERE r.job_id = s.job_id),"
                    " (SELECT count(*) FROM job j WHERE j.kind = 2 AND convert_from(j.input, 'UTF8') LIKE '{\"sync\":' || s.id || ',%')",
               name, connection)
    return State(int(row[0]), row[1] == "t", int(row[2])) if row else State(0, False, 0)


def due(rig, name, connection, seconds=0):
    """Its next slot comes so soon; the scheduler is told, as it is by whoever changes a schedule."""
    rig.postgres.query("WITH u AS (UPDATE schedule SET next_run_at = now() + "
                       f"{seconds} * interval '1 second' WHERE sync_id = {schedule(rig, name, connection).id} RETURNING 1)"
                       " SELECT pg_notify('sluice_schedule', '') FROM u")
