"""The forecast of a job, beside the requests that the real job counts."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _api import Headers, accepted, refused
from _runs import forget_org, run_to_end
from flask.testing import FlaskClient
from own_jobs import harmful, renewing

from harness.api import LocalOrg
from harness.org_reader import OrgReader
from quotejob.asking import forecast
from quotejob.jobtypes import registry
from quotejob.run.gate import Gate
from quotejob.services import Services
from quotejob.settings import Settings, current
from quotejob.store import keys

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def services(settings: Settings, local_org: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """The stores that the tasks of this process use too."""
    monkeypatch.setenv("QUOTEJOB_SECRET_KEY", settings.secret_keys[0])
    monkeypatch.setenv("QUOTEJOB_LOCAL_ORG", "1")
    monkeypatch.setattr(Gate, "enter", lambda *_, **__: True)  # no worker takes the messages: their steps run here
    current.cache_clear()
    made = Services.connected(settings)
    made.client.delete(keys.INSIDE)  # steps of tests before
    forget_org(made, local_org)
    yield made
    forget_org(made, local_org)
    current.cache_clear()


@pytest.fixture
def ask(client: FlaskClient, headers: Headers) -> Ask:
    """``ask(clause)``: the forecast."""

    def post(clause: str, **more: Any) -> dict[str, Any]:
        answer = client.post("/api/forecast", json={"soqlWhereClause": clause, **more}, headers=headers())
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.get_json()
        return body

    return post


def make(local_org: LocalOrg, name: str, count: int) -> None:
    """Write so many Opportunities of 0 to 10 lines, by composite graphs as the org takes them."""
    org, rng = OrgReader(local_org), random.Random(count)
    entry = next(org.query("SELECT Id, Pricebook2Id FROM PricebookEntry WHERE Pricebook2.IsStandard = true LIMIT 1"))
    accounts = [row["Id"] for row in org.query("SELECT Id FROM Account LIMIT 40")]
    line = {"PricebookEntryId": entry["Id"], "Quantity": 1, "UnitPrice": 100}
    deal = {"Name": name, "StageName": "Prospecting", "CloseDate": "2027-02-27", "Pricebook2Id": entry["Pricebook2Id"]}
    for start in range(0, count, 40):
        nodes = []
        for number in range(start, min(start + 40, count)):
            deal["AccountId"] = accounts[number % len(accounts)]
            nodes.append(org.node(f"o{number}", "Opportunity", deal))
            under = {"OpportunityId": f"@{{o{number}.id}}", **line}
            nodes += [org.node(f"l{number}x{at}", "OpportunityLineItem", under) for at in range(rng.randint(0, 10))]
        org.graph(nodes)


@pytest.mark.parametrize("count", [100, 2_500])
def test_calls_are_those_of_the_real_job(
    count: int, ask: Ask, client: FlaskClient, headers: Headers, local_org: LocalOrg, services: Services
) -> None:
    """100 are counted exactly, 2,500 from totals within 3 %. The forecast takes two requests. Nothing is submitted."""
    name = f"Forecast {count}"
    make(local_org, name, count)
    org = OrgReader(local_org)
    org.reset_stats()
    found = ask(f"Name = '{name}'")
    queries = org.stats()["requests"]["total"]
    assert (found["records"], found["pages"], found["orgCalls"]) == (count, -(-count // 200), 2)
    assert queries <= 3  # and once who the caller is
    job_id = accepted(client.post("/api/executebatch", json={"soqlWhereClause": f"Name = '{name}'"}, headers=headers()))
    [job] = run_to_end(services, job_id)
    error = abs(found["calls"]["total"] - job.api_calls) / job.api_calls
    assert error <= (0.03 if count > 2_000 else 0), (found["calls"], job.api_calls)
    assert (job.forecast_calls, found["basis"]) == (found["calls"]["total"], "latency")
    again = ask(f"Name = '{name}'")
    assert again["basis"] == "earlierRuns"
    assert again["seconds"]["low"] <= again["seconds"]["expected"] <= again["seconds"]["high"]
    summary = client.get("/api/jobs/summary", headers=headers()).get_json()["forecasts"]
    assert summary["count"] == 1
    assert summary["medianCallsErrorShare"] == pytest.approx(error, abs=0.001)


def test_a_nested_clause_is_forecast_by_a_sample(ask: Ask) -> None:
    found = ask("AccountId IN (SELECT Id FROM Account) AND Name = 'Nobody'")
    assert (found["records"], found["orgCalls"]) == (0, 1)
    assert found["warnings"][0]["code"] == "NOTHING_MATCHES"


def test_a_sample_stands_for_all(ask: Ask, local_org: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of 90 are exact like those of a plain clause; 30 of them as a sample are near."""
    make(local_org, "Nested", 90)
    nested = "Name = 'Nested' AND AccountId IN (SELECT Id FROM Account WHERE Name != null)"
    plain = ask("Name = 'Nested'")
    assert ask(nested)["calls"] == plain["calls"]
    monkeypatch.setattr(forecast, "SAMPLE", 30)
    sampled = ask(nested)
    assert sampled["records"] == 90
    assert sampled["orgCalls"] == 2
    assert sampled["calls"]["write"] == pytest.approx(plain["calls"]["write"], abs=1)


def test_a_dry_run_writes_nothing(ask: Ask, local_org: LocalOrg) -> None:
    make(local_org, "Dry", 5)
    assert ask("Name = 'Dry'", dryRun=True)["calls"]["write"] == 0
    assert ask("Name = 'Dry'")["calls"]["write"] > 0


def test_the_allocation_and_what_is_kept(ask: Ask, local_org: LocalOrg) -> None:
    """The header of the org's answer has the figures; what is kept is taken off; too little left is a warning."""
    make(local_org, "Kept", 3)
    plain = ask("Name = 'Kept'")["allocation"]
    assert plain["left"] == plain["limit"] - plain["used"]
    assert plain["kept"] == 0
    kept = plain["limit"] - plain["used"] - 3
    tight = ask("Name = 'Kept'", keepApiCalls=kept)
    assert tight["allocation"]["kept"] == kept
    assert "BELOW_KEPT" in [each["code"] for each in tight["warnings"]]


@pytest.fixture
def of_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some job types of users, in this process only."""
    monkeypatch.setattr(registry, "_HANDLERS", dict(registry._HANDLERS))
    registry.add(renewing.Renewing)
    registry.add(renewing.Sweeping)
    registry.add(harmful.Away)


@pytest.mark.usefixtures("of_users")
@pytest.mark.parametrize(("job_type", "count"), [("Renewing", 90), ("Renewing", 2_500), ("Sweeping", 450)])
def test_calls_of_a_job_of_users_are_those_of_the_real_one(
    job_type: str, count: int, ask: Ask, client: FlaskClient, headers: Headers, local_org: LocalOrg, services: Services
) -> None:
    """A sample of its records is decided by its code. Up to a page that is exact, then within 2 %."""
    name = f"Own {job_type} {count}"
    make(local_org, name, count)
    body: dict[str, Any] = {"jobType": job_type, "soqlWhereClause": f"Name = '{name}'"}
    if job_type == "Renewing":
        body["parameters"] = [{"name": "stage", "value": "Qualification"}]
    found = ask(body.pop("soqlWhereClause"), **body)
    assert (found["records"], found["orgCalls"], found["basis"]) == (count, 2, "latency")
    body["soqlWhereClause"] = f"Name = '{name}'"
    [job] = run_to_end(services, accepted(client.post("/api/jobs", json=body, headers=headers())))
    assert job.failed == 0
    error = abs(found["calls"]["total"] - job.api_calls) / job.api_calls
    assert error <= (0.02 if count > 200 else 0), (found["calls"], job.api_calls)
    assert job.forecast_calls == found["calls"]["total"]


@pytest.mark.usefixtures("of_users")
def test_a_job_of_users_that_cannot_decide_is_refused(client: FlaskClient, headers: Headers) -> None:
    """Wrong parameters name themselves; the org's own words come back for a wrong clause."""
    for body, field in (
        ({"jobType": "Renewing", "soqlWhereClause": "Id != null", "parameters": [{"name": "no", "value": "1"}]}, "no"),
        ({"jobType": "Renewing", "soqlWhereClause": "NoSuchField = 1"}, "soqlWhereClause"),
        ({"jobType": "Renewing"}, "soqlWhereClause"),
    ):
        answer = client.post("/api/forecast", json=body, headers=headers())
        assert refused(answer, 400)["details"][0]["field"].endswith(field)


@pytest.mark.usefixtures("of_users")
def test_a_job_of_users_that_asks_to_wait_is_a_fault_that_passes(client: FlaskClient, headers: Headers) -> None:
    """In start, and in what is decided of the first records."""
    for method in ("start", "execute"):
        body = {"jobType": "Away", "parameters": [{"name": "method", "value": method}]}
        refused(client.post("/api/forecast", json=body, headers=headers()), 503)


@pytest.mark.parametrize("job_type", ["SampleDataCreate", "SampleDataDelete"])
def test_sample_data_has_no_forecast_and_the_answer_says_so(
    job_type: str, client: FlaskClient, headers: Headers
) -> None:
    """It is a job type, so that it is called unknown would be wrong."""
    for path in ("/api/forecast", "/api/jobs"):
        [wrong] = refused(client.post(path, json={"jobType": job_type}, headers=headers()), 400)["details"]
        assert wrong["field"] == "jobType"
        assert wrong["message"].startswith(f"{job_type} has operations of its own, datacreate and datadelete; no fore")


def test_wrong_requests(client: FlaskClient, headers: Headers) -> None:
    """Each names its field and says what to do."""
    for body, field in (
        ({}, "soqlWhereClause"),
        ({"soqlWhereClause": "Id != null LIMIT 1"}, "soqlWhereClause"),
        ({"soqlWhereClause": "NoSuchField = 1"}, "soqlWhereClause"),
        ({"soqlWhereClause": "Id != null", "jobType": "Nonsense"}, "jobType"),
        ({"soqlWhereClause": "Id != null", "keepApiCalls": -1}, "keepApiCalls"),
        ({"soqlWhereClause": "Id != null", "keepApiCalls": True}, "keepApiCalls"),
        ({"soqlWhereClause": "Id != null", "keepApiCall": 1}, "keepApiCall"),
    ):
        answer = client.post("/api/forecast", json=body, headers=headers())
        assert refused(answer, 400)["details"][0]["field"] == field
