"""The local org as a distribution: what it contains, what it requires, its command and its pytest fixture."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from harness.process import ROOT
from localorg import __version__

pytestmark = pytest.mark.timeout(300)

SOURCE = ROOT / "localorg"
COMPANIONS = {"multidict": "aiohttp", "google": "protobuf"}  # imported by a name that another one has too
FULL = re.DOTALL | re.MULTILINE


def imported() -> set[str]:
    """The distributions that the code imports."""
    names: set[str] = set()
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    providers = importlib.metadata.packages_distributions()
    others = names - set(sys.stdlib_module_names) - {"localorg", "pytest"}
    return {COMPANIONS.get(name, providers[name][0]).lower() for name in others}


def test_it_has_all_of_the_folder_and_nothing_else(distribution: Path) -> None:
    """Both forms: every module, grammar and object; no file that a run leaves behind."""
    wanted = {str(path.relative_to(SOURCE)) for kind in ("py", "yaml", "lark") for path in SOURCE.rglob(f"*.{kind}")}
    [wheel], [sdist] = distribution.glob("*.whl"), distribution.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as packed:
        names = {name for name in packed.namelist() if ".dist-info/" not in name}
    assert names == {f"localorg/{name}" for name in (*wanted, "py.typed")}
    with tarfile.open(sdist) as packed_source:
        names = {name.partition("/")[2] for name in packed_source.getnames()}
    assert names - {".gitignore"} == {*wanted, "py.typed", "README.md", "pyproject.toml", "PKG-INFO"}


def test_it_requires_what_it_imports(distribution: Path) -> None:
    """Nothing of quotejob's, and nothing is missing. tzdata is data."""
    [wheel] = distribution.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        [metadata] = [packed.read(name).decode() for name in packed.namelist() if name.endswith("/METADATA")]
    required = {name.lower() for name in re.findall(r"^Requires-Dist: ([\w.-]+)", metadata, re.MULTILINE)}
    assert required == imported() | {"tzdata"}
    assert f"\nVersion: {__version__}\n" in metadata


def test_the_command(installed_localorg: Path, tmp_path: Path) -> None:
    """It knows its name and version, does without quotejob's fields, and takes those of the sfdx project around it."""
    command = installed_localorg / "localorg"
    version = subprocess.run([command, "--version"], capture_output=True, text=True)
    assert version.stdout == f"localorg {__version__}\n"
    assert subprocess.run([command, "--help"], capture_output=True, text=True).stdout.startswith("usage: localorg [")
    (tmp_path / "force-app").symlink_to(ROOT / "force-app")
    for folder, has_field in ((Path("/"), False), (tmp_path, True)):
        code = "from localorg.__main__ import arguments, open_org as o; print(o(arguments([])).schema.objects['Quote'])"
        program = [str(installed_localorg / "python"), "-c", code]
        done = subprocess.run(program, cwd=folder, capture_output=True, text=True)
        assert ("QuoteJobKey__c" in done.stdout) is has_field, done.stderr


def test_it_ends_with_its_input(installed_localorg: Path) -> None:
    """--until-eof: nothing stays when the program that started it is gone."""
    command = [str(installed_localorg / "localorg"), "--port", "0", "--until-eof"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdin
        assert process.stdout.readline().startswith("local org http")
        process.stdin.close()
        assert process.wait(20) == 0


def test_the_pytest_fixture(installed_localorg: Path, tmp_path: Path) -> None:
    """The README's example: one org for all tests, with the options of the project. A wrong option says so."""
    readme = (SOURCE / "README.md").read_text("utf-8")
    [example] = re.findall(
        r"^```python\n(.*?)^```", readme.partition("## In your tests")[2].partition("\n## ")[0], FULL
    )
    [setting] = re.findall(r'^salesforce_org_options = "(.*)"', readme, re.MULTILINE)
    (tmp_path / "pytest.ini").write_text(f"[pytest]\nsalesforce_org_options = {setting}\n")
    (tmp_path / "test_mine.py").write_text(
        f"{example}\n"
        "def test_again(salesforce_org):\n"
        "    test_accounts(salesforce_org)\n"
        "    assert salesforce_org.token not in repr(salesforce_org)\n"
    )
    pytest_there = [str(installed_localorg / "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(pytest_there, cwd=tmp_path, capture_output=True, text=True)
    assert "2 passed" in done.stdout, done.stdout
    (tmp_path / "pytest.ini").write_text("[pytest]\nsalesforce_org_options = --profile none-such\n")
    done = subprocess.run(pytest_there, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "The local org did not start" in done.stdout
    assert "none-such" in done.stdout + done.stderr
