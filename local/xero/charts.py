"""The charts of accounts, tax rates and currencies a new organisation starts with, by country."""

from __future__ import annotations

from dataclasses import dataclass

CLASS_OF_TYPE = {
    "BANK": "ASSET",
    "CURRENT": "ASSET",
    "FIXED": "ASSET",
    "INVENTORY": "ASSET",
    "NONCURRENT": "ASSET",
    "PREPAYMENT": "ASSET",
    "EQUITY": "EQUITY",
    "DEPRECIATN": "EXPENSE",
    "DIRECTCOSTS": "EXPENSE",
    "EXPENSE": "EXPENSE",
    "OVERHEADS": "EXPENSE",
    "CURRLIAB": "LIABILITY",
    "LIABILITY": "LIABILITY",
    "PAYG": "LIABILITY",
    "TERMLIAB": "LIABILITY",
    "OTHERINCOME": "REVENUE",
    "REVENUE": "REVENUE",
    "SALES": "REVENUE",
}

# Code, name, type, tax type, system account.
_AccountRow = tuple[str | None, str, str, str, str | None]
# Tax type, name, percent, percent shown, what it may be used for: S(ales), P(urchases) or both, status.
_TaxRow = tuple[str, str, str, str, str, str]


@dataclass(frozen=True)
class Country:
    version: str
    code: str
    base_currency: str
    timezone: str
    zone: str
    """The same time zone as the world knows it."""
    accounts: tuple[_AccountRow, ...]
    tax_rates: tuple[_TaxRow, ...]
    currencies: tuple[str, ...]


def _commonwealth(sales_tax: str, purchase_tax: str, none: str, tax_name: str) -> tuple[_AccountRow, ...]:
    return (
        (None, "Business Bank Account", "BANK", none, None),
        ("200", "Sales", "REVENUE", sales_tax, None),
        ("205", "Shipping Income", "REVENUE", sales_tax, None),
        ("260", "Other Revenue", "REVENUE", sales_tax, None),
        ("270", "Interest Income", "OTHERINCOME", none, None),
        ("310", "Cost of Goods Sold", "DIRECTCOSTS", purchase_tax, None),
        ("400", "Advertising", "OVERHEADS", purchase_tax, None),
        ("425", "Freight & Courier", "OVERHEADS", purchase_tax, None),
        ("429", "General Expenses", "EXPENSE", purchase_tax, None),
        ("473", "Repairs and Maintenance", "EXPENSE", purchase_tax, None),
        ("499", "Realised Currency Gains", "EXPENSE", none, "REALISEDCURRENCYGAIN"),
        ("610", "Accounts Receivable", "CURRENT", none, "DEBTORS"),
        ("620", "Prepayments", "CURRENT", none, None),
        ("630", "Inventory", "INVENTORY", none, None),
        ("710", "Office Equipment", "FIXED", purchase_tax, None),
        ("800", "Accounts Payable", "CURRLIAB", none, "CREDITORS"),
        ("820", tax_name, "CURRLIAB", none, "GST"),
        ("840", "Historical Adjustment", "CURRLIAB", none, "HISTORICAL"),
        ("860", "Rounding", "CURRLIAB", none, "ROUNDING"),
        ("877", "Tracking Transfers", "CURRLIAB", none, "TRACKINGTRANSFERS"),
        ("900", "Loan", "TERMLIAB", none, None),
        ("960", "Retained Earnings", "EQUITY", none, "RETAINEDEARNINGS"),
    )


_AMERICAN: tuple[_AccountRow, ...] = (
    (None, "Checking Account", "BANK", "NONE", None),
    ("1200", "Accounts Receivable", "CURRENT", "NONE", "DEBTORS"),
    ("1400", "Inventory Asset", "INVENTORY", "NONE", None),
    ("1500", "Equipment", "FIXED", "NONE", None),
    ("2000", "Accounts Payable", "CURRLIAB", "NONE", "CREDITORS"),
    ("2200", "Sales Tax", "CURRLIAB", "NONE", "GST"),
    ("2290", "Historical Adjustment", "CURRLIAB", "NONE", "HISTORICAL"),
    ("2300", "Rounding", "CURRLIAB", "NONE", "ROUNDING"),
    ("3200", "Retained Earnings", "EQUITY", "NONE", "RETAINEDEARNINGS"),
    ("4000", "Sales", "REVENUE", "OUTPUT", None),
    ("4100", "Shipping Income", "REVENUE", "NONE", None),
    ("5000", "Cost of Goods Sold", "DIRECTCOSTS", "NONE", None),
    ("6000", "Advertising", "OVERHEADS", "NONE", None),
    ("6200", "Freight", "OVERHEADS", "NONE", None),
)

_BRITISH_RATES: tuple[_TaxRow, ...] = (
    ("OUTPUT2", "20% (VAT on Income)", "20", "20", "S", "ACTIVE"),
    ("INPUT2", "20% (VAT on Expenses)", "20", "20", "P", "ACTIVE"),
    ("RROUTPUT", "5% (VAT on Income)", "5", "5", "S", "ACTIVE"),
    ("RRINPUT", "5% (VAT on Expenses)", "5", "5", "P", "ACTIVE"),
    ("ZERORATEDOUTPUT", "Zero Rated Income", "0", "0", "S", "ACTIVE"),
    ("ZERORATEDINPUT", "Zero Rated Expenses", "0", "0", "P", "ACTIVE"),
    ("EXEMPTOUTPUT", "Exempt Income", "0", "0", "S", "ACTIVE"),
    ("EXEMPTINPUT", "Exempt Expenses", "0", "0", "P", "ACTIVE"),
    ("DRCHARGESUPPLY20", "Domestic Reverse Charge @ 20% (VAT on Income)", "0", "20", "S", "ACTIVE"),
    ("DRCHARGE20", "Domestic Reverse Charge @ 20% (VAT on Expenses)", "0", "20", "P", "ACTIVE"),
    ("NONE", "No VAT", "0", "0", "SP", "ACTIVE"),
    ("TAX001", "17.5% (VAT on Income)", "17.5", "17.5", "S", "DELETED"),
)
_AUSTRALIAN_RATES: tuple[_TaxRow, ...] = (
    ("OUTPUT", "GST on Income", "10", "10", "S", "ACTIVE"),
    ("INPUT", "GST on Expenses", "10", "10", "P", "ACTIVE"),
    ("EXEMPTOUTPUT", "GST Free Income", "0", "0", "S", "ACTIVE"),
    ("EXEMPTEXPENSES", "GST Free Expenses", "0", "0", "P", "ACTIVE"),
    ("EXEMPTEXPORT", "GST Free Exports", "0", "0", "S", "ACTIVE"),
    ("GSTONIMPORTS", "GST on Imports", "0", "0", "SP", "ACTIVE"),
    ("BASEXCLUDED", "BAS Excluded", "0", "0", "SP", "ACTIVE"),
)
_NEW_ZEALAND_RATES: tuple[_TaxRow, ...] = (
    ("OUTPUT2", "15% GST on Income", "15", "15", "S", "ACTIVE"),
    ("INPUT2", "15% GST on Expenses", "15", "15", "P", "ACTIVE"),
    ("ZERORATED", "Zero Rated", "0", "0", "SP", "ACTIVE"),
    ("NONE", "No GST", "0", "0", "SP", "ACTIVE"),
    ("GSTONIMPORTS", "GST on Imports", "0", "0", "SP", "ACTIVE"),
)
_AMERICAN_RATES: tuple[_TaxRow, ...] = (
    ("OUTPUT", "Tax on Sales", "8.75", "8.75", "S", "ACTIVE"),
    ("INPUT", "Tax on Purchases", "8.25", "8.25", "P", "ACTIVE"),
    ("TAX001", "New York", "8.875", "8.875", "S", "ACTIVE"),
    ("TAX002", "Out of State", "0", "0", "S", "ACTIVE"),
    ("GSTONIMPORTS", "Sales Tax on Imports", "0", "0", "SP", "ACTIVE"),
    ("NONE", "Tax Exempt", "0", "0", "SP", "ACTIVE"),
)

# Ireland and South Africa as far as public material tells: the percentages are the countries' own.
_IRISH_RATES: tuple[_TaxRow, ...] = (
    ("OUTPUT2", "VAT on Sales 23%", "23", "23", "S", "ACTIVE"),
    ("INPUT2", "VAT on Purchases 23%", "23", "23", "P", "ACTIVE"),
    ("RROUTPUT", "VAT on Sales 13.5%", "13.5", "13.5", "S", "ACTIVE"),
    ("RRINPUT", "VAT on Purchases 13.5%", "13.5", "13.5", "P", "ACTIVE"),
    ("TAX001", "VAT on Sales 9%", "9", "9", "S", "ACTIVE"),
    ("TAX002", "Livestock 4.8%", "4.8", "4.8", "S", "ACTIVE"),
    ("ZERORATEDOUTPUT", "Zero Rated Sales", "0", "0", "S", "ACTIVE"),
    ("ZERORATEDINPUT", "Zero Rated Purchases", "0", "0", "P", "ACTIVE"),
    ("EXEMPTOUTPUT", "Exempt Sales", "0", "0", "S", "ACTIVE"),
    ("ECZROUTPUT", "Zero Rated EC Goods Income", "0", "0", "S", "ACTIVE"),
    ("ECZROUTPUTSERVICES", "Zero Rated EC Services", "0", "0", "S", "ACTIVE"),
    ("REVERSECHARGES", "Reverse Charge Expenses", "0", "23", "P", "ACTIVE"),
    ("NONE", "No VAT", "0", "0", "SP", "ACTIVE"),
)
_SOUTH_AFRICAN_RATES: tuple[_TaxRow, ...] = (
    ("OUTPUT3", "Standard Rate Sales", "15", "15", "S", "ACTIVE"),
    ("INPUT3", "Standard Rate Purchases", "15", "15", "P", "ACTIVE"),
    ("CAPEXOUTPUT", "Standard Rate Sales - Capital Goods", "15", "15", "S", "ACTIVE"),
    ("CAPEXINPUT", "Standard Rate Purchases - Capital Goods", "15", "15", "P", "ACTIVE"),
    ("ZERORATEDOUTPUT", "Zero Rated (Excluding Goods Exported)", "0", "0", "S", "ACTIVE"),
    ("TAX001", "Zero Rated (Only Exported Goods)", "0", "0", "S", "ACTIVE"),
    ("TAX002", "Old Rate Sales", "14", "14", "S", "ACTIVE"),
    ("EXEMPTOUTPUT", "Exempt and Non-Supplies", "0", "0", "S", "ACTIVE"),
    ("GSTONIMPORTS", "VAT on Imports", "0", "0", "SP", "ACTIVE"),
    ("NONE", "No VAT", "0", "0", "SP", "ACTIVE"),
)

REPORT_TAX_TYPES = {
    "DRCHARGESUPPLY20": "DRCHARGESUPPLY",
    "DRCHARGE20": "DRCHARGE",
    "ECZROUTPUT": "ECOUTPUT",
    "ECZROUTPUTSERVICES": "ECOUTPUTSERVICES",
    "REVERSECHARGES": "REVERSECHARGES",
    "CAPEXOUTPUT": "CAPEXOUTPUT",
    "CAPEXOUTPUT2": "CAPEXOUTPUT",
    "CAPEXINPUT": "CAPEXINPUT",
    "CAPEXINPUT2": "CAPEXINPUT",
    "GSTONIMPORTS": "GSTONIMPORTS",
    "AVALARA": "AVALARA",
}
"""Tax type → what Xero reports it as, where that is not plain input, output or none."""

COUNTRIES = {
    "UK": Country(
        "UK",
        "GB",
        "GBP",
        "GMTSTANDARDTIME",
        "Europe/London",
        _commonwealth("OUTPUT2", "INPUT2", "NONE", "VAT"),
        _BRITISH_RATES,
        ("GBP", "EUR", "USD"),
    ),
    "AU": Country(
        "AU",
        "AU",
        "AUD",
        "AUSEASTERNSTANDARDTIME",
        "Australia/Sydney",
        _commonwealth("OUTPUT", "INPUT", "BASEXCLUDED", "GST"),
        _AUSTRALIAN_RATES,
        ("AUD", "USD"),
    ),
    "NZ": Country(
        "NZ",
        "NZ",
        "NZD",
        "NEWZEALANDSTANDARDTIME",
        "Pacific/Auckland",
        _commonwealth("OUTPUT2", "INPUT2", "NONE", "GST"),
        _NEW_ZEALAND_RATES,
        ("NZD", "AUD"),
    ),
    "IE": Country(
        "GLOBAL",
        "IE",
        "EUR",
        "GMTSTANDARDTIME",
        "Europe/Dublin",
        _commonwealth("OUTPUT2", "INPUT2", "NONE", "VAT"),
        _IRISH_RATES,
        ("EUR", "GBP", "USD"),
    ),
    "ZA": Country(
        "GLOBAL",
        "ZA",
        "ZAR",
        "SOUTHAFRICASTANDARDTIME",
        "Africa/Johannesburg",
        _commonwealth("OUTPUT3", "INPUT3", "NONE", "VAT"),
        _SOUTH_AFRICAN_RATES,
        ("ZAR", "USD"),
    ),
    "US": Country(
        "US",
        "US",
        "USD",
        "EASTERNSTANDARDTIME",
        "America/New_York",
        _AMERICAN,
        _AMERICAN_RATES,
        ("USD",),
    ),
}

CURRENCY_NAMES = {
    "AUD": "Australian Dollar",
    "CAD": "Canadian Dollar",
    "CHF": "Swiss Franc",
    "DKK": "Danish Krone",
    "EUR": "Euro",
    "GBP": "British Pound",
    "JPY": "Japanese Yen",
    "NOK": "Norwegian Krone",
    "NZD": "New Zealand Dollar",
    "SEK": "Swedish Krona",
    "SGD": "Singapore Dollar",
    "USD": "United States Dollar",
    "ZAR": "South African Rand",
}
