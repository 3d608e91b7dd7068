"""A request as its bytes arrive: is it whole, where does it end, is it too large? No sockets here.

Only the framing is read (RFC 9112, sections 6 and 7). What a request means, and whether its head is valid, is decided
by gunicorn and the API. They get the bytes of exactly one request, and nothing more to wait for.
"""

from __future__ import annotations

import re

from api.middleware import MAX_BODY

MAX_HEAD = 64 * 1024  # bytes of the request line and all headers
MAX_FRAMING = 8 * MAX_BODY  # bytes of a chunked body with its sizes
MAX_LINES = 8 * 1024  # bytes of the size of one chunk, or of the trailers

_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*([0-9]{1,18})[ \t]*\r?$")
_CHUNKED = re.compile(rb"(?im)^transfer-encoding:.*\bchunked[ \t]*\r?$")
_EXPECTS = re.compile(rb"(?im)^expect:[ \t]*100-continue[ \t]*\r?$")
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;.*)?", re.DOTALL)


class TooLarge(Exception):
    """The request is too large: ``status`` says what of it."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Arriving:
    """The bytes of a connection that no thread has yet: one request, and perhaps the beginning of the next."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._searched = 0  # bytes in which the end of the head is not
        self._body_at: int | None = None  # where the body begins, once the head is here
        self._ends_at: int | None = None  # where the request ends, once this is known
        self._chunk_at = self._sized = 0  # of a chunked body: the next chunk, and the bytes before it without framing
        self._asks_to_continue = False

    def __len__(self) -> int:
        return len(self._bytes)

    def take(self, data: bytes) -> bool:
        """Add bytes. Return whether the request is whole. Raises TooLarge."""
        self._bytes += data
        if self._body_at is None and not self._read_head():
            return False
        if self._ends_at is None:
            self._read_chunks()
        return self._ends_at is not None and len(self._bytes) >= self._ends_at

    def give(self) -> bytes:
        """Return the bytes of the whole request, and forget them. What is left belongs to the next one."""
        request = bytes(self._bytes[: self._ends_at])
        rest = self._bytes[self._ends_at :]
        self.__init__()  # type: ignore[misc]
        self._bytes += rest
        return request

    def asks_to_continue(self) -> bool:
        """Return, once, whether the client sends its body only after a 100 Continue."""
        asks, self._asks_to_continue = self._asks_to_continue, False
        return asks

    def asks_for(self, *paths: bytes) -> bool:
        """Return whether this is a GET of one of these paths."""
        return self._bytes.startswith(tuple(b"GET %s " % path for path in paths))

    def _read_head(self) -> bool:
        """Find the end of the head, and what it says of the body. Return whether the head is whole."""
        end = self._bytes.find(_END, max(0, self._searched - len(_END) + 1))
        self._searched = len(self._bytes)
        if (end if end >= 0 else len(self._bytes)) > MAX_HEAD:
            raise TooLarge(431)
        if end < 0:
            return False
        head = bytes(self._bytes[: end + 2])
        self._body_at = self._chunk_at = end + len(_END)
        if not _CHUNKED.search(head):
            length = max((int(found[1]) for found in _LENGTH.finditer(head)), default=0)
            if length > MAX_BODY:
                raise TooLarge(413)
            self._ends_at = self._body_at + length
        self._asks_to_continue = _EXPECTS.search(head) is not None
        return True

    def _read_chunks(self) -> None:
        """Find the end of a chunked body. One that is malformed ends where this is seen: gunicorn refuses it."""
        while self._ends_at is None:
            line = self._bytes.find(b"\r\n", self._chunk_at)
            if line < 0 and len(self._bytes) - self._chunk_at > MAX_LINES:
                raise TooLarge(413)
            if line < 0:
                return
            found = _CHUNK_SIZE.fullmatch(self._bytes, self._chunk_at, line)
            if found is None:
                self._ends_at = len(self._bytes)
            elif not self._pass_chunk(line, int(found[1], 16)):
                return

    def _pass_chunk(self, line: int, size: int) -> bool:
        """Go on behind the chunk of this size, which the line that ends there gives. Return whether it is here."""
        if size == 0:  # the last one: then come trailers, and an empty line
            end = self._bytes.find(_END, line)
            if len(self._bytes) - line > MAX_LINES:
                raise TooLarge(431)
            self._ends_at = None if end < 0 else end + len(_END)
            return end >= 0
        if self._sized + size > MAX_BODY or line - (self._body_at or 0) > MAX_FRAMING:
            raise TooLarge(413)
        behind = line + 2 + size + 2
        if len(self._bytes) < behind:
            return False
        self._sized, self._chunk_at = self._sized + size, behind
        return True
