-- Add to a number of a hash, for the scripts that begin with "needs add". Returns the sum.
-- The sum is written, and not what is added (HINCRBY). So a script is harmless when Redis repeats a part of it. Redis does
-- that when its append-only file was cut in the middle of a script, and it starts from this file once more (valkey#4342).
local function add(key, field, count)
  local sum = (tonumber(redis.call('HGET', key, field)) or 0) + count
  redis.call('HSET', key, field, string.format('%.0f', sum))
  return sum
end
