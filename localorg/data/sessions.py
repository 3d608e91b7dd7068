"""Who is logged in: access tokens and refresh tokens, and the user behind each.

Sessions do not end by themselves; they end by `revoke`, or by a fault on order.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from localorg.permissions import User

MOST_SESSIONS = 20_000
"""Access tokens kept; beyond it the oldest end, except the org's first."""
SCOPES = "refresh_token web api full"


@dataclass(frozen=True, slots=True)
class Session:
    """One access token, its user, and the refresh token that it came with or was made from."""

    token: str
    user: User
    client_id: str
    issued: datetime
    refresh_token: str | None = None


class Sessions:
    """The sessions of one org; used on the event loop."""

    def __init__(self, organization_id: str, clock: Callable[[], datetime]) -> None:
        self._prefix = f"{organization_id[:15]}!"
        self._clock = clock
        self._open: dict[str, Session] = {}
        self._refresh: dict[str, Session] = {}
        self._lasting = ""

    def first(self, token: str, user: User) -> None:
        """Open the session of the token that the org prints at its start. It is never dropped."""
        self._open[token] = Session(token, user, "", self._clock())
        self._lasting = token

    def open(self, user: User, client_id: str = "", *, refreshable: bool = False) -> Session:
        """Open a new session. Earlier sessions stay valid."""
        refresh = f"5Aep861{secrets.token_hex(40)}" if refreshable else None
        return self._keep(Session(self._fresh(), user, client_id, self._clock(), refresh))

    def _fresh(self) -> str:
        return f"{self._prefix}{secrets.token_hex(48)}"

    def _keep(self, session: Session) -> Session:
        self._open[session.token] = session
        if session.refresh_token and session.refresh_token not in self._refresh:
            self._refresh[session.refresh_token] = session
        for kept, lasting in ((self._open, self._lasting), (self._refresh, "")):
            if len(kept) > MOST_SESSIONS:
                del kept[next(token for token in kept if token != lasting)]
        return session

    def find(self, token: str) -> Session | None:
        """Return the session of an access token."""
        return self._open.get(token)

    def find_refresh(self, token: str) -> Session | None:
        """Return the session that came with a refresh token."""
        return self._refresh.get(token)

    def again(self, refresh_token: str) -> Session | None:
        """Return a new access token for a refresh token, which stays valid.

        Return None when it is unknown or revoked.
        """
        first = self._refresh.get(refresh_token)
        if first is None:
            return None
        return self._keep(Session(self._fresh(), first.user, first.client_id, self._clock(), refresh_token))

    def revoke(self, token: str) -> bool:
        """End an access token, or a refresh token and every access token made from it.

        Return False when the token is unknown.
        """
        if self._refresh.pop(token, None) is not None:
            self._open = {each: kept for each, kept in self._open.items() if kept.refresh_token != token}
            return True
        return self._open.pop(token, None) is not None
