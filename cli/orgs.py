"""Which API and which org a command talks to."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator

from cli import invoke
from cli.local import is_address, running_systems, system_at
from cli.problems import NAME, NOT_SERVED, USAGE, CommandError

DEFAULT_URL = "http://127.0.0.1:8000"
_HOW_TO_NAME_AN_ORG = (
    "use --org or QUOTEJOB_ORG with an alias of the sf command, or set QUOTEJOB_INSTANCE_URL and QUOTEJOB_ACCESS_TOKEN."
)


def api_url(given: str | None) -> str:
    """Return the API's address: the given one, else that of the newest running system, else the default."""
    running = next((system["web_url"] for system in running_systems()), DEFAULT_URL) if given is None else given
    url = running.rstrip("/")
    if not is_address(url) or set(url) & set("?#"):
        raise CommandError(
            f"{url!r} is not an http:// or https:// address without a query: correct --url or QUOTEJOB_URL."
        )
    return url


def header(org: str | None, url: str) -> str:
    """Return the x-client-context header of the org's user for the API at ``url``."""
    with _reasons():
        return invoke.context(*_credentials(org, url))


def credentials(org: str | None, url: str) -> tuple[str, str]:
    """Return the address and an access token of the org that a command works on."""
    with _reasons():
        return _credentials(org, url)


def _credentials(org: str | None, url: str) -> tuple[str, str]:
    """Return the org's address and an access token."""
    if org == "":
        raise CommandError("--org is empty: give an alias of the sf command, or leave it out.", USAGE, "NO_ORG")
    instance, token = os.environ.get("QUOTEJOB_INSTANCE_URL", ""), os.environ.get("QUOTEJOB_ACCESS_TOKEN", "")
    if org is None and instance and token:
        return instance.rstrip("/"), token
    running = system_at(url) or {}
    if "token" in running and org in (None, "local"):  # each system's API takes the token of its own org
        return running["url"], running["token"]
    usual = os.environ.get("QUOTEJOB_ORG") or ("local" if os.environ.get("LOCAL_ORG_URL") else "")
    named = org or running.get("alias") or usual
    if not named:
        raise CommandError(_no_org(url), USAGE, "NO_ORG")
    return invoke.local_org(url) if named == "local" else invoke.sf_org(named)


def _no_org(url: str) -> str:
    """Return what to do when neither the caller nor a system at this address names an org."""
    running = [system["web_url"] for system in running_systems() if "web_url" in system]
    if running:
        where = f"No system of this machine runs at {url}, but at {', '.join(running)}: correct --url or QUOTEJOB_URL"
    else:
        where = f"No org is named: start `{NAME} up` or bin/demo"
    return f"{where}, {_HOW_TO_NAME_AN_ORG}"


@contextlib.contextmanager
def _reasons() -> Iterator[None]:
    """Turn what ends ``bin/invoke.sh`` into CommandError; the exit code tells a silent org from a wrong name."""
    words = io.StringIO()
    try:
        with contextlib.redirect_stderr(words):
            yield
    except SystemExit as error:
        asked = isinstance(error.__context__, OSError)  # the org was asked, and did not answer or refused
        message = words.getvalue().strip()
        raise CommandError(message, NOT_SERVED if asked else USAGE, "ORG_REFUSED" if asked else "NO_ORG") from None
