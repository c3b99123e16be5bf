"""What both papers print and follows from the architecture alone, as data.

V1 is arXiv 1704.04861, V2 is arXiv 1801.04381. Every value is written as printed. Where ours is
another one, the value carries the reason; `mobilenet/papers/tables.py` sets ours beside it.
Multiply-adds and parameters are in millions. Accuracies and latencies are not here.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Value:
    """One value of a paper's table.

    `reason` says why ours is another one, and is empty where ours agrees. `counting` names the way
    to count (`papers.compare.COUNTINGS`) that does give the printed value, if one is known.
    """

    printed: str
    reason: str = ""
    counting: str = ""


@dataclasses.dataclass(frozen=True)
class CostRow:
    """A network, or a part of one, with its knobs (`networks/architecture.py`) and its cost."""

    label: str
    network: str
    knobs: Mapping[str, Any]
    madds: Value  # millions
    params: Value  # millions


@dataclasses.dataclass(frozen=True)
class CostTable:
    """Whole networks; those of the paper's rows that are not MobileNets are left out."""

    title: str
    rows: tuple[CostRow, ...]


@dataclasses.dataclass(frozen=True)
class ShareRow:
    """A kind of layer and its share of the network."""

    label: str
    operator: str  # as in LayerCost
    kernel_size: int
    madds: Value  # %
    params: Value  # %


@dataclasses.dataclass(frozen=True)
class MemoryRow:
    """Channels and size in Kb of the largest activation at one size of the map."""

    size: int | None  # pixels, the side of the map; None: the largest of all
    v1: tuple[Value | None, Value]
    v2: tuple[Value | None, Value]
    shufflenet: tuple[Value | None, Value]  # ShuffleNet 2x, g=3


# Why ours is another value, and the way to count that does give the printed one, by the mark
# behind a value.
_REASONS = {
    "stride": (
        "A typo: the next line has an input of 7x7 as well, so the stride is 1 "
        "(tensorflow/models issue 1997).",
        "",
    ),
    "kernels": (
        "The paper gives no rule, but without BatchNorm and biases all four shares are its own.",
        "kernels",
    ),
    "swapped": (
        "A typo, by all signs 1.91 with its digits swapped: as printed the four shares sum to "
        "99.29, with 1.91 to 100.01.",
        "",
    ),
    "late": (
        "The paper is not consistent: between blocks no tensor of this size has so many channels, "
        "and its line of 112x112 does follow our rule.",
        "size_before",
    ),
    "twice": (
        "Unexplained: twice what the printed 1024 channels take (7 x 7 x 1024 x 2 bytes), the rule "
        "of V1's other lines.",
        "",
    ),
    "thirty-two": (
        "Unexplained: the printed 320 channels take 31.4 (7 x 7 x 320 x 2 bytes), which is not 32 "
        "however it is rounded.",
        "",
    ),
    "classifier": (
        "The paper is not consistent: the 569 of the next line counts the classifier.",
        "no_classifier",
    ),
    "norm": ("As in table 2, the paper seems not to count BatchNorm.", "no_norm"),
    "slim-norm": ("slim's README counts this way too, and prints 3.47.", "no_norm"),
    "v1": ("Unexplained: the V1 paper prints 569 for this network (its tables 4 and 6).", ""),
    "582": ("Unexplained: slim's README prints 582 for this network.", ""),
    "6.06": (
        "Unexplained: slim's README prints 6.06 for this network, and does not count BatchNorm.",
        "",
    ),
}


def _read(text: str) -> list[list[str]]:
    """Returns the cells of a table written with | between them, line by line."""
    lines = (line.split("|") for line in text.strip().splitlines())
    return [[cell.strip() for cell in line] for line in lines]


def _value(cell: str) -> Value:
    """Reads a printed value with the mark of its reason, such as `4866 [classifier]`."""
    printed, _, mark = cell.removesuffix("]").partition(" [")
    return Value(printed, *_REASONS[mark]) if mark else Value(printed)


def _values(text: str) -> tuple[tuple[Value, ...], ...]:
    return tuple(tuple(map(_value, line)) for line in _read(text))


def _knobs(words: str) -> dict[str, Any]:
    """Reads knobs such as `width=0.5 resolution=160`."""
    pairs = (word.split("=") for word in words.split())
    kinds: dict[str, Callable[[str], Any]] = {"width": float, "resolution": int}
    return {key: kinds.get(key, str)(value) for key, value in pairs}


def _costs(text: str) -> tuple[CostRow, ...]:
    """Reads label, network, knobs, multiply-adds and parameters."""
    return tuple(
        CostRow(label, f"mobilenet_{network}", _knobs(knobs), _value(madds), _value(params))
        for label, network, knobs, madds, params in _read(text)
    )


# V1 table 1: type, stride, filter shape, input size. The softmax, its last line, is no layer here.
V1_TABLE_1 = _values(
    """
Conv     | s2          | 3x3x3x32       | 224x224x3
Conv dw  | s1          | 3x3x32 dw      | 112x112x32
Conv     | s1          | 1x1x32x64      | 112x112x32
Conv dw  | s2          | 3x3x64 dw      | 112x112x64
Conv     | s1          | 1x1x64x128     | 56x56x64
Conv dw  | s1          | 3x3x128 dw     | 56x56x128
Conv     | s1          | 1x1x128x128    | 56x56x128
Conv dw  | s2          | 3x3x128 dw     | 56x56x128
Conv     | s1          | 1x1x128x256    | 28x28x128
Conv dw  | s1          | 3x3x256 dw     | 28x28x256
Conv     | s1          | 1x1x256x256    | 28x28x256
Conv dw  | s2          | 3x3x256 dw     | 28x28x256
Conv     | s1          | 1x1x256x512    | 14x14x256
Conv dw  | s1          | 3x3x512 dw     | 14x14x512
Conv     | s1          | 1x1x512x512    | 14x14x512
Conv dw  | s1          | 3x3x512 dw     | 14x14x512
Conv     | s1          | 1x1x512x512    | 14x14x512
Conv dw  | s1          | 3x3x512 dw     | 14x14x512
Conv     | s1          | 1x1x512x512    | 14x14x512
Conv dw  | s1          | 3x3x512 dw     | 14x14x512
Conv     | s1          | 1x1x512x512    | 14x14x512
Conv dw  | s1          | 3x3x512 dw     | 14x14x512
Conv     | s1          | 1x1x512x512    | 14x14x512
Conv dw  | s2          | 3x3x512 dw     | 14x14x512
Conv     | s1          | 1x1x512x1024   | 7x7x512
Conv dw  | s2 [stride] | 3x3x1024 dw    | 7x7x1024
Conv     | s1          | 1x1x1024x1024  | 7x7x1024
Avg Pool | s1          | Pool 7x7       | 7x7x1024
FC       | s1          | 1024x1000      | 1x1x1024
"""
)

# Label; operator and kernel size; multiply-adds and parameters in percent.
V1_TABLE_2 = tuple(
    ShareRow(label, operator, int(size), _value(madds), _value(params))
    for label, operator, size, madds, params in _read(
        """
Conv 1x1        | conv      | 1 | 94.86          | 74.59 [kernels]
Conv dw 3x3     | depthwise | 3 | 3.06           | 1.06 [kernels]
Conv 3x3        | conv      | 3 | 1.19 [swapped] | 0.02
Fully connected | dense     | 1 | 0.18           | 24.33 [kernels]
"""
    )
)

# The layer alone: DK=3, M=N=512, DF=14, each line with the modifications of those before it.
V1_TABLE_3 = _costs(
    """
Convolution         | v1 | convolution=full          | 462  | 2.36
Depthwise separable | v1 |                           | 52.3 | 0.27
width 0.75          | v1 | width=0.75                | 29.6 | 0.15
resolution 0.714    | v1 | width=0.75 resolution=160 | 15.1 | 0.15
"""
)

# V2 table 2: input, operator, t, c, n, s; "-" where the paper prints none.
V2_TABLE_2 = _values(
    """
224x224x3 | conv2d 3x3  | - | 32   | 1 | 2
112x112x32| bottleneck  | 1 | 16   | 1 | 1
112x112x16| bottleneck  | 6 | 24   | 2 | 2
56x56x24  | bottleneck  | 6 | 32   | 3 | 2
28x28x32  | bottleneck  | 6 | 64   | 4 | 2
14x14x64  | bottleneck  | 6 | 96   | 3 | 1
14x14x96  | bottleneck  | 6 | 160  | 3 | 2
7x7x160   | bottleneck  | 6 | 320  | 1 | 1
7x7x320   | conv2d 1x1  | - | 1280 | 1 | 1
7x7x1280  | avgpool 7x7 | - | -    | 1 | -
1x1x1280  | conv2d 1x1  | - | k    | - | -
"""
)

# V2 table 3 in the arXiv version, at 16 bits an activation: the size of the map, and channels and
# Kb of V1, V2 and ShuffleNet (2x, g=3).
V2_TABLE_3 = tuple(
    MemoryRow(
        int(size) if size else None,
        *(
            (_value(channels) if channels else None, _value(kilobytes))
            for channels, kilobytes in zip(cells[::2], cells[1::2], strict=True)
        ),
    )
    for size, *cells in _read(
        """
112 | 64   | 1600       | 16         | 400             | 32   | 800
56  | 128  | 800        | 32 [late]  | 200 [late]      | 48   | 300
28  | 256  | 400        | 64 [late]  | 100 [late]      | 400  | 600
14  | 512  | 200        | 160 [late] | 62 [late]       | 800  | 310
7   | 1024 | 199 [twice]| 320        | 32 [thirty-two] | 1600 | 156
1   | 1024 | 2          | 1280       | 2               | 1600 | 3
    |      | 1600       |            | 400             |      | 600
"""
    )
)

# Tables of whole networks: V1 tables 4 to 9 and V2 table 4.
COST_TABLES = {
    "v1_4": CostTable(
        "V1 table 4: depthwise separable against full convolutions",
        _costs(
            """
Conv MobileNet | v1 | convolution=full | 4866 [classifier] | 29.3
MobileNet      | v1 |                  | 569               | 4.2
"""
        ),
    ),
    "v1_5": CostTable(
        "V1 table 5: narrow against shallow",
        _costs(
            """
0.75 MobileNet    | v1 | width=0.75    | 325 | 2.6
Shallow MobileNet | v1 | depth=shallow | 307 | 2.9
"""
        ),
    ),
    "v1_6": CostTable(
        "V1 table 6: width multiplier",
        _costs(
            """
1.0 MobileNet-224  | v1 | width=1.0  | 569 | 4.2
0.75 MobileNet-224 | v1 | width=0.75 | 325 | 2.6
0.5 MobileNet-224  | v1 | width=0.5  | 149 | 1.3
0.25 MobileNet-224 | v1 | width=0.25 | 41  | 0.5
"""
        ),
    ),
    "v1_7": CostTable(
        "V1 table 7: resolution",
        _costs(
            """
1.0 MobileNet-224 | v1 | resolution=224 | 569 | 4.2
1.0 MobileNet-192 | v1 | resolution=192 | 418 | 4.2
1.0 MobileNet-160 | v1 | resolution=160 | 290 | 4.2
1.0 MobileNet-128 | v1 | resolution=128 | 186 | 4.2
"""
        ),
    ),
    "v1_8": CostTable(
        "V1 table 8: MobileNet beside popular models (MobileNet alone)",
        _costs("1.0 MobileNet-224 | v1 | | 569 | 4.2"),
    ),
    "v1_9": CostTable(
        "V1 table 9: smaller MobileNet beside popular models (MobileNet alone)",
        _costs("0.50 MobileNet-160 | v1 | width=0.5 resolution=160 | 76 | 1.32 [norm]"),
    ),
    "v2_4": CostTable(
        "V2 table 4: performance on ImageNet (MobileNets alone)",
        _costs(
            """
MobileNetV1       | v1 |           | 575 [v1]  | 4.2
MobileNetV2       | v2 |           | 300       | 3.4 [slim-norm]
MobileNetV2 (1.4) | v2 | width=1.4 | 585 [582] | 6.9 [6.06]
"""
        ),
    ),
}

# Tables that are not here, and why.
LEFT_OUT = (
    "V1 tables 10 to 14: other tasks, whose heads and classes the paper does not give in full.",
    "V2 table 1: the shapes of a block, in letters.",
    "V2 tables 5 to 7: SSDLite and DeepLabv3 need heads that this repository does not have yet.",
)
