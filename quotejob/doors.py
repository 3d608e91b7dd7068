"""The doors of the console: what its operator has set, and what is the address of one."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from quotejob.webhook import is_plain


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
