"""What is checked before anything goes into an org. Each check returns a line for each fault; none means all is well.

``root`` is a folder as this checkout: force-app, force-app-published, openapi.yaml, app.json.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.npm import installed
from harness.orgside import apex, metadata, project
from harness.process import ROOT

HERE = Path(__file__).resolve().parent
CHECKS, JEST = HERE / "node", HERE / "jest"
CLIENTS = ROOT / "tests" / "contract" / "node"  # has the sf command and the Node that it needs
PAGES = ("README.md", "docs/deploying.md", "docs/org/in-the-org.md")


def types_of_apex(root: Path) -> list[str]:
    """Check the types of all Apex, that of the pages too."""
    pages = [root / name for name in PAGES if (root / name).is_file()]
    return apex.wrong_types(root, installed(CHECKS), pages)


def pmd(root: Path) -> list[str]:
    """Check Apex by PMD's rules in pmd.xml."""
    folders = [str(root / name) for name in apex.FOLDERS if (root / name).is_dir()]
    command = ["java", "-cp", apex.jars(installed(CHECKS)), str(CHECKS / "Pmd.java"), str(CHECKS / "pmd.xml"), *folders]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.splitlines() + ([done.stderr] if done.returncode else [])


def description(root: Path) -> list[str]:
    """Check openapi.yaml by redocly's rules and ours in external-services.js."""
    program = installed(CHECKS) / ".bin" / "redocly"
    command = [str(program), "lint", str(root / "openapi.yaml"), "--config", "redocly.yaml", "--format", "stylish"]
    done = subprocess.run(command, cwd=CHECKS, capture_output=True, text=True, env=_quiet())
    said = [line for line in (done.stdout + done.stderr).splitlines() if " error " in line or " warning " in line]
    return said or ([done.stderr] if done.returncode else [])


def app_json(root: Path) -> list[str]:
    """Check app.json against Heroku's schema."""
    installed(CHECKS)
    command = ["node", str(CHECKS / "app_json.mjs"), str(root / "app.json")]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.splitlines() + ([done.stderr] if done.returncode else [])


def components(root: Path) -> list[str]:
    """Run the tests of the Lightning components, in a copy beside the packages."""
    installed(JEST)
    with tempfile.TemporaryDirectory(dir=JEST, prefix="project-") as made:
        where = Path(made)
        shutil.copytree(root / "force-app", where / "force-app")
        shutil.copy(root / "sfdx-project.json", where)
        shutil.copy(JEST / "jest.config.cjs", where)
        program = JEST / "node_modules" / ".bin" / "jest"
        command = [str(program), "--config", "jest.config.cjs", "--ci", "--colors=false"]
        done = subprocess.run(command, cwd=where, capture_output=True, text=True, env=_quiet())
    return [] if done.returncode == 0 else (done.stdout + done.stderr).splitlines()


def form(root: Path) -> list[str]:
    """Check that Apex and components have the form that prettier gives them. Its parser of Apex is Salesforce's own."""
    patterns = [str(root / folder / "**/*.{cls,js,html,json}") for folder in apex.FOLDERS]
    program = installed(CHECKS) / ".bin" / "prettier"
    config = ["--config", str(CHECKS / "prettier.config.mjs"), "--no-editorconfig"]
    return _lines([str(program), "--list-different", *config, *patterns], root)


def rules_of_components(root: Path) -> list[str]:
    """Check the components by Salesforce's rules for eslint."""
    program = installed(CHECKS) / ".bin" / "eslint"
    config = ["--config", str(CHECKS / "eslint.config.mjs"), "--format", "json", "--max-warnings", "0"]
    return _lines([str(program), *config, "force-app/main/default/lwc"], root)


def xml(root: Path) -> list[str]:
    """Check that the metadata files have only elements that their types know, and name only what is there."""
    known = metadata.Types.read(installed(CHECKS) / "@salesforce" / "types" / "lib" / "metadata.d.ts")
    return metadata.wrong(root, known)


def as_shipped(root: Path) -> list[str]:
    """Check that sf converts, and lists in a manifest, exactly the components that the files are."""
    return project.not_as_shipped(root, installed(CLIENTS))


def _lines(command: list[str], root: Path) -> list[str]:
    """Run a program in ``root``. Return what it says if it fails."""
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, env=_quiet())
    return [] if done.returncode == 0 else (done.stdout + done.stderr).splitlines()


def _quiet() -> dict[str, str]:
    return {**os.environ, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "NO_COLOR": "1"}


GATES: dict[str, Callable[[Path], list[str]]] = {
    "types": types_of_apex,
    "pmd": pmd,
    "description": description,
    "app.json": app_json,
    "components": components,
    "form": form,
    "rules of components": rules_of_components,
    "xml": xml,
    "project": as_shipped,
}
