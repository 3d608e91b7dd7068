-- needs clock
-- End the notes of jobs that their org was told of. A job that changed meanwhile has a newer note, which stays.
-- args  mirrors (a key), org, notes (a list of: id, number of the note), told (id -> "calls items"), off (s for which the org
--       is not told anything; 0: it goes on), pause (ms until the org may be told again), request (the id of the one that
--       was answered), length (ms for which a request without an answer may still arrive)
-- While another request may still arrive, the notes stay: it would tell what was true before, and nobody would correct it.
-- They stay, too, if another one was answered since this one began: nobody knows which of the two came later.
local prefix = 'quotejob:org:' .. args.org .. ':mirror'
local now = string.format('%.0f', redis_time())
local ENDED = {Completed = true, Failed = true, Aborted = true}

local function forget_session(id)
  local status, callback = unpack(redis.call('HMGET', 'quotejob:job:' .. id, 'status', 'callbackUrl'))
  if ENDED[status] and not callback and not redis.call('ZSCORE', 'quotejob:clean-ups', id) then
    redis.call('DEL', 'quotejob:job:' .. id .. ':context')
  end
end

if args.off > 0 then
  for _, id in ipairs(redis.call('ZRANGE', prefix, 0, -1)) do forget_session(id) end
  redis.call('DEL', prefix, prefix .. ':faults')
  redis.call('SET', prefix .. ':off', '1', 'EX', args.off)
  redis.call('ZREM', args.mirrors, args.org)
  return
end
local is_alone = redis.call('SISMEMBER', prefix .. ':beside', args.request) == 0
redis.call('ZREM', prefix .. ':sent', args.request)
local others = redis.call('ZRANGEBYSCORE', prefix .. ':sent', now, '+inf')
if #others > 0 then
  redis.call('SADD', prefix .. ':beside', unpack(others))
  redis.call('PEXPIRE', prefix .. ':beside', args.length)
end
local last = redis.call('ZREVRANGE', prefix .. ':sent', 0, 0, 'WITHSCORES')[2]
local wait = math.max(0, tonumber(last or 0) - redis_time())
if wait > args.length then wait = 0 end -- the clock was turned back
for _, note in ipairs(args.notes) do
  local id, number = note[1], tostring(note[2])
  local exists = redis.call('EXISTS', 'quotejob:job:' .. id) == 1
  if exists and args.told[id] then
    redis.call('HSET', 'quotejob:job:' .. id, 'mirrored', args.told[id] .. ' ' .. now)
  end
  if (args.told[id] and wait == 0 and is_alone or not exists) and redis.call('ZSCORE', prefix, id) == number then
    redis.call('ZREM', prefix, id)
    if exists then forget_session(id) end
  end
end
redis.call('DEL', prefix .. ':faults')
redis.call('ZADD', args.mirrors, string.format('%.0f', redis_time() + math.max(args.pause, wait)), args.org)
