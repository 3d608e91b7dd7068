-- needs add
-- Fix the plan of a job. The first plan wins; a later one is deleted. The waves of a streamed plan were added before.
-- args  job, draft (the pages of this plan; there is none if they were added before), pages (keys), page_count,
--       record_count, waves, api_calls
-- Returns 1 if this plan was stored, 0 if there was one already or the job no longer exists. -1: pages are missing, because
-- Redis has lost them, or its clock has jumped past the draft's end.
if redis.call('EXISTS', args.job) == 0 or redis.call('HEXISTS', args.job, 'waves') == 1 then
  redis.call('DEL', args.draft)
  return 0
end
local is_draft = redis.call('EXISTS', args.draft) == 1
local pages = is_draft and args.draft or args.pages
for page = 0, args.page_count - 1 do -- a try that was lost may have left more than these
  if redis.call('HEXISTS', pages, string.format('%.0f', page)) == 0 then
    redis.call('DEL', args.draft)
    return -1
  end
end
if is_draft then redis.call('RENAME', args.draft, args.pages) end
redis.call('PERSIST', args.pages)
redis.call('HSET', args.job, 'totalJobItems', args.page_count, 'total', args.record_count, 'waves', args.waves)
add(args.job, 'apiCalls', args.api_calls)
redis.call('INCR', 'quotejob:org:' .. redis.call('HGET', args.job, 'orgId') .. ':version')
return 1
