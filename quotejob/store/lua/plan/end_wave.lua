-- End a wave of which every batch has reported: note that it is over, and delete what only its steps needed. The pages of a
-- plan that is still being made are needed by its next try.
-- args  job, receipts, batches, marks, quotes, pages (keys), wave, count (of the receipts that the caller has seen), packing
--       (what stays of its batches), waves (of each: the name of its note, its first page, how many pages)
-- Returns 1 if it is over, 0 if Redis has fewer receipts: it came back with an older copy. Then nothing is deleted.
local status = redis.call('HGET', args.job, 'status')
if status == 'Completed' then return 1 end
if not status or redis.call('HLEN', args.receipts) < args.count then return 0 end

local function delete(key, first, count)
  for page = first, first + count - 1 do redis.call('HDEL', key, string.format('%.0f', page)) end
end

local over, first, count = unpack(args.waves[args.wave + 1])
redis.call('HSET', args.marks, over, '1')
redis.call('HSET', args.batches, string.format('%.0f', args.wave), args.packing)
delete(args.quotes, first, count)
if redis.call('HEXISTS', args.job, 'waves') == 1 then
  for _, wave in ipairs(args.waves) do -- also those that ended before the plan was made
    local is_left = redis.call('HEXISTS', args.pages, string.format('%.0f', wave[2])) == 1
    if is_left and redis.call('HEXISTS', args.marks, wave[1]) == 1 then delete(args.pages, wave[2], wave[3]) end
  end
end
return 1
