-- needs clock
-- The gate of all orgs, for the scripts that begin with "needs gate/gate". A message whose step asks an org passes it on
-- its way to its queue. When too many steps of this org are under way, the message waits in the org's room.
-- args  inside (hash: task id -> "org ends"), threads (hash: worker -> "threads ends"), waiting (orgs with a room, by the
--       time when one of their messages was let in last), length (ms that an entry holds without a renewal),
--       most (steps of one org at a time)
local NOW = redis_time()
local of_org, total, threads = {}, 0, nil

-- Return the entries of a hash that still hold, and delete the others. A jump of the clock back ends all of them.
local function holding(key)
  local found, held = redis.call('HGETALL', key), {}
  for place = 1, #found, 2 do
    local what, ends = string.match(found[place + 1], '^(%S+) (%d+)$')
    local left = tonumber(ends or 0) - NOW
    if left > 0 and left <= 2 * args.length then
      held[#held + 1] = what
    else
      redis.call('HDEL', key, found[place])
    end
  end
  return held
end

local function hold(key, name, what)
  redis.call('HSET', key, name, string.format('%s %.0f', what, NOW + args.length))
end

for _, org in ipairs(holding(args.inside)) do
  of_org[org], total = (of_org[org] or 0) + 1, total + 1
end
for _, count in ipairs(holding(args.threads)) do threads = (threads or 0) + tonumber(count) end

local function room_of(org) return 'quotejob:org:' .. org .. ':room' end
local function limit_key(org) return 'quotejob:org:' .. org .. ':limit' end

-- Plans and first pages are urgent. tasks/flow.py gives no write such a priority.
local function is_urgent(priority) return priority < 4 end

-- Return how many steps of the org may be under way. Of ten places or more one is for urgent ones: plans and first pages.
local function limit_of(org, urgent)
  local limit = math.min(args.most, math.floor(tonumber(redis.call('GET', limit_key(org)) or args.most)))
  return math.max(1, (urgent or limit < 10) and limit or limit - 1)
end

-- Return how many threads are free. A sixteenth of the threads is for steps that ask no org.
local function free_threads()
  return threads and threads - math.floor(threads / 16) - total or math.huge
end

-- Return whether one more step of the org may go. An org may take one more thread while it has fewer than twice as many
-- as are free. So one org alone gets two thirds, the next one two thirds of what is left, and there are threads for the
-- fourth even if the first three never answer.
local function may(org, urgent)
  local here = of_org[org] or 0
  if here >= limit_of(org, urgent) then return false end
  return free_threads() > 0 and (here == 0 or here < 2 * free_threads())
end

local function let_in(org, id, list, message)
  hold(args.inside, id, org)
  of_org[org], total = (of_org[org] or 0) + 1, total + 1
  redis.call('LPUSH', list, message)
end
