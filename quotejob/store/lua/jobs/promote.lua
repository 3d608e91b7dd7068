-- needs jobs/queue
-- Make ready jobs Queued while the org has a free slot, in the order of the flex queue. Those that only a newer version
-- understands wait for a call of that version; others pass them.
-- args  org, most_active, reserved (slots to leave free), first (a job that goes before all others and may take a reserved
--       slot, or nil), context_kept (s; how long the context of a promoted job is stored from now on)
-- Returns the ids of the jobs that this call promoted.
local owner, most, reserved, first = args.org, args.most_active, args.reserved, args.first
local promoted = {}

local function free(spared) return redis.call('SCARD', org(owner, 'active')) < most - spared end

local function promote(id)
  if redis.call('HGET', job(id), 'status') == 'Holding' then
    redis.call('ZADD', OPEN, number(NOW), id) -- first: see watch
    redis.call('HSET', job(id), 'status', 'Queued')
    redis.call('SADD', org(owner, 'active'), id)
    count_move(id, 'Queued')
    redis.call('EXPIRE', job(id, 'context'), args.context_kept)
    promoted[#promoted + 1] = id
  end
  leave(id, owner)
end

wake(owner)
if reserved > 0 then redis.call('SET', org(owner, 'reserved'), reserved) else redis.call('DEL', org(owner, 'reserved')) end
if first and free(0) and redis.call('ZSCORE', org(owner, 'ready'), first) and not is_newer(first) then promote(first) end
local passed = 0
while free(reserved) do
  local id = redis.call('ZRANGE', org(owner, 'ready'), passed, passed)[1]
  if not id then break end
  if is_newer(id) then passed = passed + 1 else promote(id) end
end
return promoted
