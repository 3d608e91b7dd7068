"""The form in which the results of a page or a batch are kept in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from quotejob.ids import Column, packed, unpacked
from quotejob.run.receipt import Outcome, Result
from quotejob.store import rows


class _Columns(msgspec.Struct):
    """The stored form of many results: columns of those that only say that a Quote was written, and the others."""

    records: Column
    quotes: Column
    others: list[tuple[int, Result]]  # each with its place


_STORED: Any = list[Result] | _Columns


def pack_results(results: Sequence[Result], *, columns: bool) -> bytes:
    """Return results as they are stored: each as a list of its fields, or in ``columns``, which takes a third of that.

    Versions before 1.0.0 do not read columns.
    """
    if not columns:
        return rows.squeeze([_row(result) for result in results])
    plain, others = [], []
    for place, result in enumerate(results):
        if result == Result(result.record_id, Outcome.SUCCEEDED, result.quote_id):
            plain.append(result)
        else:
            others.append((place, _row(result)))
    records, quotes = packed(each.record_id for each in plain), packed(each.quote_id for each in plain)
    return rows.squeeze({"records": records, "quotes": quotes, "others": others})


def unpack_results(stored: bytes) -> list[Result]:
    """Return the results that ``pack_results`` packed, in either form."""
    found: list[Result] | _Columns = rows.unsqueeze(stored, _STORED)
    if isinstance(found, list):
        return found
    results = [
        Result(cast(str, record_id), Outcome.SUCCEEDED, quote_id)
        for record_id, quote_id in zip(unpacked(found.records), unpacked(found.quotes), strict=True)
    ]
    for place, result in found.others:
        results.insert(place, result)
    return results


def _row(result: Result) -> list[Any]:
    """Return a result as it is stored: its fields in order, without empty fields at the end."""
    row: list[Any] = msgspec.to_builtins(result)
    while row[-1] is None:
        row.pop()
    return row
