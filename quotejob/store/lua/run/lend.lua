-- Store the session of another job for the clean-up of an ended one, if something is left to remove.
-- args  clean_ups, lent (keys), id, context (sealed), context_kept (s)
if redis.call('ZSCORE', args.clean_ups, args.id) then
  redis.call('SET', args.lent, args.context, 'EX', args.context_kept)
end
