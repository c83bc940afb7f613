-- 0016_record: how many records a model has, kept with each write; which unchanged records were seen, by batch.
-- Locks:  ACCESS EXCLUSIVE on track_window and sync for a moment (no rewrite); SHARE ROW EXCLUSIVE on connection
--         (foreign keys) and record (trigger).
-- Online: yes, adds only.  An earlier release marks each unchanged row instead, which this one reads too; it cannot
--         read the lists of this one, so of a window that this one has touched it deletes nothing.  It does not count
--         what it saves: the next write of this release, or the scheduler, finds that and has the model counted.
SET LOCAL lock_timeout = '2s';

CREATE TABLE record_model (                    -- one row for each model that has, or had, records
    connection_id bigint      NOT NULL REFERENCES connection ON DELETE CASCADE,
    model         text        NOT NULL,        -- as in record
    live          bigint      NOT NULL,        -- records that are not deleted
    newest        timestamptz NOT NULL DEFAULT '-infinity', -- last_modified of the newest write that was counted
    counted_at    timestamptz,                 -- since when live holds; null: the model has to be counted
    pruned_to     timestamptz NOT NULL DEFAULT now(), -- no older record keeps a payload, but those saved again
    recent        text[]      NOT NULL DEFAULT '{}', -- the newest writes and what they told, should one be repeated
    PRIMARY KEY (connection_id, model)
) WITH (fillfactor = 50);
CREATE INDEX record_model_uncounted ON record_model (connection_id, model) WHERE counted_at IS NULL;

-- Models of record from a place on, by one look-up each.
CREATE FUNCTION record_models(after_connection bigint, after_model text, at_most int)
RETURNS TABLE (connection_id bigint, model text) LANGUAGE sql STABLE AS $$
    WITH RECURSIVE found(connection_id, model, number) AS (
        (SELECT r.connection_id, r.model, 1 FROM record r
          WHERE (r.connection_id, r.model) > (after_connection, after_model) ORDER BY r.connection_id, r.model LIMIT 1)
        UNION ALL
        SELECT n.connection_id, n.model, f.number + 1 FROM found f CROSS JOIN LATERAL (
            SELECT r.connection_id, r.model FROM record r
             WHERE (r.connection_id, r.model) > (f.connection_id, f.model) ORDER BY r.connection_id, r.model LIMIT 1) n
         WHERE f.number < at_most)
    SELECT found.connection_id, found.model FROM found
$$;

INSERT INTO record_model (connection_id, model, live, pruned_to)
SELECT f.connection_id, f.model, 0, '-infinity' FROM record_models(0, '', 2147483647) f
 WHERE EXISTS (SELECT FROM connection c WHERE c.id = f.connection_id FOR KEY SHARE);

-- Rows that go for good are counted whoever removes them.
CREATE FUNCTION record_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE record_model m SET live = m.live - g.count
      FROM (SELECT o.connection_id, o.model, count(*) FROM gone o WHERE o.deleted IS NULL GROUP BY 1, 2) g
     WHERE m.connection_id = g.connection_id AND m.model = g.model;
    RETURN NULL;
END $$;
CREATE TRIGGER record_removed AFTER DELETE ON record REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION record_removed();

-- What a save left as it is, as one row for many records: unchanged rows of record are not written.
CREATE TABLE record_unchanged (
    connection_id bigint      NOT NULL REFERENCES connection ON DELETE CASCADE,
    model         text        NOT NULL,
    seen          bigint      NOT NULL,        -- of record_seen
    at            timestamptz NOT NULL DEFAULT now(),
    ids           text[]      NOT NULL,
    PRIMARY KEY (connection_id, model, seen)
);

-- Where the window began, once this release has seen it; opened is 0 then, so that an earlier one deletes nothing.
ALTER TABLE track_window ADD COLUMN since bigint;

-- The place of record_seen at which the newest run began: lists of what was unchanged are kept that long.
ALTER TABLE sync ADD COLUMN mark bigint, ADD COLUMN marked_at timestamptz;
