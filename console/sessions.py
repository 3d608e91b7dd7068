"""Sessions of people at the console, and what leads to one. All are in Redis, by the hashes of their secrets."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import orjson

from quotejob import clock
from quotejob.salesforce import session as sealed
from quotejob.salesforce.caller import CallerContext
from quotejob.settings import Settings
from quotejob.store import keys
from quotejob.store.client import RedisClient

LASTS = 2 * 3600  # seconds since the last page; polling does not count
LONGEST = 12 * 3600  # seconds since it began: the role is as old
LINK_LASTS = LOGIN_LASTS = 15 * 60  # seconds
_COOKIE = re.compile(r"(00D[A-Za-z0-9]{15})\.[\w-]{43}", re.ASCII)


class Role(StrEnum):
    """What a person may do."""

    VIEWER = "viewer"  # look
    OPERATOR = "operator"  # and change


class Door(StrEnum):
    """How a person came in."""

    LINK = "link"  # a one-time link
    LOGIN = "login"  # at the org
    TAB = "tab"  # in the org: the pages are in a frame


@dataclass(frozen=True, slots=True)
class Session:
    """A person at the console. ``version`` is that of the org's data when the session was read."""

    cookie: str
    org_id: str
    role: Role
    door: Door
    began: int  # seconds since 1970
    stored: bytes
    version: int

    @property
    def csrf(self) -> str:
        """The token that each change has to bring. Only who knows the cookie can compute it."""
        return hmac.new(self.cookie.encode(), b"csrf", hashlib.sha256).hexdigest()

    def context(self, settings: Settings) -> CallerContext:
        """Return the person's context. Raises SessionExpired."""
        return sealed.unseal(self.stored, settings)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session, as others of the org see it."""

    id: str
    name: str
    role: str
    door: str
    began: datetime


class Sessions:
    """Begins, reads and ends sessions. Every method may raise StoreUnavailable."""

    def __init__(self, client: RedisClient, settings: Settings) -> None:
        self._redis, self._settings = client, settings

    # -- what leads to a session

    def link(self, context: CallerContext, role: Role) -> str:
        """Return a secret that begins one session of this person, once."""
        secret = secrets.token_urlsafe(32)
        kept = b" ".join((role.encode(), sealed.seal(context, self._settings)))
        self._redis.set(_key("link", secret), kept, ex=LINK_LASTS)
        return secret

    def enter(self, secret: str) -> tuple[str, Role] | None:
        """Use up the secret of a link. Return the cookie of a new session, and its role.

        None: it is unknown or was used before.
        """
        stored = self._take(_key("link", secret))
        if stored is None:
            return None
        word, context = stored.split(b" ", 1)
        role = Role(word.decode())
        return self.begin(sealed.unseal(context, self._settings), role, Door.LINK), role

    def begin_login(self, login: str) -> tuple[str, str]:
        """Return the state and the verifier of a login at this address."""
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        self._redis.set(_key("login", state), orjson.dumps([login, verifier]), ex=LOGIN_LASTS)
        return state, verifier

    def end_login(self, state: str) -> tuple[str, str] | None:
        """Return the address and the verifier of a login, once. None: it is unknown, too old, or was ended before."""
        kept = self._take(_key("login", state))
        if kept is None:
            return None
        login, verifier = orjson.loads(kept)
        return login, verifier

    def is_new(self, payload: str, seconds: int) -> bool:
        """Return whether a signed payload comes for the first time in so many seconds."""
        return bool(self._redis.set(_key("signed", payload), 1, ex=seconds, nx=True))

    def _take(self, key: str) -> bytes | None:
        found = self._redis.execute_command("GETDEL", key)
        return found if isinstance(found, bytes) else None

    # -- sessions

    def begin(self, context: CallerContext, role: Role, door: Door) -> str:
        """Return the cookie of a new session."""
        cookie = f"{context.org_id}.{secrets.token_urlsafe(32)}"
        key, people = _key("session", cookie), _people(context.org_id)
        name = context.user_name or context.username or context.user_id
        began, stored = int(time.time()), sealed.seal(context, self._settings)
        words = f"{role} {context.org_id} {door} {began} ".encode()
        shown = orjson.dumps([name, role, door, began])
        self._redis.set(key, words + stored, ex=LASTS)
        self._redis.hset(people, _id(key), shown)
        self._redis.expire(people, LONGEST)
        return cookie

    def find(self, cookies: Iterable[str]) -> Session | None:
        """Return the session of these cookies, with one command; that of a tab first. None: it has ended.

        A browser sends two if one person has a tab in the org and a window, and both are on one machine.
        """
        found = [each for each in map(self._find, cookies) if each]
        return next((each for each in found if each.door is Door.TAB), found[0] if found else None)

    def _find(self, cookie: str) -> Session | None:
        form = _COOKIE.fullmatch(cookie)
        if form is None:
            return None
        stored, version = self._redis.execute_command("MGET", _key("session", cookie), keys.version(form[1]))
        if stored is None:
            return None
        role, org_id, door, began, context = stored.split(b" ", 4)
        if org_id.decode() != form[1]:
            return None
        return Session(
            cookie, form[1], Role(role.decode()), Door(door.decode()), int(began), context, int(version or 0)
        )

    def prolong(self, session: Session) -> None:
        """Let the session last as long as a new one, but no longer than any may."""
        left = session.began + LONGEST - int(time.time())
        self._redis.expire(_key("session", session.cookie), max(1, min(LASTS, left)))

    def end(self, session: Session) -> None:
        """End the session at once, in every tab and every web process."""
        key = _key("session", session.cookie)
        self._redis.delete(key)
        self._redis.hdel(_people(session.org_id), _id(key))

    # -- the people of an org

    def people(self, org_id: str) -> list[SignedIn]:
        """Return who is signed in, the latest first."""
        noted = {name.decode(): orjson.loads(said) for name, said in self._redis.hash(_people(org_id)).items()}
        pipe = self._redis.pipeline(transaction=False)
        for each in noted:
            pipe.exists(f"quotejob:console:session:{each}")
        here = dict(zip(noted, pipe.execute(), strict=True))
        if gone := [each for each, there in here.items() if not there]:
            self._redis.hdel(_people(org_id), *gone)
        found = [
            SignedIn(each, name, role, door, clock.moment(began * 1000))
            for each, (name, role, door, began) in noted.items()
            if here[each]
        ]
        return sorted(found, key=lambda each: each.began, reverse=True)

    def end_of(self, org_id: str, session_id: str) -> bool:
        """End a session of this org by its id. Return whether there was one."""
        if not self._redis.hdel(_people(org_id), session_id):
            return False
        return bool(self._redis.delete(f"quotejob:console:session:{session_id}"))


def _key(kind: str, secret: str) -> str:
    return f"quotejob:console:{kind}:{hashlib.sha256(secret.encode()).hexdigest()}"


def _id(key: str) -> str:
    return key.rpartition(":")[2]


def _people(org_id: str) -> str:
    return f"quotejob:console:people:{org_id}"
