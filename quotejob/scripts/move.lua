-- One move of a job's life, once, however many processes try.
-- KEYS  job, context, holding, active, open jobs, then every further key of the job (they expire with it)
-- ARGV  job id, target status, ends the life (0/1), TTL of an ended job (s), now (ms), number of allowed origins, the origins,
--       then field, value ... to set with the move
-- Gives the status the job had before ('' when there is no such job); the move happened if that is one of the origins.
local before = redis.call('HGET', KEYS[1], 'status')
if not before then return '' end
local origins = tonumber(ARGV[6])
local allowed = false
for i = 7, 6 + origins do allowed = allowed or ARGV[i] == before end
if not allowed then return before end
redis.call('HSET', KEYS[1], 'status', ARGV[2])
if #ARGV > 6 + origins then redis.call('HSET', KEYS[1], unpack(ARGV, 7 + origins)) end
if ARGV[3] == '1' then
  redis.call('DEL', KEYS[2])
  redis.call('LREM', KEYS[3], 0, ARGV[1])
  redis.call('SREM', KEYS[4], ARGV[1])
  redis.call('ZREM', KEYS[5], ARGV[1])
  redis.call('EXPIRE', KEYS[1], ARGV[4])
  for i = 6, #KEYS do redis.call('EXPIRE', KEYS[i], ARGV[4]) end
else
  redis.call('ZADD', KEYS[5], 'XX', ARGV[5], ARGV[1])
end
return before
