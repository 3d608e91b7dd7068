-- needs jobs/queue
-- Check Holding jobs and the queues of orgs again, so that a lost message does not keep a job waiting. Those whose last
-- check is the oldest come first. Several sweeps at once check different ones.
-- args  silence (ms; for so long they were not looked at), most (jobs, and orgs)
-- Gives the orgs that have jobs that may go.
local silence, most = args.silence, args.most

-- A check in the future was stored before the clock was turned back.
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
  if redis.call('EXISTS', job(id)) == 0 then redis.call('ZREM', HOLDING, id) end
end
arrange(ids)
local going = {}
for _, owner in ipairs(longest(QUEUES)) do
  wake(owner)
  if redis.call('EXISTS', org(owner, 'ready')) == 1 then going[#going + 1] = owner end
end
return going
