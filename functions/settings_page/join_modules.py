"""Joins the page's modules into one script: `python3 join_modules.py static/page.js <script>`. Run by the build.

Each module keeps a scope of its own, so that two of them may use the same name for different things. What the modules
don't use is not understood but refused, by file and line: default, renamed and star imports, `export { … }`, exports
that change later, and circles.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

IMPORT = re.compile(r'import \{ (\w+(?:, \w+)*) \} from "\./(\w+)\.js";')
EXPORT = re.compile(r"export ((?:const|class|function|async function) (\w+)\b.*)")
NOT_UNDERSTOOD = re.compile(r"\s*(?:import|export)\b(?!\s*:)|.*\bimport\s*[.(]|await\b")
"""Another import or export, also one inside a line, and a module that others would have to wait for."""


class NotJoined(Exception):
    """The modules use something that is not understood here."""


def joined(entry: Path) -> str:
    """The entry module with all that it imports, as one module."""
    exports: dict[str, set[str]] = {}
    return "".join(_with_needed(entry, exports, (entry.stem,)))


def _with_needed(path: Path, exports: dict[str, set[str]], on_the_way: tuple[str, ...]) -> Iterator[str]:
    """A module, after those it needs that are not in the script yet."""
    is_entry = len(on_the_way) == 1
    offered: set[str] = set()
    lines: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        where = f"{path.name}:{number}"
        if found := IMPORT.fullmatch(line):
            names, module = found[1].split(", "), found[2]
            if module in on_the_way:
                raise NotJoined(f"{where}: the modules import each other in a circle: {line}")
            if module not in exports:
                yield from _with_needed(path.with_name(f"{module}.js"), exports, (*on_the_way, module))
            if unknown := set(names) - exports[module]:
                raise NotJoined(f"{where}: {module}.js does not export {', '.join(sorted(unknown))}")
            lines.append(f"const {{ {found[1]} }} = ${module};")
        elif (found := EXPORT.fullmatch(line)) and not is_entry:
            offered.add(found[2])
            lines.append(found[1])
        elif NOT_UNDERSTOOD.match(line) and not (is_entry and line.startswith("await ")):
            raise NotJoined(f"{where}: the join of the modules does not understand this: {line.strip()}")
        else:
            lines.append(line)
    exports[path.stem] = offered
    text = "\n".join(lines)
    if is_entry:
        yield f"// --- {path.name} ---\n{text}\n"
    else:
        given = ", ".join(sorted(offered))
        yield f"// --- {path.name} ---\nconst ${path.stem} = (() => {{\n{text}\nreturn {{ {given} }};\n}})();\n\n"


if __name__ == "__main__":
    entry, script = map(Path, sys.argv[1:])
    try:
        script.write_text(joined(entry), encoding="utf-8")
    except NotJoined as problem:
        sys.exit(str(problem))
