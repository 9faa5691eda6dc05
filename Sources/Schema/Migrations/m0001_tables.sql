-- The first schema. Amounts are nano-dollars (bigint); sums over a lifetime are numeric.
-- The role tollgate_app (responder, CLI, jobs) exists before; it owns nothing.

CREATE TABLE tenants (
    id              text PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    status          text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    currency        text NOT NULL DEFAULT 'USD',
    time_zone       text NOT NULL DEFAULT 'UTC',
    credit_limit    bigint NOT NULL DEFAULT 0 CHECK (credit_limit BETWEEN 0 AND 4000000000000000),
    daily_quota     bigint CHECK (daily_quota BETWEEN 0 AND 9000000000000000),
    monthly_quota   bigint CHECK (monthly_quota BETWEEN 0 AND 9000000000000000),
    limits_version  bigint NOT NULL DEFAULT 1,
    credit_seq      bigint NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL DEFAULT now()
);

-- One number a tenant, raised before every rebuild of its image in Redis.
CREATE TABLE tenant_epoch (
    tenant_id text PRIMARY KEY REFERENCES tenants,
    epoch     bigint NOT NULL DEFAULT 0
);

CREATE TABLE credits (
    tenant_id   text NOT NULL REFERENCES tenants,
    seq         bigint NOT NULL,
    amount      bigint NOT NULL CHECK (amount BETWEEN 1 AND 9000000000000000),
    kind        text NOT NULL,
    external_id text NOT NULL CHECK (length(external_id) BETWEEN 1 AND 200),
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, seq),
    UNIQUE (tenant_id, external_id)
);

CREATE TABLE api_keys (
    id             text PRIMARY KEY,
    tenant_id      text NOT NULL REFERENCES tenants,
    label          text NOT NULL DEFAULT '',
    secret_hash    bytea NOT NULL,
    allowed_models text[],
    expires_at     timestamptz,
    revoked_at     timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX api_keys_by_tenant ON api_keys (tenant_id);

CREATE TABLE admin_tokens (
    id         text PRIMARY KEY,
    label      text NOT NULL DEFAULT '',
    token_hash bytea NOT NULL,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE providers (
    name                    text PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    kind                    text NOT NULL DEFAULT 'openai' CHECK (kind IN ('openai')),
    base_url                text NOT NULL,
    allow_private_addresses boolean NOT NULL DEFAULT false,
    created_at              timestamptz NOT NULL DEFAULT now()
);

-- Sealed with a key derived from the installation's pepper: a copy of the database opens nothing.
CREATE TABLE provider_credentials (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider   text NOT NULL REFERENCES providers,
    sealed     bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE provider_models (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model             text NOT NULL CHECK (length(model) BETWEEN 1 AND 256),
    provider          text NOT NULL REFERENCES providers,
    upstream_model    text NOT NULL CHECK (length(upstream_model) BETWEEN 1 AND 256),
    priority          integer NOT NULL DEFAULT 100,
    weight            integer NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 1000000),
    output_tokens_max bigint NOT NULL DEFAULT 4096 CHECK (output_tokens_max BETWEEN 1 AND 10000000),
    bytes_per_token   integer NOT NULL DEFAULT 1 CHECK (bytes_per_token BETWEEN 1 AND 16),
    output_cap_field  text NOT NULL DEFAULT 'max_tokens'
                      CHECK (output_cap_field IN ('max_tokens', 'max_completion_tokens')),
    created_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (model, provider, upstream_model)
);

-- Nano-dollars per million tokens. Rows never change; the newest row of a model is in force.
CREATE TABLE prices (
    version           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model             text NOT NULL,
    provider          text REFERENCES providers,
    input             bigint NOT NULL CHECK (input BETWEEN 0 AND 1000000000000000),
    cached_input      bigint NOT NULL CHECK (cached_input BETWEEN 0 AND 1000000000000000),
    cache_write       bigint NOT NULL CHECK (cache_write BETWEEN 0 AND 1000000000000000),
    cache_write_hour  bigint NOT NULL CHECK (cache_write_hour BETWEEN 0 AND 1000000000000000),
    output            bigint NOT NULL CHECK (output BETWEEN 0 AND 1000000000000000),
    reasoning         bigint NOT NULL CHECK (reasoning BETWEEN 0 AND 1000000000000000),
    audio_input       bigint NOT NULL CHECK (audio_input BETWEEN 0 AND 1000000000000000),
    audio_output      bigint NOT NULL CHECK (audio_output BETWEEN 0 AND 1000000000000000),
    per_request       bigint NOT NULL DEFAULT 0 CHECK (per_request BETWEEN 0 AND 4000000000000000),
    published_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX prices_by_model ON prices (model, version DESC);

-- One life of a Redis process. A tenant's image made in another life may lack acknowledged writes.
CREATE TABLE redis_incarnations (
    incarnation    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id         text NOT NULL,
    replication_id text NOT NULL,
    seen_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (run_id, replication_id)
);

-- Responder processes. `host` is the kernel's boot id and pid namespace: on the same one, a process that is gone is dead now.
CREATE TABLE owners (
    owner         text PRIMARY KEY,
    lease_until   timestamptz NOT NULL,
    renewed_at    timestamptz NOT NULL DEFAULT now(),
    host          text NOT NULL,
    pid           integer NOT NULL,
    process_start bigint NOT NULL,
    started_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE house_entries (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id  text NOT NULL REFERENCES tenants,
    trace_id   uuid NOT NULL,
    kind       text NOT NULL,
    amount     bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, trace_id, kind)
);

-- How far a job has looked; nothing older needs another look.
CREATE TABLE job_watermarks (
    job       text PRIMARY KEY,
    trace_id  uuid NOT NULL
);
