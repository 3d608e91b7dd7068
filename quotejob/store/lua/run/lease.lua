-- needs run/silence
-- Leases, for the scripts that begin with "needs run/lease". A job has one hash of leases: unit -> "holder ends length".
-- Both times are in ms by the clock of Redis, because the clocks of workers may differ. The holder is a step, 'sent' (the
-- unit was sent again, and no step has it yet) or 'wait' (no step may take it before its time).
-- A clock may be turned back. If a lease then ends later than twice its length from now, nobody holds it any more.
-- Otherwise the lease of a dead worker would stay held for as long as the clock was turned back.
local ENDED = {Completed = true, Failed = true, Aborted = true}
local NOW = redis_time()

local function has_ended(job)
  local status = redis.call('HGET', job, 'status')
  return not status or ENDED[status]
end

-- Return whether a time that was set to ``length`` from then is still in the future.
local function is_ahead(ends, length) return ends > NOW and ends - NOW <= 2 * length end

-- Return the holder of a unit (nil: none), whether it still holds the unit, and whether its time is over.
local function lease_of(leases, unit)
  local holder, ends, length = string.match(redis.call('HGET', leases, unit) or '', '^(%S+) (%d+) (%d+)$')
  if not holder then return nil, false, false end
  return holder, is_ahead(tonumber(ends), tonumber(length)), tonumber(ends) <= NOW
end

local function give(leases, unit, holder, length)
  redis.call('HSET', leases, unit, string.format('%s %.0f %.0f', holder, NOW + length, length))
end

-- Count a death if the lease of a step ran out. A lease that was lost by a jump of the clock is no death.
local function note_death(deaths, unit, holder, ran_out)
  if ran_out and holder ~= 'sent' and holder ~= 'wait' then redis.call('HINCRBY', deaths, unit, 1) end
end
