-- 0010_concurrency: by what the async actions of an environment or function are kept apart, and how many at a time.
-- Locks:  ACCESS EXCLUSIVE on environment and function for a moment (no rewrite).  Online: yes, adds only;
--         an earlier release puts all async actions of an environment under the key 'actions'.
SET LOCAL lock_timeout = '2s';

ALTER TABLE environment
    ADD COLUMN concurrency_by    text     NOT NULL DEFAULT 'environment'
        CHECK (concurrency_by IN ('environment', 'connection', 'function')),
    ADD COLUMN concurrency_limit smallint NOT NULL DEFAULT 1 CHECK (concurrency_limit BETWEEN 1 AND 500);

ALTER TABLE function                           -- both null: as the environment says
    ADD COLUMN concurrency_by    text     CHECK (concurrency_by IN ('environment', 'connection', 'function')),
    ADD COLUMN concurrency_limit smallint CHECK (concurrency_limit BETWEEN 1 AND 500),
    ADD CHECK ((concurrency_by IS NULL) = (concurrency_limit IS NULL));

-- What the settings say of the key of that name; null: nothing (a sync's key, an event's).  The one place
-- that knows which setting governs which key, so that whoever writes slots writes the same:
--   actions                            the environment's
--   actions:connection:<id>            the environment's
--   actions:function:<id>              the function's own if it is by function, else the environment's
--   actions:function:<id>:connection:  the function's own if it is by connection, else nothing
CREATE FUNCTION concurrency_slots(environment bigint, key_name text) RETURNS smallint LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN key_name = 'actions' OR starts_with(key_name, 'actions:connection:') THEN e.concurrency_limit
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
