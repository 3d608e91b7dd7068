"""The systems that run on this machine: those of bin/demo and of `quotejob up`, and their orgs."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from urllib.parse import urlsplit

API_VERSION = "66.0"  # of the Salesforce API
ROOT = Path(__file__).resolve().parent.parent
DEMOS = ROOT / ".demo"  # a folder for each run, named by its process id
UPS = ROOT / ".quotejob"  # a folder for each org that `quotejob up` was started with
NOTE = "org.json"  # in these folders, while the system runs
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


def alive(process_id: str) -> bool:
    """Return whether that process is running."""
    try:
        os.kill(int(process_id), 0)
    except PermissionError:
        return True
    except (ValueError, ProcessLookupError):
        return False
    return True


def running_systems() -> list[dict[str, str]]:
    """Return what each running bin/demo and `quotejob up` wrote about itself, the newest first.

    That is web_url, the address of the API, and pid. Of a local org: its url and token; of another org: its alias.
    """
    found: list[tuple[float, dict[str, str]]] = []
    for file in (*DEMOS.glob(f"*/{NOTE}"), *UPS.glob(f"*/{NOTE}")):
        with contextlib.suppress(FileNotFoundError, ValueError):  # it ends or begins at this moment
            about: dict[str, str] = json.loads(file.read_text())
            if alive(about.get("pid", "")):
                found.append((file.stat().st_mtime, about))
    return [about for _, about in sorted(found, key=lambda each: -each[0])]


def system_at(url: str) -> dict[str, str] | None:
    """Return what the running system wrote whose API has this address; None if there is none.

    The path does not count, and localhost is the same as 127.0.0.1.
    """
    return next((system for system in running_systems() if _place(system.get("web_url", "")) == _place(url)), None)


def _place(url: str) -> tuple[str, str]:
    """Return the scheme of an address, and its host and port."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower().replace("localhost", "127.0.0.1")


def is_address(url: str) -> bool:
    """Return whether a text is an http:// or https:// address with a host, and with a possible port if it has one."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
