"""V1 table 2: where multiply-adds and parameters are, by the type of layer, for V1 and V2."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mobilenet.figures.run_groups import TITLES
from mobilenet.figures.style import FAMILIES, PUBLISHED, new_figure, styled
from mobilenet.networks.architecture import Architecture, mobilenet_v1, mobilenet_v2
from mobilenet.networks.cost import LayerCost, walk

# V1 table 2 in percent: (multiply-adds, parameters). The 1.19 is probably a misprint of 1.91, which
# the architecture has and with which the column adds up to 100.
PUBLISHED_V1 = {
    "conv 1x1": (94.86, 74.59),
    "depthwise 3x3": (3.06, 1.06),
    "conv 3x3": (1.19, 0.02),
    "dense": (0.18, 24.33),
}


def layer_shares(architecture: Architecture) -> dict[str, tuple[float, float]]:
    """Returns percent of the multiply-adds and of the parameters by the type of layer.

    Parameters are those of the kernels alone: without normalisation and biases the shares of V1 are
    those of its table 2.
    """
    totals: dict[str, list[int]] = {kind: [0, 0] for kind in PUBLISHED_V1}
    for layer in walk(architecture):
        if layer.operator != "pool":
            total = totals[_kind(layer)]
            total[0] += layer.madds
            total[1] += _kernel_size(layer)
    madds, params = (sum(column) for column in zip(*totals.values(), strict=True))
    return {kind: (100 * a / madds, 100 * b / params) for kind, (a, b) in totals.items()}


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
    panels[0].set_yticks(range(len(PUBLISHED_V1)), list(PUBLISHED_V1))
    panels[0].invert_yaxis()
    panels[1].legend(loc="center right")
    return figure


def _draw_shares(axis: Axes, networks: Sequence[Architecture], column: int) -> None:
    for shift, network in zip((-0.19, 0.19), networks, strict=True):
        shares = [pair[column] for pair in layer_shares(network).values()]
        bars = axis.barh(
            [place + shift for place in range(len(shares))],
            shares,
            height=0.36,
            color=FAMILIES[network.name],
            hatch="" if shift < 0 else "///",
            edgecolor="white",
            label=TITLES[network.name],
        )
        axis.bar_label(bars, [f"{share:.2f}" for share in shares], padding=7, fontsize=7.5)
    axis.plot(
        [pair[column] for pair in PUBLISHED_V1.values()],
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


def _kind(layer: LayerCost) -> str:
    if layer.operator == "dense":
        return "dense"
    return f"{layer.operator} {layer.kernel_size}x{layer.kernel_size}"


def _kernel_size(layer: LayerCost) -> int:
    # A convolution has a scale and an offset for each output channel, the classifier a bias.
    per_channel = 1 if layer.operator == "dense" else 2
    return layer.params - per_channel * layer.output_shape[-1]
