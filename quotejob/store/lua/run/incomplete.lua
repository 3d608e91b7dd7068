-- needs run/lease
-- Note a Quote that is written in several requests: it is incomplete until its receipt is stored or it is removed.
-- args  job, incomplete, receipts (keys; the receipts of the batches of this wave), clean_ups, org_clean_ups (keys), id,
--       unit (the batch), record (the Opportunity), quote (its Quote; nil before the first request is sent)
-- Returns 'noted', 'reported' when the batch has its receipt, or 'ended' when the job has ended. A Quote that a slow step
-- has begun in a job that has ended is noted all the same, and has to be removed.
if redis.call('HEXISTS', args.receipts, args.unit) == 1 then return 'reported' end
local over = has_ended(args.job)
if over and not args.quote then return 'ended' end
if redis.call('EXISTS', args.job) == 0 then return 'ended' end
local noted = redis.call('HGET', args.incomplete, args.unit)
if args.quote then
  redis.call('HSET', args.incomplete, args.unit, args.record .. ' ' .. args.quote)
elseif not noted or string.match(noted, ' %-$') then -- keep the id of a Quote that is known
  redis.call('HSET', args.incomplete, args.unit, args.record)
end
if not over then return 'noted' end
redis.call('EXPIRE', args.incomplete, redis.call('TTL', args.job))
redis.call('ZADD', args.clean_ups, string.format('%.0f', NOW), args.id)
redis.call('SADD', args.org_clean_ups, args.id)
return 'ended'
