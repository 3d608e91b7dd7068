-- Before the sweep sends a unit again: is it nobody's? Of several sweeps at once, one hears yes.
-- KEYS  job, leases, deaths
-- ARGV  unit, how long the sending holds (ms)
local status = redis.call('HGET', KEYS[1], 'status')
if not status or status == 'Completed' or status == 'Failed' or status == 'Aborted' then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local holder, ends = string.match(redis.call('HGET', KEYS[2], ARGV[1]) or '', '^(%S+) (%d+)$')
if holder and tonumber(ends) > now then return 0 end
if holder and holder ~= 'sent' and holder ~= 'wait' then redis.call('HINCRBY', KEYS[3], ARGV[1], 1) end
redis.call('HSET', KEYS[2], ARGV[1], string.format('sent %.0f', now + ARGV[2]))
return 1
