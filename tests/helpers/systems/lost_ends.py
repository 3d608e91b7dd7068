"""A Redis that loses the end of each script, as when its append-only file is cut in the midst of one (valkey#4342)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from quotejob.store import scripts

# A script that Redis runs keeps what it has done until its error.
_LOST = """
local server, left = redis, @
local redis = setmetatable({call = function(...)
  left = left - 1
  if left < 0 then error('lost') end
  return server.call(...)
end}, {__index = server})
"""
MOST_COMMANDS = 200  # of one script


def is_lost(monkeypatch: pytest.MonkeyPatch, commands: int, do: Callable[[], object]) -> bool:
    """Do this while all but so many commands of each script are lost. Return whether some were."""
    with monkeypatch.context() as patch:
        patch.setattr(scripts, "_PROLOGUE", _LOST.replace("@", str(commands)) + scripts._PROLOGUE)
        scripts._script.cache_clear()
        try:
            do()
        except redis.ResponseError:
            return True
        finally:
            scripts._script.cache_clear()
    return False
