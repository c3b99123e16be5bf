"""Prints parameters, multiply-adds and activation memory of a network, from its rows alone.

python scripts/count_cost.py --model=mobilenet_v2 --width=0.35 --resolution=96 --format=json
python scripts/count_cost.py --model=mobilenet_v1_050 --format=table --layers
"""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from absl import flags

from mobilenet.networks.architecture import (
    ARCHITECTURES,
    Architecture,
    create_architecture,
    defaults,
    describe_knobs,
)
from mobilenet.networks.cost import LayerCost, count_cost, walk
from mobilenet.runtime.entry_point import run
from mobilenet.runtime.formatting import format_size, format_table

_MODEL = flags.DEFINE_string("model", "mobilenet_v2", "Network, such as mobilenet_v1_050.")
_FORMAT = flags.DEFINE_enum("format", "table", ["table", "json"], "What to print.")
_LAYERS = flags.DEFINE_bool("layers", False, "One row or object for each layer as well.")
_BYTES = flags.DEFINE_integer("bytes_per_value", 2, "Size of an activation; V2 table 3 has 2.", 1)

# None leaves a knob at the network's own default.
_KINDS: dict[type, Callable[..., flags.FlagHolder[Any]]] = {
    float: flags.DEFINE_float,
    int: flags.DEFINE_integer,
    str: flags.DEFINE_string,
    type(None): flags.DEFINE_integer,
}
_DEFAULTS = {name: value for family in ARCHITECTURES for name, value in defaults(family).items()}
_RESOLUTION = flags.DEFINE_list("resolution", None, "Pixels: 224, or height and width: 256,512.")
_KNOBS = {
    name: _KINDS[type(default)](name, None, describe_knobs()[name])
    for name, default in _DEFAULTS.items()
    if name != "resolution"
}


def main() -> None:
    knobs = {name: flag.value for name, flag in _KNOBS.items() if flag.value is not None}
    if _RESOLUTION.value:
        sides = [int(side) if side.isdecimal() else side for side in _RESOLUTION.value]
        knobs["resolution"] = sides[0] if len(sides) == 1 else tuple(sides)
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
    pixels = format_size(architecture.resolution)
    title = f"{architecture.name}, width {architecture.width:g}, {pixels} pixels"
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
