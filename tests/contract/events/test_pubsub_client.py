"""salesforce-pubsub-api-client, unmodified, receives and publishes platform events of the local org by gRPC."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from _clients import Node
from _server import Server, begun, event_folder

pytestmark = [
    pytest.mark.timeout(1000),  # the first test may have to install the clients
    pytest.mark.filterwarnings("ignore:Unverified HTTPS request"),
]
TOPIC = "/event/Signal__e"
READY = re.compile(r"local org (https://\S+) org (00D\w{15}) user (005\w{15}) token (\S+) pubsub (\S+)\n")
Body = dict[str, Any]


@dataclass
class Org(Server):
    """A local org with https and the Pub/Sub API."""

    endpoint: str = ""


def start(*words: str) -> Org:
    process, url, organization_id, user_id, token, endpoint = begun(READY, "--tls", *words)
    org = Org(process, url, organization_id, user_id, token, endpoint=endpoint)
    org.session.trust_env = False  # a bundle of the environment would go before the next line
    org.session.verify = False
    return org


@pytest.fixture
def words(tmp_path: Path) -> tuple[str, ...]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = event_folder(tmp_path / "app")
    return "--db", str(tmp_path / "org.db"), "--force-app", str(folder), "--pubsub-port", str(port)


@pytest.fixture
def org(words: tuple[str, ...]) -> Iterator[Org]:
    running = start(*words)
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0


@pytest.fixture
def run(org: Org, node: Node) -> Iterator[Callable[..., Future[Any]]]:
    """Starts a function of pubsub.mjs in a thread."""
    where = {"url": org.url, "token": org.token, "orgId": org.organization_id, "endpoint": org.endpoint}
    with ThreadPoolExecutor(4) as pool:
        yield lambda name, **more: pool.submit(node.run, f"pubsub.{name}", {**where, "topic": TOPIC, **more})


def payload(number: int, text: str | None = None) -> Body:
    return {
        "CreatedDate": 0,
        "CreatedById": "005000000000001",
        "Number__c": number,
        "Text__c": None if text is None else {"string": text},
    }


def numbers(events: list[Body]) -> list[int]:
    return [each["payload"]["Number__c"] for each in events]


def wait_for_delivery(org: Org, many: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        limit = org.get("limits").json()["DailyDeliveredPlatformEvents"]
        if limit["Max"] - limit["Remaining"] >= many:
            return
        time.sleep(0.05)
    raise AssertionError(f"delivered: {limit}")


def test_events_come_in_order_whoever_publishes_them(org: Org, run: Callable[..., Future[Any]]) -> None:
    assert org.post("sobjects/Signal__e", {"Number__c": 1, "Text__c": "1 é"}).status_code == 201
    sent = [payload(number, f"{number} é") for number in range(2, 131)]
    listening = run("listen", replay=-2, many=130, batch=7)
    results = run("publish", payloads=sent).result(timeout=60)
    received = listening.result(timeout=60)["events"]
    assert numbers(received) == list(range(1, 131))
    assert [each["payload"]["Text__c"] for each in received] == [f"{number} é" for number in range(1, 131)]
    assert {each["payload"]["CreatedById"] for each in received} == {org.user_id}
    assert [each["replayId"] for each in results] == [each["replayId"] for each in received[1:]]
    assert results[0]["correlationKey"] == "the-first"
    limit = org.get("limits").json()["DailyDeliveredPlatformEvents"]
    assert limit["Max"] - limit["Remaining"] == 130


def test_replay_starts_after_an_id_and_refuses_a_wrong_one(run: Callable[..., Future[Any]]) -> None:
    run("publish", payloads=[payload(number) for number in range(1, 11)]).result(timeout=60)
    everything = run("listen", replay=-2, many=10, batch=100).result(timeout=60)["events"]
    fourth = everything[3]["replayId"]
    assert run("listen", replay=fourth, many=6, batch=100).result(timeout=60)["events"] == everything[4:]
    refused = run("listen", replay=999, many=1, batch=1).result(timeout=60)
    assert refused["code"] == 3  # INVALID_ARGUMENT
    assert refused["errorCode"] == "sfdc.platform.eventbus.grpc.subscription.fetch.replayid.corrupted"
    assert "rpcId: " in refused["details"]


def test_a_subscriber_goes_on_after_a_restart_of_the_org(
    org: Org, run: Callable[..., Future[Any]], words: tuple[str, ...]
) -> None:
    """The org is killed with a client that waits; it subscribes again after its last event, and misses nothing."""
    run("publish", payloads=[payload(1), payload(2), payload(3)]).result(timeout=60)
    listening = run("listen", replay=-2, many=9, batch=100, again=True)
    wait_for_delivery(org, 3)
    org.process.kill()
    org.process.communicate(timeout=10)
    again = start(*words)
    try:
        for number in range(4, 10):
            assert again.post("sobjects/Signal__e", {"Number__c": number}).status_code == 201
        received = listening.result(timeout=90)
        assert numbers(received["events"]) == list(range(1, 10))
        assert received["errors"] >= 1
    finally:
        again.stop()
