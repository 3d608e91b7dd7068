-- needs clock, add
-- Note what a unit has spent, and what the org has said of its calls.
-- args  budget, usage (as in run/draw), id, unit, calls (that were sent), used and limit (nil: the org has not said)
-- A smaller number of used calls than one that was said just before comes from an answer that was overtaken.
local now = redis_time()
redis.call('HDEL', args.budget, 'drawn ' .. args.id .. ' ' .. args.unit)
if args.calls > 0 then add(args.budget, 'spent ' .. args.id, string.format('%.0f', args.calls)) end
if not args.limit then return end
local used, limit, at = unpack(redis.call('HMGET', args.usage, 'used', 'limit', 'at'))
local age = now - tonumber(at or 0)
local overtaken = used and tonumber(used) > args.used and tonumber(limit) == args.limit and age >= 0 and age < 5000
if overtaken then return end
redis.call('HSET', args.usage, 'used', string.format('%.0f', args.used), 'limit', string.format('%.0f', args.limit),
  'at', string.format('%.0f', now))
redis.call('EXPIRE', args.usage, 24 * 3600)
