-- needs clock
-- Let a notice be tried again after a pause.
-- args  notices (a key), notice, number (of the try that failed), first, longest (ms)
local key = 'quotejob:notice:' .. args.notice
if redis.call('HGET', key, 'tries') ~= tostring(args.number) then return end
redis.call('HDEL', key, 'sending')
local pause = math.min(args.first * 2 ^ math.min(args.number - 1, 20), args.longest)
redis.call('ZADD', args.notices, 'XX', string.format('%.0f', redis_time() + pause), args.notice)
