-- One move of a schedule's life.
-- KEYS  schedule, due, org's guaranteed, revision of these, org's schedules, org's schedule names,
--       jobs of this schedule in fired
-- ARGV  id, target state, next fire time (ms; '' = it does not fire), revision that was looked at ('' = none was), why
--       ('' = nothing to say), the states it may come from ...
-- Gives the state it had before ('' when there is no such schedule), or 'moved'.
local state, guaranteed, name = unpack(redis.call('HMGET', KEYS[1], 'state', 'guaranteed', 'name'))
if not state then return '' end
local allowed = false
for i = 6, #ARGV do allowed = allowed or ARGV[i] == state end
if not allowed then return state end
if ARGV[3] ~= '' and guaranteed == '1' then
  if (redis.call('GET', KEYS[4]) or '0') ~= ARGV[4] then return 'moved' end
  redis.call('INCR', KEYS[4])
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
if ARGV[2] == 'DELETED' then
  redis.call('DEL', KEYS[1], KEYS[7])
  redis.call('ZREM', KEYS[5], ARGV[1])
  redis.call('HDEL', KEYS[6], name)
  return state
end
redis.call('HSET', KEYS[1], 'state', ARGV[2])
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[1], 'extendedStatus', ARGV[5])
else
  redis.call('HDEL', KEYS[1], 'extendedStatus')
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], 'nextFireTime')
else
  redis.call('HSET', KEYS[1], 'nextFireTime', ARGV[3])
  redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
  if guaranteed == '1' then redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1]) end
end
return state
