-- needs clock, add, fields
-- The flex queue, for the scripts that begin with "needs jobs/queue": which jobs wait, their order, and which are ready.
-- args  now_iso (ISO 8601), kept (s; how long an ended job is stored), now (ms; only in simulated time; nil: use the time
--       of Redis), mirror_kept (s; how long the org can still be told of the end of a job; nil: it is told nothing),
--       format (the newest format that the caller understands: quotejob/formats.py),
--       webhooks (names of those that are told of ends), notices_kept (s; how long a notice is tried)
-- Sorted sets of an org:
--   holding  every Holding job, by its place
--   ready    the Holding jobs that may run, by the same place
--   later    the Holding jobs that wait for a time only, by that time (ms)
-- The number ``version`` of an org grows with every change that its pages show (run/record, plan/fix and schedules/ too).
-- All other Holding jobs wait for jobs. The set ID:waits has the jobs that job ID waits for. The set ID:children has the
-- jobs that wait for job ID. ALARMS has the orgs by the next time in their set later.
local NOW, NOW_ISO, KEPT = args.now or redis_time(), args.now_iso, args.kept
local OPEN, ALARMS = 'quotejob:open', 'quotejob:alarms'
local CLEAN_UPS = 'quotejob:clean-ups'
local METRICS, TYPES = 'quotejob:metrics', 'quotejob:holding:types' -- TYPES: the jobs in HOLDING by type
local HOLDING, QUEUES = 'quotejob:holding', 'quotejob:queues' -- for the sweep: by the time of the last check
local ENDED = {Completed = true, Failed = true, Aborted = true}

local function job(id, part) return 'quotejob:job:' .. id .. (part and ':' .. part or '') end
local function org(id, part) return 'quotejob:org:' .. id .. ':' .. part end
local function changed(owner) redis.call('INCR', org(owner, 'version')) end
local function number(value) return string.format('%.0f', value) end

-- Return whether only a newer version understands the job. Then it is left alone: neither started nor ended here.
local function is_newer(id) return tonumber(redis.call('HGET', job(id), 'format') or 1) > args.format end

local function is_one_of(value, list)
  for _, one in ipairs(list) do
    if one == value then return true end
  end
  return false
end

-- Note that the org has to be told of a job (quotejob/mirror). Returns false if orgs, or this one, are told nothing.
local function owe_mirror(id, owner)
  if not args.mirror_kept or redis.call('EXISTS', org(owner, 'mirror:off')) == 1 then return false end
  redis.call('ZADD', org(owner, 'mirror'), redis.call('INCR', org(owner, 'mirror:number')), id)
  redis.call('ZADD', 'quotejob:mirrors', 'NX', number(NOW), owner)
  return true
end

-- Count for the metrics that a job has come to a status.
local function count_move(id, status)
  owe_mirror(id, redis.call('HGET', job(id), 'orgId'))
  add(METRICS, 'job_moves ' .. status .. ' ' .. (redis.call('HGET', job(id), 'jobType') or '-'), 1)
end

-- Let the sweep look at a Holding job. This comes first: a Redis that has lost the end of a script has begun it at least
-- (valkey#4342), and jobs/look_again does the rest.
local function watch(id, owner, job_type)
  if redis.call('ZADD', HOLDING, number(NOW), id) == 1 then add(TYPES, job_type or '-', 1) end
  redis.call('ZADD', QUEUES, 'NX', number(NOW), owner)
end

-- Put a job at the end of the flex queue.
local function enter(id, owner)
  watch(id, owner, redis.call('HGET', job(id), 'jobType'))
  changed(owner)
  local last = redis.call('ZREVRANGE', org(owner, 'holding'), 0, 0, 'WITHSCORES')
  redis.call('ZADD', org(owner, 'holding'), number((last[2] or 0) + 1), id)
end

local function leave(id, owner)
  changed(owner)
  for _, part in ipairs({'holding', 'ready', 'later'}) do redis.call('ZREM', org(owner, part), id) end
  if redis.call('ZREM', HOLDING, id) == 1 then
    add(TYPES, redis.call('HGET', job(id), 'jobType') or '-', -1)
  end
  if redis.call('EXISTS', org(owner, 'holding')) == 0 then redis.call('ZREM', QUEUES, owner) end
end

-- Make the jobs of the set later ready whose time has come. Set the alarm for the next time.
local function wake(owner)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', org(owner, 'later'), '-inf', number(NOW))) do
    redis.call('ZREM', org(owner, 'later'), id)
    local place = redis.call('ZSCORE', org(owner, 'holding'), id)
    if place then
      redis.call('ZADD', org(owner, 'ready'), place, id)
      if redis.call('EXISTS', job(id)) == 1 then redis.call('HSET', job(id), 'readySince', number(NOW)) end
    end
  end
  local next_one = redis.call('ZRANGE', org(owner, 'later'), 0, 0, 'WITHSCORES')
  if next_one[2] then redis.call('ZADD', ALARMS, next_one[2], owner) else redis.call('ZREM', ALARMS, owner) end
end

-- Put the notices of this end of a job into the outbox (quotejob/notices), once. Returns whether one of them is a callback.
local function owe_notices(id)
  local receivers = {unpack(args.webhooks or {})}
  local callback = redis.call('HEXISTS', job(id), 'callbackUrl') == 1
  if callback then receivers[#receivers + 1] = 'callback' end
  if #receivers == 0 then return false end
  local ended, noticed, ends = unpack(redis.call('HMGET', job(id), 'completedDate', 'noticed', 'ends'))
  if ended == noticed then return callback end
  local number_of_end = number((tonumber(ends) or 0) + 1)
  for _, receiver in ipairs(receivers) do
    local notice = receiver .. ' ' .. id .. ' ' .. number_of_end
    redis.call('HSET', 'quotejob:notice:' .. notice, 'since', number(NOW))
    redis.call('EXPIRE', 'quotejob:notice:' .. notice, args.notices_kept + 3600)
    redis.call('ZADD', 'quotejob:notices', number(NOW), notice)
  end
  redis.call('HSET', job(id), 'ends', number_of_end, 'noticed', ended)
  return callback
end

-- Delete what only a running job needs. If the job left incomplete Quotes in the org, they have to be removed. Then keep
-- its session and its leases: a lease tells whether a step is still writing. The session stays too until the org has been
-- told of the end.
local function let_go(id, owner)
  local owes = false
  for _, note in ipairs(redis.call('HVALS', job(redis.call('HGET', job(id), 'firstJobId') or id, 'incomplete'))) do
    owes = owes or string.match(note, '^%S+') == id
  end
  if owes then
    redis.call('ZADD', CLEAN_UPS, number(NOW), id)
    redis.call('SADD', org(owner, 'clean-ups'), id)
    redis.call('EXPIRE', job(id, 'leases'), KEPT)
    owe_notices(id)
  else
    redis.call('DEL', job(id, 'leases'))
    local mirrored = owe_mirror(id, owner)
    if owe_notices(id) then
      redis.call('EXPIRE', job(id, 'context'), args.notices_kept)
    elseif mirrored then
      redis.call('EXPIRE', job(id, 'context'), args.mirror_kept)
    else
      redis.call('DEL', job(id, 'context'))
    end
  end
end

-- Return whether the flex queue has more jobs than allowed. Ready jobs that will get a slot at once do not count.
-- Reserved slots are no free slots: those of the last promote, or those of the guaranteed schedules that fire within
-- ``window`` (ms), if these are more.
local function overfull(owner, most_holding, most_active, window)
  wake(owner)
  local begun = redis.call('ZCOUNT', org(owner, 'guaranteed'), '-inf', number(NOW + window))
  local kept = math.max(begun, redis.call('GET', org(owner, 'reserved')) or 0)
  local slots = most_active - redis.call('SCARD', org(owner, 'active')) - kept
  local going = math.max(0, math.min(slots, redis.call('ZCARD', org(owner, 'ready'))))
  return redis.call('ZCARD', org(owner, 'holding')) - going > most_holding
end

-- Return a parent that can no longer end as the job needs it, and its status ('' if it is no longer stored). nil: there
-- is none. With ``settle``, remove the parents that have ended as needed from ID:waits, and add the job to the children
-- of those that have not ended.
local function vain(id, outcome, settle)
  for _, parent in ipairs(redis.call('SMEMBERS', job(id, 'waits'))) do
    local status = redis.call('HGET', job(parent), 'status') or ''
    if status == 'Completed' or (outcome == 'Finished' and (status == '' or ENDED[status])) then
      if settle then redis.call('SREM', job(id, 'waits'), parent) end
    elseif status == '' or ENDED[status] then
      return parent, status
    elseif settle then
      redis.call('SADD', job(parent, 'children'), id)
    end
  end
end

-- Return the extendedStatus of a job that is Aborted because of a parent: at most 1000 bytes, no part of a character.
local function because(parent, status)
  local why = 'is no longer kept'
  if status ~= '' then why = 'is ' .. status end
  local said = redis.call('HGET', job(parent), 'extendedStatus')
  if said then why = why .. ' (' .. said .. ')' end
  why = 'Aborted because job ' .. parent .. ', which it depends on, ' .. why
  if #why > 1000 then why = string.gsub(string.sub(why, 1, 1000), '[\192-\255]?[\128-\191]*$', '') end
  return why
end

-- Do what comes of the end of a job, whether it has run or not. Returns the jobs that wait for it.
local function settle_end(id, owner)
  leave(id, owner)
  let_go(id, owner)
  redis.call('EXPIRE', job(id), KEPT)
  redis.call('EXPIRE', job(id, 'waits'), KEPT)
  local children = redis.call('SMEMBERS', job(id, 'children'))
  redis.call('DEL', job(id, 'children'))
  return children
end

-- Check the conditions of these Holding jobs. Each becomes ready, keeps waiting, or is Aborted. If it is Aborted, its
-- children are checked too.
local function arrange(ids)
  local next_one = 1
  while ids[next_one] do
    local id = ids[next_one]
    next_one = next_one + 1
    local status, owner, outcome, time = unpack(
      redis.call('HMGET', job(id), 'status', 'orgId', 'dependsOnOutcome', 'notBefore'))
    if status == 'Holding' and not is_newer(id) then
      local parent, ended = vain(id, outcome, true)
      if parent then
        redis.call('HSET', job(id), 'status', 'Aborted', 'completedDate', NOW_ISO, 'extendedStatus', because(parent, ended))
        count_move(id, 'Aborted')
        for _, child in ipairs(settle_end(id, owner)) do ids[#ids + 1] = child end
      elseif redis.call('EXISTS', job(id, 'waits')) == 0 then
        redis.call('ZADD', org(owner, 'later'), time or 0, id)
        wake(owner)
      end
    end
  end
end

-- Do what comes of the end of a job that may have run. May run twice.
-- args  keep (keys that expire with the job), drop (keys to delete now)
local function end_job(id, owner)
  redis.call('SREM', org(owner, 'active'), id)
  for _, part in ipairs(args.keep) do redis.call('EXPIRE', part, KEPT) end
  for _, part in ipairs(args.drop) do redis.call('DEL', part) end
  arrange(settle_end(id, owner))
  redis.call('ZREM', OPEN, id) -- last: the sweep looks at it until then (jobs/forget)
end
