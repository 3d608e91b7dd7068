"""The environment: every setting is read, and a wrong one is refused with its name, its value and what is expected."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from quotejob import settings
from quotejob.errors import SettingsError

KEY = Fernet.generate_key().decode()


@pytest.fixture(autouse=True)
def _least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:6379/0")
    monkeypatch.setenv("QUOTEJOB_SECRET_KEY", KEY)


def test_two_variables_are_enough() -> None:
    """Everything else has a default: the platform's own numbers, Salesforce's own hosts."""
    read = settings.load()
    assert (read.page_size, read.active_jobs, read.holding_jobs) == (200, 5, 100)
    assert read.local_org is False
    assert "my.salesforce.com" in read.org_hosts
    assert read.pricing_rules.name == "pricing.yaml"


def test_everything_can_be_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each variable arrives, converted."""
    rules = tmp_path / "rules.yaml"
    rules.touch()
    older = Fernet.generate_key().decode()
    for name, value in {
        "QUOTEJOB_SECRET_KEY": f"{KEY}, {older}",
        "QUOTEJOB_ORG_HOSTS": "My.Salesforce.com,.example.org",
        "QUOTEJOB_LOCAL_ORG": "1",
        "QUOTEJOB_PRICING_RULES": str(rules),
        "QUOTEJOB_PAGE_SIZE": "50",
        "QUOTEJOB_ACTIVE_JOBS": "2",
        "QUOTEJOB_HOLDING_JOBS": "0",
        "QUOTEJOB_REDIS_FULL_AT": "80",
        "QUOTEJOB_REDIS_MAY_FORGET": "1",
        "QUOTEJOB_AUTHORIZATIONS": "worker, night_shift",
        "LOG_LEVEL": "debug",
    }.items():
        monkeypatch.setenv(name, value)
    read = settings.load()
    assert read.org_hosts == ("my.salesforce.com", "example.org")
    assert (read.local_org, read.pricing_rules, read.page_size) == (True, rules, 50)
    assert (read.active_jobs, read.holding_jobs, read.log_level) == (2, 0, "DEBUG")
    assert (read.redis_full_at, read.redis_may_forget) == (80, True)
    assert read.authorizations == frozenset({"worker", "night_shift"})
    assert len(read.secret_keys) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "http://127.0.0.1"),
        ("QUOTEJOB_ORG_HOSTS", "com"),
        ("QUOTEJOB_LOCAL_ORG", "perhaps"),
        ("QUOTEJOB_PRICING_RULES", "/no/such/file.yaml"),
        ("QUOTEJOB_PAGE_SIZE", "401"),
        ("QUOTEJOB_PAGE_SIZE", "many"),
        ("QUOTEJOB_ACTIVE_JOBS", "0"),
        ("QUOTEJOB_HOLDING_JOBS", "-1"),
        ("QUOTEJOB_REDIS_FULL_AT", "0"),
        ("QUOTEJOB_AUTHORIZATIONS", "worker,../x"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """The sentence has the variable and what it should be; and its value, where that is no secret."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=rf"^{name} .*should be") as refusal:
        settings.load()
    assert (value in str(refusal.value)) is (name != "REDIS_URL")


@pytest.mark.parametrize("name", ["REDIS_URL", "QUOTEJOB_SECRET_KEY"])
def test_a_missing_one_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Empty counts as missing."""
    monkeypatch.setenv(name, " ")
    with pytest.raises(SettingsError, match=f"^{name} is not set"):
        settings.load()


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the value's repr nor in a refusal."""
    monkeypatch.setenv("REDIS_URL", "redis://:hidden-password@127.0.0.1:6379/0")
    assert "hidden-password" not in repr(settings.load())
    assert KEY not in repr(settings.load())
    monkeypatch.setenv("QUOTEJOB_SECRET_KEY", "short-and-wrong")
    with pytest.raises(SettingsError) as refusal:
        settings.load()
    assert "short-and-wrong" not in str(refusal.value)
    assert refusal.value.__cause__ is None
