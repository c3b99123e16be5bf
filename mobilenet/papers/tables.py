"""The tables of both papers that follow from the architecture alone: ours beside the printed value.

V1 is arXiv 1704.04861, V2 is arXiv 1801.04381. All of ours is summed from
`mobilenet.networks.cost.walk`; all of theirs, and the reason for every difference, is in
`mobilenet/papers/printed.py`.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from decimal import Decimal

from mobilenet.errors import UserError
from mobilenet.networks.architecture import ARCHITECTURES, Architecture, mobilenet_v1, mobilenet_v2
from mobilenet.networks.blocks import ConvRow
from mobilenet.networks.cost import LayerCost, count_cost, walk
from mobilenet.papers import printed as published
from mobilenet.papers.compare import Cell, make_cell, printed_alone
from mobilenet.papers.printed import CostRow, ShareRow, Value

_BYTES = 2  # V2 table 3: 16-bit activations
_MILLION = 1_000_000

_Quantity = Callable[[LayerCost, str], int]  # of a layer, by a key of COUNTINGS or ""


@dataclasses.dataclass(frozen=True)
class Row:
    label: str
    cells: tuple[Cell, ...]


@dataclasses.dataclass(frozen=True)
class Table:
    """`columns` name the cells of a row, with units; `notes` hold for the whole table."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


def build_tables(names: Sequence[str] = ()) -> list[Table]:
    """Returns the tables of these names, such as `v1_2` and `v2_4`, in that order; of none, all.

    Raises:
      UserError: there is no such table.
    """
    for name in names:
        if name not in _BUILDERS:
            raise UserError(f"{name!r} is no table: choose from {', '.join(_BUILDERS)}.")
    return [_BUILDERS[name]() for name in names or _BUILDERS]


def _params(layer: LayerCost, counting: str) -> int:
    # Scales and offsets are as many as moving means and variances.
    norm = layer.statistics if counting in ("kernels", "no_norm") else 0
    dense = layer.operator == "dense"
    bias = layer.output_shape[-1] if dense and counting == "kernels" else 0
    return 0 if dense and counting == "no_classifier" else layer.params - norm - bias


def _madds(layer: LayerCost, counting: str) -> int:
    return 0 if layer.operator == "dense" and counting == "no_classifier" else layer.madds


def _cost_rows(
    rows: Sequence[CostRow], layers_of: Callable[[Architecture], list[LayerCost]]
) -> tuple[Row, ...]:
    """Multiply-adds and parameters, in millions, of the layers chosen from each row's network."""

    def row(printed: CostRow) -> Row:
        layers = layers_of(ARCHITECTURES[printed.network](**printed.knobs))

        def amount(quantity: _Quantity, counting: str) -> Decimal:
            return Decimal(sum(quantity(layer, counting) for layer in layers)) / _MILLION

        cells = (
            make_cell(printed.madds, functools.partial(amount, _madds)),
            make_cell(printed.params, functools.partial(amount, _params)),
        )
        return Row(printed.label, cells)

    return tuple(map(row, rows))


_COST_COLUMNS = ("multiply-adds, M", "parameters, M")


def _networks(name: str) -> Table:
    """A table of whole networks."""
    table = published.COST_TABLES[name]
    rows = _cost_rows(table.rows, lambda architecture: list(walk(architecture)))
    return Table(name, table.title, _COST_COLUMNS, rows)


def _v1_layers() -> Table:
    """V1 table 1: the layers themselves."""
    kinds = {"conv": "Conv", "depthwise": "Conv dw", "pool": "Avg Pool", "dense": "FC"}

    def describe(layer: LayerCost) -> tuple[str, str, str, str]:
        size, inputs, outputs = layer.kernel_size, layer.input_shape[-1], layer.output_shape[-1]
        filters = {
            "conv": f"{size}x{size}x{inputs}x{outputs}",
            "depthwise": f"{size}x{size}x{inputs} dw",
            "pool": f"Pool {size}x{size}",
            "dense": f"{inputs}x{outputs}",
        }
        shape = "x".join(map(str, layer.input_shape))
        return kinds[layer.operator], f"s{layer.stride}", filters[layer.operator], shape

    rows = tuple(
        Row(layer.name, _text_cells(values, describe(layer)))
        for values, layer in zip(published.V1_TABLE_1, walk(mobilenet_v1()), strict=True)
    )
    columns = ("type", "stride", "filter", "input")
    notes = ("The softmax, the last line of the paper's table, is no layer of ours.",)
    return Table("v1_1", "V1 table 1: the layers of MobileNet", columns, rows, notes)


def _text_cells(values: Sequence[Value], ours: Sequence[str]) -> tuple[Cell, ...]:
    def cell(value: Value, words: str) -> Cell:
        return make_cell(value, lambda _: words)

    return tuple(map(cell, values, ours))


def _v1_shares() -> Table:
    """V1 table 2: what the kinds of layers take of the whole."""
    shares = {counting: layer_shares(mobilenet_v1(), counting) for counting in ("", "kernels")}

    def cell(printed: ShareRow, value: Value, column: int) -> Cell:
        return make_cell(value, lambda counting: shares[counting][printed.label][column])

    rows = [
        Row(printed.label, (cell(printed, printed.madds, 0), cell(printed, printed.params, 1)))
        for printed in published.V1_TABLE_2
    ]
    title, columns = "V1 table 2: resources per layer type", ("multiply-adds, %", "parameters, %")
    return Table("v1_2", title, columns, tuple(rows))


def layer_shares(architecture: Architecture, counting: str) -> dict[str, tuple[Decimal, Decimal]]:
    """Returns percent of the multiply-adds and of the parameters by the kinds of V1 table 2."""
    layers = list(walk(architecture))

    def share(printed: ShareRow, quantity: _Quantity) -> Decimal:
        kind = (printed.operator, printed.kernel_size)
        chosen = [layer for layer in layers if (layer.operator, layer.kernel_size) == kind]
        part, whole = (sum(quantity(x, counting) for x in group) for group in (chosen, layers))
        return 100 * Decimal(part) / whole

    return {row.label: (share(row, _madds), share(row, _params)) for row in published.V1_TABLE_2}


def _v1_one_layer() -> Table:
    """V1 table 3: the first block of 14x14x512 into 14x14x512, in each of the networks."""
    shape = (14, 14, 512)
    base = walk(mobilenet_v1(convolution="full"))
    block = next(x for x in base if x.input_shape == x.output_shape == shape).name.split("/")[0]

    def layers_of(architecture: Architecture) -> list[LayerCost]:
        return [layer for layer in walk(architecture) if layer.name.split("/")[0] == block]

    return Table(
        "v1_3",
        "V1 table 3: one layer of 14x14x512, modified line by line",
        _COST_COLUMNS,
        _cost_rows(published.V1_TABLE_3, layers_of),
        (f"Ours is {block} of the whole network; resolution 0.714 is an image of 160 pixels.",),
    )


def _v2_rows() -> Table:
    """V2 table 2: the rows, read off the concrete blocks."""
    architecture = mobilenet_v2()
    layers = list(walk(architecture))
    inputs = {layer.name.split("/")[0]: layer.input_shape for layer in reversed(layers)}
    blocks = iter(architecture.blocks)
    lines = []
    for row in architecture.rows:
        repeats = 1 if isinstance(row, ConvRow) else row.repeats
        first, *_ = taken = list(itertools.islice(blocks, repeats))
        shape, size = "x".join(map(str, inputs[first.name])), first.layers[0].kernel_size
        if isinstance(row, ConvRow):
            operator, expansion = f"conv2d {size}x{size}", "-"
        else:
            inner = next(x for x in first.layers if x.operator == "depthwise").in_channels
            operator, expansion = "bottleneck", f"{inner / first.in_channels:g}"
        count = str(len(taken))
        lines.append(
            (shape, operator, expansion, str(first.out_channels), count, str(first.stride))
        )
    for layer in layers[-2:]:  # the pooling, and the classifier: a convolution of one pixel
        size, shape = layer.kernel_size, "x".join(map(str, layer.input_shape))
        if layer.operator == "pool":
            lines.append((shape, f"avgpool {size}x{size}", "-", "-", "1", "-"))
        else:
            lines.append(
                (shape, f"conv2d {size}x{size}", "-", str(layer.output_shape[2]), "-", "-")
            )
    rows = tuple(
        Row(str(number), _text_cells(values, line))
        for number, (values, line) in enumerate(zip(published.V2_TABLE_2, lines, strict=True), 1)
    )
    bottlenecks = [block for block in architecture.blocks if len(block.layers) > 1]
    joined = sum(block.shortcut != "none" for block in bottlenecks)
    return Table(
        "v2_2",
        "V2 table 2: the rows of MobileNetV2",
        ("input", "operator", "t", "c", "n", "s"),
        rows,
        (
            "k is the number of classes.",
            "Section 4 of the paper speaks of 19 residual bottleneck layers; its table and ours "
            f"have {len(bottlenecks)} bottlenecks, {joined} of them with a shortcut.",
        ),
    )


def largest_activations(architecture: Architecture, counting: str = "") -> dict[int, int]:
    """Channels of the widest block or pooled output at each size of the map.

    Outputs within a block, of the stem and of the last 1x1 convolution are not counted, as the
    printed channels imply. `size_before` takes the size of a block's input, not of its output.
    """
    channels: dict[int, int] = {}
    layers = [layer for layer in walk(architecture) if layer.operator != "dense"]
    for name, group in itertools.groupby(layers, lambda layer: layer.name.split("/")[0]):
        if not name.startswith(("block_", "pool")):
            continue
        block = list(group)
        out = block[-1].output_shape
        size = block[0].input_shape[0] if counting == "size_before" else out[0]
        channels[size] = max(channels.get(size, 0), out[2])
    return channels


def _v2_memory() -> Table:
    """V2 table 3: the largest activation at each size of the map."""
    networks = (mobilenet_v1(), mobilenet_v2())

    def kilobytes(size: int, channels: int) -> Decimal:
        return Decimal(size * size * channels * _BYTES) / 1000

    def cells(
        architecture: Architecture, size: int | None, values: tuple[Value | None, Value]
    ) -> tuple[Cell, Cell]:
        def amount(counting: str) -> Decimal:
            largest = largest_activations(architecture, counting)
            if size is None:
                return max(kilobytes(*item) for item in largest.items())
            return kilobytes(size, largest[size])

        def widest(counting: str) -> str:
            assert size is not None
            return str(largest_activations(architecture, counting)[size])

        first = make_cell(values[0], widest) if values[0] else printed_alone(None)
        return first, make_cell(values[1], amount, zeros_count=False)

    rows = []
    for line in published.V2_TABLE_3:
        ours = (
            cell
            for network, values in zip(networks, (line.v1, line.v2), strict=True)
            for cell in cells(network, line.size, values)
        )
        label = "largest" if line.size is None else f"{line.size}x{line.size}"
        rows.append(Row(label, (*ours, *map(printed_alone, line.shufflenet))))
    peaks = " and ".join(f"{count_cost(x).peak_activation_bytes / 1000:.1f}" for x in networks)
    return Table(
        "v2_3",
        "V2 table 3: the largest activation at each size of the map, 16 bits a value",
        tuple(
            f"{network} {quantity}"
            for network in ("V1", "V2", "ShuffleNet")
            for quantity in ("channels", "Kb")
        ),
        tuple(rows),
        (
            "Counted are the outputs of blocks and of the pooling, as the printed channels imply. "
            "Kb is 1000 bytes; zeros beyond the first two digits of a printed size are rounding.",
            "The camera-ready paper prints O(1) in the 112x112 line; its largest: 800, 200, 600.",
            f"Input and output of one convolution together take up to {peaks} Kb in V1 and V2, "
            "waiting shortcuts included (the bound of section 5.1).",
            "ShuffleNet (2x, g=3) is the paper's alone, none of ours.",
        ),
    )


_BUILDERS: dict[str, Callable[[], Table]] = {
    "v1_1": _v1_layers,
    "v1_2": _v1_shares,
    "v1_3": _v1_one_layer,
    **{
        name: functools.partial(_networks, name)
        for name in published.COST_TABLES
        if name.startswith("v1")
    },
    "v2_2": _v2_rows,
    "v2_3": _v2_memory,
    "v2_4": functools.partial(_networks, "v2_4"),
}
