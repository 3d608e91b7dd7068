-- One move of a job's life, once, however many processes try.
-- KEYS  job, holding, active, open jobs, then keys that expire with an ended job, then keys that are dropped at its end
-- ARGV  job id, target status, ends the life (0/1), TTL of an ended job (s), now (ms), how many keys expire,
--       number of allowed origins, the origins, then field, value ... to set with the move
-- Gives the status the job had before ('' when there is no such job); the move happened if that is one of the origins.
local before = redis.call('HGET', KEYS[1], 'status')
if not before then return '' end
local origins = tonumber(ARGV[7])
local allowed = false
for i = 8, 7 + origins do allowed = allowed or ARGV[i] == before end
if not allowed then return before end
redis.call('HSET', KEYS[1], 'status', ARGV[2])
if #ARGV > 7 + origins then redis.call('HSET', KEYS[1], unpack(ARGV, 8 + origins)) end
if ARGV[3] == '1' then
  redis.call('LREM', KEYS[2], 0, ARGV[1])
  redis.call('SREM', KEYS[3], ARGV[1])
  redis.call('ZREM', KEYS[4], ARGV[1])
  redis.call('EXPIRE', KEYS[1], ARGV[4])
  local expiring = tonumber(ARGV[6])
  for i = 5, #KEYS do
    if i < 5 + expiring then redis.call('EXPIRE', KEYS[i], ARGV[4]) else redis.call('DEL', KEYS[i]) end
  end
else
  redis.call('ZADD', KEYS[4], 'XX', ARGV[5], ARGV[1])
end
return before
