-- 0011_node: the processes of the fleet, what each does, and what an operator wants of it.
-- Locks:  none but on the new table.  Online: yes, adds only; an earlier release has no row and cannot be steered.
SET LOCAL lock_timeout = '2s';

-- A row is written by its process alone, but for quiet, which operators write.  It goes when the process
-- stops in order; one that is not seen for an hour is removed by the scheduler that leads.
CREATE TABLE node (
    name           text        PRIMARY KEY,            -- host:pid:boot; also of session.node
    roles          smallint    NOT NULL,               -- enum daemon_role bits
    version        text        NOT NULL,               -- of its build
    schema_version int         NOT NULL,               -- that its build knows
    started_at     timestamptz NOT NULL DEFAULT now(),
    seen_at        timestamptz NOT NULL DEFAULT now(), -- by the ledger's clock
    beat_ms        int         NOT NULL,               -- how often it comes; unseen for three times that, it is lost
    state          smallint    NOT NULL,               -- enum node_state, as it says itself
    quiet          boolean     NOT NULL DEFAULT false, -- wanted: takes no work
    leads          boolean     NOT NULL DEFAULT false, -- as a scheduler
    session_id     bigint,                             -- of a worker
    doing          text        NOT NULL                -- JSON, see daemon/node.c
) WITH (fillfactor = 20);
