"""The guard of every request: a time for the whole of it, a size for its answer. A real server drips and swells."""

from __future__ import annotations

import gzip
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from _callers import new_caller
from _scripted import TOKEN, Reply, Server

from quotejob.errors import AnswerTooLarge, OrgError, OrgUnreachable
from quotejob.salesforce import OrgAddress, OrgClient, applink
from quotejob.settings import Settings

pytestmark = pytest.mark.usefixtures("fresh_pool")
LONG = 60  # seconds; a call of half a second that lasted longer than this did not end by its own time
EMPTY = b'{"totalSize":0,"done":true,"records":[]}'
DRIP = 0.1  # seconds between two bytes: never a timeout between them; over 400 bytes of headers and body it is 40 s
BOMB = gzip.compress(b'{"done":true,"records":[],"padding":"' + b" " * 100_000_000 + b'"}', 9)


def seconds_of(call: Callable[[], Any]) -> tuple[OrgError, float]:
    """The error of a call, and how long it took."""
    began = time.monotonic()
    with pytest.raises(OrgError) as caught:
        call()
    return caught.value, time.monotonic() - began


@pytest.mark.parametrize(
    "call",
    [
        lambda org: list(org.query("SELECT Id FROM Quote")),
        lambda org: org.whoami(),
        lambda org: org.describe("Quote"),
    ],
    ids=["query", "whoami", "describe"],
)
def test_an_answer_that_drips_is_cut_off(server: Server, call: Callable[[OrgClient], Any]) -> None:
    """The headers drip, and then the body would: each byte comes well before the timeout between two bytes."""
    org = server.org(Reply(EMPTY + b" " * 400, drip=DRIP), retry_for=0, read_timeout=0.5)
    fault, seconds = seconds_of(lambda: call(org))
    assert (type(fault), fault.code) == (OrgUnreachable, "TIMEOUT")
    assert seconds < 20


def test_a_body_that_drips_is_cut_off(server: Server) -> None:
    """The headers come at once, in one piece."""
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", drip=DRIP) as url:
        org = OrgClient(OrgAddress(url, TOKEN), retry_for=0, read_timeout=0.5)
        fault, seconds = seconds_of(lambda: list(org.query("SELECT Id FROM Quote")))
    assert fault.code == "TIMEOUT"
    assert seconds < 20


def test_a_server_that_reads_no_request_is_cut_off() -> None:
    """It accepts the connection and reads nothing: the write of a large request has to end too."""
    with raw_server(b"", read=False) as url:
        org = OrgClient(OrgAddress(url, TOKEN), retry_for=0, read_timeout=0.5)
        call = lambda: org._connection.once(  # noqa: E731
            lambda: org._connection.salesforce.restful("x", method="POST", data=b"x" * 50_000_000)
        )
        fault, seconds = seconds_of(call)
    assert fault.code == "TIMEOUT"
    assert seconds < 20


def test_applink_that_drips_is_cut_off(server: Server, applinked: Settings) -> None:
    """The token of a schedule comes through the same guard."""
    server.script = [Reply(b"{}" + b" " * 400, drip=DRIP)]
    settings = replace(applinked, applink_api_url=server.url)
    fault, seconds = seconds_of(lambda: applink.session("any", new_caller().org_id, settings, timeout=(0.5, 0.5)))
    assert isinstance(fault, OrgUnreachable)
    assert seconds < 20


@pytest.mark.parametrize("status", [200, 400, 503])
def test_an_answer_that_unpacks_to_too_much_is_refused(server: Server, status: int) -> None:
    """0.1 MB that unpack to 100 MB take no memory: unpacking stops at the limit. It is said, and not tried again."""
    assert len(BOMB) < 200_000
    bomb = Reply(BOMB, status, {"Content-Encoding": "gzip"})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    org = server.org(bomb, bomb)
    with pytest.raises(AnswerTooLarge, match=r"127.0.0.1 sent an answer of more than 16 MB"):
        list(org.query("SELECT Id FROM Quote"))
    assert org.calls == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # KiB


def test_a_list_that_is_shorter_than_its_count_is_a_lost_answer(server: Server) -> None:
    """An answer that was cut on its way is not an org without records. The query is asked again."""
    cut = Reply({"totalSize": 300, "done": True, "records": []})
    whole = Reply({"totalSize": 1, "done": True, "records": [{"Id": "1"}]})
    assert list(server.org(cut, whole).query("SELECT Id FROM Quote")) == [{"Id": "1"}]
    with pytest.raises(OrgUnreachable, match="all the records that it counted"):
        list(server.org(cut, retry_for=0).query("SELECT Id FROM Quote"))


def test_an_answer_that_is_long_without_being_packed_is_refused(server: Server) -> None:
    """Also if its length is said, and if it is not."""
    org = server.org(Reply(b"x" * 20_000_000))
    with pytest.raises(AnswerTooLarge):
        org.describe("Quote")


def test_applink_that_answers_with_too_much_gives_no_session(server: Server, applinked: Settings) -> None:
    """A megabyte is enough for a session."""
    server.script = [Reply(BOMB, headers={"Content-Encoding": "gzip"})]
    with pytest.raises(AnswerTooLarge):
        applink.session("any", new_caller().org_id, replace(applinked, applink_api_url=server.url))


def test_the_connection_serves_the_next_call(server: Server) -> None:
    """Time is counted anew for each request on a connection that is kept open."""
    org = server.org(*[Reply(EMPTY, wait=0.4) for _ in range(3)], retry_for=0, read_timeout=1)
    for _ in range(3):
        assert list(org.query("SELECT Id FROM Quote")) == []
    assert len({seen.client for seen in server.seen}) == 1


@pytest.fixture
def applinked() -> Settings:
    """Settings with an AppLink."""
    return Settings(
        redis_url="redis://unused", secret_keys=(), local_org=True, applink_api_url="http://x", applink_token="t"
    )


@contextmanager
def raw_server(answer: bytes, *, drip: float = 0, read: bool = True) -> Iterator[str]:
    """A server that sends these bytes, and then one byte now and then. It may never read."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError), listener.accept()[0] as connection:
                if read:
                    connection.recv(65_536)
                connection.sendall(answer)
                while not done.wait(drip or LONG):
                    connection.sendall(b" ")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            done.set()
            thread.join()
