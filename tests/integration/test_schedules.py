"""Schedules of syncs: made by deploys and with connections, run at once and then slot by slot, kept and removed by deploys."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, wait_until
from schedules import deploy, due, ran, schedule, state_of, sync_flow
from tap import main, test


@test
def a_deploy_makes_the_syncs_of_its_connections_and_each_runs_at_once_and_then_at_its_slot(rig):
    for name in ("a1", "a2", "a3"):
        rig.connection(name)
    deploy(rig, sync_flow("hourly"))
    calls = rig.witness.wait_seen("/ran/hourly", 3)
    assert sorted(json.loads(c.body)["c"] for c in calls) == ["a1", "a2", "a3"], calls
    row = schedule(rig, "hourly", "a1")
    assert row.started and row.every_ms == 3600000 and row.frequency == "" and row.slots == 1, row
    due(rig, "hourly", "a1")  # its slot comes
    rig.witness.wait_seen("/ran/hourly", 4)
    row = schedule(rig, "hourly", "a1")
    assert 0 < row.seconds <= 3600 and row.slots == int(row.slots), row
    rows = rig.postgres.query("SELECT k.name, j.max_retries, count(*) FROM job j JOIN concurrency_key k ON k.id = j.key_id WHERE kind = 2 GROUP BY 1, 2")
    assert rows == [["syncs", "0", "4"]], rows


@test
def a_slot_is_waited_for_and_not_taken_before_its_time(rig):
    for times, ahead in ((2, 0.3), (3, 1.1)):
        wait_until("no run is open", lambda: not state_of(rig, "hourly", "a2").open)
        began = time.monotonic()
        due(rig, "hourly", "a2", ahead)
        wait_until("it has run", lambda n=times: ran(rig, "hourly", "a2") == n)
        took = rig.witness.seen("/ran/hourly")[-1].began - began
        assert took > ahead - 0.02, took


@test
def auto_start_false_waits_for_somebody_and_no_frequency_never_runs_by_itself(rig):
    deploy(rig, sync_flow("idle", auto_start=False), sync_flow("never", runs=None))
    wait_until("they are scheduled", lambda: schedule(rig, "idle", "a3") and schedule(rig, "never", "a3"))
    row = schedule(rig, "idle", "a1")
    assert not row.started and row.every_ms == 3600000 and row.seconds is None, row
    row = schedule(rig, "never", "a1")
    assert row.started and row.every_ms is None and row.seconds is None, row
    rig.connection("late")
    wait_until("the new connection has them", lambda: schedule(rig, "idle", "late") and schedule(rig, "never", "late"))
    assert ran(rig, "idle") == 0 and ran(rig, "never") == 0


@test
def a_new_connection_runs_the_syncs_at_once_and_an_import_over_it_not_again(rig):
    rig.connection("fresh")
    wait_until("it has run", lambda: ran(rig, "hourly", "fresh") == 1 and not state_of(rig, "hourly", "fresh").open)
    was = schedule(rig, "hourly", "fresh")
    rig.connection("fresh")
    rig.connection("fresh2")
    wait_until("the one behind has run", lambda: ran(rig, "hourly", "fresh2") == 1)
    now = schedule(rig, "hourly", "fresh")
    assert now.slots == was.slots and now.id == was.id and ran(rig, "hourly", "fresh") == 1, (was, now)


@test
def a_redeploy_keeps_schedules_and_brings_its_code_and_its_frequency(rig):
    deploy(rig, sync_flow("kept", runs="every 4 hours"))
    rig.witness.wait_seen("/ran/kept", 1)
    wait_until("all are scheduled", lambda: schedule(rig, "kept", "fresh2"))
    rig.postgres.query(f"UPDATE schedule SET frequency = '4h' WHERE sync_id = {schedule(rig, 'kept', 'a2').id}")
    was = schedule(rig, "kept", "a1")
    deploy(rig, sync_flow("kept", "await nango.post({ endpoint: '/second/kept' });", runs="every half hour", version="2.0.0"))
    wait_until("the new frequency holds", lambda: schedule(rig, "kept", "fresh2").every_ms == 1800000)
    row = schedule(rig, "kept", "a1")
    assert row.id == was.id and row.every_ms == 1800000 and 0 < row.seconds <= 1800 and row.slots == 1, row
    assert schedule(rig, "kept", "a2").every_ms == 4 * 3600000
    wait_until("the first runs are over", lambda: not state_of(rig, "kept", "a1").open)
    assert not rig.witness.seen("/second/kept")
    due(rig, "kept", "a1")
    rig.witness.wait_seen("/second/kept", 1)


@test
def a_slot_that_comes_while_the_run_is_open_is_left_out(rig):
    deploy(rig, sync_flow("slow", "await nango.get({ endpoint: '/hang/slow' });"))
    wait_until("it runs", lambda: rig.witness.seen("/hang/slow"))
    before = outcome(rig, "open")
    due(rig, "slow", "a1")
    wait_until("the slot is left out", lambda: (schedule(rig, "slow", "a1").seconds or 0) > 60)
    assert outcome(rig, "open") == before + 1
    rig.witness.release("slow")
    wait_until("all have ended", lambda: not rig.postgres.query("SELECT 1 FROM job j LEFT JOIN result r ON r.job_id = j.id WHERE j.kind = 2 AND r.job_id IS NULL"))
    syncs = rig.postgres.query("SELECT count(*) FROM sync s JOIN function f ON f.id = s.function_id WHERE f.name = 'slow'")[0][0]
    assert ran(rig, "slow") == int(syncs), (ran(rig, "slow"), syncs)


def outcome(rig, which):
    text = rig.request("GET", "/metrics", key=rig.keys["SLUICE_OPERATOR_KEY"]).body.decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f'sluice_schedule_runs_total{{outcome="{which}"}}'))


@test
def an_environment_that_drains_gets_no_runs_and_a_paused_one_gets_them_when_it_is_resumed(rig):
    def steer(what):
        answer = rig.request("POST", f"/admin/v1/queues/dev/{what}", {}, key=rig.keys["SLUICE_OPERATOR_KEY"])
        assert answer.status == 200, answer

    before, postponed = ran(rig, "hourly", "a1"), outcome(rig, "postponed")
    steer("drain")
    due(rig, "hourly", "a1")
    wait_until("it is put off", lambda: 20 < (schedule(rig, "hourly", "a1").seconds or 0) <= 90)
    assert outcome(rig, "postponed") == postponed + 1 and not state_of(rig, "hourly", "a1").open
    steer("resume")
    steer("pause")
    due(rig, "hourly", "a1")
    wait_until("its run is accepted", lambda: state_of(rig, "hourly", "a1").open)
    assert ran(rig, "hourly", "a1") == before
    steer("resume")
    wait_until("it runs", lambda: ran(rig, "hourly", "a1") == before + 1)


@test
def a_sync_that_is_removed_stops_at_once_and_starts_fresh_when_it_comes_back(rig):
    save = "const seen = await nango.getCheckpoint(); await nango.batchSave([{ id: 'x' + Date.now() }], 'Item');" \
           " await nango.saveCheckpoint({ n: seen ? seen.n + 1 : 1 });"
    deploy(rig, sync_flow("comes", save))
    count = int(rig.postgres.query("SELECT count(*) FROM connection")[0][0])
    rig.witness.wait_seen("/ran/comes", count)
    wait_until("no run is open", lambda: not state_of(rig, "comes", "a1").open)
    done = rig.deploy_flows([sync_flow("hourly")], mode="all")
    assert done.status == 200, done
    assert schedule(rig, "comes", "a1") is None
    wait_until("all that it had is gone", lambda: rig.postgres.query(
        "SELECT (SELECT count(*) FROM record r WHERE model = 'Item'), (SELECT count(*) FROM checkpoint p JOIN function f ON f.id = p.function_id"
        " WHERE f.name = 'comes'), (SELECT count(*) FROM sync s JOIN function f ON f.id = s.function_id WHERE f.name = 'comes'),"
        " (SELECT count(*) FROM schedule_work)") == [["0", "0", "0", "0"]])
    assert rig.request("GET", "/records?model=Item", headers={"Connection-Id": "a1", "Provider-Config-Key": "w"}).json["records"] == []
    deploy(rig, sync_flow("comes", save))
    rig.witness.wait_seen("/ran/comes", 2 * count)
    wait_until("all have ended", lambda: not state_of(rig, "comes", "a1").open)
    assert {row[0] for row in rig.postgres.query("SELECT value FROM checkpoint")} == {'{"n":1}'}


@test
def slots_that_came_while_no_daemon_ran_run_once(rig):
    node = rig.nodes[0]
    before, where = ran(rig, "hourly", "a1"), schedule(rig, "hourly", "a1")
    assert node.stop() == 0
    rig.postgres.query(f"UPDATE schedule SET anchor = anchor - interval '1 day', next_run_at = anchor - interval '7 hours' WHERE sync_id = {where.id}")
    node.start()
    wait_until("it runs", lambda: ran(rig, "hourly", "a1") > before)
    wait_until("the run is over", lambda: not state_of(rig, "hourly", "a1").open)
    row = schedule(rig, "hourly", "a1")
    assert 0 < row.seconds <= 3600 and row.slots == int(row.slots), row
    assert ran(rig, "hourly", "a1") == before + 1


@test
def an_environment_without_room_gets_no_more_runs_than_fit(rig):
    waits = "await nango.get({ endpoint: '/hang/room' });"
    rig.witness.hold("room")
    node = rig.nodes[0]
    node.stop()
    node.settings["queued_max"] = "4"
    node.start()
    deploy(rig, sync_flow("room", waits))
    count = int(rig.postgres.query("SELECT count(*) FROM connection")[0][0])
    assert count > 5, count
    wait_until("some are put off", lambda: outcome(rig, "postponed") >= count - 4)
    assert outcome(rig, "started") == 4, outcome(rig, "started")
    rig.witness.release("room")
    rig.witness.wait_seen("/ran/room", 4)
    node.stop()
    node.settings.pop("queued_max")
    node.start()
    rig.postgres.query("UPDATE schedule SET next_run_at = now() WHERE next_run_at < now() + interval '2 minutes'")
    rig.postgres.query("NOTIFY sluice_schedule")
    rig.witness.wait_seen("/ran/room", count)


main(lambda: Rig(prepare=lambda rig: rig.integration()))
