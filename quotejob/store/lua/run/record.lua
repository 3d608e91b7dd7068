-- Take in what a page or a batch reports. The first report wins and is counted in the same step; a repeat changes nothing.
-- KEYS  job, receipts of this stage and wave, results, priced quotes, quotes left to write per page, pages with errors,
--       open jobs, passing faults
-- ARGV  job id, unit, results blob ('' = none), priced blob ('' = none), now (ms), succeeded, skipped, failed,
--       quotes created, apiCalls, then triples: page, change of what is left to write there, failed records there
-- Gives 1 when the report was taken, 0 when there was one already or the job is gone or Completed.
local status = redis.call('HGET', KEYS[1], 'status')
if not status or status == 'Completed' then return 0 end
redis.call('ZADD', KEYS[7], 'XX', ARGV[5], ARGV[1])
if redis.call('HSETNX', KEYS[2], ARGV[2], '1') == 0 then return 0 end
redis.call('DEL', KEYS[8]) -- something got through
if ARGV[3] ~= '' then redis.call('HSET', KEYS[3], ARGV[2], ARGV[3]) end
if ARGV[4] ~= '' then redis.call('HSET', KEYS[4], ARGV[2], ARGV[4]) end
local counters = {'succeeded', 'skipped', 'failed', 'quotesCreated', 'apiCalls'}
for i, name in ipairs(counters) do
  if ARGV[5 + i] ~= '0' then redis.call('HINCRBY', KEYS[1], name, ARGV[5 + i]) end
end
for i = 11, #ARGV, 3 do
  if redis.call('HINCRBY', KEYS[5], ARGV[i], ARGV[i + 1]) == 0 then
    redis.call('HDEL', KEYS[5], ARGV[i])
    redis.call('HINCRBY', KEYS[1], 'jobItemsProcessed', 1)
  end
  if ARGV[i + 2] ~= '0' then
    redis.call('SADD', KEYS[6], ARGV[i])
    redis.call('HSET', KEYS[1], 'numberOfErrors', redis.call('SCARD', KEYS[6]))
  end
end
local ttl = redis.call('TTL', KEYS[1])
if ttl > 0 then -- the job ended meanwhile: what is new goes when it goes
  for i = 2, 6 do redis.call('EXPIRE', KEYS[i], ttl) end
end
return 1
