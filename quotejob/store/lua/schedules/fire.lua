-- needs add
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
local reason = args.reason
if not reason and overlap == 'skip' and last then
  local status = redis.call('HGET', args.job_prefix .. last, 'status')
  local open = status and status ~= 'Completed' and status ~= 'Failed' and status ~= 'Aborted'
  if open or redis.call('SISMEMBER', args.fired_here, last) == 1 then reason = 'Skipped because its job ' .. last .. ' was still there' end
end
if not reason and fired >= args.most_fired then
  reason = 'Skipped because the flex queue had no room for ' .. fired .. ' jobs of this schedule'
end
if not args.planned and reason then return 'busy' end

redis.call('INCR', args.version_key)
if args.planned and not args.following then
  redis.call('HSET', args.schedule, 'state', 'COMPLETE')
  redis.call('HDEL', args.schedule, 'nextFireTime')
  redis.call('ZREM', args.due, args.id)
  redis.call('ZREM', args.guaranteed_key, args.id)
elseif args.planned then
  redis.call('HSET', args.schedule, 'nextFireTime', args.following)
  redis.call('ZADD', args.due, 'XX', args.following, args.id)
  redis.call('ZADD', args.guaranteed_key, 'XX', args.following, args.id)
end
if reason then
  add(args.schedule, 'timesSkipped', 1)
  add('quotejob:metrics', 'schedule_fires skipped', 1)
  redis.call('HSET', args.schedule, 'extendedStatus', reason)
  return 'skipped'
end
add(args.schedule, 'timesTriggered', 1)
add('quotejob:metrics', 'schedule_fires fired', 1)
redis.call('HSET', args.schedule, 'previousFireTime', args.moment, 'lastJobId', args.job_id)
redis.call('HDEL', args.schedule, 'extendedStatus')
redis.call('ZADD', args.fired, args.moment, args.id .. ' ' .. args.job_id)
redis.call('SADD', args.fired_here, args.job_id)
if args.planned and guaranteed == '1' then redis.call('ZADD', args.first, args.moment, args.job_id) end
return 'fired'
