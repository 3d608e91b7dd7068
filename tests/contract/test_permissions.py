"""What users with fewer rights than the administrator see, through simple-salesforce, unmodified."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
from _clients import Untyped, content, http_session
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceError, SalesforceRefusedRequest

from harness.api import LocalOrg
from harness.org_reader import OrgReader


@pytest.fixture
def login(org: LocalOrg) -> Callable[[str], Untyped]:
    """``login("Read Only")``: simple-salesforce as the user with this profile."""
    users = requests.get(f"{org.url}/localorg/users", timeout=10).json()["users"]
    names = {user["profile"]: user["username"] for user in users}

    def log_in(profile: str) -> Untyped:
        client = {"consumer_key": "key", "consumer_secret": "secret"}
        words: dict[str, Any] = {"username": names[profile], "password": "any", **client}
        return Salesforce(**words, session=http_session(org))

    return log_in


def test_a_read_only_user_reads(login: Callable[[str], Untyped], account: str, name: str) -> None:
    sf = login("Read Only")
    assert sf.query(f"SELECT Name FROM Account WHERE Id = '{account}'")["records"][0]["Name"] == name
    with pytest.raises(SalesforceRefusedRequest) as refused:
        sf.Account.update(account, {"Site": "new"})
    assert content(refused)[0]["errorCode"] == "INSUFFICIENT_ACCESS_OR_READONLY"
    with pytest.raises(SalesforceRefusedRequest):
        sf.Account.create({"Name": name})


def test_a_standard_user_writes_and_is_named(login: Callable[[str], Untyped], reader: OrgReader, name: str) -> None:
    sf = login("Standard User")
    made = sf.Account.create({"Name": name})["id"]
    [row] = reader.query(f"SELECT CreatedById, Owner.Username FROM Account WHERE Id = '{made}'")
    assert (row["CreatedById"], row["Owner"]["Username"]) == (
        sf.oauth2("userinfo")["user_id"],
        sf.oauth2("userinfo")["preferred_username"],
    )


def test_hard_delete_needs_a_permission(login: Callable[[str], Untyped], reader: OrgReader, account: str) -> None:
    with pytest.raises(SalesforceError):
        login("Standard User").bulk2.Account.hard_delete(records=[{"Id": account}], wait=0.05)
    assert reader.count(f"SELECT COUNT() FROM Account WHERE Id = '{account}'") == 1
    login("Standard User").bulk2.Account.delete(records=[{"Id": account}], wait=0.05)
    assert reader.count(f"SELECT COUNT() FROM Account WHERE Id = '{account}'") == 0
