-- needs jobs/queue
-- Move a Holding job to another place of its org's flex queue.
-- args  org, id, place (front, end, before, after), other (the job in the queue to move it before or after, or nil),
--       position (in place of place: its new position; 0 is the front)
-- Returns 'moved', 'there' (it was in that place already), or the id of a named job that is not in the queue.
local owner, id, where, other = args.org, args.id, args.place, args.other
local holding, ready = org(owner, 'holding'), org(owner, 'ready')

local function put(one, place)
  redis.call('ZADD', holding, place, one)
  redis.call('ZADD', ready, 'XX', place, one)
end

for _, named in ipairs({id, other}) do
  if not redis.call('ZSCORE', holding, named) then return named end
end
if id == other then return 'there' end
local count, stood = redis.call('ZCARD', holding), redis.call('ZRANK', holding, id)
local rank = where == 'front' and 0 or count - 1 -- its new rank among the other jobs
if args.position then rank = math.min(args.position, rank) end
if other then
  rank = redis.call('ZRANK', holding, other)
  if rank > stood then rank = rank - 1 end
  if where == 'after' then rank = rank + 1 end
end
if rank == stood then return 'there' end
changed(owner)
for _, one in ipairs(redis.call('ZRANGE', holding, 0, -1)) do owe_mirror(one, owner) end -- each may have a new position

-- Return the place of the job with this rank among the other jobs. nil: there is none.
local function place_of(at)
  if at < 0 or at > count - 2 then return nil end
  if at >= stood then at = at + 1 end
  return tonumber(redis.call('ZRANGE', holding, at, at, 'WITHSCORES')[2])
end

local before, behind = place_of(rank - 1), place_of(rank)
local place = before and behind and (before + behind) / 2 or before and before + 1 or behind - 1
if place ~= before and place ~= behind then
  put(id, string.format('%.17g', place))
else -- no number is left between the two: number all jobs again
  local order = redis.call('ZRANGE', holding, 0, -1)
  table.remove(order, stood + 1)
  table.insert(order, rank + 1, id)
  for i, one in ipairs(order) do put(one, i) end
end
return 'moved'
