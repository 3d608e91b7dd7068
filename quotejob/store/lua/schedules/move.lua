-- needs add, schedules/place
-- Move a schedule from one state to another.
-- args  keys: schedule, due, guaranteed_key, revision_key, version_key, schedules, names, fired_here (jobs of this schedule that have
--       fired and are not submitted)
--       id, state (the new one), next_fire (ms; nil: it does not fire), revision (as read before, or nil), reason (or nil),
--       origins (the states it may come from)
-- Returns the state before ('' if there is no such schedule), or 'stale' (the guaranteed schedules of the org changed since
-- the revision was read).
local state, guaranteed, name = unpack(redis.call('HMGET', args.schedule, 'state', 'guaranteed', 'name'))
if not state then return '' end
local allowed = false
for _, origin in ipairs(args.origins) do allowed = allowed or origin == state end
if not allowed then return state end
if args.next_fire and guaranteed == '1' then
  if (redis.call('GET', args.revision_key) or '0') ~= args.revision then return 'stale' end
  redis.call('INCR', args.revision_key)
end
redis.call('INCR', args.version_key)
if args.state == 'DELETED' then
  redis.call('DEL', args.schedule, args.fired_here) -- first: what is left of one that is not there does no harm
  redis.call('ZREM', args.schedules, args.id)
  redis.call('HDEL', args.names, name)
  settle()
  return state
end
if args.next_fire then expect(args.next_fire) end
set_fields(args.schedule, {state = args.state, extendedStatus = args.reason, nextFireTime = args.next_fire})
if not args.reason then redis.call('HDEL', args.schedule, 'extendedStatus') end
settle()
if args.state == 'ERROR' then add('quotejob:metrics', 'schedule_errors', 1) end
return state
