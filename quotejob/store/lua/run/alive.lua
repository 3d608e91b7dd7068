-- needs run/lease
-- A worker process gives a sign of life, or ends in good order. Old dead ones are forgotten.
-- args  process, ends (true: it ends, and is no death)
if args.ends then
  redis.call('ZREM', PROCESSES, args.process)
else
  redis.call('ZADD', PROCESSES, string.format('%.0f', NOW), args.process)
end
redis.call('ZREMRANGEBYSCORE', PROCESSES, '-inf', string.format('(%.0f', NOW - REMEMBERED))
return 1
