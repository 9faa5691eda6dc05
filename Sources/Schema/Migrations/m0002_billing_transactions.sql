-- The ledger of requests: one row a trace, pending -> committed | voided, and then never changed again.

CREATE TABLE billing_transactions (
    -- No foreign key of its own: rows are inserted only where tenant_epoch has the tenant, and that one has it.
    tenant_id          text NOT NULL,
    trace_id           uuid NOT NULL,
    api_key_id         text,
    epoch              bigint NOT NULL,
    rseq               bigint NOT NULL,
    day                integer NOT NULL,
    month              integer NOT NULL,
    hold               bigint NOT NULL CHECK (hold BETWEEN 0 AND 4000000000000000),
    limits_version     bigint NOT NULL,
    balance_before     bigint NOT NULL,
    balance_after      bigint NOT NULL,
    owner              text NOT NULL,
    deadline           timestamptz NOT NULL,
    capability         text NOT NULL,
    model              text NOT NULL,
    is_stream          boolean NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- set by settlement
    status             text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'committed', 'voided')),
    charge             bigint NOT NULL DEFAULT 0,
    price_version      bigint,
    input_tokens             bigint NOT NULL DEFAULT 0,
    cached_input_tokens      bigint NOT NULL DEFAULT 0,
    cache_write_tokens       bigint NOT NULL DEFAULT 0,
    cache_write_hour_tokens  bigint NOT NULL DEFAULT 0,
    output_tokens            bigint NOT NULL DEFAULT 0,
    reasoning_tokens         bigint NOT NULL DEFAULT 0,
    audio_input_tokens       bigint NOT NULL DEFAULT 0,
    audio_output_tokens      bigint NOT NULL DEFAULT 0,
    usage_source       text CHECK (usage_source IN ('provider', 'observed', 'estimated')),
    provider           text,
    provider_model_id  bigint,
    upstream_model     text,
    is_error           boolean NOT NULL DEFAULT false,
    error_code         text,
    stream_completed   boolean NOT NULL DEFAULT false,
    interrupted_by     text,
    latency_ms         bigint,
    settled_at         timestamptz,
    PRIMARY KEY (tenant_id, trace_id),
    CHECK (charge BETWEEN 0 AND hold),
    CHECK (status <> 'voided' OR charge = 0),
    CHECK ((status = 'pending') = (settled_at IS NULL))
) PARTITION BY RANGE (trace_id);

-- Ids sort by time and rows arrive by time, so a block range index finds recent rows and costs next to nothing. No index may
-- mention a column that settlement sets: that would end heap-only updates.
CREATE INDEX billing_transactions_by_time ON billing_transactions
    USING brin (trace_id uuid_minmax_ops) WITH (autosummarize = on, pages_per_range = 32);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed or removed', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER terminal_rows_stay BEFORE UPDATE ON billing_transactions
    FOR EACH ROW WHEN (OLD.status <> 'pending') EXECUTE FUNCTION refuse_change();
CREATE TRIGGER rows_stay BEFORE DELETE ON billing_transactions
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_stays BEFORE TRUNCATE ON billing_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER credits_stay BEFORE UPDATE OR DELETE ON credits
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER credits_table_stays BEFORE TRUNCATE ON credits
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER prices_stay BEFORE UPDATE OR DELETE ON prices
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- What a stream had delivered; a crash charges the last one.
CREATE TABLE stream_checkpoints (
    tenant_id     text NOT NULL,
    trace_id      uuid NOT NULL,
    provider_model_id bigint NOT NULL,
    price_version bigint NOT NULL,
    input_tokens  bigint NOT NULL,
    output_tokens bigint NOT NULL,
    usage_source  text NOT NULL,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, trace_id)
);

-- Makes the partitions of this month and of the months after it. A partition is one calendar month (UTC) of trace ids, whose
-- first 48 bits are Unix milliseconds. Runs with its owner's rights, so that the application can call it at every start.
CREATE FUNCTION make_billing_partitions(months_ahead integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    first timestamptz := date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
    low   timestamptz;
    high  timestamptz;
    part  text;
    made  integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('make_billing_partitions'));
    FOR ahead IN -1..least(months_ahead, 24) LOOP
        low := (first AT TIME ZONE 'UTC' + make_interval(months => ahead)) AT TIME ZONE 'UTC';
        high := (first AT TIME ZONE 'UTC' + make_interval(months => ahead + 1)) AT TIME ZONE 'UTC';
        part := 'billing_transactions_' || to_char(low AT TIME ZONE 'UTC', 'YYYY_MM');
        CONTINUE WHEN to_regclass(part) IS NOT NULL;
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF billing_transactions FOR VALUES FROM (%L) TO (%L) WITH (fillfactor = 50)',
            part, trace_id_floor(low), trace_id_floor(high));
        EXECUTE format(
            'CREATE TRIGGER table_stays BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', part);
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

-- The smallest trace id of a moment.
CREATE FUNCTION trace_id_floor(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

SELECT make_billing_partitions(3);

-- The usage records of the original requirements.
CREATE VIEW usage_records AS
    SELECT tenant_id, api_key_id, trace_id, model, capability,
           input_tokens + cached_input_tokens + cache_write_tokens + cache_write_hour_tokens + audio_input_tokens
               AS input_tokens,
           output_tokens + reasoning_tokens + audio_output_tokens AS output_tokens,
           charge AS total_cost, 'USD'::text AS currency, provider, latency_ms, is_error, is_stream, stream_completed,
           hold, hold - charge AS cost_diff, status, created_at, settled_at
      FROM billing_transactions;
