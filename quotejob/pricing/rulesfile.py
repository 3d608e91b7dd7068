"""Read and check ``pricing.yaml``: every mistake is found when a worker starts, and is reported with its line.

The file is read as YAML nodes; YAML does not guess their types. So a number becomes a Decimal from its characters in
the file, ``NO`` is Norway and not false, and each node knows its line.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import yaml

from quotejob.errors import RulesError
from quotejob.pricing.countries import country_code, country_key
from quotejob.pricing.fields import (
    FIELD,
    LINE_FIELDS,
    OWN_LINE_FIELDS,
    OWN_QUOTE_FIELDS,
    PATH,
    QUOTE_FIELDS,
    Source,
    Sources,
)
from quotejob.pricing.rules import Region, Regions, Rules, Tier, product_key

MAX_FILE_BYTES = 256 * 1024  # the shipped file has about 12 KiB
MAX_TEXT_LENGTH = 100  # characters of a key, a country, a region: they are part of messages
MAX_DEPTH = 10  # nested collections; the file's own shape needs seven
NUMBER = re.compile(r"(0|[1-9][0-9]{0,14})(\.[0-9]{1,6})?")
KINDS = {"tag:yaml.org,2002:str": "text", "tag:yaml.org,2002:seq": "a list", "tag:yaml.org,2002:map": "a mapping"}


def load_rules(path: Path) -> Rules:
    """Read the pricing rules from a YAML file.

    Raises RulesError: ``pricing.yaml, line 12: what is wrong there``. Its ``details`` is one ``{"line", "message"}``,
    or empty if the file cannot be read at all.
    """
    return _File(Path(path).name, _read(Path(path))).rules()


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise RulesError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_FILE_BYTES:
        raise RulesError(f"{path.name} is larger than {MAX_FILE_BYTES // 1024} KiB; that is no pricing file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _error(path.name, data.count(b"\n", 0, error.start), "not UTF-8 text") from error


def _error(file: str, line: int, reason: str) -> RulesError:
    """Return the error at a line of the file. ``line`` counts from 0, as YAML's marks do."""
    return RulesError(f"{file}, line {line + 1}: {reason}", details=[{"line": line + 1, "message": reason}])


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")


class _Refused(Exception):
    """An error for YAML that we do not accept."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line, self.reason = line, reason


class _Composer(yaml.BaseLoader):
    """YAML without anchors and aliases (which can multiply), tags and deep nesting: a rules file never needs them."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _Refused(line, "anchors (&) and aliases (*) are not used here; quote the text if it starts with one")
        if getattr(event, "tag", None) is not None:
            raise _Refused(line, "tags (!) are not used here; quote the text if it starts with one")
        if self.depth == MAX_DEPTH:
            raise _Refused(line, f"nested deeper than {MAX_DEPTH} levels")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _File:
    """Reads one rules file. Each method takes a node and the name that the node has in messages."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.root = self._compose(text)

    def _compose(self, text: str) -> yaml.Node:
        try:
            root = _Composer(text).get_single_node()
        except _Refused as refused:
            raise _error(self.name, refused.line, refused.reason) from None
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, int(error.position))
            raise _error(self.name, line, f"the character U+{error.character:04X} is not allowed in YAML") from error
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            reason = ", ".join(part for part in (error.context, error.problem) if part)
            raise _error(self.name, mark.line if mark else 0, f"not YAML: {reason}") from error
        if root is None:
            raise _error(self.name, 0, "the file holds no rules")
        return root

    def bad(self, node: yaml.Node, reason: str) -> NoReturn:
        raise _error(self.name, node.start_mark.line, reason)

    # the shape of the file, from the top

    def rules(self) -> Rules:
        kinds = ["region", "product", "thresholds", "fields"]
        top = self.mapping(self.root, "the file", required=["maximum_discount"], allowed=kinds)
        product = self.section(top, "product", ["codes", "families"])
        thresholds = self.section(top, "thresholds", ["line_quantity", "opportunity_amount"])
        fields = self.section(top, "fields", ["quote", "line"])
        return Rules(
            maximum_discount=self.percent(top["maximum_discount"], "maximum_discount"),
            regions=self.regions(top["region"]) if "region" in top else None,
            codes=self.products(product, "codes"),
            families=self.products(product, "families"),
            line_quantity=self.tiers(thresholds, "line_quantity"),
            opportunity_amount=self.tiers(thresholds, "opportunity_amount"),
            quote_fields=self.fields(fields, "quote", OWN_QUOTE_FIELDS, QUOTE_FIELDS),
            line_fields=self.fields(fields, "line", OWN_LINE_FIELDS, LINE_FIELDS),
        )

    def regions(self, node: yaml.Node) -> Regions:
        parts = self.mapping(node, "region", required=["no_country", "other_countries", "table"])
        table: dict[str, Region] = {}
        countries: dict[str, Region] = {}
        first_line: dict[str, int] = {}
        for name, row in self.mapping(parts["table"], "region.table").items():
            what = f"region.table.{name}"
            columns = self.mapping(row, what, required=["discount"], allowed=["countries"])
            table[name] = Region(name, self.percent(columns["discount"], f"{what}.discount"))
            for spellings in self.countries(columns.get("countries"), f"{what}.countries"):
                for key, word in spellings.items():
                    if key in countries:
                        where = f"already in {countries[key].name}, line {first_line[key]}"
                        hint = "case, accents and punctuation do not count"
                        self.bad(word, f"{what}.countries: {_short(word.value)} is {where} ({hint})")
                    countries[key], first_line[key] = table[name], word.start_mark.line + 1
        return Regions(
            by_country=countries,
            no_country=self.one_of(table, parts["no_country"], "region.no_country"),
            other_countries=self.one_of(table, parts["other_countries"], "region.other_countries"),
        )

    def one_of(self, table: dict[str, Region], node: yaml.Node, what: str) -> Region:
        name = self.text(node, what)
        if name not in table:
            self.bad(node, f"{what}: {_short(name)} is not in region.table{_guess(name, table)}")
        return table[name]

    def products(self, section: dict[str, yaml.Node], name: str) -> dict[str, Decimal]:
        if name not in section:
            return {}
        rows = self.mapping(section[name], f"product.{name}", same=product_key)
        return {product_key(key): self.percent(row, f"product.{name}.{key}") for key, row in rows.items()}

    def tiers(self, section: dict[str, yaml.Node], name: str) -> tuple[Tier, ...]:
        tiers: list[Tier] = []
        what = f"thresholds.{name}"
        for node in self.items(section[name], what) if name in section else ():
            columns = self.mapping(node, what, required=["at_least", "discount"])
            tier = Tier(
                at_least=self.number(columns["at_least"], f"{what}.at_least", "a number such as 10 or 2500.50"),
                discount=self.percent(columns["discount"], f"{what}.discount"),
            )
            if tiers and tier.at_least <= tiers[-1].at_least:
                self.bad(columns["at_least"], f"{what}: at_least must rise from row to row")
            tiers.append(tier)
        return tuple(tiers)

    def fields(
        self, section: dict[str, yaml.Node], name: str, own: Iterable[str], standard: Sources | None = None
    ) -> Sources:
        """Return the further fields of the Quote or of its line: ``standard`` ones, and those of the file."""
        rows = self.mapping(section[name], f"fields.{name}", same=str.lower) if name in section else {}
        for key, row in rows.items():
            if not FIELD.fullmatch(key):
                self.bad(row, f"fields.{name}: {_short(key)} is not the name of a field, such as Region__c")
            if key.lower() in {field.lower() for field in own}:
                self.bad(row, f"fields.{name}.{key}: quotejob sets this field itself")
        given = {key: self.source(row, f"fields.{name}.{key}") for key, row in rows.items()}
        replaced = {key.lower() for key in given}
        return {key: row for key, row in (standard or {}).items() if key.lower() not in replaced} | given

    def source(self, node: yaml.Node, what: str) -> Source:
        rows = self.mapping(node, what, allowed=["from", "value"])
        if len(rows) > 1:
            self.bad(node, f"{what}: 'from' copies a field and 'value' is the same for all; give one of the two")
        if "value" in rows:
            return Source(value=self.constant(rows["value"], f"{what}.value"))
        path = self.text(rows["from"], f"{what}.from")
        if not PATH.fullmatch(path):
            self.expected(rows["from"], f"{what}.from", "a field such as Region__c or Account.Industry")
        return Source(path)

    def constant(self, node: yaml.Node, what: str) -> Any:
        """Return a text, a number, true or false. In quotes it is a text; ``""`` leaves the field to the org."""
        if isinstance(node, yaml.ScalarNode) and node.style and not node.value:
            return None
        text = self.text(node, what)
        if isinstance(node, yaml.ScalarNode) and node.style:
            return text
        if text in ("true", "false"):
            return text == "true"
        return Decimal(text) if NUMBER.fullmatch(text.removeprefix("-")) else text

    # the pieces it is made of

    def section(self, top: dict[str, yaml.Node], name: str, allowed: list[str]) -> dict[str, yaml.Node]:
        return self.mapping(top[name], name, allowed=allowed) if name in top else {}

    def mapping(
        self,
        node: yaml.Node,
        what: str,
        *,
        required: Iterable[str] = (),
        allowed: Iterable[str] = (),
        same: Callable[[str], str] = str,
    ) -> dict[str, yaml.Node]:
        """Return the rows of a mapping. Default: any key is valid; ``same`` finds equal keys."""
        if not isinstance(node, yaml.MappingNode) or not node.value:
            self.expected(node, what, "a mapping")
        known = [*required, *allowed]
        rows: dict[str, yaml.Node] = {}
        first_line: dict[str, int] = {}
        for key_node, value in node.value:
            key = self.text(key_node, f"a key of {what}")
            if same(key) in first_line:
                self.bad(key_node, f"{what}: {_short(key)} is already there, line {first_line[same(key)]}")
            if known and key not in known:
                self.bad(key_node, f"{what}: unknown key {_short(key)}{_guess(key, known)}")
            rows[key], first_line[same(key)] = value, key_node.start_mark.line + 1
        for key in required:
            if key not in rows:
                self.bad(node, f"{what}: the key {key!r} is missing")
        return rows

    def items(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self.expected(node, what, "a list")
        return list(node.value)

    def countries(self, node: yaml.Node | None, what: str) -> Iterable[dict[str, yaml.ScalarNode]]:
        """Yield the keys of each country: its code, and spellings of the file's own. A list has one country's names."""
        for item in self.items(node, what) if node is not None else ():
            words = self.items(item, what) if isinstance(item, yaml.SequenceNode) else [item]
            keys: dict[str, yaml.ScalarNode] = {}
            for word in words:
                text = self.text(word, what)
                assert isinstance(word, yaml.ScalarNode)
                key = country_key(text)
                if not key:
                    self.bad(word, f"{what}: {_short(text)} names no country")
                keys.setdefault(country_code(text) or key, word)
            if not any(country_code(word.value) for word in keys.values()):
                self.bad(
                    item,
                    f"{what}: {_short(words[0].value)} is no country that is known; write its ISO 3166 code, "
                    f"and a spelling of your own in a list with the code: [DE, {words[0].value[:20]}]",
                )
            yield keys

    def text(self, node: yaml.Node, what: str) -> str:
        if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
            self.expected(node, what, "text")
        if len(node.value) > MAX_TEXT_LENGTH or not node.value.isprintable():
            self.bad(
                node,
                f"{what}: {_short(node.value)} is over {MAX_TEXT_LENGTH} characters, or has some that do not print",
            )
        return str(node.value)

    def percent(self, node: yaml.Node, what: str) -> Decimal:
        """Return a number from 0 to 100 as a fraction."""
        expected = "a number from 0 to 100, such as 10 or 7.5"
        number = self.number(node, what, expected)
        if number > 100:
            self.expected(node, what, expected)
        return number.scaleb(-2)

    def number(self, node: yaml.Node, what: str, expected: str) -> Decimal:
        if not isinstance(node, yaml.ScalarNode) or node.style or not NUMBER.fullmatch(node.value):
            self.expected(node, what, expected)
        return Decimal(node.value)

    def expected(self, node: yaml.Node, what: str, expected: str) -> NoReturn:
        if isinstance(node, yaml.ScalarNode):
            quote = "the quoted text " if node.style else ""
            found = f"{quote}{_short(node.value)}" if node.value.strip() else "nothing"
        else:
            found = KINDS[node.tag] if node.value else f"{KINDS[node.tag]} with nothing in it"
        self.bad(node, f"{what}: expected {expected}, found {found}")


def _guess(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else ""
