"""The version is the same everywhere, and the CHANGELOG has a section for it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

from quotejob.version import VERSION

ROOT = Path(__file__).resolve().parents[2]


def test_the_version_stands_the_same_everywhere() -> None:
    """In the API's document and on the command line. /health is in tests/unit/api/test_api_door.py."""
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)
    assert yaml.safe_load((ROOT / "openapi.yaml").read_text())["info"]["version"] == VERSION
    said = subprocess.run(
        [sys.executable, "-m", "cli.main", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout == f"quotejob, version {VERSION}\n"


def test_the_newest_section_of_the_changelog_is_this_version() -> None:
    """Unreleased is above it, and each section below has a lower number and an earlier date."""
    heads = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert heads[0] == "Unreleased"
    sections = [re.fullmatch(r"(\d+)\.(\d+)\.(\d+) - (\d{4}-\d\d-\d\d)", head) for head in heads[1:]]
    found = [(tuple(map(int, section.groups()[:3])), section[4]) for section in sections if section]
    assert len(found) == len(heads) - 1
    assert ".".join(map(str, found[0][0])) == VERSION
    assert found == sorted(found, reverse=True)
