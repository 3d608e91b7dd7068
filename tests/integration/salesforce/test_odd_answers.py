"""Odd answers: of another form than was asked for. Each counts as a lost answer, wherever it is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from _scripted import Reply, Server

from quotejob.errors import OrgUnreachable
from quotejob.jobtypes import sample_data
from quotejob.jobtypes.quotes import plan, writer
from quotejob.pricing import load_rules
from quotejob.salesforce import Graph, Node, OrgClient

pytestmark = pytest.mark.usefixtures("fresh_pool")
RULES = Path(__file__).resolve().parents[3] / "pricing.yaml"
ODD_BODIES = [
    b"null",
    b"7",
    b'"x"',
    b"[]",
    b"{}",
    b"[null]",
    b'{"graphs": null}',
    b'{"graphs": [null]}',
    b'{"records": 7}',
]
RESPONSES: list[Any] = [
    None,
    {"compositeResponse": None},
    {"compositeResponse": []},
    {"compositeResponse": [None]},
    *(
        {"compositeResponse": [{"referenceId": "q", "httpStatusCode": 201, "body": b}]}
        for b in (None, {}, {"id": None})
    ),
]
GRAPHS_WITHOUT = [{"graphs": [{"graphId": "g", "isSuccessful": True, "graphResponse": each}]} for each in RESPONSES]


@pytest.mark.parametrize("body", [*ODD_BODIES, *GRAPHS_WITHOUT])
def test_an_odd_answer_to_a_write_is_a_lost_answer(server: Server, body: Any) -> None:
    """The key tells what was written; an error of Python would fail the job although all is there."""
    with pytest.raises(OrgUnreachable):
        server.org(Reply(body)).send_graphs([Graph("g", [Node("q", "POST", "Quote", {"Name": "x"})])])


READERS: list[Callable[[OrgClient], Any]] = [
    OrgClient.whoami,
    lambda org: list(org.query("SELECT Id FROM Quote")),
    lambda org: list(org.query_together(["SELECT Id FROM Quote"])),
    lambda org: writer.written(org, "key", ["006000000000001AAA"]),
    lambda org: plan.check_org(job_of(org), load_rules(RULES)),
    lambda org: list(plan._records(job_of(org), 200)),
    lambda org: sample_data._check_key_field(job_of(org)),
    lambda org: list(sample_data._ids_of_samples(job_of(org))),
    lambda org: list(sample_data._ids_of_quotes(job_of(org), ["006000000000001AAA"])),
]


@pytest.mark.parametrize("body", ODD_BODIES)
@pytest.mark.parametrize("read", READERS)
def test_an_odd_answer_to_a_question_is_a_lost_answer(
    server: Server, read: Callable[[OrgClient], Any], body: bytes
) -> None:
    """The step is tried again. It does not end with an error of Python."""
    with pytest.raises(OrgUnreachable):
        read(server.org(Reply(body), retry_for=0))


@pytest.mark.parametrize("row", [None, 7, {}, [], "x"])
@pytest.mark.parametrize("read", READERS[2:])
def test_a_row_without_its_fields_is_a_lost_answer(server: Server, read: Callable[[OrgClient], Any], row: Any) -> None:
    with pytest.raises(OrgUnreachable):
        read(server.org(Reply({"done": True, "records": [row]}), retry_for=0))


def job_of(org: OrgClient) -> Any:
    """A run of a Quote job, as far as these functions look at it."""
    return SimpleNamespace(
        org=org,
        id="j",
        job=SimpleNamespace(retry_of=None, after_dry_run=None, soql_where_clause="Name = 'x'"),
        progress=SimpleNamespace(note=lambda *_: None),
    )
