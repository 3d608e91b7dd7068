"""The doors: what the operator of the console has set, what is the address of one, and whether this machine asks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from quotejob.webhook import is_loopback, is_plain

_OF_PROXIES = re.compile(r"(?:forwarded|x-forwarded-.*|x-real-ip|via)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Doors:
    """How people of an org come into the console: by a login at the org, and from a tab in the org."""

    url: str | None = None  # the console's own address, as browsers see it: https://host
    logins: tuple[str, ...] = ("https://login.salesforce.com",)  # where people may log in
    client_id: str | None = None  # of the app in the org; None: nobody logs in
    client_secret: str | None = field(default=None, repr=False)
    canvas_secret: str | None = field(default=None, repr=False)  # signs what the tab sends; None: there is no tab
    orgs: frozenset[str] = frozenset()  # the first 15 characters of the ids of allowed orgs
    operators: frozenset[str] = frozenset()  # usernames, in lower case

    def admits(self, org_id: str) -> bool:
        """Return whether people of this org may come in."""
        return org_id[:15] in self.orgs


def is_origin(text: str) -> bool:
    """Return whether a text is https://host, or http on this machine, with a port or without, and nothing more."""
    return is_plain(text) and text == "{0.scheme}://{0.netloc}".format(urlsplit(text))


def asked_from_here(address: str, host: str, headers: Iterable[str], *, behind_proxy: bool) -> bool:
    """Return whether a program on this machine asks, and nobody else through it.

    ``address`` is where the request comes from, ``host`` the header Host, ``headers`` the names of all headers. The
    name that was asked for counts too: a foreign page could give its own name our address. With ``behind_proxy``, and
    with a header that a proxy adds, the request is somebody else's.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    proxied = behind_proxy or any(_OF_PROXIES.match(header) for header in headers)
    return not proxied and is_loopback(address) and is_loopback(name)
