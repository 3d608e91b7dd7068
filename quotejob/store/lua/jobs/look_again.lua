-- needs jobs/queue
-- Check Holding jobs and the queues of orgs again, so that a lost message does not keep a job waiting. The ones with the
-- oldest check come first. Several sweeps at once check different ones.
-- args  silence (ms; only what was not checked for so long), most (jobs, and orgs, to check)
-- Returns the orgs that have ready jobs.
local silence, most = args.silence, args.most

-- Return the members that were not checked for longest, and note this check. A check in the future counts as old: it was
-- stored before the clock was turned back.
local function longest(key)
  local found = redis.call('ZRANGEBYSCORE', key, '-inf', number(NOW - silence), 'LIMIT', 0, most)
  for _, one in ipairs(redis.call('ZREVRANGEBYSCORE', key, '+inf', number(NOW + silence), 'LIMIT', 0, most)) do
    found[#found + 1] = one
  end
  for _, one in ipairs(found) do redis.call('ZADD', key, number(NOW), one) end
  return found
end

local ids = longest(HOLDING)
for _, id in ipairs(ids) do
  local status, owner = unpack(redis.call('HMGET', job(id), 'status', 'orgId'))
  if not status then
    redis.call('ZREM', HOLDING, id)
    redis.call('DEL', job(id, 'waits'))
  elseif ENDED[status] then -- Redis has lost the end of the script that ended it
    owe_mirror(id, owner)
    for _, child in ipairs(settle_end(id, owner)) do ids[#ids + 1] = child end
  elseif status ~= 'Holding' then
    leave(id, owner)
  elseif not redis.call('ZSCORE', org(owner, 'holding'), id) then
    enter(id, owner)
  end
end
arrange(ids)
local going = {}
for _, owner in ipairs(longest(QUEUES)) do
  wake(owner)
  if redis.call('EXISTS', org(owner, 'ready')) == 1 then going[#going + 1] = owner end
end
return going
