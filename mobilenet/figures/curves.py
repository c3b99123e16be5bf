"""Accuracy during training, one line for each variant: what V2 figures 6a and 6b share."""

import dataclasses
import statistics
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from mobilenet.errors import UserError
from mobilenet.figures.run_groups import describe
from mobilenet.figures.style import LOOKS, Look, new_figure, styled
from mobilenet.runs.groups import Group

# The right panel shows this last share of the training, where the variants differ least.
_LAST = 1 / 2


@dataclasses.dataclass(frozen=True)
class Curve:
    """Top-1 in percent of the evaluations that all seeds of a variant have in common."""

    label: str
    steps: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]  # the worst seed
    high: tuple[float, ...]  # the best seed
    seeds: int


def gather(group: Group, label: str) -> Curve:
    """Returns the evaluation curve of a group: mean, minimum and maximum over its seeds.

    Raises:
      UserError: the runs share no evaluated step.
    """
    curves = [dict(zip(*run.curve("top1", "eval"), strict=True)) for run in group.runs]
    steps = sorted(set.intersection(*map(set, curves)))
    if not steps:
        raise UserError(
            f"The runs {', '.join(run.name for run in group.runs)} have no evaluation at a common "
            "step: name runs with the metrics of their evaluations."
        )
    values = [[100 * curve[step] for curve in curves] for step in steps]
    return Curve(
        label=label,
        steps=tuple(steps),
        mean=tuple(map(statistics.fmean, values)),
        low=tuple(map(min, values)),
        high=tuple(map(max, values)),
        seeds=len(curves),
    )


@styled
def draw_curves(groups: Sequence[Group], label: Callable[[Group], str], *, title: str) -> Figure:
    """Draws one line for each group: the whole training, and its last half enlarged.

    Raises:
      UserError: as `gather`.
    """
    curves = [gather(group, label(group)) for group in groups]
    several = any(curve.seeds > 1 for curve in curves)
    spread = " Lines: mean, bands: minimum to maximum over seeds." if several else ""
    caption = f"{describe(groups)}.{spread} Evaluated on the whole split, without augmentation."
    figure = new_figure(7.6, 3.9, title=title, caption=caption)
    whole, end = figure.subplots(1, 2)
    for curve, look in zip(curves, LOOKS, strict=False):
        _draw_curve(whole, curve, look)
        _draw_curve(end, curve, look)
    whole.set_title("Whole training")
    end.set_title("Last half")
    last = max(curve.steps[-1] for curve in curves)
    start = last * (1 - _LAST)
    seen = [
        value
        for curve in curves
        for step, low, high in zip(curve.steps, curve.low, curve.high, strict=True)
        if step >= start
        for value in (low, high)
    ]
    margin = 0.06 * (max(seen) - min(seen)) or 1.0
    end.set_xlim(start, last + 0.02 * (last - start))
    end.set_ylim(min(seen) - margin, max(seen) + margin)
    for axis in (whole, end):
        axis.set_xlabel("Training steps")
        axis.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
        axis.set_ylabel("Top-1 accuracy (%)")
    whole.legend(loc="lower right")
    return figure


def check_variants(groups: Sequence[Group], values: Sequence[str], key: str, figure: str) -> None:
    """Raises UserError unless the groups have at least two values of a key."""
    if len(set(values)) < 2:
        raise UserError(
            f"All runs have {key}={values[0]}, and {figure} compares several values: name runs of "
            f"more, such as those of configs/sweeps/{figure}.py."
        )
    if len(groups) > len(LOOKS):
        raise UserError(
            f"There are {len(groups)} variants, and {figure} has room for {len(LOOKS)}: name fewer."
        )


def _draw_curve(axis: Axes, curve: Curve, look: Look) -> None:
    axis.plot(
        curve.steps,
        curve.mean,
        color=look.color,
        linestyle=look.dashes,
        marker=look.marker,
        markevery=max(1, len(curve.steps) // 8),
        label=curve.label,
    )
    if curve.seeds > 1:
        axis.fill_between(
            curve.steps, curve.low, curve.high, color=look.color, alpha=0.18, linewidth=0
        )
