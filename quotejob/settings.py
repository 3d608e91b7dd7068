"""The settings. Only this file reads the environment.

A variable that is missing or wrong raises :class:`~quotejob.errors.SettingsError`. The message says which variable it
is, what it holds (not if it is a secret) and what it should hold. docs/settings.md and .env.example list all variables.
A test compares .env.example with the code.
"""

from __future__ import annotations

import base64
import logging
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from environs import Env, EnvError, validate
from marshmallow import ValidationError

from quotejob import logs
from quotejob.doors import Doors, is_origin
from quotejob.errors import SettingsError
from quotejob.webhook import Webhook

ROOT = Path(__file__).resolve().parent.parent
T = TypeVar("T")
_OURS = ("quotejob_", "redis", "heroku_applink", "celery", "otel_")  # how the names of our own variables begin
DEVELOPER_NAME = "^[A-Za-z0-9_]{1,80}$"  # of an AppLink authorization; as openapi.yaml has it
_LEAST_SECRET = 16  # characters of a value that may be a secret
SALESFORCE_HOSTS = ("my.salesforce.com", "my.salesforce.mil", "my.sfcrmproducts.cn")  # how hosts of all orgs end
WAYS = ("graph", "bulk", "auto")  # of writing, see jobs.job.CommitBy


@dataclass(frozen=True, slots=True)
class Kept:
    """How many of an org's daily API calls are kept for others: a number, or a share of those it may get."""

    number: int = 0
    percent: Decimal = Decimal(0)

    def of(self, allowed: int) -> int:
        """Return how many calls that is of so many allowed ones."""
        return max(self.number, int(self.percent * allowed / 100))


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of quotejob's processes."""

    redis_url: str = field(repr=False)  # redis:// or rediss://; may hold a password
    secret_keys: tuple[str, ...] = field(repr=False)  # Fernet keys, newest first
    org_hosts: tuple[str, ...] = SALESFORCE_HOSTS  # allowed suffixes of an org's host name
    local_org: bool = False  # True allows orgs on this machine, over http
    demo_org: Path | None = None  # the file in which bin/demo notes its org: /docs then fills in the caller's context
    pricing_rules: Path = ROOT / "pricing.yaml"
    pricing: str | None = None  # package.module:function of users' own pricing
    explain_field: str | None = None  # Quote.X or QuoteLineItem.X, which gets the reasons of the prices
    code_version: str | None = None  # of users' own code; None: a hash of its files
    code_processes: int = 0  # for users' own code, in each worker process; 0: one for each core
    code_seconds: float = 1.0  # that it may take for one record
    code_mb: int = 512  # megabytes of memory that each of these processes may take
    jobs: tuple[str, ...] = ()  # Python modules with job types of the user's own
    page_size: int = 200  # Opportunities of a page; 400 at most, because their ids go into a URI of 16 KiB
    active_jobs: int = 5  # slots of one org
    holding_jobs: int = 100  # Holding jobs of one org
    hourly_jobs: int = 3600  # that one org may submit within an hour
    kept_jobs: int = 20_000  # of one org; beyond these the oldest that have ended are forgotten
    most_records: int = 2_000_000  # of one job
    managers: frozenset[str] | None = None  # ids (15) of users who may change what others made; None: everybody
    reserve_minutes: int = 10  # minutes before its fire time that a guaranteed schedule gets a reserved slot
    org_requests: int = 25  # steps of one org, each with one request at a time, over all workers
    keep_calls: Kept = Kept()  # API calls of an org's day that jobs leave for others
    commit_by: str = "graph"  # how Quote jobs write that do not say it themselves: graph, bulk, auto
    redis_full_at: int = 90  # percent of Redis's maxmemory in use, above which no new jobs are accepted
    redis_may_forget: bool = False  # True accepts jobs although Redis could lose them
    org_timeout: int = 60  # seconds that a request to an org may take as a whole
    org_answer_mb: int = 16  # megabytes of an org's answer, unpacked
    mirror: bool = False  # True, as load() has it: each org is told of its jobs, if it has the objects for it
    webhooks: tuple[Webhook, ...] = ()  # told of the end of every job
    webhook_secret: str | None = field(default=None, repr=False)  # signs what they are told
    log_level: str = "INFO"
    log_format: logs.Form = logs.Form.TEXT
    otel_endpoint: str | None = None  # traces go there
    otel_service: str = "quotejob"  # what they call this service
    behind_proxy: bool = False  # the AppLink mesh passes the requests on, so every one comes from this machine
    metrics_token: str | None = field(default=None, repr=False)  # opens /metrics to other machines
    flower_url: str | None = None  # the console has a link to it
    metrics_orgs: bool = False  # True shows the hosts of orgs in /metrics
    applink_api_url: str | None = None
    applink_token: str | None = field(default=None, repr=False)
    app_id: str | None = None  # HEROKU_APP_ID; requests to AppLink need it
    authorization: str | None = None  # developer name of the AppLink authorization that gives new tokens
    authorizations: frozenset[str] | None = None  # those that may be used; None: every one
    doors: Doors = field(default_factory=Doors)  # of the console


DEFAULT = Settings(redis_url="", secret_keys=())


def load() -> Settings:
    """Read all settings from the environment. Raises SettingsError for the first one that is missing or wrong."""
    env = Env()
    webhooks: tuple[Webhook, ...] = _read(
        "QUOTEJOB_WEBHOOKS",
        env.list,
        "https URLs, comma-separated; slack+https://... for one of Slack",
        (),
        validate=lambda urls: [Webhook.read(url) for url in urls] != [],
        convert=lambda urls: tuple(Webhook.read(url) for url in urls),
        secret=True,
    )
    return Settings(
        redis_url=redis_url(),
        secret_keys=_read(
            "QUOTEJOB_SECRET_KEY",
            env.list,
            "one or more Fernet keys, comma-separated, newest first; make one with "
            "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'",
            validate=bool,
            secret=True,
            convert=lambda keys: tuple(map(_fernet_key, keys)),
        ),
        org_hosts=_read(
            "QUOTEJOB_ORG_HOSTS",
            env.list,
            "host suffixes, comma-separated, for example my.salesforce.com",
            DEFAULT.org_hosts,
            validate=_host_suffixes,
            convert=lambda hosts: tuple(host.strip().lower().lstrip(".") for host in hosts),
        ),
        local_org=_read("QUOTEJOB_LOCAL_ORG", env.bool, "1 or 0", DEFAULT.local_org),
        demo_org=_read("QUOTEJOB_DEMO_ORG", env.path, "the path of bin/demo's org.json", None),
        pricing_rules=_read(
            "QUOTEJOB_PRICING_RULES",
            env.path,
            "the path of a readable file",
            DEFAULT.pricing_rules,
            validate=_readable_file,
        ),
        pricing=_read(
            "QUOTEJOB_PRICING",
            env.str,
            "package.module:function, the path of a pricing function",
            None,
            validate=_is_code_path,
        ),
        explain_field=_read(
            "QUOTEJOB_EXPLAIN_FIELD",
            env.str,
            "a field of Quote or QuoteLineItem, such as QuoteLineItem.Description",
            None,
            validate=lambda name: re.fullmatch(r"Quote(LineItem)?\.[A-Za-z]\w*", name, re.ASCII) is not None,
        ),
        code_version=_read(
            "QUOTEJOB_CODE_VERSION",
            env.str,
            "1 to 40 letters, digits, dots, dashes and underscores",
            (os.environ.get("HEROKU_SLUG_COMMIT") or "")[:40] or None,
            validate=lambda version: re.fullmatch(r"[\w.-]{1,40}", version, re.ASCII) is not None,
        ),
        code_processes=_whole("QUOTEJOB_CODE_PROCESSES", env, 0, 64, DEFAULT.code_processes),
        code_seconds=_read(
            "QUOTEJOB_CODE_SECONDS",
            env.float,
            "seconds from 0.05 to 60",
            DEFAULT.code_seconds,
            validate=validate.Range(0.05, 60),
        ),
        code_mb=_whole("QUOTEJOB_CODE_MB", env, 64, 65_536, DEFAULT.code_mb),
        jobs=_read(
            "QUOTEJOB_JOBS",
            env.list,
            "names of Python modules, comma-separated, for example acme.jobs",
            (),
            validate=lambda names: all(part.isidentifier() for name in names for part in name.strip().split(".")),
            convert=lambda names: tuple(name.strip() for name in names),
        ),
        page_size=_whole("QUOTEJOB_PAGE_SIZE", env, 1, 400, DEFAULT.page_size),
        active_jobs=_whole("QUOTEJOB_ACTIVE_JOBS", env, 1, 100, DEFAULT.active_jobs),
        holding_jobs=_whole("QUOTEJOB_HOLDING_JOBS", env, 0, 10_000, DEFAULT.holding_jobs),
        hourly_jobs=_whole("QUOTEJOB_HOURLY_JOBS", env, 1, 1_000_000, DEFAULT.hourly_jobs),
        kept_jobs=_whole("QUOTEJOB_KEPT_JOBS", env, 100, 1_000_000, DEFAULT.kept_jobs),
        most_records=_whole("QUOTEJOB_MOST_RECORDS", env, 1, 100_000_000, DEFAULT.most_records),
        managers=_read(
            "QUOTEJOB_MANAGERS",
            env.list,
            "ids of users, comma-separated, such as 005000000000001AAA",
            None,
            validate=lambda ids: all(re.fullmatch(r"005[0-9A-Za-z]{12}([0-9A-Z]{3})?", each.strip()) for each in ids),
            convert=lambda ids: frozenset(each.strip()[:15] for each in ids),
        ),
        reserve_minutes=_whole("QUOTEJOB_RESERVE_MINUTES", env, 1, 1440, DEFAULT.reserve_minutes),
        org_requests=_whole("QUOTEJOB_ORG_REQUESTS", env, 1, 1000, DEFAULT.org_requests),
        keep_calls=_read(
            "QUOTEJOB_KEEP_CALLS",
            env.str,
            "a whole number of API calls, or a share of the day's calls, such as 20%",
            DEFAULT.keep_calls,
            validate=lambda text: re.fullmatch(r"[0-9]{1,9}|(100|[0-9]{1,2})(\.[0-9]+)?%", text.strip()) is not None,
            convert=_kept,
        ),
        commit_by=_read(
            "QUOTEJOB_COMMIT_BY", env.str, "graph, bulk or auto", DEFAULT.commit_by, validate=validate.OneOf(WAYS)
        ),
        redis_full_at=_whole("QUOTEJOB_REDIS_FULL_AT", env, 1, 100, DEFAULT.redis_full_at),
        redis_may_forget=_read("QUOTEJOB_REDIS_MAY_FORGET", env.bool, "1 or 0", DEFAULT.redis_may_forget),
        org_timeout=_whole("QUOTEJOB_ORG_TIMEOUT", env, 1, 600, DEFAULT.org_timeout),
        org_answer_mb=_whole("QUOTEJOB_ORG_ANSWER_MB", env, 1, 500, DEFAULT.org_answer_mb),
        mirror=_read("QUOTEJOB_MIRROR", env.bool, "1 or 0", True),
        webhooks=webhooks,
        webhook_secret=_read(
            "QUOTEJOB_WEBHOOK_SECRET",
            env.str,
            "24 or more letters, digits and the like; webhooks that are not Slack's need it",
            ... if any(not webhook.slack for webhook in webhooks) else None,
            validate=lambda secret: re.fullmatch(r"[!-~]{24,200}", secret) is not None,
            secret=True,
        ),
        log_level=_read(
            "LOG_LEVEL",
            env.str,
            "DEBUG, INFO, WARNING or ERROR",
            DEFAULT.log_level,
            validate=lambda name: name.upper() in logging.getLevelNamesMapping(),
            convert=str.upper,
        ),
        log_format=_read(
            "LOG_FORMAT",
            env.str,
            "text or json",
            DEFAULT.log_format,
            validate=lambda name: name in list(logs.Form),
            convert=logs.Form,
        ),
        otel_endpoint=_read("OTEL_EXPORTER_OTLP_ENDPOINT", env.str, "an http or https URL", None, validate=_is_web_url),
        otel_service=_read("OTEL_SERVICE_NAME", env.str, "a name", DEFAULT.otel_service),
        behind_proxy=bool(os.environ.get("APP_PORT")),
        metrics_token=_read(
            "QUOTEJOB_METRICS_TOKEN",
            env.str,
            "a token of 16 or more letters, digits and the like",
            None,
            validate=lambda token: re.fullmatch(r"[!-~]{16,200}", token) is not None,
            secret=True,
        ),
        flower_url=_read("QUOTEJOB_FLOWER_URL", env.str, "an http or https URL", None, validate=_is_web_url),
        metrics_orgs=_read("QUOTEJOB_METRICS_ORGS", env.bool, "1 or 0", DEFAULT.metrics_orgs),
        applink_api_url=_read("HEROKU_APPLINK_API_URL", env.str, "an https URL", None, validate=_is_web_url),
        applink_token=_read("HEROKU_APPLINK_TOKEN", env.str, "the AppLink add-on's token", None, secret=True),
        app_id=_read("HEROKU_APP_ID", env.str, "this app's id", None),
        authorization=_read(
            "QUOTEJOB_AUTHORIZATION",
            env.str,
            "the developer name of an AppLink authorization",
            None,
            validate=is_developer_name,
        ),
        authorizations=_read(
            "QUOTEJOB_AUTHORIZATIONS",
            env.list,
            "developer names of AppLink authorizations, comma-separated",
            None,
            validate=lambda names: all(is_developer_name(name.strip()) for name in names),
            convert=lambda names: frozenset(name.strip() for name in names),
        ),
        doors=_doors(env),
    )


def _doors(env: Env) -> Doors:
    address = "https://host, without a path"
    client_id = _read("QUOTEJOB_CONSOLE_CLIENT_ID", env.str, "the consumer key of an app in the org", None)
    tab = _read("QUOTEJOB_CONSOLE_CANVAS_SECRET", env.str, "the consumer secret of a canvas app", None, secret=True)
    needed = ... if client_id or tab else None
    return Doors(
        url=_read("QUOTEJOB_CONSOLE_URL", env.str, address, needed, validate=is_origin),
        logins=_read(
            "QUOTEJOB_CONSOLE_LOGIN",
            env.list,
            f"one or more addresses where people log in, comma-separated: {address}",
            DEFAULT.doors.logins,
            validate=lambda urls: all(is_origin(url.strip()) for url in urls),
            convert=lambda urls: tuple(url.strip() for url in urls),
        ),
        client_id=client_id,
        client_secret=_read(
            "QUOTEJOB_CONSOLE_CLIENT_SECRET", env.str, "the consumer secret of that app", None, secret=True
        ),
        canvas_secret=tab,
        orgs=_read(
            "QUOTEJOB_CONSOLE_ORGS",
            env.list,
            "ids of orgs (00D...), comma-separated",
            needed or frozenset(),
            validate=lambda ids: all(re.fullmatch(r"00D\w{12}(\w{3})?", each.strip(), re.ASCII) for each in ids),
            convert=lambda ids: frozenset(each.strip()[:15] for each in ids),
        ),
        operators=_read(
            "QUOTEJOB_CONSOLE_OPERATORS",
            env.list,
            "usernames, comma-separated",
            frozenset(),
            convert=lambda names: frozenset(name.strip().lower() for name in names),
        ),
    )


def redis_url() -> str:
    """Return REDIS_URL. celeryconfig.py and `celery status` need only this one, and no secret. Raises SettingsError."""
    return str(
        _read(
            "REDIS_URL",
            Env().str,
            "a redis:// or rediss:// URL without options, such as redis://:password@127.0.0.1:6379/0; in a password, "
            "# / ? and % are percent-encoded (%23 %2F %3F %25); for TLS there is QUOTEJOB_REDIS_CA",
            validate=_is_redis_url,
            convert=str.strip,
            secret=True,
        )
    )


def redis_ca() -> str:
    """Return QUOTEJOB_REDIS_CA: the file that a rediss:// server is checked with, or "unverified". "": the system's."""
    return _redis_file("QUOTEJOB_REDIS_CA", "the path of a certificate file, or the word unverified", "unverified")


def redis_certificate() -> str:
    """Return QUOTEJOB_REDIS_CERTIFICATE: the PEM file with our certificate and its key. "": none."""
    return _redis_file("QUOTEJOB_REDIS_CERTIFICATE", "the path of a PEM file with a certificate and its key")


def _redis_file(name: str, expected: str, *words: str) -> str:
    return str(_read(name, Env().str, expected, "", validate=lambda it: it in words or _readable_file(Path(it))))


@cache
def current() -> Settings:
    """Return the settings of this process. They are read once. Raises SettingsError."""
    return load()


def or_exit(read: Callable[[], T], code: int = 1) -> T:
    """Return what ``read`` reads. A wrong setting ends the process with its sentence alone, and this exit code."""
    try:
        return read()
    except SettingsError as error:
        print(f"quotejob cannot start: {error}", file=sys.stderr, flush=True)
        sys.exit(code)


def _read(
    name: str,
    reader: Callable[..., Any],
    expected: str,
    default: Any = ...,
    *,
    validate: Callable[[Any], Any] | None = None,
    convert: Callable[[Any], Any] = lambda value: value,
    secret: bool = False,
) -> Any:
    """Return the converted value of one variable. An empty variable counts as not set.

    Raises SettingsError with the name, the value (unless it is ``secret``) and what is ``expected``.
    """
    raw = os.environ.get(name, "")
    if not raw.strip():
        if default is ...:
            raise SettingsError(f"{name} is not set; it should be {expected}")
        return default
    try:
        value = reader(name)
        if validate is not None and validate(value) is False:
            raise ValueError
        return convert(value)
    except (EnvError, ValidationError, ValueError) as cause:
        got = "is not valid (its value is not shown, it may hold a secret)" if secret else f"is {raw!r}"
        raise SettingsError(f"{name} {got}; it should be {expected}") from (None if secret else cause)


def _whole(name: str, env: Env, least: int, most: int, default: int) -> Any:
    """Return a whole number of these. Raises SettingsError."""
    expected = f"a whole number from {least} to {most}"
    return _read(name, env.int, expected, default, validate=validate.Range(least, most))


def environment_without_secrets() -> dict[str, str]:
    """Return the environment for users' own code: without our settings, our Redis and our tokens.

    A variable of another name that has one of these values goes too: platforms give an add-on several names.
    """
    ours = {name for name in os.environ if name.lower().startswith(_OURS)}
    values = {os.environ[name] for name in ours if len(os.environ[name]) >= _LEAST_SECRET}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return {name: value for name, value in kept.items() if not any(secret in value for secret in values)}


def _is_code_path(path: str) -> bool:
    return re.fullmatch(r"\w+(\.\w+)*:\w+(\.\w+)*", path) is not None


def _kept(text: str) -> Kept:
    text = text.strip()
    return Kept(percent=Decimal(text[:-1])) if text.endswith("%") else Kept(number=int(text))


def is_developer_name(name: str) -> bool:
    """Return whether an AppLink authorization may have this developer name."""
    return re.fullmatch(DEVELOPER_NAME, name) is not None


def _is_redis_url(value: str) -> bool:
    """Return whether all that read it (redis-py, and Celery twice) understand the same: they differ on odd ones."""
    parts = urlsplit(value.strip())
    server = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    plain = not (parts.query or parts.fragment or re.search(r"\s", value.strip()))
    database = re.fullmatch(r"/?|/[0-9]+/?", parts.path, re.ASCII) is not None
    return value.strip().startswith(("redis://", "rediss://")) and server and plain and database


def _is_web_url(value: str) -> bool:
    parts = urlsplit(value)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)


def _fernet_key(text: str) -> str:
    """Return a Fernet key: one as Fernet writes it, or 64 hexadecimal digits, which is what Heroku's generator makes.

    Raises ValueError.
    """
    text = text.strip()
    if re.fullmatch(r"[0-9a-fA-F]{64}", text):
        return base64.urlsafe_b64encode(bytes.fromhex(text)).decode()
    Fernet(text)
    return text


def _host_suffixes(values: list[str]) -> bool:
    return all(re.fullmatch(r"\.?[a-z0-9-]+(\.[a-z0-9-]+)+", host.strip().lower()) for host in values)


def _readable_file(path: Path) -> bool:
    return path.is_file() and os.access(path, os.R_OK)
