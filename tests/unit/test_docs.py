"""The documentation leads where it says, and names everything that a reader may look for."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from bookkeeping.domain.settings import Settings
from local.expand import source

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PACKAGE = ROOT / "layers" / "bookkeeping" / "bookkeeping"
USE_CASES = PACKAGE / "use_cases"

FENCE = re.compile(r"^ *(`{3,}).*?^ *\1\s*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors GitHub gives a page's headings."""
    seen: Counter[str] = Counter()
    found: set[str] = set()
    for heading in HEADING.findall(prose(page)):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return found


def dead_links(page: Path) -> list[str]:
    """The links of a page that lead to no file, or to no heading of it."""
    dead: list[str] = []
    for link in LINK.findall(prose(page)):
        if re.match(r"https?:|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    return dead


def first_cells(page: Path) -> set[str]:
    """What stands in code in the first column of a page's tables."""
    return set(re.findall(r"^\| `([^`]+)` \|", prose(page), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert dead_links(page) == []


def test_a_link_to_no_file_or_no_heading_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# It's: a page\n\n[a](#its-a-page) [b](page.md#nowhere) [c](gone.md) [d](https://example.com)\n"
    )
    assert dead_links(page) == ["page.md#nowhere", "gone.md"]


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    to_read = [ROOT / "README.md"]
    while to_read:
        page = to_read.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        links = (link.partition("#")[0] for link in LINK.findall(prose(page)) if "://" not in link)
        to_read += [(page.parent / link).resolve() for link in links if link]
    assert set(PAGES) == reached


def test_every_alarm_has_a_heading_in_the_runbook() -> None:
    alarms = {name for name, it in source()["Resources"].items() if it["Type"] == "AWS::CloudWatch::Alarm"}
    assert alarms
    assert alarms <= set(HEADING.findall(prose(ROOT / "docs" / "runbook.md")))


def test_every_log_text_that_the_runbook_quotes_is_logged() -> None:
    quoted = re.findall(r'"([^"]+)"', prose(ROOT / "docs" / "runbook.md"))
    assert quoted
    files = [*(ROOT / "functions").glob("*/app.py"), *(ROOT / "layers").rglob("containment.py")]
    code = "".join(file.read_text(encoding="utf-8") for file in files)
    assert [text for text in quoted if f'"{text}"' not in code] == []


def test_every_setting_is_explained() -> None:
    assert first_cells(ROOT / "docs" / "settings.md") == set(Settings.model_fields)


def test_the_readme_s_map_names_every_use_case() -> None:
    files = {str(file.relative_to(USE_CASES)) for file in USE_CASES.rglob("*.py")} - {"__init__.py"}
    assert files
    assert files <= first_cells(ROOT / "README.md")


def test_the_list_of_rules_and_adapters_names_every_file() -> None:
    folders = [PACKAGE / "domain", PACKAGE / "adapters"]
    files = {str(file.relative_to(folder)) for folder in folders for file in folder.rglob("*.py")}
    # the tables are one row, of the folder
    wanted = {file for file in files if not file.endswith("__init__.py") and not file.startswith("tables/")}
    listed = first_cells(ROOT / "CONTRIBUTING.md")
    assert wanted
    assert wanted == listed & files
    assert [name for name in listed if name.endswith(".py") and name not in files] == []
