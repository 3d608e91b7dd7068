"""The results of a job as a file for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from quotejob.run.receipt import Result
from quotejob.run.results.explained import in_words

CSV_COLUMNS = ("recordId", "outcome", "quoteId", "code", "message", "recordName")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a cell begins with that spreadsheets run as a formula
CSV_CHUNK = 64 * 1024  # characters sent at once


def as_csv(results: Iterable[Result], *, explain: bool = False) -> Iterator[str]:
    """Yield the results as CSV (RFC 4180), in chunks. ``explain``: with the column ``explanation``."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow((*CSV_COLUMNS, "explanation") if explain else CSV_COLUMNS)
    for result in results:
        cells = (result.record_id, result.outcome, result.quote_id, result.code, result.message, result.record_name)
        more = (in_words(result.explanation),) if explain else ()
        writer.writerow(_as_text(cell) for cell in (*cells, *more))
        if buffer.tell() >= CSV_CHUNK:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _as_text(cell: str | None) -> str | None:
    """Return the cell; with an apostrophe before it if a spreadsheet would run it as a formula."""
    return f"'{cell}" if cell and cell.startswith(FORMULA) else cell
