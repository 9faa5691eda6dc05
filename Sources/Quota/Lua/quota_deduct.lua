-- Takes holds of one tenant in their order, each all or none: the money a request could cost at most, and one of the day's and
-- the month's requests.
--
-- KEYS  1 tenant hash · 2 holds hash
-- ARGV  1 incarnation · 2 not-after (Redis time, microseconds) · then for each order: trace, amount, API key id, day, month
-- Reply LATE  {now}                     nothing done: the caller has given up on this command by now
--       MISS                            no image of the tenant, or one of another incarnation: rebuild it
--       These two answer all orders. Otherwise there is a line for each:
--       CONFLICT                        the trace holds something else
--       OK    {epoch, rseq, before, after, daily used, monthly used, daily quota, monthly quota, limits version, day, month}
--       REFUSED {which, epoch, cseq, limits version, balance, limit, used}
--       Word and fields are one text, with bars between them.
--
-- Amounts are compared and counted with HINCRBY, which is exact; Lua's doubles only see signs and numbers below 2^53.
-- '..' would round them to 14 digits. '%d' does not, where a C long has 64 bits, and is much faster than '%.0f'.
local format = string.format
local whole = format('%d', 2 ^ 52) == '4503599627370496' and '%d' or '%.0f'
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if now > tonumber(ARGV[2]) then
    return 'LATE|' .. format(whole, now)
end
local t = redis.call('HMGET', KEYS[1], 'inc', 'epoch', 'credit_limit', 'daily_quota', 'daily_used', 'daily_date',
    'monthly_quota', 'monthly_used', 'monthly_month', 'cseq', 'version', 'balance', 'ver')
if t[1] ~= ARGV[1] then
    return 'MISS'
end
local epoch, credit_limit, cseq, version = t[2], tonumber(t[3]), t[10], t[11]
local daily_quota, monthly_quota = tonumber(t[4]), tonumber(t[7])
local quotas = t[4] .. '|' .. t[7] .. '|' .. version

-- What the orders so far have left of the image.
local balance, ver = t[12], tonumber(t[13])
local daily_used, daily_date, monthly_used, monthly_month = tonumber(t[5]), t[6], tonumber(t[8]), t[9]

local traces = {}
for i = 3, #ARGV, 5 do traces[#traces + 1] = ARGV[i] end
local stored = redis.call('HMGET', KEYS[2], unpack(traces))
-- By trace, and as HSET takes them: holds that this call takes are not in Redis before its end.
local taken, fresh = {}, {}
local lines = {}

for n, trace in ipairs(traces) do
    local at = 5 * n - 2
    local amount, key, day, month = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
    -- Redis takes no '-0'.
    local minus = amount == '0' and '0' or '-' .. amount
    local held = taken[trace] or stored[n]
    if held then
        local held_amount, held_epoch, rseq, held_key, held_day, held_month =
            held:match('^(%d+)|(%d+)|(%d+)|([^|]*)|(%d+)|(%d+)')
        if held_amount ~= amount or held_key ~= key then
            lines[n] = 'CONFLICT'
        else
            local before = redis.call('HINCRBY', KEYS[1], 'balance', amount)
            redis.call('HINCRBY', KEYS[1], 'balance', minus)
            lines[n] = table.concat({'OK', held_epoch, rseq, format(whole, before), balance, format(whole, daily_used),
                format(whole, monthly_used), quotas, held_day, held_month}, '|')
        end
    else
        -- A host whose clock is behind must not reopen a period that has ended: the later of both counts.
        local used_of_day, used_of_month = daily_used, monthly_used
        if day ~= daily_date then
            if tonumber(daily_date) > tonumber(day) then day = daily_date else used_of_day = 0 end
        end
        if month ~= monthly_month then
            if tonumber(monthly_month) > tonumber(month) then month = monthly_month else used_of_month = 0 end
        end

        -- What is only counted is judged first: money is taken to be judged.
        local refused, limit, used, after
        if daily_quota and used_of_day >= daily_quota then
            refused, limit, used = 'DAILY_QUOTA_EXCEEDED', t[4], format(whole, used_of_day)
        elseif monthly_quota and used_of_month >= monthly_quota then
            refused, limit, used = 'MONTHLY_QUOTA_EXCEEDED', t[7], format(whole, used_of_month)
        else
            after = redis.call('HINCRBY', KEYS[1], 'balance', minus)
            if after + credit_limit < 0 then
                redis.call('HINCRBY', KEYS[1], 'balance', amount)
                refused, limit, used = 'INSUFFICIENT_BALANCE', t[3], amount
            end
        end

        if refused then
            lines[n] = table.concat({'REFUSED', refused, epoch, cseq, version, balance, limit, used}, '|')
        else
            daily_used, daily_date, monthly_used, monthly_month = used_of_day + 1, day, used_of_month + 1, month
            ver = ver + 1
            local before, rseq = balance, format(whole, ver)
            balance = format(whole, after)
            local hold = amount .. '|' .. epoch .. '|' .. rseq .. '|' .. key .. '|' .. day .. '|' .. month .. '|0|0'
            taken[trace] = hold
            fresh[#fresh + 1] = trace
            fresh[#fresh + 1] = hold
            lines[n] = 'OK|' .. epoch .. '|' .. rseq .. '|' .. before .. '|' .. balance
                .. '|' .. format(whole, daily_used) .. '|' .. format(whole, monthly_used) .. '|' .. quotas
                .. '|' .. day .. '|' .. month
        end
    end
end

if #fresh > 0 then
    redis.call('HSET', KEYS[1], 'daily_used', format(whole, daily_used), 'daily_date', daily_date,
        'monthly_used', format(whole, monthly_used), 'monthly_month', monthly_month,
        'ver', format(whole, ver))
    redis.call('HSET', KEYS[2], unpack(fresh))
end
return table.concat(lines, '\n')
