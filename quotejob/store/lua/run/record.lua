-- needs clock, add, fence
-- Store the receipt of a page or a batch. The first receipt wins and is counted in the same step.
-- args  keys: job, receipts (of this stage and wave), results_key, quotes_key, explained_key, left_key (quotes to write
--       of each page), errors_key (pages with errors), marks_key (notes of steps), totals_key (totals of each unit),
--       pace_key (records by time), faults, open
--       id, unit, results, priced, explained and totals (compressed, or nil), code_version (of the users' code, or nil)
--       counts (field of the job -> how much to add), pages (a list of:
--       page, how much to add to its quotes to write, its failed records)
--       codes: those of failed records
--       decided (how many records have a result now), most_spans (of the pace)
--       fence (as in fence)
--       large: nil, or for a Quote that was written in several requests {incomplete (a key), record, quote}. Then the
--       receipt is not stored if the Quote was removed meanwhile.
-- Returns the codes that are the job's first; 0 if the step has lost its lease; nothing if the receipt was not stored for
-- another reason: there was one already, or the job no longer exists or is Completed.
local status, owner = unpack(redis.call('HMGET', args.job, 'status', 'orgId'))
if not status or status == 'Completed' then return false end
local is_fenced = is_fenced_off(args.fence, status)
if not is_fenced then redis.call('ZADD', args.open, 'XX', string.format('%.0f', redis_time()), args.id) end
if redis.call('HEXISTS', args.receipts, args.unit) == 1 then return false end
if is_fenced then return 0 end
if args.large then
  local note = redis.call('HGET', args.large.incomplete, args.large.record) or ''
  local holder, quote = string.match(note, '^(%S+) %S+ ?(%S*)$')
  if holder ~= args.id or (args.large.quote and quote ~= args.large.quote) then return false end
  if args.large.quote then
    redis.call('HDEL', args.large.incomplete, args.large.record)
  else -- it was refused and removed; a request whose answer was lost may still write its first part
    redis.call('HSET', args.large.incomplete, args.large.record, holder .. ' ' .. args.unit .. ' -')
  end
end
if args.results then redis.call('HSET', args.results_key, args.unit, args.results) end
if args.totals then redis.call('HSET', args.totals_key, args.unit, args.totals) end
if args.priced then redis.call('HSET', args.quotes_key, args.unit, args.priced) end
if args.explained then redis.call('HSET', args.explained_key, args.unit, args.explained) end
if args.code_version then -- a deployment may change it in the midst of a job
  local known = redis.call('HGET', args.job, 'codeVersion')
  if not known then
    redis.call('HSET', args.job, 'codeVersion', args.code_version)
  elseif not string.find(', ' .. known .. ',', ', ' .. args.code_version .. ',', 1, true) and #known < 400 then
    redis.call('HSET', args.job, 'codeVersion', known .. ', ' .. args.code_version)
  end
end
redis.call('HSET', args.receipts, args.unit, '1') -- all that it stands for is stored; a lost count is found at the end
redis.call('INCR', 'quotejob:org:' .. owner .. ':version')
redis.call('DEL', args.faults) -- something succeeded
for field, count in pairs(args.counts) do
  if count ~= 0 then
    add(args.job, field, count)
    add('quotejob:metrics', 'records ' .. field, count)
  end
end
for _, each in ipairs(args.pages) do
  local page, change, failed = unpack(each)
  if add(args.left_key, page, change) == 0 then
    redis.call('HDEL', args.left_key, page)
    add(args.job, 'jobItemsProcessed', 1)
  end
  if failed ~= 0 then
    redis.call('SADD', args.errors_key, page)
    redis.call('HSET', args.job, 'numberOfErrors', redis.call('SCARD', args.errors_key))
  end
end
if args.decided > 0 then
  -- Seconds since 1970 are cut into spans of "width" seconds. When there are too many spans, each two become one.
  local width = tonumber(redis.call('HGET', args.pace_key, 'width') or 1)
  add(args.pace_key, math.floor(redis_time() / 1000 / width), args.decided)
  while redis.call('HLEN', args.pace_key) > args.most_spans + 1 do
    local found, merged = redis.call('HGETALL', args.pace_key), {}
    for at = 1, #found, 2 do
      if found[at] ~= 'width' then
        local span = math.floor(found[at] / 2)
        merged[span] = (merged[span] or 0) + found[at + 1]
      end
    end
    width = width * 2
    redis.call('DEL', args.pace_key)
    for span, records in pairs(merged) do redis.call('HSET', args.pace_key, span, records) end
    redis.call('HSET', args.pace_key, 'width', width)
  end
  redis.call('HSETNX', args.pace_key, 'width', 1)
  redis.call('EXPIRE', args.pace_key, 2592000) -- a worker of the version before would let it stay for ever
end
local firsts = {}
for _, code in ipairs(args.codes) do
  if redis.call('HSETNX', args.marks_key, 'failed ' .. code, args.unit) == 1 then firsts[#firsts + 1] = code end
end
local ttl = redis.call('TTL', args.job)
if ttl > 0 then -- the job has ended: new keys expire together with it
  local keys = {args.receipts, args.results_key, args.quotes_key, args.explained_key, args.left_key, args.errors_key,
    args.marks_key, args.totals_key, args.pace_key}
  for _, key in ipairs(keys) do
    redis.call('EXPIRE', key, ttl)
  end
end
return firsts
