-- The one clock of all processes, for the scripts that begin with "needs clock": the time of Redis, in ms.
local function redis_time()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
