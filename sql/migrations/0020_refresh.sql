-- 0020_refresh: who refreshes a connection's credentials, and how that went.
-- Locks:  SHARE ROW EXCLUSIVE on connection for the reference, and SHARE while its index is built.
-- Online: yes.  An earlier release does not refresh, and reads neither.
SET LOCAL lock_timeout = '2s';

CREATE TABLE refresh (                         -- no row: it was never tried
    connection_id bigint      PRIMARY KEY REFERENCES connection ON DELETE CASCADE,
    claim         bigint      NOT NULL DEFAULT 0, -- counts the claims: only the last one may record
    claimed_until timestamptz,                 -- null: nobody is at it
    refreshed_at  timestamptz,                 -- the last that went well
    failed_at     timestamptz,                 -- the last failure; null: it is well
    failing_day   date,                        -- of the last failure that counted (UTC): one a day does
    failing_days  int         NOT NULL DEFAULT 0, -- days in a row with a failure
    cause         text        NOT NULL DEFAULT '', -- for humans, without secrets
    log_id        uuid                         -- names the failure in the log and in errors[]
) WITH (fillfactor = 70);

CREATE INDEX connection_fetched ON connection (last_fetched_at, id); -- the background refresh takes the oldest
