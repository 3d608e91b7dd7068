"""The version of users' code: a hash of all files of its package, so that one knows which code decided what."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

LENGTH = 12  # hexadecimal digits


def version_of(code: object) -> str:
    """Return the hash of every ``.py`` file of the top package that a function or a class comes from.

    One file would not be enough: a helper beside it may change too. A module outside packages is a file alone.
    """
    top = sys.modules[str(getattr(code, "__module__", "__main__")).partition(".")[0]]
    files = sorted(file for folder in getattr(top, "__path__", ()) for file in Path(folder).rglob("*.py"))
    if not files and getattr(top, "__file__", None):
        files = [Path(str(top.__file__))]
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:LENGTH]
