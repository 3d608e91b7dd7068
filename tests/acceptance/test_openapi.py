"""schemathesis asks the running API what openapi.yaml allows, and what it does not: no 5xx, no undocumented answer."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, settings
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from harness.api import Api
from harness.org_reader import OrgReader
from harness.process import ROOT
from harness.stack import Stack
from harness.terminal import write_org

DOCUMENT = ROOT / "openapi.yaml"
# Every check schemathesis has but these two: what the org makes of a clause, or which cursors were given out, no schema
# can say; and a 413 for a text that is too long counts there as accepting it.
NOT_ASKED: list[CheckFunction] = [positive_data_acceptance, negative_data_rejection]


@pytest.fixture(scope="module")
def front_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Web, Redis and local org, but no worker: a million sample Opportunities are accepted and never made."""
    extra = {"QUOTEJOB_HOLDING_JOBS": "10000"}
    with Stack(tmp_path_factory.mktemp("front"), extra=extra) as stack:
        stack.start_redis()
        org = stack.start_org()
        stack.start_web()
        yield Api(stack.web_url, org, OrgReader(org).username())
        stack.check()


schema = schemathesis.openapi.from_path(DOCUMENT)


@schema.parametrize()
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_documented(case: schemathesis.Case[Any], front_door: Api) -> None:
    """With a good caller's context: what comes back is in the document, and never a 5xx."""
    response = case.call(base_url=front_door.url, headers=front_door.context(), timeout=30)
    case.validate_response(response, excluded_checks=NOT_ASKED)


@schema.parametrize()
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_without_a_context(case: schemathesis.Case[Any], front_door: Api) -> None:
    """With any header schemathesis makes up, or none: documented too."""
    response = case.call(base_url=front_door.url, timeout=30)
    case.validate_response(response, excluded_checks=NOT_ASKED)


OPERATIONS: list[tuple[str, str, dict[str, Any]]] = [
    (method.upper(), path, operation)
    for path, methods in yaml.safe_load(DOCUMENT.read_text())["paths"].items()
    for method, operation in methods.items()
    if method != "parameters"
]


def prefilled(operation: dict[str, Any]) -> dict[str, Any]:
    """The query and body that Swagger UI fills in: each example and each default there is."""
    query = {}
    for parameter in operation.get("parameters", []):
        filled = {**parameter["schema"], **parameter}
        value = filled.get("example", filled.get("default"))
        if parameter["in"] == "query" and value is not None:
            query[parameter["name"]] = value
    if "requestBody" not in operation:
        return {"params": query}
    return {"params": query, "json": operation["requestBody"]["content"]["application/json"]["example"]}


def executed(api: Api, name: str, **ids: str) -> Any:
    """The answer to Execute in Swagger UI, with what it fills in; path parts by name."""
    [(method, path, operation)] = [one for one in OPERATIONS if one[2]["operationId"] == name]
    answer = api.request(method, path.format(**ids), **prefilled(operation))
    assert answer.ok, f"{name}: {answer.text}"
    return answer.json()


def test_what_swagger_ui_fills_in_can_be_executed(front_door: Api) -> None:
    """Every operation succeeds as it is filled in; the others say by {jobId} or {scheduleId} that they need an id.

    A callback needs an address of the caller's own org, which the document cannot know.
    """
    for schedule in front_door.get("/api/schedules")["schedules"]:
        front_door.request("DELETE", f"/api/schedules/{schedule['scheduleId']}")  # names are unique
    made = {}
    for _, path, operation in OPERATIONS:
        if "{" not in path and not operation["operationId"].startswith(("move", "executeBatchWithCallback")):
            made[operation["operationId"]] = executed(front_door, operation["operationId"])
    assert len(made) == 15
    for name in ("getJob", "getJobResults", "abortJob", "resumeJob"):
        executed(front_door, name, jobId=made["executeBatch"]["jobId"])
    for name in ("getSchedule", "pauseSchedule", "resumeSchedule", "runScheduleNow", "deleteSchedule"):
        executed(front_door, name, scheduleId=made["createSchedule"]["scheduleId"])


@pytest.mark.parametrize("name", ["moveJobToFront", "moveJobToEnd", "moveBeforeJob", "moveAfterJob"])
def test_a_move_says_what_it_needs(front_door: Api, name: str) -> None:
    """Its example names what belongs there. Sent as it is, the answer says where ids come from."""
    [(method, path, operation)] = [one for one in OPERATIONS if one[2]["operationId"] == name]
    filled = prefilled(operation)
    assert set(filled["json"].values()) == {"the id of a Holding job, from getFlexQueue"}
    answer = front_door.request(method, path, **filled)
    assert (answer.status_code, answer.json()["code"]) == (404, "JOB_NOT_FOUND")
    assert "listJobs gives the ids" in answer.json()["message"]


def test_in_the_demo_the_header_is_filled_in(tmp_path: Path) -> None:
    """With the demo's own org only, as bin/demo notes it once the API runs; the header that /docs gets works."""
    note = tmp_path / "org.json"
    with Stack(tmp_path, extra={"QUOTEJOB_DEMO_ORG": str(note)}) as stack:
        stack.start_redis()
        org = stack.start_org()
        stack.start_web()
        api = Api(stack.web_url, org)
        assert api.request("GET", "/docs/context", headers={}).status_code == 204
        write_org(tmp_path, org, stack.web_url)
        header = api.get("/docs/context", headers={})
        assert json.loads(base64.b64decode(header["x-client-context"]))["orgDomainUrl"] == org.url
        assert api.get("/api/jobs", headers=header)["jobs"] == []


def test_the_served_document_is_the_one_in_the_repository(front_door: Api) -> None:
    """openapi.yaml is published to the org from the repository: both must say the same."""
    served = front_door.request("GET", "/openapi.yaml", headers={}).text
    assert served == DOCUMENT.read_text()
