-- needs clock
-- Note that a request may be on its way to an org from now on. mirror/done ends the note, or the time does.
-- args  org, request (its id), length (ms for which it may still arrive)
local sent = 'quotejob:org:' .. args.org .. ':mirror:sent'
redis.call('ZADD', sent, string.format('%.0f', redis_time() + args.length), args.request)
redis.call('PEXPIRE', sent, args.length)
