-- Write a field of one of a job's hashes, unless the job is Completed: then its hashes are deleted, and nobody would
-- delete this one. A step that stood still may come so late.
-- args  job and key (keys), field, value, first (true: only if there is no such field)
-- Return 1 if it was written.
if redis.call('HGET', args.job, 'status') == 'Completed' then return 0 end
if args.first then return redis.call('HSETNX', args.key, args.field, args.value) end
redis.call('HSET', args.key, args.field, args.value)
return 1
