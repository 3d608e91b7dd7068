-- Keep a new schedule: all of it or nothing, once.
-- KEYS  schedule, org's schedules, org's schedule names, due, org's guaranteed, revision of these
-- ARGV  id, created (us), most schedules, name, first fire time (ms), guaranteed (0/1), revision that was looked at,
--       then field, value, field, value ...
-- Gives 'new', 'full', 'name' (it is taken) or 'moved' (the guaranteed schedules are others than those looked at).
if redis.call('EXISTS', KEYS[1]) == 1 then return 'new' end -- this very call, repeated
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) then return 'full' end
if redis.call('HEXISTS', KEYS[3], ARGV[4]) == 1 then return 'name' end
if ARGV[6] == '1' then
  if (redis.call('GET', KEYS[6]) or '0') ~= ARGV[7] then return 'moved' end
  redis.call('INCR', KEYS[6])
  redis.call('ZADD', KEYS[5], ARGV[5], ARGV[1])
end
redis.call('HSET', KEYS[1], unpack(ARGV, 8))
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
redis.call('HSET', KEYS[3], ARGV[4], ARGV[1])
redis.call('ZADD', KEYS[4], ARGV[5], ARGV[1])
return 'new'
