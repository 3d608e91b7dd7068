-- needs run/lease
-- Note a Quote that is written in several requests: it is incomplete until its receipt is stored or it is removed. All
-- jobs of a chain of retries write with the same keys, so they share the hash of notes: Opportunity -> "job unit Quote".
-- The third word is "~Quote" while the Quote is being removed, and "-" when it was removed once.
-- A job takes over the note of another job of the chain, if that one has ended and nobody removes the Quote now.
-- args  job, incomplete, receipts (of the batches of this wave), clean_ups, org_clean_ups (keys), id, unit (the batch),
--       record (the Opportunity), quote (its Quote; nil before the first request is sent), kept (s)
-- Returns 'noted', 'reported' (the batch has its receipt), 'held' (by another job) or 'ended' (the job). A Quote that a
-- slow step has begun in a job that has ended is noted all the same, and has to be removed.
if redis.call('HEXISTS', args.receipts, args.unit) == 1 then return 'reported' end
local over = has_ended(args.job)
if over and not args.quote then return 'ended' end
local holder, unit, known = string.match(redis.call('HGET', args.incomplete, args.record) or '', '^(%S+) (%S+) ?(%S*)$')
-- A Completed job has all its receipts, although they are no longer stored. Only a Quote that was refused has a note.
if redis.call('HGET', args.job, 'status') == 'Completed' and holder ~= args.id then return 'reported' end
if holder and holder ~= args.id then
  local other = 'quotejob:job:' .. holder
  local _, held = lease_of(other .. ':leases', 'batch ' .. string.gsub(unit, '%.', ' '))
  if held or not has_ended(other) then return over and 'ended' or 'held' end
end
local quote = args.quote or string.match(known or '', '^%w*') -- not of one that is being removed
redis.call('HSET', args.incomplete, args.record, args.id .. ' ' .. args.unit .. (quote ~= '' and ' ' .. quote or ''))
redis.call('EXPIRE', args.incomplete, args.kept)
if not over then return 'noted' end
redis.call('ZADD', args.clean_ups, string.format('%.0f', NOW), args.id)
redis.call('SADD', args.org_clean_ups, args.id)
return 'ended'
