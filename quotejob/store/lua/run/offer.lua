-- needs run/lease
-- Before the sweep sends a unit again: is it nobody's? Of several sweeps at once, one hears yes.
-- KEYS  job, leases, deaths
-- ARGV  unit, how long the sending holds (ms)
if has_ended(KEYS[1]) then return 0 end
local holder, held, ran_out = lease_of(KEYS[2], ARGV[1])
if held then return 0 end
note_death(KEYS[3], ARGV[1], holder, ran_out)
give(KEYS[2], ARGV[1], 'sent', ARGV[2])
return 1
