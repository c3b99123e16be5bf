"""Accuracy against cost: V2 figure 5, V1 figures 4 (multiply-adds) and 5 (parameters)."""

import dataclasses
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from mobilenet.figures.run_groups import (
    TITLES,
    comparable_groups,
    dataset_title,
    describe_seeds,
    key_of,
)
from mobilenet.figures.style import MARKS, PUBLISHED, new_figure, styled
from mobilenet.papers.imagenet import SLIM_V1, SLIM_V2, V2_TABLE_4, Published, published_by
from mobilenet.runs.finished import Run
from mobilenet.runs.groups import Group

X_LABELS = {"madds": "Multiply-adds (millions)", "params": "Parameters (millions)"}

# The dataset whose accuracies the published ones can be compared with.
_IMAGENET = ("imagenet2012", "validation")
_OTHERS = {"ShuffleNet": "^", "NasNet-A": "D"}
# What moves a point.
_SIZES = ("model.width", "model.resolution")
# In what published weights of one source differ besides: some come with networks of other depths,
# and each is evaluated as its publisher does (scripts/reproduce_tradeoff.py).
_OF_WEIGHTS = ("model.head", "model.depth_multiplier", "weights.label", "weights.preprocessing")


@dataclasses.dataclass(frozen=True)
class Point:
    """One network: accuracies in percent, costs in millions."""

    family: str
    width: float
    resolution: int  # pixels
    madds: float
    params: float
    top1: float
    spread: float | None  # standard deviation over seeds; None for one seed and for published ones


@dataclasses.dataclass(frozen=True)
class Line:
    """Networks of one family that are joined: equal widths, or equal resolutions."""

    family: str
    label: str  # what they have in common
    points: tuple[Point, ...]  # cheapest first


def measured_points(runs: Sequence[Run]) -> list[Point]:
    """Returns the mean over seeds for every network, width and resolution.

    Raises:
      UserError: the runs differ in anything else, or are of several datasets.
    """
    return [_measured(group) for group in _groups(runs)]


def published_points() -> list[Point]:
    """Returns what slim's README files print for the widths and resolutions of the papers' figures.

    They have V2 1.3 besides, which V2 figure 5 has not.
    """
    return [
        Point(
            family=f"mobilenet_{row.family}",
            width=float(row.width),
            resolution=row.resolution or 0,
            madds=row.madds_millions,
            params=row.params_millions,
            top1=row.top1,
            spread=None,
        )
        for source in (SLIM_V1, SLIM_V2)
        for row in published_by(source)
        if row.width != "1.3" and row.madds_millions and row.params_millions and row.top1
    ]


def published_others() -> list[Published]:
    """Returns the networks of other families in V2 figure 5, with the numbers of V2 table 4."""
    return [row for row in published_by(V2_TABLE_4) if row.family in _OTHERS]


def join(points: Sequence[Point], x: str) -> list[Line]:
    """Joins the points of a family that differ in what moves them along x.

    Against multiply-adds those are the resolutions of one width, as in V2 figure 5. Parameters do
    not depend on the resolution, so there they are the widths of one resolution, as in V1 figure 5.
    Where that would join nothing, such as with a single resolution, it is the other way round.
    """

    def by_width(point: Point) -> str:
        return str(point.width)

    def by_resolution(point: Point) -> str:
        return str(point.resolution)

    lines = []
    for family in MARKS:
        own = [point for point in points if point.family == family]
        first, second = (by_width, by_resolution) if x == "madds" else (by_resolution, by_width)
        joined = _joined(own, first, x)
        lines += joined if len(joined) < len(own) else _joined(own, second, x)
    return lines


@styled
def draw(runs: Sequence[Run], *, x: str = "madds", published: bool = True) -> Figure:
    """Draws runs of V1, V2 or both, and what was published for ImageNet.

    The runs may be evaluations of published weights instead, all of one source.

    Published accuracies share the axes of runs on the validation images of ImageNet alone; beside
    runs on other data they have a panel of their own.

    Raises:
      UserError: as `measured_points`.
    """
    groups = _groups(runs)
    dataset = dataset_title(groups)
    data = (groups[0].runs[0].data_name, key_of(groups[0], "data.eval_split"))
    panels = 2 if published and data != _IMAGENET else 1
    figure = new_figure(
        8.6 if panels == 2 else 5.6,
        4.2,
        title=f"Top-1 against {X_LABELS[x].partition(' (')[0].lower()}",
        caption=_caption(groups, dataset, published),
    )
    axes = figure.subplots(1, panels, squeeze=False)[0]
    axes[0].set_title(f"{_whose(groups)}, {dataset}")
    _draw_points(axes[0], [_measured(group) for group in groups], x, labelled=True)
    if published:
        axes[-1].set_title("Published, ImageNet" if panels == 2 else f"{dataset}, and published")
        # On shared axes the labels of ours need the room.
        _draw_points(axes[-1], published_points(), x, published=True, labelled=panels == 2)
        for row in published_others():
            _draw_other(axes[-1], row, x)
    for axis in axes:
        _finish(axis, x)
    return figure


def _caption(groups: Sequence[Group], dataset: str, published: bool) -> str:
    several = any(len(group.runs) > 1 for group in groups)
    caption = (
        f"{_whose(groups)}: {dataset}, {_how_often(groups)}"
        f"{', bars: standard deviation' if several else ''}. Labels: what a line's networks have "
        "in common, width or resolution in pixels."
    )
    if not published:
        return caption
    return (
        f"{caption} Published for ImageNet: accuracy and cost as printed in tensorflow/models "
        "slim, nets/mobilenet_v1.md@02c04f4 and nets/mobilenet/README.md@0ba83cf; ShuffleNet and "
        f"NasNet-A: {V2_TABLE_4}."
    )


def _groups(runs: Sequence[Run]) -> list[Group]:
    return comparable_groups(
        runs, "tradeoff", _SIZES + (_OF_WEIGHTS if _is_published(runs) else ())
    )


def _is_published(runs: Sequence[Run | Group]) -> bool:
    """Whether all points are of weights that others trained and we evaluated."""
    return all("weights" in run.config for run in runs)


def _whose(groups: Sequence[Group]) -> str:
    if _is_published(groups):
        return f"Weights of {key_of(groups[0], 'weights.source')}"
    return "Ours"


def _how_often(groups: Sequence[Group]) -> str:
    if _is_published(groups):
        return "evaluated with this code"
    return describe_seeds(groups)


def _measured(group: Group) -> Point:
    spread = group.stddev("top1")
    return Point(
        family=key_of(group, "model.name"),
        width=key_of(group, "model.width"),
        resolution=key_of(group, "model.resolution"),
        madds=group.mean("madds") / 1e6,
        params=group.mean("params") / 1e6,
        top1=100 * group.mean("top1"),
        spread=None if spread is None else 100 * spread,
    )


def _joined(points: Sequence[Point], key: Callable[[Point], str], x: str) -> list[Line]:
    lines: dict[str, list[Point]] = {}
    for point in points:
        lines.setdefault(key(point), []).append(point)
    return [
        Line(points[0].family, label, tuple(sorted(line, key=lambda point: getattr(point, x))))
        for label, line in lines.items()
    ]


def _draw_points(
    axis: Axes, points: Sequence[Point], x: str, *, labelled: bool, published: bool = False
) -> None:
    for line in join(points, x):
        color = PUBLISHED if published else MARKS[line.family].color
        spreads = [point.spread or 0.0 for point in line.points]
        title = TITLES[line.family]
        axis.errorbar(
            [getattr(point, x) for point in line.points],
            [point.top1 for point in line.points],
            yerr=spreads if any(spreads) else None,
            color=color,
            marker=MARKS[line.family].marker,
            markerfacecolor="white" if published else color,
            linestyle=MARKS[line.family].dashes,
            linewidth=0.9 if published else 1.5,
            label=f"{title}, published" if published else title,
        )
        if labelled:
            _label(axis, line, x, points, color)


def _label(axis: Axes, line: Line, x: str, points: Sequence[Point], color: str) -> None:
    """Writes what the networks of a line share at its best one, where other lines are not.

    Against multiply-adds V2 lies above V1, so its labels go up, but for lines that end below
    cheaper networks. Against parameters the lines of V1 are apart at their left ends, and those of
    V2 at their right ends.
    """
    place, offset, side = line.points[-1], (4.0, -10.0), "left"
    if x == "params" and line.family == "mobilenet_v1":
        place, offset, side = line.points[0], (-5.0, -2.5), "right"
    elif x == "params":
        offset = (5.0, -2.5)
    elif line.family == "mobilenet_v2" and not any(
        other.top1 >= place.top1 and other.madds < place.madds for other in points
    ):
        offset, side = (-2.0, 6.0), "right"
    axis.annotate(
        line.label,
        (getattr(place, x), place.top1),
        xytext=offset,
        textcoords="offset points",
        ha=side,
        fontsize=7,
        color=color,
        # A halo keeps the text apart from lines without hiding their markers.
        path_effects=[withStroke(linewidth=2, foreground="white")],
    )


def _draw_other(axis: Axes, row: Published, x: str) -> None:
    cost = row.madds_millions if x == "madds" else row.params_millions
    assert cost is not None
    assert row.top1 is not None
    axis.plot(
        [cost],
        [row.top1],
        color=PUBLISHED,
        marker=_OTHERS[row.family],
        markerfacecolor="white",
        linestyle="",
        label=f"{row.family}, published",
    )


def _finish(axis: Axes, x: str) -> None:
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel(X_LABELS[x] + ", logarithmic")
    axis.set_ylabel("Top-1 accuracy (%)")
    axis.margins(x=0.1, y=0.06)
    handles, labels = axis.get_legend_handles_labels()
    entries = dict(zip(labels, handles, strict=True))
    order = sorted(entries, key=lambda label: ("published" in label, "Mobile" not in label))
    axis.legend([entries[label] for label in order], order, loc="lower right")
