-- needs run/lease
-- Lengthen a lease one still holds, and hear what one should know before going on.
-- KEYS  job, leases, open jobs, the org's slowdown (its length in ms)
-- ARGV  job id, unit, holder, length of the lease (ms)
-- Gives {'ended' | 'lost' | 'yours', ms to wait because the org is to be spared}.
if has_ended(KEYS[1]) then return {'ended', 0} end
if lease_of(KEYS[2], ARGV[2]) ~= ARGV[3] then return {'lost', 0} end
give(KEYS[2], ARGV[2], ARGV[3], ARGV[4])
redis.call('ZADD', KEYS[3], 'XX', string.format('%.0f', NOW), ARGV[1])
local length = tonumber(redis.call('GET', KEYS[4]) or 0)
local rest = math.max(0, redis.call('PTTL', KEYS[4]))
if rest > 2 * length then -- the clock was turned back
  redis.call('DEL', KEYS[4])
  rest = 0
end
return {'yours', rest}
