"""The files of a job: the upload, which is read row by row, and the results, which are written batch by batch."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TextIO

from localorg.bulk.job import DELIMITERS, LINE_ENDINGS, Job
from localorg.bulk.operations import Unreadable
from localorg.bulk.rows import Row, Rows, Taken, fault, header

# Bulk API 2.0 guide, "Limits": characters in the header row.
_LONGEST_HEADER = 32_000
# Results stay in memory until their internal batch ends, but never more than about this number of characters.
_PENDING = 8_000_000


class Upload:
    """The uploaded rows in their order.

    header -- the header row as the client sent it
    columns -- the names of the fields in it
    """

    def __init__(self, job: Job) -> None:
        """Open the upload and read its header row; raise Unreadable when that fails."""
        self._file = _opened(job)
        self._rows = Rows(self._file, DELIMITERS[job.delimiter])
        self.header = self._file.readline()
        try:
            self.columns = columns_in(self.header, DELIMITERS[job.delimiter])
            _check_line_ending(self.header, job.line_ending)
        except Unreadable:
            self.close()
            raise

    @property
    def size(self) -> int:
        """The number of characters read so far."""
        return self._rows.size

    def take(self, count: int) -> Taken:
        """Return the next rows, at most count; none at the end of the file."""
        return self._rows.take(count)

    def rest(self) -> Iterator[str]:
        """Yield the text not taken yet, as the client sent it."""
        return self._rows.rest()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _opened(job: Job) -> TextIO:
    if not job.upload.exists():
        raise Unreadable("ClientInputError : No data was uploaded")
    return job.upload.open(encoding="utf-8", errors="surrogateescape", newline="")


def columns_in(text: str, delimiter: str) -> Row:
    """Return the names in the header row; raise Unreadable when no row of the file can be read by it."""
    if text.startswith(_UTF_16_MARKS) or "\0" in text:
        raise Unreadable("ClientInputError : The file is in UTF-16; it has to be in UTF-8")
    columns, quotes = header(text, delimiter)
    if columns == [""]:
        raise Unreadable("ClientInputError : The first row of the file has to name the fields")
    if len(text) > _LONGEST_HEADER:
        raise Unreadable(f"ClientInputError : The header row is longer than {_LONGEST_HEADER} characters")
    if encoding := fault(text):
        raise Unreadable(f"ClientInputError : {encoding.replace('The row', 'The header row')}")
    if quotes:
        raise Unreadable(f"InvalidBatch : {quotes}")
    return columns


# The byte order marks of UTF-16, as bytes that are not UTF-8.
_UTF_16_MARKS = ("\udcff\udcfe", "\udcfe\udcff")


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
        with job.unprocessed.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(upload.header)
            file.writelines(upload.rest())
    elif job.upload.exists():
        job.unprocessed.hardlink_to(job.upload)


def keep_rest(job: Job) -> None:
    """Save the rows that were not tried, of a job that was interrupted when the process ended."""
    with suppress(Unreadable):
        upload = Upload(job)
        left = job.processed
        while left > 0 and (taken := upload.take(left)):
            left -= len(taken)
        job.unprocessed.unlink(missing_ok=True)
        keep_unprocessed(job, upload)
        upload.close()
