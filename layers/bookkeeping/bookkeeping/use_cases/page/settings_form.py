"""A company's settings and its Xero app, as a person sees and saves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import zip_longest
from typing import Any, Final, Literal, get_args, get_origin

from bookkeeping.adapters.queues import ReleaseCall
from bookkeeping.adapters.secrets import App
from bookkeeping.adapters.tables.connections import KnownApp
from bookkeeping.adapters.tables.dynamodb import Item
from bookkeeping.adapters.tables.orders import SOME_REASON
from bookkeeping.adapters.tables.releases import Release
from bookkeeping.adapters.tables.settings import Saved
from bookkeeping.domain.connection import Connection
from bookkeeping.domain.errors import Conflict, PrefixTaken
from bookkeeping.domain.ledger import Act, State
from bookkeeping.domain.organisation import Organisation
from bookkeeping.domain.page_access import Person
from bookkeeping.domain.settings import RefusedValue, Settings, SettingsRefused, freed_by
from bookkeeping.domain.settings_advice import advice, unusable_tax_rows
from bookkeeping.use_cases.page.adapters import PageAdapters
from bookkeeping.use_cases.page.mail_addresses import shown_mail
from bookkeeping.use_cases.release import lists_freed_by

HISTORY: Final = 50
MOST_FREED: Final = 1_000
"""As many stopped orders are counted when settings are saved."""
MOST_ROWS: Final = 20
"""As many changed rows of a table are told in the history."""
AS_THEY_COME: Final = Settings.from_json({})
"""The settings of a company that has saved none."""


@dataclass(frozen=True)
class Change:
    """A setting that somebody else changed meanwhile."""

    name: str
    title: str
    yours: Any
    theirs: Any


class ChangedMeanwhile(Exception):
    """Somebody else saved the settings since the person saw them. Nothing was saved."""

    def __init__(self, saved: Saved, changes: Sequence[Change]) -> None:
        super().__init__(f"version {saved.number} is newer")
        self.saved = saved
        self.changes = tuple(changes)


def shown(adapters: PageAdapters, company: str, redirect_uri: str) -> dict[str, Any]:
    """The settings page's data."""
    saved = adapters.settings.saved(company)
    settings = saved.settings if saved else AS_THEY_COME
    organisation = _organisation(adapters, company)
    return {
        "version": saved.number if saved else 0,
        "saved_by": saved.by if saved else None,
        "saved_at": saved.at.isoformat() if saved else None,
        "settings": settings.to_json(),
        "missing": settings.missing(),
        "fields": FIELDS,
        "advice": [vars(one) for one in advice(settings, organisation)],
        "usual_accounts": organisation.usual_accounts() if organisation else {},
        "app": shown_app(adapters.connections.app(company), redirect_uri),
        "mail": shown_mail(adapters, company, settings),
        "history": [
            {"at": act.at.isoformat(), "by": act.by, "what": act.what} | _told_changes(act)
            for act in history(
                adapters.settings.latest(company, HISTORY), adapters.connections.acts(company, HISTORY)
            )
        ],
    }


def shown_app(app: KnownApp | None, redirect_uri: str) -> dict[str, Any]:
    return {
        "client_id": app.client_id if app else "",
        "client_secret_set_at": app.secret_set_at.isoformat() if app else None,
        "redirect_uri": redirect_uri,
    }


@dataclass(frozen=True)
class SavedAct(Act):
    """A save, and what it changed: each setting's name with its old and its new value."""

    changes: tuple[tuple[str, Any, Any], ...] = ()


def _told_changes(act: Act) -> dict[str, Any]:
    """The changes of a save, for the page to put in words: of a table only the rows that differ."""
    if not isinstance(act, SavedAct) or not act.changes:
        return {}
    return {"changes": [{"name": name, "old": old, "new": new} for name, old, new in act.changes]}


def history(versions: Sequence[Saved], acts: Sequence[Act]) -> list[Act]:
    """Who changed what, newest first. `versions` must be newest first, too."""
    saves = [
        SavedAct(
            saved.by,
            what_changed(older.settings if older else None, saved.settings),
            saved.at,
            changes=_changed(older.settings, saved.settings) if older else (),
        )
        for saved, older in zip_longest(versions, versions[1:])
        if older is not None or saved.number == 1
    ]
    return sorted([*saves, *acts], key=lambda act: act.at, reverse=True)[:HISTORY]


def what_changed(old: Settings | None, new: Settings) -> str:
    if old is None:
        return "Saved the settings for the first time"
    changed = [Settings.label(key) for key in Settings.model_fields if key in freed_by(old, new)]
    return f"Changed {', '.join(changed)}" if changed else "Saved the settings unchanged"


def _changed(old: Settings, new: Settings) -> tuple[tuple[str, Any, Any], ...]:
    before, after = old.to_json(), new.to_json()
    return tuple(
        (name, *_differing(before[name], after[name])) for name in before if before[name] != after[name]
    )


def _differing(old: Any, new: Any) -> tuple[Any, Any]:
    """Both values; of tables only the rows that are not in the other one."""
    if not isinstance(old, dict | list):
        return old, new
    rows, others = (list(one.items()) if isinstance(one, dict) else one for one in (old, new))
    kept = dict if isinstance(old, dict) else list
    return (
        kept([row for row in rows if row not in others][:MOST_ROWS]),
        kept([row for row in others if row not in rows][:MOST_ROWS]),
    )


def _field(name: str) -> dict[str, Any]:
    about = Settings.model_fields[name]
    kind = about.annotation
    types: Mapping[Any, str] = {bool: "boolean", int: "integer", str: "text"}
    field: dict[str, Any] = {
        "name": name,
        "title": about.title,
        "description": about.description,
        "type": types.get(kind, "table" if get_origin(kind) is dict else "list"),
    }
    if get_origin(kind) is Literal:
        field |= {"type": "choice", "choices": list(get_args(kind))}
    elif date in get_args(kind):
        field["type"] = "date"
    return field


FIELDS: Final = [_field(name) for name in Settings.model_fields]


def save(adapters: PageAdapters, person: Person, seen: int, given: Mapping[str, Any]) -> tuple[Saved, int]:
    """Save the settings over the version the person saw: what stands now, and how many orders are tried again.

    In the same transaction: the orders that the change can free, the company's claim to its number prefix, and the
    mails that ask new addresses to confirm.
    Raises ChangedMeanwhile and SettingsRefused.
    """
    while True:
        before = adapters.settings.saved(person.company)
        settings = _merged(adapters, person.company, before, seen, given)
        now = adapters.now()
        old = before.settings if before else AS_THEY_COME
        if settings.tax_types != old.tax_types:
            _check_tax_rows(adapters, person.company, settings)
        others, release = _with_it(adapters, person.company, old, settings, seen + 1)
        if settings.errors_email != old.errors_email:
            others.append(adapters.mails.planned(person.company, now))
        try:
            number = adapters.settings.save(
                person.company, settings, *others, seen=seen, by=person.name, at=now, before=before
            )
        except Conflict:
            # Somebody else saved, or another company took the prefix. The next attempt raises the right error.
            continue
        freed = 0
        if release is not None:
            adapters.wake_ups.send(ReleaseCall(release.company, release.id))
            freed = _count(adapters, release)
        return Saved(settings, number, person.name, now), freed


def _count(adapters: PageAdapters, release: Release) -> int:
    """How many orders a release is about, at most MOST_FREED of a state. An index: it may lag behind the rows."""
    return sum(
        (state, place.reason) in release.lists
        for state in {State(state) for state, _ in release.lists}
        for place in adapters.orders.places(release.company, state, SOME_REASON, at_most=MOST_FREED)
    )


def on_screen(adapters: PageAdapters, company: str, kept: Settings, given: Mapping[str, Any]) -> Settings:
    """The settings that saving `given` over those that are kept would make. Raises SettingsRefused as a save does."""
    settings = Settings.from_json(kept.to_json() | dict(given))
    if settings.tax_types != kept.tax_types:
        _check_tax_rows(adapters, company, settings)
    connection = adapters.connections.connection(company)
    if settings.number_prefix != kept.number_prefix and connection is not None:
        _claim(adapters, connection, settings.number_prefix)
    return settings


def _organisation(adapters: PageAdapters, company: str) -> Organisation | None:
    """What is known of the company's organisation, if anything is."""
    connection = adapters.connections.connection(company)
    if connection is None or not connection.organisation_id:
        return None
    known = adapters.organisations.get(connection.organisation_id)
    return known[0] if known else None


def _check_tax_rows(adapters: PageAdapters, company: str, settings: Settings) -> None:
    organisation = _organisation(adapters, company)
    wrong = unusable_tax_rows(settings, organisation) if organisation else ()
    if wrong:
        raise SettingsRefused(wrong)


def _merged(
    adapters: PageAdapters, company: str, before: Saved | None, seen: int, given: Mapping[str, Any]
) -> Settings:
    current = before.settings.to_json() if before else AS_THEY_COME.to_json()
    if seen != (before.number if before else 0):
        if before is None:
            raise SettingsRefused((RefusedValue("version", str(seen), "nothing was saved yet"),))
        raise ChangedMeanwhile(before, _changes(adapters, company, before, seen, given))
    return Settings.from_json(current | dict(given))


def _changes(
    adapters: PageAdapters, company: str, current: Saved, seen: int, given: Mapping[str, Any]
) -> list[Change]:
    """The settings that somebody else changed since the version the person saw."""
    seen_then = adapters.settings.version(company, seen) if 0 < seen < current.number else AS_THEY_COME
    base, theirs = seen_then.to_json(), current.settings.to_json()
    return [
        Change(name, Settings.label(name), given.get(name, base[name]), theirs[name])
        for name in Settings.model_fields
        if theirs[name] != base[name]
    ]


def _with_it(
    adapters: PageAdapters, company: str, old: Settings, new: Settings, number: int
) -> tuple[list[Item], Release | None]:
    """The other transaction items for a version of the settings, and its release. Raises SettingsRefused."""
    now, items = adapters.now(), list[Item]()
    connection = adapters.connections.connection(company)
    settled = False
    if connection is not None and connection.organisation_id and connection.status != "disconnected":
        items.append(_claim(adapters, connection, new.number_prefix))
        if connection.prefix_taken_by:
            items.append(adapters.connections.settle_prefix(connection))
            settled = True
    lists = lists_freed_by(freed_by(old, new) | ({"number_prefix"} if settled else frozenset()))
    if not lists:
        return items, None
    release = Release(
        company=company,
        id=adapters.new_id(),
        asked_at=now,
        next_at=now,
        lists=lists,
        before_version=number,
        passes_left=2,
    )
    return [*items, adapters.releases.put(release)], release


def _claim(adapters: PageAdapters, connection: Connection, prefix: str) -> Item:
    try:
        return adapters.connections.claim_prefix(connection, prefix)
    except PrefixTaken as taken:
        reason = f"company {taken.owner} uses it in {connection.organisation_name} already; enter another one"
        raise SettingsRefused((RefusedValue("number_prefix", prefix, reason),)) from taken


class SecretNeeded(Exception):
    """The client id changed, so its secret is needed too."""


def save_app(adapters: PageAdapters, person: Person, client_id: str, client_secret: str | None) -> KnownApp:
    """Save the company's own Xero app. Raises SecretNeeded."""
    company, now = person.company, adapters.now()
    known = adapters.connections.app(company)
    if client_secret is None:
        if known is None or known.client_id != client_id:
            raise SecretNeeded
        return known
    adapters.apps.save(company, App(client_id, client_secret))
    app = KnownApp(client_id, now, unknown=known.unknown if known else {})
    what = (
        "Saved the client secret" if known and known.client_id == client_id else "Saved client id and secret"
    )
    adapters.connections.save_app(
        company, app, adapters.connections.act(company, person.name, what, now, adapters.new_id())
    )
    connection = adapters.connections.connection(company)
    if (
        connection is not None
        and connection.status == "wrong_credentials"
        and connection.client_id == client_id
    ):
        adapters.connections.plan_renewal(company, now)
    return app
