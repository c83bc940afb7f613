-- 0015_sync_state: who may write for a run, what is wrong with a sync, and what its runs have to tell.
-- Locks:  ACCESS EXCLUSIVE on sync, briefly (columns with constant defaults are added without a rewrite; the
--         index reads it).
-- Online: yes.  An earlier release asks for a live session only, tells nothing, and starts the next run of
--         one that was interrupted by itself.
SET LOCAL lock_timeout = '2s';

ALTER TABLE sync
    ADD COLUMN trouble    smallint NOT NULL DEFAULT 0, -- enum sync_trouble, of the newest run that ended
    ADD COLUMN trouble_at timestamptz,             -- since when it is that one
    ADD COLUMN still_runs int NOT NULL DEFAULT 0;  -- interrupted runs in a row whose checkpoint did not move
CREATE INDEX sync_trouble ON sync (trouble) WHERE trouble <> 0;

CREATE TABLE outbox (                          -- what an environment is to be told, written with what happened
    id             uuid        PRIMARY KEY,    -- version 7
    created_at     timestamptz NOT NULL DEFAULT now(),
    environment_id int         NOT NULL,
    connection_id  bigint      NOT NULL,
    job_id         uuid        NOT NULL,
    type           smallint    NOT NULL,       -- enum settle_event_type
    body           text        NOT NULL        -- the bytes that are signed and sent
);

-- Ends the transaction (SL409; SL404: the sync is gone) unless the caller writes for the try that a job is at: under a live session,
-- the newest try that was begun, of a job without a result, and, if newest is asked, the newest run of its
-- sync.  What is 0 or null is not asked.
--
-- It stays so until the commit.  The locks keep out whoever would change it: the end of a session and a cancel
-- (session), the claim of the sync's next run (sync), the end of a try (attempt).  Each look is a statement
-- of its own, so that it sees what was committed while a lock was waited for.  The connection comes before
-- the sync, as in a delete that takes its syncs along.
CREATE FUNCTION fence(session bigint, job uuid, number bigint, sync bigint, newest boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    found_job uuid;
BEGIN
    IF fence.session <> 0 THEN
        PERFORM FROM session s WHERE s.id = fence.session AND s.live FOR SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'SL409', MESSAGE = 'the session has ended';
        END IF;
    END IF;
    IF fence.sync <> 0 THEN
        PERFORM FROM connection c WHERE c.id = (SELECT y.connection_id FROM sync y WHERE y.id = fence.sync) FOR KEY SHARE;
        IF fence.newest THEN
            SELECT y.job_id INTO found_job FROM sync y WHERE y.id = fence.sync AND y.removed_at IS NULL FOR SHARE;
        ELSE
            PERFORM FROM sync y WHERE y.id = fence.sync AND y.removed_at IS NULL FOR KEY SHARE;
        END IF;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'SL404', MESSAGE = 'there is no such sync';
        END IF;
        IF fence.newest AND found_job IS DISTINCT FROM fence.job THEN
            RAISE EXCEPTION USING ERRCODE = 'SL409', MESSAGE = 'another run of the sync has begun';
        END IF;
    END IF;
    IF fence.job IS NOT NULL THEN
        PERFORM FROM attempt a WHERE a.job_id = fence.job AND a.number = fence.number AND a.session_id = fence.session
            AND a.ended_at IS NULL FOR SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'SL409', MESSAGE = 'the try is not under way';
        END IF;
        IF (SELECT true FROM result r WHERE r.job_id = fence.job)
           OR (SELECT max(a.number) FROM attempt a WHERE a.job_id = fence.job) > fence.number THEN
            RAISE EXCEPTION USING ERRCODE = 'SL409', MESSAGE = 'the run has ended';
        END IF;
    END IF;
END $$;

-- What a run of a sync leaves with its result, which must have been written by this transaction: one in doubt
-- that had committed has left it already.  again: the id of the next run, which goes on where this one was
-- interrupted; it is in the ledger with the result, and the scheduler pushes it like a delayed start.  An
-- environment that drains takes no job: the schedule has the sync due instead.
CREATE FUNCTION run_settled(job uuid, attempt int, state int, session bigint, sync bigint, began timestamptz, counts text,
                            trouble int, still int, again uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    it record;
BEGIN
    PERFORM FROM result r WHERE r.job_id = job AND r.attempt = run_settled.attempt AND r.state = run_settled.state
        AND r.session_id = run_settled.session AND r.xmin = pg_current_xact_id()::xid;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE sync y SET last_state = run_settled.state, last_ended = now(), last_result = counts,
           last_success = CASE run_settled.state WHEN 1 THEN began ELSE y.last_success END,
           trouble = run_settled.trouble, still_runs = still,
           trouble_at = CASE run_settled.trouble WHEN 0 THEN NULL WHEN y.trouble THEN y.trouble_at ELSE now() END
     WHERE y.id = run_settled.sync AND coalesce(y.job_id, run_settled.job) = run_settled.job; -- the newest run
    IF again IS NULL THEN
        RETURN;
    END IF;
    SELECT j.environment_id, j.key_id, j.connection_id, j.max_retries, j.webhook, f.version_id,
           e.draining_at IS NOT NULL AS drains INTO it
      FROM sync y JOIN function f ON f.id = y.function_id JOIN job j ON j.id = run_settled.job
      JOIN environment e ON e.id = j.environment_id
     WHERE y.id = run_settled.sync AND y.job_id = run_settled.job AND y.removed_at IS NULL
       AND f.enabled AND f.deleted_at IS NULL AND f.version_id IS NOT NULL;
    IF NOT FOUND THEN
        RETURN; -- disabled or removed meanwhile, or not the newest run
    ELSIF it.drains THEN
        UPDATE schedule s SET next_run_at = now() WHERE s.sync_id = run_settled.sync AND s.started AND s.every_ms IS NOT NULL;
        RETURN;
    END IF;
    INSERT INTO job (id, environment_id, key_id, function_version_id, connection_id, kind, max_retries, webhook, input)
        VALUES (again, it.environment_id, it.key_id, it.version_id, it.connection_id, 2, it.max_retries, it.webhook,
                convert_to(format('{"sync":%s,"emptyCache":false}', run_settled.sync), 'UTF8'));
    INSERT INTO retry (job_id, number, due_at) VALUES (again, 1, now());
    UPDATE sync y SET job_id = again, claimed_at = now() WHERE y.id = run_settled.sync;
END $$;

-- A JSON string of a text.
CREATE FUNCTION quoted(plain text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT to_json(plain)::text $$;
CREATE FUNCTION quoted(moment timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT to_char(moment AT TIME ZONE 'UTC', '"\""YYYY-MM-DD"T"HH24:MI:SS.MS"Z\""')
$$;

CREATE FUNCTION new_event_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7'
            || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid
$$;

-- What a run of a sync or of its webhook leaves that was ended by anybody but the worker that ran it: nobody
-- else can tell that it failed.  ended and why are those of the result, which the caller has just written;
-- of other jobs nothing happens.
CREATE FUNCTION run_ended(job uuid, ended int, why bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    it     record;
    models json;
BEGIN
    SELECT j.kind, j.environment_id, j.connection_id, y.id AS sync, y.variant, y.last_success, f.name, c.connection_id AS connection,
           i.unique_key, v.definition,
           coalesce((SELECT max(a.started_at) FROM attempt a WHERE a.job_id = j.id), j.accepted_at) AS started INTO it
      FROM job j JOIN sync y ON y.id = substring(encode(substring(j.input FROM 1 FOR 40), 'escape') FROM '^\{"sync":([0-9]{1,18})')::bigint
      JOIN function f ON f.id = y.function_id JOIN connection c ON c.id = y.connection_id
      JOIN integration i ON i.id = c.integration_id JOIN function_version v ON v.id = j.function_version_id
     WHERE j.id = run_ended.job AND j.kind IN (2, 3);
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF it.kind = 2 THEN
        UPDATE sync y SET last_state = ended, last_ended = now(), trouble = 0, trouble_at = NULL
         WHERE y.id = it.sync AND y.job_id = run_ended.job;
    END IF;
    models := definition_member(it.definition, 'models');
    IF json_typeof(models) IS DISTINCT FROM 'array' THEN
        models := '[]';
    END IF;
    INSERT INTO outbox (id, environment_id, connection_id, job_id, type, body)
        VALUES (new_event_id(), it.environment_id, it.connection_id, run_ended.job, 1,
            '{"connectionId":' || quoted(it.connection)
            || ',"error":{"description":' || quoted(coalesce(definition_member(convert_from(why, 'UTF8'), 'message'),
                   CASE ended WHEN 3 THEN 'The run was cancelled'
                              WHEN 4 THEN 'The run was not started in time'
                              WHEN 5 THEN 'The worker that ran the function was lost'
                              ELSE 'The process that ran the function died too often' END))
            || ',"payload":{"why":"sync"},"type":"script_error"},"failedAt":' || quoted(now())
            || ',"from":"nango","model":' || quoted(coalesce((SELECT string_agg(m, ',' ORDER BY o)
                   FROM json_array_elements_text(models) WITH ORDINALITY u(m, o)), ''))
            || ',"providerConfigKey":' || quoted(it.unique_key) || ',"startedAt":' || quoted(it.started)
            || ',"success":false,"syncName":' || quoted(it.name)
            || ',"syncType":' || CASE WHEN it.kind = 3 THEN '"WEBHOOK"' WHEN it.last_success IS NULL THEN '"INITIAL"'
                                      ELSE '"INCREMENTAL"' END
            || ',"syncVariant":' || quoted(it.variant) || ',"type":"sync"}');
END $$;

-- The three below are those of 0008_cancel and 0009_dead; each tells run_ended() of what it has ended.
CREATE OR REPLACE FUNCTION cancel_job(job uuid, environment bigint, wanted bigint, why text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    it      record;
    holders bigint[];
    locked  bigint[];
    ended   smallint;
BEGIN
    SELECT j.key_id, j.seq INTO it FROM job j
     WHERE j.id = job AND j.environment_id = environment AND (wanted = 0 OR j.kind = wanted);
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    PERFORM set_config('lock_timeout', '2s', true);
    INSERT INTO hold (key_id, slot, tenure) VALUES (it.key_id, 0, 0) ON CONFLICT DO NOTHING; -- something to lock
    LOOP
        BEGIN
            holders := ARRAY(SELECT h.session_id FROM hold h WHERE h.key_id = it.key_id AND h.session_id IS NOT NULL);
            PERFORM FROM session s WHERE s.id = ANY (holders) ORDER BY s.id FOR NO KEY UPDATE;
            PERFORM FROM hold h WHERE h.key_id = it.key_id ORDER BY h.slot FOR UPDATE;
            locked := ARRAY(SELECT h.session_id FROM hold h WHERE h.key_id = it.key_id AND h.session_id IS NOT NULL);
            IF NOT locked <@ holders THEN
                RAISE EXCEPTION USING ERRCODE = 'SL409', MESSAGE = 'the key changed hands';
            END IF;
            EXIT;
        EXCEPTION WHEN SQLSTATE 'SL409' THEN
            NULL;
        END;
    END LOOP;
    INSERT INTO result (job_id, attempt, state, session_id, output)
        SELECT job, coalesce(max(a.number), 0), 3, 0, convert_to(why, 'UTF8') FROM attempt a WHERE a.job_id = job
        ON CONFLICT (job_id) DO NOTHING;
    IF NOT FOUND THEN
        SELECT r.state INTO ended FROM result r WHERE r.job_id = job;
        RETURN CASE ended WHEN 3 THEN 3 ELSE 2 END;
    END IF;
    PERFORM run_ended(job, 3, convert_to(why, 'UTF8'));
    DELETE FROM retry w WHERE w.job_id = job;
    PERFORM pg_notify('sluice_cancel', it.key_id || ' ' || it.seq || ' ' || job);
    RETURN 1;
END $$;

CREATE OR REPLACE FUNCTION set_aside(job uuid, attempt int, session bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    deaths constant int := death_count(job);
    runner death%ROWTYPE;
    final  smallint;
BEGIN
    SELECT CASE d.cause WHEN 1 THEN 2 ELSE 5 END INTO final FROM death d
     WHERE d.job_id = job AND NOT d.open ORDER BY d.at DESC, d.cause LIMIT 1;
    SELECT * INTO runner FROM death d WHERE d.job_id = job AND d.cause = 1 ORDER BY d.at DESC LIMIT 1;
    INSERT INTO result (job_id, attempt, state, session_id, output)
        SELECT job, attempt, final, session, convert_to(format(
            '{"code":"action_script_failure","payload":{"error":"poison: the job was set aside after %s deaths of what ran it; last %s"}}',
            deaths, CASE WHEN final = 5 THEN 'a worker was lost'
                         WHEN runner.signal > 0 THEN 'the runner was ended by signal ' || runner.signal
                         ELSE 'the runner ended' END), 'UTF8')
        ON CONFLICT (job_id) DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM run_ended(job, final, NULL);
    DELETE FROM retry w WHERE w.job_id = job;
    INSERT INTO dead (job_id, environment_id, kind, function_version_id, connection_id, deaths, signal, memory, last_call)
        SELECT j.id, j.environment_id, j.kind, j.function_version_id, j.connection_id, deaths,
               runner.signal, runner.memory, runner.last_call
          FROM job j WHERE j.id = job
        ON CONFLICT DO NOTHING;
    RETURN true;
END $$;

CREATE OR REPLACE FUNCTION job_died(job uuid, report uuid, number int, begun boolean, session bigint, deaths_max bigint,
                         delay_ms bigint, why bytea, signal int, memory bigint, last_call text)
RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    known  int;
    tries  int;
    answer int;
BEGIN
    SELECT d.became INTO known FROM death d WHERE d.job_id = job AND d.token = report;
    IF FOUND THEN
        RETURN known;
    END IF;
    SELECT j.max_retries + 1 INTO tries FROM job j WHERE j.id = job;
    IF NOT FOUND OR EXISTS (SELECT FROM result r WHERE r.job_id = job) THEN
        RETURN 0;
    END IF;
    IF begun THEN
        PERFORM FROM attempt a WHERE a.job_id = job AND a.number = job_died.number AND a.session_id = session
            AND a.ended_at IS NULL FOR UPDATE;
        IF NOT FOUND THEN
            RETURN 0;
        END IF;
    ELSIF EXISTS (SELECT FROM attempt a WHERE a.job_id = job AND a.number >= job_died.number)
       OR EXISTS (SELECT FROM retry w WHERE w.job_id = job) THEN
        RETURN 0;
    END IF;
    answer := CASE WHEN death_count(job) + 1 >= deaths_max THEN 3 WHEN begun AND number >= tries THEN 2 ELSE 1 END;
    DELETE FROM death d WHERE d.job_id = job AND d.open; -- this is how that run ended
    INSERT INTO death (job_id, token, session_id, cause, open, became, signal, memory, last_call)
        VALUES (job, report, session, 1, false, answer, nullif(signal, 0), nullif(memory, 0), last_call);
    IF answer = 3 THEN
        IF set_aside(job, number, session) THEN
            RETURN 3;
        END IF;
    ELSIF answer = 2 THEN
        INSERT INTO result (job_id, attempt, state, session_id, output) VALUES (job, number, 2, session, why)
            ON CONFLICT (job_id) DO NOTHING;
        IF FOUND THEN
            PERFORM run_ended(job, 2, why);
            RETURN 2;
        END IF;
    ELSE
        IF begun THEN
            UPDATE attempt a SET ended_at = now() WHERE a.job_id = job AND a.number = job_died.number;
        END IF;
        INSERT INTO retry (job_id, number, due_at)
            VALUES (job, CASE WHEN begun THEN number + 1 ELSE number END, now() + delay_ms * interval '1 millisecond')
            ON CONFLICT DO NOTHING;
        RETURN 1;
    END IF;
    UPDATE death d SET became = 0 WHERE d.job_id = job AND d.token = report; -- it ended meanwhile
    RETURN 0;
END $$;

-- Retention, in pieces; how many rows went.
CREATE FUNCTION delete_old_events(keep interval) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    gone int;
BEGIN
    DELETE FROM outbox o WHERE o.id IN (SELECT p.id FROM outbox p
        WHERE p.id < (lpad(to_hex((extract(epoch FROM now() - keep) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
        ORDER BY p.id LIMIT 10000);
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;
