-- needs fields
-- The place of a schedule among those that ticks look at, for the scripts that begin with "needs schedules/place". It
-- goes by the schedule's hash. A Redis that has lost the end of a script (valkey#4342) has a place that is too early at
-- most: the tick that finds it puts it right (schedules/settle).
-- args  schedule, due, guaranteed_key (keys), id

-- Let a tick look at the schedule at this time (ms) at the latest. This comes before the hash has the time.
local function expect(time) redis.call('ZADD', args.due, 'LT', time, args.id) end

-- Put the schedule where its hash says. This comes last.
local function settle()
  local state, time, guaranteed = unpack(redis.call('HMGET', args.schedule, 'state', 'nextFireTime', 'guaranteed'))
  local function put(key, is_there)
    if is_there then redis.call('ZADD', key, time, args.id) else redis.call('ZREM', key, args.id) end
  end
  local waits = state == 'WAITING' and time
  if time and not waits then redis.call('HDEL', args.schedule, 'nextFireTime') end
  put(args.guaranteed_key, waits and guaranteed == '1')
  put(args.due, waits) -- last: ticks look at it
end

-- Return which other schedule of the org has this name, or nil.
local function owner_of(name)
  local owner = redis.call('HGET', args.names, name)
  local known = owner and redis.call('EXISTS', string.sub(args.schedule, 1, -#args.id - 1) .. owner) == 1
  return known and owner ~= args.id and owner or nil
end
