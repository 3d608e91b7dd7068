"""The permission sets of an sfdx project, each as the profile of a user who may only read beside it.

Metadata API guide: "PermissionSet", objectPermissions. Permissions for fields, classes and tabs are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from localorg.permissions import READING, Action, Profile
from localorg.schema.sfdx import flag, read, text

_ACTIONS: Final = {
    "allowRead": Action.READ,
    "allowCreate": Action.CREATE,
    "allowEdit": Action.EDIT,
    "allowDelete": Action.DELETE,
}


def profiles(folder: Path) -> Iterator[Profile]:
    """Yield a profile for each permission set of a source folder. Raise ValueError for a file that is not XML."""
    for file, root in read(folder, "permissionset"):
        special = {
            text(each, "object"): frozenset(action for tag, action in _ACTIONS.items() if flag(each, tag))
            for each in root
            if each.tag.endswith("objectPermissions")
        }
        yield Profile(file.name.partition(".")[0], READING, special)
