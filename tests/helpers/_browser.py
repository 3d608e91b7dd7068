"""A real browser for the console: what it complains of is collected, and axe-core looks at each page."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

NODE = Path(__file__).parents[1] / "acceptance" / "node"
AXE = NODE / "node_modules" / "axe-core" / "axe.min.js"
ALONE = (  # it asks nobody else
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
    "--host-resolver-rules=MAP evil.example 127.0.0.1",  # a foreign host, which is on this machine
)
PATIENCE = 30_000  # ms until something is not there at all


def install_axe(npm: str) -> None:
    """Let npm bring axe-core, of the version that package-lock.json has."""
    subprocess.run([npm, "ci", "--loglevel=error"], cwd=NODE, check=True, capture_output=True, timeout=300)


@contextmanager
def browser(path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=list(ALONE))
        yield found
        found.close()


class Window:
    """One person's window, and everything in it that should not be."""

    def __init__(self, browser: Browser, base: str, *hosts: str, **options: Any) -> None:
        """Open it. Requests to ``base`` and ``hosts`` are right, and the troubles of ``hosts`` are their own."""
        self.wrong: list[str] = []
        self.context: BrowserContext = browser.new_context(base_url=base, timezone_id="Europe/Zurich", **options)
        self.context.set_default_timeout(PATIENCE)
        self.page: Page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("console", self._said)
        self.page.on("request", self._sent)
        self._base, self._hosts = base, hosts

    def _said(self, said: ConsoleMessage) -> None:
        if said.type == "error" and not (self._hosts and said.location["url"].startswith(self._hosts)):
            self.wrong.append(said.text)

    def _sent(self, sent: Request) -> None:
        if not sent.url.startswith((self._base, *self._hosts)):
            self.wrong.append(sent.url)

    def findings(self) -> list[str]:
        """What axe-core finds on this page."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [f"{each['id']}: {[node['html'][:200] for node in each['nodes']]}" for each in found["violations"]]


SignIn = Callable[..., Window]
