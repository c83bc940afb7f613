-- 0007_sync: syncs, their checkpoints, the records cache and the windows of tracked deletes.
-- Locks:  none but on the new tables and, briefly, SHARE ROW EXCLUSIVE on connection, function and
--         concurrency_key (foreign keys).  Online: yes, adds only.
SET LOCAL lock_timeout = '2s';

CREATE TABLE sync (                            -- one function for one connection and variant
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uuid           uuid   NOT NULL UNIQUE DEFAULT gen_random_uuid(), -- what users see
    environment_id int    NOT NULL,
    function_id    bigint NOT NULL REFERENCES function ON DELETE CASCADE,
    connection_id  bigint NOT NULL REFERENCES connection ON DELETE CASCADE,
    variant        text   NOT NULL,
    key_id         bigint NOT NULL UNIQUE REFERENCES concurrency_key ON DELETE CASCADE, -- two runs never overlap
    last_success   timestamptz,                -- when the newest good run began
    job_id         uuid,                       -- the newest run, noted before it is accepted
    claimed_at     timestamptz,                -- when it was noted
    last_state     smallint,                   -- enum job_state of the newest run that told its result
    last_ended     timestamptz,
    last_result    text,                       -- JSON: counts by model
    UNIQUE (function_id, connection_id, variant)
);
CREATE INDEX sync_connection ON sync (connection_id);

-- A sync takes its key along: nothing else uses it.
CREATE FUNCTION sync_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM concurrency_key WHERE id = OLD.key_id;
    RETURN NULL;
END $$;
CREATE TRIGGER sync_deleted AFTER DELETE ON sync FOR EACH ROW EXECUTE FUNCTION sync_deleted();

CREATE TABLE checkpoint (                      -- where a function left off; actions have one too
    connection_id bigint NOT NULL REFERENCES connection ON DELETE CASCADE,
    function_id   bigint NOT NULL REFERENCES function ON DELETE CASCADE,
    variant       text   NOT NULL,
    version       bigint NOT NULL,             -- grows by one with each write
    value         text,                        -- JSON; null: cleared
    PRIMARY KEY (function_id, connection_id, variant)
);
-- On connection, not on function: a plan that takes it for a look-up by the primary key reads a few rows.
CREATE INDEX checkpoint_connection ON checkpoint (connection_id);

-- The order of "seen": saves, opened windows and marks.  No clock matters to tracked deletes.
CREATE SEQUENCE record_seen CACHE 1;

-- seen is in no index and pages keep room, so that marking an unchanged record as seen is a HOT update.
-- sync_id is of the sync that wrote last; without foreign key: each reference is paid per saved row,
-- and the one to connection removes all that a sync has.
CREATE TABLE record (
    connection_id bigint      NOT NULL REFERENCES connection ON DELETE CASCADE,
    model         text        NOT NULL,        -- 'Model' or 'Model::variant'
    id            text        NOT NULL,        -- the caller's
    uuid          uuid        NOT NULL DEFAULT gen_random_uuid(),
    sync_id       bigint      NOT NULL,
    seen          bigint      NOT NULL,
    last_action   smallint    NOT NULL,        -- enum record_action
    first_seen    timestamptz NOT NULL,
    last_modified timestamptz NOT NULL,        -- with uuid the place in the order of reading
    deleted       timestamptz,
    pruned        timestamptz,
    digest        bytea       NOT NULL,        -- of the plain JSON
    payload       bytea       NOT NULL,        -- sealed
    PRIMARY KEY (connection_id, model, id)
) WITH (fillfactor = 90);
-- Holds every row.  Its condition keeps it away from look-ups by id: a plan made while the table is empty
-- would take it for them as well as the primary key, and then read the whole model for each.
CREATE INDEX record_order ON record (connection_id, model, last_modified, uuid)
    WHERE last_modified > '-infinity';

CREATE TABLE track_window (                    -- what was not seen since is deleted when it closes
    sync_id bigint NOT NULL REFERENCES sync ON DELETE CASCADE,
    model   text   NOT NULL,
    opened  bigint NOT NULL,                   -- of record_seen
    PRIMARY KEY (sync_id, model)
);
