-- needs jobs/queue
-- Put a job that ended unfinished back into the flex queue, with its caller's fresh context; what it knows is kept.
-- args  id, org, parts (every key the job keeps), most_holding, most_active, window (ms; the reserved window), context
--       (sealed), context_kept (s), origins (the states it may come from)
-- Gives {the status the job had before} ('' when there is no such job), {'full'}, or {'vain', job, its status}: what it
-- depends on has ended otherwise. It is resumed if the status is an origin.
local id, owner, key = args.id, args.org, job(args.id)
local before = redis.call('HGET', key, 'status')
if not before then return {''} end
if not is_one_of(before, args.origins) then return {before} end
local parent, status = vain(id, redis.call('HGET', key, 'dependsOnOutcome'), false)
if parent then return {'vain', parent, status} end
redis.call('HSET', key, 'status', 'Holding')
enter(id, owner)
arrange({id})
if overfull(owner, args.most_holding, args.most_active, args.window) then
  redis.call('HSET', key, 'status', before)
  leave(id, owner)
  wake(owner)
  return {'full'}
end
redis.call('HDEL', key, 'extendedStatus', 'completedDate')
redis.call('PERSIST', key)
for _, part in ipairs(args.parts) do redis.call('PERSIST', part) end
redis.call('ZREM', CLEAN_UPS, id) -- the resumed job completes its Quotes itself
redis.call('SREM', org(owner, 'clean-ups'), id)
redis.call('PERSIST', job(id, 'leases'))
redis.call('SET', job(id, 'context'), args.context, 'EX', args.context_kept)
return {before}
