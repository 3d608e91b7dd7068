"""The Lua scripts, by name, with named arguments.

A script has its arguments in the table ``args``. They are sent as one msgpack value, so the names are the same in both
languages. None becomes nil, a dict becomes a table. The names of keys are arguments like all others.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from redis.exceptions import NoScriptError

from quotejob.store.client import RedisClient

_PROLOGUE = "local args = cmsgpack.unpack(ARGV[1])\n"
_encode = msgspec.msgpack.Encoder().encode


def run(client: RedisClient, script: str, /, **arguments: Any) -> Any:
    """Run lua/``script``.lua after the scripts it "needs". Return its answer: bytes, whole numbers, lists of these.

    A script may run twice, because the client repeats a command whose answer was lost. Raises StoreUnavailable.
    """
    text, digest = _script(script)
    packed = _encode({name: _raw(value) for name, value in arguments.items()})
    try:
        return client.evalsha(digest, 0, packed)
    except NoScriptError:  # a server that has just started does not have it yet
        return client.eval(text, 0, packed)


def _raw(value: Any) -> Any:
    """Return bytes as msgpack's "str 32": the cmsgpack of Redis 6.2 does not know msgpack's own type for bytes."""
    if isinstance(value, list):
        return [_raw(each) for each in value]
    if not isinstance(value, bytes):
        return value
    return msgspec.Raw(b"\xdb" + len(value).to_bytes(4, "big") + value)


@cache
def _script(name: str) -> tuple[str, str]:
    """Return the text of a script as it is sent, and its SHA1, which is the server's name for it."""
    text = _PROLOGUE + "\n".join(_with_needed(name).values())
    return text, hashlib.sha1(text.encode()).hexdigest()


def _with_needed(name: str) -> dict[str, str]:
    """Return the scripts that this one needs, and then itself: name -> text. Each is there once."""
    text = _lua(name)
    needed = re.match(r"-- needs ([\w/, ]+)\n", text)
    texts: dict[str, str] = {}
    for each in needed[1].split(", ") if needed else ():
        texts |= _with_needed(each)
    return texts | {name: text}


def _lua(name: str) -> str:
    return (Path(__file__).parent / "lua" / f"{name}.lua").read_text()
