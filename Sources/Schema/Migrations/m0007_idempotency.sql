-- Requests that may be sent again and run once.

-- Whose request a key stands for. A claim is inserted together with the row of its request, and is worth what becomes of that:
-- once the row is voided the key is free again, without anybody having to say so.
CREATE TABLE idempotency_keys (
    tenant_id  text NOT NULL,
    api_key_id text NOT NULL,
    key        text NOT NULL CHECK (octet_length(key) BETWEEN 1 AND 255),
    trace_id   uuid NOT NULL,
    -- SHA-256 of the route and the body
    body_hash  bytea NOT NULL CHECK (octet_length(body_hash) = 32),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL DEFAULT clock_timestamp() + interval '24 hours',
    PRIMARY KEY (tenant_id, api_key_id, key)
);

-- What those requests were answered, inserted together with their charge.
CREATE TABLE idempotent_answers (
    tenant_id    text NOT NULL,
    trace_id     uuid NOT NULL,
    status       integer NOT NULL CHECK (status BETWEEN 200 AND 599),
    content_type text NOT NULL,
    -- null: too large to be kept
    body         bytea,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, trace_id)
);

GRANT SELECT, INSERT, DELETE ON idempotency_keys, idempotent_answers TO tollgate_app;
GRANT UPDATE (trace_id, body_hash, created_at, expires_at) ON idempotency_keys TO tollgate_app;
