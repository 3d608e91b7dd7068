"""The Streaming API as it is on the wire: messages, errors, waiting, replay, allowances."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from _people import as_user
from _server import Server, Start, event_folder, start_server

CHANNEL = "/event/Signal__e"
Body = dict[str, Any]


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = start_server("--force-app", str(event_folder(tmp_path_factory.mktemp("app"))))
    yield running
    assert running.stop() == 0


@pytest.fixture(autouse=True)
def fresh(org: Server) -> None:
    org.post("/localorg/reset", {})


def send(org: Server, *messages: Body, path: str = "/cometd/66.0", **more: Any) -> list[Body]:
    answer = org.post(path, list(messages), **more)
    assert answer.status_code == 200, answer.text
    replies: list[Body] = answer.json()
    return replies


def handshake(org: Server) -> str:
    (reply,) = send(org, {"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]})
    assert reply["successful"] is True
    assert reply["ext"] == {"replay": True, "payload.format": True}
    client: str = reply["clientId"]
    return client


def connect(org: Server, client: str, timeout: int | None = None) -> list[Body]:
    """The events that a connect brings."""
    message: Body = {"channel": "/meta/connect", "clientId": client, "connectionType": "long-polling", "id": "9"}
    if timeout is not None:
        message["advice"] = {"timeout": timeout}
    *events, reply = send(org, message)
    assert (reply["successful"], reply["id"], reply["advice"]["reconnect"]) == (True, "9", "retry")
    return events


def subscribe(org: Server, client: str, replay: object = -1, channel: str = CHANNEL) -> Body:
    message = {"channel": "/meta/subscribe", "clientId": client, "subscription": channel, "id": "3"}
    (reply,) = send(org, {**message, "ext": {"replay": {channel: replay}}})
    return reply


def publish(org: Server, number: int, name: str = "Signal__e") -> None:
    assert org.post(f"sobjects/{name}", {"Number__c": number}).status_code == 201


def numbers(events: list[Body]) -> list[int]:
    return [each["data"]["payload"]["Number__c"] for each in events]


def test_a_waiting_connect_is_answered_by_the_next_event(org: Server) -> None:
    publish(org, 1)
    client = handshake(org)
    assert connect(org, client) == []  # the first connect does not wait
    assert subscribe(org, client)["successful"] is True
    threading.Timer(0.3, publish, (org, 2)).start()
    began = time.monotonic()
    (event,) = connect(org, client)
    assert time.monotonic() - began < 20
    assert event["channel"] == CHANNEL
    assert event["data"]["payload"]["Number__c"] == 2
    assert set(event["data"]["event"]) == {"replayId", "EventUuid"}
    assert len(event["data"]["schema"]) == 22


def test_a_subscription_wakes_a_connect_that_waits(org: Server) -> None:
    publish(org, 7)
    client = handshake(org)
    connect(org, client)
    threading.Timer(0.3, subscribe, (org, client, -2)).start()
    assert numbers(connect(org, client))[-1] == 7


def test_a_second_connect_releases_the_first(org: Server) -> None:
    client = handshake(org)
    connect(org, client)
    first: list[list[Body]] = []
    waiting = threading.Thread(target=lambda: first.append(connect(org, client)))
    waiting.start()
    time.sleep(0.3)
    connect(org, client, timeout=0)
    waiting.join(timeout=10)
    assert first == [[]]


def test_nothing_comes_after_unsubscribe_and_disconnect(org: Server) -> None:
    client = handshake(org)
    subscribe(org, client)
    (reply,) = send(org, {"channel": "/meta/unsubscribe", "clientId": client, "subscription": CHANNEL})
    assert (reply["successful"], reply["subscription"]) == (True, CHANNEL)
    publish(org, 1)
    assert connect(org, client, timeout=0) == []
    assert send(org, {"channel": "/meta/disconnect", "clientId": client})[0]["successful"] is True
    (reply,) = send(org, {"channel": "/meta/connect", "clientId": client, "connectionType": "long-polling"})
    assert (reply["error"], reply["advice"]["reconnect"]) == ("403::Unknown client", "handshake")


def test_many_messages_in_one_request_and_the_kind_in_the_path(org: Server) -> None:
    client = handshake(org)
    connect(org, client)
    began = time.monotonic()
    replies = send(
        org,
        {"channel": "/meta/connect", "clientId": client, "connectionType": "long-polling"},
        {"channel": "/meta/subscribe", "clientId": client, "subscription": [CHANNEL, "/event/Settled__e"]},
        path="/cometd/66.0/connect",
    )
    assert time.monotonic() - began < 20  # a connect beside others does not wait
    assert [each["channel"] for each in replies] == ["/meta/subscribe", "/meta/subscribe", "/meta/connect"]
    assert all(each["successful"] for each in replies)


def test_events_of_several_channels_come_in_the_order_of_publishing(org: Server) -> None:
    client = handshake(org)
    subscribe(org, client)
    subscribe(org, client, channel="/event/Settled__e")
    for number, name in enumerate(["Signal__e", "Settled__e", "Settled__e", "Signal__e"]):
        publish(org, number, name)
    assert numbers(connect(org, client, timeout=0)) == [0, 1, 2, 3]


def test_replay(org: Server) -> None:
    client = handshake(org)
    subscribe(org, client)
    for number in range(5):
        publish(org, number)
    events = connect(org, client, timeout=0)
    ids = [each["data"]["event"]["replayId"] for each in events]
    assert ids == sorted(set(ids))
    subscribe(org, client, ids[2])
    assert numbers(connect(org, client, timeout=0)) == [3, 4]
    subscribe(org, client, -2)
    assert numbers(connect(org, client, timeout=0))[-5:] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("replay", [0, -3, 10**6, 10**18, "x", None, 1.5, True, [1]])
def test_a_wrong_replay_id_is_refused(org: Server, replay: object) -> None:
    reply = subscribe(org, handshake(org), replay)
    assert reply["successful"] is False
    assert reply["error"].startswith(f"400::The replayId {{{replay}}} you provided was invalid.  Please provide")


@pytest.mark.parametrize(
    ("channel", "error"),
    [
        ("/event/Nothing__e", "400::The channel you requested to subscribe to does not exist {/event/Nothing__e}"),
        ("/event/Account", "400::The channel you requested to subscribe to does not exist {/event/Account}"),
        ("/event/*", "400::The channel you requested to subscribe to does not exist {/event/*}"),
        ("/topic/x", "400::The channel you requested to subscribe to does not exist {/topic/x}"),
        ("event/Signal__e", "400::Channel subscriptions must start with a leading '/'"),
        ("", "400::Channel name not specified"),
        (None, "400::Channel name not specified"),
        (5, "400::Channel name not specified"),
        ([], "400::Channel name not specified"),
    ],
)
def test_a_wrong_channel_is_refused(org: Server, channel: Any, error: str) -> None:
    message = {"channel": "/meta/subscribe", "clientId": handshake(org), "subscription": channel}
    (reply,) = send(org, message)
    assert (reply["successful"], reply["error"]) == (False, error)


def test_who_may_listen(org: Server) -> None:
    message = {"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]}
    for token, reason in (("", "401::Request requires authentication"), ("Bearer x", "401::Authentication invalid")):
        headers = {"Authorization": token} if token else {"Authorization": "none"}
        (reply,) = send(org, message, headers=headers)
        assert (reply["successful"], reply["error"]) == (False, "403::Handshake denied")
        assert reply["ext"]["sfdc"]["failureReason"] == reason
        assert reply["advice"]["reconnect"] == "none"
    client = handshake(org)
    ask = {"channel": "/meta/connect", "clientId": client, "connectionType": "long-polling"}
    (reply,) = send(org, ask, headers={"Authorization": "Bearer x"})
    assert (reply["error"], reply["advice"]["reconnect"]) == ("401::Authentication invalid", "none")
    other = as_user(org, "Read Only")
    (reply,) = send(other, ask)
    assert reply["error"] == "400::Authenticated user id does not match the session's user id"
    assert subscribe(other, handshake(other))["successful"] is True  # a reader may listen


def test_a_wrong_request_is_refused(org: Server) -> None:
    (reply,) = send(org, {"channel": "/meta/handshake"}, path="/cometd")
    assert reply["error"] == "400::API version in the URI is mandatory. URI format: '/cometd/66.0'"
    for version in ("36.0", "67.0", "66", "66.1", "x"):
        (reply,) = send(org, {"channel": "/meta/handshake"}, path=f"/cometd/{version}")
        assert reply["error"].startswith("400::Unsupported API version. Only API versions '37.0' and later")
    (reply,) = send(org, {"channel": "/meta/handshake", "supportedConnectionTypes": ["websocket"]})
    assert reply["error"].startswith("400::Invalid connection type")
    (reply,) = send(org, {"channel": "/meta/connect", "clientId": handshake(org), "connectionType": "websocket"})
    assert reply["error"] == "400::Invalid connection type websocket"
    (reply,) = send(org, {"channel": "/meta/subscribe", "subscription": CHANNEL})
    assert reply["error"] == "403::Client has not completed handshake"
    (reply,) = send(org, {"channel": CHANNEL, "clientId": handshake(org), "data": {"Number__c": 1}})
    assert (reply["successful"], reply["error"]) == (False, "403::Restricted channel")
    for body in (b"", b"{", b"[]", b"7", b"[7]", b'[{"channel": 7}]', b"null"):
        assert org.request("POST", "/cometd/66.0", data=body).status_code == 400, body
    assert org.request("POST", "/cometd/66.0", data=b"[" + b" " * 40_000).status_code == 413
    assert org.get("/cometd/66.0").status_code == 405


def test_allowances(org: Server) -> None:
    """Published and delivered messages and clients are counted in /limits, and refused beyond."""
    client = handshake(org)
    subscribe(org, client)
    publish(org, 1)
    publish(org, 2)
    assert numbers(connect(org, client, timeout=0)) == [1, 2]
    limits = org.get("limits").json()
    assert limits["HourlyPublishedPlatformEvents"] == {"Max": 250_000, "Remaining": 249_998}
    assert limits["DailyDeliveredPlatformEvents"] == {"Max": 25_000, "Remaining": 24_998}
    assert limits["StreamingApiConcurrentClients"]["Remaining"] < 1_000
    org.post("/localorg/limits", {"dailyDeliveredPlatformEvents": 3, "hourlyPublishedPlatformEvents": 4})
    publish(org, 3)
    publish(org, 4)
    refused = org.post("sobjects/Signal__e", {"Number__c": 5})
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "LIMIT_EXCEEDED")
    assert numbers(connect(org, client, timeout=0)) == [3]
    assert connect(org, client, timeout=0) == []
    assert subscribe(org, client)["error"] == "403::Organization total events daily limit exceeded"
    used = org.get("limits").json()["DailyApiRequests"]
    connect(org, client, timeout=0)
    assert org.get("limits").json()["DailyApiRequests"]["Remaining"] == used["Remaining"] - 1  # only this one


def test_an_event_after_the_commit_is_not_sent_when_its_part_is_undone(org: Server) -> None:
    client = handshake(org)
    subscribe(org, client)
    subscribe(org, client, channel="/event/Settled__e")
    url = "/services/data/v66.0/sobjects"
    for good, expected in ((True, [1, 2]), (False, [1])):
        body = {"Name": "x"} if good else {}
        parts = [
            {"referenceId": "a", "method": "POST", "url": f"{url}/Signal__e", "body": {"Number__c": 1}},
            {"referenceId": "b", "method": "POST", "url": f"{url}/Settled__e", "body": {"Number__c": 2}},
            {"referenceId": "c", "method": "POST", "url": f"{url}/Account", "body": body},
        ]
        org.post("composite", {"compositeRequest": parts, "allOrNone": True})
        assert numbers(connect(org, client, timeout=0)) == expected
        graph = {"graphs": [{"graphId": "g", "compositeRequest": parts}]}
        assert org.post("composite/graph", graph).json()["graphs"][0]["isSuccessful"] is good
        assert numbers(connect(org, client, timeout=0)) == expected


def test_an_org_that_stops_answers_those_who_wait(start: Start, tmp_path: Path) -> None:
    org = start("--force-app", str(event_folder(tmp_path)))
    client = handshake(org)
    connect(org, client)
    answered: list[list[Body]] = []
    waiting = threading.Thread(target=lambda: answered.append(connect(as_admin, client)))
    as_admin = Server(org.process, org.url, org.organization_id, org.user_id, org.token, requests.Session())
    waiting.start()
    time.sleep(0.3)
    assert org.stop() == 0
    waiting.join(timeout=10)
    assert answered == [[]]


def test_events_and_their_ids_survive_a_kill(start: Start, tmp_path: Path) -> None:
    words = ("--db", str(tmp_path / "org.db"), "--force-app", str(event_folder(tmp_path / "app")))
    org = start(*words)
    for number in range(3):
        publish(org, number)
    org.process.kill()
    org.process.communicate(timeout=10)
    again = start(*words)
    assert again.get("limits").json()["HourlyPublishedPlatformEvents"]["Remaining"] == 249_997
    publish(again, 3)
    client = handshake(again)
    subscribe(again, client, -2)
    events = connect(again, client, timeout=0)
    assert numbers(events) == [0, 1, 2, 3]
    assert [each["data"]["event"]["replayId"] for each in events] == [1, 2, 3, 4]
