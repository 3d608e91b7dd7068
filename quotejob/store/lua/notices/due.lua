-- needs due, add
-- Return the notices to send now, a list of {notice, number of this try}. Each gets a lease.
-- args  notices (a key), most, longest (ms; a pause between two tries), lease (ms), kept (ms for which a notice is tried), once (the receiver that may be told only
--       once: a notice that was being sent when its process died is forgotten)
local now, due = redis_time(), {}
for _, notice in ipairs(due_of(args.notices, args.longest, args.most)) do
  local key = 'quotejob:notice:' .. notice
  local since, sending = unpack(redis.call('HMGET', key, 'since', 'sending'))
  local unknown = sending == '1' and string.match(notice, '^%S+') == args.once
  if not since or now - since > args.kept or unknown then
    redis.call('ZREM', args.notices, notice)
    redis.call('DEL', key)
  else
    redis.call('HDEL', key, 'sending')
    redis.call('ZADD', args.notices, string.format('%.0f', now + args.lease), notice)
    due[#due + 1] = {notice, add(key, 'tries', 1)}
  end
end
return due
