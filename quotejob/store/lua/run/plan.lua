-- Fix the job's set of records: the first plan wins, whole.
-- args  job, draft, pages (keys), page_count, record_count, waves, api_calls
-- Gives 1 when this plan was taken, 0 when there was one already.
if redis.call('EXISTS', args.job) == 0 or redis.call('HEXISTS', args.job, 'waves') == 1 then
  redis.call('DEL', args.draft)
  return 0
end
if redis.call('EXISTS', args.draft) == 1 then
  redis.call('RENAME', args.draft, args.pages)
  redis.call('PERSIST', args.pages)
end
redis.call('HSET', args.job, 'totalJobItems', args.page_count, 'total', args.record_count, 'waves', args.waves)
redis.call('HINCRBY', args.job, 'apiCalls', args.api_calls)
return 1
