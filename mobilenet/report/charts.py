"""The charts of the page, by Plotly: accuracy against cost, and curves over training."""

import html
import math
import statistics
from collections.abc import Sequence

import plotly.graph_objects as go

from mobilenet.errors import UserError
from mobilenet.figures.style import LOOKS, MARKS, PUBLISHED, Look
from mobilenet.papers.imagenet import read_published
from mobilenet.report.text import describe, format_millions, format_spread, label, network
from mobilenet.runs.finished import Run
from mobilenet.runs.groups import Group
from mobilenet.runtime.formatting import describe_name, format_duration

# More points than a curve has pixels only make the page heavy.
_MOST_POINTS = 300
# With more configurations than this, a click on the legend shows curves, one after the other.
_MOST_CURVES = 6
# Plotly's words for matplotlib's markers.
_SYMBOLS = {
    "o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down",
    "P": "cross",
}  # fmt: skip
_X = {"madds": "multiply-adds (millions)", "params": "parameters (millions)"}


def score_of(groups: Sequence[Group]) -> str:
    """Returns the name of the score of all groups.

    Raises:
      UserError: they have different ones.
    """
    names = sorted({group.score_name for group in groups})
    if len(names) > 1:
        raise UserError(
            f"These runs have different scores ({', '.join(names)}): make a page of each."
        )
    return names[0]


def draw_tradeoff(groups: Sequence[Group], *, show_published: bool) -> go.Figure:
    """Draws the score of every group against its cost; published accuracies are hollow.

    Groups that differ in nothing but the resolution are joined. Bars are one standard deviation
    over seeds. `show_published` draws what was published at once, else a click on its legend does.
    """
    score, figure = score_of(groups), go.Figure()
    lines: dict[str, list[Group]] = {}
    for group in groups:
        if math.isfinite(group.mean(score)):
            others = [(k, v) for k, v in group.overrides.items() if k != "model.resolution"]
            lines.setdefault(repr((group.runs[0].key("model.name"), others)), []).append(group)
    families = set()
    for line in lines.values():
        line = sorted(line, key=lambda group: group.mean("madds"))
        family = line[0].runs[0].key("model.name")
        look = MARKS.get(family[:12], LOOKS[-1])
        figure.add_scatter(
            x=[group.mean("madds") / 1e6 for group in line],
            y=[100 * group.mean(score) for group in line],
            error_y={"array": [100 * (group.stddev(score) or 0) for group in line]},
            name=html.escape(family),
            legendgroup=family,
            showlegend=family not in families,
            mode="lines+markers",
            text=[_hover(group, score) for group in line],
            hovertemplate="%{text}<extra></extra>",
            customdata=[[group.mean("params") / 1e6] for group in line],
            **_plotly(look),
        )
        families.add(family)
    _add_published(figure, show_published)
    costs = [[trace.x for trace in figure.data], [_params(trace) for trace in figure.data]]
    figure.update_layout(
        template="simple_white",
        height=480,
        yaxis_title=f"{describe_name(score)} (%)",
        xaxis={"type": "log", "title": _X["madds"]},
        updatemenus=[
            {
                "buttons": [
                    {"label": words, "method": "update", "args": [{"x": x}, {"xaxis.title": words}]}
                    for words, x in zip(_X.values(), costs, strict=True)
                ],
                "x": 1,
                "xanchor": "right",
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
    for number, group in enumerate(groups):
        look = LOOKS[number % len(LOOKS)]
        for run in group.runs:
            steps, values = _thinned(*run.curve(metric, split))
            figure.add_scatter(
                x=steps,
                y=[None if value is None else factor * value for value in values],
                name=html.escape(label(group)),
                legendgroup=str(number),
                showlegend=run is group.runs[0],
                visible=True if len(groups) <= _MOST_CURVES or number == 0 else "legendonly",
                mode="lines+markers" if len(steps) <= 30 else "lines",
                hovertemplate=f"seed {run.config['seed']}, %{{x:,}}: %{{y:.4g}}<extra></extra>",
                **_plotly(look),
            )
    unit = "" if metric == "loss" else " (%)"
    figure.update_layout(
        template="simple_white",
        height=420,
        xaxis={"title": "training steps", "tickformat": ","},
        yaxis_title=f"{describe_name(metric)}{unit}",
        showlegend=True,
        legend={"orientation": "h", "y": -0.25},
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
            name=f"{family}, published for ImageNet",
            visible=True if is_visible else "legendonly",
            mode="markers",
            marker={"symbol": f"{_SYMBOLS[look.marker]}-open", "color": PUBLISHED, "size": 8},
            text=[
                f"{family} {row.width}, {row.resolution} pixels, ImageNet<br>"
                f"multiply-adds {row.madds_millions:g} M, parameters {row.params_millions} M<br>"
                f"top-1 {row.top1:g} %<br>{html.escape(row.source)}"
                for row in rows
            ],
            hovertemplate="%{text}<extra></extra>",
            customdata=[[row.params_millions] for row in rows],
        )


def _params(trace: go.Scatter) -> list[float | None]:
    return [params for (params,) in trace.customdata]


def _hover(group: Group, score: str) -> str:
    values = [f"{100 * value:.2f}" for value in group.values(score)]
    return "<br>".join(
        [
            html.escape(describe(group) or network(group)),
            f"{describe_name(score)} {format_spread(group, score)} %, seeds: {', '.join(values)}",
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


def devices_of(run: Run) -> str:
    """Returns what a run ran on, because times mean nothing without it."""
    start = run.environment["starts"][-1]
    devices, cpu = start["devices"], start["cpu"]
    if devices["platform"] == "cpu":
        cores = cpu["cores"] or 0
        return f"{cores} core{'s' * (cores != 1)} of {cpu['model'] or 'an unknown processor'}"
    return f"{devices['count']} x {devices['kind']}"
