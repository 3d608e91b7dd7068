"""The user's CSV file: how it is written is found out, and its rows are read one by one with their lines."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cli.problems import CommandError

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe", "^": "caret", "`": "backquote"}
ENDINGS = {"\r\n": "CRLF", "\n": "LF", "\r": "CR"}
OWN = "sf__"  # columns of this name are those of result files, and are not sent
LINE = "sf__Line"
LONGEST = 400_000  # characters of a row: Bulk API 2.0 guide, "Limits"
_SAMPLE = 200_000
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True, slots=True)
class Form:
    """How a file is written."""

    encoding: str
    delimiter: str
    ending: str

    def __str__(self) -> str:
        return f"{self.encoding}, {DELIMITERS[self.delimiter]}, {ENDINGS[self.ending]}"


class Row(NamedTuple):
    """A row: the line where it begins, its values, and what is wrong with it ("": nothing)."""

    line: int
    values: list[str]
    fault: str


def find_form(path: Path, encoding: str | None = None, delimiter: str | None = None) -> Form:
    """Find out how the file is written; raise CommandError when it cannot be read."""
    encoding = encoding or _encoding(path)
    try:
        with path.open(encoding=encoding, newline="") as file:
            sample = file.read(_SAMPLE)
    except (UnicodeError, LookupError) as error:
        raise CommandError(f"{path} is not {encoding}: {error}. Name its encoding with --encoding.") from None
    if not sample.strip():
        raise CommandError(f"{path} is empty: its first row has to name the fields.")
    return Form(encoding, delimiter or _delimiter(sample), _ending(sample))


def _encoding(path: Path) -> str:
    """Return the encoding: by its mark, else UTF-8 if every byte fits, else Windows-1252."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        start = file.read(4)
        for mark, name in _MARKS:
            if start.startswith(mark):
                return name
        file.seek(0)
        try:
            while piece := file.read(1 << 20):
                decoder.decode(piece)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"


def _delimiter(sample: str) -> str:
    """Return the delimiter by which the first rows have the same number of columns, and the most of them."""
    return max(DELIMITERS, key=lambda each: _columns_by(sample, each))


def _columns_by(sample: str, delimiter: str) -> tuple[float, int]:
    """Return the share of the first rows that are as wide as the header, if it has columns; and their number."""
    complete = sample if len(sample) < _SAMPLE else sample[: sample.rfind("\n") + 1]
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(complete, newline=""), delimiter=delimiter):
            rows.append(row)
            if len(rows) > 50:
                break
    except csv.Error:
        pass
    width = len(rows[0]) if rows else 0
    if width < 2:
        return 0.0, 0
    return sum(len(row) == width for row in rows) / len(rows), width


def _ending(sample: str) -> str:
    line = sample.find("\n")
    if line < 0:
        return "\r" if "\r" in sample else "\n"
    return "\r\n" if sample[max(0, line - 1)] == "\r" else "\n"


class Source:
    """The rows of a file, in their order.

    header -- the user's own columns, without those of result files
    """

    def __init__(self, path: Path, form: Form) -> None:
        csv.field_size_limit(LONGEST * 10)
        self._path = path
        self._form = form
        names = next(self._read(), (0, []))[1]
        self._kept = [at for at, name in enumerate(names) if not name.startswith(OWN)]
        self._width = len(names)
        self._line = names.index(LINE) if LINE in names else None
        self.header = [names[at] for at in self._kept]
        doubled = {name for name in self.header if self.header.count(name) > 1}
        if doubled or not all(name.strip() for name in self.header) or not self.header:
            what = f"names {', '.join(sorted(doubled))} twice" if doubled else "has a column without a name"
            raise CommandError(f"{path}: the first row {what}. It has to name each field once.")

    def rows(self) -> Iterator[Row]:
        """Yield all rows after the header; empty lines are no rows. Raise CommandError for a quote without an end."""
        rows = self._read()
        next(rows)
        return (self._row(line, values) for line, values in rows if values)

    def _row(self, line: int, values: list[str]) -> Row:
        if self._line is not None and self._line < len(values) and values[self._line].isdecimal():
            line = int(values[self._line])
        if len(values) != self._width:
            return Row(line, values, f"COLUMN_COUNT: the row has {len(values)} values, the first row {self._width}")
        size = sum(map(len, values))
        fault = f"ROW_TOO_LONG: the row has {size} characters, at most {LONGEST} are allowed" if size > LONGEST else ""
        if any("\0" in value for value in values):
            fault = "NUL: the row has a NUL character"
        return Row(line, [values[at] for at in self._kept], fault)

    def _read(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each row with the line where it begins."""
        begins = 1
        try:
            with self._path.open(encoding=self._form.encoding, newline="") as file:
                reader = csv.reader(file, delimiter=self._form.delimiter, strict=True)
                for values in reader:
                    yield begins, values
                    begins = reader.line_num + 1
        except csv.Error as error:
            message = f"{self._path}, row at line {begins}: {error}. Is a quote not closed, or not doubled?"
            raise CommandError(message, code="BAD_CSV") from None
        except UnicodeError as error:
            message = f"{self._path}, after line {begins}: {error}. Name the encoding with --encoding."
            raise CommandError(message, code="BAD_ENCODING") from None


def mapped(header: Sequence[str], maps: Sequence[str]) -> dict[int, str]:
    """Return the field of each column that is sent, by the column's place.

    A map is `Column=Field`; `Column=` leaves a column out. Raise CommandError for a column that is not there.
    """
    fields = dict(enumerate(header))
    for each in maps:
        column, sign, field = each.rpartition("=")
        if not sign or column not in header:
            raise CommandError(f"--map {each}: write Column=Field with a column of the file: {', '.join(header)}")
        if field:
            fields[header.index(column)] = field
        else:
            del fields[header.index(column)]
    if len({field.lower() for field in fields.values()}) < len(fields) or not fields:
        raise CommandError("Two columns are sent to one field, or none is sent: correct --map.")
    return fields
