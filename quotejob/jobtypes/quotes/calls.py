"""How many requests a Quote job will send to its org. Pure: counts in, counts out.

Each function stands for the code that sends these requests. What packs and plans is not described here a second time:
the same constants are used, and the same packing where the size of each quote is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from math import ceil

from quotejob.formats import FIRST_IN_COLUMNS
from quotejob.jobtypes.batches import packing
from quotejob.jobtypes.batches.calls import ROWS, Calls, Shape
from quotejob.jobtypes.batches.packing import MAX_RECORDS_PER_WAVE, Size
from quotejob.pricing import Rules
from quotejob.pricing.fields import LINE_FIELDS, QUOTE_FIELDS
from quotejob.run.waves import batched, streamed_sizes
from quotejob.salesforce import MAX_NODES

CHILDREN = 499  # rows of one parent that come with it; the others are asked for by themselves
CALLS_A_WAVE = 9  # by Bulk: two jobs are created, filled, started and looked at; the ids of the Quotes are fetched
BYTES_A_RECORD = 60  # in Redis, compressed: its id, its result and its place in the plan
BYTES_A_LINE = 45  # the same of a priced line, until its wave is written
BYTES_OF_REASONS = 12  # of a line: why its price is what it is, as long as the job is kept
BYTES_IN_COLUMNS = 18  # of a record of a later wave with its lines (quotejob.formats): results and reasons
WAVES_IN_REDIS = 2  # waves whose priced quotes are kept at a time


def plan_calls(book: Rules) -> int:
    """Return the requests by which a plan checks an org with one currency: see plan.check_org."""
    own_line_fields = bool(book.line_fields.keys() - LINE_FIELDS.keys())
    copies = book.quote_fields != QUOTE_FIELDS or book.line_fields != LINE_FIELDS
    return 1 + own_line_fields + copies


def of_sizes(records: int, lines: Sequence[int], shape: Shape) -> Calls:
    """Return the calls of a job. ``lines``: of each Opportunity that has any, in the order of the job."""
    rows = [1 + count for count in lines] + [1] * (records - len(lines))
    beyond = sum(_beyond(some) for some in batched(rows, shape.of_query))
    rest, write, packed = iter(lines), 0, 0
    sizes = _waves(len(lines), shape)
    nodes = len(lines) + sum(lines)
    shares = _shares(sizes, nodes, shape)
    for number, size in enumerate(sizes, start=1):
        some = list(islice(rest, size))
        if shares is None:
            batches = _batches(some, shape.cut_for, packed, last=number == len(sizes))
        else:
            count = _shared(shares, sizes, number - 1, nodes / len(lines))
            batches = len(packing.evenly(_sizes(some), count))
        packed += batches
        write += batches + sum(_beside(1 + count) for count in some if 1 + count > MAX_NODES)
    return Calls(_plan(records, shape), ceil(records / shape.page_size) + beyond, write)


def of_totals(records: int, quotes: int, lines: int, shape: Shape) -> Calls:
    """Return the calls of a job of which only totals are known. ``quotes``: Opportunities that have lines."""
    rows = min(shape.of_query, records) * (1 + lines / max(1, records))
    beyond = ceil(records / shape.of_query) * max(0, ceil(rows / ROWS) - 1)
    waves, write = _waves(quotes, shape), 0
    shares = _shares(waves, lines + quotes, shape)
    for number, wave in enumerate(waves, start=1):
        mean = (lines + quotes) / quotes
        if shares is None:
            write += _packed(wave, mean, shape.cut_for, write, last=number == len(waves))
        else:
            write += _shared(shares, waves, number - 1, mean)
    return Calls(_plan(records, shape), ceil(records / shape.page_size) + beyond, write)


def by_bulk(quotes: int, shape: Shape) -> int:
    """Return the calls that write so many quotes by Bulk API 2.0, with one look at each job."""
    return sum(CALLS_A_WAVE if wave > 1 else 1 for wave in _waves(quotes, shape))


def redis_bytes(records: int, lines: int, first_wave: int | None = None) -> int:
    """Return about how many bytes the job needs in Redis at its peak."""
    if not records:
        return 0
    plain = sum(streamed_sizes(records, 1, MAX_RECORDS_PER_WAVE, first_wave)[:FIRST_IN_COLUMNS])
    lines_of_one = lines / records
    open_lines = min(records, WAVES_IN_REDIS * MAX_RECORDS_PER_WAVE) * lines_of_one
    kept = plain * (BYTES_A_RECORD + lines_of_one * BYTES_OF_REASONS) + (records - plain) * BYTES_IN_COLUMNS
    return int(kept + open_lines * BYTES_A_LINE)


def _plan(records: int, shape: Shape) -> int:
    return shape.plan_calls + max(1, ceil(records / ROWS))


def _beyond(rows: Iterable[int]) -> int:
    """Return the requests for what a query finds beyond its first answer.

    A parent that does not fit into an answer begins the next one.
    """
    calls, room = 0, ROWS
    for count in rows:
        more = max(0, count - 1 - CHILDREN)
        calls += ceil(more / ROWS)
        if count - more > room:
            calls, room = calls + 1, ROWS
        room -= count - more
    return calls


def _waves(quotes: int, shape: Shape) -> list[int]:
    """Return the number of quotes in each wave."""
    return streamed_sizes(quotes, shape.page_size, max(1, MAX_RECORDS_PER_WAVE // shape.page_size), shape.first_wave)


def _shares(waves: Sequence[int], nodes: int, shape: Shape) -> packing.Shares | None:
    """Return how a job of several waves is shared out. The quotes of the first wave are as large as the others."""
    if len(waves) < 2:
        return None
    return packing.shared_out(nodes * waves[0] / sum(waves), nodes, shape.cut_for)


def _shared(shares: packing.Shares, waves: Sequence[int], wave: int, mean: float) -> int:
    """Return the number of batches of one wave of a job that is shared out. ``mean``: the nodes of a quote."""
    if wave == 0:
        return shares.first
    return shares.count(sum(waves[1:wave]) * mean, waves[wave] * mean)


def _sizes(lines: Iterable[int]) -> list[Size]:
    return [Size("0", "", 1 + count) for count in lines]


def _batches(lines: Sequence[int], places: int, before: int, *, last: bool) -> int:
    """Return the number of batches for these quotes: that of the real packing."""
    return len(packing.batches(_sizes(lines), places, before, last=last))


def _beside(nodes: int) -> int:
    """Return the requests of a large quote after its first: see writer.Writer.write."""
    return ceil((nodes - MAX_NODES) / MAX_NODES) + 2


def _packed(quotes: int, mean: float, places: int, before: int, *, last: bool) -> int:
    """Return the number of batches for quotes with ``mean`` nodes: exact if all have the same number.

    Otherwise each request loses about half a quote at its end.
    """
    lost = 0.0 if mean == int(mean) else mean / 2
    full = max(1, ceil(quotes * mean / max(1.0, MAX_NODES - lost)))
    filled = quotes * mean / full
    if mean == int(mean) and mean <= MAX_NODES:
        filled = MAX_NODES // int(mean) * mean
        full = ceil(quotes * mean / filled)
    rest = packing.last_round(full, places, before, last=last)
    if not rest:
        return full
    count = packing.cut_into(full, places, int(quotes * mean - (full - rest) * filled), before, last=last)
    return full - rest + count
