-- Installs a tenant's image, rebuilt from the ledger: balance, counters, every budget and every pending hold, in place of whatever
-- is there. The minute begins at zero.
--
-- KEYS  1 tenant hash · 2 holds hash · 3 warm-up lease · then the hash of each API key that has a budget, or had one
-- ARGV  1 lease token · 2 incarnation · 3 epoch · 4 balance · 5 credit limit · 6 daily quota ('' = none) · 7 daily used · 8 day
--       9 monthly quota · 10 monthly used · 11 month · 12 cseq · 13 limits version · 14 ver · 15 rpm limit · 16 tpm limit
--       17 concurrency limit · then for each API key: budget limit ('' = none any more), budget used, its period: the day, the month or
--       'total' · then trace, hold, trace, hold …
-- Reply LOST  the lease is another's by now · NEWER an image of this or a later epoch stands · OK
if redis.call('GET', KEYS[3]) ~= ARGV[1] then
    return 'LOST'
end
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch and tonumber(epoch) >= tonumber(ARGV[3]) then
    return 'NEWER'
end
-- What has to be looked at beside the balance and the quotas.
local checks = {}
if ARGV[15] .. ARGV[16] .. ARGV[17] ~= '' then checks[1] = 'rates' end
if #KEYS > 3 then checks[#checks + 1] = 'budgets' end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'inc', ARGV[2], 'epoch', ARGV[3], 'balance', ARGV[4], 'credit_limit', ARGV[5],
    'daily_quota', ARGV[6], 'daily_used', ARGV[7], 'daily_date', ARGV[8],
    'monthly_quota', ARGV[9], 'monthly_used', ARGV[10], 'monthly_month', ARGV[11],
    'cseq', ARGV[12], 'version', ARGV[13], 'ver', ARGV[14], 'checks', table.concat(checks, ','),
    'rpm_limit', ARGV[15], 'tpm_limit', ARGV[16], 'concurrency_limit', ARGV[17],
    'minute', '0', 'minute_requests', '0', 'minute_tokens', '0')
local at = 18
for i = 4, #KEYS do
    redis.call('HSET', KEYS[i], 'epoch', ARGV[3], 'budget_limit', ARGV[at], 'budget_used', ARGV[at + 1],
        'period', ARGV[at + 2])
    at = at + 3
end
for i = at, #ARGV, 2 do
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
end
redis.call('DEL', KEYS[3])
return 'OK'
