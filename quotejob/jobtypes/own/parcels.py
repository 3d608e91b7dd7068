"""The form of decisions in Redis, between deciding and writing: a format number, then msgpack, compressed."""

from __future__ import annotations

from collections.abc import Container, Sequence

import msgspec
import zstandard

from quotejob.errors import UnknownJobType
from quotejob.usercode.decisions import Decision
from quotejob.usercode.writes import Verb

FORMAT = b"\x01"
_LARGEST = 1 << 28  # bytes of a parcel, unpacked
_DECODER = msgspec.msgpack.Decoder(list[Decision])


def pack(decided: Sequence[Decision]) -> bytes:
    """Return the decisions as bytes. unpack returns equal ones."""
    return FORMAT + zstandard.compress(msgspec.msgpack.encode(decided))


def unpack(stored: bytes, wanted: Container[str] | None = None) -> list[Decision]:
    """Return the decisions that pack packed, or only those of the wanted records.

    Raises UnknownJobType for the form of another version: a worker that knows it takes the unit.
    """
    if stored[:1] != FORMAT:
        raise UnknownJobType("This process does not know the form of these decisions: another version stored them")
    found = _DECODER.decode(zstandard.decompress(stored[1:], max_output_size=_LARGEST))
    return [one for one in found if wanted is None or one.source in wanted]


def size(one: Decision) -> int:
    """Return what a decision takes of a request of 500 nodes. A request that deletes holds fewer records."""
    deletes = sum(node.verb is Verb.DELETE for node in one.nodes)
    return len(one.nodes) - deletes + 2 * deletes
