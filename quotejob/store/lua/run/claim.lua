-- needs run/lease
-- Take the lease of one unit of work, if nobody holds it.
-- KEYS  job, leases, deaths, open jobs
-- ARGV  job id, unit, holder, length of the lease (ms)
-- Gives {'ended' | 'held' | 'yours', how many holders have died at it}.
local unit, me = ARGV[2], ARGV[3]
if has_ended(KEYS[1]) then return {'ended', 0} end
local holder, held, ran_out = lease_of(KEYS[2], unit)
if holder and holder ~= 'sent' and holder ~= me then
  if held then return {'held', 0} end
  note_death(KEYS[3], unit, holder, ran_out)
end
give(KEYS[2], unit, me, ARGV[4])
redis.call('ZADD', KEYS[4], 'XX', string.format('%.0f', NOW), ARGV[1])
return {'yours', tonumber(redis.call('HGET', KEYS[3], unit) or 0)}
