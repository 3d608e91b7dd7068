-- Give up a lease one holds: the unit is done, or nobody may take it for a while.
-- KEYS  leases
-- ARGV  unit, holder, for how long nobody may take it (ms, 0: it is done)
local holder = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^(%S+) ')
if holder ~= ARGV[2] then return 0 end
if ARGV[3] == '0' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  local time = redis.call('TIME')
  redis.call('HSET', KEYS[1], ARGV[1], string.format('wait %.0f', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3]))
end
return 1
