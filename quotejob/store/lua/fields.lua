-- Set fields of a hash with one command, for the scripts that begin with "needs fields". So Redis has all of them or none,
-- also if it loses the end of a script (valkey#4342).
local function set_fields(key, fields)
  local flat = {}
  for name, value in pairs(fields) do
    flat[#flat + 1] = name
    flat[#flat + 1] = value
  end
  if #flat > 0 then redis.call('HSET', key, unpack(flat)) end
end
