"""The org of the demo that runs on this machine."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class LocalOrg:
    """Where the local org listens and who its user is."""

    url: str
    org_id: str  # 00D...
    user_id: str  # 005...
    token: str

    def __repr__(self) -> str:
        return f"LocalOrg(url={self.url!r}, org_id={self.org_id!r}, user_id={self.user_id!r})"


API_VERSION = "66.0"  # of the Salesforce API
RUNS = Path(__file__).resolve().parent.parent / ".demo"
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


def alive(process_id: str) -> bool:
    """Return whether that process is running. bin/demo names its folder by its process id."""
    try:
        os.kill(int(process_id), 0)
    except PermissionError:
        return True
    except (ValueError, ProcessLookupError):
        return False
    return True


def running_demos() -> list[dict[str, str]]:
    """Return what each running bin/demo wrote about itself, the newest first: url and token of its org, its web_url."""
    files = [file for file in RUNS.glob("*/org.json") if alive(file.parent.name)]
    return [json.loads(file.read_text()) for file in sorted(files, key=lambda file: -file.stat().st_mtime)]


def demo_at(url: str) -> dict[str, str] | None:
    """Return what the running bin/demo wrote whose API has this address; None if there is none.

    The path does not count, and localhost is the same as 127.0.0.1.
    """
    return next((demo for demo in running_demos() if _place(demo.get("web_url", "")) == _place(url)), None)


def _place(url: str) -> tuple[str, str]:
    """Return the scheme of an address, and its host and port."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower().replace("localhost", "127.0.0.1")
