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

Controls, all JSON, under /_simulator/ (an unknown key or value is answered 400 {"error"}):
  GET    log?since=SEQ            {entries, next, tenant_mismatches}; an entry is truth_log.Entry
  GET    documents[?organisation=]  {documents: [{tenant_id, created_by, kind, id, number, …, document}]}
  GET    faults · POST faults     {kind, method?, path_prefix?, tenant_id?, client_id?, times?=1, every?,
                                  probability?, seed?, skip?, seconds?=30, retry_after?, commit?=true}
  DELETE faults[/{id}]
  GET    clock · POST clock       {advance: seconds} or {set: "2026-11-23T09:00:00Z"}
  GET    organisations[/{id}]     all facts
  POST   organisations            {country: UK|AU|NZ|US, name, id?, users?: [email], …any key of PATCH}
  PATCH  organisations/{id}       {period_lock_date, end_of_year_lock_date, pays_tax, multicurrency,
                                  backorders, approval_cap, day_limit, offline, gone, tie_rounding, name,
                                  is_demo, archive_account, restore_account, archive_contact,
                                  restore_contact, subscribe_currency, unsubscribe_currency,
                                  stock: {code: quantity}, tax_rate_status: {tax type: status}}
  PATCH  organisations/{id}/documents/{id or number}[?kind=ACCREC|ACCPAY|PURCHASEORDER]
                                  a person's edit in Xero's field names ({"Status": "VOIDED"}), or {"Pay": 1}
  GET    apps · POST apps         {name, redirect_uris, kind?, company_url?, created_at?, client_id?,
                                  client_secret?, certified?} → {client_id, client_secret, …}
  PATCH  apps/{client_id}         {redirect_uris?, certified?} · POST apps/{client_id}/secret
  GET    users · POST users       {email, password?="demo", first_name?, last_name?, organisations: [id]}
  GET    connections · DELETE connections  {tenant_id?, client_id?, user?}: a person disconnects inside Xero
  POST   revoke                   {client_id, user?}
  GET    provider-model · POST it  {model: lenient_grace|newest_and_parent|family_revoked}
  POST   access-tokens            {live: seconds}: of those issued from now on; Xero's live 1800
  GET    unconfirmed · POST it       {question: answer}
  POST   reset

Kinds of fault: rate_limit_minute, rate_limit_day, rate_limit_concurrent, rate_limit_appminute, maintenance,
organisation_offline, token_expired, authentication_unsuccessful, authorization_unsuccessful, forbidden,
error_before_commit, error_after_commit, reply_lost, request_lost, slow_answer, slow_commit (committed
`seconds` later, never answered), cut_body, malformed_json, html_body, html_400, empty_body, disconnect. They hit the
API, the token endpoint and /connections.

In one process, without sockets and on virtual time:
    world = World(VirtualClock(), seed=7)
    session.mount("http://xero.test", InProcess(create_app(world), world))
    app = world.portal.register({"name": …, "redirect_uris": […]}, world.now())
    secret = world.portal.generate_secret(app)
    tokens = world.consent(app, user, [tenant_id])          # as after a consent in the browser
Any object with now(), sleep(seconds) and advance(seconds) can be the clock. A late commit happens at its own
moment, just before the next request is looked at (or by `world.run_due()`).
"""
