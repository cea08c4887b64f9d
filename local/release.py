"""The release: a hash over all that makes a version of a function.

That is the functions, the layer, the template, and the parameters in samconfig.toml. `make build` writes it into the
build, from where samconfig.toml has it handed over as the parameter `Release`. `sam build` empties the build first, so
that nothing can be deployed under a former build's release, which would publish nothing.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from local.expand import ROOT

SOURCES = ("functions", "layers", "template.yaml", "samconfig.toml")
WRITTEN = Path(".aws-sam") / "build" / "release.yaml"


def release(root: Path = ROOT) -> str:
    digest = hashlib.sha256()
    for source in SOURCES:
        for file in sorted((root / source).rglob("*")) if (root / source).is_dir() else [root / source]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(repr((file.relative_to(root).as_posix(), file.read_bytes())).encode())
    return digest.hexdigest()[:16]


def main() -> None:
    (ROOT / WRITTEN).write_text(f'Release: "{release()}"\n')


if __name__ == "__main__":
    main()
