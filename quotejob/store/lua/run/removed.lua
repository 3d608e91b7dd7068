-- needs run/lease
-- Note that an incomplete Quote was removed from the org. When none is left, the job needs no session any more.
-- args  job, incomplete, clean_ups, org_clean_ups, context, leases (keys), id, unit (nil: only count the others), final
--       (whether no request that was sent before the job's end can still arrive), api_calls
-- Returns 1 when nothing is left to remove, else 0.
if not has_ended(args.job) then return 0 end -- it was resumed meanwhile
if args.unit then
  local record = string.match(redis.call('HGET', args.incomplete, args.unit) or '', '^%S+')
  if args.final then
    redis.call('HDEL', args.incomplete, args.unit)
  elseif record then
    redis.call('HSET', args.incomplete, args.unit, record .. ' -')
  end
  if redis.call('EXISTS', args.job) == 1 then redis.call('HINCRBY', args.job, 'apiCalls', args.api_calls) end
end
if redis.call('EXISTS', args.incomplete) == 1 then return 0 end
redis.call('ZREM', args.clean_ups, args.id)
redis.call('SREM', args.org_clean_ups, args.id)
redis.call('DEL', args.context, args.leases)
return 1
