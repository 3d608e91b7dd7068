-- needs jobs/queue
-- Put a Failed or Aborted job back into the flex queue, with a new context. Its plan and its results are kept.
-- args  id, org, parts (all keys of the job that are to stay), most_holding, most_active, window (ms; the reserved window),
--       context (encrypted), context_kept (s), origins (the statuses it may come from)
-- Returns one of
--   {status before}              '' if there is no such job; the job was resumed if the status is one of the origins
--   {'full'}                     the flex queue has no room
--   {'vain', parent, its status} the job depends on a parent that has ended in another way
local id, owner, key = args.id, args.org, job(args.id)
local before = redis.call('HGET', key, 'status')
if not before then return {''} end
if not is_one_of(before, args.origins) then return {before} end
local parent, status = vain(id, redis.call('HGET', key, 'dependsOnOutcome'), false)
if parent then return {'vain', parent, status} end
watch(id, owner, redis.call('HGET', key, 'jobType'))
redis.call('HSET', key, 'status', 'Holding')
enter(id, owner)
arrange({id})
if overfull(owner, args.most_holding, args.most_active, args.window) then
  redis.call('HSET', key, 'status', before)
  leave(id, owner)
  wake(owner)
  return {'full'}
end
count_move(id, 'Holding')
redis.call('HDEL', key, 'extendedStatus', 'completedDate', 'noticed')
redis.call('PERSIST', key)
for _, part in ipairs(args.parts) do redis.call('PERSIST', part) end
redis.call('ZREM', CLEAN_UPS, id) -- the resumed job completes its Quotes itself
redis.call('SREM', org(owner, 'clean-ups'), id)
redis.call('PERSIST', job(id, 'leases'))
redis.call('SET', job(id, 'context'), args.context, 'EX', args.context_kept)
redis.call('DEL', job(id, 'lent'))
return {before}
