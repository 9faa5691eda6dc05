-- Books what the house pays: one entry a trace and kind, however often it is repeated.
INSERT INTO house_entries (tenant_id, trace_id, kind, amount)
SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::bigint[])
ON CONFLICT DO NOTHING
