-- needs jobs/queue
-- Accept a job, once: store all of it or nothing.
-- args  id, org, created (us), fields of the job, parents (the jobs it depends on), most_holding, most_active, window (ms;
--       the reserved window), passes_full (it goes past a full queue), context (sealed), context_kept (s),
--       hourly (jobs that the org may submit within an hour), idempotency (its key, or nil), idempotency_kept (s), request (the fingerprint of what is asked)
-- Returns {'new', id, jobs of the org, the hash of the job, its position}, {'known', id, 0, hash, position} (the same
-- idempotency key), {'reused', id} (the same key, another request), {'full', ''}, {'often', seconds until more are
-- accepted}, {'ran', id}: this job runs the same dry run (fields.afterDryRun), or {'strangers', id ...}: it depends on
-- jobs that are not in this org.
local id, owner, key = args.id, args.org, job(args.id)
local listed = org(owner, 'jobs')
local function accepted(word, which, count)
  return {word, which, count, redis.call('HGETALL', job(which)), redis.call('ZRANK', org(owner, 'holding'), which)}
end
if args.idempotency then
  local known = redis.call('GET', args.idempotency)
  if known and known ~= id and redis.call('EXISTS', job(known)) == 1 then
    local request = redis.call('GET', args.idempotency .. ':request') -- nil: kept by a version without it
    if request and request ~= args.request then return {'reused', known} end
    return accepted('known', known, 0)
  end
end
if redis.call('EXISTS', key) == 1 then return accepted('new', id, redis.call('ZCARD', listed)) end -- this very call, repeated
local submitted = org(owner, 'submitted')
local ends = redis.call('TTL', submitted) -- -1: none, the end of a script was lost; too many: the clock has jumped back
if ends == -1 or ends > 3600 then redis.call('EXPIRE', submitted, 3600) end
if not args.passes_full and tonumber(redis.call('GET', submitted) or 0) >= args.hourly then
  return {'often', tostring(math.min(3600, math.max(1, redis.call('TTL', submitted))))}
end
local dry = args.fields.afterDryRun and job(args.fields.afterDryRun)
local ran = dry and redis.call('HGET', dry, 'runBy')
if ran and ran ~= id and redis.call('EXISTS', job(ran)) == 1 then return {'ran', ran} end
local strangers = {'strangers'}
for _, parent in ipairs(args.parents) do
  if redis.call('HGET', job(parent), 'orgId') ~= owner then strangers[#strangers + 1] = parent end
end
if #strangers > 1 then return strangers end
-- Before there is such a job: if the end of this script is lost, the dry run names a job that is not there, and is free.
if dry and redis.call('EXISTS', dry) == 1 then redis.call('HSET', dry, 'runBy', id) end
watch(id, owner, args.fields.jobType)
redis.call('SET', job(id, 'context'), args.context, 'EX', args.context_kept)
for _, parent in ipairs(args.parents) do redis.call('SADD', job(id, 'waits'), parent) end
redis.call('ZADD', listed, number(args.created), id)
set_fields(key, args.fields) -- now there is such a job
enter(id, owner)
arrange({id})
local holds = redis.call('HGET', key, 'status') == 'Holding' -- or it was Aborted at once: it takes no place
if holds and not args.passes_full and overfull(owner, args.most_holding, args.most_active, args.window) then
  leave(id, owner)
  for _, parent in ipairs(args.parents) do redis.call('SREM', job(parent, 'children'), id) end
  redis.call('DEL', key, job(id, 'waits'), job(id, 'context'))
  redis.call('ZREM', listed, id)
  wake(owner)
  return {'full', ''}
end
if not holds then redis.call('DEL', job(id, 'context')) end
redis.call('SET', submitted, 0, 'EX', 3600, 'NX')
redis.call('INCR', submitted)
count_move(id, 'Holding')
if args.idempotency then
  redis.call('SET', args.idempotency, id, 'EX', args.idempotency_kept)
  redis.call('SET', args.idempotency .. ':request', args.request, 'EX', args.idempotency_kept)
end
return accepted('new', id, redis.call('ZCARD', listed))
