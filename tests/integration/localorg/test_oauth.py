"""Every way to log in: OAuth's flows, its pages, and the SOAP API's login."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from _server import DATA, Server
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

READER = "reader@quotejob.example"
BACK = "http://localhost:1717/OauthRedirect"


def ask(server: Server, path: str, **form: str) -> requests.Response:
    return requests.post(f"{server.url}/services/oauth2/{path}", data=form, timeout=10, allow_redirects=False)


def granted(server: Server, grant_type: str, **form: str) -> dict[str, Any]:
    answer = ask(server, "token", grant_type=grant_type, **form)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def refused(answer: requests.Response) -> str:
    assert answer.status_code == 400, answer.text
    assert set(answer.json()) == {"error", "error_description"}
    return str(answer.json()["error"])


def who(server: Server, token: str) -> str:
    """The username behind a token; empty when the token is not good."""
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.get(f"{server.url}/services/oauth2/userinfo", headers=headers, timeout=10)
    return str(answer.json()["preferred_username"]) if answer.status_code == 200 else ""


def test_password(server: Server) -> None:
    body = granted(server, "password", client_id="a", client_secret="b", username=READER, password="c")
    assert who(server, body["access_token"]) == READER
    assert body["instance_url"] == server.url
    assert body["id"].startswith(f"{server.url}/id/{server.organization_id}/005")
    assert "refresh_token" not in body
    for username, password in ((READER, ""), ("nobody@x.example", "c")):
        form = {"grant_type": "password", "client_id": "a", "username": username, "password": password}
        assert refused(ask(server, "token", **form)) == "invalid_grant"


def test_client_credentials_in_the_form_or_by_http_basic(server: Server) -> None:
    body = granted(server, "client_credentials", client_id="a", client_secret="b")
    assert who(server, body["access_token"]) == "worker@quotejob.example"
    url = f"{server.url}/services/oauth2/token"
    form = {"grant_type": "client_credentials"}
    assert requests.post(url, data=form, auth=("a", "b"), timeout=10).status_code == 200
    assert refused(requests.post(url, data=form, headers={"Authorization": "Basic !"}, timeout=10)) == "invalid_client"
    assert refused(ask(server, "token", grant_type="client_credentials", client_id="a")) == "invalid_client"


@pytest.mark.parametrize(
    "kind",
    ["application/x-www-form-urlencoded; charset=none-such", "multipart/form-data", "multipart/form-data; boundary=x"],
)
def test_a_form_that_cannot_be_read_is_refused(server: Server, kind: str) -> None:
    url = f"{server.url}/services/oauth2/token"
    answer = requests.post(url, data=b"\xff=\xfe", headers={"Content-Type": kind}, timeout=10)
    assert refused(answer) in ("invalid_request", "unsupported_grant_type")


# --- JWT bearer ---------------------------------------------------------------------------------------------------


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def assertion(key: rsa.RSAPrivateKey, seconds: float = 180, **more: Any) -> str:
    expiry = (datetime.now(UTC) + timedelta(seconds=seconds)).timestamp()
    claims = {"iss": "jwt-client", "sub": READER, "aud": "https://login.salesforce.com", "exp": int(expiry), **more}
    signed = f"{_part(json.dumps({'alg': 'RS256'}).encode())}.{_part(json.dumps(claims).encode())}"
    return f"{signed}.{_part(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def by_jwt(server: Server, given: str) -> requests.Response:
    return ask(server, "token", grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer", assertion=given)


def test_jwt_bearer_without_a_registered_key(server: Server, key: rsa.RSAPrivateKey) -> None:
    assert who(server, by_jwt(server, assertion(key)).json()["access_token"]) == READER
    assert refused(by_jwt(server, assertion(key, sub="nobody"))) == "invalid_grant"
    assert refused(by_jwt(server, assertion(key, seconds=-600))) == "invalid_grant"
    assert refused(by_jwt(server, assertion(key, iss=""))) == "invalid_client_id"
    for wrong in ("", "a.b.c", "a.b", "....", f"{_part(b'[]')}.{_part(b'1')}.x", "\u00e9.b.c"):
        assert refused(by_jwt(server, wrong)) == "invalid_grant"


def test_jwt_bearer_is_checked_with_a_registered_key(server: Server, key: rsa.RSAPrivateKey) -> None:
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    spec = {"clientId": "known-client", "certificate": public.decode()}
    assert server.post("/localorg/clients", spec).status_code == 200
    assert server.post("/localorg/clients", {**spec, "certificate": "x"}).status_code == 400
    assert by_jwt(server, assertion(key, iss="known-client")).status_code == 200
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert refused(by_jwt(server, assertion(other, iss="known-client"))) == "invalid_grant"


# --- web server flow ----------------------------------------------------------------------------------------------


class Inputs(HTMLParser):
    """The inputs of a page, by name."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "input" and given.get("name"):
            self.found[str(given["name"])] = given.get("value") or ""


def log_in(server: Server, username: str = READER, **asked: str) -> requests.Response:
    """Opens the login page, fills it in as a browser would, and sends it."""
    asked = {"response_type": "code", "client_id": "web", "redirect_uri": BACK, "state": 'a"b', **asked}
    page = requests.get(f"{server.url}/services/oauth2/authorize", params=asked, timeout=10)
    assert page.headers["Content-Type"].startswith("text/html")
    form = {**Inputs(page.text).found, "username": username, "pw": "x"}
    assert form["state"] == 'a"b'
    return requests.post(page.url.partition("?")[0], data=form, timeout=10, allow_redirects=False)


def test_web_server_flow_and_refresh(server: Server) -> None:
    answer = log_in(server)
    assert answer.status_code == 302
    there = urlsplit(answer.headers["Location"])
    words = parse_qs(there.query)
    assert (there.port, there.path, words["state"]) == (1717, "/OauthRedirect", ['a"b'])
    form = {"client_id": "web", "client_secret": "s", "redirect_uri": BACK, "code": words["code"][0]}
    body = granted(server, "authorization_code", **form)
    assert who(server, body["access_token"]) == READER
    again = ask(server, "token", grant_type="authorization_code", **form)
    assert refused(again) == "invalid_grant"
    fresh = granted(server, "refresh_token", client_id="web", refresh_token=body["refresh_token"])
    assert fresh["access_token"] != body["access_token"]
    assert who(server, fresh["access_token"]) == READER
    other = ask(server, "token", grant_type="refresh_token", client_id="other", refresh_token=body["refresh_token"])
    assert refused(other) == "invalid_grant"


def test_pkce(server: Server) -> None:
    verifier = "v" * 60
    challenge = _part(hashlib.sha256(verifier.encode()).digest())
    for sent, good in ((verifier, True), ("x" * 60, False), ("", False)):
        answer = log_in(server, code_challenge=challenge, code_challenge_method="S256")
        code = parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]
        form = {"grant_type": "authorization_code", "client_id": "web", "redirect_uri": BACK, "code": code}
        answer = ask(server, "token", **form, code_verifier=sent)
        assert (answer.status_code == 200) is good


def test_user_agent_flow_hands_the_token_back_at_once(server: Server) -> None:
    fragment = parse_qs(urlsplit(log_in(server, response_type="token").headers["Location"]).fragment)
    assert who(server, fragment["access_token"][0]) == READER


def test_a_wrong_user_sees_the_page_again(server: Server) -> None:
    answer = log_in(server, username='<b>"nobody"')
    assert (answer.status_code, "<b>" in answer.text) == (200, False)
    assert "Please check your username and password" in answer.text


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"response_type": "magic"}, "unsupported_response_type"),
        ({"client_id": ""}, "invalid_client_id"),
        ({"redirect_uri": "javascript:alert(1)"}, "redirect_uri_missing"),
        ({"redirect_uri": "http://[/"}, "redirect_uri_missing"),
        ({"redirect_uri": "http://x/\r\nSet-Cookie: a"}, "redirect_uri_missing"),
        ({"code_challenge": "x", "code_challenge_method": "plain"}, "invalid_request"),
    ],
)
def test_a_wrong_question_gets_no_page(server: Server, asked: dict[str, str], error: str) -> None:
    whole = {"response_type": "code", "client_id": "web", "redirect_uri": BACK, **asked}
    assert refused(requests.get(f"{server.url}/services/oauth2/authorize", params=whole, timeout=10)) == error


def test_a_code_belongs_to_its_client_and_address(server: Server) -> None:
    for wrong, error in (({"client_id": "x"}, "invalid_client_id"), ({"redirect_uri": "y"}, "redirect_uri_mismatch")):
        code = parse_qs(urlsplit(log_in(server).headers["Location"]).query)["code"][0]
        form = {"client_id": "web", "redirect_uri": BACK, "code": code, **wrong}
        assert refused(ask(server, "token", grant_type="authorization_code", **form)) == error


# --- revoke, introspect -------------------------------------------------------------------------------------------


def refreshable(server: Server) -> dict[str, Any]:
    code = parse_qs(urlsplit(log_in(server).headers["Location"]).query)["code"][0]
    return granted(server, "authorization_code", client_id="web", redirect_uri=BACK, code=code)


def test_revoking_an_access_token_ends_it_alone(server: Server) -> None:
    body = refreshable(server)
    fresh = granted(server, "refresh_token", client_id="web", refresh_token=body["refresh_token"])
    assert ask(server, "revoke", token=body["access_token"]).status_code == 200
    assert (who(server, body["access_token"]), who(server, fresh["access_token"])) == ("", READER)
    assert refused(ask(server, "revoke", token=body["access_token"])) == "unsupported_token_type"


def test_revoking_a_refresh_token_ends_all_that_came_of_it(server: Server) -> None:
    body = refreshable(server)
    fresh = granted(server, "refresh_token", client_id="web", refresh_token=body["refresh_token"])
    url = f"{server.url}/services/oauth2/revoke"
    assert requests.get(url, params={"token": body["refresh_token"]}, timeout=10).status_code == 200
    assert (who(server, body["access_token"]), who(server, fresh["access_token"])) == ("", "")
    again = ask(server, "token", grant_type="refresh_token", client_id="web", refresh_token=body["refresh_token"])
    assert refused(again) == "invalid_grant"


def test_introspection(server: Server) -> None:
    body = refreshable(server)
    for token, kind in ((body["access_token"], "access_token"), (body["refresh_token"], "refresh_token")):
        said = ask(server, "introspect", token=token, client_id="a", client_secret="b").json()
        assert (said["active"], said["username"], said["token_type"]) == (True, READER, kind)
        assert (said["client_id"], said["sub"]) == ("web", body["id"])
    assert ask(server, "introspect", token="x", client_id="a").json() == {"active": False}
    assert refused(ask(server, "introspect", token="x")) == "invalid_client"


def test_discovery_names_addresses_that_are_there(server: Server) -> None:
    said = requests.get(f"{server.url}/.well-known/openid-configuration", timeout=10).json()
    for name in ("token", "revocation", "introspection"):
        assert requests.post(said[f"{name}_endpoint"], timeout=10).status_code == 400


# --- SOAP ---------------------------------------------------------------------------------------------------------

LOGIN = """<se:Envelope xmlns:se="http://schemas.xmlsoap.org/soap/envelope/"><se:Header/><se:Body>
<login xmlns="urn:partner.soap.sforce.com"><username>{}</username><password>p&amp;w</password></login>
</se:Body></se:Envelope>"""


def test_soap_login(server: Server) -> None:
    url = f"{server.url}/services/Soap/u/66.0"
    answer = requests.post(url, data=LOGIN.format(READER), headers={"Content-Type": "text/xml"}, timeout=10)
    assert answer.status_code == 200
    found = dict(re.findall(r"<(\w+)>([^<]+)</", answer.text))
    assert found["serverUrl"].startswith(f"{url}/00D")
    assert who(server, found["sessionId"]) == READER
    answer = requests.post(url, data=LOGIN.format("nobody"), timeout=10)
    assert answer.status_code == 500  # as SOAP 1.1 has it for every fault
    assert "<sf:exceptionCode>INVALID_LOGIN</sf:exceptionCode>" in answer.text


def test_a_fresh_token_works_for_data(server: Server) -> None:
    token = granted(server, "password", client_id="a", username=READER, password="c")["access_token"]
    answer = requests.get(f"{server.url}{DATA}/limits", params={"oauth_token": token}, timeout=10)
    assert answer.status_code == 200
