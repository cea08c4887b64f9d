"""Reading lists: the `where` language's useful part, `order`, If-Modified-Since and pages."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from local.xero.calls import Call
from local.xero.replies import Reply, query_parse_error
from local.xero.wire import Json

Test = Callable[[Json], bool]
Row = TypeVar("Row")

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"[^"]*")
    | (?P<open_string>")
    | (?P<number>-?\d+(?:\.\d+)?)
    | (?P<operator>==|!=|>=|<=|<>|&&|\|\||[=<>().,])
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    )""",
    re.VERBOSE,
)
FIELDS = {
    "Invoice": frozenset(
        [
            "Type",
            "InvoiceID",
            "InvoiceId",
            "InvoiceNumber",
            "Reference",
            "Status",
            "Date",
            "DueDate",
            "AmountDue",
            "AmountPaid",
            "Total",
            "SubTotal",
            "TotalTax",
            "CurrencyCode",
            "UpdatedDateUTC",
            "Url",
            "BrandingThemeID",
            "SentToContact",
            "LineAmountTypes",
            "Contact",
            "ExpectedPaymentDate",
            "HasAttachments",
            "AmountCredited",
            "FullyPaidOnDate",
        ]
    ),
    "CreditNote": frozenset(
        [
            "Type",
            "CreditNoteID",
            "CreditNoteNumber",
            "Reference",
            "Status",
            "Date",
            "DueDate",
            "RemainingCredit",
            "Total",
            "SubTotal",
            "TotalTax",
            "CurrencyCode",
            "UpdatedDateUTC",
            "BrandingThemeID",
            "LineAmountTypes",
            "Contact",
            "HasAttachments",
            "FullyPaidOnDate",
        ]
    ),
    "PurchaseOrder": frozenset(
        [
            "PurchaseOrderID",
            "PurchaseOrderNumber",
            "Reference",
            "Status",
            "Date",
            "DeliveryDate",
            "Total",
            "UpdatedDateUTC",
        ]
    ),
    "Contact": frozenset(
        [
            "ContactID",
            "ContactNumber",
            "AccountNumber",
            "Name",
            "FirstName",
            "LastName",
            "EmailAddress",
            "ContactStatus",
            "IsSupplier",
            "IsCustomer",
            "UpdatedDateUTC",
            "CompanyNumber",
        ]
    ),
    "Account": frozenset(
        [
            "AccountID",
            "Code",
            "Name",
            "Type",
            "Class",
            "Status",
            "TaxType",
            "SystemAccount",
            "EnablePaymentsToAccount",
            "UpdatedDateUTC",
        ]
    ),
    "Item": frozenset(
        [
            "ItemID",
            "Code",
            "Name",
            "Description",
            "IsTrackedAsInventory",
            "IsSold",
            "IsPurchased",
            "QuantityOnHand",
            "UpdatedDateUTC",
        ]
    ),
    "TaxRate": frozenset(["Name", "TaxType", "Status", "EffectiveRate", "DisplayTaxRate", "ReportTaxType"]),
    "Currency": frozenset({"Code", "Description"}),
    "TrackingCategory": frozenset({"Name", "Status", "TrackingCategoryID"}),
}
_NESTED = frozenset({"ContactID", "Name", "ContactNumber"})


class _Parser:
    """A recursive-descent parser: or → and → comparison."""

    def __init__(self, text: str, kind: str) -> None:
        self._kind = kind
        self._tokens: list[tuple[str, str]] = []
        position = 0
        text = text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise query_parse_error(f"Syntax error '{text[position]}'")
            if match.lastgroup == "open_string":
                raise query_parse_error("Unterminated string literal")
            assert match.lastgroup is not None
            self._tokens.append((match.lastgroup, match[match.lastgroup]))
            position = match.end()
        self._at = 0

    def parse(self) -> Test:
        test = self._either()
        if self._at < len(self._tokens):
            raise query_parse_error("Syntax error")
        return test

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token

    def _accept(self, *texts: str) -> bool:
        if self._peek()[1].upper() in texts and self._peek()[0] != "string":
            self._at += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise query_parse_error(f"'{text}' expected")

    def _either(self) -> Test:
        tests = [self._both()]
        while self._accept("OR", "||"):
            tests.append(self._both())
        return (lambda row: any(test(row) for test in tests)) if len(tests) > 1 else tests[0]

    def _both(self) -> Test:
        tests = [self._comparison()]
        while self._accept("AND", "&&"):
            tests.append(self._comparison())
        return (lambda row: all(test(row) for test in tests)) if len(tests) > 1 else tests[0]

    def _comparison(self) -> Test:
        if self._accept("("):
            test = self._either()
            self._expect(")")
            return test
        path, method = self._path()
        if method:
            self._expect("(")
            wanted = self._value()
            self._expect(")")
            return _text_test(path, method, str(wanted))
        kind, operator = self._next()
        if kind != "operator" or operator not in {"=", "==", "!=", "<>", ">", ">=", "<", "<="}:
            raise query_parse_error("Syntax error")
        if (self._kind, path) == ("Contact", ["Name"]):
            return _comparison_test(path, operator, self._value(), _without_accents)
        return _comparison_test(path, operator, self._value())

    def _path(self) -> tuple[list[str], str | None]:
        kind, name = self._next()
        if kind != "name":
            raise query_parse_error("Syntax error" if kind == "end" else f"Syntax error '{name}'")
        if name not in FIELDS[self._kind]:
            raise query_parse_error(f"No property or field '{name}' exists in type '{self._kind}'")
        path = [name]
        while self._accept("."):
            _, name = self._next()
            if name in ("Contains", "StartsWith", "EndsWith"):
                return path, name
            if path != ["Contact"] or name not in _NESTED:
                raise query_parse_error(f"No property or field '{name}' exists in type '{path[-1]}'")
            path.append(name)
        return path, None

    def _value(self) -> Any:
        kind, text = self._next()
        if kind == "string":
            return text[1:-1]
        if kind == "number":
            return Decimal(text)
        if kind == "name" and text.lower() in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[text.lower()]
        if kind == "name" and text.lower() == "guid":
            if self._accept("."):
                self._next()
            self._expect("(")
            value = self._value()
            self._expect(")")
            return str(value)
        if kind == "name" and text.lower() == "datetime":
            return self._moment()
        raise query_parse_error("Syntax error" if kind in ("end", "operator") else f"Syntax error '{text}'")

    def _moment(self) -> datetime:
        written = False
        if self._accept("."):
            written = self._next()[1] == "Parse"
        self._expect("(")
        parts = [self._value()]
        while self._accept(","):
            parts.append(self._value())
        self._expect(")")
        try:
            if written:
                return datetime.fromisoformat(str(parts[0])).replace(tzinfo=UTC)
            return datetime(*(int(part) for part in parts), tzinfo=UTC)  # type: ignore[misc, arg-type]
        except (TypeError, ValueError) as error:
            raise query_parse_error("Syntax error") from error


def _value_of(row: Json, path: list[str]) -> Any:
    value: Any = row
    for step in path:
        value = value.get("InvoiceID" if step == "InvoiceId" else step) if isinstance(value, dict) else None
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value


def _text_test(path: list[str], method: str, wanted: str) -> Test:
    needle = wanted.casefold()

    def test(row: Json) -> bool:
        text = str(_value_of(row, path) or "").casefold()
        if method == "Contains":
            return needle in text
        return text.startswith(needle) if method == "StartsWith" else text.endswith(needle)

    return test


def _without_accents(text: str) -> str:
    """How names of contacts are compared. Whether a decomposed letter equals a composed one is not known: not here."""
    return "".join(unicodedata.normalize("NFD", letter)[0] for letter in text).casefold()


def _comparison_test(
    path: list[str], operator: str, wanted: Any, compared: Callable[[str], str] = str.casefold
) -> Test:
    def test(row: Json) -> bool:
        value = _value_of(row, path)
        left: Any = compared(value) if isinstance(value, str) else value
        right: Any = compared(wanted) if isinstance(wanted, str) else wanted
        if operator in ("=", "=="):
            return bool(left == right)
        if operator in ("!=", "<>"):
            return bool(left != right)
        if left is None or right is None:
            return False
        try:
            return bool(
                {">": left > right, ">=": left >= right, "<": left < right, "<=": left <= right}[operator]
            )
        except TypeError as error:
            raise query_parse_error("Operator incompatible with operand types") from error

    return test


def listed(call: Call, rows: list[Json], kind: str) -> list[Json]:
    """The rows that `where` and If-Modified-Since let through, as `order` wants them. Raises RefusedError."""
    return sifted(call, rows, kind, lambda row: row)


def sifted(call: Call, things: list[Row], kind: str, view: Callable[[Row], Json]) -> list[Row]:
    """Likewise of things that are judged by how they are shown."""
    if not {"where", "order"} & set(call.query) and "if-modified-since" not in call.headers:
        return things
    rows = [(view(thing), thing) for thing in things]
    if where := call.query.get("where"):
        test = _Parser(where, kind).parse()
        rows = [row for row in rows if test(row[0])]
    if since := call.headers.get("if-modified-since"):
        moment = _moment_of(since)
        rows = [row for row in rows if moment is None or row[0].get("UpdatedDateUTC", moment) >= moment]
    if order := call.query.get("order"):
        for clause in reversed(order.split(",")):
            words = clause.split()
            if not words or words[0] not in FIELDS.get(kind, frozenset()):
                raise query_parse_error(f"No property or field '{clause.strip()}' exists in type '{kind}'")
            rows = sorted(
                rows,
                key=lambda row: _sort_key(_value_of(row[0], [words[0]])),
                reverse=words[-1].upper().startswith("DESC"),
            )
    return [thing for _, thing in rows]


def _sort_key(value: Any) -> tuple[bool, Any]:
    """What is missing comes first; numbers are compared as such."""
    return value is not None, value if isinstance(value, Decimal) else str(value)


def _moment_of(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def page_number(call: Call) -> int | None:
    if "page" not in call.query and "pagesize" not in call.query:
        return None
    text = call.query.get("page", "1")
    return max(1, int(text)) if text.lstrip("-").isdigit() else 1


def page_size(call: Call) -> int:
    """1 to 1000, 100 unless asked; what lies outside is moved inside."""
    text = call.query.get("pagesize", "100")
    return min(1000, max(1, int(text))) if text.lstrip("-").isdigit() else 100


def page_of(
    call: Call,
    collection: str,
    rows: list[Row],
    view: Callable[[Row], Any] = lambda row: row,
    *,
    always: bool = False,
) -> Reply:
    """The wanted page with its `pagination`, or everything where no page is asked for."""
    number = page_number(call)
    if number is None and not always:
        return call.envelope({collection: [view(row) for row in rows]})
    size = page_size(call)
    start = ((number or 1) - 1) * size
    pagination = {
        "page": number or 1,
        "pageSize": size,
        "pageCount": math.ceil(len(rows) / size),
        "itemCount": len(rows),
    }
    page = [view(row) for row in rows[start : start + size]]
    return call.envelope({"pagination": pagination, collection: page})
