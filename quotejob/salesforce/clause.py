"""The check of a caller's WHERE clause, as text, before it is sent to an org.

The clause becomes part of ``SELECT ... FROM Opportunity WHERE (<clause>) ...``. It must not close that parenthesis,
open a string that does not end, or add another clause (LIMIT would make the job smaller without notice, FOR VIEW would
write). So the clause is cut into tokens, strings first. Only tokens of a condition are accepted, all others are
refused. The org checks with its query plan that the fields exist and the types fit.

Semi-joins are as in the SOQL and SOSL Reference ("Comparison Operators"). The tokens are in
:mod:`quotejob.salesforce.tokens`, the words of a refusal in :mod:`quotejob.salesforce.refusals`.
"""

from __future__ import annotations

from typing import NoReturn
from urllib.parse import quote_plus

from quotejob.errors import InvalidRequest
from quotejob.salesforce import refusals
from quotejob.salesforce.tokens import UNKNOWN, Token, tokens

FIELD = "soqlWhereClause"
MAX_LENGTH = 20_000  # characters of a clause
MAX_ENCODED = 15_000  # bytes of it in a URI; the org reads queries by GET and takes URIs of 16,384 bytes
MAX_STRING = 4_000  # characters of one string in it (SOQL limits)
MAX_DEPTH = 100  # nested parentheses; a clause that a person writes has far fewer

# Words of other clauses, which are not allowed in a condition. SELECT, FROM and WHERE are allowed in a semi-join.
_CLAUSE_WORDS = frozenset(
    (
        *("SELECT", "TYPEOF", "FROM", "USING", "WHERE", "WITH", "GROUP", "BY", "HAVING", "ORDER", "LIMIT", "OFFSET"),
        *("FOR", "UPDATE", "ALL", "UNION"),
    )
)


def check_clause(text: str) -> str:
    """Return the clause without white space around it. Raises InvalidRequest with the error and its character."""
    clause = text.strip(" \t\r\n")
    if not clause:
        _refuse("is empty; for all Opportunities send Id != null")
    if len(clause) > MAX_LENGTH:
        _refuse(f"has {len(clause):,} characters, and at most {MAX_LENGTH:,} are allowed; split it into several jobs")
    _Reader().read(clause)
    encoded = len(quote_plus(clause))
    if encoded > MAX_ENCODED:
        _refuse(f"has {encoded:,} bytes in a URI, and at most {MAX_ENCODED:,} are allowed; split it into several jobs")
    return clause


def likely_meant(clause: str) -> str | None:
    """Return what was most likely meant by a checked clause that the org refuses. None: nothing is known."""
    return refusals.advice(list(tokens(clause)))


def select_opportunities(clause: str) -> str:
    """Return the query for the Opportunities that match a checked clause: the org judges it, and a job runs it.

    The clause is in parentheses, so that what follows applies to all of it. Opportunities of one Account are together,
    so that two writers seldom want the same parent's lock.
    """
    return f"SELECT Id FROM Opportunity WHERE ({clause}) ORDER BY AccountId, Id"


def count_opportunities(clause: str) -> str:
    """Return the query that counts the Opportunities that match a checked clause."""
    return f"SELECT COUNT() FROM Opportunity WHERE ({clause})"


def is_nested(clause: str) -> bool:
    """Return whether a checked clause has a sub-select of its own: it cannot stand in one of another query."""
    return any(token.kind == "word" and token.upper == "SELECT" for token in tokens(clause))


class _Reader:
    """A reader of a clause, from left to right. It keeps the open parentheses and knows which belong to a semi-join."""

    def __init__(self) -> None:
        self.opened: list[int] = []  # places of the parentheses still open
        self.join_depth = 0  # how many were open right after the semi-join's own; 0 outside one
        self.join_awaits: str | None = None  # the clause word that the semi-join may have next: FROM, then WHERE
        self.before = ("", "")  # the two tokens before this one, upper case

    def read(self, clause: str) -> None:
        found: list[Token] = []
        for token in tokens(clause):
            if token.kind == UNKNOWN:
                _refuse(refusals.no_token(clause, token.place - 1, found))
            found.append(token)
            self._take(token)
            self.before = (self.before[1], token.upper)
        if self.opened:
            _refuse(refusals.unclosed(self.opened))

    def _take(self, token: Token) -> None:
        if token.text == "(":
            self._open(token)
        elif token.text == ")":
            self._close(token)
        elif token.kind == "string":
            _check_string(token)
        elif token.kind == "word" and token.upper in _CLAUSE_WORDS:
            self._clause_word(token)

    def _open(self, token: Token) -> None:
        self.opened.append(token.place)
        if len(self.opened) > MAX_DEPTH:
            _refuse(f"has more than {MAX_DEPTH} nested parentheses; use fewer")

    def _close(self, token: Token) -> None:
        if not self.opened:
            _refuse(f"the parenthesis at character {token.place} has no opening one; remove it")
        if len(self.opened) == self.join_depth:
            self._end_join(token)
        self.opened.pop()

    def _end_join(self, token: Token) -> None:
        if self.join_awaits == "FROM":
            _refuse(f"the sub-select that ends at character {token.place} has no FROM; add it")
        self.join_depth, self.join_awaits = 0, None

    def _clause_word(self, token: Token) -> None:
        """Check a clause word: SELECT only after ``IN (``; then FROM and WHERE, once each, at the same depth."""
        word, depth = token.upper, len(self.opened)
        if word == "SELECT" and self.before == ("IN", "(") and not self.join_depth:
            self.join_depth, self.join_awaits = depth, "FROM"
        elif self.join_depth == depth and depth and word == self.join_awaits:
            self.join_awaits = "WHERE" if word == "FROM" else None
        else:
            _refuse(refusals.misplaced(word, token.place, in_join=self.join_depth > 0))


def _check_string(token: Token) -> None:
    if len(token.text) - 2 > MAX_STRING:
        _refuse(f"the string at character {token.place} is longer than {MAX_STRING:,} characters; shorten it")


def _refuse(reason: str) -> NoReturn:
    raise InvalidRequest.field(FIELD, reason)
