-- needs jobs/queue
-- Put a job that ended unfinished back into the flex queue, with its caller's fresh context; what it knows is kept.
-- KEYS  job, context, then every key the job keeps
-- ARGV  job id, org, most holding, most active, reserved window (ms), sealed context, its TTL (s), number of allowed
--       origins, the origins
-- Gives {the status the job had before} ('' when there is no such job), {'full'}, or {'vain', job, its status}: what it
-- depends on has ended otherwise. It is resumed if the status is an origin.
local id, owner = ARGV[4], ARGV[5]
local before = redis.call('HGET', KEYS[1], 'status')
if not before then return {''} end
local allowed = false
for i = 12, 11 + tonumber(ARGV[11]) do allowed = allowed or ARGV[i] == before end
if not allowed then return {before} end
local parent, status = vain(id, redis.call('HGET', KEYS[1], 'dependsOnOutcome'), false)
if parent then return {'vain', parent, status} end
redis.call('HSET', KEYS[1], 'status', 'Holding')
enter(id, owner)
arrange({id})
if overfull(owner, tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])) then
  redis.call('HSET', KEYS[1], 'status', before)
  leave(id, owner)
  wake(owner)
  return {'full'}
end
redis.call('HDEL', KEYS[1], 'extendedStatus', 'completedDate')
redis.call('PERSIST', KEYS[1])
for i = 3, #KEYS do redis.call('PERSIST', KEYS[i]) end
redis.call('SET', KEYS[2], ARGV[9], 'EX', ARGV[10])
return {before}
