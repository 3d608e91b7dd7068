"""A real Prometheus: it scrapes the running system, every panel of the dashboard has data, and every alert can fire."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from harness.api import Api, new_session, read_body
from harness.process import ROOT, Process, clean_environment, free_port
from harness.stack import Stack

OPS = ROOT / "ops"
RULES = [rule for group in yaml.safe_load((OPS / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
QUERIES = {
    f"{panel['title']}: {target['expr']}": target["expr"]
    for panel in json.loads((OPS / "dashboard.json").read_text())["panels"]
    for target in panel["targets"]
}
Ask = Callable[[str], list[Any]]
PATIENCE = 60  # seconds
# What a healthy system shows every 15 s; and for each alert, what it shows instead so that the alert fires.
HEALTHY = {
    "quotejob_workers": "2x200",
    "quotejob_tick_age_seconds": "1x200",
    "quotejob_schedules_late_seconds": "0x200",
    "quotejob_queue_oldest_seconds": "5x200",
    "quotejob_jobs_silent": "0x200",
    'quotejob_job_moves_total{status="Failed", job_type="BatchQuote"}': "7x200",
    'quotejob_records_total{outcome="succeeded"}': "0+100x200",
    'quotejob_records_total{outcome="failed"}': "0+1x200",
    "quotejob_schedule_errors_total": "1x200",
    'quotejob_org_requests_total{resource="query", outcome="ok"}': "0+10x200",
    'quotejob_org_requests_total{resource="query", outcome="failed"}': "0+1x200",
    "quotejob_org_api_calls_left_share_lowest": "0.8x200",
    'quotejob_http_request_seconds_bucket{operation="getJob", le="0.5"}': "0+10x200",
    'quotejob_http_request_seconds_bucket{operation="getJob", le="2.5"}': "0+10x200",
    'quotejob_http_request_seconds_bucket{operation="getJob", le="10.0"}': "0+10x200",
    'quotejob_http_request_seconds_bucket{operation="getJob", le="+Inf"}': "0+10x200",
    'quotejob_http_requests_total{operation="getJob", status="503"}': "3x200",
    "quotejob_redis_memory_bytes": "100x200",
    "quotejob_redis_memory_max_bytes": "1000x200",
    "quotejob_redis_evicted_keys_total": "0x200",
}
SICK: dict[str, dict[str, str]] = {
    "QuotejobNoWorker": {"quotejob_workers": "0x200"},
    "QuotejobNoTick": {"quotejob_tick_age_seconds": "0+15x200"},
    "QuotejobSchedulesLate": {"quotejob_schedules_late_seconds": "0+15x200"},
    "QuotejobQueueWaits": {"quotejob_queue_oldest_seconds": "3000+15x200"},
    "QuotejobJobsSilent": {"quotejob_jobs_silent": "1x200"},
    "QuotejobJobsFail": {'quotejob_job_moves_total{status="Failed", job_type="BatchQuote"}': "7x180 8x20"},
    "QuotejobRecordsFail": {'quotejob_records_total{outcome="failed"}': "0+50x200"},
    "QuotejobScheduleError": {"quotejob_schedule_errors_total": "1x180 2x20"},
    "QuotejobOrgFails": {'quotejob_org_requests_total{resource="query", outcome="failed"}': "0+10x200"},
    "QuotejobApiCallsLow": {"quotejob_org_api_calls_left_share_lowest": "0.05x200"},
    "QuotejobApiSlow": {
        'quotejob_http_request_seconds_bucket{operation="getJob", le="0.5"}': "0x200",
        'quotejob_http_request_seconds_bucket{operation="getJob", le="2.5"}': "0x200",
    },
    "QuotejobApiErrors": {'quotejob_http_requests_total{operation="getJob", status="503"}': "3x195 9x5"},
    "QuotejobRedisMemory": {"quotejob_redis_memory_bytes": "900x200"},
    "QuotejobRedisEvicts": {"quotejob_redis_evicted_keys_total": "0x180 5x20"},
}


@pytest.fixture(scope="module")
def ask(stack: Stack, optional_tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """``ask(query)``: what a Prometheus that scrapes the system every second answers."""
    program, folder, port = optional_tool("prometheus"), tmp_path_factory.mktemp("prometheus"), free_port(0)
    settings = yaml.safe_load((OPS / "prometheus.yml").read_text())
    settings["global"]["scrape_interval"] = settings["global"]["evaluation_interval"] = "1s"
    settings["rule_files"] = [str(OPS / "alerts.yml")]
    settings["scrape_configs"][0]["static_configs"][0]["targets"] = [urlsplit(stack.web_url).netloc]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    command = [
        program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    process = Process("prometheus", command, folder, clean_environment())
    session = new_session()

    def query(expression: str) -> list[Any]:
        answer = session.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": expression}, timeout=30)
        found: list[Any] = read_body(answer)["data"]["result"]
        return found

    try:
        wait_for(lambda: answers(query, "up == 1"), lambda: process.tail())
        yield query
    finally:
        process.terminate()
        process.finish(10)


def answers(ask: Ask, expression: str) -> bool:
    try:
        return bool(ask(expression))
    except OSError:  # it has not started yet
        return False


def wait_for(condition: Callable[[], bool], why: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, why()
        time.sleep(0.3)


def test_every_panel_has_data(ask: Ask, api: Api, name: str, make_opportunity: Callable[..., str]) -> None:
    """After one job; and the figures are those of the job."""
    make_opportunity(name)
    before = float(ask("max(quotejob_quotes_created_total)")[0]["value"][1])
    job = api.follow(api.submit(f"Name = '{name}'"))
    assert job["quotesCreated"] == 1
    wait_for(lambda: answers(ask, f"max(quotejob_quotes_created_total) >= {before + 1}"), lambda: str(job))
    for title, expression in QUERIES.items():
        wait_for(lambda expression=expression: answers(ask, expression), lambda title=title: title)  # type: ignore[misc]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_metric_of_an_alert_is_there(ask: Ask, rule: dict[str, Any]) -> None:
    """A name that nobody exposes would never fire. And the system is well: no alert fires."""
    metrics = set(re.findall(r"quotejob_\w+", rule["expr"]))
    assert metrics
    for metric in metrics:
        wait_for(lambda metric=metric: answers(ask, f"count({metric})"), lambda metric=metric: metric)  # type: ignore[misc]
    critical = f'ALERTS{{alertname="{rule["alert"]}", alertstate="firing", severity="critical"}}'
    assert ask(critical) == []


@pytest.mark.parametrize("alert", [None, *SICK])
def test_every_alert_fires_when_it_should(
    optional_tool: Callable[[str], str], tmp_path: Path, alert: str | None
) -> None:
    """And no other one does; none when all is well."""
    assert {rule["alert"] for rule in RULES} == SICK.keys()
    series = HEALTHY | SICK.get(alert or "", {})
    fires = [rule for rule in RULES if rule["alert"] == alert]
    labels = [
        f'{{__name__="ALERTS", alertname="{rule["alert"]}", alertstate="firing", '
        f'severity="{rule["labels"]["severity"]}"}}'
        for rule in fires
    ]
    document = {
        "rule_files": [str(OPS / "alerts.yml")],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": 'ALERTS{alertstate="firing"}',
                        "eval_time": "49m",
                        "exp_samples": [{"labels": each, "value": 1} for each in labels],
                    }
                ],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(document))
    done = subprocess.run(
        [optional_tool("promtool"), "test", "rules", str(tmp_path / "test.yml")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_rules(optional_tool: Callable[[str], str]) -> None:
    """And the example configuration."""
    promtool = optional_tool("promtool")
    for words in (["check", "rules", "alerts.yml"], ["check", "config", "prometheus.yml"]):
        done = subprocess.run([promtool, *words], cwd=OPS, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
