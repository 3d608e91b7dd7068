"""docs/your-code.md, the part about prices, word for word: the function, its test, and a job with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from _quoting import Ran, line

from harness.api import Json
from quotejob.run.receipt import Outcome
from quotejob.settings import ROOT, current

PAGE = (ROOT / "docs" / "your-code.md").read_text("utf-8")


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the page's newcomer, with both files."""
    function, test = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[:2]
    (tmp_path / "gold.py").write_text(function)
    (tmp_path / "test_gold.py").write_text(test)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_the_pages_test_passes(acme: Path) -> None:
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(acme), "-c", os.devnull]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([*words, str(acme)], cwd=acme, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_the_pages_function_prices_a_job(
    acme: Path,
    monkeypatch: pytest.MonkeyPatch,
    run: Callable[[str], Ran],
    make: Callable[..., str],
    quote_of: Callable[..., Json],
) -> None:
    monkeypatch.setenv("QUOTEJOB_PRICING", "gold:price")
    current.cache_clear()
    deal = make(line(2, 100))
    assert run(f"Id = '{deal}'").results[deal].outcome is Outcome.SUCCEEDED
    quote = quote_of(deal, "Description")
    assert quote["Description"] == "gold"
    assert str(quote["QuoteLineItems"][0]["UnitPrice"]) == "85.5"
