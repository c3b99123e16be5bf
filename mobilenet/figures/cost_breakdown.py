"""V1 table 2: where multiply-adds and parameters are, by the type of layer, for V1 and V2."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mobilenet.figures.run_groups import TITLES
from mobilenet.figures.style import MARKS, PUBLISHED, new_figure, styled
from mobilenet.networks.architecture import Architecture, mobilenet_v1, mobilenet_v2
from mobilenet.papers.printed import V1_TABLE_2
from mobilenet.papers.tables import layer_shares

# V1 table 2 in percent: (multiply-adds, parameters). The 1.19 is probably a misprint of 1.91, which
# the architecture has and with which the column adds up to 100.
PUBLISHED_V1 = [(float(row.madds.printed), float(row.params.printed)) for row in V1_TABLE_2]


@styled
def draw() -> Figure:
    """Draws V1 and V2 of width 1.0 at 224 pixels with 1000 classes, and V1's table 2."""
    figure = new_figure(
        7.6,
        3.7,
        title="Cost by type of layer, width 1.0 at 224 pixels (V1 table 2)",
        caption="Counted from the architectures, 1000 classes; parameters of kernels alone, "
        "without normalisation and biases. Hollow markers: V1 table 2 as printed, where 1.19 % for "
        "conv 3x3 is probably a misprint of 1.91.",
    )
    networks = (mobilenet_v1(), mobilenet_v2())
    panels = figure.subplots(1, 2, sharey=True)
    for column, (axis, quantity) in enumerate(
        zip(panels, ("multiply-adds", "parameters"), strict=True)
    ):
        _draw_shares(axis, networks, column)
        axis.set_xlabel(f"Share of {quantity} (%)")
    panels[0].set_yticks(range(len(V1_TABLE_2)), [row.label for row in V1_TABLE_2])
    panels[0].invert_yaxis()
    panels[1].legend(loc="center right")
    return figure


def _draw_shares(axis: Axes, networks: Sequence[Architecture], column: int) -> None:
    for shift, network in zip((-0.19, 0.19), networks, strict=True):
        shares = [float(pair[column]) for pair in layer_shares(network, "kernels").values()]
        bars = axis.barh(
            [place + shift for place in range(len(shares))],
            shares,
            height=0.36,
            color=MARKS[network.name].color,
            hatch="" if shift < 0 else "///",
            edgecolor="white",
            label=TITLES[network.name],
        )
        axis.bar_label(bars, [f"{share:.2f}" for share in shares], padding=7, fontsize=7.5)
    axis.plot(
        [pair[column] for pair in PUBLISHED_V1],
        [place - 0.19 for place in range(len(PUBLISHED_V1))],
        color=PUBLISHED,
        marker="D",
        markerfacecolor="white",
        linestyle="",
        clip_on=False,
        label="MobileNetV1, published",
    )
    axis.set_xlim(0, 112)
    axis.grid(visible=False, axis="y")
