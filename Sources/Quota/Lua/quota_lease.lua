-- Takes, or renews, the lease on rebuilding a tenant's image.
--
-- KEYS  1 warm-up lease · 2 tenant hash
-- ARGV  1 token · 2 milliseconds · 3 incarnation
-- Reply WARM  an image of this incarnation stands: nothing to rebuild
--       TAKEN {epoch of the old image, or 0} · BUSY another rebuilds
--       Word and field are one text, with a bar between them.
local t = redis.call('HMGET', KEYS[2], 'inc', 'epoch')
if t[1] == ARGV[3] then
    return 'WARM'
end
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
    return 'BUSY'
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 'TAKEN|' .. (t[2] or '0')
