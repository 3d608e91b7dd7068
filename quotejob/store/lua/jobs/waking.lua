-- needs jobs/queue
-- Gives the orgs where the time has come that a job waits for.
return redis.call('ZRANGEBYSCORE', ALARMS, '-inf', number(NOW))
