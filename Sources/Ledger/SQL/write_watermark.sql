-- Moves a job's watermark.
INSERT INTO job_watermarks (job, trace_id) VALUES ($1, $2)
ON CONFLICT (job) DO UPDATE SET trace_id = excluded.trace_id
