"""The page's modules are joined into one script by the build. What the join does not understand it refuses by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from functions.settings_page.join_modules import NotJoined, joined

PAGE = Path(__file__).parents[2] / "functions" / "settings_page"
MODULES = sorted((PAGE / "static").glob("*.js"))


def written(folder: Path, **modules: str) -> Path:
    for name, text in modules.items():
        (folder / f"{name}.js").write_text(text, encoding="utf-8")
    return folder / "page.js"


def test_every_module_of_the_page_is_in_the_script_once_and_after_what_it_imports() -> None:
    script = joined(PAGE / "static" / "page.js")
    places = {path.stem: script.index(f"// --- {path.name} ---") for path in MODULES}
    assert script.count(".js ---") == len(MODULES)
    for path in MODULES:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("import "):
                assert places[line.split('"./')[1].removesuffix('.js";')] < places[path.stem]


def test_the_script_imports_and_exports_nothing() -> None:
    script = joined(PAGE / "static" / "page.js")
    assert [line for line in script.splitlines() if line.startswith(("import", "export"))] == []


def test_modules_keep_scopes_of_their_own(tmp_path: Path) -> None:
    page = written(
        tmp_path,
        one="const limit = 1;\nexport const one = () => limit;\n",
        two="const limit = 2;\nexport async function two() {}\n",
        page='import { one } from "./one.js";\nimport { two } from "./two.js";\nawait two(one());\n',
    )
    assert joined(page).splitlines() == [
        "// --- one.js ---",
        "const $one = (() => {",
        "const limit = 1;",
        "const one = () => limit;",
        "return { one };",
        "})();",
        "",
        "// --- two.js ---",
        "const $two = (() => {",
        "const limit = 2;",
        "async function two() {}",
        "return { two };",
        "})();",
        "",
        "// --- page.js ---",
        "const { one } = $one;",
        "const { two } = $two;",
        "await two(one());",
    ]


@pytest.mark.parametrize(
    "line",
    [
        'import one from "./one.js";',
        'import { one as other } from "./one.js";',
        'import * as one from "./one.js";',
        'import "./one.js";',
        'import { one } from "https://example.com/one.js";',
        'import { one } from "./one.js"; // why',
        'const late = import("./one.js");',
        "const here = import.meta.url;",
        "export default 1;",
        "export let one = 1;",
        "export const { one } = two;",
        "export { one };",
        'export * from "./one.js";',
        "await one();",
    ],
)
def test_what_the_join_does_not_understand_is_refused_by_file_and_line(tmp_path: Path, line: str) -> None:
    page = written(
        tmp_path,
        one="export const one = 1;\n",
        two=f"// a comment\n{line}\n",
        page='import { two } from "./two.js";\n',
    )
    with pytest.raises(NotJoined, match=r"^two\.js:2: the join of the modules does not understand this: "):
        joined(page)


def test_a_name_that_is_not_exported_is_refused(tmp_path: Path) -> None:
    page = written(tmp_path, one="const one = 1;\n", page='import { one } from "./one.js";\n')
    with pytest.raises(NotJoined, match=r"^page\.js:1: one\.js does not export one$"):
        joined(page)


def test_modules_in_a_circle_are_refused(tmp_path: Path) -> None:
    page = written(
        tmp_path,
        one='import { two } from "./two.js";\nexport const one = 1;\n',
        two='import { one } from "./one.js";\nexport const two = 2;\n',
        page='import { one } from "./one.js";\n',
    )
    with pytest.raises(NotJoined, match=r"^two\.js:1: the modules import each other in a circle: "):
        joined(page)


def test_the_build_ends_with_the_refusal(tmp_path: Path) -> None:
    page = written(tmp_path, page="export default 1;\n")
    command = [sys.executable, str(PAGE / "join_modules.py"), str(page), str(tmp_path / "script.js")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith(
        "page.js:1: the join of the modules does not understand this: export default"
    )
    assert not (tmp_path / "script.js").exists()
