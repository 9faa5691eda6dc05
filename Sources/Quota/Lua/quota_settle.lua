-- Settles holds of one tenant: gives back what was held and not charged, and forgets the hold. Repeating it changes nothing.
-- If somebody waits for the tenant's money, all processes are told.
--
-- KEYS  1 tenant hash · 2 holds hash
-- ARGV  1 incarnation · then for each hold: trace, its epoch, its rseq, charge, tokens, or '' when voided: the request does not count
-- Reply MISS                  no image, or one of another incarnation: whoever rebuilds it reads the settled rows
--       It answers for all holds. Otherwise there is a line for each, in their order:
--       GONE {balance}        no such hold, or another one under the same trace
--       OK   {balance}
--       Word and field are one text, with a bar between them.
-- '..' would round a number to 14 digits. '%d' does not, where a C long has 64 bits, and is much faster than '%.0f'.
local format = string.format
local whole = format('%d', 2 ^ 52) == '4503599627370496' and '%d' or '%.0f'
local t = redis.call('HMGET', KEYS[1], 'inc', 'balance', 'daily_date', 'monthly_month', 'checks', 'waiting')
if t[1] ~= ARGV[1] then
    return 'MISS'
end
local checks = t[5] or ''
local traces = {}
for i = 2, #ARGV, 5 do traces[#traces + 1] = ARGV[i] end
local stored = redis.call('HMGET', KEYS[2], unpack(traces))

-- What each hold gives back; false when it is gone.
local rests, ending, is_ending = {}, {}, {}
local daily, monthly = 0, 0
for n, trace in ipairs(traces) do
    local at = 5 * n - 3
    local held = stored[n] or ''
    local amount, epoch, rseq = held:match('^(%d+)|(%d+)|(%d+)|')
    if epoch ~= ARGV[at + 1] or rseq ~= ARGV[at + 2] or is_ending[trace] then
        rests[n] = false
    else
        -- Holds and charges are far below 2^53, so their difference is exact; the balance itself is only counted by HINCRBY.
        rests[n] = format(whole, amount - ARGV[at + 3])
        is_ending[trace] = true
        ending[#ending + 1] = trace
        if ARGV[at + 4] == '' then
            -- Only a counter of the hold's own period is corrected.
            local day, month = held:match('^%d+|%d+|%d+|[^|]*|(%d+)|(%d+)')
            if t[3] == day then daily = daily - 1 end
            if t[4] == month then monthly = monthly - 1 end
        end
    end
end

-- First, because it is what a Redis without memory allows: what follows it is then allowed, too.
if #ending > 0 then redis.call('HDEL', KEYS[2], unpack(ending)) end
if daily < 0 then redis.call('HINCRBY', KEYS[1], 'daily_used', daily) end
if monthly < 0 then redis.call('HINCRBY', KEYS[1], 'monthly_used', monthly) end
local balance, lines = t[2], {}
for n, rest in ipairs(rests) do
    if rest then
        balance = format(whole, redis.call('HINCRBY', KEYS[1], 'balance', rest))
        lines[n] = 'OK|' .. balance
    else
        lines[n] = 'GONE|' .. balance
    end
end

-- What few tenants have: tokens of the minute, and budgets. The same holds: a counter of their own period only.
if checks ~= '' and #ending > 0 then
    local m = redis.call('HMGET', KEYS[1], 'epoch', 'minute', 'minute_tokens')
    local prefix = 'gw:quota:apikey:' .. KEYS[1]:match('{.*}') .. ':'
    local has_budgets = checks:find('budgets', 1, true)
    local budgets, tokens = {}, 0
    for n, rest in ipairs(rests) do
        if rest then
            local amount, key, day, month, minute, estimate =
                stored[n]:match('^(%d+)|%d+|%d+|([^|]*)|(%d+)|(%d+)|(%d+)|(%d+)')
            if minute == m[2] and minute ~= '0' then tokens = tokens + (tonumber(ARGV[5 * n + 1]) or 0) - estimate end
            if has_budgets and key ~= '' then
                local budget = budgets[key] or redis.call('HMGET', prefix .. key, 'epoch', 'budget_limit', 'period')
                budgets[key] = budget
                local period = budget[3]
                if budget[1] == m[1] and budget[2] ~= '' and (period == 'total' or period == day or period == month) then
                    redis.call('HINCRBY', prefix .. key, 'budget_used', format(whole, ARGV[5 * n] - amount))
                end
            end
        end
    end
    if tokens ~= 0 then redis.call('HINCRBY', KEYS[1], 'minute_tokens', format(whole, tokens)) end
end
if t[6] and #ending > 0 then
    -- Whoever is refused again says so again.
    redis.call('HDEL', KEYS[1], 'waiting')
    redis.call('PUBLISH', 'gw:quota:settled', KEYS[1])
end
return table.concat(lines, '\n')
