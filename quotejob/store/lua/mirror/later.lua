-- needs clock
-- Let an org be told again after a pause, twice as long after each fault in a row.
-- args  mirrors (a key), org, first, longest (ms)
local faults = redis.call('INCR', 'quotejob:org:' .. args.org .. ':mirror:faults')
redis.call('EXPIRE', 'quotejob:org:' .. args.org .. ':mirror:faults', 24 * 3600)
local pause = math.min(args.first * 2 ^ math.min(faults - 1, 20), args.longest)
redis.call('ZADD', args.mirrors, string.format('%.0f', redis_time() + pause), args.org)
