"""Permissions: the users' profiles, and the one function that every read and write calls.

Permissions are by object and action, as a profile's object permissions are; there is no field-level security and no
sharing between users (every user sees every row of an object they may read). A refused write is answered with 403
INSUFFICIENT_ACCESS_OR_READONLY; an object a user may not read does not exist for them (404). Salesforce's guides list
these codes (SOAP API guide, "Core Data Types Used in API Calls") but not which call answers which: decided here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from zoneinfo import ZoneInfo

from localorg import errors
from localorg.errors import OrgError


class Action(StrEnum):
    """The actions on rows of an object that a profile can allow."""

    READ = "read"
    CREATE = "create"
    EDIT = "edit"
    DELETE = "delete"
    HARD_DELETE = "hardDelete"  # the system permission "Bulk API Hard Delete"; asked of every object alike


EVERYTHING = frozenset(Action)
READING = frozenset({Action.READ})


@dataclass(frozen=True, slots=True)
class Profile:
    """The actions allowed with every object, and the objects (by exact name) with other allowed actions."""

    name: str
    actions: frozenset[Action]
    special: Mapping[str, frozenset[Action]] = field(default_factory=dict)

    def allows(self, object_name: str, action: Action) -> bool:
        """Return whether a user with this profile may do this action with rows of this object."""
        return action in self.special.get(object_name, self.actions)


ADMINISTRATOR = Profile("System Administrator", EVERYTHING)
STANDARD = Profile("Standard User", EVERYTHING - {Action.HARD_DELETE})
READ_ONLY = Profile("Read Only", READING)


@dataclass(frozen=True, slots=True)
class User:
    """A user whom a request can run as."""

    id: str
    username: str
    time_zone: ZoneInfo
    first_name: str
    last_name: str
    alias: str
    profile: Profile

    @property
    def name(self) -> str:
        """The first and last name."""
        return f"{self.first_name} {self.last_name}"


def check(user: User, object_name: str, action: Action) -> None:
    """Raise OrgError unless the user may do this action with rows of this object, given by its exact name."""
    if not user.profile.allows(object_name, action):
        raise refusal(action)


def refusal(action: Action) -> OrgError:
    """Return the platform's refusal for a user who may not do this action."""
    if action is Action.READ:
        return errors.not_found()
    if action is Action.HARD_DELETE:
        advice = "please contact your system administrator"
        message = f"FeatureNotEnabled : hardDelete operation requires special user profile permission, {advice}"
        return OrgError(400, "FEATURENOTENABLED", message)
    return OrgError(403, "INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id", ())
