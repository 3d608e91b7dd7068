-- needs run/lease
-- Give up a lease one holds: the unit is done, or nobody may take it for a while.
-- KEYS  leases
-- ARGV  unit, holder, for how long nobody may take it (ms, 0: it is done)
if lease_of(KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
if ARGV[3] == '0' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  give(KEYS[1], ARGV[1], 'wait', ARGV[3])
end
return 1
