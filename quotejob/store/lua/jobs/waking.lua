-- needs jobs/queue
-- Returns the orgs in which the time of a waiting job has come. Every tick and sweep asks; the time of the last one is kept.
redis.call('SET', 'quotejob:ticked', number(NOW))
return redis.call('ZRANGEBYSCORE', ALARMS, '-inf', number(NOW))
