-- Closes the time that is older than so many seconds, by PostgreSQL's clock: no row is inserted there any more.
UPDATE job_watermarks
   SET trace_id = greatest(trace_id, trace_id_floor(now() - $1::integer * interval '1 second'))
 WHERE job = 'fence'
RETURNING trace_id
