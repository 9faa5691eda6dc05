-- Reads a tenant's image and its holds as they are at one moment.
--
-- KEYS  1 tenant hash · 2 holds hash
-- ARGV  1 incarnation
-- Reply MISS  no image, or one of another incarnation
--       OK {epoch, balance, cseq, ver, daily used, day, monthly used, month, limits version}, then a line for each hold: its trace,
--       and what is stored under it
--       Word and fields are one text, with bars between them.
local t = redis.call('HMGET', KEYS[1], 'inc', 'epoch', 'balance', 'cseq', 'ver', 'daily_used', 'daily_date',
    'monthly_used', 'monthly_month', 'version')
if t[1] ~= ARGV[1] then
    return 'MISS'
end
t[1] = 'OK'
local lines = {table.concat(t, '|')}
local holds = redis.call('HGETALL', KEYS[2])
for i = 1, #holds, 2 do
    lines[#lines + 1] = holds[i] .. '|' .. holds[i + 1]
end
return table.concat(lines, '\n')
