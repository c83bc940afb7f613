-- 0018_webhook: who is told of events, what was sent to them and how they answered.
-- Locks:  ACCESS EXCLUSIVE on environment and outbox, SHARE ROW EXCLUSIVE on connection, each briefly (columns
--         with constant defaults are added without a rewrite; the connections with a URL are read once).
-- Online: yes.  Events of syncs that an earlier release writes are delivered by workers of this one.  Jobs that it accepts
--         are not told of, and neither are async actions that a worker of it ends.
--
-- An event (outbox) has a delivery for each endpoint that wants it, made by a trigger in the transaction of
-- the event, whoever writes that.  What is still to be sent stands in delivery_due, which stays small: a
-- claim moves due_at behind the time that a try may take, so a claim whose node died is due again by itself.
SET LOCAL lock_timeout = '2s';

ALTER TABLE environment
    ADD COLUMN webhook_events     smallint NOT NULL DEFAULT 61, -- bits of enum account_webhook
    ADD COLUMN signing_key_before text     NOT NULL DEFAULT '', -- sealed like signing_key; signs for a day beside it
    ADD COLUMN signing_key_at     timestamptz;                  -- since when signing_key is the one

ALTER TABLE outbox
    ALTER COLUMN job_id DROP NOT NULL,                -- of a connection
    ADD COLUMN outcome smallint NOT NULL DEFAULT 0;   -- enum settle_event_outcome; 0: an earlier release does not say

CREATE TABLE endpoint (                        -- a URL that events are sent to, and how it does
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uuid           uuid        NOT NULL DEFAULT gen_random_uuid() UNIQUE, -- its name outside
    environment_id int         NOT NULL REFERENCES environment ON DELETE CASCADE,
    slot           smallint    NOT NULL,       -- enum endpoint_slot: 1 primary, 2 secondary, 3 of connections
    url            text        NOT NULL,       -- '': none at present; what waits for it goes on waiting
    created_at     timestamptz NOT NULL DEFAULT now(),
    paused_at      timestamptz,
    pause_cause    smallint    NOT NULL DEFAULT 0, -- enum endpoint_pause: 1 operator, 2 gone (410), 3 failing
    failing_since  timestamptz,                -- the first failure since the last success
    failures       int         NOT NULL DEFAULT 0, -- in a row
    open_until     timestamptz                 -- the circuit breaker's
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX endpoint_slot ON endpoint (environment_id, slot) WHERE slot <> 3;
CREATE UNIQUE INDEX endpoint_url ON endpoint (environment_id, url) WHERE slot = 3;
CREATE INDEX endpoint_environment ON endpoint (environment_id, id);
CREATE INDEX endpoint_trouble ON endpoint (id) WHERE paused_at IS NOT NULL OR failing_since IS NOT NULL;

CREATE TABLE delivery (                        -- an event for an endpoint
    id             uuid        PRIMARY KEY,    -- version 7
    event_id       uuid        NOT NULL,       -- of the outbox; the webhook-id
    endpoint_id    bigint      NOT NULL,
    environment_id int         NOT NULL,
    job_id         uuid,
    type           smallint    NOT NULL,       -- as in the outbox
    state          smallint    NOT NULL DEFAULT 1, -- enum delivery_state: 1 pending, 2 retrying, 3 delivered, 4 exhausted
    tries          int         NOT NULL DEFAULT 0, -- that were made
    base           int         NOT NULL DEFAULT 0, -- of these, before it was last resent: the schedule begins there
    ended_at       timestamptz                 -- delivered or exhausted since
) WITH (fillfactor = 80);                      -- its updates touch no index
CREATE INDEX delivery_environment ON delivery (environment_id, id);
CREATE INDEX delivery_endpoint ON delivery (endpoint_id, id);
CREATE INDEX delivery_job ON delivery (job_id) WHERE job_id IS NOT NULL;

CREATE TABLE delivery_due (                    -- what is still to be sent, and from when
    delivery_id uuid        PRIMARY KEY,
    endpoint_id bigint      NOT NULL,
    due_at      timestamptz NOT NULL,
    claim       bigint      NOT NULL DEFAULT 0 -- odd: claimed until due_at; even: it waits.  Only the last claim
                                               -- may say what became of it
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX delivery_due_lane ON delivery_due (endpoint_id, due_at);

CREATE TABLE delivery_try (                    -- never updated
    delivery_id uuid        NOT NULL,
    number      int         NOT NULL CHECK (number > 0),
    at          timestamptz NOT NULL,          -- sent; also the webhook-timestamp
    took_ms     int         NOT NULL,
    node        text        NOT NULL,
    url         text        NOT NULL,
    status      smallint    NOT NULL,          -- 0: no answer
    failure     text        NOT NULL,          -- '' for a 2xx; "http_status", "timeout", "refused_url", "ECONNREFUSED", ...
    detail      text        NOT NULL,          -- for humans
    headers     text        NOT NULL,          -- of the answer, a JSON object
    answer      bytea       NOT NULL,          -- its body, as far as it is kept
    cut         boolean     NOT NULL,          -- there was more of it
    PRIMARY KEY (delivery_id, number)
);

-- The endpoints that connections name.  A trigger, since earlier releases write connections too.
CREATE FUNCTION name_endpoint() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO endpoint (environment_id, slot, url) VALUES (NEW.environment_id, 3, NEW.webhook_url_override)
        ON CONFLICT (environment_id, url) WHERE slot = 3 DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER name_endpoint AFTER INSERT OR UPDATE OF webhook_url_override ON connection
    FOR EACH ROW WHEN (NEW.webhook_url_override <> '') EXECUTE FUNCTION name_endpoint();
INSERT INTO endpoint (environment_id, slot, url)
    SELECT DISTINCT environment_id, 3, webhook_url_override FROM connection WHERE webhook_url_override <> '';

-- Which bit of environment.webhook_events an event needs (enum account_webhook).
CREATE FUNCTION webhook_bit(type int, outcome int) RETURNS int LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE type WHEN 1 THEN CASE outcome WHEN 2 THEN 2 WHEN 3 THEN 4 ELSE 1 END
                     WHEN 2 THEN 8
                     WHEN 3 THEN CASE outcome WHEN 3 THEN 32 ELSE 16 END ELSE 0 END
$$;

-- A connection's own URL replaces those of its environment (wire.md 9).  Two branches, since each goes by an index
-- of its own.  Nothing may become a join: the plan is made once per connection, perhaps while the tables are empty.
CREATE FUNCTION relay_events() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
    WITH event AS (
        SELECT n.id, n.environment_id, n.job_id, n.type,
               coalesce((SELECT c.webhook_url_override FROM connection c WHERE c.id = n.connection_id), '') AS own
          FROM fresh n
         WHERE (SELECT e.webhook_events FROM environment e WHERE e.id = n.environment_id)
               & webhook_bit(n.type, n.outcome) <> 0
    ), wanted AS (
        SELECT new_event_id() AS id, n.id AS event_id, p.id AS endpoint_id, n.environment_id, n.job_id, n.type
          FROM event n CROSS JOIN LATERAL (
               SELECT q.id FROM endpoint q
                WHERE n.own = '' AND q.environment_id = n.environment_id AND q.slot <> 3 AND q.url <> ''
               UNION ALL
               SELECT q.id FROM endpoint q
                WHERE n.own <> '' AND q.environment_id = n.environment_id AND q.slot = 3 AND q.url = n.own
               LIMIT 2) p
    ), made AS (
        INSERT INTO delivery (id, event_id, endpoint_id, environment_id, job_id, type)
            SELECT w.id, w.event_id, w.endpoint_id, w.environment_id, w.job_id, w.type FROM wanted w
    )
    INSERT INTO delivery_due (delivery_id, endpoint_id, due_at) SELECT w.id, w.endpoint_id, now() FROM wanted w;
    RETURN NULL;
END $$;
CREATE TRIGGER relay_events AFTER INSERT ON outbox
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION relay_events();

-- Retention, in pieces; how many rows went.  What somebody works on at the moment is left for the next piece.
-- Nothing becomes a join here either.
CREATE OR REPLACE FUNCTION delete_old_events(keep interval) RETURNS int LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    oldest uuid := (lpad(to_hex((extract(epoch FROM now() - keep) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;
    gone int;
    more int;
BEGIN
    DELETE FROM delivery_due WHERE delivery_id = ANY (ARRAY(SELECT d.delivery_id FROM delivery_due d
        WHERE d.delivery_id < oldest ORDER BY d.delivery_id LIMIT 10000 FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS gone = ROW_COUNT;
    DELETE FROM delivery_try WHERE ctid = ANY (ARRAY(SELECT t.ctid FROM delivery_try t
        WHERE t.delivery_id < oldest ORDER BY t.delivery_id, t.number LIMIT 10000));
    GET DIAGNOSTICS more = ROW_COUNT;
    gone := gone + more;
    DELETE FROM delivery WHERE id = ANY (ARRAY(SELECT v.id FROM delivery v
        WHERE v.id < oldest ORDER BY v.id LIMIT 10000 FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS more = ROW_COUNT;
    gone := gone + more;
    DELETE FROM outbox WHERE id = ANY (ARRAY(SELECT o.id FROM outbox o WHERE o.id < oldest ORDER BY o.id LIMIT 10000));
    GET DIAGNOSTICS more = ROW_COUNT;
    gone := gone + more;
    -- Of endpoints that went with their environment.
    DELETE FROM delivery_due WHERE delivery_id = ANY (ARRAY(
        WITH RECURSIVE lane AS (
            (SELECT d.endpoint_id AS id FROM delivery_due d ORDER BY d.endpoint_id LIMIT 1)
            UNION ALL
            SELECT (SELECT d.endpoint_id FROM delivery_due d WHERE d.endpoint_id > l.id ORDER BY d.endpoint_id LIMIT 1)
              FROM lane l WHERE l.id IS NOT NULL
        )
        SELECT p.delivery_id
          FROM lane l CROSS JOIN LATERAL (SELECT d.delivery_id FROM delivery_due d
               WHERE d.endpoint_id = l.id LIMIT 10000 FOR UPDATE SKIP LOCKED) p
         WHERE l.id IS NOT NULL AND (SELECT true FROM endpoint e WHERE e.id = l.id) IS NULL LIMIT 10000));
    GET DIAGNOSTICS more = ROW_COUNT;
    RETURN gone + more;
END $$;
