-- needs run/lease
-- Ask, before the sweep sends a unit again, whether nobody holds it. Of several sweeps at once, one gets yes.
-- args  job, leases, deaths (keys), unit, length (ms; how long the sending holds)
if has_ended(args.job) then return 0 end
local holder, held, ran_out = lease_of(args.leases, args.unit)
if held then return 0 end
note_death(args.deaths, args.unit, holder, ran_out)
give(args.leases, args.unit, 'sent', args.length)
return 1
