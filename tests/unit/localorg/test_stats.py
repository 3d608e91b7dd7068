"""Requests have short names, and what they did is added up."""

from __future__ import annotations

import pytest

from localorg.lab.stats import Stats, Work, resource

V = "/services/data/v66.0"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/services/data", "versions"),
        ("/services/data/", "versions"),
        (V, "resources"),
        (f"{V}/query", "query"),
        (f"{V}/query/", "query"),
        (f"{V}/queryAll/", "queryAll"),
        (f"{V}/QUERYALL", "queryAll"),
        (f"{V}/tooling/query", "tooling/query"),
        (f"{V}/query/01gB000003OCxSPIA1-2000", "query/more"),
        (f"{V}/sobjects", "sobjects"),
        (f"{V}/sobjects/Account/", "sobjects"),
        (f"{V}/sobjects/Quote/QuoteJobKey__c/a/b", "sobjects"),
        (f"{V}/sobjects/Account/describe", "sobjects/describe"),
        (f"{V}/composite", "composite"),
        (f"{V}/composite/graph", "composite/graph"),
        (f"{V}/composite/sobjects/Account", "composite/sobjects"),
        (f"{V}/jobs/ingest", "jobs/ingest"),
        (f"{V}/jobs/ingest/750000000000001AAA", "jobs/ingest"),
        (f"{V}/jobs/ingest/750000000000001AAA/batches/", "jobs/ingest/batches"),
        (f"{V}/jobs/ingest/750000000000001AAA/successfulResults", "jobs/ingest/results"),
        (f"{V}/jobs/ingest/750000000000001AAA/unprocessedrecords/", "jobs/ingest/results"),
        (f"{V}/jobs/query/750000000000001AAA/results", "jobs/query/results"),
        (f"{V}/limits", "limits"),
        ("/services/oauth2/userinfo", "userinfo"),
        ("/id/00D000000000001AAA/005000000000001AAA", "identity"),
        ("/", "other"),
        (f"{V}/nothing/of/the/kind", "other"),
    ],
)
def test_a_request_has_a_short_name(path: str, name: str) -> None:
    """The names stats, costs and faults know resources by."""
    assert resource("GET", path) == name


def test_a_query_that_is_only_explained_has_a_name_of_its_own() -> None:
    """A query plan reads no rows and is counted apart."""
    assert resource("GET", f"{V}/query", explain=True) == "query/explain"
    assert resource("GET", f"{V}/limits", explain=True) == "limits"


def test_what_requests_did_is_added_up() -> None:
    """Requests by resource, rows written by object, rows read."""
    stats = Stats()
    for _ in range(2):
        work = Work(rows_read=3)
        work.write("Quote")
        work.write("QuoteLineItem", 4)
        stats.note("composite/graph", work)
    stats.note("query", Work(rows_read=10))
    stats.wrote({"Account": 200, "User": 0})
    assert stats.body() == {
        "requests": {"total": 3, "byResource": {"composite/graph": 2, "query": 1}},
        "recordsWritten": {"Account": 200, "Quote": 2, "QuoteLineItem": 8},
        "rowsRead": 16,
        "peakInFlight": 0,
    }


def test_the_peak_is_the_most_requests_there_were_at_a_time() -> None:
    """A reset forgets the peak, but not the requests that are under way."""
    stats = Stats()
    stats.enter()
    stats.enter()
    stats.enter()
    stats.leave()
    assert stats.body()["peakInFlight"] == 3
    stats.reset()
    assert stats.body()["peakInFlight"] == 2
    stats.leave()
    stats.leave()
    stats.enter()
    assert stats.body()["peakInFlight"] == 2
