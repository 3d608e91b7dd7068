-- Take the lease of one unit of work, if nobody holds it. The clock is Redis's own: workers' clocks may differ.
-- KEYS  job, leases, deaths, open jobs
-- ARGV  job id, unit, holder, length of the lease (ms)
-- Gives {'ended' | 'held' | 'yours', how many holders have died at it}. A holder whose lease ran out counts as dead;
-- a unit that was 'sent' is nobody's yet, one that is told to 'wait' is held until its time comes.
local status = redis.call('HGET', KEYS[1], 'status')
if not status or status == 'Completed' or status == 'Failed' or status == 'Aborted' then return {'ended', 0} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local holder, ends = string.match(redis.call('HGET', KEYS[2], ARGV[2]) or '', '^(%S+) (%d+)$')
if holder and holder ~= 'sent' and holder ~= ARGV[3] then
  if tonumber(ends) > now then return {'held', 0} end
  if holder ~= 'wait' then redis.call('HINCRBY', KEYS[3], ARGV[2], 1) end
end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3] .. string.format(' %.0f', now + ARGV[4]))
redis.call('ZADD', KEYS[4], 'XX', string.format('%.0f', now), ARGV[1])
return {'yours', tonumber(redis.call('HGET', KEYS[3], ARGV[2]) or 0)}
