-- Store the estimates of jobs, unless a job has one already or its status has changed meanwhile.
-- args  field, status (the one they have), estimates (the key of a job -> what to note in it)
for key, estimate in pairs(args.estimates) do
  if redis.call('HGET', key, 'status') == args.status then redis.call('HSETNX', key, args.field, estimate) end
end
