"""The Pub/Sub API as it is on the wire: grpcio's own client against `python -m localorg --pubsub-port`."""

from __future__ import annotations

import asyncio
import queue
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import orjson
import pytest
from _server import Server, event_folder, launch

from localorg.events.avro import decode, encode
from localorg.events.messages import message
from localorg.events.pubsub import PubSub
from localorg.org import Org
from localorg.schema.loading import load_schema

TOPIC = "/event/Signal__e"
READY = re.compile(r"local org (http://\S+) org (00D\w{15}) user (005\w{15}) token (\S+) pubsub (\S+)\n")
CODES = "sfdc.platform.eventbus.grpc."
UNARY = {"GetTopic": ("TopicRequest", "TopicInfo"), "GetSchema": ("SchemaRequest", "SchemaInfo")}
UNARY |= {"Publish": ("PublishRequest", "PublishResponse")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return event_folder(tmp_path_factory.mktemp("app"))


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[tuple[Server, Any]]:
    process = launch("--port", "0", "--pubsub-port", "0", "--force-app", str(folder))
    assert process.stdout is not None
    ready = READY.fullmatch(process.stdout.readline())
    assert ready is not None
    url, organization_id, user_id, token, endpoint = ready.groups()
    org = Server(process, url, organization_id, user_id, token)
    with grpc.insecure_channel(endpoint) as channel:
        yield org, channel
    assert org.stop() == 0


@pytest.fixture
def org(served: tuple[Server, Any]) -> Server:
    served[0].post("/localorg/reset", {})
    return served[0]


class Client:
    """The methods of the service, with the headers of a user."""

    def __init__(self, channel: Any, **headers: str) -> None:
        self._channel = channel
        self._headers = tuple(headers.items())

    def call(self, method: str, **fields: Any) -> Any:
        asked, answered = UNARY[method]
        made = self._channel.unary_unary(*self._method(method, asked, answered))
        return made(message(asked)(**fields), metadata=self._headers, timeout=20)

    def subscribe(self, requests: Iterator[Any], method: str = "Subscribe") -> Any:
        made = self._channel.stream_stream(*self._method(method, "FetchRequest", "FetchResponse"))
        return made(requests, metadata=self._headers, timeout=20)

    def _method(self, name: str, asked: str, answered: str) -> tuple[Any, ...]:
        return f"/eventbus.v1.PubSub/{name}", message(asked).SerializeToString, message(answered).FromString


@pytest.fixture
def client(org: Server, served: tuple[Server, Any]) -> Client:
    return Client(served[1], accesstoken=org.token, instanceurl=org.url, tenantid=org.organization_id)


def fetch(many: int, **more: Any) -> Any:
    return message("FetchRequest")(**{"topic_name": TOPIC, "num_requested": many, **more})


def newest(client: Client) -> bytes:
    """A replay id after which only new events come."""
    result = publish(client, 0).results[0]
    replay_id: bytes = result.replay_id
    return replay_id


def publish(client: Client, *numbers: int) -> Any:
    topic = client.call("GetTopic", topic_name=TOPIC)
    written = client.call("GetSchema", schema_id=topic.schema_id).schema_json
    event = message("ProducerEvent")
    row = {"CreatedDate": 0, "CreatedById": "x"}
    payloads = [encode(written, {**row, "Number__c": each, "Text__c": f"{each}"}) for each in numbers]
    events = [event(schema_id=topic.schema_id, payload=each, id=f"k{place}") for place, each in enumerate(payloads)]
    return client.call("Publish", topic_name=TOPIC, events=events)


def refused(call: Any) -> tuple[Any, str]:
    """Status and code of a call that fails."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error: Any = caught.value
    codes = dict(error.trailing_metadata() or ())
    if "error-code" in codes:
        assert f"rpcId: {codes['rpc-id']}" in error.details()
    return error.code(), str(codes.get("error-code", "")).removeprefix(CODES)


def test_topic_and_schema(org: Server, client: Client) -> None:
    topic = client.call("GetTopic", topic_name=TOPIC)
    assert (topic.topic_name, topic.tenant_guid) == (TOPIC, org.organization_id)
    assert topic.can_publish
    assert topic.can_subscribe
    info = client.call("GetSchema", schema_id=topic.schema_id)
    names = [field["name"] for field in orjson.loads(info.schema_json)["fields"]]
    assert names == ["CreatedDate", "CreatedById", "Number__c", "Text__c"]
    for name in ("/event/Nothing__e", "/event/Account", "Signal__e", ""):
        assert refused(lambda name=name: client.call("GetTopic", topic_name=name))[0] is grpc.StatusCode.NOT_FOUND
    assert refused(lambda: client.call("GetSchema", schema_id="no"))[0] is grpc.StatusCode.NOT_FOUND
    assert refused(lambda: client.call("GetSchema", schema_id=""))[0] is grpc.StatusCode.INVALID_ARGUMENT


def test_no_more_events_come_than_were_asked_for(client: Client) -> None:
    start = newest(client)
    publish(client, *range(1, 8))
    asked: queue.Queue[Any] = queue.Queue()
    asked.put(fetch(3, replay_preset=2, replay_id=start))
    answers = client.subscribe(iter(asked.get, None))
    first = next(answers)
    assert (len(first.events), first.pending_num_requested) == (3, 0)
    assert first.latest_replay_id == first.events[-1].replay_id
    asked.put(fetch(10))
    second = next(answers)
    assert (len(second.events), second.pending_num_requested) == (4, 6)
    publish(client, 8)
    third = next(answers)
    assert (len(third.events), third.pending_num_requested) == (1, 5)
    asked.put(fetch(0))
    code = "subscription.fetch.requested.events.invalid"
    assert refused(lambda: next(answers)) == (grpc.StatusCode.INVALID_ARGUMENT, code)
    asked.put(None)


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (fetch(1, replay_preset=2), "INVALID_ARGUMENT", "subscription.fetch.replayid.validation.failed"),
        (fetch(1, replay_preset=7), "INVALID_ARGUMENT", "subscription.fetch.replayid.validation.failed"),
        (fetch(1, replay_preset=2, replay_id=b"\7"), "INVALID_ARGUMENT", "subscription.fetch.replayid.corrupted"),
        (fetch(1, replay_preset=2, replay_id=b"\xff" * 8), "INVALID_ARGUMENT", "subscription.fetch.replayid.corrupted"),
        (fetch(-1), "INVALID_ARGUMENT", "subscription.fetch.requested.events.invalid"),
        (fetch(1, topic_name="/event/No__e"), "NOT_FOUND", "topic.notfound"),
    ],
)
def test_a_wrong_subscription_is_refused(client: Client, request_: Any, status: str, code: str) -> None:
    wrong = refused(lambda: next(client.subscribe(iter([request_]))))
    assert wrong == (grpc.StatusCode[status], code)


def test_headers_are_needed(org: Server, served: tuple[Server, Any]) -> None:
    right = {"accesstoken": org.token, "instanceurl": org.url, "tenantid": org.organization_id}
    Client(served[1], **right).call("GetTopic", topic_name=TOPIC)
    for wrong, code in (
        ({"accesstoken": "x"}, "service.auth.error"),
        ({"tenantid": "00D000000000000AAA"}, "service.auth.error"),
        ({"accesstoken": ""}, "service.auth.headers.invalid"),
    ):
        client = Client(served[1], **{**right, **wrong})
        status = grpc.StatusCode.UNAUTHENTICATED
        assert refused(lambda client=client: client.call("GetTopic", topic_name=TOPIC)) == (status, code)
        assert refused(lambda client=client: next(client.subscribe(iter([fetch(1)])))) == (status, code)


def test_each_event_has_a_result_of_its_own(client: Client) -> None:
    topic = client.call("GetTopic", topic_name=TOPIC)
    written = client.call("GetSchema", schema_id=topic.schema_id).schema_json
    good = encode(written, {"Number__c": 1})
    event = message("ProducerEvent")
    events = [
        event(id="a", schema_id=topic.schema_id, payload=good),
        event(id="b", schema_id=topic.schema_id, payload=good[:-2]),
        event(id="c", schema_id="other", payload=good),
        event(id="d", schema_id=topic.schema_id, payload=good + b"\0"),
        event(schema_id=topic.schema_id, payload=good),
    ]
    results = client.call("Publish", topic_name=TOPIC, events=events).results
    assert [each.error.code for each in results] == [0, 1, 1, 1, 0]
    assert [bool(each.replay_id) for each in results] == [True, False, False, False, True]
    assert [each.correlation_key for each in results[:2]] == ["a", "b"]
    assert len(results[4].correlation_key) == 36


def test_a_used_up_allowance_ends_the_subscription(org: Server, client: Client) -> None:
    start = newest(client)
    publish(client, 1, 2, 3)
    org.post("/localorg/limits", {"dailyDeliveredPlatformEvents": 2})
    try:
        answers = client.subscribe(iter([fetch(3, replay_preset=2, replay_id=start)]))
        assert len(next(answers).events) == 2
        status = grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refused(lambda: next(answers)) == (status, "subscription.limit.exceeded")
    finally:
        org.post("/localorg/limits", {"dailyDeliveredPlatformEvents": 25_000})


def test_managed_subscriptions_are_not_there(client: Client) -> None:
    wrong = refused(lambda: next(client.subscribe(iter([fetch(1)]), "ManagedSubscribe")))
    assert wrong[0] is grpc.StatusCode.UNIMPLEMENTED


def test_a_silent_topic_brings_answers_without_events(folder: Path) -> None:
    org = Org(load_schema(extra=[folder]))

    async def first_answer() -> Any:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((PubSub(org, keepalive=0.05).handler(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        headers = (("accesstoken", org.token), ("instanceurl", "x"), ("tenantid", org.organization_id))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.stream_stream(
                "/eventbus.v1.PubSub/Subscribe",
                message("FetchRequest").SerializeToString,
                message("FetchResponse").FromString,
            )(metadata=headers, timeout=20)
            await call.write(fetch(5))
            answers = [await call.read(), await call.read()]
            call.cancel()
        await server.stop(None)
        return answers

    for answer in asyncio.run(first_answer()):
        assert (len(answer.events), answer.pending_num_requested) == (0, 5)
        assert answer.latest_replay_id == bytes(10)
    assert org.events.listeners == []
    org.close()


def test_payloads_come_back_as_they_were() -> None:
    kinds = {"D__c": ("long", "Data:Date"), "T__c": ("long", "Data:Datetime"), "B__c": ("boolean", "")}
    kinds |= {"I__c": ("int", ""), "N__c": ("double", ""), "S__c": ("string", "")}
    fields = [{"name": name, "type": ["null", kind], "doc": doc} for name, (kind, doc) in kinds.items()]
    written = orjson.dumps({"fields": fields}).decode()
    row = {"D__c": "1969-12-31", "T__c": "2026-01-31T08:00:00.250Z", "B__c": True, "I__c": -(2**31), "N__c": 0.1}
    assert decode(written, encode(written, {**row, "S__c": "é" * 100})) == {**row, "S__c": "é" * 100}
    assert set(decode(written, encode(written, {})).values()) == {None}
    for wrong in (b"\4", b"\2" + b"\xff" * 11, b"\2\xfe\xff\xff\xff\xff\xff\xff\xff\xff\1", b""):
        with pytest.raises(ValueError, match=r"payload|date"):
            decode(written, wrong)


def test_without_grpcio_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from localorg.__main__ import main

    monkeypatch.delitem(sys.modules, "localorg.events.pubsub")
    monkeypatch.setitem(sys.modules, "grpc", None)
    assert main(["--port", "0", "--pubsub-port", "0"]) == 1
    assert "--pubsub-port needs grpcio and protobuf: pip install grpcio protobuf" in capsys.readouterr().err
