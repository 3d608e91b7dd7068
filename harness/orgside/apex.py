"""Type checks Apex without an org: apex-ls, with the classes that publishing makes of openapi.yaml."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import yaml

from harness.orgside import stubs

_CHECK = "io.github.apexdevtools.apexls.CheckForIssues"
_BLOCK = re.compile(r"^```apex\n(.*?)^```", re.MULTILINE | re.DOTALL)
FOLDERS = ("force-app", "force-app-published", "force-app-agentforce")


def jars(modules: Path) -> str:
    """Return the class path of the jars that come with the npm package."""
    return f"{modules}/@salesforce/code-analyzer-pmd-engine/dist/java-lib/*"


def blocks(page: Path) -> list[str]:
    """Return the blocks of Apex in a page."""
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


def wrong_types(root: Path, modules: Path, pages: Iterable[Path] = ()) -> list[str]:
    """Return what the type check says of the source folders below ``root`` and of the Apex in ``pages``.

    Code that names the published service is checked too: its classes are made from openapi.yaml. An empty list means
    that all is well. Needs Java 17.
    """
    with tempfile.TemporaryDirectory() as made:
        where = Path(made) / "project"
        published = Path(made) / "published"
        _project(published, [{"path": "classes", "default": True}], [])
        (published / "classes").mkdir()
        stubs.write(yaml.safe_load((root / "openapi.yaml").read_text(encoding="utf-8")), published / "classes")
        folders = [folder for folder in FOLDERS if (root / folder).is_dir()]
        needs = [{"namespace": stubs.NAMESPACE, "path": "../published"}]
        _project(where, [{"path": folder, "default": folder == folders[0]} for folder in [*folders, "pages"]], needs)
        for folder in folders:
            shutil.copytree(root / folder, where / folder)
        _write_blocks(where / "pages", pages)
        said = subprocess.run(
            ["java", "-cp", jars(modules), _CHECK, "-n", "--workspace", str(where), "--detail", "warnings"],
            capture_output=True,
            text=True,
        )
        return [line.replace(str(where) + "/", "") for line in (said.stdout + said.stderr).splitlines() if line.strip()]


def _project(folder: Path, directories: list[dict[str, object]], needs: list[dict[str, str]]) -> None:
    folder.mkdir()
    project = {"packageDirectories": directories, "sourceApiVersion": "66.0", "plugins": {"dependencies": needs}}
    if folder.name == "published":
        project["namespace"] = stubs.NAMESPACE
    (folder / "sfdx-project.json").write_text(json.dumps(project))


def _write_blocks(folder: Path, pages: Iterable[Path]) -> None:
    """Write each block of a page as the body of a method, or as it stands if it is a class."""
    folder.mkdir()
    for page in pages:
        for number, block in enumerate(blocks(page), 1):
            name = f"Page_{re.sub('[^a-zA-Z0-9]', '', page.stem)}_{number}"
            declared = re.match(r"(?:public|global)[\w ]* class (\w+)", block)
            text = block if declared else f"public class {name} {{ public static void run() {{\n{block}}} }}\n"
            stubs.write_class(folder, declared[1] if declared else name, text)
