"""Every state of the page, narrow and wide: nothing is cut off, and axe-core finds no barrier.

SCREENSHOTS=<folder> keeps a picture of each.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from bookkeeping.domain.problems.catalogue import TITLES
from tests.browser.site import Site
from tests.browser.states import STATES

WIDTHS = (480, 1000)

AXE = Axe()
OPTIONS = {"resultTypes": ["violations"]}
LOOK = (Path(__file__).parent / "look.js").read_text(encoding="utf-8")


def keep_picture(page: Page, name: str) -> None:
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        width = page.viewport_size["width"] if page.viewport_size else WIDTHS[-1]
        height = max(900, page.evaluate("document.documentElement.scrollHeight"))
        page.set_viewport_size({"width": width, "height": height})
        page.screenshot(path=Path(folder) / f"{name}.png")


def barriers(page: Page) -> list[str]:
    """What keeps people from using the page as it stands, by axe-core."""
    return [
        f"{violation['id']}: {node['html'][:200]} {node['failureSummary']}"
        for violation in AXE.run(page, options=OPTIONS).response["violations"]
        for node in violation["nodes"]
    ]


def codes(page: Page) -> list[str]:
    """Codes of problems and reasons that a person would read."""
    words = set(re.findall(r"[a-z]+(?:_[a-z]+)+", page.inner_text("body")))
    return sorted(words & TITLES.keys())


@pytest.mark.parametrize("name", STATES)
def test_every_state_can_be_read_and_operated(site: Site, page: Page, name: str) -> None:
    page.emulate_media(reduced_motion="reduce")
    STATES[name](site, page)
    found: dict[str, Any] = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        keep_picture(page, f"{name}-{width}")
        found[f"{width} px"] = page.evaluate(LOOK)
    found["codes"] = codes(page)
    found["axe"] = barriers(page)
    page.emulate_media(color_scheme="dark")
    keep_picture(page, f"{name}-dark")
    found["dark"] = page.evaluate(LOOK)
    assert found == {"480 px": [], "1000 px": [], "codes": [], "axe": [], "dark": []}
