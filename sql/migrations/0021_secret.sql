-- 0021_secret: secrets of the fleet itself, which keys each process has, and how far sealing anew came.
-- Locks:  ACCESS EXCLUSIVE on node, briefly (a column with a constant default is added without a rewrite).
-- Online: yes, adds only.  An earlier release derives what `envelope` holds from its first key, which is the same
--         until another key becomes the first: that is for a fleet of this release only, and sealing anew asks for it.
SET LOCAL lock_timeout = '2s';

CREATE TABLE secret (
    name       text        PRIMARY KEY,        -- 'check': opened by each process that starts; 'envelope': signs jobs in Redis
    sealed     text        NOT NULL,           -- for the row "secret:NAME"
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Names of its encryption keys, the one that seals first; '': a process of an earlier release.
ALTER TABLE node ADD COLUMN keys text NOT NULL DEFAULT '';

CREATE TABLE rekey (                           -- one row: the pass that runs, or the last one
    one         boolean     PRIMARY KEY DEFAULT true CHECK (one),
    key_id      text        NOT NULL,          -- under which values are sealed anew
    node        text        NOT NULL,          -- that is at it, or was
    pass        bigint      NOT NULL,          -- counts them: only the newest may write here
    kind        smallint    NOT NULL,          -- enum secret_kind: how far it came, with the place behind which it goes on
    place       bigint      NOT NULL,
    name        text        NOT NULL,
    part        text        NOT NULL,
    checked     bigint      NOT NULL DEFAULT 0,
    sealed      bigint      NOT NULL DEFAULT 0,
    failed      bigint      NOT NULL DEFAULT 0, -- values that no key opens
    started_at  timestamptz NOT NULL DEFAULT now(),
    seen_at     timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
) WITH (fillfactor = 20);

-- Until the end of the transaction nobody claims a refresh, and every claim that was made is seen: credentials that are being
-- refreshed are not sealed anew, and who claims them later reads them as they are then.
CREATE FUNCTION hold_claims() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE refresh IN SHARE MODE;
END $$;
