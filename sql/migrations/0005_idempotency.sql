-- 0005_idempotency: which job an Idempotency-Key of an environment stands for, for 24 hours.
-- Locks:  none but on the new table.  Online: yes, adds only.
SET LOCAL lock_timeout = '2s';

CREATE TABLE idempotency (
    environment_id int         NOT NULL,
    key            text        NOT NULL,
    job_id         uuid        NOT NULL,
    digest         text        NOT NULL, -- SHA-256 of the request: the same key with another one is refused
    expires_at     timestamptz NOT NULL,
    PRIMARY KEY (environment_id, key)
);
CREATE INDEX idempotency_expires ON idempotency (expires_at);
