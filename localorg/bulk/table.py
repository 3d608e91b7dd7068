"""The files of a job: the upload, read row by row, and the results, written batch by batch."""

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
# Results wait in memory for the end of their internal batch, but never more than about this many characters of them.
_PENDING = 8_000_000
_SPARE = 65_536


class Unreadable(Exception):
    """The upload cannot be worked off, or not any further; the text is the job's errorMessage."""


class Upload:
    """The uploaded rows in their order, one at a time.

    header -- the header row as it was sent
    columns -- the field names in it
    size -- characters read so far
    """

    def __init__(self, job: Job) -> None:
        """Opens the upload and reads its header row; raises Unreadable."""
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
        """The next rows, at most so many; none when the file is at its end. Raises Unreadable."""
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
        # Empty lines are no rows.
        return rows if all(rows) else [row for row in rows if row] or self.take(count)

    def rest(self) -> Iterator[str]:
        """What has not been taken, as it was sent, a row that could not be read included."""
        yield from self._record
        with suppress(UnicodeDecodeError):
            while text := self._file.read(_SPARE):
                yield text

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _opened(job: Job) -> TextIO:
    if not job.upload.exists():
        raise Unreadable("ClientInputError : No data was uploaded")
    return job.upload.open(encoding="utf-8", newline="")


def _check_line_ending(line: str, declared: str) -> None:
    """The platform refuses the whole file when its line ending is not the declared one; the header row is looked at."""
    if line.endswith("\n") and line.endswith("\r\n") != (declared == "CRLF"):
        message = f"ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is {declared}"
        raise Unreadable(message)


class Results:
    """One result file. Rows come out in another order than they went in, as the platform promises none."""

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
        """Keeps rows for the end of the internal batch, unless they are many characters (size) by then."""
        self._pending += rows
        self._size += size
        if self._size > _PENDING:
            self.flush()

    def flush(self) -> None:
        """Ends an internal batch: writes its rows, shuffled, the same way for the same job."""
        if rows := self._pending:
            self._writer.writerows(_shuffled(rows, Random(f"{self._job_id}:{self._batch}")))
            self._file.flush()
            self._pending, self._size = [], 0
            self._batch += 1

    def close(self) -> None:
        """Closes the file; what waits for the end of its batch is not written."""
        self._file.close()


def _shuffled(rows: list[Row], random: Random) -> list[Row]:
    shuffled = random.sample(rows, len(rows))
    # A shuffle of few rows may well come out in order.
    return shuffled[::-1] if shuffled == rows else shuffled


def keep_unprocessed(job: Job, upload: Upload | None) -> None:
    """Keeps the rows that were not tried, under their header; a job that never began has all of its upload left."""
    if upload is not None:
        with job.unprocessed.open("w", encoding="utf-8", newline="") as file:
            file.write(upload.header)
            file.writelines(upload.rest())
    elif job.upload.exists():
        job.unprocessed.hardlink_to(job.upload)


def keep_rest(job: Job) -> None:
    """Keeps the rows beyond those tried, of a job that the end of the process broke off."""
    with suppress(Unreadable):
        upload = Upload(job)
        left = job.processed
        while left > 0 and (rows := upload.take(left)):
            left -= len(rows)
        job.unprocessed.unlink(missing_ok=True)
        keep_unprocessed(job, upload)
        upload.close()
