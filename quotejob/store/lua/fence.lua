-- Whether a step may store what it has made, for the scripts that begin with "needs fence". A Redis that came back
-- with an older copy does not know the step's lease if the step had not begun then. What the step has read may be gone.
-- A job that has ended may have no leases any more; what its steps have written until then is stored.
-- fence  nil: the step has no lease; or {leases (key), unit, holder}
-- status  of the job
local function is_fenced_off(fence, status)
  if not fence or status == 'Failed' or status == 'Aborted' then return false end
  return string.match(redis.call('HGET', fence.leases, fence.unit) or '', '^%S+') ~= fence.holder
end
