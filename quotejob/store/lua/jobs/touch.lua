-- needs clock
-- Store a sign of life of a job that has a slot, by Redis's clock, as its leases do.
-- args  id, open (the key of the open jobs)
return redis.call('ZADD', args.open, 'XX', string.format('%.0f', redis_time()), args.id)
