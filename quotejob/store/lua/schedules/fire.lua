-- needs add, schedules/place
-- Decide one fire time of a schedule: whether its job runs, and the next fire time. Several ticks may try; it is decided
-- once. The job is submitted later, from the sorted set of what has fired. Its id is made of schedule and fire time.
-- args  keys: schedule, due, guaranteed_key, version_key, fired, fired_here (the jobs of this schedule in fired), first (the jobs of the
--       org that go first), job_prefix
--       id, planned (ms; the fire time; nil: run now), following (ms; the next fire time, or nil), job_id, moment (ms),
--       most_fired (jobs of the schedule that have fired and are not submitted), reason (why it does not run, or nil)
-- Returns 'fired', 'skipped', 'busy' (only for run now) or 'not_due' (decided before, or the state does not allow it).
local state, next_one, overlap, last, guaranteed = unpack(
  redis.call('HMGET', args.schedule, 'state', 'nextFireTime', 'overlap', 'lastJobId', 'guaranteed'))
if not state then return 'not_due' end
if args.planned and (state ~= 'WAITING' or next_one ~= string.format('%.0f', args.planned)) then return 'not_due' end
if not args.planned and last == args.job_id then return 'fired' end -- the same call again

local fired = redis.call('SCARD', args.fired_here)
local begun = redis.call('EXISTS', args.job_prefix .. args.job_id) == 1 -- Redis lost the end of the call that fired it
  or redis.call('SISMEMBER', args.fired_here, args.job_id) == 1
local reason
if not begun then
  reason = args.reason
  if not reason and overlap == 'skip' and last then
    local status = redis.call('HGET', args.job_prefix .. last, 'status')
    local open = status and status ~= 'Completed' and status ~= 'Failed' and status ~= 'Aborted'
    if open or redis.call('SISMEMBER', args.fired_here, last) == 1 then reason = 'Skipped because its job ' .. last .. ' was still there' end
  end
  if not reason and fired >= args.most_fired then
    reason = 'Skipped because ' .. fired .. ' jobs of this schedule still wait to be submitted'
  end
end
if not args.planned and reason then return 'busy' end

redis.call('INCR', args.version_key)
if not reason then -- first: a fire time that is decided has its job
  if args.planned and guaranteed == '1' then redis.call('ZADD', args.first, args.moment, args.job_id) end
  redis.call('SADD', args.fired_here, args.job_id)
  redis.call('ZADD', args.fired, args.moment, args.id .. ' ' .. args.job_id)
end
local function more(field) return string.format('%.0f', (redis.call('HGET', args.schedule, field) or 0) + 1) end
local fields = {extendedStatus = reason, nextFireTime = args.planned and args.following}
if args.planned and not args.following then fields.state = 'COMPLETE' end
if reason then
  fields.timesSkipped = more('timesSkipped')
else
  fields.timesTriggered, fields.previousFireTime, fields.lastJobId = more('timesTriggered'), args.moment, args.job_id
end
set_fields(args.schedule, fields) -- now the fire time is decided
if not reason then redis.call('HDEL', args.schedule, 'extendedStatus') end
settle()
local outcome = reason and 'skipped' or 'fired'
add('quotejob:metrics', 'schedule_fires ' .. outcome, 1)
return outcome
