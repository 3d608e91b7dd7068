-- needs clock
-- The silence of an org, for the scripts that begin with "needs run/silence" or "needs run/lease".
--   silence  a hash: calls (that the org did not answer, since it last answered one), pauses (how many there were)
--   silence .. ':still'  exists while nothing should be sent to the org; its value is how long that is (ms)

-- Return ms for which nothing should be sent to the org. A clock that was turned back does not make it longer.
local function still_for(silence)
  local rest = redis.call('PTTL', silence .. ':still')
  if rest <= 0 then return 0 end
  return rest <= 2 * tonumber(redis.call('GET', silence .. ':still')) and rest or 0
end

local function unanswered(silence) return tonumber(redis.call('HGET', silence, 'calls') or 0) end

local function be_still(silence, length)
  redis.call('SET', silence .. ':still', string.format('%.0f', length), 'PX', string.format('%.0f', length))
end
