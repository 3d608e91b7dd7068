-- Note a sign of life of a job that has a slot, by Redis's clock, as its leases do.
-- KEYS  open jobs
-- ARGV  job id
local time = redis.call('TIME')
return redis.call('ZADD', KEYS[1], 'XX', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)), ARGV[1])
