-- Keep another context for a job that has not ended.
-- KEYS  job, context
-- ARGV  sealed context, its TTL (s)
local status = redis.call('HGET', KEYS[1], 'status')
if not status or status == 'Completed' or status == 'Failed' or status == 'Aborted' then return 0 end
redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
return 1
