"""heroku-applink for Python, unmodified: authorization by the add-on's API, query, rows, unit of work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from _clients import OPPORTUNITIES
from heroku_applink.authorization import Authorization
from heroku_applink.data_api import DataAPI
from heroku_applink.data_api.exceptions import SalesforceRestApiError
from heroku_applink.data_api.record import Record, RecordQueryResult
from heroku_applink.data_api.unit_of_work import UnitOfWork

from harness.api import LocalOrg
from harness.org_reader import OrgReader


@pytest.fixture
def with_api(org: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[DataAPI], Awaitable[Any]]], Any]:
    """``with_api(work)``: runs work with the Data API of the add-on's authorization named worker."""
    monkeypatch.setenv("HEROKU_APPLINK_API_URL", f"{org.url}/localorg/applink")
    monkeypatch.setenv("HEROKU_APPLINK_TOKEN", "any")
    monkeypatch.setenv("HEROKU_APP_ID", "4f3f8c4e-0000-4000-8000-000000000000")

    async def run(work: Callable[[DataAPI], Awaitable[Any]]) -> Any:
        authorization = await Authorization.find("worker", attachment_or_url="HEROKU_APPLINK")
        try:
            return await work(authorization.data_api)
        finally:
            await authorization.connection.close()

    return lambda work: asyncio.run(run(work))


@pytest.fixture(autouse=True)
def _fresh_configuration() -> None:
    """The SDK remembers the first add-on it found in the environment."""
    from heroku_applink import authorization

    authorization._resolve_addon_config_by_attachment_or_color.cache_clear()


def test_the_authorization(org: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEROKU_APPLINK_BLUE_API_URL", f"{org.url}/localorg/applink")
    monkeypatch.setenv("HEROKU_APPLINK_BLUE_TOKEN", "any")
    monkeypatch.setenv("HEROKU_APP_ID", "4f3f8c4e-0000-4000-8000-000000000000")

    async def find() -> Authorization:
        found = await Authorization.find("local", attachment_or_url="blue")
        await found.connection.close()
        return found

    found = asyncio.run(find())
    assert found.status == "authorized"
    assert (found.org.id, found.org.developer_name, found.org.type) == (org.org_id, "local", "SalesforceOrg")
    assert (found.org.instance_url, found.org.user_auth.user_id) == (org.url, org.user_id)
    assert "@" in found.org.user_auth.username


def test_query_and_query_more(with_api: Callable[..., Any]) -> None:
    soql = "SELECT Id, Name, Account.Name FROM Opportunity WHERE Name LIKE 'Opportunity %' ORDER BY Id"

    async def work(api: DataAPI) -> list[RecordQueryResult]:
        first = await api.query(soql)
        second = await api.query_more(first)
        return [first, second, await api.query_more(second)]

    first, second, third = with_api(work)
    assert (first.done, first.total_size, len(first.records)) == (False, OPPORTUNITIES, 2000)
    assert (second.done, len(second.records)) == (True, OPPORTUNITIES - 2000)
    assert (third.done, third.records) == (True, [])
    record = first.records[0]
    assert (record.type, record.fields["Account"].type) == ("Opportunity", "Account")
    assert len({record.get("Id") for record in first.records + second.records}) == OPPORTUNITIES


def test_children_of_several_pages(with_api: Callable[..., Any], account: str, many_children: int, name: str) -> None:
    soql = f"SELECT Id, (SELECT Name FROM Opportunities ORDER BY Name) FROM Account WHERE Id = '{account}'"

    async def work(api: DataAPI) -> list[str]:
        page = (await api.query(soql)).records[0].sub_query_results["Opportunities"]
        assert (page.total_size, page.done) == (many_children, False)
        names = [record.get("Name") for record in page.records]
        while not page.done:
            page = await api.query_more(page)
            names += [record.get("Name") for record in page.records]
        return names

    assert with_api(work) == [f"{name} {number:04}" for number in range(many_children)]


def test_rows(with_api: Callable[..., Any], reader: OrgReader, name: str) -> None:
    async def work(api: DataAPI) -> str:
        made = await api.create(Record(type="Account", fields={"Name": name, "AnnualRevenue": 3}))
        assert await api.update(Record(type="Account", fields={"Id": made, "BillingCity": "Bern"})) == made
        gone = await api.create(Record(type="Account", fields={"Name": name}))
        assert await api.delete("Account", gone) == gone
        with pytest.raises(SalesforceRestApiError) as missing:
            await api.create(Record(type="Account", fields={"BillingCity": "Rom"}))
        [error] = missing.value.api_errors
        assert (error.error_code, error.fields) == ("REQUIRED_FIELD_MISSING", ["Name"])
        with pytest.raises(SalesforceRestApiError) as bad:
            await api.query("SELECT Nonsense__c FROM Account")
        assert bad.value.api_errors[0].error_code == "INVALID_FIELD"
        return str(made)

    made = with_api(work)
    rows = [
        (row["Id"], row["BillingCity"])
        for row in reader.query(f"SELECT Id, BillingCity FROM Account WHERE Name = '{name}'")
    ]
    assert rows == [(made, "Bern")]


def test_unit_of_work_with_references(with_api: Callable[..., Any], reader: OrgReader, name: str) -> None:
    async def work(api: DataAPI) -> None:
        old = await api.create(Record(type="Account", fields={"Name": f"{name} old"}))
        unit = UnitOfWork()
        account = unit.register_create(Record(type="Account", fields={"Name": name}))
        deal = unit.register_create(
            Record(
                type="Opportunity",
                fields={"Name": name, "AccountId": account, "StageName": "Prospecting", "CloseDate": "2027-01-31"},
            )
        )
        changed = unit.register_update(Record(type="Account", fields={"Id": old, "ParentId": account}))
        doomed = unit.register_create(Record(type="Account", fields={"Name": f"{name} doomed"}))
        result = await api.commit_unit_of_work(unit)
        assert result.keys() == {account, deal, changed, doomed}
        assert (result[deal][:3], result[changed]) == ("006", old)
        unit = UnitOfWork()
        gone = unit.register_delete("Account", result[doomed])
        assert await api.commit_unit_of_work(unit) == {gone: result[doomed]}

    with_api(work)
    [row] = reader.query(f"SELECT Name, Account.Name FROM Opportunity WHERE Name = '{name}'")
    assert row["Account"]["Name"] == name
    [old] = reader.query(f"SELECT Parent.Name FROM Account WHERE Name = '{name} old'")
    assert old["Parent"]["Name"] == name
    assert reader.count(f"SELECT COUNT() FROM Account WHERE Name = '{name} doomed'") == 0


def test_a_failed_unit_of_work_leaves_nothing(with_api: Callable[..., Any], reader: OrgReader, name: str) -> None:
    async def work(api: DataAPI) -> list[str]:
        unit = UnitOfWork()
        account = unit.register_create(Record(type="Account", fields={"Name": name}))
        unit.register_create(Record(type="Opportunity", fields={"Name": name, "AccountId": account}))
        with pytest.raises(SalesforceRestApiError) as failed:
            await api.commit_unit_of_work(unit)
        return [error.error_code for error in failed.value.api_errors]

    assert with_api(work) == ["PROCESSING_HALTED", "REQUIRED_FIELD_MISSING"]
    assert reader.count(f"SELECT COUNT() FROM Account WHERE Name = '{name}'") == 0
