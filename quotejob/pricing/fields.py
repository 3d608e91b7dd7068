"""The further fields of a Quote and of its lines: copied from the Opportunity and its lines, or the same for all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FIELD = re.compile(r"[A-Za-z]\w{0,79}", re.ASCII)
PATH = re.compile(r"[A-Za-z]\w{0,79}(\.[A-Za-z]\w{0,79}){0,5}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a field's value comes from: a path, or a constant."""

    path: str | None = None  # from the Opportunity or its line: "Region__c", "Account.Industry"
    value: Any = None  # of a constant: str, bool or Decimal

    def of(self, row: Mapping[str, Any]) -> Any:
        """Return the value for a row of the org. None: there is none, for example no Account."""
        if self.path is None:
            return self.value
        if self.path in row:
            return row[self.path]
        found: Any = row
        for name in self.path.split("."):
            found = None if found is None else _named(found, name)
        return found


Sources = Mapping[str, Source]  # field of the Quote or of its line -> where its value comes from

# What the user has entered on a line, and a Quote's line can hold, goes along.
LINE_FIELDS: Sources = {name: Source(name) for name in ("ServiceDate", "Description", "SortOrder")}

# The status of a new Quote, unless the rules say otherwise: an org may have renamed or removed this one.
QUOTE_FIELDS: Sources = {"Status": Source(value="Draft")}

# What quotejob computes. The rules cannot set these.
OWN_QUOTE_FIELDS = frozenset({"Name", "OpportunityId", "Pricebook2Id", "ExpirationDate", "QuoteJobKey__c"})
OWN_LINE_FIELDS = frozenset(
    {"QuoteId", "PricebookEntryId", "OpportunityLineItemId", "Quantity", "UnitPrice", "Discount", "QuoteJobKey__c"}
)


def values(sources: Sources, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields with their values for a row of the org. Fields without a value are left to the org."""
    return {name: value for name, source in sources.items() if (value := source.of(row)) is not None}


def _named(row: Mapping[str, Any], name: str) -> Any:
    """Return the field of a row. The org answers with its own spelling of a name, in upper and lower case."""
    if name in row:
        return row[name]
    return next((value for key, value in row.items() if key.lower() == name.lower()), None)
