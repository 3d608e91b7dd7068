"""The guard: every request that leaves this process has a time for the whole of it, and a size for its answer.

The timeouts of requests count between two bytes, so a server that sends one byte every few seconds never meets them.
Here each read and each write of the socket gets only what is left of the request's time. An answer is unpacked piece by
piece, and refused as soon as it is too large: less than a megabyte can unpack to gigabytes.
"""

from __future__ import annotations

import http.client
import io
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import IO, Any

import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from quotejob.errors import AnswerTooLarge

MAX_HOSTS = 32  # that a process keeps connections to
MAX_CONNECTIONS_PER_HOST = 32  # that are kept open
MAX_ANSWER = 16_000_000  # bytes of an answer, unpacked; orgs answer a page of 2,000 rows with 1 to 4 MB
MAX_FILE = 1_000_000_000  # bytes of an answer that goes to disk
FILE_SECONDS = 600.0  # for a request or an answer that is a file; a file has 100 MB
PIECE = 16_384  # bytes written at once: one record of TLS, so that a write of it has one timeout
CHUNK = 65_536  # bytes unpacked at once

_pools: dict[int, HTTPAdapter] = {}  # by process id: a connection shared with a forked child would mix up answers
_request = threading.local()  # until: when the request that this thread makes has to be over


def pool() -> HTTPAdapter:
    """Return this process's connection pool. It is made at first use and stays alive between calls, tasks and orgs."""
    process = os.getpid()
    if process not in _pools:  # no lock: a fork could copy it locked, and a pool made twice is only dropped
        _pools.setdefault(process, _Pool(pool_connections=MAX_HOSTS, pool_maxsize=MAX_CONNECTIONS_PER_HOST))
    return _pools[process]


class GuardedSession(requests.Session):
    """A session whose requests end in time, with answers of a bounded size. It follows no redirect.

    ``timeout`` has the seconds to connect (to each address of the host), and for the whole request. ``max_answer`` is
    the most bytes of an answer, unpacked.
    """

    def __init__(self, timeout: tuple[float, float], max_answer: int = MAX_ANSWER) -> None:
        super().__init__()
        self._timeout = timeout
        self._max_answer = max_answer

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request and read its answer; with ``stream`` only its headers: then use :meth:`save`.

        Raises requests' errors, AnswerTooLarge.
        """
        connect, whole = self._timeout
        streamed = bool(kwargs.pop("stream", False))
        if streamed or hasattr(kwargs.get("data"), "read"):
            whole = max(whole, FILE_SECONDS)
        kwargs |= {"timeout": (connect, min(whole, self._timeout[1])), "allow_redirects": False, "stream": True}
        with _within(whole):
            answer = super().request(method, url, *args, **kwargs)
            if not streamed or not answer.ok:
                unpacked = io.BytesIO()
                _unpack(answer, unpacked, self._max_answer)
                answer._content = unpacked.getvalue()  # where requests would have put it, without a limit
        return answer

    def save(self, answer: requests.Response, file: IO[bytes]) -> None:
        """Write a streamed answer into the file. Raises requests' errors, AnswerTooLarge."""
        with _within(FILE_SECONDS):
            _unpack(answer, file, MAX_FILE)

    def get_adapter(self, url: str | bytes) -> BaseAdapter:  # noqa: ARG002
        """Return the connections of the process."""
        return pool()


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Let all reads and writes of a request in the block end in time. Raises ReadTimeout, whatever broke then."""
    _request.until = time.monotonic() + seconds
    try:
        yield
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as fault:
        if time.monotonic() < _request.until:
            raise
        raise requests.ReadTimeout(f"The request was not over after {seconds:g} s") from fault


def _unpack(answer: requests.Response, file: IO[bytes], most: int) -> None:
    size = 0
    for chunk in answer.iter_content(CHUNK):
        size += len(chunk)
        if size > most:
            answer.close()
            host = urllib3.util.parse_url(answer.url).host
            raise AnswerTooLarge(f"{host} sent an answer of more than {most / 1e6:g} MB; quotejob reads no larger one")
        file.write(chunk)


def _left(until: float) -> float:
    """Return the seconds that are left. Raises TimeoutError if there are none."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("The request took too long")
    return left


class _TimedSocket(io.RawIOBase):
    """What an answer is read from: a socket, each read of which ends before the request's time does."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, until: float) -> None:
        super().__init__()
        self._raw, self._sock, self._until = raw, sock, until
        self._longest_silence = sock.gettimeout() or float("inf")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(min(_left(self._until), self._longest_silence))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """An answer, read from a timed socket from its first byte."""

    def __init__(self, sock: socket.socket, *args: Any, until: float, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp: Any = io.BufferedReader(_TimedSocket(self.fp.detach(), sock, until))


class _TimedConnection(HTTPConnection):
    """A connection whose requests end in time."""

    def connect(self) -> None:
        self.response_class = partial(_Answer, until=_request.until)  # type: ignore[assignment]  # a proxy's answer
        super().connect()

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        view = memoryview(data)
        for start in range(0, len(view), PIECE):
            self.sock.settimeout(_left(_request.until))
            super().send(view[start : start + PIECE])

    def getresponse(self) -> Any:
        self.response_class = partial(_Answer, until=_request.until)  # type: ignore[assignment]
        return super().getresponse()


class _TimedSecureConnection(_TimedConnection, HTTPSConnection):
    """The same over TLS. The handshake has the timeout of the connection as a whole."""


class _Pool(HTTPAdapter):
    """A pool of such connections, also through a proxy."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _CLASSES

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        manager: Any = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _CLASSES
        return manager


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _TimedConnection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _TimedSecureConnection


_CLASSES = {"http": _PlainPool, "https": _SecurePool}
