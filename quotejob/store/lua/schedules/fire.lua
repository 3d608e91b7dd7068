-- One fire time of a schedule is decided, once, however many ticks try: what came of it and when the next one is.
-- The job is submitted afterwards, from the list of what has fired, as often as it takes; its id is given by the time.
-- KEYS  schedule, due, org's guaranteed, fired, jobs of this schedule in fired, org's jobs that go first
-- ARGV  id, fire time (ms; '' = now, outside the plan), next fire time (ms; '' = none), job id, moment (ms), most fired
--       and not yet submitted, prefix of a job's key, why it is not to run ('' = it is)
-- Gives 'fired', 'skipped', 'busy' (outside the plan only) or 'moved' (decided before, or in no state to fire).
local state, next_one, overlap, last, guaranteed = unpack(
  redis.call('HMGET', KEYS[1], 'state', 'nextFireTime', 'overlap', 'lastJobId', 'guaranteed'))
if not state then return 'moved' end
local planned = ARGV[2] ~= ''
if planned and (state ~= 'WAITING' or next_one ~= ARGV[2]) then return 'moved' end
if not planned and last == ARGV[4] then return 'fired' end -- this very call, repeated

local fired = redis.call('SCARD', KEYS[5])
local reason = ARGV[8]
if reason == '' and overlap == 'skip' and last then
  local status = redis.call('HGET', ARGV[7] .. last, 'status')
  local open = status and status ~= 'Completed' and status ~= 'Failed' and status ~= 'Aborted'
  if open or redis.call('SISMEMBER', KEYS[5], last) == 1 then reason = 'Skipped because its job ' .. last .. ' was still there' end
end
if reason == '' and fired >= tonumber(ARGV[6]) then
  reason = 'Skipped because the flex queue had no room for ' .. fired .. ' jobs of this schedule'
end
if not planned and reason ~= '' then return 'busy' end

if planned and ARGV[3] == '' then
  redis.call('HSET', KEYS[1], 'state', 'COMPLETE')
  redis.call('HDEL', KEYS[1], 'nextFireTime')
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('ZREM', KEYS[3], ARGV[1])
elseif planned then
  redis.call('HSET', KEYS[1], 'nextFireTime', ARGV[3])
  redis.call('ZADD', KEYS[2], 'XX', ARGV[3], ARGV[1])
  redis.call('ZADD', KEYS[3], 'XX', ARGV[3], ARGV[1])
end
if reason ~= '' then
  redis.call('HINCRBY', KEYS[1], 'timesSkipped', 1)
  redis.call('HSET', KEYS[1], 'extendedStatus', reason)
  return 'skipped'
end
redis.call('HINCRBY', KEYS[1], 'timesTriggered', 1)
redis.call('HSET', KEYS[1], 'previousFireTime', ARGV[5], 'lastJobId', ARGV[4])
redis.call('HDEL', KEYS[1], 'extendedStatus')
redis.call('ZADD', KEYS[4], ARGV[5], ARGV[1] .. ' ' .. ARGV[4])
redis.call('SADD', KEYS[5], ARGV[4])
if planned and guaranteed == '1' then redis.call('ZADD', KEYS[6], ARGV[5], ARGV[4]) end
return 'fired'
