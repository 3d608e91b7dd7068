"""The Lua scripts, by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import redis

from quotejob.store import client as store


def script(client: redis.Redis, name: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
    """Run scripts/``name``.lua, after the one it "needs".

    Each one may be sent twice: the client repeats a command whose answer was lost.
    """
    with store.translated():
        return client.register_script(_lua(name))(keys=keys, args=args)


@cache
def _lua(name: str) -> str:
    text = (Path(__file__).parent / "lua" / f"{name}.lua").read_text()
    needed = re.match(r"-- needs ([\w/]+)\n", text)
    return f"{_lua(needed[1])}\n{text}" if needed else text
