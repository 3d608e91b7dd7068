"""Pricing: an Opportunity and the rules in, a priced Quote out. No network, no store, no clock, no float.

``rules`` holds the rules as values and applies them; ``rulesfile`` reads and checks ``pricing.yaml``. What the file may
say, and why the numbers come out as they do: docs/pricing.md.
"""

from quotejob.pricing.rules import Region, Regions, Rules, Tier, Unpriceable, price, quote_name, reasons
from quotejob.pricing.rulesfile import load_rules

__all__ = ["Region", "Regions", "Rules", "Tier", "Unpriceable", "load_rules", "price", "quote_name", "reasons"]
