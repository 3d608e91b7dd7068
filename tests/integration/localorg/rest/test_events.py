"""Platform events over HTTP: published by every way rows are written, kept by none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _people import as_user
from _server import DATA, Server, start_server

SCHEMA = """
objects:
  JobProgress__e:
    label: Job Progress
    plural: Job Progress
    fields:
      JobId__c: {type: string, length: 64}
      Progress__c: {type: double, precision: 3, scale: 0, required: true}
      Done__c: {type: boolean}
"""


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    file = Path(tmp_path_factory.mktemp("schema"), "events.yaml")
    file.write_text(SCHEMA, "utf-8")
    running = start_server("--schema", str(file))
    yield running
    assert running.stop() == 0


def published(org: Server) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = org.get("/localorg/events", params={"name": "JobProgress__e"}).json()["events"]
    return events


def enqueued(result: dict[str, Any]) -> str:
    """The uuid of an event whose publication was answered like this."""
    assert result["success"] is True
    assert len(result["id"]) == 18
    (said,) = result["errors"]
    assert (said["statusCode"], said["fields"]) == ("OPERATION_ENQUEUED", [])
    return str(said["message"])


def test_a_published_event_is_enqueued(org: Server) -> None:
    answer = org.post("sobjects/JobProgress__e", {"JobId__c": "j1", "Progress__c": 12.5})
    assert answer.status_code == 201
    last = published(org)[-1]
    assert last["event"]["EventUuid"] == enqueued(answer.json())
    assert last["payload"]["Progress__c"] == 13.0
    assert (last["payload"]["JobId__c"], last["payload"]["Done__c"]) == ("j1", False)
    assert last["payload"]["CreatedById"] == org.user_id


def test_events_are_published_by_composite_collections_graph_and_batch(org: Server) -> None:
    before = len(published(org))
    event = {"Progress__c": 1}
    path = f"{DATA}/sobjects/JobProgress__e"
    node = {"referenceId": "e", "method": "POST", "url": path, "body": event}
    made = [
        org.post("composite", {"compositeRequest": [node]}).json()["compositeResponse"][0]["body"],
        org.post("composite/sobjects", {"records": [{"attributes": {"type": "JobProgress__e"}, **event}]}).json()[0],
        org.post("composite/batch", {"batchRequests": [{"method": "POST", "url": path, "richInput": event}]}).json()[
            "results"
        ][0]["result"],
        org.post("composite/graph", {"graphs": [{"graphId": "g", "compositeRequest": [node]}]}).json()["graphs"][0][
            "graphResponse"
        ]["compositeResponse"][0]["body"],
    ]
    assert [each["event"]["EventUuid"] for each in published(org)[before:]] == [enqueued(each) for each in made]


def test_an_event_stays_sent_when_the_rest_is_undone(org: Server) -> None:
    before = len(published(org))
    parts = [
        {"referenceId": "e", "method": "POST", "url": f"{DATA}/sobjects/JobProgress__e", "body": {"Progress__c": 1}},
        {"referenceId": "x", "method": "POST", "url": f"{DATA}/sobjects/Account", "body": {}},
    ]
    results = org.post("composite", {"compositeRequest": parts, "allOrNone": True}).json()["compositeResponse"]
    assert results[0]["body"][0]["errorCode"] == "PROCESSING_HALTED"
    assert len(published(org)) == before + 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "REQUIRED_FIELD_MISSING"),
        ({"Progress__c": 1, "Bogus__c": 1}, "INVALID_FIELD"),
        ({"Progress__c": "much"}, "JSON_PARSER_ERROR"),
        ({"Progress__c": 1000}, "NUMBER_OUTSIDE_VALID_RANGE"),
        ({"Progress__c": 1, "JobId__c": "x" * 65}, "STRING_TOO_LONG"),
        ({"Progress__c": 1, "ReplayId": "1"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ([], "JSON_PARSER_ERROR"),
    ],
)
def test_a_wrong_event_is_refused(org: Server, body: Any, code: str) -> None:
    answer = org.post("sobjects/JobProgress__e", body)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)


def test_events_are_described_and_nothing_else(org: Server) -> None:
    assert org.get("sobjects/JobProgress__e").status_code == 200
    names = [field["name"] for field in org.get("sobjects/JobProgress__e/describe").json()["fields"]]
    assert {"ReplayId", "EventUuid", "Progress__c"} <= set(names)
    record = {"attributes": {"type": "JobProgress__e"}, "id": "e01xx0000000001AAA", "Progress__c": 1}
    tree = {"attributes": {"type": "JobProgress__e", "referenceId": "r"}, "Progress__c": 1}
    for answer in (
        org.get("sobjects/JobProgress__e/e01xx0000000001AAA"),
        org.get("sobjects/JobProgress__e/JobId__c/x"),
        org.patch("sobjects/JobProgress__e/e01xx0000000001AAA", {}),
        org.patch("sobjects/JobProgress__e/JobId__c/x", {}),
        org.delete("sobjects/JobProgress__e/e01xx0000000001AAA"),
        org.get("sobjects/JobProgress__e/updated?start=2026-01-01T00:00:00Z&end=2027-01-01T00:00:00Z"),
        org.get("query", params={"q": "SELECT Progress__c FROM JobProgress__e"}),
        org.get("composite/sobjects/JobProgress__e?ids=e01xx0000000001AAA&fields=Progress__c"),
        org.patch("composite/sobjects/JobProgress__e/Id", {"records": [record]}),
        org.post("composite/tree/JobProgress__e", {"records": [tree]}),
    ):
        assert answer.status_code in (400, 404), (answer.request.url, answer.text)
    made = org.patch("composite/sobjects", {"records": [record]}).json()
    assert made[0]["success"] is False
    counts = org.get("limits/recordCount").json()["sObjects"]
    assert "JobProgress__e" not in [each["name"] for each in counts]


def test_a_reader_publishes_nothing(org: Server) -> None:
    answer = as_user(org, "Read Only").post("sobjects/JobProgress__e", {"Progress__c": 1})
    assert answer.status_code == 403
