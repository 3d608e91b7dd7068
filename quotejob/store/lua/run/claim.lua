-- needs run/lease
-- Take the lease of one unit of work, if nobody holds it.
-- args  job, leases, deaths, open, silence (keys; silence is that of the org), id, unit, holder, length (ms; of the lease), after_end (true: the job must
--       have ended; the caller removes what its steps left)
-- Returns {'ended' (the job) | 'held' (by another one) | 'yours', how much the deaths of earlier holders count: of those
-- that worked on nothing else, of the others; the number of calls that the org has not answered}.
local unit, me = args.unit, args.holder
if (has_ended(args.job) or false) ~= (args.after_end or false) then return {'ended', 0, 0, 0} end
local holder, held, ran_out = lease_of(args.leases, unit)
if args.after_end and holder == 'wait' then holder = nil end -- nobody works on it
if holder and holder ~= 'sent' and holder ~= me then
  if held then return {'held', 0, 0, 0} end
  if not args.after_end then note_death(args, holder, ran_out) end -- nobody would delete the note of it
end
hold(args)
redis.call('ZADD', args.open, 'XX', string.format('%.0f', NOW), args.id)
local counted = redis.call('HMGET', args.deaths, unit .. ' alone', unit .. ' company')
return {'yours', tonumber(counted[1] or 0), tonumber(counted[2] or 0), unanswered(args.silence)}
