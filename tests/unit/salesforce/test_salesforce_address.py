"""Where an org is, and that its token does not show."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from quotejob.errors import OrgNotAllowed, SessionExpired
from quotejob.salesforce import OrgAddress, OrgClient

TOKEN = "00D000000000001!SECRET"


@dataclass(frozen=True)
class Caller:
    org_domain_url: str = "https://example.my.salesforce.com"
    access_token: str = TOKEN
    api_version: str = "66.0"
    org_id: str = "00D000000000001AAA"


def test_an_address_comes_from_a_callers_context() -> None:
    """All of the context that matters here, and nothing else."""
    address = OrgAddress.of(Caller())
    assert address == OrgAddress("https://example.my.salesforce.com", TOKEN, "66.0", "00D000000000001AAA")
    assert (address.scheme, address.host, address.is_loopback) == ("https", "example.my.salesforce.com", False)


def test_the_token_shows_nowhere() -> None:
    """Not in the repr of the address, nor of a gateway or its parts."""
    org = OrgClient(OrgAddress.of(Caller()))
    assert TOKEN not in repr([org.address, org, org._connection, org._connection.wire])


@pytest.mark.parametrize("version", ["66.0", "v66.0", "V66.0"])
def test_versions_are_taken_with_and_without_a_v(version: str) -> None:
    """A caller's context says 66.0, an address bar v66.0."""
    assert OrgAddress("https://x", TOKEN, version).api_version == "66.0"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8025", "http://localhost", "http://[::1]:8025/", "HTTP://127.1.2.3:1"]
)
def test_http_is_for_this_machine(url: str) -> None:
    """The local org has no certificate."""
    assert OrgAddress(url, TOKEN).is_loopback


@pytest.mark.parametrize(
    "url",
    [
        "http://example.my.salesforce.com",
        "http://127.0.0.1.example.com",
        "http://128.0.0.1",
        "ftp://127.0.0.1",
        "example.my.salesforce.com",
        "",
        "https://",
        "https://user:password@example.com",
        "https://example.com\\@evil.example",
        "https://exam ple.com",
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    """Refused before any request, whatever checks came before."""
    with pytest.raises(OrgNotAllowed):
        _ = OrgAddress(url, TOKEN).host


@pytest.mark.parametrize("version", ["", "66", "latest", "66.0/../x", "66.0\n"])
def test_a_version_that_is_none_is_refused(version: str) -> None:
    """It becomes part of every path."""
    with pytest.raises(OrgNotAllowed):
        OrgAddress("https://x", TOKEN, version)


@pytest.mark.parametrize("version", ["20.0", "30.0", "45.0", "49.0"])
def test_a_version_before_composite_graphs_is_refused_at_once(version: str) -> None:
    """It would fail when the first Quote is written."""
    with pytest.raises(OrgNotAllowed, match=f"{version} has no composite graphs.*50.0 or later"):
        OrgAddress("https://x", TOKEN, version)


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "tökén"])
def test_text_that_cannot_be_a_token_is_refused(token: str) -> None:
    """And is not quoted: it may be most of one."""
    with pytest.raises(SessionExpired) as caught:
        OrgAddress("https://x", token)
    assert not token or token not in str(caught.value)


@pytest.mark.parametrize("version", ["٦٦.0", "６６.0", "66.٠", "66", "66.0.0", "6", ""])
def test_a_version_is_two_numbers_of_digits_0_to_9(version: str) -> None:
    with pytest.raises(OrgNotAllowed, match="apiVersion"):
        OrgAddress("https://x", TOKEN, version)
