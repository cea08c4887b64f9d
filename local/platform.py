"""The platform's side on this machine: pages that open the Xero settings as the platform does, and send orders."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import jwt
from botocore.exceptions import BotoCoreError, ClientError
from flask import Flask, Response, abort, render_template, request
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from local.expand import ROOT
from local.sample_kinds import KINDS, SampleKind
from local.samples import Maker

ISSUER: Final = "kornitx"
USER: Final = ("42", "Ada Moore")
COMPANY_NAME: Final = "Company {} Ltd"
FIRST_ORDER: Final = 90_000_000
LARGEST_FORM: Final = 8 * 1024 * 1024
"""Bytes; enough for the largest message of the queue, encoded as a form."""

GROUPS: Final = {
    "posted": "Posted in Xero",
    "skipped": "Skipped, with the reason",
    "needs_attention": "Needs a person, who reads why and what to do",
    "no": "On no company's page",
}
"""How an order ends, and the heading of those that do."""
FILES: Final[Mapping[str, str]] = {
    "order_dispatched": "Dispatched and in pounds, with every field the platform knows.",
    "order_free_of_charge": "A replacement that nobody pays for: skipped as free of charge.",
    "order_non_latin": "Japanese and Russian text; in yen and taxed at 10 %, which no British organisation has.",
    "order_on_hold": "On hold on the platform: skipped until it is released and sent again.",
    "order_prices_as_text": "Every number as text, inside {“order”: …}, without a currency.",
    "order_with_cancelled_line": "Sent to a supplier, with one of its three lines cancelled.",
}
"""Files in events/, and what each shows."""


@dataclass(frozen=True)
class Choice:
    """A message that a person can choose to send."""

    name: str
    shows: str
    message: str
    company: str = ""
    """The message attribute."""


Send = Callable[[str, str], object]
"""Puts a message on the orders queue. The second text is its message attribute `company`; empty: none."""


def launch_token(key: str, audience: str, company: str) -> str:
    """A launch token as the platform signs it: five minutes, one use."""
    claims = {
        "iss": ISSUER,
        "aud": audience,
        "sub": USER[0],
        "name": USER[1],
        "company": company,
        "company_name": COMPANY_NAME.format(company),
        "exp": int(time.time()) + 290,
        "iat": int(time.time()),
        "jti": secrets.token_urlsafe(16),
        # the demonstration's people may decide about posted documents
        "permissions": ["credit"],
    }
    return jwt.encode(claims, key, algorithm="HS256")


def site(
    api_url: str,
    key: Callable[[], str],
    audience: str,
    companies: Sequence[str],
    send: Send,
    mails: Callable[[], Sequence[Mapping[str, Any]]] = lambda: (),
) -> Flask:
    """The platform's pages. `key` gives the launch key of the moment, `mails` those that were sent to offices."""
    pages = Flask("local.platform", template_folder=str(ROOT / "local" / "templates"))
    pages.config["MAX_FORM_MEMORY_SIZE"] = LARGEST_FORM
    make = Maker(FIRST_ORDER + int(time.time()) % 1_000_000)

    @pages.get("/")
    def home() -> str:
        return render_template("platform_home.html", companies=companies)

    @pages.get("/mails")
    def show_mails() -> str:
        shown = [
            {
                **mail,
                "at": f"{datetime.fromtimestamp(mail['Timestamp'], UTC):%Y-%m-%d %H:%M:%S} UTC",
                "links": dict.fromkeys(re.findall(r"https?://\S+", mail["BodyText"])),
            }
            for mail in mails()
        ]
        return render_template("platform_mails.html", mails=shown)

    @pages.get("/launch/<company>")
    def launch(company: str) -> Response:
        token = launch_token(key(), audience, company)
        page = render_template("platform_launch.html", api_url=api_url, token=token)
        # so that the browser names this page's origin when it sends the form
        headers = {"Cache-Control": "no-store", "Referrer-Policy": "strict-origin"}
        return Response(page, headers=headers)

    @pages.get("/help")
    def help_page() -> str:
        return render_template("platform_help.html")

    @pages.get("/orders/<int:company>")
    def orders(company: int) -> str:
        return render_template("platform_orders.html", company=company, groups=_groups())

    @pages.get("/orders/<int:company>/<name>")
    def order(company: int, name: str) -> str:
        chosen = _choice(make, company, name)
        return _order_page(company, chosen, chosen.message, chosen.company)

    @pages.post("/orders/<int:company>/<name>")
    def send_order(company: int, name: str) -> str:
        message, only_for = request.form.get("message", ""), request.form.get("company", "").strip()
        chosen = _choice(make, company, name)
        try:
            send(message, only_for)
        except (BotoCoreError, ClientError) as refusal:
            complaint = f"The queue did not take the message: {refusal}"
            return _order_page(company, chosen, message, only_for, complaint=complaint)
        return _order_page(company, chosen, message, only_for, notice="The message is on the queue.")

    return pages


def _groups() -> list[tuple[str, list[SampleKind | Choice]]]:
    """Headings, and what there is to send under each."""
    groups: list[tuple[str, list[SampleKind | Choice]]] = [
        (title, [kind for kind in KINDS.values() if kind.group == group]) for group, title in GROUPS.items()
    ]
    files: list[SampleKind | Choice] = [Choice(name, shows, "") for name, shows in FILES.items()]
    return [*groups, ("Whole messages, as the platform sends them", files)]


def _choice(make: Maker, company: int, name: str) -> Choice:
    """The message of that name, with an order number of its own and for that company."""
    if name in FILES:
        content = json.loads((ROOT / "events" / f"{name}.json").read_text())
        number = make.order(str(company), 0)["id"]
        ours = {"id": number, "company_ref_id": company, "secondary_company_ref_id": ""}
        whole = {"order": content["order"] | ours} if "order" in content else content | ours
        return Choice(name, FILES[name], _text(whole))
    kind = KINDS.get(name) or abort(404)
    return Choice(
        name, kind.shows, _text(kind.message(make.order(str(company), 0, kind.lines))), kind.company
    )


def _text(message: Any) -> str:
    return message if isinstance(message, str) else json.dumps(message, ensure_ascii=False, indent=2)


def _order_page(
    company: int, sample: Choice, message: str, only_for: str, *, notice: str = "", complaint: str = ""
) -> str:
    return render_template(
        "platform_order.html",
        company=company,
        sample=sample,
        message=message,
        only_for=only_for,
        notice=notice,
        complaint=complaint,
    )


def server(port: int, pages: Flask) -> BaseWSGIServer:
    """The pages on that port, not yet serving."""
    return make_server("127.0.0.1", port, pages, threaded=True, request_handler=_Quiet)


class _Quiet(WSGIRequestHandler):
    """Keeps no access log: what the person at the terminal sees is the demonstration."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass
