-- Store the estimates of jobs. A job that has one already, or has another status now, is left as it is.
-- args  field (of the job's hash), status (of the jobs when they were estimated), estimates (key of a job -> estimate)
for key, estimate in pairs(args.estimates) do
  if redis.call('HGET', key, 'status') == args.status then redis.call('HSETNX', key, args.field, estimate) end
end
