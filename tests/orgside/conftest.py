"""The tools that check the org's side: without npm, node or Java the tests are skipped, and in CI they fail."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from harness.npm import ToolError, installed
from harness.orgside.gates import CHECKS, CLIENTS, JEST


@pytest.fixture(scope="session", autouse=True)
def tools(optional_tool: Callable[[str], str]) -> None:
    for name in ("npm", "node", "java"):
        optional_tool(name)
    try:
        for folder in (CHECKS, JEST, CLIENTS):
            installed(folder)
    except ToolError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
