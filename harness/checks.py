"""bin/test, inside .venv: the checks, then pytest; all run even when one fails, and any failure fails the whole.

pytest comes last and its summary is the last line. Which checks failed before it is said once more just above that
line, and then pytest's exit code is not 0 either (tests/conftest.py reads QUOTEJOB_FAILED_CHECKS).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHECKS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
    "imports": ["-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"],
}


def main() -> None:
    """Run the checks, unless arguments ask for pytest alone; then become pytest, so that signals reach it."""
    os.chdir(ROOT)
    arguments = sys.argv[1:]
    failed = [] if arguments else [name for name, command in CHECKS.items() if not passes(name, command)]
    temporary = ROOT / ".pytest_tmp"
    temporary.mkdir(exist_ok=True)
    os.environ["QUOTEJOB_FAILED_CHECKS"] = ", ".join(failed)
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(temporary)  # pytest's temporary folders stay inside the checkout
    print("== pytest", flush=True)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *arguments])


def passes(name: str, command: list[str]) -> bool:
    """Run one check; its own words are shown."""
    print(f"== {name}", flush=True)
    words = command if command[0] == "-c" else ["-m", *command]
    return subprocess.run([sys.executable, *words]).returncode == 0


if __name__ == "__main__":
    main()
