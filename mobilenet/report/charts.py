"""The charts of the page, by Plotly: accuracy against cost, and curves over training."""

import html
import math
import statistics
import textwrap
from collections.abc import Sequence

import plotly.graph_objects as go

from mobilenet.figures.run_groups import TITLES
from mobilenet.figures.style import LOOKS, MARKS, PUBLISHED, Look
from mobilenet.papers.imagenet import Published, read_published
from mobilenet.report.wording import format_millions, short_label, width_of
from mobilenet.runs.groups import Group, common_score
from mobilenet.runtime.formatting import describe_name, format_duration

# More points than a curve has pixels only make the page heavy.
_MOST_POINTS = 300
# With more configurations than this, the best one is shown, and others at a click on the legend.
_MOST_CURVES = 6
# Plotly's words for matplotlib's markers.
_SYMBOLS = {
    "o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down",
    "P": "cross",
}  # fmt: skip
# What a name is broken at, so that a legend leaves its chart some room.
_LEGEND_WIDTH = 34
_TICKS = [digit * 10.0**power for power in range(-5, 6) for digit in (1, 2, 5)]
_X = {"madds": "multiply-adds (millions)", "params": "parameters (millions)"}


def draw_tradeoff(groups: Sequence[Group], *, show_published: bool) -> go.Figure:
    """Draws the score of every group against its cost; published accuracies are hollow.

    Groups that differ in nothing but the resolution are joined. Bars are one standard deviation
    over seeds. `show_published` draws what was published at once, else a click on its legend does.
    """
    score, figure = common_score(groups), go.Figure()
    lines: dict[str, list[tuple[int, Group]]] = {}
    for number, group in enumerate(groups, start=1):
        if math.isfinite(group.mean(score)):
            others = [(k, v) for k, v in group.overrides.items() if k != "model.resolution"]
            lines.setdefault(repr((_family(group), others)), []).append((number, group))
    families = set()
    for numbered in sorted(lines.values(), key=lambda line: _place(line[0][1])):
        numbered.sort(key=lambda pair: pair[1].mean("madds"))
        line = [group for _, group in numbered]
        family = _family(line[0])
        look = MARKS.get(family, LOOKS[-1])
        figure.add_scatter(
            x=[group.mean("madds") / 1e6 for group in line],
            y=[100 * group.mean(score) for group in line],
            error_y={"array": [100 * (group.stddev(score) or 0) for group in line]},
            name=_wrap(TITLES.get(family, family)),
            legendgroup=family,
            showlegend=family not in families,
            mode="lines+markers+text",
            # Accuracy rises with cost, so there is room to the lower right of a line's end.
            text=[""] * (len(line) - 1) + [width_of(line[-1])] if len(line) > 1 else None,
            textposition="bottom right",
            textfont={"color": look.color},
            hovertext=[_hover(number, group, score) for number, group in numbered],
            hovertemplate="%{hovertext}<extra></extra>",
            customdata=[[group.mean("params") / 1e6] for group in line],
            **_plotly(look),
        )
        families.add(family)
    _add_published(figure, show_published)
    costs = [[trace.x for trace in figure.data], [_params(trace) for trace in figure.data]]
    figure.update_layout(
        template="simple_white",
        height=480,
        margin={"t": 60, "b": 60, "l": 60, "r": 10},
        yaxis_title=f"{describe_name(score)} (%)",
        xaxis={"type": "log", "title": _X["madds"], "tickvals": _TICKS},
        updatemenus=[
            {
                "buttons": [
                    {
                        "label": words,
                        "method": "update",
                        "args": [{"x": x}, {"xaxis.title.text": words}],
                    }
                    for words, x in zip(_X.values(), costs, strict=True)
                ],
                # On the left, for the toolbar is on the right.
                "x": 0,
                "xanchor": "left",
                "y": 1.15,
            }
        ],
    )
    return figure


def draw_curves(groups: Sequence[Group], metric: str, split: str) -> go.Figure:
    """Draws a metric over the steps of every run, in the colour and the dashes of its group.

    A long curve becomes means of neighbouring reports; what is not finite is a gap.
    """
    figure, factor = go.Figure(), 1 if metric == "loss" else 100
    score = common_score(groups)
    means = [group.mean(score) for group in groups]
    best = max(range(len(groups)), key=lambda k: means[k] if math.isfinite(means[k]) else -math.inf)
    for number, group in enumerate(groups):
        is_visible = len(groups) <= _MOST_CURVES or number == best
        look = LOOKS[number % len(LOOKS)]
        for run in group.runs:
            steps, values = _thinned(*run.curve(metric, split))
            figure.add_scatter(
                x=steps,
                y=[None if value is None else factor * value for value in values],
                name=_wrap(f"{number + 1}: {short_label(group)}"),
                legendgroup=str(number),
                showlegend=run is group.runs[0],
                visible=True if is_visible else "legendonly",
                mode="lines+markers" if len(steps) <= 30 else "lines",
                hovertemplate=f"seed {int(run.config['seed'])}, step %{{x:,}}: %{{y:.4g}}"
                "<extra>%{fullData.name}</extra>",
                **_plotly(look),
            )
    unit = "" if metric == "loss" else " (%)"
    figure.update_layout(
        template="simple_white",
        height=420,
        margin={"t": 30, "b": 60, "l": 60, "r": 10},
        xaxis={"title": "training steps", "tickformat": ","},
        yaxis_title=f"{describe_name(metric)}{unit}",
        showlegend=True,
    )
    return figure


def _add_published(figure: go.Figure, is_visible: bool) -> None:
    for family, look in MARKS.items():
        rows = [
            row
            for row in read_published()
            if f"mobilenet_{row.family}" == family and row.top1 and row.madds_millions
        ]
        figure.add_scatter(
            x=[row.madds_millions for row in rows],
            y=[row.top1 for row in rows],
            name=_wrap(f"{TITLES[family]}, published for ImageNet"),
            legendgroup=f"{family}, published",
            visible=True if is_visible else "legendonly",
            mode="markers",
            marker={"symbol": f"{_SYMBOLS[look.marker]}-open", "color": PUBLISHED, "size": 8},
            hovertext=[_hover_published(row) for row in rows],
            hovertemplate="%{hovertext}<extra></extra>",
            customdata=[[row.params_millions] for row in rows],
        )


def _hover_published(row: Published) -> str:
    params = "" if row.params_millions is None else f", parameters {row.params_millions:g} M"
    title = TITLES[f"mobilenet_{row.family}"]
    return (
        f"Published: {title} {row.width}, {row.resolution} pixels, ImageNet<br>"
        f"top-1 {row.top1:g} %<br>multiply-adds {row.madds_millions:g} M{params}<br>"
        f"{_wrap(row.source, 2 * _LEGEND_WIDTH)}"
    )


def _family(group: Group) -> str:
    """Returns the family of a network, whose name may hold its width: mobilenet_v2_050."""
    name = group.runs[0].key("model.name")
    return next((family for family in MARKS if name.startswith(family)), name)


def _place(group: Group) -> int:
    families = [*MARKS]
    return families.index(_family(group)) if _family(group) in families else len(families)


def _wrap(text: str, width: int = _LEGEND_WIDTH) -> str:
    """Returns lines in Plotly's markup, in which the names of runs are no markup."""
    # Plotly knows no entity for a quotation mark.
    return "<br>".join(html.escape(line, quote=False) for line in textwrap.wrap(text, width))


def _params(trace: go.Scatter) -> list[float | None]:
    return [params for (params,) in trace.customdata]


def _hover(number: int, group: Group, score: str) -> str:
    values = [f"{100 * value:.2f}" for value in group.values(score)]
    return "<br>".join(
        [
            _wrap(f"{number}: {short_label(group)}", 2 * _LEGEND_WIDTH),
            f"{describe_name(score)} {group.spread(score)} %, seeds: {', '.join(values)}",
            f"multiply-adds {format_millions(group.mean('madds'))} M, parameters "
            f"{format_millions(group.mean('params'))} M",
            f"training {format_duration(group.mean('seconds'))}",
        ]
    )


def _plotly(look: Look) -> dict[str, dict[str, str | int]]:
    dash = "solid" if isinstance(look.dashes, str) else ",".join(f"{x}px" for x in look.dashes[1])
    if look.dashes == "--":
        dash = "dash"
    return {
        "line": {"color": look.color, "dash": dash, "width": 1},
        "marker": {"color": look.color, "symbol": _SYMBOLS[look.marker], "size": 8},
    }


def _thinned(steps: list[int], values: list[float]) -> tuple[list[int], list[float | None]]:
    """Returns means of so many neighbours that few points remain, each at its last step."""
    size = max(1, -(-len(steps) // _MOST_POINTS))
    starts = range(0, len(steps), size)
    parts = [values[start : start + size] for start in starts]
    means = [statistics.fmean(part) if all(map(math.isfinite, part)) else None for part in parts]
    return [steps[start : start + size][-1] for start in starts], means
