"""The environment: every setting is read, and a wrong one is refused with its name, its value and what is expected."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import quote

import pytest
from celery import Celery
from cryptography.fernet import Fernet

from quotejob import settings
from quotejob.errors import SettingsError
from quotejob.store import client as store

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
        "QUOTEJOB_MANAGERS": "005000000000001AAA, 005000000000002",
        "LOG_LEVEL": "debug",
    }.items():
        monkeypatch.setenv(name, value)
    read = settings.load()
    assert read.org_hosts == ("my.salesforce.com", "example.org")
    assert (read.local_org, read.pricing_rules, read.page_size) == (True, rules, 50)
    assert (read.active_jobs, read.holding_jobs, read.log_level) == (2, 0, "DEBUG")
    assert (read.redis_full_at, read.redis_may_forget) == (80, True)
    assert read.authorizations == frozenset({"worker", "night_shift"})
    assert read.managers == frozenset({"005000000000001", "005000000000002"})
    assert len(read.secret_keys) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "http://127.0.0.1"),
        ("REDIS_URL", "localhost:6380"),
        ("REDIS_URL", "redis://127.0.0.1:port/0"),
        ("REDIS_URL", "redis://127.0.0.1:6379/first"),
        ("REDIS_URL", "redis:///0"),
        ("HEROKU_APPLINK_API_URL", "applink.example"),
        ("HEROKU_APPLINK_API_URL", "https://"),
        ("QUOTEJOB_ORG_HOSTS", "com"),
        ("QUOTEJOB_LOCAL_ORG", "perhaps"),
        ("QUOTEJOB_PRICING_RULES", "/no/such/file.yaml"),
        ("QUOTEJOB_PAGE_SIZE", "401"),
        ("QUOTEJOB_PAGE_SIZE", "many"),
        ("QUOTEJOB_ACTIVE_JOBS", "0"),
        ("QUOTEJOB_HOLDING_JOBS", "-1"),
        ("QUOTEJOB_REDIS_FULL_AT", "0"),
        ("QUOTEJOB_AUTHORIZATIONS", "worker,../x"),
        ("QUOTEJOB_MANAGERS", "jane@example.com"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """The sentence has the variable and what it should be; and its value, where that is no secret."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=rf"^{name} .*should be") as refusal:
        settings.load()
    assert (value in str(refusal.value)) is (name != "REDIS_URL")


ODD_REDIS_URLS = [
    "redis://:pass#word@127.0.0.1:6379/0",
    "redis://:pass/word@127.0.0.1:6379/0",
    "redis://:pass?word@127.0.0.1:6379/0",
    "redis://127.0.0.1:6379/queue",
    "redis://127.0.0.1:6379/0/1",
    "redis://127.0.0.1:6379?db=3",
    "rediss://127.0.0.1:6379/0?ssl_cert_reqs=CERT_NONE",
    "rediss://127.0.0.1:6379/0?ssl_cert_reqs=none",
    "REDIS://127.0.0.1:6379/0",
    "redis://my host:6379/0",
    '"redis://127.0.0.1:6379/0"',
    "redis:///0",
    "unix:///var/run/redis.sock",
]


@pytest.mark.parametrize("url", ODD_REDIS_URLS)
def test_a_redis_url_that_is_not_read_by_all_alike_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """redis-py and Celery read some of them as different servers or databases. The message says how to write it."""
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(SettingsError, match="%23") as refusal:
        settings.load()
    assert url not in str(refusal.value)


@pytest.mark.parametrize("around", ["\n", " ", "\r\n"])
def test_white_space_around_a_redis_url_is_not_part_of_it(around: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes from files with secrets and from panels to paste into."""
    monkeypatch.setenv("REDIS_URL", f"{around}redis://127.0.0.1:6379/0{around}")
    assert settings.redis_url() == "redis://127.0.0.1:6379/0"


def test_a_password_may_have_any_character(monkeypatch: pytest.MonkeyPatch) -> None:
    """All who read the address get the same one."""
    password = "p@s#s/w:o%r?d &+é"
    url = f"redis://us%40er:{quote(password, safe='')}@[::1]:6380/2"
    monkeypatch.setenv("REDIS_URL", url)
    ours = store.client(settings.redis_url(), attempts=0).connection_pool.connection_kwargs
    celery = Celery(broker=settings.redis_url(), backend=settings.redis_url())
    broker, backend = celery.connection_for_write(), celery.backend.connparams
    wanted = ("::1", 6380, "us@er", password)
    assert (ours["host"], ours["port"], ours["username"], ours["password"]) == wanted
    assert (broker.hostname, broker.port, broker.userid, broker.password) == wanted
    assert (backend["host"], backend["port"], backend["username"], backend["password"]) == wanted
    assert (ours["db"], int(broker.virtual_host), backend["db"]) == (2, 2, 2)


@pytest.mark.parametrize("name", ["REDIS_URL", "QUOTEJOB_SECRET_KEY"])
def test_a_missing_one_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Empty counts as missing."""
    monkeypatch.setenv(name, " ")
    with pytest.raises(SettingsError, match=f"^{name} is not set"):
        settings.load()


def test_heroku_may_make_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its generator gives 64 hexadecimal digits: 256 bits, as many as a Fernet key has. Nothing else is taken."""
    monkeypatch.setenv("QUOTEJOB_SECRET_KEY", f"{'0f' * 32}, {KEY}")
    keys = settings.load().secret_keys
    assert keys == (base64.urlsafe_b64encode(b"\x0f" * 32).decode(), KEY)
    Fernet(keys[0])
    for wrong in ("0f" * 31, "0f" * 33, "0g" * 32):
        monkeypatch.setenv("QUOTEJOB_SECRET_KEY", wrong)
        with pytest.raises(SettingsError, match="QUOTEJOB_SECRET_KEY"):
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


DOORS = {
    "QUOTEJOB_CONSOLE_URL": "https://console.example",
    "QUOTEJOB_CONSOLE_LOGIN": "https://login.salesforce.com, https://acme.my.salesforce.com",
    "QUOTEJOB_CONSOLE_CLIENT_ID": "the-app",
    "QUOTEJOB_CONSOLE_ORGS": "00D000000000001AAA, 00D000000000002",
    "QUOTEJOB_CONSOLE_OPERATORS": "Ann@acme.example",
}


def test_the_doors_of_the_console(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.load().doors.client_id is None
    for name, value in DOORS.items():
        monkeypatch.setenv(name, value)
    doors = settings.load().doors
    assert doors.logins == ("https://login.salesforce.com", "https://acme.my.salesforce.com")
    assert doors.admits("00D000000000002AAB")
    assert not doors.admits("00D000000000003AAA")
    assert doors.operators == {"ann@acme.example"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("QUOTEJOB_CONSOLE_URL", ""),
        ("QUOTEJOB_CONSOLE_URL", "https://console.example/console"),
        ("QUOTEJOB_CONSOLE_URL", "http://console.example"),
        ("QUOTEJOB_CONSOLE_LOGIN", "login.salesforce.com"),
        ("QUOTEJOB_CONSOLE_LOGIN", "https://ann@evil.example"),
        ("QUOTEJOB_CONSOLE_ORGS", ""),
        ("QUOTEJOB_CONSOLE_ORGS", "acme"),
    ],
)
def test_a_door_that_leads_nowhere_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    for each, good in (DOORS | {name: value}).items():
        monkeypatch.setenv(each, good)
    with pytest.raises(SettingsError, match=name):
        settings.load()
