-- needs run/lease
-- Note that an incomplete Quote was removed from the org. When none is left, the job needs no session any more.
-- args  job, incomplete, clean_ups, org_clean_ups, context, lent, leases (keys), id, record (the Opportunity; nil:
--       it is only checked if any Quote is left), final (no request from before the job's end can arrive any more),
--       api_calls
-- Returns 1 if the job has nothing left to remove, else 0.
if not has_ended(args.job) then return 0 end -- it was resumed meanwhile
if args.record then
  local holder, unit = string.match(redis.call('HGET', args.incomplete, args.record) or '', '^(%S+) (%S+)')
  if holder == args.id and args.final then
    redis.call('HDEL', args.incomplete, args.record)
  elseif holder == args.id then
    redis.call('HSET', args.incomplete, args.record, holder .. ' ' .. unit .. ' -')
  end
  if redis.call('EXISTS', args.job) == 1 then add(args.job, 'apiCalls', args.api_calls) end
end
for _, note in ipairs(redis.call('HVALS', args.incomplete)) do
  if string.match(note, '^%S+') == args.id then return 0 end
end
redis.call('ZREM', args.clean_ups, args.id)
redis.call('SREM', args.org_clean_ups, args.id)
redis.call('DEL', args.context, args.lent, args.leases)
return 1
