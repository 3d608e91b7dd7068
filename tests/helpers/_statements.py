"""Random SOQL statements: most of them sound, some with one thing wrong, some with a word taken out or put in."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import TypeVar

NAMES = ["Id", "Name", "Account.Owner.Name", "X__c", "X__r.Y__c", "amount", "Status", "Order__c", "CloseDate", "o.Type"]
STRINGS = ["'a'", r"'o\'x'", r"'a\nb'", r"'\u0041'", "''", r"'a\\'", "'\"'", "'日本'", "'AND'"]
PATTERNS = [*STRINGS, r"'%a\_'", r"'\%'"]
CONSTANTS = [
    *STRINGS, "1", "1.5", "-3", "+7", ".5", "null", "NULL", "true", "False", "2024-01-01", "2024-01-01T00:00:00Z",
    "2024-01-01T00:00:00+01:00", "2024-01-01T00:00:00.000Z", "TODAY", "last_n_days:3", "N_DAYS_AGO:2", "THIS_YEAR",
    "LAST_90_DAYS", "NEXT_N_FISCAL_QUARTERS:3",
]  # fmt: skip
WRONG_CONSTANTS = [
    r"'a\q'", r"'\%'", "x", "1e5", "5.", '"a"', "LAST_N_DAYS:x", "2024-1-1", "2024-01-01T00:00", "-", ".", ":x", "--1",
    "2024-01-01T00:00:00", "'open", "a.b", "(1)",
]  # fmt: skip
SOURCES = ["Account", "Order__c", "o.Contacts", "Account a", "Account AS a", "Contact c, c.Account b"]
ENDS = [" FOR UPDATE", " ALL ROWS", " LIMIT 1", " ORDER BY Id", ")", " x y", " WHERE a = 1", " AND b = 2", " OR c = 3"]
_WORDS = re.compile(r"'(?:[^'\\]|\\.)*'|\w+|\s+|.", re.DOTALL)
T = TypeVar("T")


class Writer:
    """Writes statements from a seed; `wrong` is how often (0 to 1) a constant is one that SOQL does not have."""

    def __init__(self, seed: int, wrong: float = 0.01) -> None:
        self.random = random.Random(seed)
        self.wrong = wrong

    def statement(self) -> str:
        """A whole statement; one in twenty has something after its end that does not belong there."""
        return self.query() + self.maybe(0.05, lambda: self.one(ENDS))

    def disturbed(self) -> str:
        """A statement with a word taken out, doubled or replaced by another of its words."""
        words = _WORDS.findall(self.statement())
        at = self.random.randrange(len(words))
        words[at : at + 1] = self.one([[], [words[at], self.one(words)], [self.one(words)]])
        return "".join(words)

    # --- parts ---

    def one(self, several: list[T]) -> T:
        return self.random.choice(several)

    def maybe(self, chance: float, part: Callable[[], str]) -> str:
        return part() if self.random.random() < chance else ""

    def several(self, most: int, part: Callable[[], str], word: str = ", ") -> str:
        return word.join(part() for _ in range(self.random.randint(1, most)))

    def name(self) -> str:
        return self.one(NAMES)

    def operand(self) -> str:
        if self.random.random() < 0.8:
            return self.name()
        function = self.one(["CALENDAR_YEAR", "DAY_ONLY", "toLabel", "HOUR_IN_DAY", "day_in_week", "FISCAL_MONTH"])
        return f"{function}({self.one([self.name(), f'convertTimezone({self.name()})'])})"

    def constant(self) -> str:
        return self.one(WRONG_CONSTANTS if self.random.random() < self.wrong else CONSTANTS)

    def comparison(self) -> str:
        space = self.one(["", " ", "\n"])
        kind = self.random.random()
        if kind < 0.55:
            return f"{self.operand()}{space}{self.one(['=', '!=', '<>', '<', '<=', '>', '>='])}{space}{self.constant()}"
        if kind < 0.65:
            return f"{self.operand()} {self.one(['LIKE', 'like'])} {self.one(PATTERNS)}"
        if kind < 0.85:
            listed = self.several(3, self.constant) if self.random.random() > self.wrong else ""
            return f"{self.operand()} {self.one(['IN', 'NOT IN', 'not  in'])}{space}({listed})"
        if kind < 0.92:
            return (
                f"{self.operand()} {self.one(['INCLUDES', 'excludes'])} ({self.several(2, lambda: self.one(STRINGS))})"
            )
        where = self.maybe(0.5, lambda: f" WHERE {self.condition(2)}")
        return f"{self.name()} {self.one(['IN', 'not in'])} (SELECT {self.name()} FROM B__c{where})"

    def condition(self, depth: int = 0) -> str:
        kind = self.random.random()
        if depth > 3 or kind < 0.4:
            return self.comparison()
        if kind < 0.5:
            return f"NOT {self.simple(depth)}"
        word = self.one([" AND ", " OR ", " and "])
        if kind < 0.5 + self.wrong:  # AND and OR mixed, or NOT joined, without parentheses
            return f"{self.simple(depth)}{word}{self.one(['', 'NOT '])}{self.simple(depth)} OR {self.simple(depth)}"
        return self.simple(depth) + "".join(word + self.simple(depth) for _ in range(self.random.randint(1, 3)))

    def simple(self, depth: int) -> str:
        return self.comparison() if self.random.random() < 0.5 else f"({self.condition(depth + 1)})"

    def item(self, depth: int) -> str:
        kind = self.random.random()
        if kind < 0.65:
            return self.name()
        if kind < 0.75:
            function = self.one(["COUNT", "MAX", "Sum", "COUNT_DISTINCT", "AVG", "min", "GROUPING"])
            return f"{function}({self.name()}){self.maybe(0.5, lambda: ' cnt')}"
        if kind < 0.82:
            return (
                f"{self.one(['FORMAT', 'toLabel', 'convertCurrency'])}({self.name()}){self.maybe(0.5, lambda: ' al')}"
            )
        if kind < 0.84:
            return f"FORMAT({self.one(['MAX', 'convertCurrency'])}({self.name()})) z"
        if kind < 0.88:
            return f"FIELDS({self.one(['ALL', 'custom', 'Standard'])})"
        return f"({self.query(depth + 1)})" if depth < 2 else self.operand()

    def sort(self) -> str:
        direction = self.maybe(0.4, lambda: self.one([" ASC", " desc"]))
        return self.operand() + direction + self.maybe(0.3, lambda: self.one([" NULLS FIRST", " nulls  last"]))

    def group(self) -> str:
        names = self.one([self.operand(), f"{self.operand()}, {self.name()}"])
        having = self.maybe(
            0.5, lambda: self.one([" HAVING COUNT(Id) > 1", " HAVING NOT SUM(b)>3", " HAVING MAX(a) = null"])
        )
        return f" GROUP BY {self.one([names, f'ROLLUP({names})', f'cube({names})'])}{having}"

    def query(self, depth: int = 0) -> str:
        items = "COUNT()" if self.random.random() < 0.1 else self.several(3, lambda: self.item(depth))
        return "".join([
            f"{self.one(['SELECT', 'select'])} {items} FROM {self.one(SOURCES)}",
            self.maybe(0.1, lambda: f" USING SCOPE {self.one(['mine', 'everything', 'Team', 'delegated'])}"),
            self.maybe(0.7, lambda: f" WHERE {self.condition()}"),
            self.maybe(0.2, self.group),
            self.maybe(0.3, lambda: f" ORDER BY {self.several(2, self.sort)}"),
            self.maybe(0.3, lambda: f" LIMIT {self.random.randint(0, 300)}"),
            self.maybe(0.2, lambda: f" OFFSET {self.random.randint(0, 300)}"),
            self.maybe(0.1, lambda: self.one([" FOR VIEW", " for  reference"])),
        ])  # fmt: skip
