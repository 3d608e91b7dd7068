-- needs gate/gate
-- Return how many more steps of an org may go now, if they are not urgent. Steps of the org that are under way do not count
-- if only one job of it has a slot: they are its own, and about to end.
-- args  those of the gate, org, idle (true: as if no job of the org had a slot)
local free = 0
if args.idle or redis.call('SCARD', 'quotejob:org:' .. args.org .. ':active') == 1 then
  total = total - (of_org[args.org] or 0)
  of_org[args.org] = 0
end
while may(args.org, false) do
  of_org[args.org], total, free = (of_org[args.org] or 0) + 1, total + 1, free + 1
end
return free
