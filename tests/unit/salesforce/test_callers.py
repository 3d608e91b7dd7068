"""The caller's context: what the mesh sends is read, anything else is refused without repeating it."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from quotejob.errors import OrgNotAllowed, Unauthenticated
from quotejob.salesforce.caller import CallerContext, check_org, from_header, to18
from quotejob.salesforce.session import seal, unseal
from quotejob.settings import Settings

SETTINGS = Settings(redis_url="redis://127.0.0.1", secret_keys=())
TOKEN = "00DRO0000000001!AQEAQ.secret_part"
DOCUMENT: dict[str, Any] = {
    "requestId": "00DRO0000000001-req",
    "orgId": "001D000000IRFma".replace("001", "00D"),
    "orgDomainUrl": "https://acme.my.salesforce.com/",
    "apiVersion": "66.0",
    "namespace": "",
    "accessToken": TOKEN,
    "userContext": {"userId": "005RO0000000001", "username": "u@acme.org"},
}


def header(document: Any) -> str:
    return base64.b64encode(json.dumps(document).encode()).decode()


def test_a_context_is_read() -> None:
    """All of it, ids in their 18-character form, without a slash at the address's end."""
    context = from_header(header(DOCUMENT))
    assert context.org_id == to18(DOCUMENT["orgId"])
    assert len(context.user_id) == 18
    assert context.org_domain_url == "https://acme.my.salesforce.com"
    assert (context.access_token, context.api_version, context.username) == (TOKEN, "66.0", "u@acme.org")
    assert TOKEN not in repr(context)


@given(st.text(st.characters(codec="utf-8", categories=("L", "N", "S")), max_size=40))
def test_every_form_of_base64_is_read(name: str) -> None:
    """As the SDKs of the mesh read it: also without padding, in the alphabet of URLs, with blanks around it."""
    raw = json.dumps(DOCUMENT | {"userContext": {"userId": "005RO0000000001", "username": name}}, ensure_ascii=False)
    usual, of_urls = base64.b64encode(raw.encode()).decode(), base64.urlsafe_b64encode(raw.encode()).decode()
    expected = from_header(usual)
    for form in (usual.rstrip("="), of_urls, of_urls.rstrip("="), f" {usual}\t"):
        assert from_header(form) == expected


@pytest.mark.parametrize(
    "given_id", ["001D000000IRFmaIAH", "01gRO0000016PIAYA2", "006R0000003FPYxIAO", "7506g00000DhRA2AAN"]
)
def test_ids_get_the_platforms_checksum(given_id: str) -> None:
    """Ids printed in Salesforce's own guides."""
    assert to18(given_id[:15]) == given_id
    assert to18(given_id) == given_id


@pytest.mark.parametrize(
    "change",
    [
        {"orgId": None},
        {"orgId": "001D000000IRFma"},
        {"orgId": "00DD000000IRFmaAAA"},
        {"orgId": 5},
        {"orgDomainUrl": None},
        {"orgDomainUrl": "https://x\n.my.salesforce.com"},
        {"apiVersion": "v66.0"},
        {"apiVersion": "66.0/../.."},
        {"accessToken": ""},
        {"accessToken": "a b"},
        {"accessToken": "a\r\nx: y"},
        {"userContext": None},
        {"userContext": {"userId": "x"}},
        {"requestId": "x" * 201},
    ],
)
def test_a_malformed_context_is_refused(change: dict[str, Any]) -> None:
    """401, and the message never repeats a value."""
    with pytest.raises(Unauthenticated) as refusal:
        from_header(header(DOCUMENT | change))
    assert all(str(value) not in str(refusal.value) for value in change.values() if isinstance(value, str) and value)


@given(
    st.one_of(
        st.none(), st.text(), st.binary().map(lambda raw: base64.b64encode(raw).decode()), st.text("aA=", max_size=9000)
    )
)
def test_nothing_else_gets_through(value: str | None) -> None:
    """Whatever stands in the header, the answer is Unauthenticated."""
    with pytest.raises(Unauthenticated):
        from_header(value)


@pytest.mark.parametrize(
    "url",
    [
        "https://acme.my.salesforce.com",
        "https://acme--dev.sandbox.my.salesforce.com",
        "https://a.my.salesforce.com:443",
    ],
)
def test_salesforce_hosts_are_allowed(url: str) -> None:
    """Production, sandbox, scratch org: all below my.salesforce.com."""
    check_org(url, SETTINGS)


@pytest.mark.parametrize(
    "url",
    [
        "http://acme.my.salesforce.com",
        "https://my.salesforce.com",
        "https://evilmy.salesforce.com",
        "https://acme.my.salesforce.com.evil.example",
        "https://acme.my.salesforce.com@evil.example",
        "https://user:x@acme.my.salesforce.com",
        "https://acme.my.salesforce.com/path",
        "https://acme.my.salesforce.com?x",
        "https://acme.my.salesforce.com:8443",
        "https://acme.my.salesforce.com:99999",
        "https://127.0.0.1",
        "http://localhost:8025",
        "http://169.254.169.254",
        "https://[::1",
        "https://evil.example\\.my.salesforce.com",
        "",
    ],
)
def test_every_other_address_is_refused(url: str) -> None:
    """An address is the attacker's until it is https on an allowed host and nothing more."""
    with pytest.raises(OrgNotAllowed):
        check_org(url, SETTINGS)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://127.0.0.1:8025", True),
        ("http://localhost:8025", True),
        ("http://[::1]:8025", True),
        ("http://169.254.169.254", False),
        ("http://127.0.0.1.evil.example", False),
        ("http://2130706433:8025", False),
    ],
)
def test_loopback_is_for_local_orgs_only(url: str, allowed: bool) -> None:
    """QUOTEJOB_LOCAL_ORG=1 opens loopback, and nothing else."""
    local = replace(SETTINGS, local_org=True)
    if allowed:
        check_org(url, local)
    else:
        with pytest.raises(OrgNotAllowed):
            check_org(url, local)


def test_the_type_hides_its_token() -> None:
    """Also after a copy."""
    context = from_header(header(DOCUMENT))
    assert TOKEN not in repr(replace(context, namespace="x"))
    assert isinstance(context, CallerContext)


def test_what_a_newer_version_seals_is_read() -> None:
    """While versions run side by side: a field that this one does not know is passed over."""
    key = Fernet.generate_key()
    settings = replace(SETTINGS, secret_keys=(key.decode(),))
    context = from_header(header(DOCUMENT))
    assert unseal(seal(context, settings), settings) == context
    newer = Fernet(key).encrypt(json.dumps(asdict(context) | {"region": "EU"}).encode())
    assert unseal(newer, settings) == context
