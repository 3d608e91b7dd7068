"""What a load has done so far, in a folder beside its file: enough to go on after any death.

The parts of the file are cut and saved before anything is sent. A job is noted before its rows are uploaded, and the
org works on it only after it is closed. So at any moment it is known, or can be asked, whether a part is written.
"""

from __future__ import annotations

import csv
import fcntl
import json
import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cli.commands.bulk.places import cannot_write
from cli.commands.bulk.source import Source
from cli.problems import NAME, USAGE, CommandError

_MINUTES = 10  # of --wait, where a command is shown


@dataclass(slots=True)
class Part:
    """Some rows of the file in one job. closing: the org may have been asked to begin."""

    rows: int
    first: int  # the line of its first row
    last: int
    job: str = ""
    closing: bool = False


@dataclass(slots=True)
class Ledger:
    """A load: its settings, which must stay the same, and its parts."""

    folder: Path
    settings: dict[str, Any]
    parts: list[Part] = field(default_factory=list)

    def part_file(self, number: int) -> Path:
        """Return the rows of a part as they are sent."""
        return self.folder / f"part-{number}.csv"

    def save(self) -> None:
        """Write it to disk, whole or not at all."""
        body = {"settings": self.settings, "parts": [asdict(part) for part in self.parts]}
        new = self.folder / "ledger.new"
        with new.open("w", encoding="utf-8") as file:
            json.dump(body, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.folder / "ledger.json")

    def is_sent(self) -> bool:
        """Return whether the org may have rows of it."""
        return any(part.job for part in self.parts)

    def remove(self) -> None:
        """Forget the load: its results are written. A death meanwhile leaves no folder that looks like a load."""
        ended = _ended(self.folder)
        shutil.rmtree(ended, ignore_errors=True)
        self.folder.replace(ended)
        shutil.rmtree(ended, ignore_errors=True)


def folder_of(path: Path) -> Path:
    """Return the folder of a file's load."""
    return path.with_name(f"{path.name}.bulk")


def result_file(path: Path, kind: str) -> Path:
    """Return the file with the rows that had an outcome of this kind, beside the file of a load."""
    return path.with_name(f"{path.stem}.{kind}.csv")


def _ended(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.ended")


def to_go_on(path: Path, minutes: float | None = None) -> str:
    """Return the command that goes on with the load of a file. ``minutes``: None: as many as usual."""
    return f"{NAME} bulk load {shlex.quote(str(path))} --resume --wait {minutes or _MINUTES:g}"


@contextmanager
def opened(path: Path, settings: dict[str, Any], *, resume: bool) -> Iterator[Ledger]:
    """Give the ledger of a file's load; raise CommandError when another one is in the way."""
    folder = folder_of(path)
    with _locked(path, folder):
        ledger: Ledger | None = None
        sent = _is_sent(folder / "ledger.json")
        try:
            if resume != sent:
                raise _in_the_way(path, folder) if sent else _nothing_there(path)
            shutil.rmtree(_ended(folder), ignore_errors=True)
            ledger = _read(folder, settings)
            yield ledger
        finally:
            if not (sent if ledger is None else ledger.is_sent()):
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(path: Path, folder: Path) -> Iterator[None]:
    """Hold the folder. What is in it says nothing while another process has it: that one may still be at work."""
    try:
        folder.mkdir(exist_ok=True)
        lock = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise cannot_write(folder, error) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CommandError(f"Another process loads {path} now.", USAGE, "LOAD_IS_RUNNING") from None
        yield
    finally:
        os.close(lock)


def _in_the_way(path: Path, folder: Path) -> CommandError:
    message = f"A load of {path} has not ended. Go on with it: {to_go_on(path)}. Or remove {folder}."
    return CommandError(message, USAGE, "LOAD_NOT_ENDED")


def _nothing_there(path: Path) -> CommandError:
    results = result_file(path, "success")
    how = f"the last one ended, see {results}" if results.exists() else "leave --resume out"
    return CommandError(f"{path} has no load to go on with: {how}.", USAGE, "NOTHING_TO_RESUME")


def _is_sent(known: Path) -> bool:
    return known.exists() and any(part["job"] for part in json.loads(known.read_text("utf-8"))["parts"])


def _read(folder: Path, settings: dict[str, Any]) -> Ledger:
    known = folder / "ledger.json"
    if not _is_sent(known):  # new, or it died before anything was sent
        return Ledger(folder, settings)
    body = json.loads(known.read_text("utf-8"))
    changed = [name for name, value in settings.items() if value is not None and body["settings"][name] != value]
    if changed:
        message = f"The load in {folder} was begun with other values: {', '.join(changed)}. Use the same ones."
        raise CommandError(message, USAGE, "LOAD_DIFFERS")
    return Ledger(folder, body["settings"], [Part(**part) for part in body["parts"]])


def cut(ledger: Ledger, source: Source, fields: dict[int, str], largest: int) -> None:
    """Cut the rows into parts of at most this many bytes, and save them; rows with a fault are in none."""
    places = list(fields)
    writer = _PartWriter(ledger, list(fields.values()), largest)
    try:
        for row in source.rows():
            if not row.fault:
                writer.add(row.line, [row.values[at] for at in places])
    finally:
        writer.close()
    ledger.save()


class _PartWriter:
    def __init__(self, ledger: Ledger, header: list[str], largest: int) -> None:
        self._ledger = ledger
        self._header = _line(header)
        self._largest = largest
        self._file: Any = None
        self._size = 0

    def add(self, line: int, values: list[str]) -> None:
        data = _line(values)
        if self._file is None or self._size + len(data) > self._largest:
            self.close()
            self._file = self._ledger.part_file(len(self._ledger.parts)).open("wb")
            self._file.write(self._header)
            self._size = len(self._header)
            self._ledger.parts.append(Part(0, line, line))
        self._file.write(data)
        self._size += len(data)
        part = self._ledger.parts[-1]
        part.rows, part.last = part.rows + 1, line

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class _Caught:
    text = ""

    def write(self, text: str) -> None:
        self.text = text


_caught = _Caught()
_writer = csv.writer(_caught, lineterminator="\n")


def _line(values: list[str]) -> bytes:
    _writer.writerow(values)
    return _caught.text.encode()
