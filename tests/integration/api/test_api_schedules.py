"""The API's schedules on a real Redis and a real local org, through Flask's test client."""

from __future__ import annotations

import base64
import json
import logging
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from _api import accepted, applink_of, settings_of
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api import create_app
from harness.api import LocalOrg
from quotejob.jobtypes import registry
from quotejob.salesforce.caller import to18
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import client as store
from tasks.queues import key, waiting

NIGHTLY = {"name": "Nightly", "cronExpression": "0 0 22 ? * mon-fri", "soqlWhereClause": "Name != null"}
Ask = Callable[..., TestResponse]


@pytest.fixture(scope="module")
def settings(redis_url: str, local_org: LocalOrg) -> Iterator[Settings]:
    """With the local org as AppLink."""
    with settings_of(redis_url, **applink_of(local_org)) as settings:
        yield settings


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[FlaskClient]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield create_app(settings).test_client()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def ask(client: FlaskClient, settings: Settings, local_org: LocalOrg) -> Iterator[Ask]:
    """``ask("POST", "/pause", body)`` below /api/schedules, as the local org's user. What a test makes is deleted."""

    def make(
        method: str, path: str = "", body: Any = None, below: str = "/api/schedules", **changes: str
    ) -> TestResponse:
        document = {
            "requestId": "r", "orgId": local_org.org_id, "orgDomainUrl": local_org.url, "apiVersion": "66.0",
            "namespace": "", "accessToken": local_org.token,
            "userContext": {"userId": local_org.user_id, "username": "ann@acme.example"}, **changes,
        }  # fmt: skip
        header = {"x-client-context": base64.b64encode(json.dumps(document).encode()).decode()}
        sent: dict[str, Any] = {} if body is None else {"json": body}
        return client.open(f"{below}{path}", method=method, headers=header, **sent)

    def clean() -> None:
        schedules = Services.connected(settings).schedules
        for schedule in schedules.list_for_org(local_org.org_id):
            schedules.delete(schedule.schedule_id, local_org.org_id)

    clean()
    yield make
    clean()


def refused(response: TestResponse, status: int, field: str | None = None) -> str:
    """The error's message, after checking that it is one of ours and names the field."""
    assert response.status_code == status, response.text
    body = response.get_json()
    assert list(body) == ["code", "message", "details"]
    assert field is None or [detail["field"] for detail in body["details"]] == [field]
    return str(body["message"])


def test_a_schedule_is_created_and_seen(ask: Ask, local_org: LocalOrg) -> None:
    """201 with everything, the next five fire times among it; the same at getSchedule and listSchedules."""
    response = ask("POST", body=NIGHTLY | {"timeZone": "Europe/Zurich", "guaranteed": True})
    assert response.status_code == 201, response.text
    assert response.headers["Location"] == f"/api/schedules/{response.get_json()['scheduleId']}"
    schedule = response.get_json()
    at = f"/{schedule['scheduleId']}"
    assert ask("GET", at).get_json() == schedule
    assert ask("GET").get_json() == {"schedules": [schedule]}
    times = [datetime.fromisoformat(time) for time in schedule.pop("nextFireTimes")]
    assert len(times) == 5
    assert times == sorted(times)
    assert all(time > datetime.now(UTC) and time.weekday() < 5 for time in times)
    assert datetime.fromisoformat(schedule.pop("nextFireTime")) == times[0]
    assert str(uuid.UUID(schedule["scheduleId"])) == schedule.pop("scheduleId")
    assert schedule.pop("createdDate").endswith("Z")
    assert schedule.pop("createdByName")
    assert schedule == {
        "name": "Nightly", "state": "WAITING", "extendedStatus": None, "cronExpression": "0 0 22 ? * MON-FRI",
        "timeZone": "Europe/Zurich", "previousFireTime": None, "timesTriggered": 0, "timesSkipped": 0,
        "startTime": None, "endTime": None, "jobType": "BatchQuote", "soqlWhereClause": "Name != null",
        "numberOfOpportunities": None, "parameters": [], "commitBy": None, "misfire": "runOnce", "overlap": "skip",
        "guaranteed": True, "authorization": "worker", "lastJobId": None, "createdById": local_org.user_id,
    }  # fmt: skip


@pytest.mark.parametrize("guaranteed", [True, False])
@pytest.mark.parametrize("way", [("POST", "/pause"), ("DELETE", ""), ("PATCH", "")])
def test_the_slot_kept_for_a_schedule_is_given_away(
    ask: Ask, settings: Settings, local_org: LocalOrg, way: tuple[str, str], guaranteed: bool
) -> None:
    """A worker is told at once that the org has a slot, when one was kept."""
    schedule_id = ask("POST", body=NIGHTLY | {"guaranteed": guaranteed}).get_json()["scheduleId"]
    broker = store.connect(settings)
    broker.delete("control")
    body = {"guaranteed": False} if way[0] == "PATCH" else None
    assert ask(way[0], f"/{schedule_id}{way[1]}", body).status_code == 200
    told = key("quotejob.dispatch", {"org_id": local_org.org_id}) in waiting(broker)
    assert told == guaranteed
    broker.delete("control")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"cronExpression": "0 0 25 * * ?"}, "cronExpression"),
        ({"cronExpression": "0 0 0 30 2 ?"}, "cronExpression"),
        ({"cronExpression": 5}, "cronExpression"),
        ({"timeZone": "Mars/Base"}, "timeZone"),
        ({"name": ""}, "name"),
        ({"startTime": "2031-01-01T00:00:00"}, "startTime"),
        ({"startTime": "9999-12-31T23:59:59-12:00"}, "startTime"),
        ({"endTime": "0001-01-01T00:00:00+12:00"}, "endTime"),
        ({"endTime": "2020-01-01T00:00:00Z"}, "cronExpression"),
        ({"misfire": "twice"}, "misfire"),
        ({"overlap": "no"}, "overlap"),
        ({"guaranteed": "yes"}, "guaranteed"),
        ({"guaranteed": 1}, "guaranteed"),
        ({"guaranteed": []}, "guaranteed"),
        ({"numberOfOpportunities": "7"}, "numberOfOpportunities"),
        ({"numberOfOpportunities": True}, "numberOfOpportunities"),
        ({"numberOfOpportunities": 0}, "numberOfOpportunities"),
        ({"jobType": "Nothing"}, "jobType"),
        ({"jobType": "SampleDataDelete"}, "soqlWhereClause"),
        ({"soqlWhereClause": None}, "soqlWhereClause"),
        ({"soqlWhereClause": "Nonsense__c = 1"}, "soqlWhereClause"),
        ({"soqlWhereClause": "Name != null LIMIT 1"}, "soqlWhereClause"),
        ({"authorization": "../x"}, "authorization"),
        ({"authorization": "worker\n"}, "authorization"),
        ({"authorization": "unknown"}, "authorization"),
        ({"limit": 5}, "limit"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(ask: Ask, changes: dict[str, Any], field: str) -> None:
    """400 with the field, and nothing is kept."""
    refused(ask("POST", body=NIGHTLY | changes), 400, field)
    assert ask("GET").get_json() == {"schedules": []}


def test_the_field_of_the_expression_is_named(ask: Ask) -> None:
    """As a person reads it."""
    assert "Day_of_week" in refused(ask("POST", body=NIGHTLY | {"cronExpression": "0 0 0 ? * 9"}), 400)


def test_its_life(ask: Ask) -> None:
    """Paused, resumed, run now, deleted; what its state does not allow is a 409."""
    schedule = ask("POST", body=NIGHTLY).get_json()
    at = f"/{schedule['scheduleId']}"
    refused(ask("POST", body=NIGHTLY), 409)
    assert ask("POST", f"{at}/pause").get_json()["state"] == "PAUSED"
    refused(ask("POST", f"{at}/pause"), 409)
    resumed = ask("POST", f"{at}/resume").get_json()
    assert (resumed["state"], resumed["nextFireTime"]) == ("WAITING", schedule["nextFireTime"])
    refused(ask("POST", f"{at}/resume"), 409)
    run = ask("POST", f"{at}/run")
    accepted(run)
    after = ask("GET", at).get_json()
    assert (after["state"], after["lastJobId"], after["timesTriggered"]) == ("EXECUTING", run.get_json()["jobId"], 1)
    refused(ask("POST", f"{at}/run"), 409)
    assert ask("DELETE", at).get_json()["state"] == "DELETED"
    for method, path in [
        ("GET", ""),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("POST", "/run"),
        ("DELETE", ""),
        ("PATCH", ""),
    ]:
        refused(ask(method, at + path), 404)


def test_a_schedule_is_changed(ask: Ask) -> None:
    """Only what is sent; the answer is the schedule. Nothing sent changes nothing."""
    schedule = ask("POST", body=NIGHTLY | {"endTime": "2031-01-01T00:00:00Z"}).get_json()
    at = f"/{schedule['scheduleId']}"
    assert ask("PATCH", at, {}).get_json() == schedule
    assert ask("PATCH", at).get_json() == schedule
    changes = {"name": "Weekly", "soqlWhereClause": "Amount > 1", "overlap": "queue"}
    changed = ask("PATCH", at, changes)
    assert changed.status_code == 200, changed.text
    assert changed.get_json() == schedule | changes
    assert ask("PATCH", at, {"endTime": None}).get_json() == schedule | changes | {"endTime": None}
    assert ask("GET", at).get_json() == schedule | changes | {"endTime": None}
    moved = ask("PATCH", at, {"cronExpression": "0 0 3 * * ?", "timeZone": "Europe/Zurich"}).get_json()
    assert moved["nextFireTimes"] != schedule["nextFireTimes"]
    assert moved["nextFireTime"] == moved["nextFireTimes"][0]


def test_the_type_of_a_schedule_is_changed(ask: Ask) -> None:
    """A clause goes with a BatchQuote only; what no longer fits is dropped, what is missing is asked for."""
    at = f"/{ask('POST', body=NIGHTLY | {'commitBy': 'bulk'}).get_json()['scheduleId']}"

    def job() -> tuple[Any, ...]:
        found = ask("GET", at).get_json()
        return found["jobType"], found["soqlWhereClause"], found["numberOfOpportunities"], found["commitBy"]

    assert ask("PATCH", at, {"soqlWhereClause": "Amount > 1"}).status_code == 200
    assert job() == ("BatchQuote", "Amount > 1", None, "bulk")
    assert ask("PATCH", at, {"jobType": "SampleDataCreate"}).status_code == 200
    assert job() == ("SampleDataCreate", None, 10, None)
    assert ask("PATCH", at, {"numberOfOpportunities": 3}).status_code == 200
    assert job() == ("SampleDataCreate", None, 3, None)
    refused(ask("PATCH", at, {"soqlWhereClause": "Name != null"}), 400, "soqlWhereClause")
    refused(ask("PATCH", at, {"jobType": "BatchQuote"}), 400, "soqlWhereClause")
    assert ask("PATCH", at, {"jobType": "BatchQuote", "soqlWhereClause": "Amount > 2"}).status_code == 200
    assert job() == ("BatchQuote", "Amount > 2", None, None)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"cronExpression": "0 0 0 30 2 ?"}, "cronExpression"),
        ({"timeZone": "Mars"}, "timeZone"),
        ({"soqlWhereClause": None}, "soqlWhereClause"),
        ({"soqlWhereClause": "Name = 'x' ORDER BY Name"}, "soqlWhereClause"),
        ({"soqlWhereClause": "Nonsense__c = 1"}, "soqlWhereClause"),
        ({"endTime": "2020-01-01T00:00:00Z"}, "cronExpression"),
        ({"endTime": "tomorrow"}, "endTime"),
        ({"guaranteed": 1}, "guaranteed"),
        ({"misfire": "often"}, "misfire"),
        ({"authorization": "another_org"}, "authorization"),
        ({"scheduleId": str(uuid.uuid4())}, "scheduleId"),
        ({"state": "PAUSED"}, "state"),
    ],
)
def test_a_wrong_change_is_400(ask: Ask, changes: dict[str, Any], field: str) -> None:
    """The checks of createSchedule; the field is named, and nothing is changed."""
    schedule = ask("POST", body=NIGHTLY).get_json()
    at = f"/{schedule['scheduleId']}"
    refused(ask("PATCH", at, changes if "name" in changes else {**changes, "name": "Changed"}), 400, field)
    assert ask("GET", at).get_json() == schedule


def test_another_orgs_schedule_is_not_there(ask: Ask) -> None:
    """Nor is one whose id is none."""
    at = f"/{ask('POST', body=NIGHTLY).get_json()['scheduleId']}"
    refused(ask("GET", at, orgId=to18("00DAAAAAAAAAAAA")), 401)
    refused(ask("PATCH", at, {"name": "Mine"}, orgId=to18("00DAAAAAAAAAAAA")), 401)
    refused(ask("GET", "/nonsense"), 404)
    refused(ask("PATCH", "/nonsense", {"name": "Mine"}), 404)
    refused(ask("GET", f"/{uuid.uuid4()}"), 404)


def test_sample_data_by_the_clock(ask: Ask) -> None:
    """A job type without a clause, with its number."""
    body = {
        "name": "Sample",
        "cronExpression": "0 0 0 L * ?",
        "jobType": "SampleDataCreate",
        "numberOfOpportunities": 7,
    }
    schedule = ask("POST", body=body).get_json()
    assert (schedule["jobType"], schedule["numberOfOpportunities"], schedule["soqlWhereClause"]) == (
        "SampleDataCreate", 7, None,
    )  # fmt: skip


# -- job types of users --------------------------------------------------------------------------------------------

RENEWALS = """
from marshmallow import Schema, fields, validate
from quotejob import JobType, Row, updates

class Account(Row, frozen=True, kw_only=True):
    Name: str

class Parameters(Schema):
    months = fields.Integer(required=True, validate=validate.Range(1, 60))
    regions = fields.List(fields.String(), load_default=list)

class YearlyRenewals(JobType[Account]):
    parameters = Parameters
    writes = (updates("Account", "Rating"),)
    def start(self, context):
        return context.where or "Name != null"
    def execute(self, records, context):
        return (one.update(Rating="Hot") for one in records)
"""
MONTHS = [{"name": "months", "value": "24"}]
GIVEN = [*MONTHS, {"name": "regions", "value": "EU"}, {"name": "regions", "value": "US"}]
YEARLY = {"name": "Yearly", "cronExpression": "0 0 22 ? * MON-FRI", "jobType": "YearlyRenewals", "parameters": GIVEN}


@pytest.fixture
def _a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job type of a user, in a package that QUOTEJOB_JOBS would name."""
    name = f"acme_{uuid.uuid4().hex}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text(RENEWALS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_HANDLERS", dict(registry._HANDLERS))
    registry.load([name])


@pytest.mark.usefixtures("_a_package")
def test_a_job_type_of_a_user_fires_with_its_parameters(ask: Ask, settings: Settings) -> None:
    """They are shown by the schedule and by the jobs: that of its fire time, and that of runScheduleNow."""
    made = ask("POST", body=YEARLY | {"overlap": "queue"})
    assert made.status_code == 201, made.text
    schedule = made.get_json()
    at = f"/{schedule['scheduleId']}"
    assert (schedule["jobType"], schedule["parameters"], schedule["soqlWhereClause"]) == ("YearlyRenewals", GIVEN, None)
    assert ask("GET", at).get_json() == schedule
    assert ask("GET").get_json()["schedules"] == [schedule]
    now = ask("POST", f"{at}/run").get_json()["jobId"]
    services = Services.connected(settings)
    services.firing.tick(datetime.fromisoformat(schedule["nextFireTime"]) + timedelta(seconds=1))
    fired = ask("GET", at).get_json()["lastJobId"]
    assert fired != now
    for job_id in (now, fired):
        job = ask("GET", f"/{job_id}", below="/api/jobs").get_json()
        assert (job["jobType"], job["parameters"], job["soqlWhereClause"]) == ("YearlyRenewals", GIVEN, None)
        assert services.jobs.abort(job_id).parameters == (("months", "24"), ("regions", "EU"), ("regions", "US"))


@pytest.mark.usefixtures("_a_package")
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"parameters": []}, "parameters.months"),
        ({"parameters": [{"name": "months", "value": "61"}]}, "parameters.months"),
        ({"parameters": [*MONTHS, *MONTHS]}, "parameters.months"),
        ({"parameters": [*MONTHS, {"name": "weeks", "value": "1"}]}, "parameters.weeks"),
        ({"parameters": "months=24"}, "parameters"),
        ({"soqlWhereClause": "Name = 'x' LIMIT 1"}, "soqlWhereClause"),
        ({"jobType": "SampleDataDelete"}, "parameters"),
        ({"jobType": "BatchQuote", "soqlWhereClause": "Name != null"}, "parameters.months"),
        ({"jobType": "../x"}, "jobType"),
        ({"jobType": "yearlyrenewals"}, "jobType"),
    ],
)
def test_what_does_not_fit_a_job_type_is_named(ask: Ask, changes: dict[str, Any], field: str) -> None:
    """As at submitJob, before anything is kept; the same when a schedule is changed."""
    response = ask("POST", body=YEARLY | changes)
    assert field in [detail["field"] for detail in response.get_json()["details"]], response.text
    refused(response, 400)
    schedule = ask("POST", body=YEARLY).get_json()
    refused(ask("PATCH", f"/{schedule['scheduleId']}", {"parameters": GIVEN} | changes), 400)
    assert ask("GET").get_json() == {"schedules": [schedule]}


@pytest.mark.usefixtures("_a_package")
def test_the_parameters_of_a_schedule_are_changed(ask: Ask) -> None:
    """They stay if they are not sent, and go with their job type."""
    at = f"/{ask('POST', body=YEARLY).get_json()['scheduleId']}"
    assert ask("PATCH", at, {"soqlWhereClause": "Name = 'Acme'"}).get_json()["parameters"] == GIVEN
    changed = ask("PATCH", at, {"parameters": MONTHS}).get_json()
    assert (changed["parameters"], changed["soqlWhereClause"]) == (MONTHS, "Name = 'Acme'")
    refused(ask("PATCH", at, {"jobType": "BatchQuote"}), 400, "soqlWhereClause")
    assert ask("PATCH", at, {"jobType": "SampleDataDelete"}).get_json()["parameters"] == []


@pytest.mark.usefixtures("_a_package")
def test_a_fire_waits_for_a_process_that_knows_its_job_type(
    ask: Ask, settings: Settings, local_org: LocalOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The schedule says what to do. Once the job type is there again, the same fire makes its job."""
    schedule = ask("POST", body=YEARLY).get_json()
    at, services, known = f"/{schedule['scheduleId']}", Services.connected(settings), registry._HANDLERS
    due = datetime.fromisoformat(schedule["nextFireTime"]) + timedelta(seconds=1)
    without = {name: handler for name, handler in known.items() if name != "YearlyRenewals"}
    monkeypatch.setattr(registry, "_HANDLERS", without)
    assert services.firing.tick(due) == []
    waiting = ask("GET", at).get_json()
    assert (waiting["state"], waiting["timesTriggered"], waiting["parameters"]) == ("WAITING", 1, GIVEN)
    assert "does not know the job type YearlyRenewals now. Add its module to QUOTEJOB_JOBS" in waiting["extendedStatus"]
    assert "QUOTEJOB_JOBS" in refused(ask("POST", f"{at}/run"), 409)
    refused(ask("PATCH", at, {"parameters": MONTHS}), 400, "jobType")
    monkeypatch.setattr(registry, "_HANDLERS", known)
    assert services.firing.tick(due) == [local_org.org_id]
    job = services.jobs.get(waiting["lastJobId"])
    assert (job.job_type, job.parameters[0]) == ("YearlyRenewals", ("months", "24"))
    assert ask("GET", at).get_json()["extendedStatus"] is None
    services.jobs.abort(job.job_id)
