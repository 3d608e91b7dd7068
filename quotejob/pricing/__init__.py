"""Price Opportunities: pure functions without network, store, clock or float.

``rules`` has the rules as values and applies them; ``agreed`` keeps what a line agreed; ``fields`` has the fields that
go along; ``names`` and ``countries`` know names; ``rulesfile`` reads and checks ``pricing.yaml``. What the file may
contain, and how the numbers are calculated: docs/pricing.md.
"""

from quotejob.pricing.agreed import Unpriceable
from quotejob.pricing.names import opportunity_name, quote_name
from quotejob.pricing.rules import Region, Regions, Rules, Tier, price, reasons, unknown_country
from quotejob.pricing.rulesfile import load_rules

__all__ = [
    "Region",
    "Regions",
    "Rules",
    "Tier",
    "Unpriceable",
    "load_rules",
    "opportunity_name",
    "price",
    "quote_name",
    "reasons",
    "unknown_country",
]
