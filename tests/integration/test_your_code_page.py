"""docs/your-code.md: its job and its test run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_job_of_the_page_passes_its_test(tmp_path: Path) -> None:
    """Each block is the file named above it."""
    page = (ROOT / "docs" / "your-code.md").read_text().partition("\n## Jobs of your own\n")[2]
    blocks = re.findall(r"`(?:~/acme/)?(\w+\.py)`[^`]*```python\n(.*?)```", page, re.DOTALL)
    assert [name for name, _ in blocks] == ["renewals.py", "test_renewals.py", "test_renewals_there.py"]
    for name, code in blocks:
        (tmp_path / name).write_text(code)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", tmp_path],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"},
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert "3 passed" in done.stdout, done.stdout
