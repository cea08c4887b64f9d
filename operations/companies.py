"""What the commands say of companies and orders."""

from __future__ import annotations

from functools import partial
from operator import itemgetter
from typing import Any, Final

from bookkeeping.adapters.containment import is_ours
from bookkeeping.adapters.tables.orders import order_key
from bookkeeping.adapters.tables.pauses import ALL
from bookkeeping.domain.connection import Connection, words
from bookkeeping.domain.errors import UnknownKind
from bookkeeping.domain.ledger import Entry, Pause, State
from bookkeeping.domain.settings import Settings
from bookkeeping.use_cases import intake
from bookkeeping.use_cases.page.adapters import PageAdapters
from bookkeeping.use_cases.page.connection import shown_connection
from bookkeeping.use_cases.page.orders import Asked, View, orders
from bookkeeping.use_cases.page.set_aside import read_each
from bookkeeping.use_cases.page.settings_form import history
from operations.stack import Stack

LATEST: Final = 10
POSTED_BY_RETRY: Final = frozenset({"integration_off", "taken_out"})
"""Why an order is skipped that only Retry posts, once the reason is gone."""

NOT_READ: Final = "Order {}: this row can't be read. `why` says more."
NO_COMPANY: Final = "There is no company {}: it never saved its settings here."


class NotKnown(Exception):
    """There is no such company or order. The message says so."""


def check_known(stack: Stack, ref: str) -> None:
    """Raises NotKnown."""
    if stack.adapters.settings.saved(ref) is None and stack.adapters.connections.connection(ref) is None:
        raise NotKnown(NO_COMPANY.format(ref))


def companies(stack: Stack) -> list[dict[str, Any]]:
    """Every company that saved settings, and how it stands."""
    pauses = stack.pauses.all()
    found = stack.adapters.settings.companies()
    return stack.adapters.together([partial(_standing, stack.adapters, company, pauses) for company in found])


def _standing(adapters: PageAdapters, company: str, pauses: dict[str, Pause]) -> dict[str, Any]:
    connection = adapters.connections.connection(company)
    current = adapters.settings.current(company)
    pause = pauses.get(ALL) or pauses.get(company)
    waits = _waits(adapters, connection, company)
    return {
        "company": company,
        "state": _state(connection, current[0] if current else None, pause, waits),
        "waits_for": waits,
        "connection": connection.status if connection else "not_connected",
        "organisation": connection.organisation_name if connection else "",
        "enabled": current[0].enabled if current else False,
        "paused": pause is not None,
        "taken_out": connection is not None and connection.taken_out,
    }


def _state(
    connection: Connection | None,
    settings: Settings | None,
    pause: Pause | None,
    waits: dict[str, str] | None,
) -> str:
    """In a word or two, what keeps the company from posting, if anything does."""
    if connection is not None and connection.taken_out:
        return "taken out"
    if settings is None or not settings.enabled:
        return "switched off"
    if connection is None or connection.status != "connected":
        return (connection.status if connection else "not_connected").replace("_", " ")
    return "paused" if pause else "waiting" if waits else "posting"


def _waits(adapters: PageAdapters, connection: Connection | None, ref: str) -> dict[str, str] | None:
    """What the company waits for in its lane, and until when."""
    found = adapters.lanes.paused(connection.lane, ref) if connection and connection.organisation_id else None
    if found is None or found[1] <= adapters.now():
        return None
    return {"reason": found[0], "until": found[1].isoformat()}


def company(stack: Stack, ref: str) -> dict[str, Any]:
    """One company: its connection, its lane, its orders in figures, its last problems and what people did."""
    adapters = stack.adapters
    check_known(stack, ref)
    saved = adapters.settings.saved(ref)
    connection, pause = adapters.connections.connection_and_pause(ref)
    # for its figures
    page = orders(adapters, ref, Asked(state=State.NEEDS_ATTENTION, rows=1))
    acts = history(adapters.settings.latest(ref, LATEST + 1), adapters.connections.acts(ref, LATEST))
    said, fix = words(connection)
    waits = _waits(adapters, connection, ref)
    return {
        "company": ref,
        "state": _state(connection, saved.settings if saved else None, pause, waits),
        "words": said,
        "fix": fix,
        "paused": _shown_pause(pause),
        "settings_version": saved.number if saved else 0,
        "settings_missing": saved.settings.missing() if saved else [],
        "connection": shown_connection(adapters, ref),
        "lane": _lane(adapters, connection, ref, waits),
        "counts": page["counts"],
        "problems": {one["code"]: one["count"] for one in page["problems"]},
        "last_problems": _last_problems(adapters, ref),
        "history": [{"at": act.at.isoformat(), "by": act.by, "what": act.what} for act in acts[:LATEST]],
    }


def _shown_pause(pause: Pause | None) -> dict[str, str] | None:
    return {"by": pause.by, "since": pause.at.isoformat(), "because": pause.because} if pause else None


def _lane(
    adapters: PageAdapters, connection: Connection | None, ref: str, waits: dict[str, str] | None
) -> dict[str, Any] | None:
    if connection is None or not connection.organisation_id:
        return None
    unsettled = [batch for batch in adapters.lanes.batches(connection.lane) if batch.company == ref]
    return {
        "key": connection.lane,
        **adapters.lanes.glance(connection.lane),
        "waits_for": waits,
        "unsettled_batches": len(unsettled),
        "orders_in_them": sum(len(batch.documents) for batch in unsettled),
    }


def _last_problems(adapters: PageAdapters, ref: str) -> list[dict[str, Any]]:
    """The orders that stopped last, the latest first."""
    standing = adapters.orders.standing(ref, State.NEEDS_ATTENTION, LATEST)
    rows = sorted((row for _, rows, _ in standing for row in rows), key=itemgetter(1), reverse=True)[:LATEST]
    entries, _ = read_each(adapters, ref, [id_ for id_, _ in rows])
    problems = {entry.order_id: entry.problem.as_json() for entry in entries if entry.problem is not None}
    last: list[dict[str, Any]] = []
    for id_, at in rows:
        problem = problems.get(id_, {"code": None, "sentence": NOT_READ.format(id_), "who": None})
        told = {"problem": problem["code"], "sentence": problem["sentence"], "who": problem["who"]}
        last.append({"order": id_, "at": at.isoformat(), **told})
    return last


def order(stack: Stack, ref: str, order_id: str) -> dict[str, Any]:
    """One order: where it stands and why, who can put it right and how, and what people did to it."""
    row = entry(stack, ref, order_id)
    view = View(stack.adapters, ref, *stack.adapters.connections.connection_and_pause(ref))
    return view.whole(row) | {
        "key": order_key(*row.key),
        "settings_version": row.settings_version,
        "batch": row.batch,
        "due_at": row.due_at.isoformat() if row.due_at else None,
    }


def freed_by_retry(order: dict[str, Any]) -> bool:
    """Whether it takes Retry to post the order: other orders go on by themselves, or can't be posted as they are."""
    fix = order["problem"]["fix"] if order["problem"] else ""
    return order["can_retry"] and (order["retry_label"] in fix or order["reason"] in POSTED_BY_RETRY)


def entry(stack: Stack, ref: str, order_id: str) -> Entry:
    """The order's row. Raises NotKnown, also where this version of the code can't read it."""
    try:
        found = stack.adapters.orders.get(ref, order_id)
    except UnknownKind as unknown:
        raise NotKnown(
            f"Order {order_id} was handled by a newer version ({unknown}), and is left alone: see UnknownRowsAlarm."
        ) from unknown
    except Exception as error:
        if not is_ours(error):
            raise
        raise NotKnown(
            f"The row of order {order_id} can't be read: see OurFaultsAlarm. `export` shows it as it is stored."
        ) from error
    if found is not None:
        return found
    if ref != intake.NO_COMPANY:
        check_known(stack, ref)
    raise NotKnown(
        f"Company {ref} has no order {order_id}. Perhaps its message names another company, or never came:"
        " look at the dead letters with `check`."
    )
