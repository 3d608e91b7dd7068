"""What the pages point to is there: files of the checkout, other pages and their sections."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "localorg/README.md", *sorted(ROOT.glob("docs/**/*.md"))]
FOLDERS = ["api", "bench", "bin", "cli", "docs", "force-app", "harness", "localorg", "quotejob", "tasks", "tests"]
PATH = re.compile(rf"(?:{'|'.join(FOLDERS)})/[\w./-]*")


def _inline(page: Path) -> Iterator[Token]:
    tokens = MarkdownIt("commonmark").enable("table").parse(page.read_text("utf-8"))
    return chain.from_iterable(token.children or [] for token in tokens)


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_sections(page: Path) -> None:
    links = [str(part.attrs["href"]) for part in _inline(page) if part.type == "link_open"]
    for link in links:
        path, _, anchor = link.partition("#")
        if "://" not in link:
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), link
            assert not anchor or anchor in _anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_of_files_are_those_of_the_checkout(page: Path) -> None:
    """A word of a code span that begins with a folder of the checkout names a file or folder in it."""
    spans = [part.content for part in _inline(page) if part.type == "code_inline"]
    paths = [word for span in spans for word in span.split() if PATH.fullmatch(word)]
    assert [path for path in paths if not (ROOT / path).exists() and not (page.parent / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tests_that_are_named_are_there(page: Path) -> None:
    """A code span that is the name of a test names one that runs."""
    spans = {part.content for part in _inline(page) if part.type == "code_inline"}
    named = {span for span in spans if re.fullmatch(r"test_\w+", span)}
    texts = (file.read_text("utf-8") for file in (ROOT / "tests").rglob("test_*.py")) if named else ()
    assert named <= {name for text in texts for name in re.findall(r"def (test_\w+)", text)}
