-- needs queue
-- Move a Holding job to another place of its org's flex queue.
-- ARGV  org, job id, where (front, end, before, after), the job in the queue to move it before or after ('' = none)
-- Gives 'moved', 'there' (it stood there already), or the id of the job that is not in the queue.
local owner, id, where, other = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local holding, ready = org(owner, 'holding'), org(owner, 'ready')
for _, named in ipairs({id, other}) do
  if named ~= '' and not redis.call('ZSCORE', holding, named) then return named end
end
local order, stood = redis.call('ZRANGE', holding, 0, -1), redis.call('ZRANK', holding, id) + 1
if id == other then return 'there' end
table.remove(order, stood)
local place = 1
if where == 'end' then place = #order + 1 end
for i, one in ipairs(order) do
  if one == other then place = where == 'before' and i or i + 1 end
end
if place == stood then return 'there' end
table.insert(order, place, id)
for i, one in ipairs(order) do
  redis.call('ZADD', holding, i, one)
  redis.call('ZADD', ready, 'XX', i, one)
end
return 'moved'
