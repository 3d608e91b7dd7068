"""The Pub/Sub API: platform events by gRPC, the service `eventbus.v1.PubSub`. Needs grpcio and protobuf.

Error codes are in the trailer `error-code` (Pub/Sub API guide, "Handle Errors"). What is delivered counts in the same
allowance as with the Streaming API. The methods for managed subscriptions are missing: gRPC answers UNIMPLEMENTED.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn
from uuid import uuid4

import grpc
import orjson
from grpc import aio

from localorg.data.kept_events import Message
from localorg.errors import OrgError
from localorg.events.avro import decode, encode
from localorg.events.messages import PACKAGE, message
from localorg.events.schemas import schema, schema_id
from localorg.http.tls import Certificate
from localorg.org import Org
from localorg.permissions import Action, User
from localorg.schema.model import SObject

KEEPALIVE_SECONDS = 270.0  # a subscriber hears something at least this often
MOST_REQUESTED = 100  # events that a subscriber can wait for at a time
_LOOK_AGAIN_SECONDS = 5.0  # a waiting subscription finds that its token has gone
_LARGEST_ANSWER = 3 * 1024 * 1024  # bytes of payload; clients take 4 MB at most
_LATEST, _EARLIEST, _CUSTOM = range(3)
_PUBLISH_ERROR = 1
_CODES = "sfdc.platform.eventbus.grpc."
_AUTOMATIC = ("CreatedDate", "CreatedById")

FetchResponse = message("FetchResponse")
PublishResponse, PublishResult = message("PublishResponse"), message("PublishResult")


class Refusal(Exception):
    """A call that ends with this gRPC status, code of the platform, and text."""

    def __init__(self, status: grpc.StatusCode, code: str, text: str) -> None:
        super().__init__(status, code, text)
        self.status, self.code, self.text = status, _CODES + code, text


def _invalid(code: str, text: str) -> Refusal:
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, code, text)


async def start(org: Org, host: str, port: int, certificate: Certificate | None) -> tuple[aio.Server, int]:
    """Serve the org's events, and return the server and its port. Raise OSError when it cannot listen there."""
    server = aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((PubSub(org).handler(),))
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if certificate is None:
            bound = server.add_insecure_port(address)
        else:
            pair = certificate.private, certificate.public.encode()
            bound = server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
    except RuntimeError as error:
        raise OSError(f"the Pub/Sub API cannot use {address}: {error}") from None
    await server.start()
    return server, bound


class _Feed:
    """One subscription: how far it has read, and how many events its client still waits for."""

    def __init__(self, sobject: SObject, number: int) -> None:
        self.sobject = sobject
        self.number = number
        self.pending = 0
        self.ended = False  # the client asks for no more
        self.refusal: Refusal | None = None
        self.woken = asyncio.Event()

    def ask(self, request: Any) -> None:
        """Add to the events that the client waits for."""
        if request.topic_name not in ("", f"/event/{self.sobject.name}"):
            raise _invalid("subscription.fetch.topic.mismatch", "All requests of a stream must name the same topic.")
        if request.num_requested <= 0:
            code = "subscription.fetch.requested.events.invalid"
            raise _invalid(code, "The number of requested events must be greater than zero.")
        self.pending = min(MOST_REQUESTED, self.pending + request.num_requested)
        self.woken.set()

    async def listen(self, requests: AsyncIterator[Any]) -> None:
        """Read what the client asks for, to the end of its requests."""
        try:
            async for request in requests:
                self.ask(request)
        except Refusal as refusal:
            self.refusal = refusal
        self.ended = True
        self.woken.set()


class PubSub:
    """The service of one org; used on the event loop."""

    def __init__(self, org: Org, keepalive: float = KEEPALIVE_SECONDS) -> None:
        self._org = org
        self._keepalive = keepalive

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what a gRPC server needs to serve this."""
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        methods = {
            "GetTopic": unary(_answering(self._topic), *_forms("TopicRequest", "TopicInfo")),
            "GetSchema": unary(_answering(self._schema), *_forms("SchemaRequest", "SchemaInfo")),
            "Publish": unary(_answering(self._publish), *_forms("PublishRequest", "PublishResponse")),
            "PublishStream": stream(_streaming(self._publishing), *_forms("PublishRequest", "PublishResponse")),
            "Subscribe": stream(_streaming(self._subscribe), *_forms("FetchRequest", "FetchResponse")),
        }
        return grpc.method_handlers_generic_handler(f"{PACKAGE}.PubSub", methods)

    # --- who asks, and for what -----------------------------------------------------------------------------------

    def _user(self, context: Any) -> User:
        """Return the user of the call's token."""
        sent = dict(context.invocation_metadata() or ())
        if missing := [name for name in ("accesstoken", "instanceurl", "tenantid") if not sent.get(name)]:
            raise Refusal(
                grpc.StatusCode.UNAUTHENTICATED,
                "service.auth.headers.invalid",
                f"Missing metadata headers: {', '.join(missing)}.",
            )
        session = self._org.sessions.find(str(sent["accesstoken"]))
        same_org = str(sent["tenantid"])[:15] == self._org.organization_id[:15]
        if session is None or not same_org or self._org.faults.expired(session.token):
            text = "An authentication exception occurred. Provide valid authentication via metadata headers."
            raise Refusal(grpc.StatusCode.UNAUTHENTICATED, "service.auth.error", text)
        return session.user

    def _sobject(self, topic: str) -> SObject:
        name = topic.removeprefix("/event/")
        sobject = self._org.schema.object(name) if name != topic else None
        if sobject is None or not sobject.event or sobject.name != name:
            text = f"The topic {topic or 'name'} is not there. Topics have the form /event/Name__e."
            raise Refusal(grpc.StatusCode.NOT_FOUND, "topic.notfound", text)
        return sobject

    # --- the methods ----------------------------------------------------------------------------------------------

    async def _topic(self, request: Any, context: Any) -> Any:
        profile = self._user(context).profile
        sobject = self._sobject(request.topic_name)
        return message("TopicInfo")(
            topic_name=request.topic_name,
            tenant_guid=self._org.organization_id,
            can_publish=profile.allows(sobject.name, Action.CREATE),
            can_subscribe=profile.allows(sobject.name, Action.READ),
            schema_id=schema_id(sobject),
            rpc_id=str(uuid4()),
        )

    async def _schema(self, request: Any, context: Any) -> Any:
        self._user(context)
        if not request.schema_id:
            raise _invalid("schema.invalid", "Schema validation failed. The schema ID can't be blank.")
        for sobject in self._org.schema.objects.values():
            if sobject.event and schema_id(sobject) == request.schema_id:
                made = message("SchemaInfo")
                return made(schema_json=schema(sobject), schema_id=request.schema_id, rpc_id=str(uuid4()))
        raise Refusal(grpc.StatusCode.NOT_FOUND, "schema.notfound", f"There is no schema {request.schema_id}.")

    async def _subscribe(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        first = await anext(requests, None)
        if first is None:
            return
        feed = await self._feed(first, self._user(context))
        with self._told(feed):
            listening = asyncio.create_task(feed.listen(requests))
            try:
                async for answer in self._answers(feed, context):
                    yield answer
            finally:
                listening.cancel()

    async def _feed(self, first: Any, user: User) -> _Feed:
        """Begin a subscription as its first request says."""
        sobject = self._sobject(first.topic_name)
        if not user.profile.allows(sobject.name, Action.READ):
            text = f"You are not allowed to subscribe to {first.topic_name}."
            raise Refusal(grpc.StatusCode.PERMISSION_DENIED, "subscription.topic.cannot.subscribe", text)
        feed = _Feed(sobject, await self._beginning(first))
        feed.ask(first)
        return feed

    async def _beginning(self, first: Any) -> int:
        """Return the number after which a subscription begins."""
        kept = self._org.events.kept
        if first.replay_preset == _EARLIEST:
            return 0
        newest = await self._org.run(kept.newest)
        if first.replay_preset == _LATEST:
            return newest
        if first.replay_preset != _CUSTOM or not first.replay_id:
            code = "subscription.fetch.replayid.validation.failed"
            raise _invalid(code, "The replay preset CUSTOM needs a replay ID.")
        number = int.from_bytes(first.replay_id[:8], "big")
        # An answer without events may have told the client the number 0, or one that is not kept any longer.
        known = number in (0, newest) or (number < newest and await self._org.run(kept.has, number))
        if len(first.replay_id) not in (8, 10) or any(first.replay_id[8:]) or not known:
            text = "The Replay ID validation failed. It must be that of an event within the retention window."
            raise _invalid("subscription.fetch.replayid.corrupted", text)
        return number

    @contextmanager
    def _told(self, feed: _Feed) -> Iterator[None]:
        """Wake the subscription whenever events were sent."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(feed.woken.set)

        self._org.events.listeners.append(wake)
        try:
            yield
        finally:
            self._org.events.listeners.remove(wake)

    async def _answers(self, feed: _Feed, context: Any) -> AsyncIterator[Any]:
        """Yield events as the client asks for them, and now and then an answer without events."""
        loop = asyncio.get_running_loop()
        silent_since = loop.time()
        while True:
            feed.woken.clear()
            self._user(context)
            events = await self._take(feed)
            if events or loop.time() - silent_since >= self._keepalive:
                yield self._answer(feed, events)
                silent_since = loop.time()
                continue
            if feed.refusal is not None:
                raise feed.refusal
            if feed.ended and not feed.pending:
                return
            left = silent_since + self._keepalive - loop.time()
            try:
                await asyncio.wait_for(feed.woken.wait(), min(left, _LOOK_AGAIN_SECONDS))
            except TimeoutError:
                continue

    async def _take(self, feed: _Feed) -> list[Message]:
        """Return the next events for a subscription, and count them as delivered."""
        if not feed.pending:
            return []
        kept, name = self._org.events.kept, feed.sobject.name
        found = await self._org.run(kept.after, feed.number, name, feed.pending)
        taken = _that_fit(found)
        if taken and not self._org.limits.delivered.remaining:
            text = "You have exceeded the event delivery limit for your org."
            raise Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "subscription.limit.exceeded", text)
        taken = taken[: self._org.limits.delivered.remaining]
        if taken:
            self._org.limits.delivered.spend(len(taken))
            feed.pending -= len(taken)
            feed.number = taken[-1].number
        return taken

    def _answer(self, feed: _Feed, events: list[Message]) -> Any:
        written, used = schema(feed.sobject), schema_id(feed.sobject)
        answer = FetchResponse(
            latest_replay_id=_replay_id(feed.number), rpc_id=str(uuid4()), pending_num_requested=feed.pending
        )
        for each in events:
            event = answer.events.add(replay_id=_replay_id(each.number)).event
            event.id, event.schema_id, event.payload = each.uuid, used, encode(written, orjson.loads(each.payload))
        return answer

    # --- publishing -----------------------------------------------------------------------------------------------

    async def _publishing(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        topic = ""
        async for request in requests:
            topic = request.topic_name = request.topic_name or topic
            yield await self._publish(request, context)

    async def _publish(self, request: Any, context: Any) -> Any:
        user, sobject = self._user(context), self._sobject(request.topic_name)
        with self._org.acting_as(user):
            results = await self._org.run(self._publish_now, user, sobject, list(request.events))
        return PublishResponse(results=results, schema_id=schema_id(sobject), rpc_id=str(uuid4()))

    def _publish_now(self, user: User, sobject: SObject, events: list[Any]) -> list[Any]:
        """Publish events in one transaction, in the database thread. Each has a result of its own, in this order."""
        kept = self._org.events.kept
        before = kept.newest()
        sent = self._org.in_transaction(lambda: [self._publish_one(user, sobject, each) for each in events])
        numbers = {each.uuid: each.number for each in kept.after(before, sobject.name, len(events))}
        results = []
        for event, (uuid, refused) in zip(events, sent, strict=True):
            result = PublishResult(correlation_key=event.id or uuid)
            if refused:
                result.error.code, result.error.msg = _PUBLISH_ERROR, refused
            else:
                result.replay_id = _replay_id(numbers[uuid])
            results.append(result)
        return results

    def _publish_one(self, user: User, sobject: SObject, event: Any) -> tuple[str, str]:
        """Return the id of the message, and why it was refused, if it was."""
        if event.schema_id != schema_id(sobject):
            return "", f"The schema {event.schema_id} is not that of {sobject.name}: {schema_id(sobject)}"
        try:
            body = decode(schema(sobject), event.payload)
            answer = self._org.events.publish(
                user, sobject, {name: value for name, value in body.items() if name not in _AUTOMATIC}
            )
        except (OrgError, ValueError) as error:
            return "", str(error)
        return str(answer["errors"][0]["message"]), ""


def _that_fit(found: list[Message]) -> list[Message]:
    """Return as many messages as one answer can hold, and at least one."""
    size = 0
    for place, each in enumerate(found):
        size += len(each.payload)
        if size > _LARGEST_ANSWER and place:
            return found[:place]
    return found


def _replay_id(number: int) -> bytes:
    return number.to_bytes(8, "big") + b"\0\0"  # ten bytes, as on the platform


def _forms(asked: str, answered: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return what reads the requests of a method, and what writes its answers."""
    return message(asked).FromString, message(answered).SerializeToString


async def _refuse(context: Any, refusal: Refusal) -> NoReturn:
    rpc_id = str(uuid4())
    trailers = (("error-code", refusal.code), ("rpc-id", rpc_id))
    await context.abort(refusal.status, f"{refusal.text} rpcId: {rpc_id}", trailers)
    raise AssertionError("abort does not return")


def _answering(method: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
    async def answered(request: Any, context: Any) -> Any:
        try:
            return await method(request, context)
        except Refusal as refusal:
            await _refuse(context, refusal)

    return answered


def _streaming(
    method: Callable[[AsyncIterator[Any], Any], AsyncIterator[Any]],
) -> Callable[[Any, Any], AsyncIterator[Any]]:
    async def answered(requests: Any, context: Any) -> AsyncIterator[Any]:
        try:
            async for each in method(aiter(requests), context):
                yield each
        except Refusal as refusal:
            await _refuse(context, refusal)

    return answered
