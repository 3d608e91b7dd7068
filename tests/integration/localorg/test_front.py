"""The page at /: objects with their numbers, users, and commands to log in that work as they stand."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess

import requests
from _server import Server

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_it_says_what_is_in_the_org_and_who_can_log_in(server: Server) -> None:
    """With the numbers of this moment; a look is not counted, and needs no token. JSON for programs."""
    page = requests.get(f"{server.url}/", headers=BROWSER, timeout=10)
    about = requests.get(f"{server.url}/", timeout=10).json()
    assert page.headers["Content-Type"].startswith("text/html")
    assert {"Account", "Opportunity", "Quote"} <= set(about["objects"])
    for name, number in about["objects"].items():
        assert server.get("query", params={"q": f"SELECT COUNT() FROM {name}"}).json()["totalSize"] == number
        assert re.search(rf"<td>{name}</td>\s*<td class=.number.>{number:,}</td>", page.text)
    for user in about["users"]:
        assert user["username"] in page.text
    counted = requests.get(f"{server.url}/localorg/stats", timeout=10).json()
    for link in re.findall(r'href="([^"]+)"', page.text):
        assert requests.get(server.url + link, timeout=10).ok
    after = requests.get(f"{server.url}/localorg/stats", timeout=10).json()
    assert after["requests"]["total"] <= counted["requests"]["total"] + 1  # /services/data is the platform's


def test_deleted_rows_do_not_count(server: Server) -> None:
    """What is in the recycle bin is not in the org."""

    def number() -> int:
        return int(requests.get(f"{server.url}/", timeout=10).json()["objects"]["Account"])

    before = number()
    account = server.create("Account", Name="Front page")
    assert number() == before + 1
    server.delete(f"sobjects/Account/{account}")
    assert number() == before


def test_its_commands_log_in(server: Server) -> None:
    """The first gives a token, the second uses it."""
    page = requests.get(f"{server.url}/", headers=BROWSER, timeout=10).text
    login, query = (html.unescape(block) for block in re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL))

    def run(command: str, **more: str) -> dict[str, object]:
        done = subprocess.run(
            command.replace("curl", "curl -s"), shell=True, env={**os.environ, **more}, capture_output=True, text=True
        )
        found: dict[str, object] = json.loads(done.stdout)
        return found

    token = str(run(login)["access_token"])
    assert run(query, TOKEN=token)["totalSize"] == 5
