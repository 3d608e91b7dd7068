"""The diagnosis: what is all right, and what to do about the rest; also when Redis is away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from _api import Headers, refused
from flask.testing import FlaskClient

from api import create_app
from quotejob import testing
from quotejob.jobs.store import JobStore
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store import keys
from tasks import workers

SERVED = {"worker1@host": ["clock", "control", "pages"]}


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, store_of_jobs: JobStore) -> Iterator[dict[str, list[str]]]:
    """Which worker serves which queues, instead of asking; a tick has just been."""
    found = dict(SERVED)
    monkeypatch.setattr(workers, "served_queues", lambda within: found)
    store_of_jobs.waking()
    yield found
    store_of_jobs.waking()


def look(client: FlaskClient, headers: dict[str, str]) -> dict[str, list[tuple[bool, str]]]:
    """Return the lines of each subject, after checking that the whole is right if all lines are."""
    answer = client.get("/api/diagnosis", headers=headers)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.get_json()
    assert body["ok"] == all(check["ok"] for check in body["checks"])
    lines: dict[str, list[tuple[bool, str]]] = {}
    for check in body["checks"]:
        assert check["message"]
        lines.setdefault(check["subject"], []).append((check["ok"], check["message"]))
    return lines


def test_all_is_well(client: FlaskClient, headers: Headers, served: Any) -> None:
    """One line for each subject."""
    lines = look(client, headers())
    assert list(lines) == ["redis", "workers", "scheduler", "clock", "org", "settings"]
    assert all(line[0] for each in lines.values() for line in each), lines


def test_no_worker_and_no_tick(client: FlaskClient, headers: Headers, store_of_jobs: JobStore) -> None:
    """The real workers are asked: there are none. Both lines say what to start."""
    store_of_jobs._redis.delete(keys.TICKED)
    lines = look(client, headers())
    [(ok, said)] = lines["workers"]
    assert (ok, "celery -A tasks worker" in said) == (False, True)
    [(ok, said)] = lines["scheduler"]
    assert (ok, "celery -A tasks beat" in said) == (False, True)


def test_a_tick_of_long_ago(client: FlaskClient, headers: Headers, served: Any, store_of_jobs: JobStore) -> None:
    store_of_jobs._redis.set(keys.TICKED, int(store_of_jobs._redis.time()[0]) * 1000 - 120_000)
    [(ok, said)] = look(client, headers())["scheduler"]
    assert (ok, "120 s ago" in said or "121 s ago" in said) == (False, True)


def test_a_queue_nobody_serves(client: FlaskClient, headers: Headers, served: dict[str, list[str]]) -> None:
    served["worker1@host"] = ["clock"]
    [(ok, said)] = look(client, headers())["workers"]
    assert (ok, "control and pages" in said) == (False, True)


def test_a_redis_that_loses_jobs(settings: Settings, headers: Headers, served: Any) -> None:
    """One line for each setting that could."""
    with testing.private_redis() as url, store.client(url, attempts=1) as redis:
        app = create_app(replace(settings, redis_url=url))
        redis.config_set("maxmemory-policy", "allkeys-lru")
        redis.config_set("maxmemory", int(redis.info("memory")["used_memory"] * 1.08))
        lines = [said for ok, said in look(app.test_client(), headers())["redis"] if not ok]
    assert any("set it to noeviction" in said for said in lines), lines
    assert any("append-only file" in said for said in lines), lines
    assert any("larger plan" in said for said in lines), lines


def test_redis_is_away(settings: Settings, headers: Headers) -> None:
    """The org and the settings are looked at all the same."""
    away = create_app(replace(settings, redis_url="redis://127.0.0.1:1/0")).test_client()
    lines = look(away, headers())
    [(ok, said)] = lines["redis"]
    assert (ok, "REDIS_URL" in said) == (False, True)
    assert [lines[each][0][0] for each in ("workers", "scheduler", "clock", "org", "settings")] == [
        False, False, False, True, True,
    ]  # fmt: skip


def test_settings_that_cannot_be_used(settings: Settings, headers: Headers, served: Any, tmp_path: Any) -> None:
    """Rules that are none, an authorization without AppLink: each variable is named."""
    rules = tmp_path / "rules.yaml"
    rules.write_text("nonsense: [")
    app = create_app(replace(settings, pricing_rules=rules, authorization="worker"))
    lines = look(app.test_client(), headers())["settings"]
    assert [ok for ok, _ in lines] == [False, False]
    assert [said.partition(":")[0] for _, said in lines] == ["QUOTEJOB_PRICING_RULES", "QUOTEJOB_AUTHORIZATION"]


def test_only_users_of_an_org_are_told(client: FlaskClient, headers: Headers) -> None:
    """Nothing is said to a token that the org does not know."""
    refused(client.get("/api/diagnosis", headers=headers(accessToken="00D!nobody")), 401)
    refused(client.get("/api/diagnosis"), 401)
