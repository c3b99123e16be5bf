"""Accuracy and cost against the expansion factor t (V2 section 4; the paper shows no figure)."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from mobilenet.figures.curves import check_variants
from mobilenet.figures.run_groups import comparable_groups, describe, key_of, of_family
from mobilenet.figures.style import LOOKS, new_figure, styled
from mobilenet.runs.finished import Run
from mobilenet.runs.groups import Group


@dataclasses.dataclass(frozen=True)
class Point:
    """One network: accuracy in percent, cost in millions."""

    width: float
    expansion: float  # t
    madds: float
    top1: float  # mean over seeds
    spread: float | None  # standard deviation over seeds; None for one


def points(runs: Sequence[Run]) -> list[Point]:
    """Returns V2 runs by width and expansion factor, in that order.

    Raises:
      UserError: they have one expansion factor, or differ in something else.
    """
    return _points(_groups(runs))


@styled
def draw(runs: Sequence[Run]) -> Figure:
    """Draws top-1 and multiply-adds against t, one line for each width.

    Raises:
      UserError: as `points`.
    """
    groups = _groups(runs)
    found = _points(groups)
    bars = ", bars: standard deviation" if any(len(group.runs) > 1 for group in groups) else ""
    widths = list(dict.fromkeys(point.width for point in found))
    figure = new_figure(
        7.2, 3.6, title="Expansion factor (V2 section 4)", caption=f"{describe(groups)}{bars}."
    )
    accuracy, cost = figure.subplots(1, 2)
    for width, look in zip(widths, LOOKS, strict=False):
        own = [point for point in found if point.width == width]
        spreads = [point.spread or 0.0 for point in own]
        ts = [point.expansion for point in own]
        drawn: dict[str, Any] = {
            "color": look.color,
            "marker": look.marker,
            "linestyle": look.dashes,
        }
        accuracy.errorbar(
            ts,
            [point.top1 for point in own],
            yerr=spreads if any(spreads) else None,
            label=f"width {width:g}",
            **drawn,
        )
        cost.plot(ts, [point.madds for point in own], **drawn)
    accuracy.set_ylabel("Top-1 accuracy (%)")
    cost.set_ylabel("Multiply-adds (millions)")
    cost.set_ylim(bottom=0)
    for axis in (accuracy, cost):
        axis.set_xlabel("Expansion factor t")
        axis.set_xticks(sorted({point.expansion for point in found}))
    if len(widths) > 1:
        accuracy.legend(loc="lower right")
    return figure


def _groups(runs: Sequence[Run]) -> list[Group]:
    compared = ("model.expansion", "model.width")
    groups = comparable_groups(of_family(runs, "mobilenet_v2", "expansion"), "expansion", compared)
    factors = [f"{key_of(group, 'model.expansion'):g}" for group in groups]
    check_variants([], factors, "model.expansion", "expansion")
    return groups


def _points(groups: Sequence[Group]) -> list[Point]:
    return sorted(map(_point, groups), key=lambda point: (point.width, point.expansion))


def _point(group: Group) -> Point:
    spread = group.stddev("top1")
    return Point(
        width=key_of(group, "model.width"),
        expansion=key_of(group, "model.expansion"),
        madds=group.mean("madds") / 1e6,
        top1=100 * group.mean("top1"),
        spread=None if spread is None else 100 * spread,
    )
