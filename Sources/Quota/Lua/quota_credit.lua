-- Adds a credit to the balance, in the order of the ledger and each once.
--
-- KEYS  1 tenant hash
-- ARGV  1 incarnation · 2 seq · 3 amount
-- Reply MISS            no image: the rebuild will read the credit from the ledger
--       DONE {balance}  applied before
--       GAP  {cseq}     earlier ones are missing: apply those first
--       OK   {balance}
--       Word and field are one text, with a bar between them.
-- If somebody waits for the tenant's money, all processes are told.
local t = redis.call('HMGET', KEYS[1], 'inc', 'cseq', 'balance', 'waiting')
if t[1] ~= ARGV[1] then
    return 'MISS'
end
local next = tonumber(t[2]) + 1
if tonumber(ARGV[2]) < next then
    return 'DONE|' .. t[3]
end
if tonumber(ARGV[2]) > next then
    return 'GAP|' .. t[2]
end
redis.call('HSET', KEYS[1], 'cseq', ARGV[2])
if t[4] then
    redis.call('HDEL', KEYS[1], 'waiting')
    redis.call('PUBLISH', 'gw:quota:settled', KEYS[1])
end
return 'OK|' .. string.format('%.0f', redis.call('HINCRBY', KEYS[1], 'balance', ARGV[3]))
