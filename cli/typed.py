"""The name of the command as it was typed: help, errors and hints repeat it, so that they can be typed too."""

from __future__ import annotations

import os
import re
import shlex


def name(usual: str) -> str:
    """Return what was typed, as the scripts in bin/ pass it on. Without one it is the ``usual`` name."""
    return shlex.quote(os.environ.get("QUOTEJOB_TYPED") or usual)


NAME = name("quotejob")


def as_typed(line: str) -> str:
    """Return a line of commands of quotejob, with the name as it was typed."""
    return re.sub(r"(?<![\w/])quotejob(?= [a-z])", lambda _: NAME, line)
