-- needs gate/gate
-- End a step that was under way, if one is named, and let in what may go now: from the orgs with the fewest steps under
-- way first; of those the highest priority; of those the org that has waited longest.
-- args  those of the gate, id (of the task), org (of the task; nil: none), well (the org had no trouble with it)
-- Returns how many messages were let in.
if args.id and redis.call('HDEL', args.inside, args.id) == 1 then
  of_org[args.org], total = math.max(0, (of_org[args.org] or 0) - 1), math.max(0, total - 1)
end
local limit = args.well and tonumber(redis.call('GET', limit_key(args.org)) or nil)
if limit then -- it grows by one for as many steps as it lets go at a time
  limit = limit + 1 / limit
  if limit >= args.most then
    redis.call('DEL', limit_key(args.org))
  else
    redis.call('SET', limit_key(args.org), string.format('%.3f', limit), 'KEEPTTL')
  end
end

-- Return the org whose first message goes next. nil: no message may go. Of the orgs without a step under way it looks at
-- those that have waited longest, however many wait.
local MOST_LOOKED_AT = 100
local function next_org()
  if free_threads() <= 0 then return nil end
  local best, best_here, best_place
  local looked_at = 0
  for _, org in ipairs(redis.call('ZRANGE', args.waiting, 0, -1)) do
    local here = of_org[org] or 0
    if looked_at == MOST_LOOKED_AT then break end
    if not best or here <= best_here then
      local first = redis.call('ZRANGE', room_of(org), 0, 0, 'WITHSCORES')
      if not first[1] then
        redis.call('ZREM', args.waiting, org)
      else
        local place = math.floor(tonumber(first[2]) / 2 ^ 40)
        local better = not best or here < best_here or place < best_place
        if better and may(org, is_urgent(place)) then best, best_here, best_place = org, here, place end
        if here == 0 then looked_at = looked_at + 1 end
      end
    end
  end
  return best
end

local let = 0
while let < 1000 do
  local org = next_org()
  if not org then break end
  local first = redis.call('ZPOPMIN', room_of(org))[1]
  local id, list, message = string.match(first, '^(.-)\n(.-)\n(.*)$')
  let_in(org, id, list, message)
  if redis.call('EXISTS', room_of(org)) == 1 then
    redis.call('ZADD', args.waiting, string.format('%.0f', NOW), org)
  else
    redis.call('ZREM', args.waiting, org)
  end
  let = let + 1
end
return let
