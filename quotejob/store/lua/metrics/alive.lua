-- needs clock
-- Note that a worker lives. Forget those that were not heard of for a day.
-- args  workers (key), worker (its name)
local now = redis_time()
redis.call('ZADD', args.workers, string.format('%.0f', now), args.worker)
redis.call('ZREMRANGEBYSCORE', args.workers, '-inf', string.format('%.0f', now - 86400000))
return 1
