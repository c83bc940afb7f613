-- 0001_account: who may do what, and what they connected: environments, keys, integrations, connections.
-- Locks:  none but on the new tables.  Online: yes, adds only.
SET LOCAL lock_timeout = '2s';

CREATE TABLE environment (
    id            int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text        NOT NULL UNIQUE,
    uuid          text        NOT NULL UNIQUE, -- in the URL of incoming webhooks
    is_production boolean     NOT NULL,
    signing_key   text        NOT NULL,        -- sealed; '' for none
    settings      text        NOT NULL DEFAULT '{}',
    callback_url  text        NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE concurrency_key (                 -- what jobs of one key are ordered by (I3)
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    environment_id int  NOT NULL REFERENCES environment ON DELETE CASCADE,
    name           text NOT NULL,              -- 'actions': the environment's async actions
    UNIQUE (environment_id, name)
);

CREATE TABLE api_key (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    environment_id int REFERENCES environment ON DELETE CASCADE, -- null: account-level
    display_name   text        NOT NULL,
    digest         text        NOT NULL UNIQUE, -- SHA-256 in hex; the key itself is nowhere
    scopes         text        NOT NULL,        -- separated by one space
    created_at     timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX api_key_display_name ON api_key (coalesce(environment_id, 0), display_name);

CREATE TABLE environment_variable (
    environment_id int  NOT NULL REFERENCES environment ON DELETE CASCADE,
    name           text NOT NULL,
    value          text NOT NULL,              -- sealed
    PRIMARY KEY (environment_id, name)
);

-- JSON is kept as the bytes that came, so the type is text: jsonb refuses \u0000 and rewrites numbers.
CREATE TABLE integration (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    environment_id   int         NOT NULL REFERENCES environment ON DELETE CASCADE,
    unique_key       text        NOT NULL,
    provider         text        NOT NULL,
    display_name     text        NOT NULL,
    forward_webhooks boolean     NOT NULL,
    credentials      text        NOT NULL,     -- sealed; '' for none
    seal_row         text        NOT NULL,     -- associated data of the seal; never changes
    config           text        NOT NULL,
    custom           text        NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    UNIQUE (environment_id, unique_key),
    UNIQUE (id, environment_id)                -- so that references carry the environment
);

CREATE TABLE connection (
    id                   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    environment_id       int         NOT NULL,
    integration_id       bigint      NOT NULL,
    connection_id        text        NOT NULL,
    credentials          text        NOT NULL, -- sealed
    seal_row             text        NOT NULL,
    connection_config    text        NOT NULL,
    metadata             text        NOT NULL,
    tags                 text        NOT NULL,
    end_user             text        NOT NULL,
    webhook_url_override text        NOT NULL,
    created_at           timestamptz NOT NULL DEFAULT now(),
    updated_at           timestamptz NOT NULL DEFAULT now(),
    last_fetched_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (integration_id, connection_id),
    FOREIGN KEY (integration_id, environment_id) REFERENCES integration (id, environment_id)
        ON DELETE CASCADE
);
CREATE INDEX connection_environment ON connection (environment_id, id);
