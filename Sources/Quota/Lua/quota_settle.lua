-- Settles a hold: gives back what was held and not charged, and forgets the hold. Repeating it changes nothing.
--
-- KEYS  1 tenant hash · 2 holds hash
-- ARGV  1 incarnation · 2 trace · 3 epoch of the hold · 4 rseq of the hold · 5 charge · 6 '1' when voided: the request does not count
-- Reply MISS                  no image, or one of another incarnation: whoever rebuilds it reads the settled row
--       GONE {balance}        no such hold, or another one under the same trace
--       OK   {balance}
--       Word and field are one text, with a bar between them.
local t = redis.call('HMGET', KEYS[1], 'inc', 'balance', 'daily_date', 'monthly_month')
if t[1] ~= ARGV[1] then
    return 'MISS'
end
local held = redis.call('HGET', KEYS[2], ARGV[2])
if not held then
    return 'GONE|' .. t[2]
end
local amount, epoch, rseq, key, day, month = held:match('^(%d+)|(%d+)|(%d+)|([^|]*)|(%d+)|(%d+)')
if epoch ~= ARGV[3] or rseq ~= ARGV[4] then
    return 'GONE|' .. t[2]
end
redis.call('HDEL', KEYS[2], ARGV[2])
-- Holds and charges are far below 2^53, so their difference is exact; the balance itself is only counted by HINCRBY.
local balance = redis.call('HINCRBY', KEYS[1], 'balance', string.format('%.0f', amount - ARGV[5]))
if ARGV[6] == '1' then
    -- Only a counter of the hold's own period is corrected.
    if t[3] == day then redis.call('HINCRBY', KEYS[1], 'daily_used', -1) end
    if t[4] == month then redis.call('HINCRBY', KEYS[1], 'monthly_used', -1) end
end
return 'OK|' .. string.format('%.0f', balance)
