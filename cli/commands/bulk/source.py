"""The user's CSV file: how it is written is found out, and its rows are read one by one with their lines."""

from __future__ import annotations

import codecs
import csv
import io
import re
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
_START = 32  # bytes that tell UTF-16 without a mark: those of the first names
_SEP = re.compile(r'"?sep=([,;\t|^`])"?[ \t]*(?:\r\n?|\n|$)', re.IGNORECASE)  # the line with which Excel names it
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True, slots=True)
class Form:
    """How a file is written."""

    encoding: str
    delimiter: str
    ending: str
    lines_before: int = 0  # the names

    def __str__(self) -> str:
        return f"{self.encoding}, {DELIMITERS[self.delimiter]}, {ENDINGS[self.ending]}"


class Row(NamedTuple):
    """A row: the line where it begins, its values, and what is wrong with it ("": nothing)."""

    line: int
    values: list[str]
    fault: str


def find_form(path: Path, encoding: str | None = None, delimiter: str | None = None) -> Form:
    """Find out how the file is written; raise CommandError when it cannot be read."""
    encoding = _encoding(path) if encoding is None else encoding
    try:
        with path.open(encoding=encoding, newline="") as file:
            sample = file.read(_SAMPLE)
    except (UnicodeError, LookupError) as error:
        raise CommandError(f"{path} is not {encoding}: {error}. Name its encoding with --encoding.") from None
    if not sample.strip():
        raise CommandError(f"{path} is empty: its first row has to name the fields.")
    named = _SEP.match(sample)
    delimiter = delimiter or (named[1] if named else _delimiter(sample))
    return Form(encoding, delimiter, _ending(sample), 1 if named else 0)


def _encoding(path: Path) -> str:
    """Return the encoding: by its mark or its zeros, else UTF-8 if every byte fits, else Windows-1252."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        start = file.read(_START)
        for mark, name in _MARKS:
            if start.startswith(mark):
                return name
        if wide := _wide(start):
            return wide
        file.seek(0)
        try:
            while piece := file.read(1 << 20):
                decoder.decode(piece)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"


def _wide(start: bytes) -> str | None:
    """Return the UTF-16 of a file without a mark, if every second byte of its start is 0. None: it has none."""
    for name, zeros, others in (("utf-16-le", start[1::2], start[::2]), ("utf-16-be", start[::2], start[1::2])):
        if zeros and not any(zeros) and all(others):
            return name
    return None


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
        names = [name.strip() for name in next(self._read(), (0, []))[1]]
        self._kept = [at for at, name in enumerate(names) if not name.startswith(OWN)]
        self._width = len(names)
        self._line = names.index(LINE) if LINE in names else None
        self.header = [names[at] for at in self._kept]
        if wrong := _wrong_names(names, self.header):
            raise CommandError(f"{path}: the first row {wrong}. It has to name each field once.")

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
        begins = 1 + self._form.lines_before
        try:
            with self._path.open(encoding=self._form.encoding, newline="") as file:
                before = [file.readline() for _ in range(self._form.lines_before)]
                reader = csv.reader(file, delimiter=self._form.delimiter, strict=True)
                for values in reader:
                    yield begins, values
                    begins = len(before) + reader.line_num + 1
        except csv.Error as error:
            message = f"{self._path}, row at line {begins}: {error}. Is a quote not closed, or not doubled?"
            raise CommandError(message, code="BAD_CSV") from None
        except UnicodeError as error:
            message = f"{self._path}, after line {begins}: {error}. Name the encoding with --encoding."
            raise CommandError(message, code="BAD_ENCODING") from None


def _wrong_names(names: Sequence[str], own: Sequence[str]) -> str:
    """Return what is wrong with the names of the columns, of which these are the user's own. Empty: nothing."""
    nameless = [str(at) for at, name in enumerate(names, 1) if not name]
    doubled = sorted({name for name in own if own.count(name) > 1})
    if nameless:
        what = "column {} has" if len(nameless) == 1 else "columns {} have"
        return f"is not complete: {what.format(', '.join(nameless))} no name"
    if doubled:
        return f"names {', '.join(doubled)} twice"
    return "" if own else "names no field"


def mapped(header: Sequence[str], maps: Sequence[str]) -> dict[int, str]:
    """Return the field of each column that is sent, by the column's place.

    A map is `Column=Field`; `Column=` leaves a column out. Raise CommandError for a column that is not there.
    """
    fields = dict(enumerate(header))
    for each in maps:
        column, sign, field = (word.strip() for word in each.rpartition("="))
        if not sign or column not in header:
            raise CommandError(f"--map {each}: write Column=Field with a column of the file: {', '.join(header)}")
        if field:
            fields[header.index(column)] = field
        else:
            del fields[header.index(column)]
    if not fields:
        raise CommandError("No column is sent: correct --map.")
    sent: dict[str, tuple[str, str]] = {}  # column and field, by the field in lower case: its case does not count
    for place, field in fields.items():
        column, name = sent.setdefault(field.lower(), (header[place], field))
        if column != header[place]:
            message = (
                f'"{column}" and "{header[place]}" are both sent to {name}: leave one out, as by --map "{column}=".'
            )
            raise CommandError(message)
    return fields
