"""Waiting until something is true, with a limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from harness.api import new_session


def wait(true: Callable[[], Any], seconds: float = 60) -> None:
    """Wait until ``true`` returns something true; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def responds(url: str) -> bool:
    """Return whether a GET is answered with success."""
    try:
        return new_session().get(url, timeout=5).ok
    except OSError:
        return False
