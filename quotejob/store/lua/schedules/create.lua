-- needs schedules/place
-- Store a new schedule, all of it or nothing. The same call again stores nothing more.
-- args  schedule, due; of the org: schedules, names, guaranteed_key, revision_key, version_key (keys)
--       id, created (us), most (schedules of an org), name, first_fire (ms), guaranteed, revision (as read before), fields
-- Returns 'new', 'full', 'name' (the name is taken) or 'stale' (the guaranteed schedules of the org changed since the
-- revision was read).
if redis.call('EXISTS', args.schedule) == 1 then -- the same call again
  settle()
  return 'new'
end
if redis.call('ZCARD', args.schedules) >= args.most then return 'full' end
if owner_of(args.name) then return 'name' end
if args.guaranteed then
  if (redis.call('GET', args.revision_key) or '0') ~= args.revision then return 'stale' end
  redis.call('INCR', args.revision_key)
end
redis.call('ZADD', args.schedules, args.created, args.id)
redis.call('HSET', args.names, args.name, args.id)
expect(args.first_fire)
set_fields(args.schedule, args.fields) -- now there is such a schedule
settle()
redis.call('INCR', args.version_key)
return 'new'
