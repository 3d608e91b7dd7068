-- needs add, fields
-- Set fields of a job, and add to its counts. Nothing is written of a job that Redis has lost: a part of a job is none.
-- args  job (key), fields (field -> value, or nil), counts (field -> what is added, or nil)
if redis.call('EXISTS', args.job) == 0 then return end
set_fields(args.job, args.fields or {})
for field, count in pairs(args.counts or {}) do add(args.job, field, count) end
