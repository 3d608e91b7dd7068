"""Tables and fields on a terminal of any width, and text of others made harmless."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.problems import NAME

GAP = 2  # characters between two columns
STYLES = {
    "Completed": "green", "succeeded": "green", "planned": "cyan", "Failed": "red", "failed": "red", "ERROR": "red",
    "Aborted": "yellow", "skipped": "yellow", "PAUSED": "yellow", "Processing": "cyan", "EXECUTING": "cyan",
}  # fmt: skip
_COMMAND = re.compile(rf" (?={re.escape(NAME)} [a-z][^`]*$)")  # what is to be typed next, at the end
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]|\x9b[0-?]*[ -/]*[@-~]")


@dataclass(frozen=True, slots=True)
class Column:
    """A column. ``rank``: the largest is left out first. ``shrink``: the width it may be cut to; 0: it is never cut."""

    heading: str
    rank: int = 0
    justify: Literal["left", "right"] = "left"
    shrink: int = 0


def plain(value: object) -> str:
    """Return text without ANSI sequences and control characters, in one line."""
    text = _ESCAPES.sub("", str(value))
    text = re.sub(r"[\r\n\t\u2028\u2029]+", " ", text)
    return "".join(letter for letter in text if unicodedata.category(letter) not in ("Cc", "Cf", "Cs"))


class _Screen(Console):
    """A console whose reader may end: main.py says with which exit code."""

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError."""
        raise BrokenPipeError


def console(stderr: bool = False) -> Console:
    """Return a console; in a pipe it has no width limit, no ANSI, and cuts nothing."""
    made = _Screen(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=False)
    return made if made.is_terminal else _Screen(
        stderr=stderr, highlight=False, markup=False, emoji=False, width=100_000, color_system=None, no_color=True
    )  # fmt: skip


def sentence(screen: Console, text: str) -> None:
    """Print a sentence; a terminal breaks it between words. What is to be copied stays whole: a command at its end."""
    if not screen.is_terminal or " " not in text:
        screen.print(text, soft_wrap=True)
        return
    parts = _COMMAND.split(text, maxsplit=1) if cell_len(text) > screen.width else [text]
    screen.print(parts[0])
    for command in parts[1:]:
        screen.print(command, soft_wrap=True)


def error(text: str) -> None:
    """Print what went wrong to standard error."""
    sentence(console(stderr=True), f"Error: {plain(text)}")


def choose(columns: Sequence[Column], natural: Sequence[int], width: int) -> dict[int, int]:
    """Return the columns that fit, by index, with their widths: cut what may be cut, then leave out by rank."""
    kept = {index: natural[index] for index in range(len(columns))}
    while True:
        over = sum(kept.values()) + GAP * (len(kept) - 1) - width
        slack = {i: max(0, kept[i] - columns[i].shrink) for i in kept if columns[i].shrink}
        if over <= sum(slack.values()) or len(kept) == 1:
            break
        del kept[max(kept, key=lambda index: (columns[index].rank, index))]
    for index in sorted(slack, key=lambda index: -columns[index].rank):
        cut = min(max(over, 0), slack[index])
        kept[index] -= cut
        over -= cut
    return kept


def table(screen: Console, columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> None:
    """Print a table that fits the console. A terminal does not show a column in which every cell is ``-``."""
    cells = [[plain(cell) for cell in row] for row in rows]
    if screen.is_terminal:
        used = [index for index in range(len(columns)) if any(row[index] != "-" for row in cells)]
        columns, cells = [columns[index] for index in used], [[row[index] for index in used] for row in cells]
    natural = [max(cell_len(text) for text in (c.heading, *(row[i] for row in cells))) for i, c in enumerate(columns)]
    kept = choose(columns, natural, screen.width)
    made = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for index, width in kept.items():
        column = columns[index]
        made.add_column(
            Text(column.heading), justify=column.justify, no_wrap=True, overflow="ellipsis", min_width=width,
            max_width=width,
        )  # fmt: skip
    for row in cells:
        made.add_row(*(Text(row[index], style=STYLES.get(row[index], "")) for index in kept))
    _show(screen, made)


def fields(screen: Console, pairs: Sequence[tuple[str, object]]) -> None:
    """Print names and values; long values go on under themselves. Values that are "" or None are left out."""
    shown = [(name, plain(value)) for name, value in pairs if value not in (None, "")]
    made = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), show_header=False)
    made.add_column(no_wrap=True, style="bold")
    made.add_column(overflow="fold")
    for name, value in shown:
        made.add_row(name, Text(value, style=STYLES.get(value, "")))
    _show(screen, made)


def short(ids: Sequence[str], least: int = 8) -> dict[str, str]:
    """Return each id's shortest beginning that tells it from the others, of at least ``least`` characters."""
    length = least
    while len({text[:length] for text in ids}) < len(set(ids)):
        length += 1
    return {text: text[:length] for text in ids}


def _show(screen: Console, made: Table) -> None:
    """Print without the spaces at the ends of lines when nobody looks at a terminal."""
    if screen.is_terminal:
        screen.print(made)
        return
    with screen.capture() as captured:
        screen.print(made)
    screen.out("\n".join(line.rstrip() for line in captured.get().splitlines()), highlight=False)
