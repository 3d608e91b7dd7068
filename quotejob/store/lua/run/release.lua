-- needs run/lease
-- Give back a lease that the caller holds: the unit is done, or nobody may take it for some time.
-- args  leases (key), id, unit, holder, wait (ms; how long nobody may take the unit; 0: it is done)
-- Returns 1 if the caller held the lease, else 0.
local process = process_of(args.holder)
if process then redis.call('ZREM', units_of(process), args.id .. ' ' .. args.unit) end
if lease_of(args.leases, args.unit) ~= args.holder then return 0 end
if args.wait == 0 then
  redis.call('HDEL', args.leases, args.unit)
else
  give(args.leases, args.unit, 'wait', args.wait)
end
return 1
