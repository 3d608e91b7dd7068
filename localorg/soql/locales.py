"""The effects of a user's locale in a query: the first day of the week, and how FORMAT() writes numbers and dates.

Only the locales below have a form of their own; every other one writes as en_GB does. Weeks start on Monday where the
locale's country is not named here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

_SATURDAY = frozenset({"AE", "AF", "BH", "DJ", "DZ", "EG", "IQ", "IR", "JO", "KW", "LY", "OM", "QA", "SD", "SY"})
_SUNDAY = frozenset(
    {"AU", "BR", "CA", "CN", "CO", "HK", "IL", "IN", "JP", "KR", "MX", "PE", "PH", "SG", "TH", "TW", "US"}
)
_SUNDAY |= {"GT", "ID", "KE", "PK", "PR", "SA", "SV", "VE", "ZA"}
CURRENCY_SIGN = "$"  # the org's one currency is the US dollar


def first_weekday(locale: str) -> int:
    """Return the first day of the week, as date.weekday() counts: 0 is Monday, 5 Saturday, 6 Sunday."""
    country = locale.replace("-", "_").split("_")[1:2] or [""]
    return 5 if country[0] in _SATURDAY else 6 if country[0] in _SUNDAY else 0


@dataclass(frozen=True, slots=True)
class _Form:
    group: str
    point: str
    date: str
    time: str
    money: str = "{sign}{number}"


_HALF_DAY = "{hour}:{at:%M} {half}"
_BRITISH = _Form(",", ".", "{at:%d}/{at:%m}/{at.year}", "{at:%H}:{at:%M}")
_FORMS = {
    "en_US": _Form(",", ".", "{at.month}/{at.day}/{at.year}", _HALF_DAY),
    "en_GB": _BRITISH,
    "de_DE": _Form(".", ",", "{at:%d}.{at:%m}.{at.year}", "{at:%H}:{at:%M}", "{number} {sign}"),
    "fr_FR": _Form("\u202f", ",", "{at:%d}/{at:%m}/{at.year}", "{at:%H}:{at:%M}", "{number} {sign}"),
    "ja_JP": _Form(",", ".", "{at.year}/{at:%m}/{at:%d}", "{at.hour}:{at:%M}"),
}


def formatted(value: str | int | float | None, kind: str, scale: int, locale: str, zone: ZoneInfo) -> str | None:
    """Return a database value as FORMAT() shows it. None stays None.

    `kind` is the field's type, `scale` its decimals.
    """
    form = _FORMS.get(locale.replace("-", "_"), _BRITISH)
    if value is None:
        return None
    if kind == "date":
        return form.date.format(at=date.fromisoformat(str(value)))
    if kind == "datetime":
        return _moment(form, datetime.fromisoformat(str(value)[:19]).replace(tzinfo=UTC).astimezone(zone))
    return _number(form, Decimal(str(value)), kind, scale)


def _moment(form: _Form, at: datetime) -> str:
    clock = form.time.format(at=at, hour=at.hour % 12 or 12, half="AM" if at.hour < 12 else "PM")
    return f"{form.date.format(at=at)}, {clock}"


def _number(form: _Form, value: Decimal, kind: str, scale: int) -> str:
    digits = f"{abs(value):,.{scale}f}" if kind != "int" else f"{abs(value):,.0f}"
    if kind in {"double", "percent"} and "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    text = digits.translate({ord(","): form.group, ord("."): form.point})
    text = form.money.format(sign=CURRENCY_SIGN, number=text) if kind == "currency" else text
    text = f"{text}%" if kind == "percent" else text
    return f"-{text}" if value < 0 else text
