-- needs add
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
redis.call('ZREM', args.due, args.id)
redis.call('ZREM', args.guaranteed_key, args.id)
if args.state == 'DELETED' then
  redis.call('DEL', args.schedule, args.fired_here)
  redis.call('ZREM', args.schedules, args.id)
  redis.call('HDEL', args.names, name)
  return state
end
redis.call('HSET', args.schedule, 'state', args.state)
if args.state == 'ERROR' then add('quotejob:metrics', 'schedule_errors', 1) end
if args.reason then
  redis.call('HSET', args.schedule, 'extendedStatus', args.reason)
else
  redis.call('HDEL', args.schedule, 'extendedStatus')
end
if not args.next_fire then
  redis.call('HDEL', args.schedule, 'nextFireTime')
else
  redis.call('HSET', args.schedule, 'nextFireTime', args.next_fire)
  redis.call('ZADD', args.due, args.next_fire, args.id)
  if guaranteed == '1' then redis.call('ZADD', args.guaranteed_key, args.next_fire, args.id) end
end
return state
