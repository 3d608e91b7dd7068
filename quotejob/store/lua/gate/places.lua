-- needs gate/gate
-- Return how many more steps of an org may go now, if they are not urgent.
-- args  those of the gate, org
local free = 0
while may(args.org, false) do
  of_org[args.org], total, free = (of_org[args.org] or 0) + 1, total + 1, free + 1
end
return free
