"""bin/test, inside .venv: the checks, then the tests; all run even when one fails, and any failure fails the whole.

All but the acceptance tests run side by side on two processes, each with its own Redis and local org. The acceptance
tests run afterwards on four processes: each starts whole systems, and mostly waits (for leases to end, for an org that
hangs). Pytest's summary of them is the last line. What failed before is said once more just above that line, and then
the exit code is not 0 either (tests/conftest.py reads QUOTEJOB_FAILED_CHECKS).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The tests of one file stay together. xdist's own order begins with the files of most tests: tests/conftest.py knows
# better which are long.
BY_FILE = ["--dist", "loadfile", "--no-loadscope-reorder"]
CHECKS = {  # what is run by Python: a module with its arguments, or -c and a program
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
    "imports": ["-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"],
    "pytest: all but acceptance": ["pytest", "-n", "2", *BY_FILE, "-m", "not acceptance"],
}


def main() -> None:
    """Run the checks, unless arguments ask for pytest alone; then become pytest, so that signals reach it."""
    os.chdir(ROOT)
    temporary = ROOT / ".pytest_tmp"
    temporary.mkdir(exist_ok=True)
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(temporary)  # pytest's temporary folders stay inside the checkout
    arguments = sys.argv[1:]
    if not arguments:
        failed = [name for name, command in CHECKS.items() if not passes(name, command)]
        os.environ["QUOTEJOB_FAILED_CHECKS"] = ", ".join(failed)
        arguments = ["-n", "4", *BY_FILE, "-m", "acceptance"]
    print(f"== pytest {' '.join(arguments)}", flush=True)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *arguments])


def passes(name: str, command: list[str]) -> bool:
    """Run one check and show its output. Return whether it passed."""
    print(f"== {name}", flush=True)
    words = command if command[0] == "-c" else ["-m", *command]
    return subprocess.run([sys.executable, *words]).returncode == 0


if __name__ == "__main__":
    main()
