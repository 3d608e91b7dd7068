"""Pages, docstrings and comments are in short sentences: at most 18 words on average in a page, and never over 35."""

from __future__ import annotations

import ast
import inspect
import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "localorg/README.md", *sorted(ROOT.glob("docs/**/*.md"))]
PACKAGES = ("quotejob", "api", "tasks", "cli", "localorg", "harness")

AVERAGE, MOST = 18, 35  # words a sentence
MARKDOWN = MarkdownIt("commonmark").enable("table")
JOINED = "\N{NO-BREAK SPACE}"  # between the words of a code span, which count as one
# A small letter does not begin a sentence, unless it begins a name: startDate, harness/stack.py.
END = re.compile(r"""(?<=[.!?])["')]*[ \n]+(?=[^a-z]|[a-z]+(?:[A-Z]|[./_]\w))""")
WORD = re.compile(r"[^ \n]*\w[^ \n]*")
PARAMETER = re.compile(r"^(?=\w[\w, ]* -- )", re.MULTILINE)  # a line of a docstring that explains a parameter or field


@dataclass(frozen=True)
class Sentence:
    line: int
    text: str
    in_table: bool = False

    @property
    def words(self) -> int:
        return len(WORD.findall(self.text))

    def __str__(self) -> str:
        return f"{self.line}: {self.words} words: {self.text.replace(JOINED, ' ')}"


def read(markdown: str, first_line: int = 1) -> list[Sentence]:
    """Return the sentences of a text without its headings, blocks of code and addresses.

    A paragraph, a list item and a cell of a table each end a sentence. A code span is one word.
    """
    found: list[Sentence] = []
    opened: list[str] = []  # tags around the token
    for token in MARKDOWN.parse(markdown):
        if token.nesting == 1:
            opened.append(token.tag)
        elif token.nesting == -1:
            opened.pop()
        elif token.type == "inline" and token.map and not re.fullmatch("h[1-6]", opened[-1]):
            found += _split(token.children or [], first_line + token.map[0], "table" in opened)
    return found


def _split(parts: list[Token], line: int, in_table: bool) -> Iterator[Sentence]:
    text, begin = "".join(map(_text, parts)), 0
    for end in [*(match.end() for match in END.finditer(text)), len(text)]:
        yield Sentence(line + text.count("\n", 0, begin), re.sub("[ \n]+", " ", text[begin:end]).strip(), in_table)
        begin = end


def _text(part: Token) -> str:
    if part.type == "code_inline":
        return f"`{part.content}`".replace(" ", JOINED)
    return "\n" if part.type in ("softbreak", "hardbreak") else part.content


def docstrings(source: str) -> Iterator[Sentence]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node, clean=False)
            if text is not None:
                yield from read(PARAMETER.sub("- ", inspect.cleandoc(text)), node.body[0].lineno)


def comments(source: str) -> Iterator[Sentence]:
    """Yield the sentences of comments; lines below each other are one text."""
    block: list[str] = []
    first, last = 0, (0, 0)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if token.start != (last[0] + 1, last[1]):
            yield from read("\n".join(block), first)
            block, first = [], token.start[0]
        block.append(token.string.lstrip("#").strip())
        last = token.start
    yield from read("\n".join(block), first)


def too_long(sentences: Iterable[Sentence]) -> list[str]:
    return [str(each) for each in sentences if each.words > MOST]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_is_in_short_sentences(page: Path) -> None:
    """No sentence or cell is over 35 words; the running text has 18 words a sentence or less on average."""
    sentences = read(page.read_text("utf-8"))
    assert not too_long(sentences), f"split in {page.relative_to(ROOT)}:\n" + "\n".join(too_long(sentences))
    prose = [each.words for each in sentences if not each.in_table and each.words]
    longest = sorted((each for each in sentences if not each.in_table), key=lambda each: -each.words)[:10]
    assert sum(prose) <= AVERAGE * len(prose), (
        f"{page.relative_to(ROOT)} has {sum(prose) / len(prose):.1f} words a sentence, the longest:\n"
        + "\n".join(map(str, longest))
    )


@pytest.mark.parametrize("kind", [docstrings, comments])
@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_and_comments_are_in_short_sentences(
    package: str, kind: Callable[[str], Iterable[Sentence]]
) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{sentence}"
        for path in sorted((ROOT / package).rglob("*.py"))
        if "node_modules" not in path.parts
        for sentence in too_long(kind(path.read_text("utf-8")))
    ]
    assert not found, "\n".join(found)


def test_what_counts_as_a_sentence() -> None:
    """Blocks, headings and addresses are left out; items and cells end a sentence; each knows its line."""
    page = """
# A heading. Not read

One `code span. of five words` is
one [word with its](https://example.org/very/long). Two: U.S. and 0.5 do
not end it; three dots ... neither. (Three!) **Four.**

- an item
- `another one`

| head | cell |
| --- | --- |
| `a b. C` | x. Y |

    code, not read

```sh
not read
```
"""
    found = [(each.line, each.words) for each in read(page) if not each.in_table]
    assert found == [(4, 7), (5, 11), (6, 1), (6, 1), (8, 2), (9, 1)]
    assert [(each.line, each.words) for each in read(page) if each.in_table] == [
        (11, 1),
        (11, 1),
        (13, 1),
        (13, 1),
        (13, 1),
    ]


def test_a_long_sentence_is_found_on_its_line() -> None:
    source = (
        f'x = 1  # fine\n\n# {"word " * 20}\n# {"word " * 20}\n\n\ndef f():\n    """Do.\n\n    {"w " * 36}\n    """\n'
    )
    assert [line.partition(":")[0] for line in too_long(comments(source))] == ["3"]
    assert [line.partition(":")[0] for line in too_long(docstrings(source))] == ["10"]
    assert too_long(read("w " * 35)) == []
