"""What a load notes beside its file, and how it forgets it."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from cli.commands.bulk.ledger import Ledger, Part, folder_of, opened
from cli.problems import USAGE, CommandError


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


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("sent", [False, True])
def test_a_load_at_work_is_said_to_be_one(tmp_path: Path, resume: bool, sent: bool) -> None:
    """Whoever followed the advice to remove its folder would write its rows again. The folder stays as it is."""
    file = tmp_path / "my list.csv"
    with opened(file, {}, resume=False) as ledger:
        ledger.parts.append(Part(1, 2, 2, "750" if sent else ""))
        ledger.save()
        with pytest.raises(CommandError, match="Another process loads") as refused, opened(file, {}, resume=resume):
            pass
        assert refused.value.code == "LOAD_IS_RUNNING"
        assert (folder_of(file) / "ledger.json").exists()
    assert folder_of(file).exists() is sent
    if sent:
        with pytest.raises(CommandError, match="--resume") as left, opened(file, {}, resume=False):
            pass
        assert left.value.code == "LOAD_NOT_ENDED"
        assert f"bulk load {shlex.quote(str(file))} --resume --wait 10" in left.value.message
        with opened(file, {}, resume=True) as again:
            assert again.parts == ledger.parts


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """In one sentence, and with the code of a wrong value."""
    folder_of(tmp_path / "taken.csv").write_text("a file")
    for name in ("taken.csv", "there/is/no/such.csv", "l" * 252):
        with (
            pytest.raises(CommandError, match=r"cannot be written: \w+") as refused,
            opened(tmp_path / name, {}, resume=False),
        ):
            pass
        assert refused.value.exit_code == USAGE
