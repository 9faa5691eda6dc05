-- Takes holds of one tenant in their order, each all or none: the money a request could cost at most, from the balance and from
-- its API key's budget; one of the day's, the month's and the minute's requests; its tokens of the minute; one of the holds at once.
-- Where only money is missing, and no other hold that could give some back, all that is left is taken, if the order can do with it.
--
-- KEYS  1 tenant hash · 2 holds hash · then the hashes of those API keys that have a budget, as far as the caller knows
-- ARGV  1 incarnation · 2 not-after (Redis time, microseconds) · 3 the limits version that the caller knows
--       · 4 '1' when whoever is refused while others hold money may wait for it
--       · then for each order: trace, amount, API key id, day, tokens, the least amount it can do with
-- Reply LATE  {now}                     nothing done: the caller has given up on this command by now
--       MISS                            no image of the tenant, one of another incarnation, or a part of it is lost: rebuild it
--       STALE                           nothing done: the image has older limits than the caller knows of
--       These answer all orders. Otherwise there is a line for each:
--       CONFLICT                        the trace holds something else
--       OK    {epoch, rseq, before, after, daily used, monthly used, daily quota, monthly quota, limits version, day}
--             What is held is what there was before and is not after.
--             Where the tenant has limits a minute, or budgets, there follow: {rpm limit, requests of the minute, tpm limit, tokens of
--             the minute, seconds left of it, budget limit, budget used, its period}
--       REFUSED {which, epoch, cseq, limits version, balance, limit, used, reset}
--             Reset is 'day', 'month', the seconds left of the minute, or empty.
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
    'monthly_quota', 'monthly_used', 'monthly_month', 'cseq', 'version', 'balance', 'ver', 'checks')
if t[1] ~= ARGV[1] then
    return 'MISS'
end
local epoch, credit_limit, cseq, version = t[2], tonumber(t[3]), t[10], t[11]
if version ~= ARGV[3] and tonumber(version) < tonumber(ARGV[3]) then
    return 'STALE'
end
local daily_quota, monthly_quota = tonumber(t[4]), tonumber(t[7])
local quotas = t[4] .. '|' .. t[7] .. '|' .. version

-- What the orders so far have left of the image.
local balance, ver = t[12], tonumber(t[13])
local daily_used, daily_date, monthly_used, monthly_month = tonumber(t[5]), t[6], tonumber(t[8]), t[9]

-- What few tenants have, and the others do not pay for: limits of a minute and of holds at once, and budgets by API key.
local rpm, tpm, concurrency, minute, requests, tokens, running, seconds
local budgets, prefix, more
local checks = t[14] or ''
local has_more = checks ~= '' or #KEYS > 2
if has_more then
    seconds = format(whole, 60 - time[1] % 60)
    if checks:find('rates', 1, true) then
        local r = redis.call('HMGET', KEYS[1], 'rpm_limit', 'tpm_limit', 'concurrency_limit', 'minute', 'minute_requests',
            'minute_tokens')
        rpm, tpm, concurrency = tonumber(r[1]), tonumber(r[2]), tonumber(r[3])
        minute = format(whole, math.floor(time[1] / 60))
        -- Any other minute than the stored one begins at zero, also one before it: a clock that was ahead must lock nobody out.
        requests = minute == r[4] and tonumber(r[5]) or 0
        tokens = minute == r[4] and tonumber(r[6]) or 0
        running = concurrency and redis.call('HLEN', KEYS[2])
    end
    budgets = {}
    if #KEYS > 2 or checks:find('budgets', 1, true) then
        local known = {}
        for i = 3, #KEYS do known[KEYS[i]] = true end
        prefix = 'gw:quota:apikey:' .. KEYS[1]:match('{.*}') .. ':'
        for i = 7, #ARGV, 6 do
            local key = ARGV[i]
            if key ~= '' and budgets[key] == nil then
                local b = redis.call('HMGET', prefix .. key, 'epoch', 'budget_limit', 'budget_used', 'period')
                if b[1] ~= epoch and known[prefix .. key] then
                    -- Without its incarnation nothing finds the image, and the rebuild still sees its epoch.
                    redis.call('HDEL', KEYS[1], 'inc')
                    return 'MISS'
                end
                -- Limits and what is within them are below 2^53; what is used beyond a limit may be any number and stays a text.
                budgets[key] = b[1] == epoch and b[2] ~= ''
                    and {limit = b[2], used = b[3], period = b[4]}
            end
        end
    end

    -- What a reply says of them.
    more = function(budget)
        return '|' .. (rpm and format(whole, rpm) or '') .. '|' .. (requests and format(whole, requests) or '')
            .. '|' .. (tpm and format(whole, tpm) or '') .. '|' .. (tokens and format(whole, tokens) or '') .. '|' .. seconds
            .. (budget and '|' .. budget.limit .. '|' .. budget.used .. '|' .. budget.period or '')
    end
end

local traces = {}
for i = 5, #ARGV, 6 do traces[#traces + 1] = ARGV[i] end
local stored = redis.call('HMGET', KEYS[2], unpack(traces))
-- By trace, and as HSET takes them: holds that this call takes are not in Redis before its end.
local taken, fresh = {}, {}
local lines = {}
local is_short = false

-- Whether an API key has holds. Where there are thousands they are not looked through: then it is believed to have some.
local holders
local function has_holds(key)
    if not holders then
        holders = {}
        local is_few = redis.call('HLEN', KEYS[2]) <= 2000
        for _, list in ipairs({is_few and redis.call('HVALS', KEYS[2]) or {}, fresh}) do
            for _, hold in ipairs(list) do
                local of = hold:match('^%d+|%d+|%d+|([^|]*)|')
                if of then holders[of] = true end
            end
        end
        holders[1] = not is_few
    end
    return holders[1] or holders[key]
end

for n, trace in ipairs(traces) do
    local at = 6 * n - 1
    local amount, key, day, least = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 5]
    local held = taken[trace] or stored[n]
    if held then
        local held_amount, held_epoch, rseq, held_key, held_day = held:match('^(%d+)|(%d+)|(%d+)|([^|]*)|(%d+)|')
        local had = tonumber(held_amount)
        if had > tonumber(amount) or had < tonumber(least) or held_key ~= key then
            lines[n] = 'CONFLICT'
        else
            local before = redis.call('HINCRBY', KEYS[1], 'balance', held_amount)
            redis.call('HINCRBY', KEYS[1], 'balance', format(whole, -had))
            lines[n] = table.concat({'OK', held_epoch, rseq, format(whole, before), balance, format(whole, daily_used),
                format(whole, monthly_used), quotas, held_day}, '|') .. (more and more(budgets[key]) or '')
        end
    else
        -- A host whose clock is behind must not reopen a period that has ended: the later of both counts.
        local month, used_of_day, used_of_month = monthly_month, daily_used, monthly_used
        if day ~= daily_date then
            if tonumber(daily_date) > tonumber(day) then
                day = daily_date
            else
                month, used_of_day = day:sub(1, 6), 0
                if month ~= monthly_month then used_of_month = 0 end
            end
        end
        local wanted = minute and tonumber(ARGV[at + 4])
        -- A budget's period has as many digits as a day or a month, or is 'total'.
        local budget = budgets and budgets[key]
        local period, used_of_budget, lasts
        if budget then
            period, lasts = budget.period, ''
            if #period == 8 then period, lasts = day, 'day' elseif #period == 6 then period, lasts = month, 'month' end
            used_of_budget = period == budget.period and budget.used or '0'
        end

        -- What is only counted is judged first: money is taken to be judged.
        local refused, limit, used, reset, after
        if daily_quota and used_of_day >= daily_quota then
            refused, limit, used, reset = 'DAILY_QUOTA_EXCEEDED', t[4], format(whole, used_of_day), 'day'
        elseif monthly_quota and used_of_month >= monthly_quota then
            refused, limit, used, reset = 'MONTHLY_QUOTA_EXCEEDED', t[7], format(whole, used_of_month), 'month'
        elseif rpm and requests >= rpm then
            refused, limit, used, reset = 'RATE_LIMIT_RPM', format(whole, rpm), format(whole, requests), seconds
        elseif tpm and tokens + wanted > tpm then
            refused, limit, used, reset = 'RATE_LIMIT_TPM', format(whole, tpm), format(whole, tokens), seconds
        elseif concurrency and running >= concurrency then
            refused, limit, used, reset = 'CONCURRENCY_EXCEEDED', format(whole, concurrency), format(whole, running), ''
        elseif budget and tonumber(amount) > budget.limit - used_of_budget then
            refused, limit, used, reset = 'BUDGET_EXCEEDED', budget.limit, used_of_budget, lasts
        else
            -- Redis takes no '-0'.
            after = redis.call('HINCRBY', KEYS[1], 'balance', amount == '0' and '0' or '-' .. amount)
            if after + credit_limit < 0 then
                redis.call('HINCRBY', KEYS[1], 'balance', amount)
                refused, limit, used, reset = 'INSUFFICIENT_BALANCE', t[3], amount, ''
            end
        end

        -- Less will do, if it is all that there is, and nobody can give any back.
        if (refused == 'BUDGET_EXCEEDED' or refused == 'INSUFFICIENT_BALANCE') and least ~= amount then
            local floor, left = tonumber(least), tonumber(amount)
            local of_budget = budget and budget.limit - used_of_budget
            local is_free = true
            if budget and left > of_budget then
                left, is_free = of_budget, of_budget >= floor and not has_holds(key)
            end
            local of_balance = balance + credit_limit
            if is_free and left > of_balance then
                -- The balance is in the way, whatever the budget: holds of other keys may give some back.
                refused, limit, used, reset = 'INSUFFICIENT_BALANCE', t[3], amount, ''
                left = of_balance
                is_free = left >= floor and #fresh == 0 and redis.call('HLEN', KEYS[2]) == 0
            end
            if is_free then
                amount, refused = format(whole, left), nil
                after = redis.call('HINCRBY', KEYS[1], 'balance', format(whole, -left))
            end
        end

        if refused then
            is_short = is_short or refused == 'BUDGET_EXCEEDED' or refused == 'INSUFFICIENT_BALANCE'
            lines[n] = table.concat({'REFUSED', refused, epoch, cseq, version, balance, limit, used, reset}, '|')
        else
            daily_used, daily_date, monthly_used, monthly_month = used_of_day + 1, day, used_of_month + 1, month
            ver = ver + 1
            local before, rseq = balance, format(whole, ver)
            balance = format(whole, after)
            if budget then
                if period ~= budget.period then
                    redis.call('HSET', prefix .. key, 'period', period, 'budget_used', '0')
                    budget.period = period
                end
                budget.used = format(whole, redis.call('HINCRBY', prefix .. key, 'budget_used', amount))
            end
            local of_minute = '|0|0'
            if minute then
                requests, tokens = requests + 1, tokens + wanted
                running = running and running + 1
                if tpm then of_minute = '|' .. minute .. '|' .. format(whole, wanted) end
            end
            local hold = amount .. '|' .. epoch .. '|' .. rseq .. '|' .. key .. '|' .. day .. '|' .. month .. of_minute
            taken[trace] = hold
            if holders then holders[key] = true end
            fresh[#fresh + 1] = trace
            fresh[#fresh + 1] = hold
            lines[n] = 'OK|' .. epoch .. '|' .. rseq .. '|' .. before .. '|' .. balance
                .. '|' .. format(whole, daily_used) .. '|' .. format(whole, monthly_used) .. '|' .. quotas
                .. '|' .. day .. (more and more(budget) or '')
        end
    end
end

if #fresh > 0 then
    redis.call('HSET', KEYS[1], 'daily_used', format(whole, daily_used), 'daily_date', daily_date,
        'monthly_used', format(whole, monthly_used), 'monthly_month', monthly_month,
        'ver', format(whole, ver))
    if minute then
        redis.call('HSET', KEYS[1], 'minute', minute, 'minute_requests', format(whole, requests),
            'minute_tokens', format(whole, tokens))
    end
    redis.call('HSET', KEYS[2], unpack(fresh))
end
if is_short and ARGV[4] == '1' and redis.call('HLEN', KEYS[2]) > 0 then
    -- The next settlement tells all processes.
    redis.call('HSET', KEYS[1], 'waiting', '1')
end
return table.concat(lines, '\n')
