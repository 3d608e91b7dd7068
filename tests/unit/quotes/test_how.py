"""How a Quote job with commitBy auto writes, and what a wave by Bulk is."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from quotejob.jobs.job import CommitBy
from quotejob.jobtypes.batches.calls import Shape
from quotejob.jobtypes.batches.packing import Size, in_one
from quotejob.jobtypes.quotes import calls, how
from quotejob.settings import Kept, Settings, load


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    monkeypatch.setenv("QUOTEJOB_SECRET_KEY", "0" * 64)
    return load()


@pytest.mark.parametrize(
    ("records", "usage", "keep", "taken"),
    [
        (1_000_000, (0, 30_000), None, CommitBy.BULK),
        (1_000_000, (0, 1_000_000), None, CommitBy.GRAPH),  # its calls are few of so many
        (1_000_000, (990_000, 1_000_000), None, CommitBy.BULK),
        (1_000_000, (0, 1_000_000), 990_000, CommitBy.BULK),  # what is kept for others does not count
        (100, (29_999, 30_000), None, CommitBy.GRAPH),  # a single graph request costs less than two Bulk jobs
        (1_000_000, None, None, CommitBy.GRAPH),  # the org does not say what is left
    ],
)
def test_auto(
    settings: Settings, records: int, usage: tuple[int, int] | None, keep: int | None, taken: CommitBy
) -> None:
    """Bulk is taken when graphs would need a large part of the calls that are left, and it needs fewer."""
    assert how.best(records, usage, keep, settings) is taken


def test_auto_leaves_what_the_setting_keeps(settings: Settings) -> None:
    """A share of the day's calls counts as a number does."""
    keeping = replace(settings, keep_calls=Kept(percent=Decimal(99)))
    assert how.best(1_000_000, (0, 1_000_000), None, keeping) is CommitBy.BULK


def test_the_calls_of_a_million(settings: Settings) -> None:
    """Some hundred write calls, where graphs need some thousand. Reading takes a fifth of the calls."""
    shape = Shape(settings.page_size, 0, 0)
    size, queries = how.page_size(CommitBy.BULK, settings), how.queries_of_page(CommitBy.BULK)
    by_bulk = Shape(size, 0, 0, queries=queries, first_wave=how.first_wave(CommitBy.BULK))
    assert calls.by_bulk(1_000_000, by_bulk) == 52 * 9
    assert [calls.by_bulk(count, by_bulk) for count in (5_000, 10_000, 20_000)] == [9, 18, 27]
    assert calls.of_totals(1_000_000, 1_000_000, 2_000_000, by_bulk).read == 1_000
    assert calls.of_totals(1_000_000, 1_000_000, 2_000_000, shape).read == 5_000
    assert calls.of_totals(1_000_000, 1_000_000, 2_000_000, shape).write > 6_000


def test_large_quotes_have_batches_of_their_own() -> None:
    """All others of a wave are one batch, the first."""
    sizes = [Size("0", "a", 3), Size("0", "large", 501), Size("1", "b", 500)]
    assert in_one(sizes) == [{"0": ["a"], "1": ["b"]}, {"0": ["large"]}]
    assert in_one(sizes[1:2]) == [{"0": ["large"]}]
    assert in_one([]) == []
