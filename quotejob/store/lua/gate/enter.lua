-- needs gate/gate
-- Put a message into its queue, or into its org's room if it may not go now.
-- args  those of the gate, org, id (of the task), priority (0 is the highest), list (of the queue), message
-- Returns 1 if it is in its queue, else 0.
local room, urgent = room_of(args.org), is_urgent(args.priority)
if (urgent or redis.call('EXISTS', room) == 0) and may(args.org, urgent) then
  let_in(args.org, args.id, args.list, args.message)
  return 1
end
local place = args.priority * 2 ^ 40 + redis.call('INCR', args.waiting .. ':places') % 2 ^ 40
redis.call('ZADD', room, string.format('%.0f', place), args.id .. '\n' .. args.list .. '\n' .. args.message)
redis.call('ZADD', args.waiting, 'NX', 0, args.org)
return 0
