"""jsforce and aiosfstream-ng, unmodified, receive the platform events of the local org by CometD."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from _clients import Node
from _server import DATA, Server, event_folder, start_server
from aiosfstream_ng import Client, ReplayMarker
from aiosfstream_ng.auth import AuthenticatorBase
from aiosfstream_ng.exceptions import ServerError

pytestmark = pytest.mark.timeout(1000)  # the first test may have to install the clients
CHANNEL = "/event/Signal__e"
Events = list[dict[str, Any]]
Listen = Callable[[str, int, int], "Future[Events]"]  # (client, replay, how many): the events


class Token(AuthenticatorBase):
    """Logs in with an access token that is already there."""

    def __init__(self, org: Server) -> None:
        super().__init__()
        self._org = org

    async def _authenticate(self) -> tuple[int, dict[str, str]]:
        return 200, {"access_token": self._org.token, "token_type": "Bearer", "instance_url": self._org.url}


async def aiosfstream(org: Server, replay: int, many: int) -> Events:
    start = {CHANNEL: ReplayMarker("2000-01-01", replay)}
    async with Client(Token(org), replay=start, connection_timeout=0) as client:
        await client.subscribe(CHANNEL)
        received: Events = []
        async for message in client:
            received.append(message["data"])
            if len(received) == many:
                return received
    raise AssertionError("the client ended")


@pytest.fixture
def words(tmp_path: Path) -> tuple[str, ...]:
    return "--db", str(tmp_path / "org.db"), "--force-app", str(event_folder(tmp_path / "app"))


@pytest.fixture
def org(words: tuple[str, ...]) -> Iterator[Server]:
    running = start_server(*words)
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0


@pytest.fixture
def listen(org: Server, node: Node) -> Iterator[Listen]:
    """Starts one of the clients in a thread."""
    with ThreadPoolExecutor(4) as pool:

        def listening(client: str, replay: int, many: int) -> Future[Events]:
            if client == "aiosfstream":
                return pool.submit(asyncio.run, aiosfstream(org, replay, many))
            where = {"url": org.url, "token": org.token, "channel": CHANNEL, "replay": replay, "many": many}
            return pool.submit(node.run, "jsforce_streaming.listen", where)

        yield listening


def publish(org: Server, *numbers: int) -> None:
    """By the three ways in turn: one event, some in one composite request, some as a collection."""
    for start in range(0, len(numbers), 5):
        one, *some = numbers[start : start + 5]
        assert org.post("sobjects/Signal__e", {"Number__c": one}).status_code == 201
        url = f"{DATA}/sobjects/Signal__e"
        nodes = [
            {"referenceId": f"e{n}", "method": "POST", "url": url, "body": {"Number__c": n, "Text__c": f"{n} é"}}
            for n in some[:2]
        ]
        if nodes:
            assert org.post("composite", {"compositeRequest": nodes}).status_code == 200
        rows = [{"attributes": {"type": "Signal__e"}, "Number__c": n} for n in some[2:]]
        if rows:
            assert org.post("composite/sobjects", {"records": rows}).status_code == 200


def numbers(events: Events) -> list[int]:
    return [each["payload"]["Number__c"] for each in events]


def wait_for(org: Server, name: str, used: int) -> None:
    """Until so much of an allowance is used."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        limit = org.get("limits").json()[name]
        if limit["Max"] - limit["Remaining"] >= used:
            return
        time.sleep(0.05)
    raise AssertionError(f"{name} stays at {limit}")


def test_both_clients_receive_the_same_events_in_order(org: Server, listen: Listen) -> None:
    publish(org, 1, 2, 3)
    both = [listen(client, -2, 40) for client in ("jsforce", "aiosfstream")]
    wait_for(org, "DailyDeliveredPlatformEvents", 6)
    publish(org, *range(4, 41))
    first, second = (each.result(timeout=60) for each in both)
    assert numbers(first) == list(range(1, 41))
    assert first == second
    uuids = {each["event"]["EventUuid"] for each in first}
    assert len(uuids) == 40
    assert first[1]["payload"]["Text__c"] == "2 é"
    assert first[0]["payload"]["CreatedById"] == org.user_id


@pytest.mark.parametrize("client", ["jsforce", "aiosfstream"])
def test_replay_starts_after_an_id_and_refuses_a_wrong_one(org: Server, listen: Listen, client: str) -> None:
    publish(org, *range(1, 11))
    everything = listen(client, -2, 10).result(timeout=60)
    fourth = everything[3]["event"]["replayId"]
    assert listen(client, fourth, 6).result(timeout=60) == everything[4:]
    if client == "jsforce":
        assert "400::The replayId {999} you provided was invalid" in str(listen(client, 999, 1).result(timeout=60))
    else:
        with pytest.raises(ServerError, match="Subscribe request failed"):
            listen(client, 999, 1).result(timeout=60)


def test_both_clients_survive_a_restart_of_the_org(org: Server, listen: Listen, words: tuple[str, ...]) -> None:
    """The org is killed with clients that wait; they come back by themselves and miss nothing."""
    publish(org, 1, 2, 3)
    both = [listen(client, -2, 9) for client in ("jsforce", "aiosfstream")]
    wait_for(org, "DailyDeliveredPlatformEvents", 6)
    org.process.kill()
    org.process.communicate(timeout=10)
    port = org.url.rpartition(":")[2]
    again = start_server(*words, "--port", port)
    try:
        publish(again, *range(4, 10))
        for each in both:
            assert numbers(each.result(timeout=90)) == list(range(1, 10))
    finally:
        again.stop()
