-- needs clock
-- Add a wave to the plan of a job whose records are still being read. A wave that is added stays.
-- args  job, waves (hash: wave -> "first page, number of pages"), pages (keys), open, id, wave, first (its first page),
--       ids (the records of each page, compressed)
-- Returns 1, or 0 if the job has ended or has its plan, or if somebody else has added this wave.
local status = redis.call('HGET', args.job, 'status')
if status ~= 'Preparing' or redis.call('HEXISTS', args.job, 'waves') == 1 then return 0 end
if redis.call('HLEN', args.waves) ~= args.wave then return 0 end
for place, ids in ipairs(args.ids) do
  redis.call('HSET', args.pages, string.format('%.0f', args.first + place - 1), ids)
end
redis.call('HSET', args.job, 'wavesBegun', string.format('%.0f', args.wave + 1)) -- one too many does no harm
redis.call('HSET', args.waves, string.format('%.0f', args.wave), string.format('%.0f %.0f', args.first, #args.ids))
redis.call('ZADD', args.open, 'XX', string.format('%.0f', redis_time()), args.id)
return 1
