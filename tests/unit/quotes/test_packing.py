"""Packing: every quote in one batch, in order; full batches, and the last round cut for the places there are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotejob.jobtypes.batches.packing import LEAST_NODES, MOST_EXTRA, Size, batches, evenly, shared_out
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
        ([2000, 2000, 1000], [19, 15, 9]),  # all places but five, then one round of 24
        ([2000, 1000], [16, 8]),  # one round
        ([2000, 2000, 4000, 8000, 4000], [19, 13, 27, 53, 27]),  # then five rounds
    ],
)
def test_a_job_of_several_waves_is_shared_out(waves: list[int], counts: list[int]) -> None:
    shares = shared_out(3 * waves[0], 3 * sum(waves), 24)
    assert shares is not None
    found = [len(evenly(sizes([3] * waves[0]), shares.first))]
    for wave in range(1, len(waves)):
        of_wave, start = sizes([3] * waves[wave]), 3 * sum(waves[1:wave])
        packed = shares.cut(of_wave, start)
        is_packed(packed, of_wave)
        assert len(packed) == shares.count(start, 3 * waves[wave])
        found.append(len(packed))
    assert found == counts


def test_what_begins_early_is_full() -> None:
    """The first batches of the second wave take the places that the first wave left, so all end together."""
    shares = shared_out(6_000, 15_000, 24)
    assert shares is not None
    packed = [sum(3 for ids in batch.values() for _ in ids) for batch in shares.cut(sizes([3] * 2_000), 0)]
    assert packed[:5] == [498] * 5
    assert max(packed[5:]) - min(packed[5:]) <= 3
    assert 340 <= max(packed[5:]) <= 360  # the others take what is left: 19 of them in this wave and the next


@given(st.integers(1, 30_000), st.integers(0, 30_000), st.integers(0, 60))
def test_shares_fit_into_requests(first: int, rest: int, places: int) -> None:
    shares = shared_out(first, first + rest, places)
    assert shares is None or (0 < shares.nodes <= MAX_NODES and shares.first >= 1)


@pytest.mark.parametrize(("first", "total", "places"), [(6000, 6000, 23), (6000, 15000, 0), (6000, 18000, 23)])
def test_a_job_that_is_not_shared_out(first: int, total: int, places: int) -> None:
    """It has one wave; it is not known how many may be written at a time; or it would take too many requests."""
    assert shared_out(first, total, places) is None
