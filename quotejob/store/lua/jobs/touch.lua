-- Store a sign of life of a job that has a slot, by Redis's clock, as its leases do.
-- args  id, open (the key of the open jobs)
local time = redis.call('TIME')
return redis.call('ZADD', args.open, 'XX', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)), args.id)
