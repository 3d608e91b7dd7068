-- needs jobs/queue
-- Let the sweep look at a job no more that has ended or that Redis has lost. What comes of its end is done first: Redis
-- may have lost the end of the script that ended it. A job that was resumed meanwhile stays.
-- args  id, keep, drop (as in end_job)
local status, owner = unpack(redis.call('HMGET', job(args.id), 'status', 'orgId'))
if not status then
  redis.call('ZREM', OPEN, args.id)
elseif ENDED[status] then
  owe_mirror(args.id, owner)
  end_job(args.id, owner)
end
