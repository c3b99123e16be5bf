"""What both papers print and follows from the architecture alone, as data.

V1 is arXiv 1704.04861, V2 is arXiv 1801.04381. Every value is written as printed. Where ours is
another one, the value carries the reason; `mobilenet/papers/tables.py` sets ours beside it.
Multiply-adds and parameters are in millions. Accuracies and latencies are not here.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Value:
    """One value of a paper's table.

    `reason` says why ours is another one, and is empty where ours agrees. `counting` names the way
    to count (`paper_tables.COUNTINGS`) that does give the printed value, if one is known.
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


def _v1_pair(
    size: int, channels: int, out: int, *, stride: int = 1, printed: Value | None = None
) -> tuple[tuple[Value, ...], ...]:
    """Two lines of V1 table 1: a depthwise convolution and the 1x1 convolution after it."""
    after = size // stride
    return (
        (
            Value("Conv dw"),
            printed or Value(f"s{stride}"),
            Value(f"3x3x{channels} dw"),
            Value(f"{size}x{size}x{channels}"),
        ),
        (
            Value("Conv"),
            Value("s1"),
            Value(f"1x1x{channels}x{out}"),
            Value(f"{after}x{after}x{channels}"),
        ),
    )


# V1 table 1: type, stride, filter shape, input size. The softmax, its last line, is no layer here.
V1_TABLE_1: tuple[tuple[Value, ...], ...] = (
    (Value("Conv"), Value("s2"), Value("3x3x3x32"), Value("224x224x3")),
    *_v1_pair(112, 32, 64),
    *_v1_pair(112, 64, 128, stride=2),
    *_v1_pair(56, 128, 128),
    *_v1_pair(56, 128, 256, stride=2),
    *_v1_pair(28, 256, 256),
    *_v1_pair(28, 256, 512, stride=2),
    *_v1_pair(14, 512, 512) * 5,
    *_v1_pair(14, 512, 1024, stride=2),
    *_v1_pair(
        7,
        1024,
        1024,
        printed=Value(
            "s2",
            "A typo: the next line has an input of 7x7 as well, so the stride is 1 "
            "(tensorflow/models issue 1997).",
        ),
    ),
    (Value("Avg Pool"), Value("s1"), Value("Pool 7x7"), Value("7x7x1024")),
    (Value("FC"), Value("s1"), Value("1024x1000"), Value("1x1x1024")),
)

_KERNELS_ALONE = (
    "The paper gives no rule, but without BatchNorm and biases all four shares are its own."
)

V1_TABLE_2 = (
    ShareRow("Conv 1x1", "conv", 1, Value("94.86"), Value("74.59", _KERNELS_ALONE, "kernels")),
    ShareRow(
        "Conv dw 3x3", "depthwise", 3, Value("3.06"), Value("1.06", _KERNELS_ALONE, "kernels")
    ),
    ShareRow(
        "Conv 3x3",
        "conv",
        3,
        Value(
            "1.19",
            "A typo, by all signs 1.91 with its digits swapped: as printed the four shares "
            "sum to 99.29, with 1.91 to 100.01.",
        ),
        Value("0.02"),
    ),
    ShareRow(
        "Fully connected", "dense", 1, Value("0.18"), Value("24.33", _KERNELS_ALONE, "kernels")
    ),
)

# The layer alone: DK=3, M=N=512, DF=14, each line with the modifications of those before it.
V1_TABLE_3 = (
    CostRow("Convolution", "mobilenet_v1", {"convolution": "full"}, Value("462"), Value("2.36")),
    CostRow("Depthwise separable", "mobilenet_v1", {}, Value("52.3"), Value("0.27")),
    CostRow("width 0.75", "mobilenet_v1", {"width": 0.75}, Value("29.6"), Value("0.15")),
    CostRow(
        "resolution 0.714",
        "mobilenet_v1",
        {"width": 0.75, "resolution": 160},
        Value("15.1"),
        Value("0.15"),
    ),
)

# V2 table 2: input, operator, t, c, n, s; "-" where the paper prints none.
V2_TABLE_2: tuple[tuple[Value, ...], ...] = tuple(
    tuple(map(Value, line.split(", ")))
    for line in (
        "224x224x3, conv2d 3x3, -, 32, 1, 2",
        "112x112x32, bottleneck, 1, 16, 1, 1",
        "112x112x16, bottleneck, 6, 24, 2, 2",
        "56x56x24, bottleneck, 6, 32, 3, 2",
        "28x28x32, bottleneck, 6, 64, 4, 2",
        "14x14x64, bottleneck, 6, 96, 3, 1",
        "14x14x96, bottleneck, 6, 160, 3, 2",
        "7x7x160, bottleneck, 6, 320, 1, 1",
        "7x7x320, conv2d 1x1, -, 1280, 1, 1",
        "7x7x1280, avgpool 7x7, -, -, 1, -",
        "1x1x1280, conv2d 1x1, -, k, -, -",
    )
)


def _late(channels: str, kilobytes: str) -> tuple[Value, Value]:
    """A line of V2 table 3 that holds the channels of the next, smaller map."""
    reason = (
        "The paper is not consistent: between blocks no tensor of this size has so many channels, "
        "and its line of 112x112 does follow our rule."
    )
    return Value(channels, reason, "size_before"), Value(kilobytes, reason, "size_before")


# V2 table 3 in the arXiv version, at 16 bits an activation.
V2_TABLE_3 = (
    MemoryRow(
        112,
        v1=(Value("64"), Value("1600")),
        v2=(Value("16"), Value("400")),
        shufflenet=(Value("32"), Value("800")),
    ),
    MemoryRow(
        56,
        v1=(Value("128"), Value("800")),
        v2=_late("32", "200"),
        shufflenet=(Value("48"), Value("300")),
    ),
    MemoryRow(
        28,
        v1=(Value("256"), Value("400")),
        v2=_late("64", "100"),
        shufflenet=(Value("400"), Value("600")),
    ),
    MemoryRow(
        14,
        v1=(Value("512"), Value("200")),
        v2=_late("160", "62"),
        shufflenet=(Value("800"), Value("310")),
    ),
    MemoryRow(
        7,
        v1=(
            Value("1024"),
            Value(
                "199",
                "Unexplained: twice what the printed 1024 channels take (7 x 7 x 1024 x 2 bytes), "
                "the rule of V1's other lines.",
            ),
        ),
        v2=(
            Value("320"),
            Value(
                "32",
                "Unexplained: the printed 320 channels take 31.4 (7 x 7 x 320 x 2 bytes), which is "
                "not 32 however it is rounded.",
            ),
        ),
        shufflenet=(Value("1600"), Value("156")),
    ),
    MemoryRow(
        1,
        v1=(Value("1024"), Value("2")),
        v2=(Value("1280"), Value("2")),
        shufflenet=(Value("1600"), Value("3")),
    ),
    MemoryRow(
        None,
        v1=(None, Value("1600")),
        v2=(None, Value("400")),
        shufflenet=(None, Value("600")),
    ),
)

# Tables of whole networks: V1 tables 4 to 9 and V2 table 4.
COST_TABLES = {
    "v1_4": CostTable(
        "V1 table 4: depthwise separable against full convolutions",
        (
            CostRow(
                "Conv MobileNet",
                "mobilenet_v1",
                {"convolution": "full"},
                Value(
                    "4866",
                    "The paper is not consistent: the 569 of the next line counts the classifier.",
                    "no_classifier",
                ),
                Value("29.3"),
            ),
            CostRow("MobileNet", "mobilenet_v1", {}, Value("569"), Value("4.2")),
        ),
    ),
    "v1_5": CostTable(
        "V1 table 5: narrow against shallow",
        (
            CostRow("0.75 MobileNet", "mobilenet_v1", {"width": 0.75}, Value("325"), Value("2.6")),
            CostRow(
                "Shallow MobileNet",
                "mobilenet_v1",
                {"depth": "shallow"},
                Value("307"),
                Value("2.9"),
            ),
        ),
    ),
    "v1_6": CostTable(
        "V1 table 6: width multiplier",
        tuple(
            CostRow(
                f"{width} MobileNet-224",
                "mobilenet_v1",
                {"width": width},
                Value(madds),
                Value(params),
            )
            for width, madds, params in (
                (1.0, "569", "4.2"),
                (0.75, "325", "2.6"),
                (0.5, "149", "1.3"),
                (0.25, "41", "0.5"),
            )
        ),
    ),
    "v1_7": CostTable(
        "V1 table 7: resolution",
        tuple(
            CostRow(
                f"1.0 MobileNet-{resolution}",
                "mobilenet_v1",
                {"resolution": resolution},
                Value(madds),
                Value("4.2"),
            )
            for resolution, madds in ((224, "569"), (192, "418"), (160, "290"), (128, "186"))
        ),
    ),
    "v1_8": CostTable(
        "V1 table 8: MobileNet beside popular models (MobileNet alone)",
        (CostRow("1.0 MobileNet-224", "mobilenet_v1", {}, Value("569"), Value("4.2")),),
    ),
    "v1_9": CostTable(
        "V1 table 9: smaller MobileNet beside popular models (MobileNet alone)",
        (
            CostRow(
                "0.50 MobileNet-160",
                "mobilenet_v1",
                {"width": 0.5, "resolution": 160},
                Value("76"),
                Value("1.32", "As in table 2, the paper seems not to count BatchNorm.", "no_norm"),
            ),
        ),
    ),
    "v2_4": CostTable(
        "V2 table 4: performance on ImageNet (MobileNets alone)",
        (
            CostRow(
                "MobileNetV1",
                "mobilenet_v1",
                {},
                Value(
                    "575",
                    "Unexplained: the V1 paper prints 569 for this network (its tables 4 and 6).",
                ),
                Value("4.2"),
            ),
            CostRow(
                "MobileNetV2",
                "mobilenet_v2",
                {},
                Value("300"),
                Value("3.4", "slim's README counts this way too, and prints 3.47.", "no_norm"),
            ),
            CostRow(
                "MobileNetV2 (1.4)",
                "mobilenet_v2",
                {"width": 1.4},
                Value("585", "Unexplained: slim's README prints 582 for this network."),
                Value(
                    "6.9",
                    "Unexplained: slim's README prints 6.06 for this network, and does not count "
                    "BatchNorm.",
                ),
            ),
        ),
    ),
}

# Tables that are not here, and why.
LEFT_OUT = (
    "V1 tables 10 to 14: other tasks, whose heads and classes the paper does not give in full.",
    "V2 table 1: the shapes of a block, in letters.",
    "V2 tables 5 to 7: SSDLite and DeepLabv3 need heads that this repository does not have yet.",
)
