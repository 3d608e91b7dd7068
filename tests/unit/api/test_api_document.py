"""openapi.yaml: it is what the code says, and within what Salesforce External Services accepts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from cryptography.fernet import Fernet

from api import create_app, openapi
from quotejob.jobs.job import Status
from quotejob.settings import Settings

DOCUMENT: dict[str, Any] = yaml.safe_load(openapi.document())
ERROR = {"$ref": "#/components/schemas/Error"}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method in sorted(methods.keys() - {"parameters"}):
            yield method, path, methods[method]


SUBMITTING = (
    "executeBatch",
    "executeBatchWithCallback",
    "submitJob",
    "datacreate",
    "datadelete",
    "retryFailedRecords",
    "runAfterDryRun",
)  # with an Idempotency-Key
JOB_CONFLICTS = (
    "abortJob", "resumeJob", "abortJobs", "resumeJobs", "retryFailedRecords", "getDryRun", "runAfterDryRun",
)  # fmt: skip
SCHEDULE_CONFLICTS = ("createSchedule", "updateSchedule", "pauseSchedule", "resumeSchedule", "runScheduleNow")
BY_ID = {operation["operationId"]: (method, path, operation) for method, path, operation in operations()}


def test_the_file_is_what_the_code_says() -> None:
    """Run bin/openapi when this fails."""
    assert openapi.PATH.read_text(encoding="utf-8") == openapi.document()


def test_it_is_served() -> None:
    """The same text at /openapi.yaml."""
    app = create_app(Settings(redis_url="redis://127.0.0.1:1/0", secret_keys=(Fernet.generate_key().decode(),)))
    answer = app.test_client().get("/openapi.yaml")
    assert answer.mimetype == "application/yaml"
    assert answer.text == openapi.document()


def test_the_operations_are_those_of_the_contract() -> None:
    """Their names become Apex methods, their status codes Apex members (Code202): neither may change."""
    found = {name: (method, path, min(operation["responses"])) for name, (method, path, operation) in BY_ID.items()}
    assert found == {
        "executeBatch": ("post", "/api/executebatch", "202"),
        "executeBatchWithCallback": ("post", "/api/executebatchwithcallback", "202"),
        "datacreate": ("post", "/api/data/create", "202"),
        "datadelete": ("post", "/api/data/delete", "202"),
        "getJob": ("get", "/api/jobs/{jobId}", "200"),
        "getJobStatus": ("get", "/api/jobs/{jobId}/status", "200"),
        "listJobs": ("get", "/api/jobs", "200"),
        "getJobSummary": ("get", "/api/jobs/summary", "200"),
        "getJobResults": ("get", "/api/jobs/{jobId}/results", "200"),
        "getJobFailures": ("get", "/api/jobs/{jobId}/failures", "200"),
        "getJobProgress": ("get", "/api/jobs/{jobId}/progress", "200"),
        "abortJob": ("post", "/api/jobs/{jobId}/abort", "200"),
        "resumeJob": ("post", "/api/jobs/{jobId}/resume", "202"),
        "retryFailedRecords": ("post", "/api/jobs/{jobId}/retry", "202"),
        "abortJobs": ("post", "/api/abortjobs", "200"),
        "resumeJobs": ("post", "/api/resumejobs", "200"),
        "getFlexQueue": ("get", "/api/flexqueue", "200"),
        "moveJobToFront": ("post", "/api/flexqueue/moveJobToFront", "200"),
        "moveJobToEnd": ("post", "/api/flexqueue/moveJobToEnd", "200"),
        "moveBeforeJob": ("post", "/api/flexqueue/moveBeforeJob", "200"),
        "moveAfterJob": ("post", "/api/flexqueue/moveAfterJob", "200"),
        "moveToPosition": ("post", "/api/flexqueue/moveToPosition", "200"),
        "createSchedule": ("post", "/api/schedules", "201"),
        "listSchedules": ("get", "/api/schedules", "200"),
        "getSchedule": ("get", "/api/schedules/{scheduleId}", "200"),
        "updateSchedule": ("patch", "/api/schedules/{scheduleId}", "200"),
        "pauseSchedule": ("post", "/api/schedules/{scheduleId}/pause", "200"),
        "resumeSchedule": ("post", "/api/schedules/{scheduleId}/resume", "200"),
        "runScheduleNow": ("post", "/api/schedules/{scheduleId}/run", "202"),
        "getAudit": ("get", "/api/audit", "200"),
        "getDiagnosis": ("get", "/api/diagnosis", "200"),
        "getDryRun": ("get", "/api/jobs/{jobId}/dryrun", "200"),
        "runAfterDryRun": ("post", "/api/jobs/{jobId}/run", "202"),
        "forecastJob": ("post", "/api/forecast", "200"),
        "listJobTypes": ("get", "/api/jobtypes", "200"),
        "submitJob": ("post", "/api/jobs", "202"),
        "deleteSchedule": ("delete", "/api/schedules/{scheduleId}", "200"),
    }


@pytest.mark.parametrize("name", BY_ID)
def test_an_operation_is_one_external_services_accepts(name: str) -> None:
    """OpenAPI 3.0, no response headers, no body on GET, JSON with a schema in every answer, an x-sfdc block."""
    method, _, operation = BY_ID[name]
    assert DOCUMENT["openapi"].startswith("3.0.")
    assert operation["summary"]
    assert operation["description"]
    assert set(operation["x-sfdc"]["heroku"]["authorization"]) == {"externalClientApp", "permissionSet"}
    assert method in ("post", "patch") or "requestBody" not in operation
    for status, answer in operation["responses"].items():
        assert "headers" not in answer
        assert answer["description"]
        assert list(answer["content"]) == ["application/json"]
        schema = answer["content"]["application/json"]["schema"]
        assert (schema == ERROR) == (status >= "400")


@pytest.mark.parametrize("name", BY_ID)
def test_an_operation_says_every_status_it_can_answer(name: str) -> None:
    """The common ones everywhere, its own where they can happen."""
    _, path, operation = BY_ID[name]
    own = {"429"} if name in (*SUBMITTING, "resumeJob", "createSchedule", "runScheduleNow") else set()
    own |= {"422"} if name in SUBMITTING else set()
    own |= {"404"} if "{jobId}" in path or "{scheduleId}" in path or name.startswith("move") else set()
    own |= {"409"} if name in (*JOB_CONFLICTS, *SCHEDULE_CONFLICTS) or name.startswith("move") else set()
    assert {status for status in operation["responses"] if status >= "400"} == own | {
        "400", "401", "403", "413", "414", "431", "500", "503",
    }  # fmt: skip


@pytest.mark.parametrize("name", BY_ID)
def test_every_parameter_is_described_and_none_is_the_context(name: str) -> None:
    """The AppLink mesh adds x-client-context; a declared one would be every Apex caller's to fill."""
    _, path, operation = BY_ID[name]
    parameters = operation.get("parameters", []) + DOCUMENT["paths"][path].get("parameters", [])
    for parameter in parameters:
        assert parameter["name"].lower() != "x-client-context"
        assert parameter["description"]
        assert parameter["schema"]["type"]
    assert "security" not in operation  # it would keep it from being an action of an agent
    assert DOCUMENT["security"] == [{"clientContext": []}]
    assert DOCUMENT["components"]["securitySchemes"]["clientContext"]["name"] == "x-client-context"


@pytest.mark.parametrize("name", BY_ID)
def test_swagger_ui_fills_in_only_what_is_needed(name: str) -> None:
    """It fills in each example. An optional filter with one would hide jobs; a body has one of its own."""
    _, _, operation = BY_ID[name]
    for parameter in operation.get("parameters", []):
        assert "example" not in {**parameter["schema"], **parameter}
    if "requestBody" in operation:
        assert "example" in operation["requestBody"]["content"]["application/json"]


def test_the_number_of_opportunities_is_a_described_parameter() -> None:
    """A default, and its limits."""
    [parameter] = [one for one in BY_ID["datacreate"][2]["parameters"] if one["name"] == "numberOfOpportunities"]
    assert parameter["in"] == "query"
    assert not parameter["required"]
    assert parameter["schema"] == {
        "type": "integer", "format": "int32", "default": 10, "minimum": 1, "maximum": 1_000_000,
    }  # fmt: skip


def test_words_are_closed_lists() -> None:
    """Statuses and job types are enumerations of strings, the words of AsyncApexJob."""
    job = DOCUMENT["components"]["schemas"]["Job"]["properties"]
    assert job["status"] == {"type": "string", "enum": list(Status)}
    assert job["jobType"]["type"] == "string"  # users have job types of their own
    assert "enum" not in job["jobType"]


def test_every_schema_is_used_and_every_answer_is_open() -> None:
    """A schema nobody uses would become an Apex class; a closed answer could not grow. Requests are closed."""
    text = yaml.safe_dump(DOCUMENT)
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert f"#/components/schemas/{name}" in text
        assert schema.get("additionalProperties") == (False if name.endswith("Request") else None)
