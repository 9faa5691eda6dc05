-- Removes what was kept so that it is not done again, and is of a time that has long ended.
DELETE FROM outbox WHERE done_at < now() - interval '62 days' AND task_key NOT LIKE '%:total'
