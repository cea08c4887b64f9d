"""Rules of the house that a linter doesn't know: which module may know of what."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers" / "bookkeeping" / "bookkeeping"

FOLDERS = {
    "domain": {"domain"},
    "adapters": {"domain", "adapters"},
    "use_cases": {"domain", "adapters", "use_cases"},
}
"""Folder of the package → the folders its modules may import from."""
LIBRARIES = {
    "adapters.containment": "boto3",
    "adapters.event_bus": "boto3",
    "adapters.functions": "boto3",
    "adapters.http": "requests",
    "adapters.mail": "boto3",
    "adapters.queues": "boto3",
    "adapters.secrets": "boto3",
    "adapters.tables.authorizations": "boto3",
    "adapters.tables.book_matches": "boto3",
    "adapters.tables.connections": "boto3",
    "adapters.tables.dynamodb": "boto3",
    "adapters.tables.lanes": "boto3",
    "adapters.tables.mails": "boto3",
    "adapters.tables.orders": "boto3",
    "adapters.tables.pauses": "boto3",
    "adapters.tables.releases": "boto3",
    "adapters.tables.settings": "boto3",
    "adapters.xero_api": "requests",
    "adapters.xero_identity": "requests",
}
"""Module → the one library of the world outside that it may import. A module that is not named may import none."""

OUTSIDE_WORLD = {
    "aws_lambda_powertools",
    "boto3",
    "botocore",
    "http",
    "os",
    "requests",
    "secrets",
    "socket",
    "subprocess",
    "threading",
    "time",
    "urllib3",
    "uuid",
}
CLOCKS_AND_DICE = {"date.today", "datetime.now", "datetime.today", "datetime.utcnow"}


def modules() -> list[str]:
    """Every module by its name in the package; a folder's `__init__` by the folder's."""
    paths = {path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py")}
    names = {".".join(path.parts).removesuffix("__init__").removesuffix(".") for path in paths}
    return sorted(names - {""})


def file(module: str) -> Path:
    path = PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports(path: Path) -> set[str]:
    """Every module a file imports, in full: `bookkeeping.domain.orders`, `boto3.dynamodb.conditions`."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module
            found.add(node.module)
            if node.module.partition(".")[0] == "bookkeeping":
                # a name may be a module of that package
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def outside(module: str) -> set[str]:
    return {name.split(".")[0] for name in imports(file(module))}


def inside(module: str) -> set[str]:
    found = imports(file(module))
    return {name.split(".")[1] for name in found if name.startswith("bookkeeping.")}


def in_folder(folder: str) -> list[str]:
    return [module for module in modules() if module.partition(".")[0] == folder]


def imported(module: str) -> set[str]:
    """The package's own modules that a module imports, folders apart."""
    prefix = "bookkeeping."
    return {name.removeprefix(prefix) for name in imports(file(module)) if name.startswith(prefix)}


def calls(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield ast.unparse(node.func)


def test_every_module_lies_in_one_of_the_three_folders() -> None:
    assert {module.partition(".")[0] for module in modules()} == FOLDERS.keys()


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_from_the_folders_that_its_own_may_know(module: str) -> None:
    assert inside(module) <= FOLDERS[module.partition(".")[0]]


@pytest.mark.parametrize("module", in_folder("domain"))
def test_the_domain_knows_nothing_of_the_world(module: str) -> None:
    assert not outside(module) & OUTSIDE_WORLD
    asked = {call for call in calls(file(module)) if call in CLOCKS_AND_DICE or call.startswith("random.")}
    assert not asked


@pytest.mark.parametrize("module", in_folder("use_cases"))
def test_a_use_case_reaches_the_world_through_adapters_only(module: str) -> None:
    assert not outside(module) & OUTSIDE_WORLD


@pytest.mark.parametrize("module", modules())
def test_only_its_adapters_know_a_library(module: str) -> None:
    libraries = {"boto3" if name == "botocore" else name for name in outside(module)}
    assert libraries & {"boto3", "requests"} <= {LIBRARIES.get(module)}


def test_no_module_imports_itself_by_way_of_others() -> None:
    known = set(modules())
    needs = {module: {name for name in imported(module) if name in known} for module in known}
    # what only imports modules that are sorted out already is sorted out itself; a circle never is
    while ready := {module for module, needed in needs.items() if not needed}:
        needs = {module: needed - ready for module, needed in needs.items() if module not in ready}
    assert not needs


def test_nothing_imports_a_function() -> None:
    files = [*PACKAGE.rglob("*.py"), *(ROOT / "local").rglob("*.py"), *(ROOT / "functions").rglob("*.py")]
    offenders = {
        str(path.relative_to(ROOT))
        for path in files
        for name in imports(path)
        if name.split(".")[0] in {"app", "functions"}
    }
    assert not offenders


def test_nothing_that_runs_on_aws_imports_what_is_local() -> None:
    files = [*PACKAGE.rglob("*.py"), *(ROOT / "functions").rglob("*.py")]
    offenders = {
        str(path)
        for path in files
        for name in imports(path)
        if name.split(".")[0] in {"local", "operations", "tests"}
    }
    assert not offenders


def test_a_lock_names_no_index() -> None:
    locks = [*ROOT.glob("requirements/*"), ROOT / "layers" / "bookkeeping" / "requirements.txt"]
    assert locks
    for lock in locks:
        assert "://" not in lock.read_text(), lock


# Words that once had to be learnt, each with the plain one beside it that took its place.
RIDDLES = {
    "Hold": "LaneHolder",
    "hold": "holder",
    "Desk": "CompanyTurn",
    "Sheet": "ReadyDocument",
    "sheet": "ready_document",
    "Stack": "ReadyBatch",
    "stacked": "in_batches",
    "Teller": "Publisher",
    "teller": "publisher",
    "tell": "publish",
    "told": "published",
    "tell_at_last": "publish_and_remove",
    "Asker": "XeroLookups",
    "Door": "CallbackAdapters",
    "door": "callback_adapters",
    "Edges": "PostingAdapters and the like",
    "edges": "adapters",
    "_Turn": "_Renewal",
    "shelf": "list_key",
    "shelves": "list_keys",
    "hand": "chunk",
    "free_hand": "release_chunk",
    "go_on": "continue_release",
    "looks_left": "passes_left",
    "stumble": "handle_failure",
    "recover": "note_answer",
    "stumbles": "failed_turns",
    "trouble": "faults",
    "part": "note_ended",
    "_part": "_end_at_xero",
    "ending": "to_end_at_xero",
    "_tend": "_renew_one",
    "whose": "identify",
    "narrow": "for_company",
    "nobodys": "of_no_company",
    "_Sent": "_PricedLine",
    "_sent": "_priced",
    "_best_sent": "_best_priced",
    "_Reckoned": "_Totals",
    "_reckoned": "_totals",
    "foreseen": "expected_total",
    "dead": "void_or_deleted",
    "understood": "parsed",
    "_meaning": "error_for",
    "bounded": "read_bounded",
}
WORDS_OF_OTHERS = {"hold", "part"}
"""A value of the setting `lock_date_action`, and a word in the platform's names of statuses."""


def identifiers(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        match node:
            case ast.Name():
                yield node.id
            case ast.Attribute():
                yield node.attr
            case ast.FunctionDef() | ast.ClassDef() | ast.AsyncFunctionDef():
                yield node.name
            case ast.arg() | ast.keyword() if node.arg:
                yield node.arg
            case ast.alias():
                yield from (node.asname or node.name).split(".")


def texts(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def logged_words(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("logger."):
            yield from (
                word
                for text in ast.walk(node)
                if isinstance(text, ast.Constant)
                for word in str(text.value).split()
            )


@pytest.mark.parametrize("path", [*PACKAGE.rglob("*.py"), *(ROOT / "functions").rglob("*.py")], ids=str)
def test_names_and_stored_keys_and_logs_are_plain_words(path: Path) -> None:
    assert not set(identifiers(path)) & RIDDLES.keys()
    assert not set(texts(path)) & (RIDDLES.keys() - WORDS_OF_OTHERS)
    # many of them are everyday words in a sentence; these are not
    assert not set(logged_words(path)) & {
        "desk",
        "sheet",
        "teller",
        "shelf",
        "shelves",
        "stumble",
        "stumbled",
    }
