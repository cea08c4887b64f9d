"""What people would use instead: `xero-python`, `pyxero` and plain `requests`, as their users write it.

Each sends the same orders to the same simulated Xero as this project, on the same virtual clock. A call refused with
429 is sent again after its Retry-After, one without an answer at once. The order's id goes into the reference and Xero
gives the number, as in the libraries' own examples. The libraries run as they are; only the wire below them is ours.
"""

from __future__ import annotations

import io
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch
from xml.etree import ElementTree

import requests
import urllib3
from requests.adapters import BaseAdapter

from benchmarks.metering import MeteredEnvironment
from benchmarks.this_project import COMPANY, Figures, lost_and_doubled, order, throughput, undisturbed
from local.samples import Maker
from local.xero.organisations import Organisation
from local.xero.wire import to_json
from tests.storms.environment import XERO
from tests.storms.scheduler import Worker

Invoice = dict[str, Any]
Put = Callable[[Sequence[Invoice]], None]


class TooMany(Exception):
    """Xero answered 429; the argument is for how many seconds it wants to be left alone."""


class NoAnswer(Exception):
    """The connection was dropped, or the call timed out."""


def invoice(made: dict[str, Any], contact_id: str) -> Invoice:
    """The sales invoice that this project makes of the order, but for the number."""

    def line(description: str, quantity: int, price: str, rate: str) -> dict[str, Any]:
        return {
            "Description": description,
            "Quantity": quantity,
            "UnitAmount": Decimal(price),
            "AccountCode": "200",
            "TaxType": "OUTPUT2" if Decimal(rate) else "ZERORATEDOUTPUT",
        }

    sold = [
        line(item["description"], item["quantity"], item["unit_sale_price_inc_tax"], item["sale_vat_rate"])
        for item in made["items"]
    ]
    shipping = line("Shipping", 1, made["shipping_price_inc_tax"], made["shipping_tax_rate"])
    return {
        "Type": "ACCREC",
        "Contact": {"ContactID": contact_id},
        "Date": date(2026, 11, 20),
        "DueDate": date(2026, 12, 20),
        "LineAmountTypes": "Inclusive",
        "Reference": str(made["id"]),
        "Status": "DRAFT",
        "LineItems": [*sold, shipping],
    }


@dataclass
class Site:
    """What a contestant gets: a way to Xero and what opens it."""

    environment: MeteredEnvironment
    organisation: Organisation
    wire: BaseAdapter

    @property
    def token(self) -> str:
        return self.environment.access(COMPANY)

    def sleep(self, seconds: float) -> None:
        self.environment.scheduler.sleep(seconds)


def _waited_for(response: Any) -> TooMany:
    return TooMany(float(response.headers.get("Retry-After", 1)))


# --- plain requests


@contextmanager
def plain_requests(site: Site) -> Iterator[Put]:
    """One PUT with `summarizeErrors=false` and the time-out that everybody sets: 30 s."""
    session = requests.Session()
    session.mount(XERO, site.wire)
    headers = {
        "Authorization": f"Bearer {site.token}",
        "Xero-Tenant-Id": site.organisation.id,
        "Accept": "application/json",
        "Content-Type": "application/json",
    }

    def put(invoices: Sequence[Invoice]) -> None:
        sent = [{**one, "Date": f"{one['Date']}", "DueDate": f"{one['DueDate']}"} for one in invoices]
        try:
            response = session.put(
                f"{XERO}/api.xro/2.0/Invoices?summarizeErrors=false",
                data=to_json({"Invoices": sent}).encode(),
                headers=headers,
                timeout=30,
            )
        except (requests.ConnectionError, requests.Timeout) as error:
            raise NoAnswer from error
        if response.status_code == 429:
            raise _waited_for(response)
        response.raise_for_status()

    yield put


# --- xero-python


class _Pool(urllib3.HTTPConnectionPool):
    """urllib3's pool with all its retries, on the wire of the simulated Xero."""

    wire: BaseAdapter

    def _make_request(  # type: ignore[override]
        self, conn: Any, method: str, url: str, body: Any = None, headers: Any = None, **_: Any
    ) -> urllib3.HTTPResponse:
        request = requests.Request(
            method, f"http://{self.host}:{self.port}{url}", headers, data=body
        ).prepare()
        try:
            response = self.wire.send(request)
        except requests.ConnectionError as error:
            raise urllib3.exceptions.ProtocolError("Connection aborted.", error) from error
        return urllib3.HTTPResponse(
            io.BytesIO(response.content), response.headers, response.status_code, request_method=method
        )


@contextmanager
def xero_python(site: Site) -> Iterator[Put]:
    """Xero's own SDK. urllib3 below it repeats a PUT three times by itself, also after a dropped connection."""
    from xero_python import accounting
    from xero_python.api_client import ApiClient, Configuration
    from xero_python.api_client.oauth2 import OAuth2Token
    from xero_python.exceptions import HTTPStatusException

    token = {"access_token": site.token, "token_type": "Bearer", "expires_in": 1800, "scope": ["openid"]}
    client = ApiClient(Configuration(oauth2_token=OAuth2Token("app", "secret")))
    client.oauth2_token_getter(lambda: token)
    client.oauth2_token_saver(lambda _: None)
    pool_class = type("_PoolHere", (_Pool,), {"wire": site.wire})
    client.rest_client.pool_manager.pool_classes_by_scheme = {"http": pool_class}
    api = accounting.AccountingApi(client, base_url=f"{XERO}/api.xro/2.0")

    def model(one: Invoice) -> Any:
        return accounting.Invoice(
            type=one["Type"],
            contact=accounting.Contact(contact_id=one["Contact"]["ContactID"]),
            date=one["Date"],
            due_date=one["DueDate"],
            line_amount_types=accounting.LineAmountTypes.INCLUSIVE,
            reference=one["Reference"],
            status=one["Status"],
            line_items=[
                accounting.LineItem(
                    description=line["Description"],
                    quantity=line["Quantity"],
                    unit_amount=line["UnitAmount"],
                    account_code=line["AccountCode"],
                    tax_type=line["TaxType"],
                )
                for line in one["LineItems"]
            ],
        )

    def put(invoices: Sequence[Invoice]) -> None:
        try:
            api.create_invoices(
                site.organisation.id, accounting.Invoices(invoices=list(map(model, invoices)))
            )
        except HTTPStatusException as error:
            if error.status != 429:
                raise
            raise TooMany(float(error.headers.get("Retry-After", 1))) from error
        except urllib3.exceptions.HTTPError as error:
            raise NoAnswer from error

    # urllib3 sleeps through a Retry-After by itself
    asleep = SimpleNamespace(sleep=site.sleep, time=time.time)
    with patch("urllib3.util.retry.time", asleep):
        yield put


# --- pyxero


class _FromXml(BaseAdapter):
    """The real Xero takes pyxero's XML; the simulated one reads JSON only."""

    def __init__(self, wire: BaseAdapter) -> None:
        super().__init__()
        self._wire = wire

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        if request.body:
            root = ElementTree.fromstring(request.body)
            request.prepare_body(to_json({root.tag: list(map(_read, root))}).encode(), None)
            request.headers["Content-Type"] = "application/json"
        return self._wire.send(request, *args, **options)


def _read(element: ElementTree.Element) -> Any:
    if len(element) == 0:
        return element.text
    if element.tag == "LineItems":
        return list(map(_read, element))
    return {child.tag: _read(child) for child in element}


@contextmanager
def pyxero(site: Site) -> Iterator[Put]:
    """The library of the community, without a retry of its own."""
    import xero
    from xero.auth import OAuth2Credentials
    from xero.exceptions import XeroRateLimitExceeded

    credentials = OAuth2Credentials(
        "app", "secret", token={"access_token": site.token, "token_type": "Bearer"}
    )
    credentials.tenant_id = site.organisation.id
    api = xero.Xero(credentials)
    adapter = _FromXml(site.wire)

    def put(invoices: Sequence[Invoice]) -> None:
        try:
            api.invoices.put(list(invoices))
        except XeroRateLimitExceeded as error:
            raise _waited_for(error.response) from error
        except (requests.ConnectionError, requests.Timeout) as error:
            raise NoAnswer from error

    with patch.object(requests.Session, "get_adapter", lambda session, url: adapter):
        yield put


# --- a run


@dataclass(frozen=True)
class Contestant:
    name: str
    library: Callable[[Site], AbstractContextManager[Put]]
    batch: int = 1
    threads: int = 1


CONTESTANTS: Final = (
    Contestant("xero-python, one order a call", xero_python),
    Contestant("xero-python, one order a call, ten threads", xero_python, threads=10),
    Contestant("pyxero, one order a call", pyxero),
    Contestant("pyxero, one order a call, ten threads", pyxero, threads=10),
    Contestant("requests, batches of 50 one at a time", plain_requests, batch=50),
)


def race(contestant: Contestant, orders: int, dropped: float = 0.0, seed: int = 1) -> Figures:
    """The contestant posts the orders as fast as it can."""
    environment = MeteredEnvironment(seed, dropped=dropped)
    organisation = environment.with_company(COMPANY, tracked=False)
    organisation.day_limit = orders * 10
    contact_id, make = next(iter(organisation.contacts)), Maker()
    invoices = [invoice(order(make, place, COMPANY, tracked=False), contact_id) for place in range(orders)]
    batches = iter([invoices[at : at + contestant.batch] for at in range(0, orders, contestant.batch)])
    wire = environment.posting.xero.session.get_adapter(XERO)
    site = Site(environment, organisation, wire)

    def work() -> None:
        for batch in batches:
            _keep_trying(site, put, batch)

    environment.start_clock()
    try:
        with undisturbed(), contestant.library(site) as put:
            forever = environment.now() + timedelta(days=30)
            for _ in range(contestant.threads):
                environment.scheduler.start(work, Worker("contestant", forever))
            environment.scheduler.run(forever)
        references = Counter(document.reference for document in organisation.documents.values())
        return {
            **throughput(environment.xero.log.entries, orders),
            **lost_and_doubled(references, orders),
        }
    finally:
        environment.close()


def _keep_trying(site: Site, put: Put, batch: Sequence[Invoice]) -> None:
    while True:
        try:
            return put(batch)
        except TooMany as refused:
            site.sleep(refused.args[0])
        except NoAnswer:
            continue
