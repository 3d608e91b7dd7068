-- Note in jobs what was estimated of them, unless something is noted already or they have gone on meanwhile.
-- KEYS  jobs
-- ARGV  field, the status they have, then what to note in each
for i, key in ipairs(KEYS) do
  if redis.call('HGET', key, 'status') == ARGV[2] then redis.call('HSETNX', key, ARGV[1], ARGV[i + 2]) end
end
