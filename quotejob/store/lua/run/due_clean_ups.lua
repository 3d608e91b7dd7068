-- needs due, add
-- Return the jobs whose incomplete Quotes should be removed now. Each gets the time of its next try: tries become rarer.
-- args  clean_ups (a key), first_pause, longest_pause (ms), most (how many jobs)
local now, due = redis_time(), {}
for _, id in ipairs(due_of(args.clean_ups, args.longest_pause, args.most)) do
  local tries = add('quotejob:job:' .. id .. ':faults', 'clean-up', 1)
  redis.call('EXPIRE', 'quotejob:job:' .. id .. ':faults', 24 * 3600)
  local pause = math.min(args.first_pause * 2 ^ math.min(tries - 1, 20), args.longest_pause)
  redis.call('ZADD', args.clean_ups, string.format('%.0f', now + pause), id)
  due[#due + 1] = id
end
return due
