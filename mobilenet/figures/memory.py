"""V2 table 3: what activations take of memory, V1 against V2, from the architectures alone."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from mobilenet.figures.run_groups import TITLES
from mobilenet.figures.style import MARKS, PUBLISHED, new_figure, styled
from mobilenet.networks.architecture import Architecture, mobilenet_v1, mobilenet_v2
from mobilenet.networks.cost import LayerCost, walk
from mobilenet.papers.printed import V2_TABLE_3
from mobilenet.papers.tables import largest_activations

# V2 table 3 has 16-bit activations. Its "Kb" are thousands of bytes.
_BYTES = 2
_KB = 1000

# V2 table 3: KB by the side of the feature map. Some do not follow from the architectures
# (`papers/printed.py` says which, and why).
PUBLISHED_KB = {
    "mobilenet_v1": {row.size: int(row.v1[1].printed) for row in V2_TABLE_3 if row.size},
    "mobilenet_v2": {row.size: int(row.v2[1].printed) for row in V2_TABLE_3 if row.size},
}


@dataclasses.dataclass(frozen=True)
class BlockMemory:
    """Memory of one block for one image, KB."""

    name: str
    by_layer: float  # the most that one of its layers needs: input, output, waiting shortcut
    as_one: float  # input and output of the block alone, its inner tensors computed in pieces


def block_memory(architecture: Architecture) -> list[BlockMemory]:
    """Returns the memory of every block up to the head by the simplified bound of V2 section 5.1.

    `by_layer` takes each convolution for an operation of its own, `as_one` the whole block, whose
    inner tensor is then cut into so many pieces that none of them counts. That works for inverted
    residuals only, whose inner layers are per channel: in other blocks both are equal.
    """
    found = []
    for name, layers in _by_block(architecture).items():
        if name in ("pool", "logits"):
            continue
        by_layer = max(layer.activations for layer in layers)
        ends = _values(layers[0].input_shape) + _values(layers[-1].output_shape)
        is_inverted = layers[-1].name.endswith("/project")
        found.append(
            BlockMemory(
                name, _BYTES * by_layer / _KB, _BYTES * (ends if is_inverted else by_layer) / _KB
            )
        )
    return found


@styled
def draw() -> Figure:
    """Draws V1 and V2 of width 1.0 at 224 pixels: by feature map, and by block."""
    networks = (mobilenet_v1(), mobilenet_v2())
    figure = new_figure(
        8.6,
        4.0,
        title="Activation memory at 224 pixels, width 1.0 (V2 table 3, section 5.1)",
        caption="16-bit activations of one image, KB of 1000 bytes, counted from the "
        "architectures. Left: largest output of a block; hollow markers are V2 table 3 as printed, "
        "which lists rows of V2 by the size of their inputs. Right: simplified bound of V2 section "
        "5.1, input plus output of each operation, for the stem (0), every block and V2's head.",
    )
    sizes, blocks = figure.subplots(1, 2, gridspec_kw={"width_ratios": (1, 1.25)})
    _draw_sizes(sizes, networks)
    _draw_blocks(blocks, networks)
    return figure


def _draw_sizes(axis: Axes, networks: Sequence[Architecture]) -> None:
    axis.set_title("Largest block output")
    sides = list(PUBLISHED_KB["mobilenet_v1"])
    labels = [f"{side}²" for side in sides]
    for shift, network in zip((-0.2, 0.2), networks, strict=True):
        largest = {
            side: _BYTES * side * side * channels / _KB
            for side, channels in largest_activations(network).items()
        }
        places = [index + shift for index in range(len(sides))]
        heights = [largest[side] for side in sides]
        labels = [
            f"{label}\n{height:,.0f}" if height >= 10 else f"{label}\n{height:.1f}"
            for label, height in zip(labels, heights, strict=True)
        ]
        axis.bar(
            places,
            heights,
            width=0.38,
            color=MARKS[network.name].color,
            hatch="" if shift < 0 else "///",
            edgecolor="white",
            label=TITLES[network.name],
        )
        axis.plot(
            places,
            [PUBLISHED_KB[network.name][side] for side in sides],
            color=PUBLISHED,
            marker="D",
            markerfacecolor="white",
            markersize=4,
            linestyle="",
            label="Published, V2 table 3" if shift > 0 else None,
        )
    axis.set_yscale("log")
    axis.set_ylim(1, 5000)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.set_xticks(range(len(sides)), labels)
    axis.grid(visible=False, axis="x")
    axis.set_xlabel("Feature map (pixels), and below it our KB of V1 and of V2")
    axis.set_ylabel("Memory (KB), logarithmic")
    axis.legend(loc="upper right")


def _draw_blocks(axis: Axes, networks: Sequence[Architecture]) -> None:
    axis.set_title("Input and output of an operation")
    for network in networks:
        memory, look = block_memory(network), MARKS[network.name]
        drawn: dict[str, Any] = {"color": look.color, "marker": look.marker}
        each = [block.by_layer for block in memory]
        one = [block.as_one for block in memory]
        title = TITLES[network.name]
        axis.plot(each, linestyle="--", label=f"{title}, layer by layer", **drawn)
        if one != each:
            axis.plot(one, linestyle="-", label=f"{title}, blocks in pieces", **drawn)
    axis.set_xlabel("Block, from the stem to the last one")
    axis.set_ylabel("Memory (KB)")
    axis.set_ylim(bottom=0)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.set_xticks(range(0, 19, 2))
    axis.legend(loc="upper right")


def _by_block(architecture: Architecture) -> dict[str, list[LayerCost]]:
    blocks: dict[str, list[LayerCost]] = {}
    for layer in walk(architecture):
        blocks.setdefault(layer.name.partition("/")[0], []).append(layer)
    return blocks


def _values(shape: tuple[int, int, int]) -> int:
    height, width, channels = shape
    return height * width * channels
