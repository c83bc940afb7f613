-- 0003_ledger: jobs, attempts, results, retries; sessions and holds, which fence them.
-- Locks:  none but on the new tables.  Online: yes, adds only.
--
-- The partitioned tables share their bounds (the UUIDv7 floor of each day), so a job and all that
-- belongs to it drop together.  No foreign keys between them and no state column on job: the hot path
-- only inserts.  The default partitions take what no day is there for (a clock that jumped, a
-- scheduler that was away), so that an accept never fails for want of a partition.
SET LOCAL lock_timeout = '2s';

CREATE SEQUENCE job_seq CACHE 1;               -- the order in which jobs were accepted (I3)

CREATE TABLE job (                             -- accepted; never updated
    id                  uuid        NOT NULL,
    seq                 bigint      NOT NULL DEFAULT nextval('job_seq'),
    environment_id      int         NOT NULL,
    key_id              bigint      NOT NULL,
    function_version_id int         NOT NULL,
    connection_id       bigint      NOT NULL,
    accepted_at         timestamptz NOT NULL DEFAULT now(),
    kind                smallint    NOT NULL,  -- enum job_kind
    max_retries         smallint    NOT NULL,
    webhook             boolean     NOT NULL,
    input               bytea,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE TABLE job_default PARTITION OF job DEFAULT;

CREATE TABLE attempt (                         -- only tries that may have had effects (I5)
    job_id     uuid        NOT NULL,
    number     smallint    NOT NULL CHECK (number > 0),
    session_id bigint      NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz,                    -- set when a retry follows: decides once, whoever asks twice
    PRIMARY KEY (job_id, number)
) PARTITION BY RANGE (job_id);
CREATE TABLE attempt_default PARTITION OF attempt DEFAULT;
-- To find what a lost session had begun.  Sessions grow with time like the table does, so a few bytes
-- for each range of pages are enough, and an insert does not touch them.
CREATE INDEX attempt_session ON attempt USING brin (session_id)
    WITH (pages_per_range = 16, autosummarize = on);

CREATE TABLE result (                          -- one terminal state; its primary key is I4
    job_id     uuid        NOT NULL,
    attempt    smallint    NOT NULL,
    state      smallint    NOT NULL,           -- enum job_state
    session_id bigint      NOT NULL,
    ended_at   timestamptz NOT NULL DEFAULT now(),
    output     bytea,
    PRIMARY KEY (job_id)
) PARTITION BY RANGE (job_id);
CREATE TABLE result_default PARTITION OF result DEFAULT;

CREATE TABLE retry (                           -- a try that is due later; taken by deleting it
    job_id uuid        NOT NULL,
    number smallint    NOT NULL CHECK (number > 1),
    due_at timestamptz NOT NULL,
    PRIMARY KEY (job_id, number)
) PARTITION BY RANGE (job_id);
CREATE TABLE retry_default PARTITION OF retry DEFAULT;
CREATE INDEX retry_due ON retry (due_at);

CREATE TABLE session (                         -- one per worker process; a new one after any doubt
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node       text        NOT NULL,
    beat       bigint      NOT NULL DEFAULT 0,
    live       boolean     NOT NULL DEFAULT true, -- false is for ever
    started_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 20);

CREATE TABLE hold (                            -- which session has a key; slot < the key's limit (I3)
    key_id     bigint   NOT NULL,
    slot       smallint NOT NULL,
    tenure     bigint   NOT NULL,
    session_id bigint,
    PRIMARY KEY (key_id, slot)
) WITH (fillfactor = 20);
