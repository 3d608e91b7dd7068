-- needs run/silence
-- Ask whether a call to an org may be made. After a pause one call is allowed: the others wait for what comes of it.
-- args  silence (a key), most (calls without an answer until the org counts as silent), length (ms; of such a call)
-- Returns {ms for which nothing should be sent to the org, 1 if the caller makes the one call that is allowed}.
local rest = still_for(args.silence)
if rest > 0 or unanswered(args.silence) < args.most then return {rest, 0} end
be_still(args.silence, args.length)
return {0, 1}
