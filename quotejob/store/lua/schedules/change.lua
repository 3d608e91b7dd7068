-- needs schedules/place
-- Change the fields of a schedule, all of them or none. What it counts and what it did before stay.
-- args  keys: schedule, due, names, guaranteed_key, revision_key, version_key
--       id, expected (field -> its text as it was read; '': it was not there), fields (field -> its new value), gone (fields
--       to remove), old_name, name, next_fire (ms; nil: it does not fire), revision (as read before; nil: nothing
--       changes that other guaranteed schedules depend on)
-- Returns 'changed', '' (there is no such schedule), 'name' (the name is taken) or 'stale' (the schedule, or the guaranteed
-- schedules of the org, changed since they were read).
if redis.call('EXISTS', args.schedule) == 0 then return '' end
for name, text in pairs(args.expected) do
  if (redis.call('HGET', args.schedule, name) or '') ~= text then return 'stale' end
end
if owner_of(args.name) then return 'name' end
if args.revision then
  if (redis.call('GET', args.revision_key) or '0') ~= args.revision then return 'stale' end
  redis.call('INCR', args.revision_key)
end
redis.call('INCR', args.version_key)
redis.call('HSET', args.names, args.name, args.id)
if args.next_fire then expect(args.next_fire) end
set_fields(args.schedule, args.fields)
if #args.gone > 0 then redis.call('HDEL', args.schedule, unpack(args.gone)) end
if args.old_name ~= args.name then redis.call('HDEL', args.names, args.old_name) end
settle()
return 'changed'
