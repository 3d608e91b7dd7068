-- needs gate/gate
-- Let fewer steps of an org be under way: it has refused one, or not answered. Once in so many ms, because the steps that
-- are under way meet the same trouble.
-- args  those of the gate, org, pause (ms)
-- Returns the new limit, or 0 if it shrank just now.
if not redis.call('SET', limit_key(args.org) .. ':shrunk', 1, 'NX', 'PX', args.pause) then return 0 end
local limit = math.min(limit_of(args.org, true), math.max(1, of_org[args.org] or 1))
limit = math.max(1, math.floor(limit * 0.7))
redis.call('SET', limit_key(args.org), limit, 'PX', 600000)
return limit
