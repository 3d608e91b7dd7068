"""The CometD clients of the org: who they are, what they subscribed to, and how far each has read."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from localorg.data.kept_events import Message
from localorg.data.limits import CONCURRENT_CLIENTS
from localorg.org import Org
from localorg.permissions import User

FORGOTTEN_AFTER = 40.0  # seconds without a request; then the client has to shake hands again
MOST_AT_ONCE = 500  # messages in one answer


@dataclass
class Client:
    """One CometD client. `read` has the number of the last message that it got, by the name of the event object."""

    id: str
    user: User
    seen: float
    read: dict[str, int] = field(default_factory=dict)
    connected: bool = False
    held: int = 0  # requests that wait now
    turn: int = 0  # counts its connects: a new one releases the one before
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class Subscribers:
    """All CometD clients of one org; used on the event loop."""

    def __init__(self, org: Org, now: Callable[[], float]) -> None:
        self._org = org
        self._now = now
        self._clients: dict[str, Client] = {}
        self.closing = False

    def open(self, user: User) -> Client | None:
        """Return a new client; None when the org has as many as it allows."""
        self._forget()
        if len(self._clients) >= CONCURRENT_CLIENTS:
            return None
        client = Client(secrets.token_hex(16), user, self._now())
        self._clients[client.id] = client
        self._count()
        return client

    def find(self, client_id: object) -> Client | None:
        """Return the client with this id, unless it has been silent for too long."""
        self._forget()
        client = self._clients.get(client_id) if isinstance(client_id, str) else None
        if client is not None:
            client.seen = self._now()
        return client

    def drop(self, client: Client) -> None:
        """End a client's session."""
        self._clients.pop(client.id, None)
        client.woken.set()
        self._count()

    def wake(self) -> None:
        """Let all waiting clients look for new messages."""
        for client in self._clients.values():
            client.woken.set()

    def close(self) -> None:
        """Release all waiting clients, because the org stops."""
        self.closing = True
        self.wake()

    async def take(self, client: Client) -> list[Message]:
        """Return the next messages of all that a client subscribed to, oldest first, and count them as delivered."""
        read = dict(client.read)
        found = await self._org.run(self._after, read) if read else []
        most = min(MOST_AT_ONCE, self._org.limits.delivered.remaining)
        taken = [each for each in found if client.read.get(each.name) == read[each.name]][:most]
        self._org.limits.delivered.spend(len(taken))
        for message in taken:
            client.read[message.name] = message.number
        return taken

    def _after(self, read: dict[str, int]) -> list[Message]:
        kept = self._org.events.kept
        return sorted(each for name, number in read.items() for each in kept.after(number, name, MOST_AT_ONCE))

    def _forget(self) -> None:
        oldest = self._now() - FORGOTTEN_AFTER
        for client in list(self._clients.values()):
            if not client.held and client.seen < oldest:
                self.drop(client)

    def _count(self) -> None:
        self._org.limits.clients = len(self._clients)
