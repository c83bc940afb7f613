-- 0009_dead: keys with more than one slot; deaths, the dead list, quarantine.
-- Locks:  ACCESS EXCLUSIVE on hold and concurrency_key, briefly (columns with constant defaults are added
--         without a rewrite; the index and the check read concurrency_key, which has a row per key).
-- Online: yes.  An earlier release claims slot 0 only, and ends sessions without counting deaths.
SET LOCAL lock_timeout = '2s';

ALTER TABLE concurrency_key ADD COLUMN slots smallint NOT NULL DEFAULT 1 CHECK (slots BETWEEN 1 AND 500);
CREATE INDEX concurrency_key_slots ON concurrency_key (id) WHERE slots > 1;

-- The holder's claim found that the session before it had been ended while it held the slot.
ALTER TABLE hold ADD COLUMN lost boolean NOT NULL DEFAULT false;

-- The runs of a job that killed their runner or whose worker was lost.  Empty unless something dies.
--
-- open: not a death yet, but a run of a job that has deaths (or is suspected of one) which is under way in
-- a live session: if that session is lost, it is one.
CREATE TABLE death (
    job_id     uuid        NOT NULL,
    token      uuid        NOT NULL, -- of the report: repeated after a commit in doubt it counts once
    session_id bigint      NOT NULL, -- 0: presumed for a session that was lost before
    cause      smallint    NOT NULL, -- enum settle_cause
    open       boolean     NOT NULL,
    became     smallint    NOT NULL DEFAULT 0, -- of the job, by a runner's death: what job_died() returned
    signal     int,
    memory     bigint,
    last_call  text,
    at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, token)
);
CREATE INDEX death_open ON death (session_id) WHERE open;

CREATE TABLE dead (                            -- jobs that were set aside; their result says so too
    job_id              uuid        PRIMARY KEY,
    environment_id      int         NOT NULL,
    kind                smallint    NOT NULL,
    function_version_id int         NOT NULL,
    connection_id       bigint      NOT NULL,
    deaths              int         NOT NULL,
    signal              int,
    memory              bigint,
    last_call           text,
    at                  timestamptz NOT NULL DEFAULT now(),
    replays             int         NOT NULL DEFAULT 0,
    last_replay         uuid                   -- the job that was accepted for it last
);
CREATE INDEX dead_environment ON dead (environment_id, job_id);

CREATE TABLE quarantine (                      -- queue entries that no worker may run
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shard    int         NOT NULL,
    key_id   bigint      NOT NULL,
    reason   text        NOT NULL,
    bytes    bytea       NOT NULL,
    security boolean     NOT NULL,             -- forged
    at       timestamptz NOT NULL DEFAULT now()
);

-- How often the job died.
CREATE FUNCTION death_count(job uuid) RETURNS int LANGUAGE sql STABLE AS $$
    SELECT count(*)::int FROM death d WHERE d.job_id = job AND NOT d.open
$$;

-- Ends a job by its deaths and puts it on the dead list; false: it had ended, and nothing was written.
-- Its state is that of its last death: 2 (JOB_FAILED) for a runner, 5 (JOB_WORKER_LOST) for a worker.
CREATE FUNCTION set_aside(job uuid, attempt int, session bigint) RETURNS boolean LANGUAGE plpgsql AS $$
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
    DELETE FROM retry w WHERE w.job_id = job;
    INSERT INTO dead (job_id, environment_id, kind, function_version_id, connection_id, deaths, signal, memory, last_call)
        SELECT j.id, j.environment_id, j.kind, j.function_version_id, j.connection_id, deaths,
               runner.signal, runner.memory, runner.last_call
          FROM job j WHERE j.id = job
        ON CONFLICT DO NOTHING;
    RETURN true;
END $$;

-- The runner of try number of a job died, in a session that the caller has locked and seen live.  begun: the
-- try was made durable.  Returns 0: refused (the job has ended, or the try is not that session's),
-- 1: queued again, 2: ended with its last try, 3: set aside.  Asked again with the same token it changes
-- nothing and returns the same.
CREATE FUNCTION job_died(job uuid, report uuid, number int, begun boolean, session bigint, deaths_max bigint,
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

-- A job that may have killed its worker is about to be started by a session that the caller has locked and
-- seen live.  False: it has ended, set aside now or before.
--
-- Without any death the worker that was lost counts as one: it ran the head of the key, and nobody knows
-- whether that was this job.  From then on each run has a row that is open while it lasts, so that later
-- deaths are counted by proof.  Other open rows are of sessions that gave the key away in order.
CREATE FUNCTION suspect_job(job uuid, report uuid, session bigint, deaths_max bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    deaths int;
BEGIN
    IF NOT EXISTS (SELECT FROM job j WHERE j.id = job) OR EXISTS (SELECT FROM result r WHERE r.job_id = job) THEN
        RETURN false;
    END IF;
    IF EXISTS (SELECT FROM death d WHERE d.job_id = job AND d.token = report) THEN
        RETURN true; -- a repeat
    END IF;
    DELETE FROM death d WHERE d.job_id = job AND d.open;
    deaths := death_count(job);
    IF deaths = 0 THEN
        INSERT INTO death (job_id, token, session_id, cause, open)
            VALUES (job, '00000000-0000-0000-0000-000000000000', 0, 2, false) ON CONFLICT DO NOTHING;
    ELSIF deaths >= deaths_max THEN
        PERFORM set_aside(job, (SELECT coalesce(max(a.number), 0) FROM attempt a WHERE a.job_id = job), session);
        RETURN false;
    END IF;
    INSERT INTO death (job_id, token, session_id, cause, open) VALUES (job, report, session, 2, true);
    RETURN true;
END $$;

-- Accepts a dead job again as fresh.  Returns 1: done (or done before under that id), 2: not in the list or
-- the job is gone, 3: a run of a sync, 4: its function is gone, 5: it is disabled, 6: replayed often enough.
CREATE FUNCTION replay_dead(job uuid, fresh uuid, replays_max bigint) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    it      record;
    version int;
    active  boolean;
BEGIN
    SELECT d.replays, j.* INTO it FROM dead d JOIN job j ON j.id = d.job_id WHERE d.job_id = job FOR UPDATE OF d;
    IF NOT FOUND THEN
        RETURN 2;
    END IF;
    IF EXISTS (SELECT FROM job j WHERE j.id = fresh) THEN
        RETURN 1;
    END IF;
    IF it.kind = 2 THEN
        RETURN 3;
    END IF;
    SELECT f.version_id, f.enabled INTO version, active FROM function_version v JOIN function f ON f.id = v.function_id
     WHERE v.id = it.function_version_id AND f.deleted_at IS NULL AND f.version_id IS NOT NULL;
    IF NOT FOUND THEN
        RETURN 4;
    END IF;
    IF NOT active THEN
        RETURN 5;
    END IF;
    IF it.replays >= replays_max THEN
        RETURN 6;
    END IF;
    INSERT INTO job (id, environment_id, key_id, function_version_id, connection_id, kind, max_retries, webhook, input)
        VALUES (fresh, it.environment_id, it.key_id, version, it.connection_id, it.kind, it.max_retries, it.webhook, it.input);
    INSERT INTO retry (job_id, number, due_at) VALUES (fresh, 1, now());
    UPDATE dead d SET replays = d.replays + 1, last_replay = fresh WHERE d.job_id = job;
    RETURN 1;
END $$;

-- Retention: deaths and dead rows of days whose jobs are gone, and quarantined entries.
CREATE FUNCTION delete_old_dead(keep interval) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    oldest constant uuid := uuid_day((now() AT TIME ZONE 'UTC' - keep)::date);
BEGIN
    DELETE FROM death d WHERE d.job_id < oldest AND NOT EXISTS (SELECT FROM job j WHERE j.id = d.job_id);
    DELETE FROM dead d WHERE d.job_id < oldest AND NOT EXISTS (SELECT FROM job j WHERE j.id = d.job_id);
    DELETE FROM quarantine q WHERE q.at < now() - keep;
END $$;
