-- 0004_routines: what statements call: refusals, forgiving JSON reads, partitions by day.
-- Locks:  none.  Online: yes, adds only.
SET LOCAL lock_timeout = '2s';

-- Ends the transaction with state (SL404: not found, SL409: conflict) unless ok.
CREATE FUNCTION require(ok boolean, state text, message text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF ok IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message;
    END IF;
END $$;

-- Stored JSON for comparisons only.  What jsonb cannot hold (\u0000, lone surrogates, huge numbers)
-- reads as null: such a row does not match a filter, and does not break the listing for the others.
CREATE FUNCTION json_view(document text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN document::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END $$;

-- The smallest UUIDv7 of a day (RFC 9562: 48 bits of milliseconds first).
CREATE FUNCTION uuid_day(day date) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((day - date '1970-01-01')::bigint * 86400000), 12, '0') || repeat('0', 20))::uuid
$$;

-- Adds the partitions of the days first_day .. last_day, counted from today in UTC; returns how many days
-- were new.  A day that already has rows in the default partition stays there.  ATTACH, unlike
-- PARTITION OF, lets the parent be read and written meanwhile; the default partition is locked briefly.
CREATE FUNCTION add_partitions(first_day int, last_day int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    parents constant text[] := ARRAY['job', 'attempt', 'result', 'retry'];
    today   constant date := (now() AT TIME ZONE 'UTC')::date;
    added   int := 0;
    day     date;
    parent  text;
    part    text;
    stray   boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(1397511491, 3); -- two schedulers at once
    PERFORM set_config('lock_timeout', '2s', true);
    FOR day IN SELECT today + n FROM generate_series(first_day, last_day) n LOOP
        IF to_regclass('job_' || to_char(day, 'YYYYMMDD')) IS NOT NULL THEN
            CONTINUE;
        END IF;
        SELECT EXISTS (SELECT FROM job_default WHERE id >= uuid_day(day) AND id < uuid_day(day + 1))
            OR EXISTS (SELECT FROM attempt_default WHERE job_id >= uuid_day(day) AND job_id < uuid_day(day + 1))
            OR EXISTS (SELECT FROM result_default WHERE job_id >= uuid_day(day) AND job_id < uuid_day(day + 1))
            OR EXISTS (SELECT FROM retry_default WHERE job_id >= uuid_day(day) AND job_id < uuid_day(day + 1))
            INTO stray;
        IF stray THEN
            CONTINUE;
        END IF;
        FOREACH parent IN ARRAY parents LOOP
            part := parent || '_' || to_char(day, 'YYYYMMDD');
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part, parent);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                           parent, part, uuid_day(day), uuid_day(day + 1));
        END LOOP;
        added := added + 1;
    END LOOP;
    RETURN added;
END $$;

SELECT add_partitions(-1, 3);
