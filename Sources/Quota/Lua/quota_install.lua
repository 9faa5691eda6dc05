-- Installs a tenant's image, rebuilt from the ledger: balance, counters and every pending hold, in place of whatever is there.
--
-- KEYS  1 tenant hash · 2 holds hash · 3 warm-up lease
-- ARGV  1 lease token · 2 incarnation · 3 epoch · 4 balance · 5 credit limit · 6 daily quota ('' = none) · 7 daily used · 8 day
--       9 monthly quota · 10 monthly used · 11 month · 12 cseq · 13 limits version · 14 ver · then trace, hold, trace, hold …
-- Reply LOST  the lease is another's by now · NEWER an image of this or a later epoch stands · OK
if redis.call('GET', KEYS[3]) ~= ARGV[1] then
    return 'LOST'
end
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch and tonumber(epoch) >= tonumber(ARGV[3]) then
    return 'NEWER'
end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'inc', ARGV[2], 'epoch', ARGV[3], 'balance', ARGV[4], 'credit_limit', ARGV[5],
    'daily_quota', ARGV[6], 'daily_used', ARGV[7], 'daily_date', ARGV[8],
    'monthly_quota', ARGV[9], 'monthly_used', ARGV[10], 'monthly_month', ARGV[11],
    'cseq', ARGV[12], 'version', ARGV[13], 'ver', ARGV[14])
for i = 15, #ARGV, 2 do
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
end
redis.call('DEL', KEYS[3])
return 'OK'
