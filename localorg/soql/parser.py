"""Text to syntax tree. A text that cannot be read is refused with MALFORMED_QUERY and the place of the error."""

from __future__ import annotations

import contextlib
import re
from importlib import resources
from pathlib import Path
from typing import Any, cast

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedInput, UnexpectedToken

from localorg.dates import date_literal
from localorg.errors import OrgError, malformed_query
from localorg.soql.place import pointed
from localorg.soql.syntax import (
    Among,
    Both,
    Call,
    Compare,
    Condition,
    Item,
    Literal,
    Name,
    Not,
    Operand,
    Query,
    Sort,
    Source,
)

MOST_CHARACTERS = 100_000  # of a statement
MOST_DEPTH = 100  # parentheses inside parentheses

_STRING = re.compile(r"'(?:[^'\\]|\\.)*'", re.DOTALL)
_NESTING = re.compile(r"'(?:[^'\\]|\\.)*'|[()]", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = re.compile(r"\\(?:u[0-9a-fA-F]{4}|[nrtbfNRTBF\"'\\])")
_CURRENCY = re.compile(r"[A-Z]{3}\d+", re.IGNORECASE | re.ASCII)
# The platform's own words.
_TOO_COMPLICATED = "Query is either selecting too many fields or the filter conditions are too complicated."


class _Trouble(Exception):
    """Something that looks like SOQL but is not; `at` is its offset in the statement."""

    def __init__(self, at: int, sentence: str) -> None:
        super().__init__(at, sentence)
        self.at = at
        self.sentence = sentence


@v_args(inline=True)
class _Build(Transformer[Token, Query]):
    """A builder that makes each part when its last token is read, so that no tree has to be walked."""

    def name(self, token: Token) -> Name:
        return Name(tuple(token.split(".")), token.start_pos or 0)

    def field(self, name: Name) -> Name:
        return name

    def call(self, name: Name, argument: Operand | None) -> Call:
        if argument is None and str(name).upper() != "COUNT":
            raise _Trouble(name.at, f"unexpected token: {name}")
        return Call(str(name).upper(), argument, name.at)

    def item(self, what: Operand, alias: Name | None) -> Item:
        if alias and isinstance(what, Call) and what.argument is None:
            raise _Trouble(alias.at, f"unexpected token: {alias}")
        return Item(what, str(alias) if alias else None)

    def child(self, query: Query) -> Query:
        return query

    def source(self, name: Name, alias: Name | None) -> Source:
        return Source(name, str(alias) if alias else None)

    def value(self, token: Token) -> Literal:
        return Literal(token.type.lower(), str(token), token.start_pos or 0)

    def strings(self, token: Token) -> tuple[Literal, ...]:
        start = token.start_pos or 0
        return tuple(Literal("string", found[0], start + found.start()) for found in _STRING.finditer(token))

    def chosen(self, query: Query) -> Query:
        return query

    def compare(self, left: Operand, operator: Token, right: Literal) -> Compare:
        _check_constant(right, pattern=operator.type == "LIKE")
        return Compare(left, "!=" if operator == "<>" else operator.upper(), right)

    def among(self, left: Operand, operator: Token, choices: tuple[Literal, ...] | Query) -> Among:
        for literal in choices if isinstance(choices, tuple) else ():
            _check_constant(literal)
        return Among(left, " ".join(operator.upper().split()), choices)

    def negation(self, term: Condition) -> Not:
        return Not(term)

    def all(self, *terms: Condition) -> Both:
        return Both(True, terms, _depth(terms))

    def any(self, *terms: Condition) -> Both:
        return Both(False, terms, _depth(terms))

    def sort(self, what: Operand, direction: Token | None, nulls: Token | None) -> Sort:
        descending = direction is not None and direction.type == "DESC"
        return Sort(what, descending, nulls is None or nulls.type == "NULLS_FIRST")

    def _several(self, *parts: Any) -> tuple[Any, ...]:
        return parts

    items = sources = values = order = _several

    def group(self, *terms: Operand) -> tuple[str | None, tuple[Operand, ...]]:
        return None, terms

    def subtotals(self, kind: Token, *terms: Operand) -> tuple[str | None, tuple[Operand, ...]]:
        return kind.upper(), terms

    def scope(self, name: Name) -> Name:
        return name

    def tracking(self, token: Token) -> str:
        return token.split()[-1].upper()

    def count(self, token: Token) -> int:
        return min(int(token[:12]), 2**31 - 1)

    limit = offset = count

    def query(self, items: Any, sources: Any, scope: Any, where: Any, group: Any, having: Any, *rest: Any) -> Query:
        order, limit, offset, tracking = rest
        kind, terms = group or (None, ())
        return Query(items, sources, where, terms, having, order or (), limit, offset, scope, kind, tracking)


def _depth(terms: tuple[Condition, ...]) -> int:
    """Return one more than the depth of the deepest of these. NOT adds nothing."""
    deepest = 0
    for term in terms:
        inner = term
        while isinstance(inner, Not):
            inner = inner.term
        if isinstance(inner, Both):
            deepest = max(deepest, inner.depth)
    return deepest + 1


def _check_constant(literal: Literal, *, pattern: bool = False) -> None:
    """Refuse what is not a constant: an unknown bare word, or an unknown escape sequence."""
    if literal.kind == "word" and not known_word(literal.text):
        raise _Trouble(literal.at, f"unexpected token: {literal.text}")
    if literal.kind == "string" and "\\" in literal.text:
        for found in _ESCAPE.finditer(literal.text):
            if not _ESCAPED.fullmatch(found[0]) and not (pattern and found[0] in {"\\%", "\\_"}):
                sentence = f"Illegal character sequence '{found[0]}' in string literal."
                raise _Trouble(literal.at, f"Invalid string literal {literal.text}. {sentence}")


def _cache() -> str:
    """Return the file in which Lark keeps the analysed grammar. The analysis is half of the start of an org."""
    folder = Path(__file__).parent / "__pycache__"
    with contextlib.suppress(OSError):  # Lark goes on without a file that it cannot write
        folder.mkdir(exist_ok=True)
    return str(folder / "grammar.lark.cache")


_PARSER = Lark(
    (resources.files(__package__) / "grammar.lark").read_text("utf-8"),
    parser="lalr",
    start="query",
    maybe_placeholders=True,
    transformer=_Build(),
    cache=_cache(),
    g_regex_flags=re.ASCII,  # names, numbers and blanks are ASCII; strings are not touched by this
)


def parse(statement: str) -> Query:
    """Return the statement as a tree. Raise OrgError MALFORMED_QUERY or QUERY_TOO_COMPLICATED when it is not valid."""
    if len(statement) > MOST_CHARACTERS:
        raise malformed_query("SOQL statements cannot be longer than 100000 characters.")
    if not statement.strip():
        raise malformed_query("SOQL statements cannot be empty or null")
    _check_text(statement)
    try:
        # With a transformer inside, lark answers what the transformer made of the start rule.
        return cast("Query", _PARSER.parse(statement))
    except UnexpectedInput as trouble:
        raise malformed_query(_explained(statement, trouble)) from None
    except _Trouble as trouble:
        raise malformed_query(pointed(statement, trouble.at, trouble.sentence)) from None


def _check_text(statement: str) -> None:
    """Refuse text that the parser cannot handle: lone surrogates, and nesting deeper than any real statement has."""
    try:
        statement.encode()
    except UnicodeEncodeError as trouble:
        raise malformed_query(pointed(statement, trouble.start, "unexpected char: not a Unicode character")) from None
    depth = 0
    for found in _NESTING.finditer(statement):
        depth += (found[0] == "(") - (found[0] == ")")
        if depth > MOST_DEPTH:
            raise too_complicated()


def known_word(text: str) -> bool:
    """Return whether a bare word is a constant.

    Constants are null, true, false, a date literal, or a currency literal such as USD5000.
    """
    return (
        text.lower() in {"null", "true", "false"} or date_literal(text) is not None or bool(_CURRENCY.fullmatch(text))
    )


def too_complicated() -> OrgError:
    """Return the error for a statement that nests too deeply or compares too much."""
    return OrgError(400, "QUERY_TOO_COMPLICATED", _TOO_COMPLICATED)


def _explained(statement: str, trouble: UnexpectedInput) -> str:
    if isinstance(trouble, UnexpectedToken):
        return _unexpected_token(statement, trouble.token)
    at = getattr(trouble, "pos_in_stream", None) or 0
    return pointed(statement, at, f"unexpected char: '{statement[at]}'")


def _unexpected_token(statement: str, token: Token) -> str:
    if token.type == "$END":
        return pointed(statement, len(statement.rstrip()), "unexpected token: <EOF>")
    sentence = f"unexpected token: {token}"
    # A statement that does not even start with SELECT is answered without a picture.
    return pointed(statement, token.start_pos, sentence) if token.start_pos else sentence
