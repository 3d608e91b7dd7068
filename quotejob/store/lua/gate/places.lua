-- needs gate/gate
-- Return how many steps of an org may be under way for one of its jobs, if they are not urgent. Steps of the job itself
-- that are under way do not count. If it is the only job of the org that has a slot, all steps of the org are its own.
-- args  those of the gate, org, idle (true: as if no job of the org had a slot), own (how many steps of the job may be
--       under way)
local free, own = 0, math.min(args.own or 0, of_org[args.org] or 0)
if args.idle or redis.call('SCARD', 'quotejob:org:' .. args.org .. ':active') == 1 then own = of_org[args.org] or 0 end
total = total - own
of_org[args.org] = (of_org[args.org] or 0) - own
while may(args.org, false) do
  of_org[args.org], total, free = (of_org[args.org] or 0) + 1, total + 1, free + 1
end
return free
