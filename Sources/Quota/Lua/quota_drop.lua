-- Drops a tenant's image that is known to be stale, so that the next request rebuilds it.
-- An image of a higher epoch goes, too: the ledger may have been restored from a backup, and would accept nothing of it.
-- The hashes of API keys stay behind and are nobody's: they belong to the image of their epoch, and the rebuild writes all of them.
--
-- KEYS  1 tenant hash · 2 holds hash
-- ARGV  1 the epoch that is current in PostgreSQL · 2 the cseq and 3 the limits version that are current there
-- Reply KEPT | OK
local t = redis.call('HMGET', KEYS[1], 'epoch', 'cseq', 'version')
if not t[1] then
    return 'KEPT'
end
if t[1] == ARGV[1] and tonumber(t[2]) >= tonumber(ARGV[2]) and tonumber(t[3]) >= tonumber(ARGV[3]) then
    return 'KEPT'
end
redis.call('DEL', KEYS[1], KEYS[2])
return 'OK'
