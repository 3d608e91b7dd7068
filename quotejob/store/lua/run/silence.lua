-- needs clock
-- The silence of an org, for the scripts that begin with "needs run/silence" or "needs run/lease". A hash for each org:
--   calls   how many calls the org did not answer, since it last answered one
--   until   no call should be made before this time (ms), length  how long that is (ms), pauses  how many there were
-- Times are in ms by the clock of Redis. If the clock is turned back, a time that is too far away counts as over.
local NOW = redis_time()

-- Return whether a time that was set to ``length`` from then is still in the future.
local function is_ahead(ends, length) return ends > NOW and ends - NOW <= 2 * length end

-- Return {ms for which nothing should be sent to the org, the number of calls that it did not answer}.
local function silence_of(silence)
  local calls, ends, length = unpack(redis.call('HMGET', silence, 'calls', 'until', 'length'))
  local rest = ends and is_ahead(tonumber(ends), tonumber(length)) and tonumber(ends) - NOW or 0
  return {rest, tonumber(calls or 0)}
end

local function be_still(silence, length)
  redis.call('HSET', silence, 'until', string.format('%.0f', NOW + length), 'length', string.format('%.0f', length))
end
