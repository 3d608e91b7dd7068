-- Accept a job: all of it or nothing, once.
-- KEYS  job, context, holding, active, org's jobs, open jobs, idempotency key
-- ARGV  job id, now (ms), now (us), most holding, most active, sealed context, its TTL (s), has an idempotency key (0/1),
--       its TTL (s), prefix of a job's key, then field, value, field, value ... of the job
-- Gives {'new', id}, {'known', id} (the same idempotency key) or {'full', ''}.
if ARGV[8] == '1' then
  local known = redis.call('GET', KEYS[7])
  if known and known ~= ARGV[1] and redis.call('EXISTS', ARGV[10] .. known) == 1 then return {'known', known} end
end
if redis.call('EXISTS', KEYS[1]) == 1 then return {'new', ARGV[1]} end -- this very call, repeated
local free = math.max(0, tonumber(ARGV[5]) - redis.call('SCARD', KEYS[4]))
if redis.call('LLEN', KEYS[3]) >= tonumber(ARGV[4]) + free then return {'full', ''} end
redis.call('HSET', KEYS[1], unpack(ARGV, 11))
redis.call('SET', KEYS[2], ARGV[6], 'EX', ARGV[7])
redis.call('RPUSH', KEYS[3], ARGV[1])
redis.call('ZADD', KEYS[5], ARGV[3], ARGV[1])
redis.call('ZADD', KEYS[6], ARGV[2], ARGV[1])
if ARGV[8] == '1' then redis.call('SET', KEYS[7], ARGV[1], 'EX', ARGV[9]) end
return {'new', ARGV[1]}
