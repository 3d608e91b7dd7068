"""Validation formulas that are plain comparisons, translated into the condition of a SOQL WHERE clause.

Understood: fields compared with numbers, texts, TRUE, FALSE, NULL, TODAY() and DATE(y, m, d); ISBLANK, ISNULL,
ISPICKVAL; AND, OR, NOT and their signs. Anything else - arithmetic, functions, fields compared with fields, $User - is
Unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from localorg.numbers import whole

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d+)?)|"(?P<text>(?:[^"\\]|\\.)*)"|(?P<name>[A-Za-z]\w*(?:\.\w+)*)"""
    r"""|(?P<sign>&&|\|\||<>|!=|==|<=|>=|[=<>!(),-]))""",
    re.ASCII,
)
_OPERATORS = {"=": "=", "==": "=", "<>": "!=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_CONSTANTS = {"true": "true", "false": "false", "null": "null"}

Token = tuple[str, str]  # its kind, one of the groups above or "end", and its text


class Unknown(ValueError):
    """The formula is more than a plain comparison. The text says what was not understood."""


def condition(formula: str) -> str:
    """Return the SOQL condition that holds when the formula is true. Raise Unknown."""
    reader = _Reader(_tokens(formula))
    found = reader.any()
    reader.expect("end", "")
    return found


def _tokens(formula: str) -> list[Token]:
    tokens: list[Token] = []
    text = formula.strip()
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise Unknown(f"formula not understood at {text[at : at + 20]!r}")
        tokens.append((found.lastgroup, found[found.lastgroup]))
        at = found.end()
    return [*tokens, ("end", "")]


class _Reader:
    """A reader of a formula's tokens, with one method for each level of its grammar."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def _sign(self, *signs: str) -> str | None:
        kind, text = self._next
        return self._take()[1] if kind == "sign" and text in signs else None

    def expect(self, kind: str, text: str) -> None:
        """Take this token. Raise Unknown when the next one is different."""
        if self._next != (kind, text):
            raise Unknown(f"formula not understood at {self._next[1] or 'its end'!r}")
        self._take()

    def any(self) -> str:
        """Read terms joined by ||."""
        terms = [self._every()]
        while self._sign("||"):
            terms.append(self._every())
        return _joined(terms, " OR ")

    def _every(self) -> str:
        terms = [self._term()]
        while self._sign("&&"):
            terms.append(self._term())
        return _joined(terms, " AND ")

    def _term(self) -> str:
        if self._sign("!"):
            return f"(NOT {self._term()})"
        if self._sign("("):
            inner = self.any()
            self.expect("sign", ")")
            return inner
        kind, text = self._next
        function = _FUNCTIONS.get(text.lower()) if kind == "name" else None
        if function and self._tokens[self._at + 1] == ("sign", "("):
            self._take()
            return function(self)
        return self._comparison()

    def _comparison(self) -> str:
        left, left_is_field = self._operand()
        operator = self._sign(*_OPERATORS)
        if operator is None:
            if not left_is_field:
                raise Unknown(f"formula not understood at {left}")
            return f"({left} = true)"
        right, right_is_field = self._operand()
        if left_is_field == right_is_field:
            raise Unknown(f"{left} {operator} {right}: one field and one value can be compared")
        operator = _OPERATORS[operator]
        if right_is_field:
            left, right, operator = right, left, _FLIPPED.get(operator, operator)
        return f"({left} {operator} {right})"

    def _operand(self) -> tuple[str, bool]:
        """Read a field or a value. Return it and whether it is a field."""
        minus = "-" if self._sign("-") else ""
        kind, text = self._take()
        if kind == "number":
            return minus + text, False
        if minus or kind not in ("text", "name"):
            raise Unknown(f"formula not understood at {text or 'its end'!r}")
        if kind == "text":
            return _text(text), False
        if self._next == ("sign", "("):
            return self._date(text), False
        return (_CONSTANTS[text.lower()], False) if text.lower() in _CONSTANTS else (text, True)

    def _date(self, function: str) -> str:
        arguments = self.arguments(lambda: self._take()[1])
        if function.lower() == "today" and not arguments:
            return "TODAY"
        parts = [number for each in arguments if (number := whole(each)) is not None]
        if function.lower() == "date" and len(parts) == len(arguments) == 3:
            return "{:04d}-{:02d}-{:02d}".format(*parts)
        raise Unknown(f"the function {function} is not understood")

    def arguments(self, read: Callable[[], str]) -> list[str]:
        """Read what is in parentheses, separated by commas."""
        self.expect("sign", "(")
        found: list[str] = []
        while not self._sign(")"):
            if found:
                self.expect("sign", ",")
            found.append(read())
        return found

    def field(self) -> str:
        """Read a field's name. Raise Unknown."""
        kind, text = self._take()
        if kind != "name" or text.lower() in _CONSTANTS:
            raise Unknown(f"{text!r} is not a field")
        return text

    def field_or_text(self) -> str:
        """Read a field's name, or a text as SOQL writes it."""
        return _text(self._take()[1]) if self._next[0] == "text" else self.field()


def _text(text: str) -> str:
    return "'" + text.replace("'", "\\'") + "'"


def _joined(terms: list[str], word: str) -> str:
    return terms[0] if len(terms) == 1 else f"({word.join(terms)})"


def _all_of(reader: _Reader) -> str:
    return _several(reader, " AND ")


def _any_of(reader: _Reader) -> str:
    return _several(reader, " OR ")


def _several(reader: _Reader, word: str) -> str:
    terms = reader.arguments(reader.any)
    if not terms:
        raise Unknown("AND and OR need something inside")
    return _joined(terms, word)


def _not(reader: _Reader) -> str:
    terms = reader.arguments(reader.any)
    if len(terms) != 1:
        raise Unknown("NOT needs one thing inside")
    return f"(NOT {terms[0]})"


def _is_blank(reader: _Reader) -> str:
    fields = reader.arguments(reader.field)
    if len(fields) != 1:
        raise Unknown("ISBLANK needs one field")
    return f"({fields[0]} = null)"


def _is_value(reader: _Reader) -> str:
    arguments = reader.arguments(reader.field_or_text)
    if len(arguments) != 2:
        raise Unknown("ISPICKVAL needs a field and a text")
    return f"({arguments[0]} = {arguments[1]})"


_FUNCTIONS: dict[str, Callable[[_Reader], str]] = {
    "and": _all_of,
    "or": _any_of,
    "not": _not,
    "isblank": _is_blank,
    "isnull": _is_blank,
    "ispickval": _is_value,
}
