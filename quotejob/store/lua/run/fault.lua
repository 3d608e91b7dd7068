-- needs clock, add
-- Count a fault of a job, and the time that the job has waited because of such faults since its last success.
-- args  faults (a key), kind, longest (ms; the longest time that one fault may add: a jump of the clock counts as this)
-- Returns {the number of faults of this kind, ms waited}. Any receipt of the job deletes both.
local now, last = redis_time(), tonumber(redis.call('HGET', args.faults, args.kind .. ' last'))
local passed = last and math.min(math.max(now - last, 0), args.longest) or 0
local waited = add(args.faults, args.kind .. ' waited', string.format('%.0f', passed))
redis.call('HSET', args.faults, args.kind .. ' last', string.format('%.0f', now))
redis.call('EXPIRE', args.faults, 24 * 3600)
return {add(args.faults, args.kind, 1), waited}
