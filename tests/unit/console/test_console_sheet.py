"""The style sheet has no rule for what the pages do not have."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from harness.process import ROOT

CONSOLE = ROOT / "console"
SHEET = re.sub(r"/\*.*?\*/", "", (CONSOLE / "static" / "console.css").read_text("utf-8"), flags=re.S)
OF_LIBRARIES = {"sortable-ghost"}  # what SortableJS calls the place that a row would get
JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.S)
TEXT = re.compile(r"""'([^'"]*)'|"([^'"]*)\"""")
WORD = re.compile(r"[A-Za-z][\w-]*")


def texts(code: str) -> Iterator[str]:
    """Yield the texts in quotes."""
    for found in TEXT.finditer(code):
        yield found[1] or found[2] or ""


def of_template(page: str) -> Iterator[str]:
    """Yield the words of class attributes, and words that Jinja may put there."""
    for given in re.findall(r'class="([^"]*)"', page):
        yield from WORD.findall(JINJA.sub(" ", given))
        yield from WORD.findall(" ".join(text for code in JINJA.findall(given) for text in texts(code)))
    yield from (text for code in JINJA.findall(page) for text in texts(code))


def of_python(file: Path) -> Iterator[str]:
    """Yield the texts of a module."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def used() -> set[str]:
    """Return every word that may be a class of an element."""
    words = set(OF_LIBRARIES)
    for page in CONSOLE.rglob("templates/**/*.html"):
        words.update(of_template(page.read_text("utf-8")))
    for file in CONSOLE.rglob("*.py"):
        words.update(of_python(file))
    for script in (CONSOLE / "static").glob("*.js"):
        words.update(texts(script.read_text("utf-8")))
    return words


def test_each_class_of_the_sheet_is_used() -> None:
    """By a template, by code that gives templates a word, by a script, or by a library."""
    selectors = re.findall(r"([^{}]*)\{", SHEET)
    classes = {name for each in selectors for name in re.findall(rf"\.({WORD.pattern})", each)}
    assert {"btn", "c8", "ko", "held"} <= classes
    assert classes - used() == set()


def test_each_variable_of_the_sheet_is_used() -> None:
    """By the sheet, or by a template."""
    pages = "".join(page.read_text("utf-8") for page in CONSOLE.rglob("templates/**/*.html"))
    assert set(re.findall(r"(--[\w-]+):", SHEET)) == set(re.findall(r"var\((--[\w-]+)\)", SHEET + pages))
