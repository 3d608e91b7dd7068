"""What an administrator sets up for an app: a canvas app, and custom permissions."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import pytest
from _server import Server

READER = "reader@quotejob.example"
APP = {"url": 'https://app.example/canvas?a="b"', "consumerSecret": "s3cret"}


def test_a_tab_posts_a_signed_request(server: Server) -> None:
    """Signed by the consumer secret, with a token of the user."""
    assert server.request("POST", "/localorg/canvas", json=APP).json() == {"url": APP["url"]}
    body = server.get("/localorg/canvas", params={"username": READER}).json()
    signature, _, payload = body["signed_request"].partition(".")
    proper = hmac.new(b"s3cret", payload.encode(), hashlib.sha256).digest()
    assert base64.b64decode(signature) == proper
    said = json.loads(base64.b64decode(payload))
    assert (said["algorithm"], said["client"]["instanceUrl"]) == ("HMACSHA256", server.url)
    assert abs(said["issuedAt"] - time.time()) < 60
    assert said["context"]["organization"]["organizationId"] == server.organization_id
    token = {"Authorization": f"Bearer {said['client']['oauthToken']}"}
    who = server.get("/services/oauth2/userinfo", headers=token).json()
    assert (who["user_id"], who["preferred_username"]) == (said["userId"], READER)
    page = server.get("/localorg/canvas", headers={"Accept": "text/html"}).text
    assert 'action="https://app.example/canvas?a=&quot;b&quot;"' in page


@pytest.mark.parametrize(
    "spec", [{}, [], {"url": "javascript:x", "consumerSecret": "x"}, {"url": 1, "consumerSecret": "x"}]
)
def test_what_is_no_app_is_refused(server: Server, spec: object) -> None:
    assert server.request("POST", "/localorg/canvas", json=spec).status_code == 400


def test_a_user_has_the_custom_permissions_that_were_given(server: Server) -> None:
    given = {"username": "worker@quotejob.example", "customPermissions": ["B", "A"]}
    assert server.request("POST", "/localorg/permissions", json=given).json()["customPermissions"] == ["A", "B"]
    who = server.get("/services/oauth2/userinfo").json()
    assert who["custom_permissions"] == {"A": True, "B": True}
    server.request("POST", "/localorg/permissions", json=given | {"customPermissions": []})
    assert "custom_permissions" not in server.get("/services/oauth2/userinfo").json()
    bad: list[object] = [{}, [], given | {"username": "x"}, given | {"customPermissions": "A"}]
    for wrong in bad:
        assert server.request("POST", "/localorg/permissions", json=wrong).status_code == 400
