"""What goes into an org passes every check, and each check finds the faults that are planted in a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from harness.orgside import stubs
from harness.orgside.apex import FOLDERS
from harness.orgside.gates import GATES, PAGES

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(1000)  # the first test may have to install the tools

PLANTED: list[dict[str, str]] = yaml.safe_load((Path(__file__).parent / "planted.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("gate", GATES)
def test_what_goes_into_an_org_is_in_order(gate: str) -> None:
    """No finding at all."""
    assert GATES[gate](ROOT) == []


@pytest.mark.parametrize("gate", GATES)
def test_each_planted_fault_is_found(gate: str, tmp_path: Path) -> None:
    """All faults of a kind are planted in one copy, and each has a finding of its own."""
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tmp_path / folder)
    copied = ("openapi.yaml", "app.json", "sfdx-project.json", ".forceignore")
    for name in (*copied, *(page for page in PAGES if (ROOT / page).is_file())):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    mine = [fault for fault in PLANTED if fault["gate"] == gate]
    assert mine
    for fault in mine:
        file = tmp_path / fault["file"]
        text = file.read_text(encoding="utf-8")
        assert fault["replace"] in text, fault
        file.write_text(text.replace(fault["replace"], fault["by"], 1), encoding="utf-8")
    said = "\n".join(GATES[gate](tmp_path))
    assert [fault for fault in mine if fault["finding"] not in said] == [], said


def test_thirty_faults_are_planted() -> None:
    assert len(PLANTED) >= 30


@pytest.mark.parametrize(
    ("name", "apex"),
    [
        ("jobId", "jobId"), ("limit", "z0limit"), ("Sort", "z0Sort"), ("Idempotency-Key", "Idempotencyx2dKey"),
        ("a_b", "ax5fb"), ("ü", "xc3xbc"),
    ],
)  # fmt: skip
def test_names_are_encoded_as_the_platform_does(name: str, apex: str) -> None:
    """Salesforce Help: "Naming" of external services; the examples are made by its rule."""
    assert stubs.apex_name(name) == apex


def test_the_stubs_have_every_operation_and_schema(tmp_path: Path) -> None:
    document = yaml.safe_load((ROOT / "openapi.yaml").read_text(encoding="utf-8"))
    stubs.write(document, tmp_path)
    service = (tmp_path / "QuoteJob.cls").read_text()
    operations = [
        operation["operationId"]
        for path in document["paths"].values()
        for method, operation in path.items()
        if method != "parameters"
    ]
    assert all(f"{name}_Response {name}(" in service for name in operations)
    assert all((tmp_path / f"QuoteJob_{name}.cls").is_file() for name in document["components"]["schemas"])
