"""How many requests a user's own job will send to its org. Pure: a sample of decisions in, counts out.

As in :mod:`quotejob.jobtypes.quotes.calls`, the constants and the packing are those of the real job. A job of more
records than the sample has is taken for the sample again and again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import msgspec

from quotejob.jobtypes.batches import packing
from quotejob.jobtypes.batches.calls import ROWS, Calls, Shape
from quotejob.jobtypes.batches.packing import Size
from quotejob.jobtypes.own import parcels
from quotejob.jobtypes.own.plan import MAX_RECORDS_PER_WAVE
from quotejob.salesforce.together import MAX_ROWS as MAX_DELETES
from quotejob.usercode.decisions import Decision
from quotejob.usercode.jobtype import JobType, described_object
from quotejob.usercode.rows import Row, child_of, object_of
from quotejob.usercode.writes import Verb


@dataclass(frozen=True, slots=True)
class Sample:
    """What is known of a job: how many records, and what its code has decided of the first of them."""

    records: int
    decided: Sequence[Decision]
    rows: int  # child rows that came with these
    asks: bool = True  # the records are in the org; otherwise they are keys

    @property
    def share(self) -> float:
        """How many times the sample all records are."""
        return self.records / max(1, len(self.decided))

    @property
    def units(self) -> int:
        """About how many records will be written for."""
        return round(self.share * sum(one.outcome == "write" for one in self.decided))

    @property
    def nodes(self) -> int:
        """About how many writes there will be."""
        return round(self.share * sum(len(one.nodes) for one in self.decided))


def plan_calls(job: type[JobType[Any]]) -> int:
    """Return about how many objects a plan asks the org for. Exact if rows and relationships are named like objects."""
    return len({may.sobject for may in job.writes} | (set(_read_objects(job.row)) if described_object(job) else set()))


def of_sample(job: type[JobType[Any]], sample: Sample, shape: Shape) -> Calls:
    """Return the calls of a job."""
    finishes = job.finish is not JobType.finish
    plan = shape.plan_calls + (max(1, ceil(sample.records / ROWS)) if sample.asks else 0)
    return Calls(plan, _read(job, sample), _write(job, sample, shape.places) + finishes)


def _read_objects(row: type[Row]) -> Iterator[str]:
    yield object_of(row)
    for field in msgspec.structs.fields(row):
        if (child := child_of(field.type)) is not None:
            yield from _read_objects(child)
        elif "." in field.encode_name:
            yield from field.encode_name.split(".")[:-1]


def _read(job: type[JobType[Any]], sample: Sample) -> int:
    pages = ceil(sample.records / job.page_size)
    rows = min(job.page_size, sample.records) * (1 + sample.rows / max(1, len(sample.decided)))
    return pages * (job.queries_a_page + (max(1, ceil(rows / ROWS)) if sample.asks else 0))


def _write(job: type[JobType[Any]], sample: Sample, places: int) -> int:
    pages = ceil(sample.records / job.page_size)
    waves = ceil(pages / max(1, MAX_RECORDS_PER_WAVE // job.page_size))
    size = ceil(pages / max(1, waves)) * job.page_size  # records of a wave
    return sum(
        _of_wave(sample, range(wave * size, min(sample.records, (wave + 1) * size)), places * (wave + 1 == waves))
        for wave in range(waves)
    )


def _of_wave(sample: Sample, numbers: range, places: int) -> int:
    decided = sample.decided
    places_of = [number % len(decided) for number in numbers]
    sizes = [Size("", str(place), parcels.size(decided[place])) for place in places_of if decided[place].nodes]
    batches = packing.batches(sizes, places)
    return sum(_of_batch([decided[int(place)] for place in batch[""]]) for batch in batches)


def _of_batch(units: Sequence[Decision]) -> int:
    deletes = Counter(node.sobject for one in units for node in one.nodes if node.verb is Verb.DELETE)
    changes = any(node.verb is not Verb.DELETE for one in units for node in one.nodes)
    return changes + sum(ceil(count / MAX_DELETES) for count in deletes.values())
