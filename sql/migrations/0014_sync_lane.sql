-- 0014_sync_lane: how many runs of syncs an environment may have at a time, and the key that they share.
-- Locks:  ACCESS EXCLUSIVE on environment for a moment (no rewrite).  Online: yes, adds only; an earlier
--         release starts each run under its sync's own key (sync.key_id), beside this limit.
SET LOCAL lock_timeout = '2s';

ALTER TABLE environment
    ADD COLUMN sync_limit smallint CHECK (sync_limit BETWEEN 1 AND 500); -- null: what the nodes' setting says

-- As in 0010_concurrency, and:
--   syncs                              the environment's, of runs of syncs; null: the nodes' setting
CREATE OR REPLACE FUNCTION concurrency_slots(environment bigint, key_name text) RETURNS smallint LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN key_name = 'actions' OR starts_with(key_name, 'actions:connection:') THEN e.concurrency_limit
        WHEN key_name = 'syncs' THEN e.sync_limit
        WHEN key_name ~ '^actions:function:[0-9]{1,18}$' THEN coalesce((
            SELECT f.concurrency_limit FROM function f
             WHERE f.id = split_part(key_name, ':', 3)::bigint AND f.environment_id = e.id
               AND f.concurrency_by = 'function'), e.concurrency_limit)
        WHEN key_name ~ '^actions:function:[0-9]{1,18}:connection:' THEN (
            SELECT f.concurrency_limit FROM function f
             WHERE f.id = split_part(key_name, ':', 3)::bigint AND f.environment_id = e.id
               AND f.concurrency_by = 'connection')
        END FROM environment e WHERE e.id = environment
$$;

-- The key of an environment's runs of syncs, made if missing; null: no such environment.  standard: how
-- many slots a new one gets unless the environment says so.  One that is there keeps its slots: those who
-- change the setting, and the scheduler that leads, write them.
CREATE FUNCTION sync_lane(environment bigint, standard int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    own int;
    key bigint := (SELECT k.id FROM concurrency_key k WHERE k.environment_id = environment AND k.name = 'syncs');
BEGIN
    IF key IS NOT NULL THEN
        RETURN key;
    END IF;
    SELECT e.sync_limit INTO own FROM environment e WHERE e.id = environment FOR SHARE; -- against a change of it
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO concurrency_key (environment_id, name, slots) VALUES (environment, 'syncs', coalesce(own, standard))
        ON CONFLICT (environment_id, name) DO NOTHING;
    PERFORM pg_notify('sluice_limits', environment::text);
    RETURN (SELECT k.id FROM concurrency_key k WHERE k.environment_id = environment AND k.name = 'syncs');
END $$;
