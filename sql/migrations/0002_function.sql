-- 0002_function: deployed functions and their versions; a job uses one version to its end.
-- Locks:  none but on the new tables and, briefly, SHARE ROW EXCLUSIVE on integration (foreign key).
-- Online: yes, adds only.
SET LOCAL lock_timeout = '2s';

CREATE TABLE function (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    environment_id int     NOT NULL,
    integration_id bigint  NOT NULL,
    type           text    NOT NULL,           -- 'action', 'sync', 'on-event'
    name           text    NOT NULL,
    enabled        boolean NOT NULL DEFAULT true,
    version_id     int,                        -- the active one; set by the transaction that adds it
    deleted_at     timestamptz,                -- the row stays: jobs that were accepted still use it
    FOREIGN KEY (integration_id, environment_id) REFERENCES integration (id, environment_id)
        ON DELETE CASCADE
);
CREATE UNIQUE INDEX function_name ON function (integration_id, type, name) WHERE deleted_at IS NULL;
CREATE INDEX function_environment ON function (environment_id) WHERE deleted_at IS NULL;

CREATE TABLE function_version (                -- never updated
    id          int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    function_id bigint      NOT NULL REFERENCES function ON DELETE CASCADE,
    version     text        NOT NULL,
    event       text        NOT NULL,          -- of on-event functions, else ''
    source      text        NOT NULL,          -- 'repo', 'catalog', 'standalone'
    definition  text        NOT NULL,          -- JSON as it came, without the code
    code        text        NOT NULL,          -- ES5
    ts          text        NOT NULL,
    digest      text        NOT NULL,          -- of code and definition
    deployed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX function_version_function ON function_version (function_id);
