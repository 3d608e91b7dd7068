"""What the sf command makes of the source folders: all that is shipped, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

from harness.orgside.apex import FOLDERS

_NAMESPACE = "{http://soap.sforce.com/2006/04/metadata}"
_BUNDLES = {"lwc", "genAiFunctions"}  # a folder of files for each component
_PARTS = ("CustomField", "ListView")  # of an object
SF_ALONE = {  # sf asks nobody else, starts no update of itself and uses no keychain of the machine
    "SF_AUTOUPDATE_DISABLE": "true",
    "SF_DISABLE_AUTOUPDATE": "true",  # what its plugin for updates asks: else each call leaves a process behind
    "SF_DISABLE_LOG_FILE": "true",
    "SF_DISABLE_TELEMETRY": "true",
    "SF_SKIP_NEW_VERSION_CHECK": "true",
    "SF_USE_GENERIC_UNIX_KEYCHAIN": "true",
}


def not_as_shipped(root: Path, modules: Path) -> list[str]:
    """Return a line for each component that the files name and the sf command does not, or the other way round.

    Both ``sf project convert source`` and ``sf project generate manifest`` are run on a copy. ``modules`` is the folder
    with the command and its Node.
    """
    with tempfile.TemporaryDirectory() as made:
        where = Path(made) / "project"
        where.mkdir()
        for name in (*FOLDERS, "sfdx-project.json", ".forceignore"):
            (shutil.copytree if (root / name).is_dir() else shutil.copy)(root / name, where / name)
        sources = [word for folder in FOLDERS for word in ("--source-dir", folder)]
        shipped = set(_shipped(where))
        wrong = []
        for command in ("convert source", "generate manifest"):
            words = ["project", *command.split(), *sources, "--output-dir", "made"]
            if said := _sf(words, where, modules):
                wrong.append(f"sf project {command}: {said}")
                continue
            named = set(_named(where / "made" / "package.xml"))
            wrong += [f"sf project {command} does not name {' '.join(one)}" for one in sorted(shipped - named)]
            wrong += [
                f"sf project {command} names {' '.join(one)}, which no file is" for one in sorted(named - shipped)
            ]
        return wrong


def _shipped(root: Path) -> Iterator[tuple[str, str]]:
    """Yield the type and the name of each component, as the files themselves say it."""
    for folder in FOLDERS:
        for file in sorted(path for path in (root / folder).rglob("*") if path.is_file()):
            in_bundle = _BUNDLES & set(file.parts) and not file.name.endswith("-meta.xml")
            if in_bundle or "__tests__" in file.parts:
                continue
            if file.name.endswith("-meta.xml"):
                yield _component(file)
            elif not file.with_name(f"{file.name}-meta.xml").is_file():
                yield "a file without metadata,", file.name


def _component(file: Path) -> tuple[str, str]:
    top = ElementTree.parse(file).getroot()  # noqa: S314 - our own files
    kind, name = top.tag.removeprefix(_NAMESPACE), file.name.removesuffix("-meta.xml").rpartition(".")[0]
    if kind in _PARTS:
        return kind, f"{file.parent.parent.name}.{top.findtext(f'{_NAMESPACE}fullName')}"
    if kind == "ReportFolder":
        return "Report", f"{name}/"
    return kind, f"{file.parent.name}/{name}" if kind == "Report" else name


def _named(package: Path) -> Iterator[tuple[str, str]]:
    for types in ElementTree.parse(package).getroot().iter(f"{_NAMESPACE}types"):  # noqa: S314 - made by sf
        for member in types.iter(f"{_NAMESPACE}members"):
            yield types.findtext(f"{_NAMESPACE}name") or "", member.text or ""


def _sf(words: list[str], where: Path, modules: Path) -> str:
    """Run the command. Return what it says if it fails."""
    command = [str(modules / ".bin" / "node"), str(modules / "@salesforce" / "cli" / "bin" / "run.js"), *words]
    environment = {"PATH": os.environ["PATH"], "HOME": str(where.parent), **SF_ALONE}
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True)
    return "" if done.returncode == 0 else f"{done.stdout}{done.stderr}".strip()
