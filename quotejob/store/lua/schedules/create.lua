-- Store a new schedule, once: all of it or nothing.
-- args  schedule, schedules, names, due, guaranteed_key, revision_key (keys; the middle ones of the org), id, created (us),
--       most (schedules of an org), name, first_fire (ms), guaranteed, revision (that was looked at), fields
-- Gives 'new', 'full', 'name' (it is taken) or 'stale' (the guaranteed schedules are others than those looked at).
if redis.call('EXISTS', args.schedule) == 1 then return 'new' end -- this very call, repeated
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
return 'new'
