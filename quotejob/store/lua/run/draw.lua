-- needs clock, add
-- Ask whether a unit may send its calls to the org, and reserve them. Calls of the org's day are kept for others; what is
-- left is shared by the jobs that have a slot. Each gets what it still needs, or an equal share of what the smaller ones
-- leave (max-min fair). What a job has spent since it began counts.
-- args  budget (hash: "claim JOB", "spent JOB" -> calls; "drawn JOB UNIT" -> "calls ends"), usage (hash: used, limit, at,
--       asks, asked; nothing in it: not known), active (set of the jobs that have a slot), id, unit, need (calls of the
--       unit), claim (calls that the job still needs), number and percent (to keep: the larger one counts), length (ms
--       that a reservation holds), first and longest (ms between two questions how many calls are used)
-- Returns {answer, used, limit, kept, jobs that share}. The answer is
--   go    they are reserved
--   ask   not now, but the caller should ask the org how many calls are used, and then try again
--   wait  not now
local now = redis_time()
local function whole(number) return string.format('%.0f', number) end

local claims, spent, drawn = {[args.id] = args.claim}, {}, 0
redis.call('HSET', args.budget, 'claim ' .. args.id, whole(args.claim))
redis.call('HDEL', args.budget, 'drawn ' .. args.id .. ' ' .. args.unit) -- an earlier holder of the unit has died
local found = redis.call('HGETALL', args.budget)
for place = 1, #found, 2 do
  local kind, job = string.match(found[place], '^(%S+) (%S+)')
  if job ~= args.id and redis.call('SISMEMBER', args.active, job) == 0 then
    redis.call('HDEL', args.budget, found[place])
  elseif kind == 'claim' then
    claims[job] = tonumber(found[place + 1])
  elseif kind == 'spent' then
    spent[job] = (spent[job] or 0) + tonumber(found[place + 1])
  else
    local calls, ends = string.match(found[place + 1], '^(%d+) (%d+)$')
    local left = tonumber(ends) - now
    if left > 0 and left <= 2 * args.length then
      drawn = drawn + tonumber(calls)
      spent[job] = (spent[job] or 0) + tonumber(calls)
    else
      redis.call('HDEL', args.budget, found[place])
    end
  end
end

local used, limit, at, asks, asked = unpack(redis.call('HMGET', args.usage, 'used', 'limit', 'at', 'asks', 'asked'))
used, limit = tonumber(used), tonumber(limit)

local function reserve()
  redis.call('HSET', args.budget, 'drawn ' .. args.id .. ' ' .. args.unit, whole(args.need) .. ' ' .. whole(now + args.length))
  redis.call('EXPIRE', args.budget, 24 * 3600)
  redis.call('HDEL', args.usage, 'asks', 'asked')
  return {'go', used or 0, limit or 0, 0, 0}
end
if not limit then return reserve() end

-- Share what may be spent, with what the jobs have spent already: the smallest claim first.
local kept = math.max(args.number, math.floor(limit * args.percent / 100))
local left = limit - used - kept - drawn
local pool, jobs = left, {}
for job, claim in pairs(claims) do
  pool = pool + (spent[job] or 0)
  jobs[#jobs + 1] = {job, claim + (spent[job] or 0)}
end
table.sort(jobs, function(one, two) return one[2] < two[2] or (one[2] == two[2] and one[1] < two[1]) end)
local share = 0
for place, each in ipairs(jobs) do
  local part = math.min(each[2], math.floor(math.max(0, pool) / (#jobs - place + 1)))
  pool = pool - part
  if each[1] == args.id then share = part end
end
-- A job may have spent more than its share now is: then less is left than the shares of the others.
if args.need <= left and (spent[args.id] or 0) + args.need <= share then return reserve() end

local pause = math.min(args.longest, args.first * 2 ^ math.min(tonumber(asks or 0), 20))
local since = now - tonumber(asked or at or 0)
if since >= pause or since < 0 then
  add(args.usage, 'asks', 1)
  redis.call('HSET', args.usage, 'asked', whole(now))
  return {'ask', used, limit, kept, #jobs}
end
return {'wait', used, limit, kept, #jobs}
