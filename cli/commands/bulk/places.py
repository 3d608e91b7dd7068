"""Where a command writes: that it can is found out before anything is sent."""

from __future__ import annotations

from pathlib import Path

from cli.problems import USAGE, CommandError


def check_writable(path: Path) -> None:
    """Raise CommandError unless a file can be written here. What is there stays as it is."""
    try:
        new = not path.exists()
        path.open("ab").close()
        if new:
            path.unlink()
    except OSError as error:
        raise cannot_write(path, error) from None


def cannot_write(path: Path, error: OSError) -> CommandError:
    """Return the error of a path that cannot be written."""
    return CommandError(f"{path} cannot be written: {error.strerror or error}.", USAGE, "CANNOT_WRITE")
