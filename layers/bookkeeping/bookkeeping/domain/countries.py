"""Countries and VAT territories: which one an order's address is in, and who belongs to the EU's VAT.

The tables are those of AS_OF. When a country joins or leaves, or a territory's VAT changes, they change here.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from decimal import Decimal
from string import ascii_uppercase
from typing import Final

AS_OF: Final = date(2026, 11, 1)

NORTHERN_IRELAND: Final = "XI"
OUTSIDE_EU_VAT: Final = "XV"
"""Places of an EU country outside the EU's VAT that have no code of their own: Heligoland, Livigno and the like."""

EU: Final = frozenset({
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU",
    "IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK", NORTHERN_IRELAND,
})  # fmt: skip
"""The 27, and Northern Ireland, which belongs to the EU for goods."""

_TERRITORIES: Final = (
    ("GB", r"BT", NORTHERN_IRELAND),
    ("GB", r"JE", "JE"),
    ("GB", r"GY", "GG"),
    ("ES", r"3[58]", "IC"),  # Canary Islands
    ("ES", r"5[12]", "EA"),  # Ceuta and Melilla
    ("FI", r"22", "AX"),
    ("FR", r"971", "GP"),
    ("FR", r"972", "MQ"),
    ("FR", r"973", "GF"),
    ("FR", r"974", "RE"),
    ("FR", r"975", "PM"),
    ("FR", r"976", "YT"),
    ("FR", r"986", "WF"),
    ("FR", r"987", "PF"),
    ("FR", r"988", "NC"),
    ("DE", r"27498|78266", OUTSIDE_EU_VAT),  # Heligoland, Büsingen
    ("IT", r"23041|22061", OUTSIDE_EU_VAT),  # Livigno, Campione d'Italia
    ("GR", r"63086", OUTSIDE_EU_VAT),  # Mount Athos
)
"""Country, the beginning of its postcodes, and the VAT territory behind them."""
_DIGITS: Final = {"DE": 5, "ES": 5, "FI": 5, "FR": 5, "GR": 5, "IT": 5}
"""How long the postcodes are; a sender that takes them for numbers loses the zeros at their beginning."""
_PARTS: Final = {
    "GB": {NORTHERN_IRELAND, "JE", "GG"},
    "ES": {"IC", "EA"},
    "FI": {"AX"},
    "FR": {"GP", "MQ", "GF", "RE", "PM", "YT", "BL", "MF", "WF", "PF", "NC"},
}
"""VAT territories that senders give the country's code, and tell only by their name."""
_COUNTS_AS: Final = {"UK": "GB", "EL": "GR", "IM": "GB", "MC": "FR"}
"""Other spellings, and places that another country's VAT covers."""
_CODES_APART: Final = {
    NORTHERN_IRELAND: "Northern Ireland",
    OUTSIDE_EU_VAT: "outside the EU's VAT",
    "IC": "Canary Islands",
    "EA": "Ceuta or Melilla",
    "XK": "Kosovo",
}
"""Codes that are in use and not in ISO 3166, and what they stand for."""
_NAMES_APART: Final = {
    "northern ireland": NORTHERN_IRELAND,
    "canary islands": "IC",
    "canaries": "IC",
    "ceuta": "EA",
    "melilla": "EA",
    "ceuta melilla": "EA",
    "kosovo": "XK",
    "britain": "GB",
    "uk": "GB",  # U.K.
}


def vat_territory(code: object, name: object, postcode: object) -> str | None:
    """The country code, or that of the VAT territory, of an address as the platform sends it; None if not known.

    `code` counts where it is one; else `name`, which may be a code or an English name. Within the country, the postcode
    tells the territory; without one, the name does.
    """
    country, named = country_code(code) or country_code(name), country_code(name)
    if country is None:
        return None
    compact = _compact(postcode, country)
    if not compact:
        return named if named in _PARTS.get(country, ()) else country
    return next(
        (territory for of, start, territory in _TERRITORIES if of == country and re.match(start, compact)),
        country,
    )


def _compact(postcode: object, country: str) -> str:
    """A postcode's letters and digits, with the zeros at its beginning; empty where there is none."""
    if isinstance(postcode, bool) or not isinstance(postcode, str | int | Decimal):
        return ""
    compact = re.sub(r"[^0-9A-Z]", "", str(postcode)[:40].upper())
    if country != "GB":
        compact = compact.lstrip(ascii_uppercase)  # D-27498
    return compact.zfill(_DIGITS.get(country, 0)) if compact else ""


def country_code(text: object) -> str | None:
    """The ISO code of two letters behind a code or an English name; None where there is none."""
    if not isinstance(text, str) or not 2 <= len(text.strip()) <= 100:
        return None
    code = text.strip().upper()
    found = code if code in _COUNTS_AS else _CODES.get(code) or _NAMES.get(_plain(text))
    if found is None and (bracketed := re.search(r"\(([^()]*)\)", text)):
        # United Kingdom (UK), Spain (Canary Islands)
        outside = country_code(text.replace(bracketed[0], " "))
        inside = country_code(bracketed[1])
        return inside if inside in _PARTS.get(outside or "", ()) else outside
    return _COUNTS_AS.get(found, found) if found else None


def place_words(place: str) -> str:
    """The English name of a country or VAT territory; any other text as it is."""
    return _WORDS.get(place, place)


def _plain(name: str) -> str:
    """A name without accents, capitals, points, "the" and "and", so that its spellings are one."""
    decomposed = unicodedata.normalize("NFKD", name.casefold().replace("&", " and "))
    letters = "".join(
        char if char.isalnum() else " " for char in decomposed if not unicodedata.combining(char)
    )
    joined = re.sub(r"\b((?:\w )+\w)\b", lambda match: match[1].replace(" ", ""), " ".join(letters.split()))
    words = ("saint" if word == "st" else word for word in joined.split() if word not in ("the", "and"))
    return " ".join(words)


_COUNTRIES: Final = """
AD AND Andorra; Principality of Andorra
AE ARE United Arab Emirates; UAE; Emirates
AF AFG Afghanistan; Islamic Republic of Afghanistan
AG ATG Antigua and Barbuda; Antigua
AI AIA Anguilla
AL ALB Albania; Republic of Albania
AM ARM Armenia; Republic of Armenia
AO AGO Angola; Republic of Angola
AQ ATA Antarctica
AR ARG Argentina; Argentine Republic
AS ASM American Samoa
AT AUT Austria; Republic of Austria
AU AUS Australia
AW ABW Aruba
AX ALA Åland Islands; Aland
AZ AZE Azerbaijan; Republic of Azerbaijan
BA BIH Bosnia and Herzegovina; Republic of Bosnia and Herzegovina; Bosnia
BB BRB Barbados
BD BGD Bangladesh; People's Republic of Bangladesh
BE BEL Belgium; Kingdom of Belgium
BF BFA Burkina Faso
BG BGR Bulgaria; Republic of Bulgaria
BH BHR Bahrain; Kingdom of Bahrain
BI BDI Burundi; Republic of Burundi
BJ BEN Benin; Republic of Benin
BL BLM Saint Barthélemy; St Barthelemy
BM BMU Bermuda
BN BRN Brunei Darussalam; Brunei
BO BOL Bolivia; Bolivia, Plurinational State of; Plurinational State of Bolivia
BQ BES Bonaire, Sint Eustatius and Saba; Caribbean Netherlands; Bonaire
BR BRA Brazil; Federative Republic of Brazil
BS BHS Bahamas; Commonwealth of the Bahamas
BT BTN Bhutan; Kingdom of Bhutan
BV BVT Bouvet Island
BW BWA Botswana; Republic of Botswana
BY BLR Belarus; Republic of Belarus
BZ BLZ Belize
CA CAN Canada
CC CCK Cocos (Keeling) Islands; Cocos Islands; Keeling Islands
CD COD Congo the Democratic Republic of the; DR Congo; Democratic Republic of the Congo; Congo Kinshasa
CF CAF Central African Republic
CG COG Congo; Republic of the Congo; Congo Brazzaville
CH CHE Switzerland; Swiss Confederation
CI CIV Côte d'Ivoire; Republic of Côte d'Ivoire; Ivory Coast
CK COK Cook Islands
CL CHL Chile; Republic of Chile
CM CMR Cameroon; Republic of Cameroon
CN CHN China; People's Republic of China
CO COL Colombia; Republic of Colombia
CR CRI Costa Rica; Republic of Costa Rica
CU CUB Cuba; Republic of Cuba
CV CPV Cabo Verde; Republic of Cabo Verde; Cape Verde
CW CUW Curaçao
CX CXR Christmas Island
CY CYP Cyprus; Republic of Cyprus
CZ CZE Czechia; Czech Republic
DE DEU Germany; Federal Republic of Germany
DJ DJI Djibouti; Republic of Djibouti
DK DNK Denmark; Kingdom of Denmark
DM DMA Dominica; Commonwealth of Dominica
DO DOM Dominican Republic
DZ DZA Algeria; People's Democratic Republic of Algeria
EC ECU Ecuador; Republic of Ecuador
EE EST Estonia; Republic of Estonia
EG EGY Egypt; Arab Republic of Egypt
EH ESH Western Sahara
ER ERI Eritrea
ES ESP Spain; Kingdom of Spain
ET ETH Ethiopia; Federal Democratic Republic of Ethiopia
FI FIN Finland; Republic of Finland
FJ FJI Fiji; Republic of Fiji
FK FLK Falkland Islands (Malvinas); Falkland Islands
FM FSM Micronesia, Federated States of; Federated States of Micronesia; Micronesia
FO FRO Faroe Islands
FR FRA France; French Republic
GA GAB Gabon; Gabonese Republic
GB GBR United Kingdom; United Kingdom of Great Britain and Northern Ireland; Great Britain; England; Scotland; Wales
GD GRD Grenada
GE GEO Georgia
GF GUF French Guiana
GG GGY Guernsey
GH GHA Ghana; Republic of Ghana
GI GIB Gibraltar
GL GRL Greenland
GM GMB Gambia; Republic of the Gambia
GN GIN Guinea; Republic of Guinea
GP GLP Guadeloupe
GQ GNQ Equatorial Guinea; Republic of Equatorial Guinea
GR GRC Greece; Hellenic Republic; EL; Hellas
GS SGS South Georgia and the South Sandwich Islands
GT GTM Guatemala; Republic of Guatemala
GU GUM Guam
GW GNB Guinea-Bissau; Republic of Guinea-Bissau
GY GUY Guyana; Republic of Guyana
HK HKG Hong Kong; Hong Kong Special Administrative Region of China; Hong Kong SAR
HM HMD Heard Island and McDonald Islands
HN HND Honduras; Republic of Honduras
HR HRV Croatia; Republic of Croatia
HT HTI Haiti; Republic of Haiti
HU HUN Hungary
ID IDN Indonesia; Republic of Indonesia
IE IRL Ireland; Republic of Ireland; Eire; Southern Ireland
IL ISR Israel; State of Israel
IM IMN Isle of Man
IN IND India; Republic of India
IO IOT British Indian Ocean Territory
IQ IRQ Iraq; Republic of Iraq
IR IRN Iran; Iran, Islamic Republic of; Islamic Republic of Iran
IS ISL Iceland; Republic of Iceland
IT ITA Italy; Italian Republic
JE JEY Jersey
JM JAM Jamaica
JO JOR Jordan; Hashemite Kingdom of Jordan
JP JPN Japan
KE KEN Kenya; Republic of Kenya
KG KGZ Kyrgyzstan; Kyrgyz Republic
KH KHM Cambodia; Kingdom of Cambodia
KI KIR Kiribati; Republic of Kiribati
KM COM Comoros; Union of the Comoros
KN KNA Saint Kitts and Nevis; Saint Kitts; St Kitts and Nevis
KP PRK North Korea; Korea, Democratic People's Republic of; Democratic People's Republic of Korea
KR KOR South Korea; Korea, Republic of; Korea
KW KWT Kuwait; State of Kuwait
KY CYM Cayman Islands
KZ KAZ Kazakhstan; Republic of Kazakhstan
LA LAO Laos; Lao People's Democratic Republic
LB LBN Lebanon; Lebanese Republic
LC LCA Saint Lucia; St Lucia
LI LIE Liechtenstein; Principality of Liechtenstein
LK LKA Sri Lanka; Democratic Socialist Republic of Sri Lanka
LR LBR Liberia; Republic of Liberia
LS LSO Lesotho; Kingdom of Lesotho
LT LTU Lithuania; Republic of Lithuania
LU LUX Luxembourg; Grand Duchy of Luxembourg
LV LVA Latvia; Republic of Latvia
LY LBY Libya
MA MAR Morocco; Kingdom of Morocco
MC MCO Monaco; Principality of Monaco
MD MDA Moldova; Moldova, Republic of; Republic of Moldova
ME MNE Montenegro
MF MAF Saint Martin (French part); Saint Martin
MG MDG Madagascar; Republic of Madagascar
MH MHL Marshall Islands; Republic of the Marshall Islands
MK MKD North Macedonia; Republic of North Macedonia; Macedonia
ML MLI Mali; Republic of Mali
MM MMR Myanmar; Republic of Myanmar; Burma
MN MNG Mongolia
MO MAC Macao; Macao Special Administrative Region of China; Macau
MP MNP Northern Mariana Islands; Commonwealth of the Northern Mariana Islands
MQ MTQ Martinique
MR MRT Mauritania; Islamic Republic of Mauritania
MS MSR Montserrat
MT MLT Malta; Republic of Malta
MU MUS Mauritius; Republic of Mauritius
MV MDV Maldives; Republic of Maldives
MW MWI Malawi; Republic of Malawi
MX MEX Mexico; United Mexican States
MY MYS Malaysia
MZ MOZ Mozambique; Republic of Mozambique
NA NAM Namibia; Republic of Namibia
NC NCL New Caledonia
NE NER Niger; Republic of the Niger
NF NFK Norfolk Island
NG NGA Nigeria; Federal Republic of Nigeria
NI NIC Nicaragua; Republic of Nicaragua
NL NLD Netherlands; Kingdom of the Netherlands; Holland; The Netherlands
NO NOR Norway; Kingdom of Norway
NP NPL Nepal; Federal Democratic Republic of Nepal
NR NRU Nauru; Republic of Nauru
NU NIU Niue
NZ NZL New Zealand
OM OMN Oman; Sultanate of Oman
PA PAN Panama; Republic of Panama
PE PER Peru; Republic of Peru
PF PYF French Polynesia
PG PNG Papua New Guinea; Independent State of Papua New Guinea
PH PHL Philippines; Republic of the Philippines
PK PAK Pakistan; Islamic Republic of Pakistan
PL POL Poland; Republic of Poland
PM SPM Saint Pierre and Miquelon; St Pierre and Miquelon
PN PCN Pitcairn; Pitcairn Islands
PR PRI Puerto Rico
PS PSE Palestine, State of; Palestine; Palestinian Territory
PT PRT Portugal; Portuguese Republic
PW PLW Palau; Republic of Palau
PY PRY Paraguay; Republic of Paraguay
QA QAT Qatar; State of Qatar
RE REU Réunion; La Reunion
RO ROU Romania
RS SRB Serbia; Republic of Serbia
RU RUS Russian Federation; Russia
RW RWA Rwanda; Rwandese Republic
SA SAU Saudi Arabia; Kingdom of Saudi Arabia
SB SLB Solomon Islands
SC SYC Seychelles; Republic of Seychelles
SD SDN Sudan; Republic of the Sudan
SE SWE Sweden; Kingdom of Sweden
SG SGP Singapore; Republic of Singapore
SH SHN Saint Helena, Ascension and Tristan da Cunha; Saint Helena
SI SVN Slovenia; Republic of Slovenia
SJ SJM Svalbard and Jan Mayen
SK SVK Slovakia; Slovak Republic
SL SLE Sierra Leone; Republic of Sierra Leone
SM SMR San Marino; Republic of San Marino
SN SEN Senegal; Republic of Senegal
SO SOM Somalia; Federal Republic of Somalia
SR SUR Suriname; Republic of Suriname
SS SSD South Sudan; Republic of South Sudan
ST STP Sao Tome and Principe; Democratic Republic of Sao Tome and Principe; Sao Tome
SV SLV El Salvador; Republic of El Salvador
SX SXM Sint Maarten (Dutch part); Sint Maarten
SY SYR Syria; Syrian Arab Republic
SZ SWZ Eswatini; Kingdom of Eswatini; Swaziland
TC TCA Turks and Caicos Islands; Turks and Caicos
TD TCD Chad; Republic of Chad
TF ATF French Southern Territories
TG TGO Togo; Togolese Republic
TH THA Thailand; Kingdom of Thailand
TJ TJK Tajikistan; Republic of Tajikistan
TK TKL Tokelau
TL TLS Timor-Leste; Democratic Republic of Timor-Leste; East Timor
TM TKM Turkmenistan
TN TUN Tunisia; Republic of Tunisia
TO TON Tonga; Kingdom of Tonga
TR TUR Türkiye; Republic of Türkiye; Turkey
TT TTO Trinidad and Tobago; Republic of Trinidad and Tobago; Trinidad
TV TUV Tuvalu
TW TWN Taiwan; Taiwan, Province of China
TZ TZA Tanzania; Tanzania, United Republic of; United Republic of Tanzania
UA UKR Ukraine
UG UGA Uganda; Republic of Uganda
UM UMI United States Minor Outlying Islands
US USA United States; United States of America; USA; America; U.S.A.; U.S.
UY URY Uruguay; Eastern Republic of Uruguay
UZ UZB Uzbekistan; Republic of Uzbekistan
VA VAT Holy See (Vatican City State); Vatican; Vatican City; Holy See
VC VCT Saint Vincent and the Grenadines; St Vincent and the Grenadines
VE VEN Venezuela; Venezuela, Bolivarian Republic of; Bolivarian Republic of Venezuela
VG VGB Virgin Islands, British; British Virgin Islands
VI VIR Virgin Islands, U.S.; Virgin Islands of the United States; US Virgin Islands; United States Virgin Islands
VN VNM Vietnam; Viet Nam; Socialist Republic of Viet Nam
VU VUT Vanuatu; Republic of Vanuatu
WF WLF Wallis and Futuna
WS WSM Samoa; Independent State of Samoa
YE YEM Yemen; Republic of Yemen
YT MYT Mayotte
ZA ZAF South Africa; Republic of South Africa
ZM ZMB Zambia; Republic of Zambia
ZW ZWE Zimbabwe; Republic of Zimbabwe
"""
"""ISO 3166-1: the code of two letters, that of three, and names in English."""


def _read_table() -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    codes, names, words = {code: code for code in _CODES_APART}, dict(_NAMES_APART), dict(_CODES_APART)
    for row in _COUNTRIES.strip().splitlines():
        code, longer, listed = row.split(" ", 2)
        codes |= {code: code, longer: code}
        names |= {_plain(name): code for name in listed.split("; ")}
        words[code] = listed.split("; ")[0]
    return codes, names, words


_CODES, _NAMES, _WORDS = _read_table()
