-- Fix the job's set of records: the first plan wins, whole.
-- KEYS  job, draft pages, pages
-- ARGV  number of pages, number of records, waves, apiCalls
-- Gives 1 when this plan was taken, 0 when there was one already.
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HEXISTS', KEYS[1], 'waves') == 1 then
  redis.call('DEL', KEYS[2])
  return 0
end
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('RENAME', KEYS[2], KEYS[3])
  redis.call('PERSIST', KEYS[3])
end
redis.call('HSET', KEYS[1], 'totalJobItems', ARGV[1], 'total', ARGV[2], 'waves', ARGV[3])
redis.call('HINCRBY', KEYS[1], 'apiCalls', ARGV[4])
return 1
