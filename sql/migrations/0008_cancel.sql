-- 0008_cancel: cancelled jobs, delayed starts, and partitions that retention lets go of.
-- Locks:  ACCESS EXCLUSIVE on retry while its check is replaced (the table is small: tries that wait).
-- Online: yes; an earlier release promotes a delayed start like a retry.  It does not know start limits.
SET LOCAL lock_timeout = '2s';

-- Number 1: a start that was delayed (X-Delay); such a job's accepted_at is the end of the delay, so
-- that all that counts from accepted_at counts from there.
ALTER TABLE retry DROP CONSTRAINT retry_number_check;
ALTER TABLE retry ADD CONSTRAINT retry_number_check CHECK (number > 0);

-- Ends a job as cancelled (state 3), if nothing ended it before; returns 0: unknown, 1: cancelled now,
-- 2: it had ended, 3: it had been cancelled.  kind 0: any.
--
-- Against a worker that begins the job at the same moment: every batch of a worker locks its session's
-- row first (FOR SHARE) and a claim updates the hold row.  With both of them locked no begin is under
-- way, and the next one sees the result.  Sessions before holds, as workers do; if the key changed
-- hands in between, both are let go of and asked for again.
CREATE FUNCTION cancel_job(job uuid, environment bigint, wanted bigint, why text) RETURNS int LANGUAGE plpgsql AS $$
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
    DELETE FROM retry w WHERE w.job_id = job;
    PERFORM pg_notify('sluice_cancel', it.key_id || ' ' || it.seq || ' ' || job);
    RETURN 1;
END $$;

-- Drops one table of a day that ended more than keep ago, and says how many it dropped: 1 or 0.  One,
-- so that a transaction locks one parent only and no statement of a worker can be waiting for it in a
-- circle; job goes first, what belongs to it follows.  A day with a job that is open, or that ended
-- within keep, stays.
CREATE FUNCTION drop_old_table(keep interval) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    oldest constant date := (now() AT TIME ZONE 'UTC' - keep)::date;
    part   text;
    found  boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(1397511491, 3); -- the lock of add_partitions
    PERFORM set_config('lock_timeout', '200ms', true);
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent IN ('job'::regclass, 'attempt'::regclass, 'result'::regclass, 'retry'::regclass)
           AND c.relname ~ '^[a-z]+_[0-9]{8}$' AND to_date(right(c.relname, 8), 'YYYYMMDD') < oldest
         ORDER BY c.relname LIKE 'job!_%' ESCAPE '!', c.relname
    LOOP
        IF part LIKE 'job!_%' ESCAPE '!' THEN
            EXECUTE format('SELECT EXISTS (SELECT FROM %I j WHERE NOT EXISTS (SELECT FROM result r WHERE r.job_id = j.id))'
                           ' OR EXISTS (SELECT FROM %I r WHERE r.ended_at > now() - $1)',
                           part, 'result_' || right(part, 8)) INTO found USING keep;
        ELSE
            found := to_regclass('job_' || right(part, 8)) IS NOT NULL;
        END IF;
        IF NOT found THEN
            EXECUTE format('DROP TABLE %I', part);
            RETURN 1;
        END IF;
    END LOOP;
    RETURN 0;
END $$;

-- The same for what stands in the default partitions (a clock that jumped): rows instead of tables.
CREATE FUNCTION delete_old_strays(keep interval) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    oldest constant uuid := uuid_day((now() AT TIME ZONE 'UTC' - keep)::date);
    gone   int;
BEGIN
    DELETE FROM job_default j WHERE j.id < oldest
       AND (SELECT r.ended_at <= now() - keep FROM result r WHERE r.job_id = j.id);
    GET DIAGNOSTICS gone = ROW_COUNT;
    DELETE FROM attempt_default a WHERE a.job_id < oldest AND NOT EXISTS (SELECT FROM job j WHERE j.id = a.job_id);
    DELETE FROM retry_default w WHERE w.job_id < oldest AND NOT EXISTS (SELECT FROM job j WHERE j.id = w.job_id);
    DELETE FROM result_default r WHERE r.job_id < oldest AND NOT EXISTS (SELECT FROM job j WHERE j.id = r.job_id);
    RETURN gone;
END $$;
