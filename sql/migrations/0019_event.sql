-- 0019_event: jobs of actions that somebody else than their worker ends are told of too; where events go.
-- Locks:  none.
-- Online: yes.  What an earlier release ends is told of as well.
SET LOCAL lock_timeout = '2s';

-- Where an environment's events go: null: as it is, '': nowhere.  events: bits of enum account_webhook; below 0: as
-- they are.  The environment's row is locked first: of two that set the same, one comes after the other.  A URL
-- that changes takes the troubles of the former with it, but not what an operator has said.
CREATE FUNCTION set_webhook(environment int, primary_url text, secondary_url text, events int) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE environment e SET webhook_events = CASE WHEN events < 0 THEN e.webhook_events ELSE events END
     WHERE e.id = set_webhook.environment;
    INSERT INTO endpoint AS p (environment_id, slot, url)
        SELECT environment, u.slot, u.url FROM (VALUES (1, primary_url), (2, secondary_url)) u(slot, url)
         WHERE u.url <> '' OR (u.url = '' AND EXISTS (SELECT FROM endpoint o
                   WHERE o.environment_id = set_webhook.environment AND o.slot = u.slot))
         ORDER BY u.slot
        ON CONFLICT (environment_id, slot) WHERE slot <> 3 DO UPDATE SET url = excluded.url,
            paused_at = CASE p.pause_cause WHEN 1 THEN p.paused_at END,
            pause_cause = CASE p.pause_cause WHEN 1 THEN 1 ELSE 0 END,
            failing_since = NULL, failures = 0, open_until = NULL
        WHERE p.url <> excluded.url;
END $$;

-- An action's job whose environment is to be told (job.webhook) has ended without its worker saying so: it was
-- cancelled, not started in time, lost with its worker, or set aside; or its worker never learned what it ran
-- for.  output is the result's.  A connection that is gone meanwhile has no name any more; the job has one.
CREATE FUNCTION action_ended(job uuid, output bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    failure constant text := convert_from(output, 'UTF8');
    type_   constant text := coalesce(definition_member(failure, 'code'), 'action_script_failure');
BEGIN
    INSERT INTO outbox (id, environment_id, connection_id, job_id, type, outcome, body)
        SELECT new_event_id(), j.environment_id, j.connection_id, j.id, 2, 3,
               '{"connectionId":' || coalesce(quoted(c.connection_id), 'null')
               || ',"error":{"description":' || quoted(coalesce(definition_member(failure, 'message'),
                      definition_member(definition_member(failure, 'payload'), 'message'),
                      definition_member(definition_member(failure, 'payload'), 'error'), type_))
               || ',"type":' || quoted(type_) || '},"from":"nango","payload":{"id":"' || j.id
               || '","statusUrl":"/action/' || j.id || '"},"providerConfigKey":'
               || coalesce(quoted(i.unique_key), 'null') || ',"success":false,"type":"async_action"}'
          FROM job j LEFT JOIN connection c ON c.id = j.connection_id
          LEFT JOIN function_version v ON v.id = j.function_version_id LEFT JOIN function f ON f.id = v.function_id
          LEFT JOIN integration i ON i.id = f.integration_id
         WHERE j.id = action_ended.job;
END $$;

-- What a run leaves that was ended by anybody but the worker that ran it: nobody else can tell that it failed.
-- ended and why are those of the result, which the caller has just written; an earlier release does not always
-- say why.  Of jobs of other kinds, and of actions that nobody asked to be told of, nothing happens.
CREATE OR REPLACE FUNCTION run_ended(job uuid, ended int, why bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    it     record;
    models json;
    tells  boolean;
BEGIN
    SELECT j.webhook INTO tells FROM job j WHERE j.id = run_ended.job AND j.kind = 1;
    IF FOUND THEN
        IF tells THEN
            PERFORM action_ended(run_ended.job,
                coalesce(why, (SELECT r.output FROM result r WHERE r.job_id = run_ended.job)));
        END IF;
        RETURN;
    END IF;
    SELECT j.kind, j.environment_id, j.connection_id, y.id AS sync, y.variant, y.last_success, f.name, c.connection_id AS connection,
           i.unique_key, v.definition,
           coalesce((SELECT max(a.started_at) FROM attempt a WHERE a.job_id = j.id), j.accepted_at) AS started INTO it
      FROM job j JOIN sync y ON y.id = substring(encode(substring(j.input FROM 1 FOR 40), 'escape') FROM '^\{"sync":([0-9]{1,18})')::bigint
      JOIN function f ON f.id = y.function_id JOIN connection c ON c.id = y.connection_id
      JOIN integration i ON i.id = c.integration_id JOIN function_version v ON v.id = j.function_version_id
     WHERE j.id = run_ended.job AND j.kind IN (2, 3);
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF it.kind = 2 THEN
        UPDATE sync y SET last_state = ended, last_ended = now(), trouble = 0, trouble_at = NULL
         WHERE y.id = it.sync AND y.job_id = run_ended.job;
    END IF;
    models := definition_member(it.definition, 'models');
    IF json_typeof(models) IS DISTINCT FROM 'array' THEN
        models := '[]';
    END IF;
    INSERT INTO outbox (id, environment_id, connection_id, job_id, type, outcome, body)
        VALUES (new_event_id(), it.environment_id, it.connection_id, run_ended.job, 1, 3,
            '{"connectionId":' || quoted(it.connection)
            || ',"error":{"description":' || quoted(coalesce(definition_member(convert_from(why, 'UTF8'), 'message'),
                   CASE ended WHEN 3 THEN 'The run was cancelled'
                              WHEN 4 THEN 'The run was not started in time'
                              WHEN 5 THEN 'The worker that ran the function was lost'
                              ELSE 'The process that ran the function died too often' END))
            || ',"payload":{"why":"sync"},"type":"script_error"},"failedAt":' || quoted(now())
            || ',"from":"nango","model":' || quoted(coalesce((SELECT string_agg(m, ',' ORDER BY o)
                   FROM json_array_elements_text(models) WITH ORDINALITY u(m, o)), ''))
            || ',"providerConfigKey":' || quoted(it.unique_key) || ',"startedAt":' || quoted(it.started)
            || ',"success":false,"syncName":' || quoted(it.name)
            || ',"syncType":' || CASE WHEN it.kind = 3 THEN '"WEBHOOK"' WHEN it.last_success IS NULL THEN '"INITIAL"'
                                      ELSE '"INCREMENTAL"' END
            || ',"syncVariant":' || quoted(it.variant) || ',"type":"sync"}');
END $$;
