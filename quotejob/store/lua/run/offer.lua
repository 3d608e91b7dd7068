-- needs run/lease
-- Reserve a unit for a sweep that sends it again. Fails if somebody holds it. Of several sweeps at once, one succeeds.
-- args  job, leases, deaths (keys), id, unit, length (ms; until the unit may be sent once more)
-- Returns 1 if the sweep may send the unit, else 0.
if has_ended(args.job) then return 0 end
local holder, held, ran_out = lease_of(args.leases, args.unit)
if held then return 0 end
note_death(args, holder, ran_out)
give(args.leases, args.unit, 'sent', args.length)
return 1
