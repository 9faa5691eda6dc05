-- What is to be done after a database transaction has committed, written by that transaction itself: a rollback takes it along,
-- and a crash after COMMIT cannot lose it.

CREATE TABLE outbox (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text NOT NULL CHECK (kind IN ('credit', 'budget_warning', 'webhook')),
    -- What it is about: it is done once a kind and key.
    task_key   text NOT NULL CHECK (length(task_key) BETWEEN 1 AND 300),
    -- NULL: it is about the installation.
    tenant_id  text,
    -- NULL: no request caused it.
    trace_id   uuid,
    payload    text NOT NULL,
    attempts   integer NOT NULL DEFAULT 0,
    -- When it is to be tried next. NULL: not any more.
    due_at     timestamptz DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Of what must not be done again: when it was done. Everything else is removed then.
    done_at    timestamptz,
    -- When it was given up.
    dead_at    timestamptz,
    last_error text,
    UNIQUE (kind, task_key),
    CHECK ((due_at IS NULL) = (done_at IS NOT NULL OR dead_at IS NOT NULL))
);
CREATE INDEX outbox_due ON outbox (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX outbox_dead ON outbox (dead_at) WHERE dead_at IS NOT NULL;

GRANT SELECT, INSERT, DELETE ON outbox TO tollgate_app;
GRANT UPDATE (attempts, due_at, done_at, dead_at, last_error) ON outbox TO tollgate_app;
