-- needs jobs/queue
-- Move a job to another status, once, even if many processes try. If the job ends, check the jobs that wait for it.
-- args  id, org, status (the new one), origins (the statuses it may come from), fields (to set in the same step), ends
--       (whether the job ends), counts (nil, or fields that must have these numbers: an older copy of Redis may not have all
--       that the caller has seen). Only if it ends: keep, drop (as in end_job), past_run (what estimates need of this run, or
--       nil), runs_remembered (of each job type), runs_kept (s)
-- Returns the status before ('' if there is no such job), or 'changed' (the counts). The job was moved if that is one of the
-- origins.
local id, owner, key = args.id, args.org, job(args.id)
local before = redis.call('HGET', key, 'status')
if not before then return '' end
if not is_one_of(before, args.origins) then return before end
for field, count in pairs(args.counts or {}) do
  if tonumber(redis.call('HGET', key, field) or 0) ~= count then return 'changed' end
end
args.fields.status = args.status
set_fields(key, args.fields)
count_move(id, args.status)
changed(owner)
if args.past_run then
  local runs = org(owner, 'runs:' .. redis.call('HGET', key, 'jobType'))
  redis.call('LPUSH', runs, args.past_run)
  redis.call('LTRIM', runs, 0, args.runs_remembered - 1)
  redis.call('EXPIRE', runs, args.runs_kept)
end
if args.ends then
  end_job(id, owner)
else
  redis.call('ZADD', OPEN, 'XX', number(NOW), id)
end
return before
