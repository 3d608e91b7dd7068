"""A fault befalls the requests it was ordered for, and no others."""

from __future__ import annotations

from typing import Any

import pytest

from localorg.lab.faults import KINDS, BadFault, Fault, Faults, objects_in


def _hits(spec: dict[str, Any], times: int = 20) -> list[bool]:
    faults = Faults()
    faults.add(spec)
    return [faults.match("POST", "composite/graph", {"Quote"}) is not None for _ in range(times)]


def test_without_count_or_probability_every_matching_request_is_hit() -> None:
    """Until the faults are cleared."""
    assert all(_hits({"kind": "lock"}))


def test_a_count_is_used_up() -> None:
    """The next so many matching requests are hit, then none."""
    assert _hits({"kind": "lock", "count": 3}) == [True] * 3 + [False] * 17


def test_a_probability_draws_the_same_numbers_for_the_same_seed() -> None:
    """A run with faults by chance can be repeated."""
    spec = {"kind": "slow", "probability": 0.5, "seed": 7}
    first = _hits(spec, 200)
    assert first == _hits(spec, 200)
    assert first != _hits({**spec, "seed": 8}, 200)
    assert 60 < sum(first) < 140
    assert not any(_hits({**spec, "probability": 0}))


@pytest.mark.parametrize(
    ("match", "hit"),
    [
        ({}, True),
        (None, True),
        ({"method": "POST"}, True),
        ({"method": "post"}, True),
        ({"method": "GET"}, False),
        ({"resource": "composite/graph"}, True),
        ({"resource": "composite/*"}, True),
        ({"resource": "query"}, False),
        ({"object": "quote"}, True),
        ({"object": "QuoteLineItem"}, False),
        ({"method": "POST", "resource": "query", "object": "Quote"}, False),
    ],
)
def test_all_of_a_match_has_to_fit(match: dict[str, str] | None, hit: bool) -> None:
    """Method, resource and object, as shell patterns in any letter case."""
    assert _hits({"kind": "lock", "match": match}, 1) == [hit]


def test_a_request_that_does_not_match_uses_nothing_up() -> None:
    """Neither the count nor a random number."""
    faults = Faults()
    faults.add({"kind": "limit", "count": 1, "match": {"resource": "query"}})
    assert faults.match("GET", "limits") is None
    fault = faults.match("GET", "query")
    assert fault is not None
    assert (fault.kind, fault.hits, fault.count) == ("limit", 1, 0)


def test_the_oldest_fault_goes_first() -> None:
    """A request meets one fault at most."""
    faults = Faults()
    faults.add({"kind": "slow", "count": 1})
    faults.add({"kind": "lock", "count": 1})
    met = [faults.match("GET", "query") for _ in range(3)]
    assert [fault and fault.kind for fault in met] == ["slow", "lock", None]


def test_an_expired_session_stays_expired_until_the_faults_are_cleared() -> None:
    """Only a new token helps. By itself the fault ends one session, not every new one too."""
    faults = Faults()
    assert faults.add({"kind": "expire_session"}).count == 1
    faults.expire("a")
    assert (faults.expired("a"), faults.expired("b")) == (True, False)
    faults.clear()
    assert not faults.expired("a")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({}, "kind is None; the kinds are slow"),
        ({"kind": "flood"}, "kind is 'flood'"),
        ({"kind": "lock", "often": 3}, "a fault has no often"),
        ({"kind": "lock", "match": {"path": "/"}}, "a match has no path"),
        ({"kind": "lock", "match": "query"}, "a match is a JSON object"),
        ({"kind": "lock", "match": {"object": 1}}, "match.object is a text, not 1"),
        ({"kind": "lock", "count": 0}, "count is a whole number from 1 on, not 0"),
        ({"kind": "lock", "count": True}, "count is a whole number"),
        ({"kind": "lock", "probability": 1.5}, "probability is a number from 0 to 1, not 1.5"),
        ({"kind": "slow", "seconds": -1}, "seconds is a number from 0 on, not -1"),
        ({"kind": "slow", "seconds": "1"}, "seconds is a number from 0 on, not '1'"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_with_the_reason(spec: dict[str, Any], said: str) -> None:
    """The sentence says what to change."""
    with pytest.raises(BadFault) as refused:
        Fault.of(spec)
    assert str(refused.value).startswith(said)


def test_every_kind_can_be_ordered_and_shown() -> None:
    """What was ordered is shown as it stands."""
    faults = Faults()
    for kind in KINDS:
        faults.add({"kind": kind})
    assert [fault["kind"] for fault in faults.body()["faults"]] == list(KINDS)


@pytest.mark.parametrize(
    ("text", "objects"),
    [
        ("/services/data/v66.0/sobjects/Account/001", {"Account"}),
        ("SELECT Id, (SELECT Id FROM OpportunityLineItems) from Opportunity", {"OpportunityLineItems", "Opportunity"}),
        ('{"url": "/services/data/v66.0/sobjects/Quote", "method": "POST"}', {"Quote"}),
        ('{"object" : "Account", "operation": "insert"}', {"Account"}),
        ('{"attributes": {"type": "Account"}}', {"Account"}),
        ("nothing", set()),
    ],
)
def test_the_objects_of_a_request_are_found_in_its_text(text: str, objects: set[str]) -> None:
    """In a path, a query or a JSON body."""
    assert objects_in(text) == objects
