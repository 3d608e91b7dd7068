-- Put a job that ended unfinished back into the flex queue, with its caller's fresh context; what it knows is kept.
-- KEYS  job, context, holding, active, open jobs, then every key the job keeps
-- ARGV  job id, now (ms), most holding, most active, sealed context, its TTL (s), number of allowed origins, the origins
-- Gives the status the job had before ('' when there is no such job), or 'full'; it is resumed if that is an origin.
local before = redis.call('HGET', KEYS[1], 'status')
if not before then return '' end
local allowed = false
for i = 8, 7 + tonumber(ARGV[7]) do allowed = allowed or ARGV[i] == before end
if not allowed then return before end
local free = math.max(0, tonumber(ARGV[4]) - redis.call('SCARD', KEYS[4]))
if redis.call('LLEN', KEYS[3]) >= tonumber(ARGV[3]) + free then return 'full' end
redis.call('HSET', KEYS[1], 'status', 'Holding')
redis.call('HDEL', KEYS[1], 'extendedStatus', 'completedDate')
redis.call('PERSIST', KEYS[1])
for i = 6, #KEYS do redis.call('PERSIST', KEYS[i]) end
redis.call('SET', KEYS[2], ARGV[5], 'EX', ARGV[6])
redis.call('RPUSH', KEYS[3], ARGV[1])
redis.call('ZADD', KEYS[5], ARGV[2], ARGV[1])
return before
