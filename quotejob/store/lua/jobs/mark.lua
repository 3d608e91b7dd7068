-- needs fence
-- Write a field of one of a job's hashes, unless the job is Completed: then its hashes are deleted, and nobody would
-- delete this one. A step that stood still may come so late.
-- args  job and key (keys), field, value, first (true: only if there is no such field), fence (as in fence)
-- Return 1 if it was written, 0 if not, -1 if the step has lost its lease.
local status = redis.call('HGET', args.job, 'status')
if status == 'Completed' then return 0 end
if args.first and redis.call('HEXISTS', args.key, args.field) == 1 then return 0 end
if is_fenced_off(args.fence, status) then return -1 end
redis.call('HSET', args.key, args.field, args.value)
return 1
