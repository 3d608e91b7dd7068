"""The versions of the Salesforce API that this org serves."""

from __future__ import annotations

OLDEST_VERSION, NEWEST_VERSION = 50, 66
LATEST = f"{NEWEST_VERSION}.0"
