"""An org with several currencies: the object CurrencyType, and CurrencyIsoCode on the objects that have amounts.

Object Reference, "CurrencyType" and the field CurrencyIsoCode of Opportunity, PricebookEntry, Quote and their lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

FIELD = "CurrencyIsoCode"
OBJECT = "CurrencyType"
DECIMALS = {"BHD": 3, "CLP": 0, "ISK": 0, "JOD": 3, "JPY": 0, "KRW": 0, "KWD": 3, "OMR": 3, "TND": 3, "VND": 0}
_CHOSEN = ("Account", "Opportunity", "PricebookEntry", "Product2", "Quote")
_LINES = ("OpportunityLineItem", "QuoteLineItem")  # theirs is the one of the Opportunity or Quote


def add(described: dict[str, dict[str, Any]], codes: Sequence[str]) -> None:
    """Add the currencies to the objects described so far. The first code is the user's own, and the default."""
    described[OBJECT] = {
        "name": OBJECT,
        "label": "Currency Type",
        "plural": "Currency Types",
        "prefix": "01L",
        "fields": {
            "IsoCode": {"type": "picklist", "required": True, "access": "create"},
            "ConversionRate": {"type": "double", "precision": 18, "scale": 6, "required": True},
            "DecimalPlaces": {"type": "int", "required": True},
            "IsActive": {"type": "boolean"},
            "IsCorporate": {"type": "boolean"},
        },
    }
    chosen = {"type": "picklist", "label": "Currency ISO Code", "restricted": True, "values": list(codes)}
    for name in _CHOSEN:
        described[name]["fields"][FIELD] = {**chosen, "default": codes[0]}
    for name in _LINES:
        described[name]["fields"][FIELD] = {**chosen, "access": "read"}
