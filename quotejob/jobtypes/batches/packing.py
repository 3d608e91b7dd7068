"""Pack the priced quotes of a wave into batches: which quotes go into which request.

Every request counts against the org's daily allocation, so batches are full. But the last of them would leave most of
the org's places empty: 31 batches with 23 places are one round of 23 and one of 8, which takes as long. So the batches
of the last round are cut smaller, and go side by side.

A job of several waves is shared out if its size is known in advance. The batches of its first wave take nearly all
places at once. Those of the later waves come to whole rounds, so that all places end together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import ceil

from quotejob.run.progress import Batch
from quotejob.salesforce import MAX_NODES

MAX_RECORDS_PER_WAVE = 20_000  # in one chord: bounds what waits in Redis between pricing and writing
LEAST_NODES = 60  # a batch is not cut smaller: what a request costs by itself would be more than its records
# More requests than full batches would need, for a small wave. The last wave may have half as many again, and the last
# of several a quarter of all.
MOST_EXTRA = 4
MOST_SHARED = 1.5  # times as many requests as full batches would need, for a job that is shared out
PROMPT = "prompt"  # a note of the job: its org answers at once, so all batches are full
EXPECTED = "expected"  # a note of the job: how many records the org has said it has found
# Places that the first wave leaves: for the pages that are read while it is written, then for the first batches of the
# next wave. These begin earlier than all others of the later waves, so they are full.
SPARE = 5


@dataclass(frozen=True, slots=True)
class Size:
    """What packing must know of a quote."""

    page: str
    opportunity_id: str
    nodes: int


@dataclass(frozen=True, slots=True)
class Shares:
    """How the waves of a job are shared out."""

    first: int  # batches of the first wave
    nodes: float  # of each batch of the later waves that is not full
    full: int = 0  # the first batches of the later waves

    def count(self, start: float, nodes: float) -> int:
        """Return the number of batches of a later wave. ``start``: nodes of the later waves before it."""
        even = [max(0.0, (at - self.full * MAX_NODES) / self.nodes) for at in (start, start + nodes)]
        return max(-(-int(nodes) // MAX_NODES), round(even[1]) - round(even[0]) + (0 if start else self.full))

    def cut(self, sizes: Sequence[Size], start: float) -> list[Batch]:
        """Return the batches of a later wave."""
        count = self.count(start, sum(size.nodes for size in sizes))
        full = [] if start else list(islice(_cut(sizes, MAX_NODES), self.full))
        rest = sizes[sum(map(len, full)) :]
        return [*map(_batch, full), *(evenly(rest, count - len(full)) if rest else [])]


def shared_out(first: float, total: float, places: int) -> Shares | None:
    """Share out a job. ``first``: the nodes of its first wave, ``total``: of all its waves. None: it is not worth it.

    Either the first wave takes the places at once, and the others come to whole rounds after it; or all are one round.
    """
    full, full_first, full_rest = (ceil(nodes / MAX_NODES) for nodes in (total, first, total - first))
    if not places or full_rest <= 0:
        return None
    most = max(int(full * MOST_SHARED), full + MOST_EXTRA)
    rounds = ceil(full_rest / places) * places
    count = min(places - SPARE, most - rounds)
    if count >= full_first - 1:
        rest = total - first
        many = places > 2 * SPARE and rest > 2 * SPARE * MAX_NODES
        early = SPARE if many and rounds == places else 0  # in several rounds full ones would not end with the others
        return Shares(max(full_first, count), (rest - early * MAX_NODES) / (rounds - early), early)
    if full <= places:
        count = min(places, most)
        return Shares(max(full_first, round(first * count / total)), total / count)
    return None


def evenly(sizes: Sequence[Size], count: int) -> list[Batch]:
    """Return so many batches of about one size, in order; more if they would be too large for a request."""
    step = sum(size.nodes for size in sizes) / max(1, count)
    parts: list[list[Size]] = []
    filled = total = 0
    for size in sizes:
        if not parts or filled + size.nodes > MAX_NODES or total >= step * len(parts):
            parts.append([])
            filled = 0
        parts[-1].append(size)
        filled, total = filled + size.nodes, total + size.nodes
    return [_batch(part) for part in parts]


def batches(sizes: Sequence[Size], places: int, before: int = 0, *, last: bool = True) -> list[Batch]:
    """Return the batches, in order. ``places``: how many may be written at a time; 0: not known, all are full.

    ``before``: how many batches the job's earlier waves have. ``last``: there is no later wave. A quote that is too
    large for one request gets a batch of its own.
    """
    full = list(_cut(sizes, MAX_NODES))
    rest = last_round(len(full), places, before, last=last)
    if rest == 0:
        return [_batch(part) for part in full]
    part = [size for part in full[-rest:] for size in part]
    nodes = sum(size.nodes for size in part)
    count = cut_into(len(full), places, nodes, before, last=last)
    return [_batch(part) for part in [*full[:-rest], *_cut(part, -(-nodes // count))]]


def in_one(sizes: Sequence[Size]) -> list[Batch]:
    """Return one batch of all quotes, and behind it one for each quote that is too large for one request."""
    small = [size for size in sizes if size.nodes <= MAX_NODES]
    large = [[size] for size in sizes if size.nodes > MAX_NODES]
    return [_batch(part) for part in ([small] if small else []) + large]


def last_round(full: int, places: int, before: int = 0, *, last: bool = True) -> int:
    """Return how many of the full batches of a wave are cut smaller: of an earlier wave those that find no place."""
    if not places:
        return 0
    left = places - before
    return full % places if last else full - left if 0 < left < full else 0


def cut_into(full: int, places: int, nodes: int, before: int = 0, *, last: bool = True) -> int:
    """Return into how many batches those of the last round are cut. ``full``: all, if all were full.

    ``nodes``: those of the last round.
    """
    rest = last_round(full, places, before, last=last)
    most = (before + full) // 4 if before else full // 2
    return min(places, rest + (max(MOST_EXTRA, most) if last else MOST_EXTRA), max(rest, nodes // LEAST_NODES))


def _cut(sizes: Sequence[Size], most: int) -> Iterator[list[Size]]:
    """Yield the quotes in parts of about ``most`` nodes, and never more than one request holds."""
    part: list[Size] = []
    filled = 0
    for size in sizes:
        if (part and filled + size.nodes > MAX_NODES) or filled >= most:
            yield part
            part, filled = [], 0
        part.append(size)
        filled += size.nodes
    if part:
        yield part


def _batch(part: Sequence[Size]) -> Batch:
    batch: Batch = {}
    for size in part:
        batch.setdefault(size.page, []).append(size.opportunity_id)
    return batch
