"""Packing: every quote in one batch, in order; full batches, and the last round cut for the places there are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotejob.jobtypes.quotes.packing import LEAST_NODES, MOST_EXTRA, Size, batches, evenly, shared_out
from quotejob.run.progress import Batch
from quotejob.salesforce import MAX_NODES


def sizes(nodes: list[int]) -> list[Size]:
    return [Size(str(number // 200), f"006{number}", count) for number, count in enumerate(nodes)]


def is_packed(packed: list[Batch], given_sizes: list[Size]) -> None:
    """Each quote is in one batch, in order, and no batch is too large."""
    assert [key for batch in packed for ids in batch.values() for key in ids] == [
        size.opportunity_id for size in given_sizes
    ]
    weight = {size.opportunity_id: size.nodes for size in given_sizes}
    for batch in packed:
        keys = [key for ids in batch.values() for key in ids]
        assert len(keys) == 1 or sum(weight[key] for key in keys) <= MAX_NODES


@given(st.lists(st.integers(1, 700), max_size=400), st.integers(0, 30))
def test_each_quote_is_in_one_batch_and_no_batch_is_too_large(nodes: list[int], places: int) -> None:
    """In the order of the pages; more requests than needed are few; a batch is cut only when there are places."""
    given_sizes = sizes(nodes)
    packed, full = batches(given_sizes, places), batches(given_sizes, 0)
    is_packed(packed, given_sizes)
    assert len(packed) <= len(full) + max(MOST_EXTRA, len(full) // 2) + 1
    if places:
        rounds = -(-len(full) // places)
        assert len(packed) <= max(rounds * places, len(full)) + 1


@pytest.mark.parametrize(
    ("quotes", "places", "count"),
    [
        (5000, 0, 31),  # 166 quotes of three nodes in each
        (5000, 23, 46),  # 23 full ones, and 23 for the rest
        (5000, 25, 46),  # no more than half as many again
        (5000, 31, 31),
        (150, 23, 5),
        (50, 23, 2),  # smaller ones are not worth a request
        (3, 23, 1),
        (0, 23, 0),
    ],
)
def test_the_last_round_fills_the_places(quotes: int, places: int, count: int) -> None:
    packed = batches(sizes([3] * quotes), places)
    assert len(packed) == count
    smallest = min((sum(3 for ids in batch.values() for _ in ids) for batch in packed), default=LEAST_NODES)
    assert smallest >= min(LEAST_NODES, quotes * 3)


@given(st.lists(st.integers(1, 700), max_size=300), st.integers(1, 60))
def test_batches_of_one_size(nodes: list[int], count: int) -> None:
    """Each quote in one of them, in order, none too large."""
    given_sizes = sizes(nodes)
    packed = evenly(given_sizes, count)
    is_packed(packed, given_sizes)


@pytest.mark.parametrize(
    ("waves", "counts"),
    [
        ([2000, 2000, 1000], [17, 15, 8]),  # nearly all places at once, then one round of 23
        ([2000, 1000], [15, 8]),  # one round
        ([2000, 2000, 4000, 8000, 4000], [17, 13, 25, 51, 26]),  # then five rounds
    ],
)
def test_a_job_of_several_waves_is_shared_out(waves: list[int], counts: list[int]) -> None:
    shares = shared_out(3 * waves[0], 3 * sum(waves), 23)
    assert shares is not None
    found = [shares.first]
    found += [shares.count(3 * sum(waves[1:wave]), 3 * waves[wave]) for wave in range(1, len(waves))]
    assert found == counts
    for wave, count in zip(waves, found, strict=True):
        assert len(evenly(sizes([3] * wave), count)) == count


@pytest.mark.parametrize(("first", "total", "places"), [(6000, 6000, 23), (6000, 15000, 0), (6000, 18000, 23)])
def test_a_job_that_is_not_shared_out(first: int, total: int, places: int) -> None:
    """It has one wave; it is not known how many may be written at a time; or it would take too many requests."""
    assert shared_out(first, total, places) is None
