-- Takes a hold: the money a request could cost at most, and one of the day's and the month's requests. All or none.
--
-- KEYS  1 tenant hash · 2 holds hash
-- ARGV  1 incarnation · 2 not-after (Redis time, microseconds) · 3 trace · 4 amount · 5 API key id · 6 day · 7 month
-- Reply LATE  {now}                     nothing done: the caller has given up on this command by now
--       MISS                            no image of the tenant, or one of another incarnation: rebuild it
--       CONFLICT                        the trace holds something else
--       OK    {epoch, rseq, before, after, daily used, monthly used, daily quota, monthly quota, limits version, day, month}
--       REFUSED {which, epoch, cseq, limits version, balance, limit, used}
--       Word and fields are one text, with bars between them.
--
-- Amounts are compared and counted with HINCRBY, which is exact; Lua's doubles only see signs and numbers below 2^53.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if now > tonumber(ARGV[2]) then
    return 'LATE|' .. string.format('%.0f', now)
end
local t = redis.call('HMGET', KEYS[1], 'inc', 'epoch', 'credit_limit', 'daily_quota', 'daily_used', 'daily_date',
    'monthly_quota', 'monthly_used', 'monthly_month', 'cseq', 'version', 'balance', 'ver')
if t[1] ~= ARGV[1] then
    return 'MISS'
end
local epoch, cseq, version = t[2], t[10], t[11]
-- Redis takes no '-0'.
local minus = ARGV[4] == '0' and '0' or '-' .. ARGV[4]

local held = redis.call('HGET', KEYS[2], ARGV[3])
if held then
    local amount, held_epoch, rseq, key, day, month = held:match('^(%d+)|(%d+)|(%d+)|([^|]*)|(%d+)|(%d+)')
    if amount ~= ARGV[4] or key ~= ARGV[5] then
        return 'CONFLICT'
    end
    local before = redis.call('HINCRBY', KEYS[1], 'balance', ARGV[4])
    local after = redis.call('HINCRBY', KEYS[1], 'balance', minus)
    return table.concat({'OK', held_epoch, rseq, string.format('%.0f', before), string.format('%.0f', after),
        t[5], t[8], t[4], t[7], version, day, month}, '|')
end

-- A host whose clock is behind must not reopen a period that has ended: the later of both counts.
local day, month = ARGV[6], ARGV[7]
local daily_used, monthly_used = tonumber(t[5]), tonumber(t[8])
if tonumber(t[6]) > tonumber(day) then day = t[6] elseif t[6] ~= day then daily_used = 0 end
if tonumber(t[9]) > tonumber(month) then month = t[9] elseif t[9] ~= month then monthly_used = 0 end

if t[4] ~= '' and daily_used >= tonumber(t[4]) then
    return table.concat({'REFUSED', 'DAILY_QUOTA_EXCEEDED', epoch, cseq, version, t[12], t[4],
        string.format('%.0f', daily_used)}, '|')
end
if t[7] ~= '' and monthly_used >= tonumber(t[7]) then
    return table.concat({'REFUSED', 'MONTHLY_QUOTA_EXCEEDED', epoch, cseq, version, t[12], t[7],
        string.format('%.0f', monthly_used)}, '|')
end
local after = redis.call('HINCRBY', KEYS[1], 'balance', minus)
if after + tonumber(t[3]) < 0 then
    redis.call('HINCRBY', KEYS[1], 'balance', ARGV[4])
    return table.concat({'REFUSED', 'INSUFFICIENT_BALANCE', epoch, cseq, version, t[12], t[3], ARGV[4]}, '|')
end

daily_used = string.format('%.0f', daily_used + 1)
monthly_used = string.format('%.0f', monthly_used + 1)
local rseq = string.format('%.0f', tonumber(t[13]) + 1)
redis.call('HSET', KEYS[1], 'daily_used', daily_used, 'daily_date', day, 'monthly_used', monthly_used,
    'monthly_month', month, 'ver', rseq)
redis.call('HSET', KEYS[2], ARGV[3],
    ARGV[4] .. '|' .. epoch .. '|' .. rseq .. '|' .. ARGV[5] .. '|' .. day .. '|' .. month .. '|0|0')
return table.concat({'OK', epoch, rseq, t[12], string.format('%.0f', after), daily_used, monthly_used, t[4], t[7],
    version, day, month}, '|')
