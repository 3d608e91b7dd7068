-- needs run/lease
-- Give back a lease that the caller holds: the unit is done, or nobody may take it for a while.
-- args  leases (a key), unit, holder, wait (ms; for how long nobody may take it, 0: it is done)
if lease_of(args.leases, args.unit) ~= args.holder then return 0 end
if args.wait == 0 then
  redis.call('HDEL', args.leases, args.unit)
else
  give(args.leases, args.unit, 'wait', args.wait)
end
return 1
