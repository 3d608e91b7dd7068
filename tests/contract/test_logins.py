"""Every way in that jsforce, simple-salesforce and sf have, unmodified: the OAuth flows, and SOAP's login."""

from __future__ import annotations

import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
import requests
from _clients import Node, Sf, Untyped, http_session
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceAuthenticationFailed

from harness.api import LocalOrg
from harness.org_reader import OrgReader

pytestmark = pytest.mark.timeout(1000)  # the first test may have to install the clients

Js = Callable[..., Any]
JWT_CLIENT = "contract-jwt-client"


@pytest.fixture(scope="module")
def username(reader: OrgReader) -> str:
    return reader.username()


@pytest.fixture(scope="module")
def private_key(org: LocalOrg) -> str:
    """A key of JWT_CLIENT; the org knows its public half from now on."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    spec = {"clientId": JWT_CLIENT, "certificate": public.decode()}
    requests.post(f"{org.url}/localorg/clients", json=spec, timeout=10).raise_for_status()
    return _pem(key)


def _pem(key: rsa.RSAPrivateKey) -> str:
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def assertion(private_key: str, username: str, org: LocalOrg) -> str:
    claims = {"iss": JWT_CLIENT, "sub": username, "aud": org.url, "exp": int(time.time()) + 120}
    return jwt.encode(claims, private_key, algorithm="RS256")


def check(found: Any, org: LocalOrg, username: str) -> None:
    """Whoever logged in is the user, by the login's own answer and by the identity resource."""
    assert found["userInfo"] == {
        "id": org.user_id,
        "organizationId": org.org_id,
        "url": f"{org.url}/id/{org.org_id}/{org.user_id}",
    }
    assert found["identity"] == {"userId": org.user_id, "organizationId": org.org_id, "username": username}
    assert found["instanceUrl"] == org.url


def test_jsforce_by_password(js: Js, org: LocalOrg, username: str) -> None:
    found = js("jsforce_login.password", username=username, secret="any")
    check(found, org, username)
    assert found["afterLogout"]["errorCode"] == "INVALID_SESSION_ID"
    assert found["wrong"]["name"] == "invalid_grant"


def test_jsforce_by_soap(js: Js, org: LocalOrg, username: str) -> None:
    found = js("jsforce_login.soap", username=username, secret="any")
    assert (found["userInfo"]["id"], found["userInfo"]["organizationId"]) == (org.user_id, org.org_id)
    assert found["identity"] == {"userId": org.user_id, "organizationId": org.org_id, "username": username}
    assert found["instanceUrl"] == org.url
    assert "INVALID_LOGIN" in found["wrong"]["message"]


def test_jsforce_by_client_credentials(js: Js, org: LocalOrg, username: str) -> None:
    check(js("jsforce_login.clientCredentials"), org, username)


def test_jsforce_by_jwt(js: Js, org: LocalOrg, username: str, private_key: str) -> None:
    other = _pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    found = js(
        "jsforce_login.jwtBearer",
        assertion=assertion(private_key, username, org),
        wrong=assertion(other, username, org),
    )
    check(found, org, username)
    assert found["wrong"]["name"] == "invalid_grant"


class _Form(HTMLParser):
    """The form of a page: its action, and its fields with their values."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form":
            self.action = found.get("action")
        if tag == "input" and found.get("name"):
            self.fields[str(found["name"])] = found.get("value") or ""


def test_jsforce_by_the_login_page(js: Js, org: LocalOrg, username: str) -> None:
    """A browser is sent to the page, fills it in and comes back with a code; a refresh token comes with the token."""
    redirect_uri = "http://localhost:1717/OauthRedirect"
    sent = js("jsforce_login.address", redirectUri=redirect_uri)
    page = requests.get(sent["address"], timeout=10)
    assert page.headers["Content-Type"].startswith("text/html")
    form = _Form(page.text)
    fields = {**form.fields, "username": username, "pw": "any"}
    back = requests.post(form.action or sent["address"], data=fields, timeout=10, allow_redirects=False)
    assert back.status_code == 302
    where = urlsplit(back.headers["Location"])
    assert f"{where.scheme}://{where.netloc}{where.path}" == redirect_uri
    query = parse_qs(where.query)
    assert query["state"] == ["of mine"]
    found = js("jsforce_login.code", code=query["code"][0], verifier=sent["verifier"], redirectUri=redirect_uri)
    check(found["first"], org, username)
    assert found["twice"]["name"] == "invalid_grant"
    assert (found["refreshed"], found["fresh"], found["rows"]) == (1, True, 1)


def test_simple_salesforce_by_password(org: LocalOrg, username: str) -> None:
    client = {"consumer_key": "key", "consumer_secret": "secret"}
    words: dict[str, Any] = {"username": username, "password": "any", **client}
    assert user_of(Salesforce(**words, session=http_session(org))) == org.user_id
    with pytest.raises(SalesforceAuthenticationFailed, match="authentication failure"):
        Salesforce(**{**words, "username": "nobody@example.com"}, session=http_session(org))


def test_simple_salesforce_by_soap(org: LocalOrg, username: str) -> None:
    words: dict[str, Any] = {"username": username, "password": "any", "security_token": "any"}
    assert user_of(Salesforce(**words, session=http_session(org))) == org.user_id
    with pytest.raises(SalesforceAuthenticationFailed, match=r"INVALID_LOGIN.*Invalid username, password"):
        Salesforce(**{**words, "username": "nobody@example.com"}, session=http_session(org))


def test_simple_salesforce_by_client_credentials(org: LocalOrg) -> None:
    sf = Salesforce(consumer_key="key", consumer_secret="secret", domain="my-org.my", session=http_session(org))
    assert user_of(sf) == org.user_id


def test_simple_salesforce_by_jwt(org: LocalOrg, username: str, private_key: str) -> None:
    sf = Salesforce(username=username, consumer_key=JWT_CLIENT, privatekey=private_key, session=http_session(org))
    assert user_of(sf) == org.user_id


def user_of(sf: Untyped) -> str:
    return str(sf.oauth2("userinfo")["user_id"])


def test_sf_by_jwt(node: Node, org: LocalOrg, username: str, private_key: str, tmp_path: Path) -> None:
    """In a home folder of its own, since it would take the place of the other login."""
    key = tmp_path / "server.key"
    key.write_text(private_key)
    key.chmod(0o600)
    sf = Sf(Node(node.program, tmp_path), "")
    words = ["--username", username, "--client-id", JWT_CLIENT, "--jwt-key-file", str(key), "--instance-url", org.url]
    login = sf("org", "login", "jwt", *words, "--alias", "by-jwt")
    assert (login["orgId"], login["username"]) == (org.org_id, username)
    found = sf("data", "query", "--target-org", "by-jwt", "--query", "SELECT Id FROM Organization")
    assert [row["Id"] for row in found["records"]] == [org.org_id]
