"""Messages that show the place of an error in a statement, drawn as the platform draws them."""

from __future__ import annotations

_AROUND = 35  # characters shown on each side of the place, cut at a word


def pointed(statement: str, at: int, sentence: str) -> str:
    """Return the sentence under a picture of its place.

    The picture is the line, a caret, "ERROR at Row:1:Column:8" (both count from 1).
    """
    start = statement.rfind("\n", 0, at) + 1
    end = statement.find("\n", at)
    line = statement[start : len(statement) if end < 0 else end]
    row, column = statement.count("\n", 0, at) + 1, at - start
    first, last = _window(line, column)
    caret = " " * (column - first) + "^"
    return f"\n{line[first:last]}\n{caret}\nERROR at Row:{row}:Column:{column + 1}\n{sentence}"


def _window(line: str, column: int) -> tuple[int, int]:
    first = max(0, column - _AROUND)
    if first and (space := line.find(" ", first - 1, column)) >= 0:
        first = space + 1
    last = min(len(line), column + _AROUND)
    if last < len(line) and (space := line.rfind(" ", column, last)) >= 0:
        last = space
    return first, last
