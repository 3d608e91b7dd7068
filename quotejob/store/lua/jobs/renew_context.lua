-- Store a new context for a job that has not ended.
-- args  job, context_key (keys), context (encrypted), context_kept (s)
-- Returns 1 if it was stored, else 0.
local status = redis.call('HGET', args.job, 'status')
if not status or status == 'Completed' or status == 'Failed' or status == 'Aborted' then return 0 end
redis.call('SET', args.context_key, args.context, 'EX', args.context_kept)
return 1
