-- 0013_schedule: when syncs run by themselves; what is to be made and removed for functions and connections
--                that come and go; syncs that were removed.
-- Locks:  ACCESS EXCLUSIVE on sync for a moment (no rewrite); SHARE ROW EXCLUSIVE on function and connection
--         (triggers).
-- Online: yes, adds only.  An earlier release starts nothing by itself while its scheduler leads; what it
--         deploys and connects is in schedule_work for the next one.
SET LOCAL lock_timeout = '2s';

ALTER TABLE sync ADD COLUMN removed_at timestamptz; -- never due, claimed or listed; see remove_sync()

CREATE TABLE schedule (                        -- of one sync
    sync_id     bigint      PRIMARY KEY REFERENCES sync ON DELETE CASCADE,
    started     boolean     NOT NULL,          -- false: paused
    frequency   text,                          -- the connection's own, normalised; null: the function's
    every_ms    bigint CHECK (every_ms > 0),   -- what holds; null: it never runs by itself
    anchor      timestamptz NOT NULL DEFAULT now(), -- slots: anchor + k * every_ms
    next_run_at timestamptz,                   -- null: paused, or never by itself
    CHECK (next_run_at IS NULL OR (started AND every_ms IS NOT NULL))
);
CREATE INDEX schedule_due ON schedule (next_run_at) WHERE next_run_at IS NOT NULL;

-- Written with the change that asks for it; done in pieces and deleted by the scheduler that leads.  No
-- foreign keys: what is gone meanwhile has nothing to do.
CREATE TABLE schedule_work (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    integration_id bigint  NOT NULL,
    function_id    bigint,                     -- deployed, or removed
    connection_id  bigint,                     -- created
    sync_id        bigint,                     -- removed
    removed        boolean NOT NULL DEFAULT false,
    at_sync        bigint  NOT NULL DEFAULT 0, -- how far it came: connection of what is made, sync of what
    at_model       text    NOT NULL DEFAULT '', -- is removed, and its record
    at_id          text    NOT NULL DEFAULT ''
);

-- Milliseconds of an interval as base/interval.h reads it; null: none, or out of its bounds.
CREATE FUNCTION every_ms(frequency text) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT CASE WHEN e.ms BETWEEN 30000 AND 31622400000 THEN e.ms END
      FROM regexp_match(frequency, '^(?:every )?(?:(?:([0-9]{1,9}) ?)?(s|secs?|seconds?|m|mins?|minutes?|hrs?|h|hours?|d|days?)'
                                   '|(week|month|half day|half hour|quarter hour))$') m,
           LATERAL (SELECT coalesce(m[1], '1')::bigint * CASE
               WHEN m[3] = 'week' THEN 604800000
               WHEN m[3] = 'month' THEN 2592000000
               WHEN m[3] = 'half day' THEN 43200000
               WHEN m[3] = 'half hour' THEN 1800000
               WHEN m[3] = 'quarter hour' THEN 900000
               WHEN m[2] LIKE 's%' THEN 1000
               WHEN m[2] LIKE 'm%' THEN 60000
               WHEN m[2] LIKE 'h%' THEN 3600000
               WHEN m[2] LIKE 'd%' THEN 86400000
           END AS ms) e
$$;

-- The first slot behind a moment; slots also lie before the anchor (a clock that was set back).
CREATE FUNCTION next_slot(anchor timestamptz, every_ms bigint, after timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT anchor + ((floor(extract(epoch FROM after - anchor) * 1000 / every_ms) + 1) * every_ms)::float8
                    * interval '1 millisecond'
$$;

-- By how much a run is late on purpose: less than its interval.
CREATE FUNCTION some_jitter(every_ms bigint, jitter_ms bigint) RETURNS interval LANGUAGE sql VOLATILE AS $$
    SELECT random() * least(jitter_ms, every_ms) * interval '1 millisecond'
$$;

-- A member of a stored definition as text; null: it is not there.  Of a definition with an escape that is
-- refused here (\u0000) each escape is read as one letter: there are none in what is looked for.
CREATE FUNCTION definition_member(definition text, name text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN definition::json ->> name;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    BEGIN
        RETURN regexp_replace(definition, '\\.', '_', 'g')::json ->> name;
    EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
        RETURN NULL;
    END;
END $$;

-- Makes the missing schedules of syncs that are there, and gives those without a frequency of their own the
-- one of the active version: of these functions and connections, and this variant (null: all).  Started
-- unless the definition says otherwise, with the first run at once.
CREATE FUNCTION make_schedules(functions bigint[], connections bigint[], variant text, jitter_ms bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO schedule AS o (sync_id, started, every_ms, next_run_at)
        SELECT s.id, f.started, f.every_ms,
               CASE WHEN f.started AND f.every_ms IS NOT NULL THEN now() + some_jitter(f.every_ms, jitter_ms) END
          FROM (SELECT f.id, coalesce(definition_member(v.definition, 'auto_start') <> 'false', true) AS started,
                       every_ms(definition_member(v.definition, 'runs')) AS every_ms
                  FROM function f JOIN function_version v ON v.id = f.version_id
                 WHERE f.id = ANY (functions) AND f.type = 'sync' AND f.deleted_at IS NULL OFFSET 0) f
         CROSS JOIN unnest(connections) c(id) CROSS JOIN LATERAL (
               SELECT y.id FROM sync y WHERE y.function_id = f.id AND y.connection_id = c.id AND y.removed_at IS NULL
                  AND (make_schedules.variant IS NULL OR y.variant = make_schedules.variant) OFFSET 0) s
         ORDER BY s.id
    ON CONFLICT (sync_id) DO UPDATE SET every_ms = excluded.every_ms, next_run_at = CASE
            WHEN NOT o.started OR excluded.every_ms IS NULL THEN NULL
            WHEN o.next_run_at <= now() THEN o.next_run_at
            ELSE next_slot(o.anchor, excluded.every_ms, now()) + some_jitter(excluded.every_ms, jitter_ms) END
        WHERE o.frequency IS NULL AND o.every_ms IS DISTINCT FROM excluded.every_ms;
END $$;

-- Makes what is missing of the syncs of these functions and connections (those of one integration belong
-- together) in this variant, with key and schedule; how many syncs were made.  Of two that make the same
-- one makes it: they agree on the name of its key, and with it on the key.  A connection that is being
-- deleted is waited for.  Rows are looked up one by one, which the planner may not turn into a join: what it
-- knows of the tables may be from when they were empty.
CREATE FUNCTION make_syncs(functions bigint[], connections bigint[], variant text, jitter_ms bigint DEFAULT 0)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    there bigint[];
    fs    bigint[];
    cs    bigint[];
    made  bigint;
BEGIN
    SELECT array_agg(c.id) INTO there FROM (SELECT id FROM connection WHERE id = ANY (connections) ORDER BY id FOR KEY SHARE) c;
    SELECT array_agg(f.id ORDER BY f.id, c.id), array_agg(c.id ORDER BY f.id, c.id) INTO fs, cs
      FROM (SELECT id, integration_id FROM function WHERE id = ANY (functions) AND type = 'sync' AND deleted_at IS NULL
               AND version_id IS NOT NULL OFFSET 0) f CROSS JOIN unnest(there) c(id)
     WHERE (SELECT x.integration_id FROM connection x WHERE x.id = c.id) = f.integration_id
       AND (SELECT true FROM sync s WHERE s.function_id = f.id AND s.connection_id = c.id AND s.variant = make_syncs.variant) IS NULL;
    INSERT INTO concurrency_key (environment_id, name)
        SELECT (SELECT f.environment_id FROM function f WHERE f.id = u.f), 'sync:' || u.c || ':' || u.f || ':' || make_syncs.variant
          FROM unnest(fs, cs) u(f, c) ORDER BY 2
        ON CONFLICT (environment_id, name) DO UPDATE SET name = excluded.name;
    INSERT INTO sync (environment_id, function_id, connection_id, variant, key_id)
        SELECT e.id, u.f, u.c, make_syncs.variant, (SELECT k.id FROM concurrency_key k WHERE k.environment_id = e.id
               AND k.name = 'sync:' || u.c || ':' || u.f || ':' || make_syncs.variant)
          FROM unnest(fs, cs) u(f, c) CROSS JOIN LATERAL (SELECT f.environment_id AS id FROM function f WHERE f.id = u.f OFFSET 0) e
         ORDER BY u.f, u.c
        ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS made = ROW_COUNT;
    PERFORM make_schedules(functions, there, make_syncs.variant, jitter_ms);
    RETURN made;
END $$;

-- Takes one sync away: its schedule and checkpoint at once, its place for one that is made again; its
-- records and its row go with the work.  False: no such sync.
CREATE FUNCTION remove_sync(sync bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    it record;
BEGIN
    SELECT s.* INTO it FROM sync s WHERE s.id = remove_sync.sync AND s.removed_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM schedule c WHERE c.sync_id = it.id;
    DELETE FROM checkpoint p WHERE p.function_id = it.function_id AND p.connection_id = it.connection_id
                               AND p.variant = it.variant;
    UPDATE concurrency_key k SET name = k.name || ':removed:' || it.id WHERE k.id = it.key_id;
    UPDATE sync s SET removed_at = now(), variant = s.variant || ':removed:' || s.id WHERE s.id = it.id;
    INSERT INTO schedule_work (integration_id, sync_id, removed)
        SELECT c.integration_id, it.id, true FROM connection c WHERE c.id = it.connection_id;
    PERFORM pg_notify('sluice_schedule', '');
    RETURN true;
END $$;

-- Does what is to be made, up to so many syncs; returns 0 when nothing is left, or another does it.  New
-- connections go first, those of one integration together: a function that is deployed to many does not
-- hold them up.
CREATE FUNCTION make_scheduled(at_most int, jitter_ms bigint) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    w           schedule_work;
    functions   bigint[];
    connections bigint[];
    room        int := at_most;
BEGIN
    PERFORM set_config('lock_timeout', '1s', true);
    SELECT * INTO w FROM schedule_work o WHERE NOT o.removed
     ORDER BY o.connection_id IS NULL, o.id LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF w.id IS NULL THEN
        RETURN 0;
    ELSIF w.connection_id IS NOT NULL THEN
        functions := ARRAY(SELECT f.id FROM function f WHERE f.integration_id = w.integration_id
                              AND f.type = 'sync' AND f.deleted_at IS NULL);
        room := greatest(at_most / greatest(cardinality(functions), 1), 1);
        WITH taken AS (
            DELETE FROM schedule_work o WHERE o.id = ANY (ARRAY(
                SELECT m.id FROM schedule_work m WHERE m.integration_id = w.integration_id
                   AND m.connection_id IS NOT NULL AND NOT m.removed ORDER BY m.id LIMIT room FOR UPDATE SKIP LOCKED))
            RETURNING o.connection_id)
        SELECT array_agg(t.connection_id) INTO connections FROM taken t;
    ELSE
        functions := ARRAY[w.function_id];
        connections := ARRAY(SELECT c.id FROM connection c WHERE c.integration_id = w.integration_id
                                AND c.id > w.at_sync ORDER BY c.id LIMIT room);
        IF cardinality(connections) = room THEN
            UPDATE schedule_work o SET at_sync = connections[room] WHERE o.id = w.id;
        ELSE
            DELETE FROM schedule_work o WHERE o.id = w.id;
        END IF;
    END IF;
    IF cardinality(functions) > 0 AND cardinality(connections) > 0 THEN
        PERFORM make_syncs(functions, connections, 'base', jitter_ms);
        PERFORM make_schedules(functions, connections, NULL, jitter_ms);
    END IF;
    RETURN greatest(cardinality(functions) * cardinality(connections), 1);
END $$;

-- Removes up to about so many records, and the syncs whose records are gone; returns 0 when nothing is left,
-- or another does it.  It walks through all records of a sync's connection: which of them are the sync's is
-- in no index, and what another sync has saved again since is that one's.  Locks as who saves records: the
-- sync, models, rows.  By indexes alone: what the planner knows of the tables may be from when they were empty.
CREATE FUNCTION remove_scheduled(at_most int) RETURNS int LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    w      schedule_work;
    s      sync;
    seen   int;
    done   int := 0;
    models text[];
    ids    text[];
    last   text[];
BEGIN
    PERFORM set_config('lock_timeout', '1s', true);
    SELECT * INTO w FROM schedule_work o WHERE o.removed ORDER BY o.id LIMIT 1 FOR UPDATE SKIP LOCKED;
    WHILE w.id IS NOT NULL AND done < at_most LOOP
        SELECT * INTO s FROM sync o
         WHERE o.id = w.sync_id OR o.function_id = w.function_id AND o.id >= w.at_sync ORDER BY o.id LIMIT 1;
        IF s.id IS NULL THEN
            DELETE FROM schedule_work o WHERE o.id = w.id;
            DELETE FROM checkpoint p WHERE p.function_id = w.function_id;
            RETURN done + 1;
        END IF;
        PERFORM FROM sync o WHERE o.id = s.id FOR UPDATE; -- who writes for it is waited for, and finds it removed
        UPDATE sync o SET removed_at = now() WHERE o.id = s.id AND o.removed_at IS NULL;
        IF s.id <> w.at_sync THEN
            w.at_sync := s.id;
            w.at_model := '';
            w.at_id := '';
        END IF;
        SELECT count(*), array_agg(p.model) FILTER (WHERE p.sync_id = s.id), array_agg(p.id) FILTER (WHERE p.sync_id = s.id),
               max(ARRAY[p.model, p.id]) INTO seen, models, ids, last
          FROM (SELECT r.model, r.id, r.sync_id FROM record r
                 WHERE r.connection_id = s.connection_id AND (r.model, r.id) > (w.at_model, w.at_id)
                 ORDER BY r.model, r.id LIMIT at_most) p;
        PERFORM pg_advisory_xact_lock(hashtextextended(m.model, s.connection_id))
           FROM (SELECT DISTINCT u.model FROM unnest(models) u(model) ORDER BY 1) m;
        DELETE FROM record r WHERE r.sync_id = s.id AND r.ctid = ANY (ARRAY(
            SELECT (SELECT o.ctid FROM record o WHERE o.connection_id = s.connection_id AND o.model = p.model AND o.id = p.id)
              FROM unnest(models, ids) p(model, id)));
        IF seen = at_most THEN
            w.at_model := last[1];
            w.at_id := last[2];
        ELSE
            DELETE FROM checkpoint p WHERE p.function_id = s.function_id AND p.connection_id = s.connection_id
                                       AND p.variant = s.variant;
            DELETE FROM sync o WHERE o.id = s.id;
        END IF;
        done := done + 1 + seen;
    END LOOP;
    UPDATE schedule_work o SET at_sync = w.at_sync, at_model = w.at_model, at_id = w.at_id WHERE o.id = w.id;
    RETURN done;
END $$;

-- Deletes up to so many records of a connection that is about to go; how many.  So that no statement and no lock
-- of a delete lasts as long as all of them would take.  Locks and plans as above.
CREATE FUNCTION empty_connection(connection bigint, at_most int) RETURNS int LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    models text[];
    ids    text[];
BEGIN
    SELECT array_agg(p.model), array_agg(p.id) INTO models, ids
      FROM (SELECT r.model, r.id FROM record r WHERE r.connection_id = empty_connection.connection
             ORDER BY r.model, r.id LIMIT at_most) p;
    PERFORM pg_advisory_xact_lock(hashtextextended(m.model, empty_connection.connection))
       FROM (SELECT DISTINCT u.model FROM unnest(models) u(model) ORDER BY 1) m;
    DELETE FROM record r WHERE r.ctid = ANY (ARRAY(
        SELECT (SELECT o.ctid FROM record o WHERE o.connection_id = empty_connection.connection AND o.model = p.model AND o.id = p.id)
          FROM unnest(models, ids) p(model, id)));
    RETURN coalesce(cardinality(ids), 0);
END $$;

-- In triggers, not in the statements of a deploy and of a new connection: what an earlier release writes
-- counts, too.  A function without a version is no function yet.
CREATE FUNCTION function_scheduled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.deleted_at IS NOT NULL THEN
        DELETE FROM schedule c USING sync s WHERE s.function_id = NEW.id AND c.sync_id = s.id;
    END IF;
    INSERT INTO schedule_work (integration_id, function_id, removed)
        VALUES (NEW.integration_id, NEW.id, NEW.deleted_at IS NOT NULL);
    PERFORM pg_notify('sluice_schedule', '');
    RETURN NULL;
END $$;
CREATE TRIGGER function_scheduled AFTER UPDATE ON function FOR EACH ROW
    WHEN (NEW.type = 'sync' AND (NEW.version_id IS DISTINCT FROM OLD.version_id
                                 OR NEW.deleted_at IS DISTINCT FROM OLD.deleted_at))
    EXECUTE FUNCTION function_scheduled();

-- Whether the integration has syncs is not asked here: a deploy may be under way.
CREATE FUNCTION connection_scheduled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO schedule_work (integration_id, connection_id) VALUES (NEW.integration_id, NEW.id);
    PERFORM pg_notify('sluice_schedule', '');
    RETURN NULL;
END $$;
CREATE TRIGGER connection_scheduled AFTER INSERT ON connection FOR EACH ROW EXECUTE FUNCTION connection_scheduled();

-- What an earlier release has left: syncs without schedules, functions that were removed with their syncs.
INSERT INTO schedule_work (integration_id, function_id, removed)
    SELECT f.integration_id, f.id, f.deleted_at IS NOT NULL FROM function f
     WHERE f.type = 'sync' AND (f.deleted_at IS NULL AND f.version_id IS NOT NULL
                                OR f.deleted_at IS NOT NULL AND EXISTS (SELECT FROM sync s WHERE s.function_id = f.id))
     ORDER BY f.id;
