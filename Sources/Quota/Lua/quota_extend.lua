-- Raises a hold to an amount, or to as much of it as balance and budget still pay for. Nothing else is counted: the request was,
-- when its hold was taken. Repeating it takes no more than the amount in all.
--
-- KEYS  1 tenant hash · 2 holds hash · then the hash of the API key's budget, if it had one when the hold was taken
-- ARGV  1 incarnation · 2 not-after (Redis time, microseconds) · 3 trace · 4 the hold's epoch · 5 its rseq · 6 amount in all
-- Reply LATE                            nothing done: the caller has given up on this command by now
--       MISS                            no image, one of another incarnation, or a part of it is lost: rebuild it
--       GONE                            no such hold, or another one under the same trace
--       OK {amount held, epoch}         the image's epoch, which need not be that of the hold
--       REFUSED {epoch, cseq, limits version}   nothing more could be taken
--       Word and fields are one text, with bars between them.
-- '..' would round a number to 14 digits. '%d' does not, where a C long has 64 bits, and is much faster than '%.0f'.
local format = string.format
local whole = format('%d', 2 ^ 52) == '4503599627370496' and '%d' or '%.0f'
local time = redis.call('TIME')
if time[1] * 1000000 + time[2] > tonumber(ARGV[2]) then
    return 'LATE'
end
local t = redis.call('HMGET', KEYS[1], 'inc', 'epoch', 'balance', 'credit_limit', 'cseq', 'version', 'checks')
if t[1] ~= ARGV[1] then
    return 'MISS'
end
local held = redis.call('HGET', KEYS[2], ARGV[3]) or ''
local amount, epoch, rseq, key, day, month, rest = held:match('^(%d+)|(%d+)|(%d+)|([^|]*)|(%d+)|(%d+)(.*)$')
if epoch ~= ARGV[4] or rseq ~= ARGV[5] then
    return 'GONE'
end
local more = ARGV[6] - amount
if more <= 0 then
    return 'OK|' .. amount .. '|' .. t[2]
end

-- What is left may be beyond 2^53 and then not exact, but is compared with what a hold may have at most, which is far below.
local take = math.min(more, t[3] + t[4])
local has_budget = false
local prefix = 'gw:quota:apikey:' .. KEYS[1]:match('{.*}') .. ':'
if key ~= '' and (#KEYS > 2 or (t[7] or ''):find('budgets', 1, true)) then
    local b = redis.call('HMGET', prefix .. key, 'epoch', 'budget_limit', 'budget_used', 'period')
    if b[1] ~= t[2] and #KEYS > 2 then
        -- Without its incarnation nothing finds the image, and the rebuild still sees its epoch.
        redis.call('HDEL', KEYS[1], 'inc')
        return 'MISS'
    end
    -- A hold counts in the period in which it was taken, and in no other.
    if b[1] == t[2] and b[2] ~= '' and (b[4] == 'total' or b[4] == day or b[4] == month) then
        has_budget = true
        take = math.min(take, b[2] - b[3])
    end
end
if take <= 0 then
    return 'REFUSED|' .. t[2] .. '|' .. t[5] .. '|' .. t[6]
end

local now_held = format(whole, amount + take)
redis.call('HSET', KEYS[2], ARGV[3],
    now_held .. '|' .. epoch .. '|' .. rseq .. '|' .. key .. '|' .. day .. '|' .. month .. rest)
redis.call('HINCRBY', KEYS[1], 'balance', format(whole, -take))
if has_budget then redis.call('HINCRBY', prefix .. key, 'budget_used', format(whole, take)) end
return 'OK|' .. now_held .. '|' .. t[2]
