"""The functions and their layer, built for this machine's Python by the recipes `sam build` uses."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from local.expand import ROOT, source

FOLDER = Path(".local") / "build"


def layer_folder(root: Path, layer: str) -> Path:
    return root / FOLDER / layer


def task_folder(root: Path, function: str) -> Path:
    return root / FOLDER / function


def build(root: Path = ROOT) -> None:
    """Bring the artefacts up to date. Needs the network only when a layer's lock has changed."""
    for name, resource in source(root)["Resources"].items():
        properties = resource.get("Properties", {})
        match resource["Type"]:
            case "AWS::Serverless::LayerVersion":
                _build_layer(root, name, root / properties["ContentUri"])
            case "AWS::Serverless::Function":
                _build_function(
                    root, name, root / properties["CodeUri"], root / resource["Metadata"]["ContextPath"]
                )
    (root / FOLDER / ".ready").touch()


def _build_layer(root: Path, name: str, content: Path) -> None:
    artefact = layer_folder(root, name)
    installed = root / FOLDER / f".{name}.lock"
    lock = (content / "requirements.txt").read_text() + sys.version
    if not installed.exists() or installed.read_text() != lock:
        shutil.rmtree(artefact, ignore_errors=True)
        _make(content / "Makefile", content, artefact, "libraries", f"TARGET=--python {sys.executable}")
        installed.write_text(lock)
    _make(content / "Makefile", content, artefact, "package")


def _build_function(root: Path, name: str, code: Path, context: Path) -> None:
    artefact = task_folder(root, name)
    shutil.rmtree(artefact, ignore_errors=True)
    _make(context / "Makefile", code, artefact, f"build-{name}")


def _make(makefile: Path, folder: Path, artefact: Path, *words: str) -> None:
    artefact.mkdir(parents=True, exist_ok=True)
    # uv is in the same environment as this Python
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # a make above this one must not hand its own flags down
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    subprocess.run(
        ["make", "--silent", "--makefile", str(makefile), *words, f"ARTIFACTS_DIR={artefact}"],
        cwd=folder,
        env=environment | {"PATH": path},
        check=True,
    )


if __name__ == "__main__":
    build()
