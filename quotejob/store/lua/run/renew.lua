-- needs run/lease
-- Renew a lease that the caller still holds. Tell it whether the job has ended, and how long to sleep.
-- args  job, leases, open, silence, slowdown (keys; slowdown has the length of the org's slowdown in ms), id, unit, holder,
--       length (ms; of the lease), after_end (as in claim)
-- Returns {'ended' (the job) | 'lost' (to another one) | 'yours', ms to sleep because of the org's slowdown, ms for which
-- nothing should be sent to the org}.
if (has_ended(args.job) or false) ~= (args.after_end or false) then return {'ended', 0, 0} end
if lease_of(args.leases, args.unit) ~= args.holder then return {'lost', 0, 0} end
hold(args)
redis.call('ZADD', args.open, 'XX', string.format('%.0f', NOW), args.id)
local length = tonumber(redis.call('GET', args.slowdown) or 0)
local rest = math.max(0, redis.call('PTTL', args.slowdown))
if rest > 2 * length then -- the clock was turned back
  redis.call('DEL', args.slowdown)
  rest = 0
end
return {'yours', rest, still_for(args.silence)}
