-- needs due
-- Note the jobs whose progress their orgs should be told of. Return the orgs that should be told something now.
-- args  most (orgs), lease (ms that one process may take), between (ms between two reports of a job), calls (org calls of
--       the job between two reports), silence (ms after which it is told anyway)
local now = redis_time()
for _, id in ipairs(redis.call('ZRANGE', 'quotejob:open', 0, -1)) do
  local key = 'quotejob:job:' .. id
  local owner, done, total, calls, told = unpack(
    redis.call('HMGET', key, 'orgId', 'jobItemsProcessed', 'totalJobItems', 'apiCalls', 'mirrored'))
  if told then -- "calls items ms"; before the first report the change of its status is the reason
    local calls_then, done_then, at = string.match(told, '^(%d+) (%d+) (%d+)$')
    local more, since = tonumber(done or 0) - tonumber(done_then), now - tonumber(at)
    local spent = tonumber(calls or 0) - tonumber(calls_then)
    if more > 0 and more * 100 >= tonumber(total or 0) and since >= args.between
      and (spent >= args.calls or since >= args.silence) then
      local prefix = 'quotejob:org:' .. owner .. ':mirror'
      if redis.call('EXISTS', prefix .. ':off') == 0 then
        redis.call('ZADD', prefix, 'NX', redis.call('INCR', prefix .. ':number'), id)
        redis.call('ZADD', 'quotejob:mirrors', 'NX', string.format('%.0f', now), owner)
      end
    end
  end
end
local due = {}
for _, owner in ipairs(due_of('quotejob:mirrors', args.lease, args.most)) do
  if redis.call('EXISTS', 'quotejob:org:' .. owner .. ':mirror') == 0 then
    redis.call('ZREM', 'quotejob:mirrors', owner)
  else
    redis.call('ZADD', 'quotejob:mirrors', string.format('%.0f', now + args.lease), owner)
    due[#due + 1] = owner
  end
end
return due
