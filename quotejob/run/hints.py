"""What to do about a record that failed, by its code.

The platform's codes and their meanings are those of the SOAP API guide (StatusCode).
"""

from __future__ import annotations

_RETRY = "then retry the failed records"
_ACCESS = "The job's user may not do this: give the user access to what the message names"
_TOO_LARGE = "A value does not fit its field: change the Opportunity or its lines, or 'fields' in the pricing rules"
_AUTOMATION = "The org's own automation stopped the Quote: ask the admin to look at what the message names"
_CODE = "change your code, start the workers again"
_REFERENCE = "A record that the Quote refers to is gone, or the job's user cannot see it: correct the Opportunity"

_HINTS = {
    # ours
    "UNPRICEABLE": f"Correct the value that the message names in the Opportunity, {_RETRY}.",
    "WORKER_LOST": "A worker process died on this record each time: see its log and its memory, then retry the record.",
    "QUOTE_INCOMPLETE": "Resume the job to complete this Quote, or wait until the part that is there is removed.",
    # of users' code
    "BAD_RECORD": "A value of the record does not fit its type in your class: correct the record, or let the type "
    f"allow it, as by '| None', and start the workers again, {_RETRY}.",
    "NOT_A_WRITE": f"What execute gives is no write; it should yield what a record's methods give: {_CODE}, {_RETRY}.",
    "UNGUARDED_INSERT": f"Name a unique external id field in the job's writes, as the message says: {_CODE}, {_RETRY}.",
    "USER_CODE_ERROR": "Your code raised this, at the line that the message names, and the worker's log has all of it: "
    f"{_CODE}, {_RETRY}.",
    # the platform's
    "APEX_DATA_ACCESS_RESTRICTION": f"{_ACCESS}, {_RETRY}.",
    "CANNOT_EXECUTE_FLOW_TRIGGER": f"{_AUTOMATION} (a flow), {_RETRY}.",
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": f"{_AUTOMATION} (an Apex trigger), {_RETRY}.",
    "DUPLICATES_DETECTED": "A duplicate rule of the org takes the Quote for one that is there: ask the admin to exempt "
    f"the job's user, {_RETRY}.",
    "DUPLICATE_VALUE": "A unique field of the Quote has a value that another record has: see the field in the message. "
    f"Change the value or the field, {_RETRY}.",
    "ENTITY_IS_DELETED": "The Opportunity or one of its lines was deleted: restore it, or leave it.",
    "ENTITY_IS_LOCKED": f"The Opportunity is locked, probably by an approval process: unlock it, {_RETRY}.",
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": "A validation rule of the org refuses the Quote or a line of it. The message "
    f"is the rule's own: correct the Opportunity or the rule, {_RETRY}.",
    "FIELD_FILTER_VALIDATION_EXCEPTION": f"A lookup filter of the org refuses a value: correct it, {_RETRY}.",
    "FIELD_INTEGRITY_EXCEPTION": "Values do not fit each other, such as a product and the price book: correct the "
    f"Opportunity, {_RETRY}.",
    "INACTIVE_OWNER_OR_USER": f"The owner of a record is not active: give it to an active user, {_RETRY}.",
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": f"{_ACCESS}, {_RETRY}.",
    "INSUFFICIENT_ACCESS_OR_READONLY": f"{_ACCESS}, {_RETRY}.",
    "INVALID_CROSS_REFERENCE_KEY": f"{_REFERENCE}, {_RETRY}.",
    "INVALID_CURRENCY_ISO": f"The currency is not active in the org: activate it, {_RETRY}.",
    "INVALID_FIELD": f"The org lacks a field, or the job's user may not see it: give access to it, {_RETRY}.",
    "INVALID_FIELD_FOR_INSERT_UPDATE": f"{_ACCESS}, {_RETRY}.",
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": "A picklist does not have this value: add it there, or change 'fields' "
    f"in the pricing rules, {_RETRY}.",
    "NUMBER_OUTSIDE_VALID_RANGE": f"{_TOO_LARGE}, {_RETRY}.",
    "PROCESSING_HALTED": f"{_REFERENCE}, {_RETRY}.",
    "REQUIRED_FIELD_MISSING": "The org requires a field that the Quote does not get: fill it by 'fields' in the "
    f"pricing rules or by a default in the org, {_RETRY}.",
    "STANDARD_PRICE_NOT_DEFINED": f"A product has no standard price: add it to the standard price book, {_RETRY}.",
    "STRING_TOO_LONG": f"{_TOO_LARGE}, {_RETRY}.",
    "UNABLE_TO_LOCK_ROW": "Something else was changing the same records at that time: retry the failed records.",
    "VALIDATION_EXCEPTION": f"The org refuses the values: correct what the message names, {_RETRY}.",
}


def hint(code: str | None) -> str | None:
    """Return a sentence that says what to do about records that failed with this code. None: the message has to do."""
    return _HINTS.get(code or "")
