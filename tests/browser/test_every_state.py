"""Every state of the page, narrow and wide: nothing is cut off, nothing is unnamed, everything can be read.

SCREENSHOTS=<folder> keeps a picture of each.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.site import Site
from tests.browser.states import STATES

WIDTHS = (480, 1000)

LOOK = (Path(__file__).parent / "look.js").read_text(encoding="utf-8")


def keep_picture(page: Page, name: str) -> None:
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        width = page.viewport_size["width"] if page.viewport_size else WIDTHS[-1]
        height = max(900, page.evaluate("document.documentElement.scrollHeight"))
        page.set_viewport_size({"width": width, "height": height})
        page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.mark.parametrize("name", STATES)
def test_every_state_can_be_read_and_operated(site: Site, page: Page, name: str) -> None:
    page.emulate_media(reduced_motion="reduce")
    STATES[name](site, page)
    found: dict[str, Any] = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        keep_picture(page, f"{name}-{width}")
        found[f"{width} px"] = page.evaluate(LOOK)
    page.emulate_media(color_scheme="dark")
    keep_picture(page, f"{name}-dark")
    found["dark"] = page.evaluate(LOOK)
    assert found == {"480 px": [], "1000 px": [], "dark": []}
