"""The framing of requests: the end of one is found however its bytes arrive, and one that is too large at once."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.arriving import MAX_HEAD, Arriving, TooLarge
from api.middleware import MAX_BODY

HEAD = b"POST /api/executebatch HTTP/1.1\r\nHost: x\r\n"
GET = b"GET /api/jobs HTTP/1.1\r\nHost: x\r\n\r\n"
WHOLE = [
    GET,
    HEAD + b"Content-Length: 0\r\n\r\n",
    HEAD + b"Content-Length: 5\r\n\r\nhello",
    HEAD + b"content-length:\t5 \r\n\r\nhello",
    HEAD + b"Content-Length: 4\r\n\r\n\r\n\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    HEAD + b"Transfer-Encoding: gzip, Chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n",
]


@given(
    requests=st.lists(st.sampled_from(WHOLE), min_size=1, max_size=4), places=st.lists(st.integers(0, 500), max_size=20)
)
def test_requests_are_told_apart_however_they_arrive(requests: list[bytes], places: list[int]) -> None:
    """Byte by byte, in pieces, or several in one piece: what is given is each request, exactly."""
    stream = b"".join(requests)
    cuts = sorted({min(place, len(stream)) for place in places} | {0, len(stream)})
    arriving, found = Arriving(), []
    for start, end in pairwise(cuts):
        whole = arriving.take(stream[start:end])
        while whole:
            found.append(arriving.give())
            whole = len(arriving) > 0 and arriving.take(b"")
    assert found == requests
    assert len(arriving) == 0


@pytest.mark.parametrize("whole", WHOLE)
def test_a_request_that_lacks_a_byte_is_not_whole(whole: bytes) -> None:
    arriving = Arriving()
    assert not any(arriving.take(whole[place : place + 1]) for place in range(len(whole) - 1))
    assert arriving.take(whole[-1:])


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (HEAD + b"Content-Length: %d\r\n\r\n" % (MAX_BODY + 1), 413),
        (HEAD + b"Content-Length: 999999999999999999\r\n\r\n", 413),
        (HEAD + b"Content-Length: 1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1), 413),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % (MAX_BODY + 1), 413),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"8000\r\n%s\r\n" % (b"x" * 0x8000) * 3, 413),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 9000, 413),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1;%s\r\nx\r\n" % (b"e" * 4000) * 200, 413),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"T: 1\r\n" * 2000, 431),
        (HEAD + b"X: " + b"x" * MAX_HEAD, 431),
        (HEAD + b"X: " + b"x" * MAX_HEAD + b"\r\n\r\n", 431),
    ],
)
def test_what_is_too_large_is_refused_at_once(request_bytes: bytes, status: int) -> None:
    """The rest of it is not waited for."""
    with pytest.raises(TooLarge) as caught:
        Arriving().take(request_bytes)
    assert caught.value.status == status


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"this is not HTTP\r\n\r\n",
        b"\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: five\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nno size\r\n",
    ],
)
def test_what_is_malformed_is_not_waited_for(request_bytes: bytes) -> None:
    """gunicorn refuses it, with what there is."""
    arriving = Arriving()
    assert arriving.take(request_bytes)
    assert arriving.give() == request_bytes


def test_a_client_that_waits_to_continue_is_heard_once() -> None:
    arriving = Arriving()
    assert not arriving.take(HEAD + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert arriving.asks_to_continue()
    assert not arriving.asks_to_continue()
    assert arriving.take(b"hello")


def test_a_drip_costs_little() -> None:
    """A byte costs the same, however many have come before."""
    arriving, head = Arriving(), HEAD + b"X: " + b"x" * (MAX_HEAD - 100)
    began = time.process_time()
    for place in range(len(head)):
        arriving.take(head[place : place + 1])
    assert time.process_time() - began < 5


@pytest.mark.parametrize(("path", "asks"), [(b"/health", True), (b"/healthcheck", True), (b"/healthy", False)])
def test_health_checks_are_known(path: bytes, asks: bool) -> None:
    arriving = Arriving()
    arriving.take(b"GET %s HTTP/1.1\r\n\r\n" % path)
    assert arriving.asks_for(b"/health", b"/healthcheck") is asks
