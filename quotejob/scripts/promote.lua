-- Holding -> Queued, first in first out, while the org has a free slot.
-- KEYS  holding, active, open jobs
-- ARGV  most active, now (ms), prefix of a job's key
-- Gives the ids promoted by this call.
local promoted = {}
while redis.call('SCARD', KEYS[2]) < tonumber(ARGV[1]) do
  local id = redis.call('LPOP', KEYS[1])
  if not id then break end
  if redis.call('HGET', ARGV[3] .. id, 'status') == 'Holding' then
    redis.call('HSET', ARGV[3] .. id, 'status', 'Queued')
    redis.call('SADD', KEYS[2], id)
    redis.call('ZADD', KEYS[3], ARGV[2], id)
    promoted[#promoted + 1] = id
  end
end
return promoted
