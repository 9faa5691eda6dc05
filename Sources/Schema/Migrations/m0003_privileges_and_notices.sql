-- What the application may do, and how its processes learn of changes.

GRANT USAGE ON SCHEMA public TO tollgate_app;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO tollgate_app;

GRANT INSERT ON tenants, tenant_epoch, credits, api_keys, admin_tokens, providers, provider_credentials,
    provider_models, prices, redis_incarnations, owners, house_entries, job_watermarks, billing_transactions,
    stream_checkpoints TO tollgate_app;
GRANT UPDATE (status, time_zone, credit_limit, daily_quota, monthly_quota, limits_version, credit_seq)
    ON tenants TO tollgate_app;
-- SELECT ... FOR SHARE, which fences reservations, asks for the right to update the row.
GRANT UPDATE (epoch) ON tenant_epoch TO tollgate_app;
GRANT UPDATE (label, expires_at, revoked_at, allowed_models) ON api_keys TO tollgate_app;
GRANT UPDATE (revoked_at) ON admin_tokens TO tollgate_app;
GRANT UPDATE (base_url, allow_private_addresses) ON providers TO tollgate_app;
GRANT UPDATE (priority, weight, output_tokens_max, bytes_per_token, output_cap_field)
    ON provider_models TO tollgate_app;
GRANT DELETE ON providers, provider_credentials, provider_models, owners, stream_checkpoints TO tollgate_app;
GRANT UPDATE (seen_at) ON redis_incarnations TO tollgate_app;
GRANT UPDATE ON owners, stream_checkpoints, job_watermarks TO tollgate_app;

GRANT UPDATE (status, charge, price_version, input_tokens, cached_input_tokens, cache_write_tokens,
    cache_write_hour_tokens, output_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens, usage_source,
    provider, provider_model_id, upstream_model, is_error, error_code, stream_completed, interrupted_by, latency_ms,
    settled_at, hold, deadline) ON billing_transactions TO tollgate_app;

REVOKE ALL ON FUNCTION make_billing_partitions(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_billing_partitions(integer) TO tollgate_app;

CREATE FUNCTION notify_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify(TG_ARGV[0], '');
    RETURN NULL;
END
$$;

CREATE TRIGGER tell_catalog AFTER INSERT OR UPDATE OR DELETE ON providers
    FOR EACH STATEMENT EXECUTE FUNCTION notify_change('tollgate_catalog');
CREATE TRIGGER tell_catalog AFTER INSERT OR UPDATE OR DELETE ON provider_credentials
    FOR EACH STATEMENT EXECUTE FUNCTION notify_change('tollgate_catalog');
CREATE TRIGGER tell_catalog AFTER INSERT OR UPDATE OR DELETE ON provider_models
    FOR EACH STATEMENT EXECUTE FUNCTION notify_change('tollgate_catalog');
CREATE TRIGGER tell_catalog AFTER INSERT ON prices
    FOR EACH STATEMENT EXECUTE FUNCTION notify_change('tollgate_catalog');
-- Only what changes who may call; a credit touches tenants too and must not empty every cache.
CREATE TRIGGER tell_tenancy AFTER UPDATE OF status, time_zone, limits_version ON tenants
    FOR EACH STATEMENT EXECUTE FUNCTION notify_change('tollgate_tenancy');
CREATE TRIGGER tell_tenancy AFTER UPDATE OR DELETE ON api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION notify_change('tollgate_tenancy');
CREATE TRIGGER tell_tenancy AFTER INSERT OR UPDATE OR DELETE ON admin_tokens
    FOR EACH STATEMENT EXECUTE FUNCTION notify_change('tollgate_tenancy');
