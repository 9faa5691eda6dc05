-- What wrk sends, and what it tells at the end: one line of JSON. Times are in microseconds.
--
-- Environment: BENCH_BODY is the body of every request, BENCH_KEY the secret (empty for none).

wrk.method = 'POST'
wrk.body = os.getenv('BENCH_BODY')
wrk.headers['Content-Type'] = 'application/json'
local key = os.getenv('BENCH_KEY')
if key and key ~= '' then
    wrk.headers['Authorization'] = 'Bearer ' .. key
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '{"requests":%d,"duration":%d,"p50":%d,"p99":%d,"max":%d,"refused":%d,"lost":%d}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
        errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
