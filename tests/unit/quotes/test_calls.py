"""The forecast of calls: exact where sizes are known, within 2 % from totals alone."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from quotejob.jobtypes.batches import packing
from quotejob.jobtypes.batches.calls import Calls, Shape
from quotejob.jobtypes.batches.packing import Size
from quotejob.jobtypes.quotes import calls

SHAPE = Shape(page_size=200, places=24, plan_calls=1)
Draw = Callable[[random.Random], int]


@pytest.mark.parametrize(("records", "total"), [(0, 2), (1_000, 18), (5_000, 72), (100_000, 1_171)])
def test_two_lines_each(records: int, total: int) -> None:
    """Of 5,000 with two lines the check of the clause is not counted here. Both ways of counting agree."""
    known, totals = calls.of_sizes(records, [2] * records, SHAPE), calls.of_totals(records, records, 2 * records, SHAPE)
    assert known.total == total
    assert abs(known.total - totals.total) <= 0.005 * total


@pytest.mark.parametrize("records", [100, 5_000, 50_000])
@pytest.mark.parametrize("draw", [lambda r: r.randint(1, 10), lambda r: 1 + int(r.expovariate(0.2))])
def test_totals_alone_are_good_enough(records: int, draw: Draw) -> None:
    """Mixed sizes: 2 % at most beside the real packing."""
    rng = random.Random(records)
    sizes = [draw(rng) for _ in range(records)]
    true, said = calls.of_sizes(records, sizes, SHAPE), calls.of_totals(records, records, sum(sizes), SHAPE)
    assert abs(said.total - true.total) <= 0.02 * true.total, (said, true)


def test_the_packing_is_the_real_one() -> None:
    sizes = [random.Random(7).randint(1, 30) for _ in range(900)]
    packed = packing.batches([Size("0", str(n), 1 + size) for n, size in enumerate(sizes)], 24)
    assert calls.of_sizes(900, sizes, SHAPE).write == len(packed)


def test_without_lines_nothing_is_written() -> None:
    assert calls.of_sizes(450, [], SHAPE) == calls.of_totals(450, 0, 0, SHAPE) == Calls(plan=2, read=3, write=0)


def test_a_quote_too_large_for_one_request() -> None:
    """1,200 lines: the rest of them is read by itself; three requests write them, two look what is there."""
    found = calls.of_sizes(1, [1_200], SHAPE)
    assert (found.read, found.write) == (2, 5)


def test_a_page_of_several_queries() -> None:
    """One call for all of them, and one for each further answer to one of them. Both ways of counting agree."""
    shape = Shape(1_000, 0, 1, queries=5)
    for lines, read in ((2, 5), (10, 5 + 25), (21, 5 + 2 * 25)):
        assert calls.of_sizes(5_000, [lines] * 5_000, shape).read == read
        assert calls.of_totals(5_000, 5_000, lines * 5_000, shape).read == read


def test_waves_are_packed_each_by_itself() -> None:
    assert calls.of_sizes(40_001, [2] * 40_001, Shape(200, 0, 1)).write == 13 + 13 + 25 + 49 + 97 + 49


def test_memory_is_that_of_two_waves() -> None:
    assert calls.redis_bytes(0, 0) == 0
    assert calls.redis_bytes(1_000_000, 2_000_000) < 5 * calls.redis_bytes(40_000, 80_000)


def test_memory_of_a_million_is_not_far_from_what_was_measured() -> None:
    """docs/performance.md: 16.5 MB at the peak. A real org's ids are less regular, so it is a little more."""
    assert 16_500_000 < calls.redis_bytes(1_000_000, 2_000_000) < 27_000_000
