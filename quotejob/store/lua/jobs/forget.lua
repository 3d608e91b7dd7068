-- Let the sweep look at a job no more, unless it has been resumed meanwhile.
-- args  id, job and open (keys)
local status = redis.call('HGET', args.job, 'status')
if not status or status == 'Completed' or status == 'Failed' or status == 'Aborted' then
  redis.call('ZREM', args.open, args.id)
end
