-- How far a job has looked.
SELECT trace_id FROM job_watermarks WHERE job = $1
