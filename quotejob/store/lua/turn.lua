-- needs clock
-- Take the turn of a periodic task, or say how long the next one has to wait.
-- args  key, length (ms), take (true: only if nobody has it)
-- Returns the time of Redis (ms), or 0 if somebody has the turn. A turn that lasts longer than it was set for is over: the clock was turned
-- back.
if args.take then
  local set, left = tonumber(redis.call('GET', args.key) or 0), redis.call('PTTL', args.key)
  if left > 0 and left <= set then return 0 end
end
redis.call('SET', args.key, args.length, 'PX', args.length)
return redis_time()
