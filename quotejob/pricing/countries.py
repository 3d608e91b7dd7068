"""Recognise a country by what a user may have typed: its code, or its name in English, its own or a common language.

Codes and formal names are those of ISO 3166 (pycountry), everyday names and names in other scripts those of Unicode's
CLDR (Babel). They come with the libraries, so nothing is fetched.
"""

from __future__ import annotations

import gettext
import re
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import cache, lru_cache

import pycountry
from babel import localedata
from babel.languages import get_official_languages

# Decided here, before what the libraries say: names that could mean several countries (each with the reason), and names
# of everyday use that the libraries lack.
DECIDED = {
    "CG": ["Congo"],  # ISO 3166 calls this one so; the other one is the Democratic Republic
    "CD": ["DR Congo", "DRC", "Congo DRC", "Zaire"],
    "KR": ["Korea", "ROK", "S. Korea", "한국"],  # of the two, the one that companies sell to
    "KP": ["DPRK", "N. Korea"],
    "GE": ["Georgia"],  # the country: a field for countries does not hold a state of the US
    "GN": ["Guinea"],  # the others have a second word in their names
    "VI": ["Virgin Islands"],  # those of the US; the British ones say so
    "IE": ["Republic of Ireland"],
    "WS": ["Samoa"],  # not American Samoa
    "MF": ["Saint Martin"],  # the French part; the Dutch part is Sint Maarten
    "MK": ["Macedonia", "FYROM", "Macedonia FYR", "Former Yugoslav Republic of Macedonia"],  # not the region of Greece
    "TW": ["Republic of China", "ROC", "Chinese Taipei"],
    "CN": ["PRC", "Mainland China", "中國", "中華人民共和國"],
    "US": ["America", "U.S. of America"],
    "GB": ["UK", "Great Britain", "Britain", "England", "Scotland", "Wales", "Northern Ireland"],
    "AE": ["UAE"],
    "AL": ["Shqipëria"],
    "BA": ["Bosnia"],
    "CC": ["Cocos Islands", "Keeling Islands"],
    "CI": ["Ivory Coast"],
    "CV": ["Cape Verde"],
    "FO": ["Faeroe Islands"],
    "GR": ["Hellas", "Ελλάς"],
    "HK": ["Hong Kong SAR", "香港"],
    "IN": ["Bharat"],
    "JP": ["Nippon", "日本国"],
    "LA": ["Lao PDR"],
    "LU": ["Luxemburg"],
    "LY": ["Libyan Arab Jamahiriya"],
    "MM": ["Burma"],
    "MN": ["Монгол Улс"],
    "MX": ["Méjico"],
    "MO": ["Macau", "Macao SAR", "Macau SAR", "澳門", "澳门"],
    "NL": ["Holland"],
    "PS": ["Palestine", "Palestinian Territory", "Palestinian Territory, Occupied"],
    "RE": ["Reunion Island"],
    "RU": ["Russian Fed.", "РФ"],
    "SA": ["KSA"],
    "SZ": ["Swaziland"],
    "TH": ["ประเทศไทย"],
    "TL": ["East Timor"],
    "TR": ["Turkey"],
    "VA": ["Vatican", "Vatican City State"],
    "VE": ["Venezuela, RB"],
    "XK": ["XK", "XKX", "Kosovo", "Kosova", "Republic of Kosovo"],  # not in ISO 3166; these are the usual codes
}
# The languages of the platform's own pages: an org's users may type all countries in theirs.
LANGUAGES = ("fr", "de", "es", "it", "pt", "nl", "ja", "ko", "zh", "zh_Hant", "ru", "sv", "da", "no", "fi", "th")
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"})
_SILENT = ".'\u2019\u2018\u02bb\u02bc`\u00b4"  # dots and apostrophes separate no words: U.S.A., Côte d'Ivoire
_SMALL = frozenset({"the", "of", "and"})
_SHORT = {"st": "saint", "rep": "republic", "dem": "democratic", "fed": "federated", "sts": "states", "is": "islands"}
_FORMS = frozenset({"republic", "kingdom", "commonwealth", "dominion", "union", "socialist"})
_reading = threading.Lock()  # a source is read by one thread; the others wait for it
_PARTS = re.compile(r"[()/,;|\[\]]|\s[-\u2013\u2014]\s")


@lru_cache(maxsize=10_000)
def country_code(text: str) -> str | None:
    """Return the ISO 3166 code of two letters, XK for Kosovo. None: not recognised.

    Case, accents, punctuation and the order of words do not count: "Korea (the Republic of)" is "Republic of Korea".
    Several names in one text are recognised if all mean the same country: "Schweiz/Suisse", "Germany (DE)".
    """
    key = country_key(text)
    if not key:  # no need to look it up in every language
        return None
    found = _known(key)
    if found is None:
        keys = [country_key(part) for part in _PARTS.split(text)]
        codes = {_known(key) for key in keys if key}
        found = codes.pop() if len(codes) == 1 else None
    return found


def _known(key: str) -> str | None:
    """Return the code of a name, or of the same name without its form of state: "Republic of Hungary"."""
    short = " ".join(word for word in key.split() if word not in _FORMS)
    return _code(key) or _code(short)


def _code(key: str) -> str | None:
    """Return what the first source says that has the name. The last ones are large: most names do without them."""
    sources = (_decided, _iso_codes, _iso_names, _first_words, _in_english, _in_their_languages, _in_many_languages)
    with _reading:
        return next((_by_key(source)[key] for source in sources if key in _by_key(source)), None)


@lru_cache(maxsize=10_000)
def country_key(text: str) -> str:
    """Return what of a country's name counts for comparison: its words, in one order. Empty: no name at all."""
    plain = unicodedata.normalize("NFKD", text).casefold().translate(_LETTERS)
    words = _words("".join(_letter(letter) for letter in plain))
    if len(words) > 1:
        words = [_SHORT.get(word, word) for word in words if word not in _SMALL]
    return " ".join(sorted(words))


def _letter(letter: str) -> str:
    """Return a letter or digit as it is, nothing for an accent, and a blank for other punctuation."""
    if letter in _SILENT:
        return ""
    if letter.isalnum():
        return letter
    if unicodedata.combining(letter) or unicodedata.category(letter) == "Cf":
        return ""
    return letter if unicodedata.category(letter).startswith("M") else " "


def _words(text: str) -> list[str]:
    """Return the words. Single letters in a row are one word: "U. S. A." is "usa"."""
    return re.sub(r"\b(\w) (?=\w\b)", r"\1", text).split()


Names = Iterator[tuple[str, str]]  # (code, name)


@cache
def _by_key(source: Callable[[], Names]) -> dict[str, str | None]:
    """Return the codes of a source by country_key. None: the name could mean several countries."""
    found: dict[str, str | None] = {}
    for code, name in source():
        key = country_key(name)
        found[key] = code if found.get(key, code) == code else None
    found.pop("", None)
    return found


def _decided() -> Names:
    return ((code, name) for code, names in DECIDED.items() for name in names)


def _iso_codes() -> Names:
    return ((each.alpha_2, code) for each in pycountry.countries for code in (each.alpha_2, each.alpha_3))


def _iso_names() -> Names:
    return ((each.alpha_2, name) for each in pycountry.countries for name in _names(each))


def _first_words() -> Names:
    """Yield names without what follows: Tanzania, United Republic of; Saint Martin (French part)."""
    return ((code, re.split("[,(]", name)[0]) for code, name in _iso_names())


def _in_english() -> Names:
    return _of_language("en", _codes())


def _in_many_languages() -> Names:
    return (found for language in LANGUAGES for found in _of_language(language, _codes()))


def _in_their_languages() -> Names:
    """Yield everyday names and translated formal names in the official languages of each country."""
    spoken: dict[str, list[str]] = {}
    for code in _codes():
        for language in get_official_languages(code, de_facto=True):
            spoken.setdefault(language, []).append(code)
    for language, codes in spoken.items():
        yield from _of_language(language, codes)
        for code in codes:
            yield from _translated(language, code)


def _translated(language: str, code: str) -> Names:
    """Yield the formal names of a country in a language, in the country's own form of the language if there is one."""
    country = pycountry.countries.get(alpha_2=code)
    if country is not None:
        spellings = [f"{language.split('_')[0]}_{code}", language]
        translation = gettext.translation("iso3166-1", pycountry.LOCALES_DIR, spellings, fallback=True)
        yield from ((code, translation.gettext(name)) for name in _names(country))


def _of_language(language: str, codes: Iterable[str]) -> Names:
    """Yield CLDR's names of the countries. Its data of a language has megabytes, so it is not kept."""
    if localedata.exists(language):
        names = localedata.load(language, merge_inherited=False).get("territories", {})
        yield from ((code, names[code]) for code in codes if code in names)
        localedata.clear_caches()


def _codes() -> list[str]:
    return [*(each.alpha_2 for each in pycountry.countries), "XK"]


def _names(country: pycountry.db.Country) -> list[str]:
    kinds = ("name", "official_name", "common_name")
    return [getattr(country, kind) for kind in kinds if hasattr(country, kind)]
