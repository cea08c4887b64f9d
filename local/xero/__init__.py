"""A simulated Xero: login, consent, tokens, connections and the Accounting API on one address.

    python -m local.xero --port 8400 [--seed-file world.json] [--seed 7]      # http://localhost:8400

Point XERO_LOGIN_URL, XERO_IDENTITY_URL, XERO_API_URL and XERO_WEB_URL at it; paths are those of the real
hosts. Demo users are ada@example.com (five organisations) and ben@example.com (Marlow Print Works Ltd), both
with the password "demo".

Consent without a browser, with one cookie-keeping session and redirects followed by hand:
  1. GET  /identity/connect/authorize?response_type=code&client_id=…&redirect_uri=…&scope=…&state=…
          → 302 to /identity/user/login?returnUrl=…
  2. POST /identity/user/login       form email, password, returnUrl → 302 back to authorize
  3. GET  that address               → the consent page; its hidden field `consent` holds an id
  4. POST /identity/connect/consent  form consent, organisation (once for each), choice=allow|cancel
          → 302 to the redirect URI with code, scope, session_state and state, or error=access_denied

Developer portal: GET /developer/apps; POST it with form name, kind, company_url, redirect_uri → 303 to the
app's page; POST /developer/apps/{client_id}/secret shows `#client_id` and `#client_secret`.

Controls, all JSON, under /_simulator/: what happened, faults, the clock, organisations and their books, access, and
how Xero behaves where nobody knows. docs/simulated-xero.md has an example of each, and how to provoke each problem.

In one process, without sockets and on virtual time:
    world = World(VirtualClock(), seed=7)
    session.mount("http://xero.test", InProcess(create_app(world), world))
    app = world.portal.register({"name": …, "redirect_uris": […]}, world.now())
    secret = world.portal.generate_secret(app)
    tokens = world.consent(app, user, [tenant_id])          # as after a consent in the browser
Any object with now(), sleep(seconds) and advance(seconds) can be the clock. A late commit happens at its own
moment, just before the next request is looked at (or by `world.run_due()`).
"""
