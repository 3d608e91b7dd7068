"""Results as CSV: no cell is a formula, whatever an org's message begins with."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from quotejob.run.receipt import Outcome, Result
from quotejob.run.results.results_csv import CSV_COLUMNS, as_csv


@pytest.mark.parametrize("message", ['=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=", "-"])
@pytest.mark.parametrize("column", ["record_id", "code", "message", "quote_id", "record_name"])
def test_a_cell_that_starts_a_formula_is_text(message: str, column: str) -> None:
    """A spreadsheet shows it and does not run it."""
    values: dict[str, Any] = {
        "record_id": "006",
        "quote_id": "0Q0",
        "code": "C",
        "message": "m",
        "record_name": "n",
    } | {column: message}
    result = Result(outcome=Outcome.FAILED, **values)
    header, row = csv.reader(io.StringIO("".join(as_csv([result])), newline=""))
    assert tuple(header) == CSV_COLUMNS
    assert [cell for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []
    assert f"'{message}" in row


@pytest.mark.parametrize("message", ["a=b", "1-1", "duplicate value found: QuoteJobKey__c", "'quoted'", " =1", "ü"])
def test_other_cells_stay_as_they_are(message: str) -> None:
    text = "".join(as_csv([Result("006", Outcome.FAILED, None, "C", message)]))
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[1] == ["006", "failed", "", "C", message, ""]
