"""Keeps the rows, secrets and messages of this version: `python -m tests.rows NAME` writes them into a new folder.

Versions to come are held against them, so what is kept never changes. What this version writes and no kept row has is
added in another folder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.rows.everything import everything, messages, secrets
from tests.rows.reading import FOLDER, as_text, read, seen, store_with


def keep(folder: Path) -> None:
    with everything() as popup:
        rows = {name: list(table.items.values()) for name, table in popup.world.resource.tables.items()}
        others = {"secrets": secrets(popup), "messages": messages(popup)}
    folder.mkdir()
    store = store_with(rows)
    for table, items in rows.items():
        told = [{"row": as_text(item)["M"], "read": seen(read(store, table, item))} for item in items]
        _write(folder / f"{table}.json", told)
    for name, found in others.items():
        _write(folder / f"{name}.json", found)


def _write(file: Path, found: Any) -> None:
    lines = (
        ",\n".join(json.dumps(one, ensure_ascii=False) for one in found) if isinstance(found, list) else ""
    )
    file.write_text(f"[\n{lines}\n]\n" if lines else json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    keep(FOLDER / sys.argv[1])
