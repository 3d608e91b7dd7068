"""schemathesis asks the running API what openapi.yaml allows, and what it does not: no 5xx, no undocumented answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from cli.client import Api
from harness.org_reader import OrgReader
from harness.process import ROOT
from harness.stack import Stack

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


def test_the_served_document_is_the_one_in_the_repository(front_door: Api) -> None:
    """openapi.yaml is published to the org from the repository: both must say the same."""
    served = front_door.request("GET", "/openapi.yaml", headers={}).text
    assert served == DOCUMENT.read_text()
