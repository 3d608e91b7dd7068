-- Lengthen a lease one still holds, and hear what one should know before going on.
-- KEYS  job, leases, open jobs, the org's slowdown
-- ARGV  job id, unit, holder, length of the lease (ms)
-- Gives {'ended' | 'lost' | 'yours', ms to wait because the org is to be spared}.
local status = redis.call('HGET', KEYS[1], 'status')
if not status or status == 'Completed' or status == 'Failed' or status == 'Aborted' then return {'ended', 0} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local holder = string.match(redis.call('HGET', KEYS[2], ARGV[2]) or '', '^(%S+) ')
if holder ~= ARGV[3] then return {'lost', 0} end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3] .. string.format(' %.0f', now + ARGV[4]))
redis.call('ZADD', KEYS[3], 'XX', string.format('%.0f', now), ARGV[1])
return {'yours', math.max(0, redis.call('PTTL', KEYS[4]))}
