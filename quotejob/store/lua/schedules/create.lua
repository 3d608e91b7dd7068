-- Store a new schedule, all of it or nothing. The same call again stores nothing more.
-- args  schedule, due; of the org: schedules, names, guaranteed_key, revision_key, version_key (keys)
--       id, created (us), most (schedules of an org), name, first_fire (ms), guaranteed, revision (as read before), fields
-- Returns 'new', 'full', 'name' (the name is taken) or 'stale' (the guaranteed schedules of the org changed since the
-- revision was read).
if redis.call('EXISTS', args.schedule) == 1 then return 'new' end -- the same call again
if redis.call('ZCARD', args.schedules) >= args.most then return 'full' end
if redis.call('HEXISTS', args.names, args.name) == 1 then return 'name' end
if args.guaranteed then
  if (redis.call('GET', args.revision_key) or '0') ~= args.revision then return 'stale' end
  redis.call('INCR', args.revision_key)
  redis.call('ZADD', args.guaranteed_key, args.first_fire, args.id)
end
for name, value in pairs(args.fields) do redis.call('HSET', args.schedule, name, value) end
redis.call('ZADD', args.schedules, args.created, args.id)
redis.call('HSET', args.names, args.name, args.id)
redis.call('ZADD', args.due, args.first_fire, args.id)
redis.call('INCR', args.version_key)
return 'new'
