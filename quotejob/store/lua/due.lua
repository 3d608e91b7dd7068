-- needs clock
-- Return at most `most` members of a list whose time has come, for the scripts that begin with "needs due". No time is
-- further ahead than `longest` ms. If one is, the clock was turned back; then its time has come, too.
local function due_of(list, longest, most)
  local now = redis_time()
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', list, string.format('(%.0f', now + 2 * longest), '+inf')) do
    redis.call('ZADD', list, string.format('%.0f', now), member)
  end
  return redis.call('ZRANGEBYSCORE', list, '-inf', string.format('%.0f', now), 'LIMIT', 0, most)
end
