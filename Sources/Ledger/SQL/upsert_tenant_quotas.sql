-- What Redis showed of many tenants: for people and audits. An older snapshot never replaces a newer one.
INSERT INTO tenant_quotas AS q (
    tenant_id, balance, held, daily_used, day, monthly_used, month, epoch, limits_version, synced_at)
SELECT *, $10::timestamptz
  FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
              $8::bigint[], $9::bigint[])
ON CONFLICT (tenant_id) DO UPDATE
   SET balance = excluded.balance, held = excluded.held, daily_used = excluded.daily_used, day = excluded.day,
       monthly_used = excluded.monthly_used, month = excluded.month, epoch = excluded.epoch,
       limits_version = excluded.limits_version, synced_at = excluded.synced_at
 WHERE q.synced_at <= excluded.synced_at
