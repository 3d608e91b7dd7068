"""The field of the org that has the key of each record that a job makes. force-app/ adds it to the org's objects.

It is unique in the org. So a write that is repeated makes no second record, and what a job made can be found again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quotejob.errors import OrgClosed

NAME = "QuoteJobKey__c"
SHIPPED = ("Opportunity", "Quote", "QuoteLineItem")  # the objects that force-app/ adds it to
DEPLOY = (
    "deploy it with: sf project deploy start --source-dir force-app; "
    "then assign it with: sf org assign permset --name QuoteJobWorker"
)


def check(described: Mapping[str, Any]) -> None:
    """Raise OrgClosed if the object lacks the field, or the user may not set it. In: the org's describe of the object.

    Without the field a repeated write could make a second record.
    """
    where = f"{described['name']}.{NAME}"
    field = next((each for each in described["fields"] if each["name"] == NAME), None)
    if field is None:
        raise OrgClosed(f"The org lacks the field {where}, or the user may not see it; {DEPLOY}")
    if not (field["unique"] and field["createable"]):
        raise OrgClosed(f"{where} must be unique, and the user must be allowed to set it; {DEPLOY}")
