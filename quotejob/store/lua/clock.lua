-- The time of Redis in ms, for the scripts that begin with "needs clock". All processes use this clock.
local function redis_time()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
