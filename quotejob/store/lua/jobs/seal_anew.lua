-- Replace a sealed session by the same one sealed with another key, unless it has changed meanwhile. It lives as long.
-- args  context (a key), old, new
-- Returns 1 if it was replaced, else 0.
if redis.call('GET', args.context) ~= args.old then return 0 end
redis.call('SET', args.context, args.new, 'KEEPTTL')
return 1
