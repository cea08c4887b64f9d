"""The platform's side on this machine: a page that opens the Xero settings as the platform does, and sends orders."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from typing import Final

import jwt
from flask import Flask, Response, render_template_string, request
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from local.samples import Maker

ISSUER: Final = "kornitx"
USER: Final = ("42", "Ada Moore")
FIRST_ORDER: Final = 90_000_000

HOME: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>The platform</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; width: 100% } td { padding: .5rem 0; border-top: 1px solid #ccc }
button { font: inherit; padding: .3rem .8rem } form { display: inline } [role=status] { min-height: 1.5rem }
</style>
<main>
<h1>The platform</h1>
<p>Stands in for Kornit X on this machine: it opens a company's Xero settings with a signed launch token, and puts
orders on the queue.</p>
<p role="status">{{ told }}</p>
<table>
{% for company in companies %}
<tr><td>Company {{ company }}
<td><a href="/launch/{{ company }}">Open the Xero settings</a>
<td><form method="post" action="/orders/{{ company }}"><button>Send an order</button></form>
{% endfor %}
</table>
</main>
</html>"""

LAUNCH: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Opening the Xero settings</title>
<form method="post" action="{{ api_url }}/launch">
<input type="hidden" name="token" value="{{ token }}"><button>Open the Xero settings</button></form>
<script>document.forms[0].submit()</script>
</html>"""


def launch_token(key: str, audience: str, company: str) -> str:
    """A launch token as the platform signs it: five minutes, one use."""
    claims = {
        "iss": ISSUER,
        "aud": audience,
        "sub": USER[0],
        "name": USER[1],
        "company": company,
        "exp": int(time.time()) + 290,
        "jti": secrets.token_urlsafe(16),
    }
    return jwt.encode(claims, key, algorithm="HS256")


def server(
    port: int, api_url: str, key: str, audience: str, companies: list[str], send: Callable[[str], None]
) -> BaseWSGIServer:
    """The platform's page on that port, not yet serving. `send` puts a message on the orders queue."""
    site = Flask("local.platform")
    maker = Maker(FIRST_ORDER + int(time.time()) % 1_000_000)

    @site.get("/")
    def home() -> str:
        return render_template_string(HOME, companies=companies, told=request.args.get("told", ""))

    @site.get("/launch/<company>")
    def launch(company: str) -> Response:
        page = render_template_string(LAUNCH, api_url=api_url, token=launch_token(key, audience, company))
        return Response(page, headers={"Cache-Control": "no-store"})

    @site.post("/orders/<company>")
    def order(company: str) -> Response:
        # lines of one common rate: a company that is new here has not said which of its rates of 0 % is meant
        made = maker.order(company, 0, 2)
        send(json.dumps(made))
        return Response(status=303, headers={"Location": f"/?told=Order+{made['id']}+is+on+the+queue."})

    return make_server("127.0.0.1", port, site, threaded=True, request_handler=_Quiet)


class _Quiet(WSGIRequestHandler):
    """Keeps no access log: what the person at the terminal sees is the demonstration."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass
