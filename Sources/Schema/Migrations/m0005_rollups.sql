-- Sums of the ledger behind a watermark, and snapshots of balances for people.

-- Charges and counts of each API key ('' for none) and day. Snapshots and checks read these sums and the rows behind the watermark
-- 'rollup', in one statement, so that every row counts once.
CREATE TABLE ledger_rollups (
    tenant_id   text NOT NULL,
    api_key_id  text NOT NULL,
    day         integer NOT NULL,
    committed   bigint NOT NULL,
    voided      bigint NOT NULL,
    charged     numeric NOT NULL,
    PRIMARY KEY (tenant_id, api_key_id, day)
);

-- Use by the hour (UTC) of the trace ids.
CREATE TABLE usage_hourly (
    hour           timestamptz NOT NULL,
    tenant_id      text NOT NULL,
    api_key_id     text NOT NULL,
    model          text NOT NULL,
    provider       text NOT NULL,
    committed      bigint NOT NULL,
    voided         bigint NOT NULL,
    errors         bigint NOT NULL,
    input_tokens   numeric NOT NULL,
    output_tokens  numeric NOT NULL,
    latency_ms     numeric NOT NULL,
    charged        numeric NOT NULL,
    PRIMARY KEY (hour, tenant_id, api_key_id, model, provider)
);

-- Below 'fence' no row is inserted any more; below 'rollup' all rows have ended and are in the sums. 'rollup' never passes 'fence'.
INSERT INTO job_watermarks (job, trace_id)
VALUES ('fence', '00000000-0000-0000-0000-000000000000'), ('rollup', '00000000-0000-0000-0000-000000000000');

-- The moment of a trace id.
CREATE FUNCTION trace_id_time(trace_id uuid) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT to_timestamp(('x0000' || left(replace(trace_id::text, '-', ''), 12))::bit(64)::bigint / 1000.0)
$$;

-- Whoever inserts holds this lock until its database transaction ends, and looks at the fence only when it has it. Whoever raises
-- the fence takes it alone: every row that was inserted below has then been committed, and no other will be.
CREATE FUNCTION refuse_rows_below_fence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(70811042, 0);
    IF EXISTS (SELECT FROM inserted
                WHERE trace_id < (SELECT w.trace_id FROM job_watermarks w WHERE w.job = 'fence')) THEN
        RAISE EXCEPTION 'the time of this trace id is closed' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER closed_time_stays_closed AFTER INSERT ON billing_transactions
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION refuse_rows_below_fence();

-- What Redis showed of each tenant and of each API key's budget when a job last looked. Never the source of a balance.
CREATE TABLE tenant_quotas (
    tenant_id       text PRIMARY KEY,
    balance         bigint NOT NULL,
    held            bigint NOT NULL,
    daily_used      bigint NOT NULL,
    day             integer NOT NULL,
    monthly_used    bigint NOT NULL,
    month           integer NOT NULL,
    epoch           bigint NOT NULL,
    limits_version  bigint NOT NULL,
    synced_at       timestamptz NOT NULL
);
CREATE TABLE api_key_quotas (
    tenant_id     text NOT NULL,
    api_key_id    text NOT NULL,
    budget_limit  bigint,
    budget_used   bigint NOT NULL,
    period        text NOT NULL,
    synced_at     timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, api_key_id)
);

GRANT SELECT, INSERT, UPDATE ON ledger_rollups, usage_hourly, tenant_quotas, api_key_quotas TO tollgate_app;

-- Forgets lives of Redis that nobody has met for so many days, a month at least. Runs with its owner's rights.
CREATE FUNCTION forget_redis_incarnations(days integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    forgotten integer;
BEGIN
    DELETE FROM redis_incarnations WHERE seen_at < now() - make_interval(days => greatest(days, 30));
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END
$$;
REVOKE ALL ON FUNCTION forget_redis_incarnations(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_redis_incarnations(integer) TO tollgate_app;
