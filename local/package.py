"""What `sam build` made for AWS: its sizes, its libraries' licences, and a bill of materials (SBOM, CycloneDX)."""

from __future__ import annotations

import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.contrib.this.builders import this_component
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from local.expand import ROOT

BUILT = ROOT / ".aws-sam" / "build"
LAYER = BUILT / "BookkeepingLayer"
BILL = BUILT.parent / "sbom.json"
LARGEST = {"layer": 16_000_000, "function": 250_000}
"""Bytes, unzipped. A cold start reads all of it."""
FREE = ("MIT", "BSD", "Apache", "PSF", "MPL", "Mozilla")
"""Beginnings of the licences under which a library may be shipped beside code that is not open."""


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def licence(library: Distribution) -> str:
    """As the library's metadata tell it: the SPDX expression, else the classifier, else the old free text."""
    about = library.metadata
    classified = [
        each.rpartition(" :: ")[2]
        for each in about.get_all("Classifier", [])
        if each.startswith("License :: OSI Approved :: ")
    ]
    told = [*about.get_all("License-Expression", []), ", ".join(classified), *about.get_all("License", [])]
    return next(filter(None, told), "not told")


def bill(libraries: list[Distribution]) -> str:
    licences = LicenseFactory()
    made = Bom()
    made.metadata.component = program = Component(name="kornit-xero", type=ComponentType.APPLICATION)
    made.metadata.tools.components.add(this_component())
    parts = [
        Component(
            name=library.name,
            version=library.version,
            type=ComponentType.LIBRARY,
            licenses=[licences.make_from_string(licence(library))],
            purl=PackageURL("pypi", name=library.name.lower(), version=library.version),
        )
        for library in libraries
    ]
    made.components.update(parts)
    made.register_dependency(program, parts)
    return JsonV1Dot6(made).output_as_string(indent=1)


def main() -> int:
    libraries = sorted(distributions(path=[str(LAYER / "python")]), key=lambda library: library.name.lower())
    wrong: list[str] = []
    for folder in sorted(path for path in BUILT.iterdir() if path.is_dir()):
        kind = "layer" if folder == LAYER else "function"
        print(f"{folder.name:24} {size(folder) / 1000:10,.0f} KB of {LARGEST[kind] / 1000:,.0f}")
        if size(folder) > LARGEST[kind]:
            wrong.append(f"{folder.name} is too large")
    for library in libraries:
        print(f"{library.name} {library.version}: {licence(library)}")
        if not licence(library).startswith(FREE):
            wrong.append(f"{library.name} may not be shipped under this licence: {licence(library)}")
    BILL.write_text(bill(libraries), encoding="utf-8")
    print(f"bill of materials: {BILL.relative_to(ROOT)}")
    for problem in wrong:
        print(problem, file=sys.stderr)
    return 1 if wrong or not libraries else 0


if __name__ == "__main__":
    sys.exit(main())
