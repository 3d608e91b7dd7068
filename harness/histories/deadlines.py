"""The deadlines of keys, by the world's time: Redis's own would go by the time of the machine, which may be slow.

A sorted set has the deadlines. The text :data:`LUA` comes before each script of a history. It deletes the keys whose
time is over, and takes the place of the commands that set, tell or end a deadline.
"""

from __future__ import annotations

from typing import Any

_TIMED = ("SET", "EXPIRE", "PEXPIRE", "PERSIST", "TTL", "PTTL", "RENAME")
# A key without items is no key, and has no deadline.
_EMPTYING = (
    "DEL",
    "UNLINK",
    "HDEL",
    "SREM",
    "SPOP",
    "ZREM",
    "ZPOPMIN",
    "ZREMRANGEBYSCORE",
    "LPOP",
    "RPOP",
    "LREM",
    "LTRIM",
)
_OTHERS = ("SETEX", "PSETEX", "GETEX", "GETDEL", "EXPIREAT", "PEXPIREAT", "HEXPIRE", "HPEXPIRE", "COPY")

LOST = "the end of this script is lost"
LUA = """
local EMPTYING, OTHERS = @EMPTYING, @OTHERS
local server, now, DEADLINES = redis, tonumber(ARGV[2]), 'histories:deadlines'

local function forget(key) return server.call('ZREM', DEADLINES, key) end

local function limit(key, ms)
  if server.call('EXISTS', key) == 0 then return 0 end
  server.call('ZADD', DEADLINES, string.format('%.0f', now + ms), key)
  return 1
end

local function rest(key)
  if server.call('EXISTS', key) == 0 then return -2 end
  local deadline = server.call('ZSCORE', DEADLINES, key)
  return deadline and tonumber(deadline) - now or -1
end

local TIMED = {}
function TIMED.SET(key, value, ...)
  local given, options, ms, at = {...}, {}, nil, 1
  while given[at] do
    if given[at] == 'PX' or given[at] == 'EX' then
      ms = tonumber(given[at + 1]) * (given[at] == 'EX' and 1000 or 1)
      at = at + 1
    else
      table.insert(options, given[at])
    end
    at = at + 1
  end
  local said = server.call('SET', key, value, unpack(options))
  if said then forget(key) end
  if said and ms then limit(key, ms) end
  return said
end
function TIMED.EXPIRE(key, seconds) return limit(key, seconds * 1000) end
function TIMED.PEXPIRE(key, ms) return limit(key, ms) end
function TIMED.PERSIST(key) return forget(key) end
function TIMED.PTTL(key) return rest(key) end
function TIMED.TTL(key) return rest(key) < 0 and rest(key) or math.floor((rest(key) + 500) / 1000) end
function TIMED.RENAME(key, new)
  local deadline, said = server.call('ZSCORE', DEADLINES, key), server.call('RENAME', key, new)
  forget(key)
  forget(new)
  if deadline then server.call('ZADD', DEADLINES, deadline, new) end
  return said
end

for _, key in ipairs(server.call('ZRANGEBYSCORE', DEADLINES, '-inf', now)) do
  server.call('DEL', key)
  forget(key)
end

local left = tonumber(ARGV[3] or '') -- commands, until the rest of the script is lost
local redis = setmetatable({call = function(name, key, ...)
  left = left and left - 1
  if left and left < 0 then error('@LOST') end
  if TIMED[name] then return TIMED[name](key, ...) end
  if OTHERS[name] then error('histories do not know the deadlines of ' .. name) end
  local said = server.call(name, key, ...)
  for _, each in ipairs(EMPTYING[name] and ((name == 'DEL' or name == 'UNLINK') and {key, ...} or {key}) or {}) do
    if server.call('EXISTS', each) == 0 then forget(each) end
  end
  return said
end}, {__index = server})
"""
LUA = LUA.replace("@LOST", LOST)
for _name, _words in (("@EMPTYING", _EMPTYING), ("@OTHERS", _OTHERS)):
    LUA = LUA.replace(_name, "{" + ", ".join(f"{word} = true" for word in _words) + "}")


def timed(command: tuple[Any, ...], now: int) -> tuple[Any, ...]:
    """Return what to send instead of a command: a script, if it has to do with deadlines. ``now``: ms."""
    if str(command[0]) not in {*_TIMED, *_EMPTYING, *_OTHERS}:
        return command
    return ("EVAL", LUA + "return redis.call(unpack(ARGV, 3))", 0, "", now, *command)


def ended(now: int) -> tuple[Any, ...]:
    """Return the command that deletes the keys whose time is over. ``now``: ms."""
    return ("EVAL", LUA, 0, "", now)
