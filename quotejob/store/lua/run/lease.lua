-- needs run/silence, add
-- Leases, for the scripts that begin with "needs run/lease". A job has one hash of leases: unit -> "holder ends length".
-- Both times are in ms by the clock of Redis, because the clocks of workers may differ. The holder is a step, 'sent' (the
-- unit was sent again, and no step has it yet) or 'wait' (no step may take it before its time). A step is
-- "process/number"; one of an older version has no process.
-- A clock may be turned back. If a lease then ends later than twice its length from now, nobody holds it any more.
-- Otherwise the lease of a dead worker would stay held for as long as the clock was turned back.
local ENDED = {Completed = true, Failed = true, Aborted = true}
local PROCESSES = 'quotejob:processes' -- every worker process by its last sign of life (ms)
local REMEMBERED = 3600000 -- ms that a dead process is remembered
local NOW = redis_time()

local function has_ended(job)
  local status = redis.call('HGET', job, 'status')
  return not status or ENDED[status]
end

-- Return whether a time that was set to ``length`` from then is still in the future.
local function is_ahead(ends, length) return ends > NOW and ends - NOW <= 2 * length end

-- Return the holder of a unit (nil: none), whether it still holds the unit, and when a lease that ran out ended.
local function lease_of(leases, unit)
  local holder, ends, length = string.match(redis.call('HGET', leases, unit) or '', '^(%S+) (%d+) (%d+)$')
  if not holder then return nil, false, nil end
  ends, length = tonumber(ends), tonumber(length)
  return holder, is_ahead(ends, length), ends <= NOW and {ends = ends, length = length} or nil
end

local function give(leases, unit, holder, length)
  redis.call('HSET', leases, unit, string.format('%s %.0f %.0f', holder, NOW + length, length))
end

local function process_of(holder) return string.match(holder, '^(.+)/') end

-- Return the key of the units that a process works on, by the end of their leases (ms).
local function units_of(process) return 'quotejob:process:' .. process end

-- Give the unit to a step, and note that its process works on it.
-- args  leases (key), id, unit, holder, length
local function hold(args)
  give(args.leases, args.unit, args.holder, args.length)
  local process = process_of(args.holder)
  if not process then return end
  redis.call('ZADD', units_of(process), string.format('%.0f', NOW + args.length), args.id .. ' ' .. args.unit)
  redis.call('PEXPIRE', units_of(process), REMEMBERED)
end

-- Return whether another process died at the same time, or since the death before this one at the same unit. ``last``
-- is that death, "time process". Processes die at the same time if they fall silent within a third of a lease.
local function others_died(process, died, length, last)
  local time, last_process = string.match(last or '', '^(%d+) (%S+)$')
  local from = died - length / 3
  if time then from = math.min(from, time + length / 3) end
  local range = {string.format('(%.0f', from), string.format('%.0f', died + length / 3)}
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', PROCESSES, range[1], range[2])) do
    if other ~= process and other ~= last_process then return true end
  end
  return false
end

-- Note a death if the lease of a step ran out. A lease that was lost by a jump of the clock is no death.
-- The death counts for "alone" if the process worked on nothing else, otherwise for "company". It counts as 7 if only
-- the units of the process explain it. It counts as 1 if other processes died too, or if the process is alive.
-- args  deaths (key), id, unit
local function note_death(args, holder, ran_out)
  if not ran_out or holder == 'sent' or holder == 'wait' then return end
  local process = process_of(holder) or '?'
  local began, last = ran_out.ends - ran_out.length, args.unit .. ' last'
  local seen = tonumber(redis.call('ZSCORE', PROCESSES, process) or began)
  local unclear = seen > ran_out.ends or others_died(process, seen, ran_out.length, redis.call('HGET', args.deaths, last))
  local beside = redis.call('ZCOUNT', units_of(process), string.format('(%.0f', began), '+inf')
  local count = args.unit .. (beside > 1 and ' company' or ' alone')
  add(args.deaths, count, unclear and 1 or 7)
  redis.call('HSET', args.deaths, last, string.format('%.0f %s', seen, process))
end
