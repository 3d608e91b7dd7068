"""The Streaming API: platform events by CometD long polling, at `/cometd/66.0`.

Messages have the form of the Bayeux protocol. Their errors, and the extension `replay`, are those of the Streaming API
guide ("Streaming API Error Codes", "Message Durability"). A request may hold several messages. The requests of this API
do not count against the day's API requests; the messages that are delivered have an allowance of their own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import orjson
from aiohttp import web

from localorg.data.kept_events import Message
from localorg.events.schemas import schema_id
from localorg.events.subscribers import Client, Subscribers
from localorg.http.answers import answer, bearer
from localorg.http.registry import served
from localorg.org import ORG, Org
from localorg.permissions import Action, User
from localorg.schema.model import SObject
from localorg.versions import LATEST

routes = web.RouteTableDef()

SUBSCRIBERS: web.AppKey[Subscribers] = web.AppKey("subscribers", Subscribers)
HOLD_SECONDS = 110.0  # a connect waits so long for a message, as on the platform
_LOOK_AGAIN_SECONDS = 5.0  # a waiting connect finds that its client or its token has gone
_LARGEST_REQUEST = 32_768  # bytes
_NEW, _ALL = -1, -2
_OLDEST_VERSION = 37  # of this API; the guide says so

Body = dict[str, Any]


class Refusal(Exception):
    """A message that is answered with `"successful": false`, this error, and perhaps advice."""

    def __init__(self, error: str, advice: Body | None = None, **more: Any) -> None:
        super().__init__(error)
        self.body: Body = {"error": error, **({"advice": advice} if advice else {}), **more}


_HANDSHAKE_AGAIN = {"interval": 0, "reconnect": "handshake"}
_STOP = {"interval": 0, "reconnect": "none"}


async def delivering(app: web.Application) -> AsyncIterator[None]:
    """Deliver events for as long as the application runs."""
    loop = asyncio.get_running_loop()
    subscribers = app[SUBSCRIBERS] = Subscribers(app[ORG], loop.time)

    def wake() -> None:
        loop.call_soon_threadsafe(subscribers.wake)

    app[ORG].events.listeners.append(wake)
    yield
    app[ORG].events.listeners.remove(wake)


async def release(app: web.Application) -> None:
    """Answer the requests that wait, because the org stops."""
    app[SUBSCRIBERS].close()


@routes.post("/cometd{slash:/?}")
@routes.post("/cometd/{version}")
@routes.post("/cometd/{version}/{kind:.*}")
async def cometd(request: web.Request) -> web.StreamResponse:
    """Answer the messages of one request. CometD clients may put the kind of the message behind the version."""
    body = await request.read()
    if len(body) > _LARGEST_REQUEST:
        return answer([{"error": "413::Maximum Request Size Exceeded", "successful": False}], 413)
    try:
        messages = orjson.loads(body)
    except json.JSONDecodeError:
        messages = None
    listed = messages if isinstance(messages, list) else [messages]
    if not listed or not all(isinstance(each, dict) and isinstance(each.get("channel"), str) for each in listed):
        return answer([{"error": "400::The body is not a list of Bayeux messages", "successful": False}], 400)
    return answer(await _Exchange(request).replies(listed))


class _Exchange:
    """One request and its answer."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._org: Org = request.app[ORG]
        self._all = request.app[SUBSCRIBERS]
        self._version = request.match_info.get("version")

    async def replies(self, messages: list[Body]) -> list[Body]:
        """Answer all messages. A connect comes last; it waits only when it is alone, so that the others do not."""
        ordered = sorted(messages, key=lambda each: each["channel"] == "/meta/connect")
        return [reply for each in ordered for reply in await self._replies(each, alone=len(messages) == 1)]

    async def _replies(self, message: Body, *, alone: bool) -> list[Body]:
        common: Body = {key: message[key] for key in ("channel", "id", "clientId") if key in message}
        try:
            user = self._user(message["channel"])
            return await self._answered(message, common, user, alone=alone)
        except Refusal as refusal:
            named = {"subscription": message["subscription"]} if "subscription" in message else {}
            return [{**common, **named, **refusal.body, "successful": False}]

    async def _answered(self, message: Body, common: Body, user: User, *, alone: bool) -> list[Body]:
        if message["channel"] == "/meta/handshake":
            return [{**common, **self._handshake(message, user), "successful": True}]
        client = self._client(message, user)
        match message["channel"]:
            case "/meta/connect":
                events, advice = await self._connect(client, message, hold=alone)
                return [*events, {**common, "advice": advice, "successful": True}]
            case "/meta/subscribe":
                return [
                    {**common, "subscription": each, "successful": True}
                    async for each in self._subscribe(client, message)
                ]
            case "/meta/unsubscribe":
                for name in _channels(message):
                    client.read.pop(name.removeprefix("/event/"), None)
                return [{**common, "subscription": message["subscription"], "successful": True}]
            case "/meta/disconnect":
                self._all.drop(client)
                return [{**common, "successful": True}]
        raise Refusal("403::Restricted channel")

    # --- who asks -------------------------------------------------------------------------------------------------

    def _user(self, channel: str) -> User:
        """Return the user of the request's token; refuse a wrong version or token."""
        form = f"URI format: '/cometd/{LATEST}'"
        if self._version is None:
            raise Refusal(f"400::API version in the URI is mandatory. {form}", _STOP)
        if not served(self._version, _OLDEST_VERSION):
            oldest = f"Only API versions '{_OLDEST_VERSION}.0' and later are supported"
            raise Refusal(f"400::Unsupported API version. {oldest}. {form}", _STOP)
        token = bearer(self._request)
        session = None if token is None else self._org.sessions.find(token)
        if session is not None and not self._org.faults.expired(session.token):
            return session.user
        reason = "401::Request requires authentication" if token is None else "401::Authentication invalid"
        if channel != "/meta/handshake":
            raise Refusal(reason, _STOP)
        raise Refusal("403::Handshake denied", _STOP, ext={"sfdc": {"failureReason": reason}, "replay": True})

    def _client(self, message: Body, user: User) -> Client:
        if "clientId" not in message:
            raise Refusal("403::Client has not completed handshake", _HANDSHAKE_AGAIN)
        client = self._all.find(message["clientId"])
        if client is None:
            raise Refusal("403::Unknown client", _HANDSHAKE_AGAIN)
        if client.user is not user:
            raise Refusal("400::Authenticated user id does not match the session's user id", _STOP)
        return client

    # --- the kinds of messages ------------------------------------------------------------------------------------

    def _handshake(self, message: Body, user: User) -> Body:
        offered = message.get("supportedConnectionTypes", ["long-polling"])
        if not isinstance(offered, list) or "long-polling" not in offered:
            raise Refusal(f"400::Invalid connection type {offered}", _STOP)
        client = self._all.open(user)
        if client is None:
            reason = "403::Organization concurrent user limit exceeded"
            raise Refusal("403::Handshake denied", _STOP, ext={"sfdc": {"failureReason": reason}})
        return {
            "version": "1.0",
            "minimumVersion": "1.0",
            "clientId": client.id,
            "supportedConnectionTypes": ["long-polling"],
            "ext": {"replay": True, "payload.format": True},
            "advice": self._advice(),
        }

    def _advice(self) -> Body:
        return {"reconnect": "retry", "interval": 0, "timeout": int(HOLD_SECONDS * 1000)}

    async def _connect(self, client: Client, message: Body, *, hold: bool) -> tuple[list[Body], Body]:
        """Return the events for a client, and advice. With none to deliver, wait for some, except the first time."""
        if (kind := message.get("connectionType")) != "long-polling":
            raise Refusal(f"400::Invalid connection type {kind}", _STOP)
        hold = hold and client.connected
        client.connected = True
        client.turn += 1
        client.woken.set()
        client.held += 1
        try:
            events = await self._wait(client, _seconds(message) if hold else 0.0)
        finally:
            client.held -= 1
            self._all.find(client.id)  # it was here until now
        return [self._event(each) for each in events], self._advice()

    async def _wait(self, client: Client, seconds: float) -> list[Message]:
        loop, turn = asyncio.get_running_loop(), client.turn
        until = loop.time() + seconds
        while True:
            client.woken.clear()
            if self._gone():
                return []
            events = await self._all.take(client)
            left = until - loop.time()
            if events or left <= 0 or self._all.closing or client.turn != turn:
                return events
            try:
                await asyncio.wait_for(client.woken.wait(), min(left, _LOOK_AGAIN_SECONDS))
            except TimeoutError:
                self._user("/meta/connect")

    def _gone(self) -> bool:
        transport = self._request.transport
        return transport is None or transport.is_closing()

    def _event(self, message: Message) -> Body:
        sobject = self._org.schema.objects[message.name]
        return {
            "channel": f"/event/{message.name}",
            "data": {
                "schema": schema_id(sobject),
                "payload": orjson.Fragment(message.payload),
                "event": {"EventUuid": message.uuid, "replayId": message.number},
            },
        }

    async def _subscribe(self, client: Client, message: Body) -> AsyncIterator[str]:
        """Subscribe to each channel of a message, and yield its name."""
        for channel in _channels(message):
            sobject = self._sobject(channel, client.user)
            if not self._org.limits.delivered.remaining:
                raise Refusal("403::Organization total events daily limit exceeded")
            client.read[sobject.name] = await self._start(_replay(message, channel))
            client.woken.set()
            yield channel

    def _sobject(self, channel: str, user: User) -> SObject:
        if not channel.startswith("/"):
            raise Refusal("400::Channel subscriptions must start with a leading '/'")
        sobject = self._org.schema.object(channel.removeprefix("/event/")) if channel.startswith("/event/") else None
        if sobject is None or not sobject.event:
            raise Refusal(f"400::The channel you requested to subscribe to does not exist {{{channel}}}")
        if not user.profile.allows(sobject.name, Action.READ):
            raise Refusal("403::Restricted channel")
        return sobject

    async def _start(self, replay: object) -> int:
        """Return the number after which a subscription begins."""
        kept = self._org.events.kept
        if replay == _ALL:
            return 0
        if replay == _NEW:
            return await self._org.run(kept.newest)
        if type(replay) is int and 0 < replay < 2**63 and await self._org.run(kept.has, replay):
            return replay
        advice = "Please provide a valid ID, -2 to replay all events, or -1 to replay only new events."
        raise Refusal(f"400::The replayId {{{replay}}} you provided was invalid.  {advice}")


def _channels(message: Body) -> list[str]:
    named = message.get("subscription")
    listed: list[Any] = named if isinstance(named, list) else [named]
    if not listed or not all(isinstance(each, str) and each for each in listed):
        raise Refusal("400::Channel name not specified")
    return listed


def _replay(message: Body, channel: str) -> object:
    """Return where a client wants to begin, from the extension `replay`; without it, with new events."""
    ext = message.get("ext")
    asked = ext.get("replay") if isinstance(ext, dict) else None
    return asked.get(channel, _NEW) if isinstance(asked, dict) else _NEW


def _seconds(message: Body) -> float:
    """Return how long a connect may wait. A client may ask for less than the usual time."""
    advice = message.get("advice")
    asked = advice.get("timeout") if isinstance(advice, dict) else None
    if isinstance(asked, (int, float)) and not isinstance(asked, bool):
        return min(HOLD_SECONDS, max(0.0, asked / 1000))
    return HOLD_SECONDS
