"""Prints parameters, multiply-adds and activation memory of a network, from its rows alone.

python scripts/count_cost.py --model=mobilenet_v2 --width=0.35 --resolution=96 --format=json
python scripts/count_cost.py --model=mobilenet_v1_050 --format=table --layers
"""

import dataclasses
import json

from absl import flags

from mobilenet.networks.architecture import Architecture
from mobilenet.networks.cost import LayerCost, count_cost, walk
from mobilenet.networks.models import create_architecture
from mobilenet.runtime.entry_point import run
from mobilenet.runtime.formatting import format_table

_MODEL = flags.DEFINE_string("model", "mobilenet_v2", "Network, such as mobilenet_v1_050.")
_FORMAT = flags.DEFINE_enum("format", "table", ["table", "json"], "What to print.")
_LAYERS = flags.DEFINE_bool("layers", False, "One row or object for each layer as well.")
_BYTES = flags.DEFINE_integer("bytes_per_value", 2, "Size of an activation; V2 table 3 has 2.", 1)

# None leaves a knob at the network's own default (mobilenet/networks/architecture.py).
_KNOBS = {
    holder.name: holder
    for holder in (
        flags.DEFINE_float("width", None, "Width multiplier."),
        flags.DEFINE_integer("resolution", None, "Pixels, the side of the square input."),
        flags.DEFINE_integer("num_classes", None, "Classes; 0 leaves the classifier out."),
        flags.DEFINE_float("expansion", None, "V2: ratio of inner to input channels."),
        flags.DEFINE_string("bottleneck", None, "V2: linear or relu6."),
        flags.DEFINE_string("shortcut", None, "V2: bottleneck, expansion or none."),
        flags.DEFINE_string("convolution", None, "V1: separable or full."),
        flags.DEFINE_string("depth", None, "V1: full or shallow."),
        flags.DEFINE_integer("head", None, "V1: channels of a last 1x1 convolution; 0: none."),
        flags.DEFINE_float("depth_multiplier", None, "V2: of the repeats, rounded up."),
        flags.DEFINE_string("activation", None, "relu6 or relu."),
        flags.DEFINE_string("padding", None, "same or symmetric."),
        flags.DEFINE_integer("stem_stride", None, "2 or 1."),
        flags.DEFINE_integer("output_stride", None, "32, 16 or 8."),
        flags.DEFINE_float("dropout", None, "Share of the pooled features dropped."),
        flags.DEFINE_float("norm_epsilon", None, "Added to the variance."),
        flags.DEFINE_float("norm_momentum", None, "Share of the old statistics kept."),
        flags.DEFINE_integer("norm_group_size", None, "Images normalised together."),
    )
}


def main() -> None:
    knobs = {name: flag.value for name, flag in _KNOBS.items() if flag.value is not None}
    architecture = create_architecture(_MODEL.value, **knobs)
    total = dataclasses.asdict(count_cost(architecture, bytes_per_value=_BYTES.value))
    layers = list(walk(architecture)) if _LAYERS.value else []
    if _FORMAT.value == "json":
        if layers:
            total["layers"] = [dataclasses.asdict(layer) for layer in layers]
        print(json.dumps(total))
        return
    if layers:
        print(_layer_table(layers), end="\n\n")
    print(_summary(architecture, total))


def _summary(architecture: Architecture, total: dict[str, int]) -> str:
    title = f"{architecture.name}, width {architecture.width:g}, {architecture.resolution} pixels"
    rows = [(f"  {name}", f"{value:,}") for name, value in total.items()]
    return f"{title}\n{format_table(rows, 'lr')}"


def _layer_table(layers: list[LayerCost]) -> str:
    header = ("layer", "operator", "input", "output", "kernel", "params", "madds")
    rows = [
        (
            layer.name,
            layer.operator,
            "x".join(map(str, layer.input_shape)),
            "x".join(map(str, layer.output_shape)),
            f"{layer.kernel_size}x{layer.kernel_size}"
            + (f" /{layer.stride}" if layer.stride > 1 else "")
            + (f" dilated {layer.dilation}" if layer.dilation > 1 else ""),
            f"{layer.params:,}",
            f"{layer.madds:,}",
        )
        for layer in layers
    ]
    return format_table([header, *rows], "lllllr")


if __name__ == "__main__":
    run(main)
