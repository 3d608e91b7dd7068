-- needs run/lease, add
-- Read what the metrics show of jobs, queues, schedules and workers, in one step. Reads each job that has a slot and each
-- org that has Holding jobs, and no other job. So it takes as long with many ended jobs as with few.
-- args  open, holding, types (Holding jobs by type), queues, due, fired, workers, ticked, clean_ups (keys)
--       alive (ms; a worker that was not heard of for longer is gone), silent (ms; the same for a job)
-- Returns JSON.
local jobs, unheld = {}, 0
for _, id in ipairs(redis.call('ZRANGE', args.open, 0, -1)) do
  local status, kind = unpack(redis.call('HMGET', 'quotejob:job:' .. id, 'status', 'jobType'))
  if status then
    local name = status .. ' ' .. (kind or '-')
    jobs[name] = (jobs[name] or 0) + 1
    for _, lease in ipairs(redis.call('HVALS', 'quotejob:job:' .. id .. ':leases')) do
      local ends, length = string.match(lease, ' (%d+) (%d+)$')
      if ends and not is_ahead(tonumber(ends), tonumber(length)) then unheld = unheld + 1 end
    end
  end
end

-- jobs/queue.lua counts the types. Count again if a version without these counts has left jobs in the queue.
local counted, wrong = 0, false
for _, number in ipairs(redis.call('HVALS', args.types)) do
  counted, wrong = counted + number, wrong or tonumber(number) < 0
end
if wrong or counted ~= redis.call('ZCARD', args.holding) then
  redis.call('DEL', args.types)
  for _, id in ipairs(redis.call('ZRANGE', args.holding, 0, -1)) do
    add(args.types, redis.call('HGET', 'quotejob:job:' .. id, 'jobType') or '-', 1)
  end
end
local types = redis.call('HGETALL', args.types)
for at = 1, #types, 2 do
  if tonumber(types[at + 1]) > 0 then jobs['Holding ' .. types[at]] = tonumber(types[at + 1]) end
end

local orgs, longest, oldest = 0, 0, 0
for _, owner in ipairs(redis.call('ZRANGE', args.queues, 0, -1)) do
  local key = 'quotejob:org:' .. owner .. ':'
  orgs = orgs + 1
  longest = math.max(longest, redis.call('ZCARD', key .. 'holding'))
  local first = redis.call('ZRANGE', key .. 'ready', 0, 0)[1]
  local since = first and redis.call('HGET', 'quotejob:job:' .. first, 'readySince')
  if since then oldest = math.max(oldest, NOW - since) end
end

local due = redis.call('ZRANGE', args.due, 0, 0, 'WITHSCORES')
return cjson.encode({
  now = NOW,
  jobs = jobs,
  units_unheld = unheld,
  jobs_silent = redis.call('ZCOUNT', args.open, '-inf', string.format('%.0f', NOW - args.silent)),
  queue_orgs = orgs,
  queue_longest = longest,
  queue_oldest = oldest,
  schedules = redis.call('ZCARD', args.due),
  schedules_late = due[2] and math.max(0, NOW - due[2]) or 0,
  fired = redis.call('ZCARD', args.fired),
  clean_ups = redis.call('ZCARD', args.clean_ups),
  workers = redis.call('ZCOUNT', args.workers, string.format('%.0f', NOW - args.alive), '+inf'),
  ticked = tonumber(redis.call('GET', args.ticked) or 0),
})
