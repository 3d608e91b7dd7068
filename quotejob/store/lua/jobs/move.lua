-- needs jobs/queue
-- One move of a job's life, once, however many processes try. With a job's end, those that wait for it are looked at.
-- KEYS  job, then keys that expire with an ended job, then keys that are dropped at its end
-- ARGV  job id, org, target status, ends the life (0/1), what estimates remember of the run ('' = nothing), of how many
--       runs of its type, for how long (s), how many keys expire, number of allowed origins, the origins, then field,
--       value ... to set with the move
-- Gives the status the job had before ('' when there is no such job); the move happened if that is one of the origins.
local id, owner = ARGV[4], ARGV[5]
local before = redis.call('HGET', KEYS[1], 'status')
if not before then return '' end
local origins = tonumber(ARGV[12])
local allowed = false
for i = 13, 12 + origins do allowed = allowed or ARGV[i] == before end
if not allowed then return before end
redis.call('HSET', KEYS[1], 'status', ARGV[6])
if #ARGV > 12 + origins then redis.call('HSET', KEYS[1], unpack(ARGV, 13 + origins)) end
if ARGV[8] ~= '' then
  local runs = org(owner, 'runs:' .. redis.call('HGET', KEYS[1], 'jobType'))
  redis.call('LPUSH', runs, ARGV[8])
  redis.call('LTRIM', runs, 0, ARGV[9] - 1)
  redis.call('EXPIRE', runs, ARGV[10])
end
if ARGV[7] == '1' then
  leave(id, owner)
  redis.call('SREM', org(owner, 'active'), id)
  redis.call('ZREM', OPEN, id)
  redis.call('EXPIRE', KEYS[1], KEPT)
  local expiring = tonumber(ARGV[11])
  for i = 2, #KEYS do
    if i < 2 + expiring then redis.call('EXPIRE', KEYS[i], KEPT) else redis.call('DEL', KEYS[i]) end
  end
  local children = redis.call('SMEMBERS', job(id, 'children'))
  redis.call('DEL', job(id, 'children'))
  arrange(children)
else
  redis.call('ZADD', OPEN, 'XX', number(NOW), id)
end
return before
