"""The clients over https, with nothing between them and the org: they only have to trust its certificate."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from _clients import Node, Sf, Untyped
from simple_salesforce import Salesforce

from harness.api import LocalOrg
from harness.stack import Stack

pytestmark = pytest.mark.timeout(1000)  # the first test may have to install the clients


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalOrg]:
    """`python -m localorg --tls`."""
    with Stack(tmp_path_factory.mktemp("tls")) as stack:
        yield stack.start_org(0, "--tls", "--opportunities", "3")


@pytest.fixture(scope="module")
def certificate(secure: LocalOrg, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The org's certificate, as a user would save it."""
    where = urlsplit(secure.url)
    file = tmp_path_factory.mktemp("certificate") / "localorg.pem"
    file.write_text(ssl.get_server_certificate((str(where.hostname), where.port or 443)))
    return file


def test_simple_salesforce(secure: LocalOrg, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    sf: Untyped = Salesforce(session_id=secure.token, instance_url=secure.url)
    made = sf.Account.create({"Name": "From simple-salesforce"})
    assert sf.Account.get(made["id"])["Name"] == "From simple-salesforce"
    [result] = sf.bulk2.Account.insert(records=[{"Name": "A"}, {"Name": "B"}], wait=0.05)
    assert result["numberRecordsProcessed"] == 2
    sf.session.close()


def test_jsforce(secure: LocalOrg, certificate: Path, node: Node) -> None:
    given = {"url": secure.url, "token": secure.token, "soql": "SELECT Id, Name FROM Opportunity"}
    found = node.run("jsforce_rows.count", given, NODE_EXTRA_CA_CERTS=str(certificate))
    assert found == 3


def test_sf(secure: LocalOrg, certificate: Path, node: Node, tmp_path: Path) -> None:
    sf = Sf(Node(node.program, tmp_path), secure.token, {"NODE_EXTRA_CA_CERTS": str(certificate)})
    sf("org", "login", "access-token", "--instance-url", secure.url, "--set-default", "--no-prompt")
    assert sf("data", "query", "--query", "SELECT Id FROM Opportunity")["totalSize"] == 3
