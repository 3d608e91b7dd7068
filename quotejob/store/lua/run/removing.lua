-- needs run/lease
-- Note that an incomplete Quote is being removed from the org. From now on no receipt can call it written.
-- args  job, incomplete (keys), id, record (the Opportunity)
-- Returns 1 if the job owes the removal, 0 if its step has stored the receipt, or if the job was resumed meanwhile.
if not has_ended(args.job) then return 0 end
local holder, unit, known = string.match(redis.call('HGET', args.incomplete, args.record) or '', '^(%S+) (%S+) ?(%S*)$')
if holder ~= args.id then return 0 end
if known ~= '-' and string.sub(known, 1, 1) ~= '~' then
  redis.call('HSET', args.incomplete, args.record, holder .. ' ' .. unit .. ' ~' .. known)
end
return 1
