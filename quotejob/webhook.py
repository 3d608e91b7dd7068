"""A webhook of the operator: the address, and what is an address that notices may go to at all."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_SLACK = "slack+"


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook that the operator has set. The address may be a secret, so it is in no repr."""

    url: str = field(repr=False)
    slack: bool = False  # it takes messages for Slack, without a signature

    @classmethod
    def read(cls, text: str) -> Webhook:
        """Return the webhook of a URL; "slack+https://..." is one of Slack. Raises ValueError."""
        url = text.strip().removeprefix(_SLACK)
        if not is_plain(url):
            raise ValueError("not the address of a webhook")
        return cls(url, text.strip().startswith(_SLACK))

    @property
    def name(self) -> str:
        """A short name that says nothing of the address, and stays when others are added or removed."""
        return f"webhook-{hashlib.sha256(self.url.encode()).hexdigest()[:12]}"

    @property
    def host(self) -> str:
        """The host, for logs."""
        return urlsplit(self.url).hostname or ""


def is_plain(url: str) -> bool:
    """Return whether a URL is https, or http on this machine, with a host and without a user or blanks."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or port == 0 or parts.username is not None or parts.fragment or re.search(r"[^!-~]|\\", url):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
