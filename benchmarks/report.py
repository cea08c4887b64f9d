"""The figures of a run as tables on the terminal, and as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.prices import AS_OF, PRICE, REGION
from benchmarks.this_project import CEILING

Results = Mapping[str, Any]
OURS, OTHERS, LIMIT = "#1f6f8b", "#b8bcc2", "#c0392b"
COLOURS = ("#1f6f8b", "#6fb1c7", "#33414e", "#d98e32", "#8a5a83", "#6b8e4e", "#b8bcc2")


def lines(results: Results) -> Iterator[str]:
    yield from _beside_others(results)
    yield from _costs(results)
    yield from _many_at_once(results)


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    others = (f"{cell:>{width}}" for cell, width in zip(cells[1:], widths[1:], strict=True))
    return f"{cells[0]:<{widths[0]}}{''.join(others)}"


def _pace(name: str, calm: Results, rough: Results | None) -> list[str]:
    def kept(figures: Results | None) -> str:
        return f"{figures['lost']:,}/{figures['doubled']:,}" if figures else "-"

    return [
        name,
        f"{calm['orders']:,}",
        f"{calm['orders a minute']:,.0f}",
        f"{calm['share of the ceiling']:.1%}",
        f"{calm['calls an order']:.3f}",
        f"{calm['share of 429']:.1%}",
        kept(calm),
        kept(rough),
        f"{rough['share of the ceiling']:.1%}" if rough else "-",
    ]


def _beside_others(results: Results) -> Iterator[str]:
    yield f"One organisation, orders all at once. The ceiling is {CEILING:,} documents a minute."
    yield ""
    widths = (45, 9, 9, 9, 9, 7, 9, 9, 9)
    yield _row(("", "", "orders", "share of", "calls", "share", "lost/", "at 2 %", "at 2 %"), widths)
    yield _row(
        ("", "orders", "a minute", "ceiling", "an order", "of 429", "doubled", "dropped", "dropped"), widths
    )
    for name, pair in results.get("side by side", {}).items():
        if "calm" in pair:
            yield _row(_pace(name, pair["calm"], pair.get("dropped")), widths)
    yield ""


def _costs(results: Results) -> Iterator[str]:
    yield f"What an order of this project uses, and dollars a million orders ({REGION}, {AS_OF})."
    yield ""
    runs = results.get("costs", {})
    widths = (34, *(17,) * len(runs))
    yield _row(("", *runs), widths)

    def row(name: str, digits: int = 2, of: Any = lambda used, name: used[name]) -> str:
        return _row((name, *(f"{of(run['used'], name):,.{digits}f}" for run in runs.values())), widths)

    for name in PRICE:
        yield row(name, 3)
    for name in ("Lambda ms computing", "Lambda ms waiting"):
        yield row(name, 1)
    yield row("requests to AWS", 2, lambda used, _: sum(used["AWS requests"].values()))
    yield row("dollars a million", 2)
    for part in PRICE:
        yield row(f"  for {part}", 2, lambda used, _, part=part: used["dollars a million by"][part])
    yield ""


def _many_at_once(results: Results) -> Iterator[str]:
    for run in results.get("many companies", {}).values():
        yield (
            f"{run['companies']} companies with an order a minute each, {run['invocations at a time']} invocations at"
            f" a time: queue to books p50 {run['p50']:.1f} s, p95 {run['p95']:.1f} s"
        )
    if quiet := results.get("a quiet order"):
        yield (
            f"A quiet order, in real processes on this machine: queue to books p50 {quiet['p50']:.1f} s,"
            f" p95 {quiet['p95']:.1f} s of {quiet['orders']}; the very first one {quiet['first']:.1f} s"
        )
    for run in results.get("sweeps", {}).values():
        yield f"A sweep with {run['due lanes']:,} due lanes: {run['AWS calls']:,} AWS calls"
    yield ""


def picture(results: Results, path: Path) -> None:
    """Pace beside the ceiling, and what a million orders cost."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 4.6), layout="constrained")
    pairs = {name: pair for name, pair in results.get("side by side", {}).items() if "Tracked" not in name}
    names = list(reversed(pairs))
    paces = [pairs[name]["calm"]["orders a minute"] for name in names]
    colours = [OURS if name.startswith("this project") else OTHERS for name in names]
    bars = left.barh(names, paces, color=colours)
    left.bar_label(bars, [f"{pace:,.0f}" for pace in paces], padding=3)
    left.axvline(CEILING, color=LIMIT, linestyle="--", label=f"57 calls of 50 documents: {CEILING:,}")
    left.set_title("Orders a minute into one organisation")
    left.set_xlim(0, CEILING * 1.12)
    left.legend(loc="center right")

    rhythms = list(results.get("costs", {}))
    bottoms = [0.0] * len(rhythms)
    right.set_prop_cycle(color=COLOURS)
    for part in PRICE:
        heights = [results["costs"][rhythm]["used"]["dollars a million by"][part] for rhythm in rhythms]
        right.bar(
            [rhythm.replace(" a", "\na", 1) for rhythm in rhythms],
            heights,
            bottom=bottoms,
            label=part,
            width=0.6,
        )
        bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]
    for place, height in enumerate(bottoms):
        right.text(place, height, f" {height:.0f} $", ha="center", va="bottom")
    right.tick_params(axis="x", labelsize="small")
    right.set_title("Dollars on AWS for a million orders of this project")
    right.set_ylim(0, max(bottoms, default=1) * 1.12)
    right.legend(loc="upper left", fontsize="small")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
