-- needs jobs/queue
-- Returns the orgs in which the time of a waiting job has come.
return redis.call('ZRANGEBYSCORE', ALARMS, '-inf', number(NOW))
