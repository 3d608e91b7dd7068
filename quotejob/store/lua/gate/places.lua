-- needs gate/gate
-- Return how many more steps of an org may go now, if they are not urgent.
-- args  those of the gate, org, idle (true: how many could go if none of the org were under way)
local free = 0
if args.idle then
  total = total - (of_org[args.org] or 0)
  of_org[args.org] = 0
end
while may(args.org, false) do
  of_org[args.org], total, free = (of_org[args.org] or 0) + 1, total + 1, free + 1
end
return free
