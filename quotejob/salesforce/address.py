"""The address of an org, and the token for it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from quotejob.errors import OrgNotAllowed, SessionExpired
from quotejob.webhook import is_loopback

OLDEST_VERSION = 50  # the first with composite graphs (REST API guide)
API_VERSION = "66.0"  # of the Salesforce API (Spring '26), where no caller names one


class Context(Protocol):
    """The part of a caller's context that has the address of the org."""

    @property
    def org_domain_url(self) -> str:
        """The address of the org's My Domain."""

    @property
    def access_token(self) -> str:
        """A token of the org."""

    @property
    def api_version(self) -> str:
        """The version of the Salesforce API, as "66.0"."""

    @property
    def org_id(self) -> str:
        """The id of the org, 18 characters."""


@dataclass(frozen=True, slots=True)
class OrgAddress:
    """An org's address and a token for it. The token is not in the repr.

    Plain http is allowed only for orgs on this machine: anywhere else others could read the token.
    Raises OrgNotAllowed for an address that cannot be used, SessionExpired for text that cannot be a token.
    """

    instance_url: str  # https://host[:port]; anything after it is ignored
    access_token: str = field(repr=False)
    api_version: str = API_VERSION  # "66.0"; "v66.0" is taken too
    org_id: str = ""  # 18 characters, 00D...

    def __post_init__(self) -> None:
        object.__setattr__(self, "api_version", self.api_version.lower().removeprefix("v"))
        if not re.fullmatch(r"[0-9]{2,3}\.[0-9]", self.api_version):
            raise OrgNotAllowed(f"apiVersion should be a version of the Salesforce API, such as {API_VERSION}.")
        if float(self.api_version) < OLDEST_VERSION:
            raise OrgNotAllowed(
                f"apiVersion {self.api_version} has no composite graphs, which write the Quotes; "
                f"call with {OLDEST_VERSION}.0 or later."
            )
        if self.scheme != "https" and not (self.scheme == "http" and self.is_loopback):
            raise OrgNotAllowed("The org's address must be https, or http on this machine.")
        # Another character would fail when the header is written, and that error would show the token.
        if not re.fullmatch(r"[!-~]+", self.access_token):
            raise SessionExpired(
                "The access token is empty, or has characters that access tokens do not have; log in again."
            )

    @classmethod
    def of(cls, context: Context) -> OrgAddress:
        """Return the address in a caller's context."""
        return cls(context.org_domain_url, context.access_token, context.api_version, context.org_id)

    @property
    def scheme(self) -> str:
        """The scheme of the URL: https or http."""
        return urlsplit(self.instance_url).scheme.lower()

    @property
    def host(self) -> str:
        """The host and port, as in a URL."""
        netloc = urlsplit(self.instance_url).netloc
        if not re.fullmatch(r"[\w.-]+(:\d+)?|\[[0-9a-fA-F:]+\](:\d+)?", netloc, re.ASCII):
            raise OrgNotAllowed("The org's address must be a plain host name, with a port or without.")
        return netloc

    @property
    def is_loopback(self) -> bool:
        """True if the org runs on this machine."""
        return is_loopback(urlsplit(f"//{self.host}").hostname or "")
