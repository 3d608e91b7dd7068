"""Countries that nothing recognises are named once a job, with how many Opportunities have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from _quoting import Ran, line

from quotejob.settings import current

Run = Callable[[str], Ran]
Make = Callable[..., str]
Rules = Callable[[str], None]


def test_each_name_is_told_once_with_its_count(
    run: Run, make: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], quote_of: Any
) -> None:
    """Over all pages; what is recognised, no country at all, and records without a Quote do not count."""
    monkeypatch.setenv("QUOTEJOB_PAGE_SIZE", "2")
    current.cache_clear()
    for country in ("Atlantis", "Atlantis", " Atlantis ", "Nárnia", "Brazil", "日本", None, "-"):
        deal = make(line(1, 10), country=country, name="Somewhere")
    make(country="Oz", name="Somewhere")
    job = run("Name = 'Somewhere'").job
    sentence = "Not recognised as a country, so priced as region other (Opportunities): 'Atlantis' (3), 'Nárnia' (1)"
    assert (job.succeeded, job.skipped, job.extended_status) == (8, 1, sentence)
    assert capsys.readouterr().out.count("Atlantis") == 1
    assert quote_of(deal)["TotalPrice"] == 9


def test_a_failure_stands_before_it(run: Run, make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """The job's status names the first failed record; the log has both."""
    make(line(1, 10), country="Atlantis", name="Both")
    make(line(0, TotalPrice=5), country="Atlantis", name="Both")
    assert (run("Name = 'Both'").job.extended_status or "").startswith("UNPRICEABLE: ")
    assert "'Atlantis' (1)" in capsys.readouterr().out


def test_rules_without_regions_name_nobody(run: Run, make: Make, rules: Rules) -> None:
    rules("maximum_discount: 0\n")
    make(line(1, 10), country="Atlantis", name="Plain")
    assert run("Name = 'Plain'").job.extended_status is None
