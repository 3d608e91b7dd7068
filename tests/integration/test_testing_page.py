"""docs/testing.md: its examples run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_examples_of_the_page_run(tmp_path: Path) -> None:
    """Each block is the file named above it; pytest runs them for a reader, so it does here."""
    page = (ROOT / "docs" / "testing.md").read_text()
    blocks = re.findall(r"`(\w+\.py)`[^`]*```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == page.count("```python") == 3
    for name, code in blocks:
        (tmp_path / name).write_text(code)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", tmp_path],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    tests = sum(code.count("\ndef test_") + code.startswith("def test_") for _, code in blocks)
    assert f"{tests} passed" in done.stdout, done.stdout
