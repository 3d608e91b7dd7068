"""Fresh tokens from the AppLink add-on, which the local org plays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from _scripted import Reply, Server

from harness.api import LocalOrg
from quotejob.errors import AuthorizationFailed
from quotejob.salesforce import API_VERSION, OrgAddress, OrgClient, applink
from quotejob.salesforce.caller import CallerContext, to18
from quotejob.settings import Settings


@pytest.fixture
def settings(local_org: LocalOrg) -> Settings:
    """As AppLink sets them, and the name of an authorization."""
    return Settings(
        redis_url="redis://127.0.0.1", secret_keys=(), local_org=True, authorization="worker",
        applink_api_url=f"{local_org.url}/localorg/applink", applink_token="add-on token",
    )  # fmt: skip


@pytest.fixture
def expired(local_org: LocalOrg) -> CallerContext:
    """A caller of the local org whose token it no longer knows."""
    return CallerContext(
        request_id="r", org_id=local_org.org_id, org_domain_url=local_org.url, api_version=API_VERSION, namespace="",
        access_token="00D!old", user_id=local_org.user_id, username="u",
    )  # fmt: skip


def test_the_authorization_gives_a_token_the_org_takes(settings: Settings, expired: CallerContext) -> None:
    """Of the same org, with the user it stands for."""
    fresh = applink.renewed(expired, settings)
    assert fresh is not None
    assert fresh.access_token != expired.access_token
    assert to18(OrgClient(OrgAddress.of(fresh)).whoami().organization_id) == expired.org_id


@pytest.mark.parametrize("missing", ["authorization", "applink_api_url", "applink_token"])
def test_nothing_is_asked_when_none_is_configured(settings: Settings, expired: CallerContext, missing: str) -> None:
    """All three are needed."""
    none: dict[str, Any] = {missing: None}
    assert applink.renewed(expired, replace(settings, **none)) is None


def test_an_authorization_that_does_not_answer_gives_none(settings: Settings, expired: CallerContext) -> None:
    """Unknown, or nobody there."""
    assert applink.renewed(expired, replace(settings, authorization="unknown")) is None
    assert applink.renewed(expired, replace(settings, applink_api_url="http://127.0.0.1:1")) is None


def test_another_orgs_authorization_is_not_used(settings: Settings, expired: CallerContext) -> None:
    """It would write into the wrong org."""
    assert applink.renewed(replace(expired, org_id=to18("00DAAAAAAAAAAAA")), settings) is None


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_no_proxy_stands_before_an_applink_on_this_machine(
    name: str, settings: Settings, expired: CallerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for an org on this machine: a company's proxy cannot reach it."""
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert applink.renewed(expired, settings) is not None


def test_netrc_does_not_replace_the_add_ons_token(
    server: Server, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry of ~/.netrc for the same host is somebody else's."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server.script = [Reply(status=404)]
    with pytest.raises(AuthorizationFailed):
        applink.session("worker", "00D", replace(settings, applink_api_url=server.url))
    assert server.seen[0].headers["authorization"] == "Bearer add-on token"


def test_only_the_authorizations_of_the_list_are_used(settings: Settings, expired: CallerContext) -> None:
    """If there is a list. AppLink is not even asked for another one."""
    listed = replace(settings, authorizations=frozenset({"worker"}))
    assert applink.session("worker", expired.org_id, listed).org_id == expired.org_id
    nobody_there = replace(listed, applink_api_url="http://127.0.0.1:1")
    with pytest.raises(AuthorizationFailed, match="other may not be used; QUOTEJOB_AUTHORIZATIONS"):
        applink.session("other", expired.org_id, nobody_there)
    assert applink.renewed(expired, replace(listed, authorization="other")) is None
