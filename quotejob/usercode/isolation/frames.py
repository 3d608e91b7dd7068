"""Frames on a pipe: one letter, the length, the body. And the mark that a child leaves for its parent to look at."""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
import time
from typing import BinaryIO

CALL, ANSWER, BROKEN, RETRY, READY, UNFIT = b"c", b"a", b"b", b"r", b"y", b"u"
LOADED = b"l"  # the code is imported; READY or UNFIT follows when it was looked at, which may call it
QUESTION = b"q"  # of the child in the midst of a call; what is sent next is the reply to it
_HEAD = struct.Struct(">cI")
_MARK = struct.Struct("=qd")


def frame(kind: bytes, body: bytes) -> bytes:
    """Return a frame as bytes."""
    return _HEAD.pack(kind, len(body)) + body


def taken(received: bytearray) -> tuple[bytes, bytes] | None:
    """Take the first whole frame off what was received. None: it is not whole yet."""
    if len(received) < _HEAD.size:
        return None
    kind, length = _HEAD.unpack_from(received)
    end = _HEAD.size + length
    if len(received) < end:
        return None
    body = bytes(received[_HEAD.size : end])
    del received[:end]
    return kind, body


def read(source: BinaryIO) -> tuple[bytes, bytes] | None:
    """Return the next frame, waiting for it. None: there are no more."""
    head = source.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    kind, length = _HEAD.unpack(head)
    body = source.read(length)
    return (kind, body) if len(body) == length else None


def send(descriptor: int, kind: bytes, body: bytes) -> None:
    """Write a frame, however long it takes."""
    left = memoryview(frame(kind, body))
    while left:
        left = left[os.write(descriptor, left) :]


class Mark:
    """Which record users' code has in hand, and since when: a few bytes that parent and child share.

    It costs the child no system call, and wakes nobody. ``descriptor``: of the file behind it, for the child.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            with tempfile.TemporaryFile() as file:
                file.truncate(_MARK.size)
                self.descriptor = os.dup(file.fileno())
        else:
            self.descriptor = descriptor
        self._shared = mmap.mmap(self.descriptor, _MARK.size)

    def __call__(self, place: int) -> None:
        """Note that the record at this place is taken up now."""
        _MARK.pack_into(self._shared, 0, place, time.monotonic())

    def seen(self) -> tuple[int, float]:
        """Return the place of the record, and the time by the monotonic clock, which all processes share."""
        place, since = _MARK.unpack_from(self._shared)
        return place, since

    def close(self) -> None:
        """Let the file go."""
        self._shared.close()
        os.close(self.descriptor)
