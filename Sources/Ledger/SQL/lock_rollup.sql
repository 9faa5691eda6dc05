-- Keeps another roll-up from beginning where this one does.
SELECT trace_id FROM job_watermarks WHERE job = 'rollup' FOR UPDATE
