"""The functions and their layer, built for this machine's Python by the recipes `sam build` uses."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from local.expand import ROOT, source

FOLDER = Path(".local") / "build"


def layer_folder(root: Path, layer: str) -> Path:
    return root / FOLDER / layer


def task_folder(root: Path, function: str) -> Path:
    return root / FOLDER / function


def build(root: Path = ROOT) -> None:
    """Bring the artefacts up to date. Needs the network only when a layer's lock has changed.

    What is up to date stays as it is, because another system may be running it.
    """
    (root / FOLDER).mkdir(parents=True, exist_ok=True)
    with (root / FOLDER / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name, resource in source(root)["Resources"].items():
            properties = resource.get("Properties", {})
            match resource["Type"]:
                case "AWS::Serverless::LayerVersion":
                    _build_layer(root, name, root / properties["ContentUri"])
                case "AWS::Serverless::Function":
                    context = root / resource["Metadata"]["ContextPath"]
                    _build_function(root, name, root / properties["CodeUri"], context / "Makefile")
    (root / FOLDER / ".ready").touch()


def _build_layer(root: Path, name: str, content: Path) -> None:
    artefact, makefile = layer_folder(root, name), content / "Makefile"
    libraries = _digest([makefile, content / "requirements.txt"])
    if _is_new(root, f"{name}.libraries", libraries):
        shutil.rmtree(artefact, ignore_errors=True)
        _make(makefile, content, artefact, "libraries", f"TARGET=--python {sys.executable}")
        _note(root, f"{name}.libraries", libraries)
    package = _digest([content], libraries)
    if _is_new(root, f"{name}.package", package):
        _make(makefile, content, artefact, "package")
        _note(root, f"{name}.package", package)


def _build_function(root: Path, name: str, code: Path, makefile: Path) -> None:
    digest = _digest([makefile, code])
    if _is_new(root, name, digest):
        artefact = task_folder(root, name)
        shutil.rmtree(artefact, ignore_errors=True)
        _make(makefile, code, artefact, f"build-{name}")
        _note(root, name, digest)


def _is_new(root: Path, part: str, digest: str) -> bool:
    noted = root / FOLDER / f".{part}"
    return not noted.exists() or noted.read_text() != digest


def _note(root: Path, part: str, digest: str) -> None:
    (root / FOLDER / f".{part}").write_text(digest)


def _digest(paths: Iterable[Path], *more: str) -> str:
    """A hash of the files, of the files in the folders, and of this Python's version."""
    digest = hashlib.sha256(repr((sys.version, *more)).encode())
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(repr((str(file.relative_to(path)), file.read_bytes())).encode())
    return digest.hexdigest()


def _make(makefile: Path, folder: Path, artefact: Path, *words: str) -> None:
    artefact.mkdir(parents=True, exist_ok=True)
    # uv is in the same environment as this Python
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # A make that started this program must not pass its flags on.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    subprocess.run(
        ["make", "--silent", "--makefile", str(makefile), *words, f"ARTIFACTS_DIR={artefact}"],
        cwd=folder,
        env=environment | {"PATH": path},
        check=True,
    )


if __name__ == "__main__":
    build()
