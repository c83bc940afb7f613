-- 0012_steer: environments and lines that an operator paused, environments that take no new jobs; jobs that
--             are killed, cancelled many at a time, and accepted again.
-- Locks:  ACCESS EXCLUSIVE on environment for a moment (no rewrite); SHARE ROW EXCLUSIVE on concurrency_key
--         (foreign key, trigger).
-- Online: yes, adds only.  An earlier release knows no pause: while its scheduler leads, or on its workers,
--         paused jobs start; a kill is a cancel to it.
SET LOCAL lock_timeout = '2s';

ALTER TABLE environment
    ADD COLUMN paused_at   timestamptz,        -- nothing of it is started
    ADD COLUMN draining_at timestamptz;        -- no new job of it is accepted

CREATE TABLE paused_line (                     -- concurrency keys that are paused by themselves
    key_id    bigint      PRIMARY KEY REFERENCES concurrency_key ON DELETE CASCADE,
    paused_at timestamptz NOT NULL DEFAULT now()
);

-- A key that comes to a paused environment is paused: the scheduler has to tell Redis.
CREATE FUNCTION key_made() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM environment e WHERE e.id = NEW.environment_id AND e.paused_at IS NOT NULL) THEN
        PERFORM pg_notify('sluice_limits', NEW.environment_id::text);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER key_made AFTER INSERT ON concurrency_key FOR EACH ROW EXECUTE FUNCTION key_made();

-- How many slots the scheduler tells Redis of: none of a paused key; those with one are left out.
CREATE FUNCTION key_limits() RETURNS TABLE (id bigint, environment_id int, slots int) LANGUAGE sql STABLE AS $$
    SELECT a.id, a.environment_id, min(a.slots) FROM (
        SELECT k.id, k.environment_id, k.slots::int FROM concurrency_key k WHERE k.slots > 1
        UNION ALL
        SELECT k.id, k.environment_id, 0 FROM environment e JOIN concurrency_key k ON k.environment_id = e.id
         WHERE e.paused_at IS NOT NULL
        UNION ALL
        SELECT k.id, k.environment_id, 0 FROM paused_line p JOIN concurrency_key k ON k.id = p.key_id
    ) a GROUP BY a.id, a.environment_id ORDER BY a.id
$$;

-- As cancel_job(), and whoever runs it ends its process at once; also of a job that was cancelled before
-- and whose run still has its time to return.
CREATE FUNCTION kill_job(job uuid, environment bigint, wanted bigint, why text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    answer constant int := cancel_job(job, environment, wanted, why);
BEGIN
    IF answer IN (1, 3) THEN
        PERFORM pg_notify('sluice_cancel', j.key_id || ' ' || j.seq || ' ' || j.id || ' kill') FROM job j WHERE j.id = job;
    END IF;
    RETURN answer;
END $$;

-- Accepts a job that has ended again, as fresh; of one that waits for a try, the try is due now.  Returns
-- 1: accepted as fresh (or before, under that id), 2: no such job, 3: a run of a sync, 4: its function is
-- gone, 5: it is disabled, 6: it is queued or runs, 7: it is due now, 8: its environment takes no new jobs,
-- 9: its connection is gone.
CREATE FUNCTION retry_job(job uuid, fresh uuid) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    it      record;
    version int;
    active  boolean;
BEGIN
    IF EXISTS (SELECT FROM job j WHERE j.id = fresh) THEN
        RETURN 1;
    END IF;
    SELECT j.* INTO it FROM job j WHERE j.id = retry_job.job;
    IF NOT FOUND THEN
        RETURN 2;
    END IF;
    IF NOT EXISTS (SELECT FROM result r WHERE r.job_id = it.id) THEN
        UPDATE retry w SET due_at = now() WHERE w.job_id = it.id;
        RETURN CASE WHEN FOUND THEN 7 ELSE 6 END;
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
    IF NOT EXISTS (SELECT FROM connection c WHERE c.id = it.connection_id) THEN
        RETURN 9;
    END IF;
    IF EXISTS (SELECT FROM environment e WHERE e.id = it.environment_id AND e.draining_at IS NOT NULL) THEN
        RETURN 8;
    END IF;
    INSERT INTO job (id, environment_id, key_id, function_version_id, connection_id, kind, max_retries, webhook, input)
        VALUES (fresh, it.environment_id, it.key_id, version, it.connection_id, it.kind, it.max_retries, it.webhook, it.input);
    INSERT INTO retry (job_id, number, due_at) VALUES (fresh, 1, now());
    UPDATE dead d SET replays = d.replays + 1, last_replay = fresh WHERE d.job_id = it.id;
    RETURN 1;
END $$;
