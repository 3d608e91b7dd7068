-- needs run/silence, add
-- Note that an org did not answer a call in time. After several such calls nothing is sent to it for some time.
-- args  silence (a key), most (calls until then), pause and longest (ms; the first pause, doubled with each), kept (s),
--       probing (true: this was the one call that was allowed)
-- Returns ms for which nothing should be sent to the org.
local calls = add(args.silence, 'calls', 1)
redis.call('EXPIRE', args.silence, args.kept)
local rest = still_for(args.silence)
if calls >= args.most and (args.probing or rest == 0) then
  local pauses = add(args.silence, 'pauses', 1)
  rest = math.min(args.pause * 2 ^ (pauses - 1), args.longest)
  be_still(args.silence, rest)
end
return rest
