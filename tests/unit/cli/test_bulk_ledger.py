"""What a load notes beside its file, and how it forgets it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from cli.commands.bulk.ledger import Ledger, Part, folder_of, opened
from cli.problems import CommandError


class Died(BaseException):
    """As SIGKILL does it."""


@pytest.mark.parametrize("at", [1, 2])
def test_a_death_while_a_load_is_forgotten_leaves_all_of_it_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Else its rows would be sent once more: a folder without a ledger is that of a load that has not begun."""
    file, calls = tmp_path / "many.csv", 0
    folder, remove = folder_of(file), shutil.rmtree

    def dies(path: Path, **options: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            for known in path.glob("ledger.json"):
                known.unlink()
            raise Died
        remove(path, **options)

    folder.mkdir()
    ledger = Ledger(folder, {}, [Part(1, 2, 2, "750")])
    ledger.save()
    ledger.part_file(0).write_text("Name")
    (tmp_path / "many.success.csv").write_text("sf__Id")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", dies)
        with pytest.raises(Died):
            ledger.remove()
    if folder.exists():
        with opened(file, {}, resume=True) as known:
            assert known.parts == ledger.parts
            known.remove()
    with (
        pytest.raises(CommandError, match=r"the last one ended, see .*many\.success\.csv"),
        opened(file, {}, resume=True),
    ):
        pass
    with opened(file, {}, resume=False) as new:
        assert new.parts == []
    assert sorted(each.name for each in tmp_path.iterdir()) == ["many.success.csv"]


def test_without_a_load_there_is_nothing_to_go_on_with(tmp_path: Path) -> None:
    """Also if one died before it sent anything."""
    file = tmp_path / "many.csv"
    for _ in range(2):
        with pytest.raises(CommandError, match="leave --resume out"), opened(file, {}, resume=True):
            pass
        folder_of(file).mkdir(exist_ok=True)
