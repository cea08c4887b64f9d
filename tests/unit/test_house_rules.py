"""Rules of the house that a linter doesn't know: which module may know of what."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers" / "bookkeeping" / "bookkeeping"

PURE = {
    "answers",
    "connecting",
    "documents",
    "errors",
    "launching",
    "ledger",
    "orders",
    "organisation",
    "pacing",
    "problems",
    "settings",
}
USE_CASES = {
    "asking",
    "authorising",
    "holding",
    "intake",
    "judging",
    "posting",
    "preparing",
    "previewing",
    "refreshing",
    "releasing",
    "saving",
    "settling",
    "telling",
    "viewing",
}
EDGES = {
    "identity": "requests",
    "queues": "boto3",
    "secrets": "boto3",
    "tables": None,
    "tables.authorizations": "boto3",
    "tables.connections": "boto3",
    "tables.dynamodb": "boto3",
    "tables.lanes": "boto3",
    "tables.orders": "boto3",
    "tables.organisations": None,
    "tables.releases": "boto3",
    "tables.settings": "boto3",
    "xero": "requests",
}
"""The library each knows of the world outside. A folder's modules are one edge."""

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


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(path: Path) -> set[str]:
    """Every module a file imports, in full: `bookkeeping.orders`, `boto3.dynamodb.conditions`."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module
            found.add(node.module)
            if node.module == "bookkeeping":
                found |= {f"bookkeeping.{alias.name}" for alias in node.names}
    return found


def outside(module: str) -> set[str]:
    return {name.split(".")[0] for name in imports(file(module))}


def inside(module: str) -> set[str]:
    found = imports(file(module))
    return {name.split(".")[1] for name in found if name.startswith("bookkeeping.")}


def calls(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield ast.unparse(node.func)


def test_every_module_is_pure_a_use_case_or_an_edge() -> None:
    assert set(modules()) == PURE | USE_CASES | EDGES.keys()


@pytest.mark.parametrize("module", sorted(PURE))
def test_a_pure_module_knows_nothing_of_the_world(module: str) -> None:
    assert not outside(module) & OUTSIDE_WORLD
    assert inside(module) <= PURE
    asked = {call for call in calls(file(module)) if call in CLOCKS_AND_DICE or call.startswith("random.")}
    assert not asked


@pytest.mark.parametrize("module", sorted(USE_CASES))
def test_a_use_case_reaches_the_world_through_edges_only(module: str) -> None:
    assert not outside(module) & OUTSIDE_WORLD


@pytest.mark.parametrize("module", sorted(EDGES))
def test_an_edge_imports_no_use_case_and_no_other_edge(module: str) -> None:
    assert inside(module) <= PURE | {module.partition(".")[0]}


@pytest.mark.parametrize("module", modules())
def test_only_its_edges_know_a_library(module: str) -> None:
    libraries = {"boto3" if name == "botocore" else name for name in outside(module)}
    assert libraries & {"boto3", "requests"} <= {EDGES.get(module)}


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
        str(path) for path in files for name in imports(path) if name.split(".")[0] in {"local", "tests"}
    }
    assert not offenders


def test_a_lock_names_no_index() -> None:
    locks = [*ROOT.glob("requirements/*"), ROOT / "layers" / "bookkeeping" / "requirements.txt"]
    assert locks
    for lock in locks:
        assert "://" not in lock.read_text(), lock
