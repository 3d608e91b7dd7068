"""Sessions of people at the console, and the one-time links that begin one. Both are in Redis, as hashes of secrets."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum

from quotejob.salesforce import session as sealed
from quotejob.salesforce.caller import CallerContext
from quotejob.settings import Settings
from quotejob.store import keys
from quotejob.store.client import RedisClient

LASTS = 2 * 3600  # seconds since the last page; polling does not count
LINK_LASTS = 15 * 60  # seconds
_COOKIE = re.compile(r"(00D[A-Za-z0-9]{15})\.[\w-]{43}", re.ASCII)


class Role(StrEnum):
    """What a person may do."""

    VIEWER = "viewer"  # look
    OPERATOR = "operator"  # and change


@dataclass(frozen=True, slots=True)
class Session:
    """A person at the console. ``version`` is that of the org's data when the session was read."""

    cookie: str
    org_id: str
    role: Role
    stored: bytes
    version: int

    @property
    def csrf(self) -> str:
        """The token that each change has to bring. Only who knows the cookie can compute it."""
        return hmac.new(self.cookie.encode(), b"csrf", hashlib.sha256).hexdigest()

    def context(self, settings: Settings) -> CallerContext:
        """Return the person's context. Raises SessionExpired."""
        return sealed.unseal(self.stored, settings)


class Sessions:
    """Begins, reads and ends sessions. Every method may raise StoreUnavailable."""

    def __init__(self, client: RedisClient, settings: Settings) -> None:
        self._redis, self._settings = client, settings

    def link(self, context: CallerContext, role: Role) -> str:
        """Return a secret that begins one session of this person, once."""
        secret = secrets.token_urlsafe(32)
        self._redis.set(_key("link", secret), self._value(context, role), ex=LINK_LASTS)
        return secret

    def enter(self, secret: str) -> str | None:
        """Use up the secret of a link. Return the cookie of a new session; None: it is unknown or was used before."""
        stored = self._redis.execute_command("GETDEL", _key("link", secret))
        if not isinstance(stored, bytes):
            return None
        cookie = f"{stored.split(b' ')[1].decode()}.{secrets.token_urlsafe(32)}"
        self._redis.set(_key("session", cookie), stored, ex=LASTS)
        return cookie

    def find(self, cookie: str) -> Session | None:
        """Return the session, with one command. None: it has ended."""
        form = _COOKIE.fullmatch(cookie)
        if form is None:
            return None
        stored, version = self._redis.execute_command("MGET", _key("session", cookie), keys.version(form[1]))
        if stored is None:
            return None
        role, org_id, context = stored.split(b" ", 2)
        if org_id.decode() != form[1]:
            return None
        return Session(cookie, form[1], Role(role.decode()), context, int(version or 0))

    def prolong(self, session: Session) -> None:
        """Let the session last as long as a new one."""
        self._redis.expire(_key("session", session.cookie), LASTS)

    def end(self, session: Session) -> None:
        """End the session at once, in every tab and every web process."""
        self._redis.delete(_key("session", session.cookie))

    def _value(self, context: CallerContext, role: Role) -> bytes:
        return b" ".join((role.encode(), context.org_id.encode(), sealed.seal(context, self._settings)))


def _key(kind: str, secret: str) -> str:
    return f"quotejob:console:{kind}:{hashlib.sha256(secret.encode()).hexdigest()}"
