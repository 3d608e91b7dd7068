-- Note that a notice is being sent. Returns 1; or 0 if somebody else has taken it since, or it is settled.
-- args  notice, number (of the try)
local key = 'quotejob:notice:' .. args.notice
if redis.call('HGET', key, 'tries') ~= tostring(args.number) then return 0 end
return redis.call('HSETNX', key, 'sending', '1')
