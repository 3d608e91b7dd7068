-- Whether a step may store what it has made, for the scripts that begin with "needs fence". A Redis that came back
-- with an older copy does not know the step's lease if the step had not begun then. What the step has read may be gone.
-- fence  nil: the step has no lease; or {leases (key), unit, holder}
local function is_fenced_off(fence)
  return fence and string.match(redis.call('HGET', fence.leases, fence.unit) or '', '^%S+') ~= fence.holder
end
