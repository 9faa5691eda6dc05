-- What an operator should know of the server: its version, what durability rests on, connections, the clock in milliseconds, and
-- whether next month's rows have a place.
SELECT current_setting('server_version'), current_setting('synchronous_commit'), current_setting('fsync'),
       current_setting('full_page_writes'), pg_is_in_recovery(), current_setting('is_superuser'),
       current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
       (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
       to_regclass('billing_transactions_' || to_char(now() AT TIME ZONE 'UTC' + interval '1 month', 'YYYY_MM'))
         IS NOT NULL
