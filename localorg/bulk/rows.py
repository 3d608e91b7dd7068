"""CSV text to rows, one at a time. A row that is not CSV in UTF-8 is a broken row, and the rows after it are read.

Source: Bulk API 2.0 guide, "Prepare CSV Files": a file is in UTF-8, values are not trimmed, and "a space before or
after a double quote generates an error for the row". The reasons are in the words of the platform's own CSV parser.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from io import StringIO
from itertools import islice
from typing import TextIO

Row = list[str]

LONGEST = 400_000  # characters in a row: Bulk API 2.0 guide, "Limits"
_SPARE = 65_536

UNESCAPED = "Failed to parse CSV. Found unescaped quote. A value with quote should be within a quote"
MORE_TEXT = "Failed to parse CSV. Not expecting more text after end quote"
NOT_CLOSED = "Failed to parse CSV. EOF reached before closing an opened quote"

# A file is opened with errors="surrogateescape": this is how a byte that is not UTF-8 appears in its text.
_FOREIGN = re.compile("[\udc80-\udcff]")
_UNSHOWN = dict.fromkeys((0, *range(0xDC80, 0xDD00)), "\ufffd")


@dataclass(frozen=True, slots=True)
class Broken:
    """A row that cannot be read: its values as far as they can be told apart, and why."""

    row: Row
    reason: str


@dataclass(frozen=True, slots=True)
class Taken:
    """Some rows of a file, and the broken ones that stood among them."""

    rows: list[Row]
    broken: list[Broken]

    def __len__(self) -> int:
        return len(self.rows) + len(self.broken)


class Rows:
    """The rows of an open file.

    size -- number of characters read so far; the file is read in blocks of many lines
    """

    def __init__(self, file: TextIO, delimiter: str) -> None:
        csv.field_size_limit(LONGEST)
        self.size = 0
        self._file = file
        self._block = StringIO(newline="")
        self._is_plain = True
        self._form = _form(delimiter)
        self._again: deque[str] = deque()  # lines that were read to find the end of a row, and are not of that row
        self._broken: list[Broken] = []
        self._rows = csv.reader(self._texts(), delimiter=delimiter, strict=True)

    def take(self, count: int) -> Taken:
        """Return the next rows, at most count; none at the end of the file. Empty lines are no rows."""
        while True:
            read = list(islice(self._rows, count))
            rows = read if all(read) else [row for row in read if row]
            broken, self._broken = self._broken, []
            if rows or broken or not read:
                return Taken(rows, broken)

    def rest(self) -> Iterator[str]:
        """Yield the text not taken yet, as the client sent it."""
        yield from self._again
        yield self._block.read()
        while text := self._file.read(_SPARE):
            yield text

    def _texts(self) -> Iterator[str]:
        """Yield the text of each row, and an empty line in the place of a broken one."""
        while self._next_block():
            if self._is_plain:
                yield from self._block
            else:
                yield from self._looked_at()

    def _looked_at(self) -> Iterator[str]:
        """Yield the same, line by line. A row that goes on in the next block makes that one the block."""
        is_sound = self._form.is_sound
        while line := self._block.readline():
            if fault(line) is None and ('"' not in line or is_sound(line)):
                yield line
                continue
            self._again.append(line)
            while self._again:
                yield self._checked(self._again.popleft())

    def _next_block(self) -> bool:
        """Read whole lines of the file, and look whether each is a row as it stands; False at the end of the file."""
        text = self._file.read(_SPARE) + self._file.readline()
        self.size += len(text)
        self._block = StringIO(text, newline="")
        self._is_plain = text.isascii() and '"' not in text and "\0" not in text and len(text) <= LONGEST
        return text != ""

    def _checked(self, line: str) -> str:
        """Return the text of the row that begins with this line; when it is broken, note it and return no text."""
        text = line if '"' not in line else self._whole(line)
        reason = fault(text) or self._form.fault(text)
        if reason is None:
            return text
        self._broken.append(Broken(self._form.row(text), reason))
        return ""

    def _whole(self, line: str) -> str:
        """Return the text of the row that begins with a line with quotes; it may end some lines later."""
        lines, size, is_open = [line], len(line), _is_odd(line)
        while is_open and size <= LONGEST and (line := self._file_line()):
            lines.append(line)
            size += len(line)
            is_open ^= _is_odd(line)
        text = "".join(lines)
        end = self._form.end(text)
        while size > end:
            size -= len(lines[-1])
            self._again.appendleft(lines.pop())
        return "".join(lines)

    def _file_line(self) -> str:
        if self._again:
            return self._again.popleft()
        line = self._block.readline()
        return line or (self._block.readline() if self._next_block() else "")


def fault(text: str) -> str | None:
    """Return what is wrong with the characters of a row, or None."""
    if len(text) > LONGEST:
        return f"The row is longer than {LONGEST} characters"
    if not text.isascii() and (found := _FOREIGN.search(text)):
        before = shown(text[max(0, found.start() - 20) : found.start()]).rpartition("\n")[2]
        return f"The row is not in UTF-8: it has the byte 0x{ord(found[0]) - 0xDC00:02X} after '{before}'"
    if "\0" in text:
        return "The row has a NUL character: the file may be in UTF-16 and has to be in UTF-8"
    return None


def shown(text: str) -> str:
    """Return the text with U+FFFD in the place of each byte that is not UTF-8, and of each NUL."""
    return text.translate(_UNSHOWN)


def _is_odd(line: str) -> bool:
    return line.count('"') % 2 == 1


class Form:
    """How rows are written with one delimiter."""

    def __init__(self, delimiter: str) -> None:
        d, blank = re.escape(delimiter), "[ ]" if delimiter == "\t" else "[ \t]"
        value = rf'(?:(?:"[^"]*")++|[^"{d}\r\n]*+)'
        stop = rf"(?={d}|[\r\n]|\Z)"
        self._delimiter = delimiter
        self.is_sound = re.compile(rf"{value}(?:{d}{value})*+(?:\r\n|\r|\n)?").fullmatch
        # The first of these that fits a value says what is wrong with it. Text after an end quote may be anything, but
        # then the quoted part has to end on its line: a forgotten quote takes no other rows along.
        self._value = re.compile(
            rf'(?P<quoted>(?:"[^"]*")++{stop})'
            rf'|(?P<more>(?:"[^"]*")++(?!"){blank}++{stop}|(?:"[^"\r\n]*")++(?!")[^{d}\r\n]*+)'
            r'|(?P<open>"[^\r\n]*+)'
            rf'|(?P<led>{blank}++(?:"[^"]*")++(?!"){blank}*+{stop})'
            rf"|(?P<plain>[^{d}\r\n]*+)"
        )

    def fault(self, text: str) -> str | None:
        """Return what is wrong with the quotes of a row, or None."""
        if '"' not in text or self.is_sound(text):
            return None
        return next((reason for found in self._values(text) if (reason := _reason(found))), None)

    def row(self, text: str) -> Row:
        """Return the values of a row. Those that are not valid CSV are left as they are written."""
        return [shown(_plain(found)) for found in self._values(text)]

    def end(self, text: str) -> int:
        """Return where the first row of a text ends."""
        if self.is_sound(text):
            return len(text)
        *_, last = self._values(text)
        at = last.end()
        return at + 2 if text.startswith("\r\n", at) else min(at + 1, len(text))

    def _values(self, text: str) -> Iterator[re.Match[str]]:
        at = 0
        while found := self._value.match(text, at):
            yield found
            at = found.end() + 1
            if not text.startswith(self._delimiter, found.end()):
                return


@cache
def _form(delimiter: str) -> Form:
    return Form(delimiter)


def header(text: str, delimiter: str) -> tuple[Row, str | None]:
    """Return the names in a header row, and what is wrong with its quotes, or None."""
    form = _form(delimiter)
    return form.row(text), form.fault(text)


def _reason(found: re.Match[str]) -> str | None:
    match found.lastgroup:
        case "quoted":
            return None
        case "more":
            return MORE_TEXT
        case "open":
            return NOT_CLOSED
        case _:
            return UNESCAPED if '"' in found[0] else None


def _plain(found: re.Match[str]) -> str:
    return found[0][1:-1].replace('""', '"') if found.lastgroup == "quoted" else found[0]
