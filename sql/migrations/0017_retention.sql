-- 0017_retention: how far records were pruned on request, and which syncs keep none any more.
-- Locks:  ACCESS EXCLUSIVE on sync and record_model for a moment (no rewrite); SHARE ROW EXCLUSIVE on
--         connection (foreign key).
-- Online: yes, adds only.  An earlier release leaves a pruned record empty when it is saved unchanged.
SET LOCAL lock_timeout = '2s';

-- PATCH /records/prune goes on after this place: no record of the model up to it has a payload.  A pruned record
-- that is saved again gets its payload back where it stands, and the row goes.
CREATE TABLE record_cut (
    connection_id bigint      NOT NULL REFERENCES connection ON DELETE CASCADE,
    model         text        NOT NULL,
    cut_to        timestamptz NOT NULL,
    cut_uuid      uuid        NOT NULL,
    PRIMARY KEY (connection_id, model)
);

-- A model that is new to record_model may have older records, of an earlier release.
ALTER TABLE record_model ALTER COLUMN pruned_to SET DEFAULT '-infinity';

ALTER TABLE sync ADD COLUMN emptied_at timestamptz; -- when its records were deleted because it did not run any more
