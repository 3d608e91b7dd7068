"""OAuth tokens: password, client credentials, JWT bearer, refresh and authorization code; revoke and introspect.

The answers are those of Salesforce Help, "OAuth Authorization Flows" and "OAuth 2.0 Error Codes". Some rules are local,
because an org on a laptop has no connected apps:

* Any client id and any secret are accepted.
* Every user of the org may log in with any password that is not empty.
* Client credentials run as the administrator.
* A JWT assertion is checked with the key registered for its client. It is not checked if no key is registered.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from localorg.data.sessions import SCOPES, Session
from localorg.http.answers import answer
from localorg.login.identity import identity_url, url_of
from localorg.numbers import whole
from localorg.org import ORG, Org
from localorg.permissions import User

routes = web.RouteTableDef()

CODE_SECONDS = 15 * 60
_MOST_CODES = 1_000
_LATE = 3 * 60  # seconds that a JWT may be too late or too early
_SLASH = "{slash:/?}"

Form = Mapping[str, str]


class OAuthError(Exception):
    """A refusal with an error code of OAuth; the answer has status 400."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code: the user who logged in, the client, and what the client must show to exchange the code."""

    user: User
    client_id: str
    redirect_uri: str
    challenge: str | None
    until: float  # seconds since 1970


class Grants:
    """The codes that wait to be exchanged, and the public keys of clients."""

    def __init__(self) -> None:
        self._codes: dict[str, Code] = {}
        self._keys: dict[str, RSAPublicKey] = {}

    def code(self, granted: Code) -> str:
        """Return a new authorization code, which is valid for one use."""
        code = f"aPrx{secrets.token_urlsafe(40)}=="
        self._codes[code] = granted
        if len(self._codes) > _MOST_CODES:
            del self._codes[next(iter(self._codes))]
        return code

    def take(self, code: str) -> Code | None:
        """Return what a code stands for, and remove the code."""
        return self._codes.pop(code, None)

    def register(self, client_id: str, pem: str) -> None:
        """Keep a client's certificate or public key; raise ValueError when it is not an RSA one in PEM."""
        data = pem.encode()
        if b"BEGIN CERTIFICATE" in data:
            key: object = x509.load_pem_x509_certificate(data).public_key()
        else:
            key = serialization.load_pem_public_key(data)
        if not isinstance(key, RSAPublicKey):
            raise ValueError("not an RSA key")
        self._keys[client_id] = key

    def key(self, client_id: str) -> RSAPublicKey | None:
        """Return the key registered for a client."""
        return self._keys.get(client_id)


GRANTS: web.AppKey[Grants] = web.AppKey("grants", Grants)


# --- token --------------------------------------------------------------------------------------------------------


async def read_form(request: web.Request) -> dict[str, str]:
    """Return the parameters of a request, from its form and its query string; HTTP Basic may name the client."""
    form = dict(request.query)
    try:
        posted = await request.post()
    except (ValueError, LookupError, RuntimeError):
        raise OAuthError("invalid_request", "the form could not be read") from None
    form |= {name: value for name, value in posted.items() if isinstance(value, str)}
    scheme, _, words = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            client_id, _, secret = base64.b64decode(words, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise OAuthError("invalid_client", "invalid client credentials") from None
        form = {"client_id": client_id, "client_secret": secret} | form
    return form


@routes.route("*", "/services/oauth2/token" + _SLASH)
async def token(request: web.Request) -> web.StreamResponse:
    """Answer with a new access token."""
    try:
        form = await read_form(request)
        flow = _FLOWS.get(form.get("grant_type", ""))
        if flow is None:
            raise OAuthError("unsupported_grant_type", "grant type not supported")
        return answer(granted(request, flow(request, form)))
    except OAuthError as error:
        return oauth_refusal(error)


def oauth_refusal(error: OAuthError) -> web.Response:
    """Return a refusal in the form of OAuth: an object, not the array of the REST API."""
    return answer({"error": error.error, "error_description": error.description}, 400)


def granted(request: web.Request, session: Session) -> dict[str, Any]:
    """Return the answer with a new session. The client's id is used in place of its secret to sign it."""
    identity, issued = identity_url(request, session.user), str(int(session.issued.timestamp() * 1000))
    signature = hmac.new(session.client_id.encode(), f"{identity}{issued}".encode(), hashlib.sha256).digest()
    body = {
        "access_token": session.token,
        "instance_url": url_of(request),
        "id": identity,
        "token_type": "Bearer",
        "scope": SCOPES,
        "issued_at": issued,
        "signature": base64.b64encode(signature).decode(),
    }
    return body | ({"refresh_token": session.refresh_token} if session.refresh_token else {})


def _client(form: Form) -> str:
    if not form.get("client_id"):
        raise OAuthError("invalid_client_id", "client identifier invalid")
    return form["client_id"]


def _by_password(request: web.Request, form: Form) -> Session:
    org, client_id = request.app[ORG], _client(form)
    return org.sessions.open(logged_in(org, form.get("username", ""), form.get("password", "")), client_id)


def logged_in(org: Org, username: str, password: str) -> User:
    """Return the user with this name; any password that is not empty is accepted. Raise OAuthError for other logins."""
    user = org.users.by_username(username)
    if user is None or not password:
        raise OAuthError("invalid_grant", "authentication failure")
    return user


def _by_client(request: web.Request, form: Form) -> Session:
    org, client_id = request.app[ORG], _client(form)
    if not form.get("client_secret"):
        raise OAuthError("invalid_client", "invalid client credentials")
    return org.sessions.open(org.user, client_id)


def _by_refresh(request: web.Request, form: Form) -> Session:
    sessions, client_id = request.app[ORG].sessions, _client(form)
    first = sessions.find_refresh(form.get("refresh_token", ""))
    if first is None or first.client_id != client_id:
        raise OAuthError("invalid_grant", "expired access/refresh token")
    again = sessions.again(form["refresh_token"])
    if again is None:
        raise OAuthError("invalid_grant", "expired access/refresh token")
    return again


def _by_code(request: web.Request, form: Form) -> Session:
    org, client_id = request.app[ORG], _client(form)
    code = request.app[GRANTS].take(form.get("code", ""))
    if code is None:
        raise OAuthError("invalid_grant", "invalid authorization code")
    if code.until < org.clock().timestamp():
        raise OAuthError("invalid_grant", "expired authorization code")
    if code.client_id != client_id:
        raise OAuthError("invalid_client_id", "client identifier does not match the authorization code")
    if code.redirect_uri != form.get("redirect_uri", ""):
        raise OAuthError("redirect_uri_mismatch", "redirect_uri must match configuration")
    if code.challenge is not None and not _proves(form.get("code_verifier", ""), code.challenge):
        raise OAuthError("invalid_grant", "invalid code verifier")
    return org.sessions.open(code.user, client_id, refreshable=True)


def _proves(verifier: str, challenge: str) -> bool:
    """Check PKCE with S256, the only method of the platform (RFC 7636)."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    return bool(verifier) and hmac.compare_digest(digest, challenge.rstrip("=").encode())


# --- JWT bearer ---------------------------------------------------------------------------------------------------


def _by_assertion(request: web.Request, form: Form) -> Session:
    """Return a session for the user in a signed assertion (Salesforce Help, "OAuth 2.0 JWT Bearer Flow")."""
    org = request.app[ORG]
    claims = _claims(request.app[GRANTS], form.get("assertion", ""))
    client_id, username = claims.get("iss"), claims.get("sub") or claims.get("prn")
    if not isinstance(client_id, str) or not client_id:
        raise OAuthError("invalid_client_id", "client identifier invalid")
    if not isinstance(username, str) or (user := org.users.by_username(username)) is None:
        raise OAuthError("invalid_grant", "user hasn't approved this consumer")
    if not claims.get("aud"):
        raise OAuthError("invalid_grant", "audience is invalid")
    if _seconds(claims.get("exp")) + _LATE < org.clock().timestamp():
        raise OAuthError("invalid_grant", "expired authorization code")
    return org.sessions.open(user, client_id)


def _claims(grants: Grants, assertion: str) -> dict[str, Any]:
    parts = assertion.split(".")
    if len(parts) != 3:
        raise OAuthError("invalid_grant", "invalid assertion")
    try:
        header, claims = (json.loads(_decoded(part)) for part in parts[:2])
        signature = _decoded(parts[2])
    except (ValueError, RecursionError):
        raise OAuthError("invalid_grant", "invalid assertion") from None
    if not isinstance(header, dict) or not isinstance(claims, dict) or header.get("alg") != "RS256":
        raise OAuthError("invalid_grant", "invalid assertion")
    issuer = claims.get("iss")
    key = grants.key(issuer) if isinstance(issuer, str) else None
    if key is not None:
        _verify(key, signature, f"{parts[0]}.{parts[1]}".encode())
    return claims


def _seconds(value: object) -> float:
    """Return a time in seconds since 1970; clients write it as a number or as text. Return 0 for anything else."""
    if isinstance(value, str):
        return float(whole(value) or 0)
    return float(value) if isinstance(value, int | float) and abs(value) < 1e18 else 0.0


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part.encode("ascii") + b"=" * (-len(part) % 4))


def _verify(key: RSAPublicKey, signature: bytes, signed: bytes) -> None:
    try:
        key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        raise OAuthError("invalid_grant", "invalid assertion") from None


_FLOWS: dict[str, Callable[[web.Request, Form], Session]] = {
    "password": _by_password,
    "client_credentials": _by_client,
    "refresh_token": _by_refresh,
    "authorization_code": _by_code,
    "urn:ietf:params:oauth:grant-type:jwt-bearer": _by_assertion,
}


# --- revoke and introspect ----------------------------------------------------------------------------------------


@routes.route("*", "/services/oauth2/revoke" + _SLASH)
async def revoke(request: web.Request) -> web.StreamResponse:
    """End a token; when a refresh token ends, the access tokens that were made from it end too."""
    try:
        form = await read_form(request)
        if not request.app[ORG].sessions.revoke(form.get("token", "")):
            raise OAuthError("unsupported_token_type", "this token type is not supported")
    except OAuthError as error:
        return oauth_refusal(error)
    return web.Response(status=200)


@routes.post("/services/oauth2/introspect" + _SLASH)
async def introspect(request: web.Request) -> web.StreamResponse:
    """Answer whether a token is valid, and whose it is (RFC 7662). There is no `exp`: sessions here do not expire."""
    try:
        form = await read_form(request)
        if not form.get("client_id"):
            raise OAuthError("invalid_client", "client credentials are required to introspect a token")
    except OAuthError as error:
        return oauth_refusal(error)
    org, given = request.app[ORG], form.get("token", "")
    access = org.sessions.find(given)
    session = access or org.sessions.find_refresh(given)
    if session is None or org.faults.expired(given):
        return answer({"active": False})
    issued = int(session.issued.timestamp())
    return answer(
        {
            "active": True,
            "scope": SCOPES,
            "client_id": session.client_id,
            "username": session.user.username,
            "sub": identity_url(request, session.user),
            "token_type": "access_token" if access else "refresh_token",
            "iat": issued,
            "nbf": issued,
        }
    )
