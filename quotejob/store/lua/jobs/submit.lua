-- needs jobs/queue
-- Accept a job: all of it or nothing, once.
-- KEYS  job, context, org's jobs, idempotency key
-- ARGV  job id, org, now (us), most holding, most active, reserved window (ms), goes past a full queue (0/1), sealed
--       context, its TTL (s), has an idempotency key (0/1), its TTL (s), number of jobs it depends on, these, then field,
--       value ... of the job
-- Gives {'new', id}, {'known', id} (the same idempotency key), {'full', ''}, or {'strangers', id ...}: it depends on jobs
-- that are not in this org.
local id, owner = ARGV[4], ARGV[5]
if ARGV[13] == '1' then
  local known = redis.call('GET', KEYS[4])
  if known and known ~= id and redis.call('EXISTS', job(known)) == 1 then return {'known', known} end
end
if redis.call('EXISTS', KEYS[1]) == 1 then return {'new', id} end -- this very call, repeated
local parents = tonumber(ARGV[15])
local strangers = {'strangers'}
for i = 16, 15 + parents do
  if redis.call('HGET', job(ARGV[i]), 'orgId') ~= owner then strangers[#strangers + 1] = ARGV[i] end
end
if #strangers > 1 then return strangers end
redis.call('HSET', KEYS[1], unpack(ARGV, 16 + parents))
for i = 16, 15 + parents do redis.call('SADD', job(id, 'waits'), ARGV[i]) end
enter(id, owner)
arrange({id})
local holds = redis.call('HGET', KEYS[1], 'status') == 'Holding' -- or it was Aborted at once: it takes no place
if holds and ARGV[10] == '0' and overfull(owner, tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])) then
  leave(id, owner)
  for i = 16, 15 + parents do redis.call('SREM', job(ARGV[i], 'children'), id) end
  redis.call('DEL', KEYS[1], job(id, 'waits'))
  wake(owner)
  return {'full', ''}
end
if holds then redis.call('SET', KEYS[2], ARGV[11], 'EX', ARGV[12]) end
redis.call('ZADD', KEYS[3], ARGV[6], id)
if ARGV[13] == '1' then redis.call('SET', KEYS[4], id, 'EX', ARGV[14]) end
return {'new', id}
