-- Reads a tenant's image, budgets of its API keys, and its holds, as they are at one moment.
--
-- KEYS  1 tenant hash · 2 holds hash · then the hash of each API key that may have a budget
-- ARGV  1 incarnation
-- Reply MISS  no image, or one of another incarnation
--       OK {epoch, balance, cseq, ver, daily used, day, monthly used, month, limits version}, then a line for each of the API keys:
--       {limit, used, period}, empty when the image has no budget of it; then a line for each hold: its trace, and what is stored
--       under it
--       Word and fields are one text, with bars between them.
local t = redis.call('HMGET', KEYS[1], 'inc', 'epoch', 'balance', 'cseq', 'ver', 'daily_used', 'daily_date',
    'monthly_used', 'monthly_month', 'version')
if t[1] ~= ARGV[1] then
    return 'MISS'
end
t[1] = 'OK'
local lines = {table.concat(t, '|')}
for i = 3, #KEYS do
    local b = redis.call('HMGET', KEYS[i], 'epoch', 'budget_limit', 'budget_used', 'period')
    lines[#lines + 1] = b[1] == t[2] and b[2] ~= '' and table.concat({b[2], b[3], b[4]}, '|') or ''
end
local holds = redis.call('HGETALL', KEYS[2])
for i = 1, #holds, 2 do
    lines[#lines + 1] = holds[i] .. '|' .. holds[i + 1]
end
return table.concat(lines, '\n')
