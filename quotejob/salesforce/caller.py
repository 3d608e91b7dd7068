"""The caller: the context that the AppLink service mesh puts into the ``x-client-context`` header, as base64 of JSON.

The form of the header comes from the AppLink SDKs (PyPI ``heroku-applink``, ``ClientContext``).
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson

from quotejob.errors import OrgNotAllowed, Unauthenticated
from quotejob.ids import to18 as to18
from quotejob.settings import Settings
from quotejob.webhook import is_loopback

MAX_HEADER_BYTES = 16_384  # as gunicorn.conf.py; a real context is below 2,000, with a JWT for a token longer
_TOKEN = re.compile(r"[!-~]{1,12000}")  # it becomes a header of our requests: visible ASCII only


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerContext:
    """A caller: a user and an org. The token is never shown."""

    request_id: str
    org_id: str  # 18 characters, 00D...
    org_domain_url: str  # not trusted until check_org has accepted it
    api_version: str  # as "66.0", no v
    namespace: str
    access_token: str = field(repr=False)
    user_id: str  # 18 characters, 005...
    username: str
    user_name: str | None = None  # for people, as the org says it; a header does not have it


def from_header(value: str | None) -> CallerContext:
    """Return the context in the header. Raises Unauthenticated, without the header's text, if there is no valid one."""
    if not value:
        raise Unauthenticated(
            "The x-client-context header is missing; call through the AppLink service mesh, with bin/quotejob, or with "
            "Authorization: Bearer and x-org-url"
        )
    if len(value) > MAX_HEADER_BYTES:
        raise Unauthenticated(f"The x-client-context header is longer than {MAX_HEADER_BYTES} bytes")
    try:
        document = orjson.loads(_decoded(value))
    except (binascii.Error, ValueError):
        raise Unauthenticated("The x-client-context header is not the base64 form of JSON") from None
    if not isinstance(document, dict):
        raise Unauthenticated("The x-client-context header is not a JSON object")
    user = document.get("userContext")
    if not isinstance(user, dict):
        raise Unauthenticated("x-client-context: userContext should be an object")
    return CallerContext(
        request_id=_text(document, "requestId", "", 200),
        org_id=_id(document, "orgId", "00D"),
        org_domain_url=_text(document, "orgDomainUrl", None, 300).rstrip("/"),
        api_version=_matching(document, "apiVersion", r"[1-9][0-9]{1,2}\.0"),
        namespace=_text(document, "namespace", "", 40),
        access_token=_matching(document, "accessToken", _TOKEN.pattern),
        user_id=_id(user, "userId", "005"),
        username=_text(user, "username", "", 200),
    )


def check_org(url: str, settings: Settings) -> None:
    """Raise OrgNotAllowed unless the address is https on an allowed host, or loopback if local orgs are allowed."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise OrgNotAllowed(
            "orgDomainUrl is not a URL; it should be such as https://example.my.salesforce.com"
        ) from None
    host = (parts.hostname or "").lower()
    bare = not (parts.username or parts.password or parts.path or parts.query or parts.fragment)
    if bare and settings.local_org and parts.scheme in ("http", "https") and is_loopback(host):
        return
    plain = re.fullmatch(r"[a-z0-9.-]+", host) is not None
    listed = plain and any(host.endswith("." + suffix) for suffix in settings.org_hosts)
    if not (bare and parts.scheme == "https" and listed and port in (None, 443)):
        raise OrgNotAllowed(
            "orgDomainUrl is not https on an allowed host; allow its host with QUOTEJOB_ORG_HOSTS, or a local org with "
            "QUOTEJOB_LOCAL_ORG=1"
        )


def _decoded(value: str) -> bytes:
    """Return the bytes of the header, read as the AppLink SDKs read it: with or without padding, - and _ for + and /.

    Raises binascii.Error or ValueError.
    """
    plain = value.strip().rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)


def _text(document: dict[str, Any], name: str, default: str | None, longest: int) -> str:
    value = document.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str) or len(value) > longest or not value.isprintable():
        raise Unauthenticated(f"x-client-context: {name} should be a text of at most {longest} characters")
    return value


def _matching(document: dict[str, Any], name: str, pattern: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not re.fullmatch(pattern, value, re.ASCII):
        raise Unauthenticated(f"x-client-context: {name} is missing or has a wrong form")
    return value


def _id(document: dict[str, Any], name: str, prefix: str) -> str:
    value = _matching(document, name, prefix + r"[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?")
    full = to18(value)
    if len(value) == 18 and value != full:
        raise Unauthenticated(f"x-client-context: {name} is not a valid id: its last three characters are wrong")
    return full
