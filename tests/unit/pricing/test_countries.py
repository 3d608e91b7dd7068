"""Countries are recognised however they are written; what could be two countries is decided, or is none."""

from __future__ import annotations

import gettext
import unicodedata
from collections.abc import Callable
from functools import partial

import pycountry
import pytest
from babel import Locale
from babel.languages import get_official_languages
from babel.localedata import exists
from hypothesis import given, settings
from hypothesis import strategies as st

from quotejob.pricing.countries import country_code, country_key

COUNTRIES = {each.alpha_2: each for each in pycountry.countries}

# As ISO 3166 itself writes them, with the article in brackets; pycountry has other forms.
ISO_SHORT_NAMES = """
    BS Bahamas (the); BO Bolivia (Plurinational State of); BQ Bonaire, Sint Eustatius and Saba;
    KY Cayman Islands (the); CC Cocos (Keeling) Islands (the); KM Comoros (the);
    CD Congo (the Democratic Republic of the); CG Congo (the); CI Côte d'Ivoire; DO Dominican Republic (the);
    FK Falkland Islands (the) [Malvinas]; FO Faroe Islands (the); TF French Southern Territories (the);
    GM Gambia (the); VA Holy See (the); IR Iran (Islamic Republic of);
    KP Korea (the Democratic People's Republic of); KR Korea (the Republic of);
    LA Lao People's Democratic Republic (the); FM Micronesia (Federated States of);
    MD Moldova (the Republic of); NL Netherlands (Kingdom of the); NE Niger (the); PS Palestine, State of;
    PH Philippines (the); RU Russian Federation (the); MF Saint Martin (French part);
    SX Sint Maarten (Dutch part); SD Sudan (the); SY Syrian Arab Republic (the); TW Taiwan (Province of China);
    TZ Tanzania, the United Republic of; TC Turks and Caicos Islands (the); AE United Arab Emirates (the);
    GB United Kingdom of Great Britain and Northern Ireland (the);
    UM United States Minor Outlying Islands (the); US United States of America (the);
    VE Venezuela (Bolivarian Republic of); VG Virgin Islands (British); VI Virgin Islands (U.S.); VN Viet Nam;
    EH Western Sahara*
"""
# As others write them: statistics, atlases, the platform's own picklist, people.
OTHER_FORMS = """
    KR Korea, South; KP Korea, North; KR Korea, Rep.; KP Korea, Dem. People's Rep.; EG Egypt, Arab Rep.;
    YE Yemen, Rep.; CD Congo, Dem. Rep.; CG Congo, Rep.; FM Micronesia, Fed. Sts.; GM Gambia, The;
    HK Hong Kong SAR, China; LA Lao PDR; LC St. Lucia; KN St Kitts & Nevis; TT Trinidad/Tobago;
    CD Congo (Kinshasa); CG Congo-Brazzaville; US U. S. A.; US u.s.; TR Republic of Turkey;
    VN Socialist Republic of Vietnam; HU Republic of Hungary; AU Commonwealth of Australia;
    US The United States; NL the netherlands;
    MM Myanmar (Burma); MM Burma; TR Turkey; TR TÜRKIYE; SZ Swaziland;
    MK Macedonia, the former Yugoslav Republic of; CZ Czech Republic; GB UK; GB Scotland; AE U.A.E.; SA KSA;
    RU Russia; CI COTE D’IVOIRE; CI Cote dIvoire; CH Schweiz/Suisse/Svizzera; BE Belgique - België;
    DE Germany (DE); DE DEU; US USA (United States of America); TL East Timor; XK Kosovo; XK XKX;
    SS South Sudan; SD Sudan; GQ Guinea Ecuatorial
"""
OWN_NAMES = """
    DE Deutschland; DE Bundesrepublik Deutschland; AT Österreich; FR République française; ES España;
    MX Estados Unidos Mexicanos; BR Brasil; IT Repubblica Italiana; NL Koninkrijk der Nederlanden; FI Suomi;
    IS Ísland; IE Éire; HU Magyarország; GR Ελλάδα; RU Россия; RU Российская Федерация; UA Україна; RS Србија;
    RS Srbija; BG България; KZ Қазақстан; MN Монгол; XK Косово; JP 日本; CN 中国; TW 台灣; HK 香港; KR 대한민국;
    VN Việt Nam; TH ไทย; KH កម្ពុជា; MM မြန်မာ; LA ລາວ; IN भारत; BD বাংলাদেশ; LK ශ්‍රී ලංකාව; NP नेपाल;
    BT འབྲུག; IL ישראל; EG مصر; SA المملكة العربية السعودية; IR ایران; PK پاکستان; GE საქართველო; AM Հայաստան;
    ET ኢትዮጵያ; UZ O‘zbekiston; FO Føroyar; FO Foroyar; DE Allemagne; DE Alemania; FR フランス; US Vereinigte Staaten
"""


def pairs(text: str) -> list[list[str]]:
    return [each.split(maxsplit=1) for each in text.split(";")]


@pytest.mark.parametrize("names", [ISO_SHORT_NAMES, OTHER_FORMS, OWN_NAMES])
def test_names_are_recognised(names: str) -> None:
    assert {name: country_code(name) for _, name in pairs(names)} == {name: code for code, name in pairs(names)}


@pytest.mark.parametrize("kind", ["alpha_2", "alpha_3", "name", "official_name", "common_name"])
@pytest.mark.parametrize("written", [str, str.upper, str.lower, "  {} ".format, "({})".format])
def test_every_code_and_name_of_iso_3166_is_recognised(kind: str, written: Callable[[str], str]) -> None:
    found = {
        code: country_code(written(getattr(each, kind))) for code, each in COUNTRIES.items() if hasattr(each, kind)
    }
    assert {code: answer for code, answer in found.items() if answer != code} == {}


def test_every_name_in_the_countrys_own_languages_is_recognised() -> None:
    """Everyday names by CLDR, formal names by the translations of ISO 3166."""
    wrong = []
    for code, country in COUNTRIES.items():
        for language in filter(exists, get_official_languages(code, de_facto=True)):
            formal = gettext.translation("iso3166-1", pycountry.LOCALES_DIR, [language], fallback=True)
            for name in (Locale.parse(language).territories.get(code), formal.gettext(country.name)):
                if name and country_code(name) != code:
                    wrong.append((code, language, name, country_code(name)))
    assert wrong == []


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Congo", "CG"),
        ("Korea", "KR"),
        ("Georgia", "GE"),
        ("Guinea", "GN"),
        ("Virgin Islands", "VI"),
        ("Samoa", "WS"),
        ("Saint Martin", "MF"),
        ("Ireland", "IE"),
        ("Northern Ireland", "GB"),
        ("Republic of China", "TW"),
        ("People's Republic of China", "CN"),
        ("Niger", "NE"),
        ("Nigeria", "NG"),
        ("Dominica", "DM"),
        ("AND", "AD"),
        ("IS", "IS"),
        ("ST", "ST"),
        ("NO", "NO"),
    ],
)
def test_what_could_be_two_countries_is_decided(name: str, code: str) -> None:
    assert country_code(name) == code


@pytest.mark.parametrize(
    "name",
    ["", " ", "-", "Atlantis", "Germani", "Yugoslavia", "Netherlands Antilles", "Georgia, USA", "Korea, Democratic",
     "Berlin, Germany", "New Mexico", "Republic", "United", "Islands", "the", "🇩🇪"],
)  # fmt: skip
def test_what_is_no_country_is_none(name: str) -> None:
    """Also a city with its country, and a text that names two countries: better named in the log than guessed."""
    assert country_code(name) is None


@settings(deadline=None)
@given(st.sampled_from([each.name for each in COUNTRIES.values()]), st.data())
def test_accents_case_and_punctuation_do_not_count(name: str, data: st.DataObject) -> None:
    """However it is typed: composed or not, in capitals, with more blanks, with another apostrophe."""
    composed = data.draw(
        st.sampled_from([partial(unicodedata.normalize, "NFC"), partial(unicodedata.normalize, "NFD")])
    )
    case = data.draw(st.sampled_from([str.upper, str.lower, str.title, str.swapcase]))
    typed = (
        case(composed(name))
        .replace("'", "\u2019")
        .replace(" ", data.draw(st.sampled_from([" ", "  ", "\u00a0", "\t"])))
    )
    assert country_code(typed) == country_code(name) is not None


@given(st.text(max_size=100))
def test_any_text_has_a_key(text: str) -> None:
    words = country_key(text).split()
    assert words == sorted(words)
    assert country_code(text) in {None, "XK", *COUNTRIES}
