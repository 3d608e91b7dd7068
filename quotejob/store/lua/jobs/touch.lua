-- needs clock
-- Store a sign of life of a job that has a slot, by the clock of Redis. Leases use this clock too.
-- args  id, open (key of the open jobs)
return redis.call('ZADD', args.open, 'XX', string.format('%.0f', redis_time()), args.id)
