"""bin/test, inside .venv: the checks and the tests; all run even when one fails, and any failure fails the whole.

The acceptance tests run from the beginning, on four processes. Each of them starts whole systems, and mostly waits: for
leases to end, for an org that hangs. Beside them run the checks, and then all other tests on two processes. Those have
a lower priority, so they use the time in which the acceptance tests wait. Each process has its own Redis and local org.

The acceptance tests write to a file, and it is shown at the end. Pytest's summary of them is the last line. What else
failed is said once more just above that line, and then the exit code is not 0 either.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import psutil

ROOT = Path(__file__).resolve().parent.parent
TEMPORARY = ROOT / ".pytest_tmp"  # pytest's temporary folders stay inside the checkout
LATER = 5  # added to the nice value of what runs beside the acceptance tests
# The tests of one file stay together. xdist's own order begins with the files of most tests: tests/conftest.py knows
# better which are long.
BY_FILE = ["--dist", "loadfile", "--no-loadscope-reorder"]
ACCEPTANCE = ["pytest", "-n", "4", *BY_FILE, "-m", "acceptance"]
CHECKS = {  # what is run by Python: a module with its arguments, or -c and a program
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
    "imports": ["-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"],
    "pytest: all but acceptance": ["pytest", "-n", "2", *BY_FILE, "-m", "not acceptance"],
}


def main() -> None:
    """Run everything; with arguments become pytest with them, so that signals reach it."""
    os.chdir(ROOT)
    TEMPORARY.mkdir(exist_ok=True)
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(TEMPORARY)
    arguments = sys.argv[1:]
    if arguments:
        print(f"== pytest {' '.join(arguments)}", flush=True)
        os.execv(sys.executable, [sys.executable, "-m", "pytest", *arguments])
    sys.exit(everything())


def everything() -> int:
    """Run the checks and all tests. Return the exit code. Ctrl-C and SIGTERM end what runs, each once, and wait."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    log = TEMPORARY / "acceptance.log"
    try:
        with log.open("wb") as file:
            acceptance = start(ACCEPTANCE, file)
        print(f"== pytest: acceptance runs meanwhile, and writes to {log.relative_to(ROOT)}", flush=True)
        os.nice(LATER)
        failed = []
        for name, command in CHECKS.items():
            print(f"== {name}", flush=True)
            if start(command).wait() != 0:
                failed.append(name)
        acceptance.wait()
    except KeyboardInterrupt:
        stop()
        return 130
    *lines, last = log.read_text("utf-8", "replace").splitlines() or ["it wrote nothing"]
    print("== pytest: acceptance", *lines, sep="\n")
    if failed:
        print(f"FAILED: {', '.join(failed)} (see above)")
    print(last)
    return 1 if failed else acceptance.returncode


def start(command: list[str], output: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
    """Start one of the commands. Ctrl-C on the terminal reaches it through us only."""
    words = command if command[0] == "-c" else ["-m", *command]
    return subprocess.Popen(
        [sys.executable, *words],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output and subprocess.STDOUT,
        start_new_session=True,
    )


def stop() -> None:
    """Ask what this process has started to end, and wait: tests stop first what they have started.

    The system says what that is. A command that was starting when the signal came is nowhere else.
    """
    running = psutil.Process().children()
    for process in running:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    psutil.wait_procs(running)


if __name__ == "__main__":
    main()
