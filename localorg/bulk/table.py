"""The files of a job: the upload, which is read row by row, and the results, which are written batch by batch."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from random import Random
from typing import TextIO

from localorg.bulk.job import DELIMITERS, LINE_ENDINGS, Job

Row = list[str]

# Bulk API 2.0 guide, "Limits": characters in a record, and in the header row.
_LONGEST_FIELD = 400_000
_LONGEST_HEADER = 32_000
# Results stay in memory until their internal batch ends, but never more than about this number of characters.
_PENDING = 8_000_000
_SPARE = 65_536


class Unreadable(Exception):
    """The error when the upload cannot be processed, or not to its end; the text is the job's errorMessage."""


class Upload:
    """The uploaded rows in their order, one at a time.

    header -- the header row as the client sent it
    columns -- the names of the fields in it
    size -- number of characters read so far
    """

    def __init__(self, job: Job) -> None:
        """Open the upload and read its header row; raise Unreadable when that fails."""
        csv.field_size_limit(_LONGEST_FIELD)
        self._file = _opened(job)
        self.size = 0
        self._record: list[str] = []  # the lines of the row being read
        self._broken: Unreadable | None = None
        self._rows = csv.reader(self._lines(), delimiter=DELIMITERS[job.delimiter], strict=True)
        try:
            self.header, self.columns = self._header(job)
        except Unreadable:
            self.close()
            raise

    def _lines(self) -> Iterator[str]:
        for line in self._file:
            self._record.append(line)
            self.size += len(line)
            yield line

    def _header(self, job: Job) -> tuple[str, Row]:
        header = "".join(islice(self._file, 1))
        columns = next(csv.reader([header], delimiter=DELIMITERS[job.delimiter]), None)
        if not columns:
            raise Unreadable("ClientInputError : The first row of the file has to name the fields")
        if len(header) > _LONGEST_HEADER:
            raise Unreadable(f"ClientInputError : The header row is longer than {_LONGEST_HEADER} characters")
        _check_line_ending(header, job.line_ending)
        return header, columns

    def take(self, count: int) -> list[Row]:
        """Return the next rows, at most count; none at the end of the file. Raise Unreadable."""
        if self._broken:
            raise self._broken
        rows: list[Row] = []
        try:
            for row in islice(self._rows, count):
                self._record.clear()
                rows.append(row)
        except (csv.Error, UnicodeDecodeError) as error:
            self._broken = Unreadable(f"ClientInputError : The file cannot be read as CSV in UTF-8: {error}")
            if not rows:
                raise self._broken from error
        # An empty line is not a row.
        return rows if all(rows) else [row for row in rows if row] or self.take(count)

    def rest(self) -> Iterator[str]:
        """Yield the lines not taken yet, as the client sent them; include a row that could not be read."""
        yield from self._record
        with suppress(UnicodeDecodeError):
            while text := self._file.read(_SPARE):
                yield text

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _opened(job: Job) -> TextIO:
    if not job.upload.exists():
        raise Unreadable("ClientInputError : No data was uploaded")
    return job.upload.open(encoding="utf-8", newline="")


def _check_line_ending(line: str, declared: str) -> None:
    """Refuse the whole file, as the platform does, when the header row does not end with the declared line ending."""
    if line.endswith("\n") and line.endswith("\r\n") != (declared == "CRLF"):
        message = f"ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is {declared}"
        raise Unreadable(message)


class Results:
    """One result file. The order of its rows differs from the upload's: the platform promises no order."""

    def __init__(self, path: Path, job: Job, columns: Row) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._job_id = job.id
        self._pending: list[Row] = []
        self._size = 0
        self._batch = 0
        delimiter, ending = DELIMITERS[job.delimiter], LINE_ENDINGS[job.line_ending]
        self._writer = csv.writer(self._file, delimiter=delimiter, lineterminator=ending, quoting=csv.QUOTE_ALL)
        self._writer.writerow(columns)
        self._file.flush()

    def add(self, rows: list[Row], size: int) -> None:
        """Keep rows until the internal batch ends, or write them when they have too many characters (size)."""
        self._pending += rows
        self._size += size
        if self._size > _PENDING:
            self.flush()

    def flush(self) -> None:
        """End an internal batch: write its rows, shuffled, in the same way for the same job."""
        if rows := self._pending:
            self._writer.writerows(_shuffled(rows, Random(f"{self._job_id}:{self._batch}")))
            self._file.flush()
            self._pending, self._size = [], 0
            self._batch += 1

    def close(self) -> None:
        """Close the file; rows that wait for the end of their batch are not written."""
        self._file.close()


def _shuffled(rows: list[Row], random: Random) -> list[Row]:
    shuffled = random.sample(rows, len(rows))
    # Few rows may come out of the shuffle in their old order.
    return shuffled[::-1] if shuffled == rows else shuffled


def keep_unprocessed(job: Job, upload: Upload | None) -> None:
    """Save the rows that were not tried, under their header; for a job that never began, save its whole upload."""
    if upload is not None:
        with job.unprocessed.open("w", encoding="utf-8", newline="") as file:
            file.write(upload.header)
            file.writelines(upload.rest())
    elif job.upload.exists():
        job.unprocessed.hardlink_to(job.upload)


def keep_rest(job: Job) -> None:
    """Save the rows that were not tried, of a job that was interrupted when the process ended."""
    with suppress(Unreadable):
        upload = Upload(job)
        left = job.processed
        while left > 0 and (rows := upload.take(left)):
            left -= len(rows)
        job.unprocessed.unlink(missing_ok=True)
        keep_unprocessed(job, upload)
        upload.close()
