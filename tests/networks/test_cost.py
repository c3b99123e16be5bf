"""Costs against counts computed independently of this project, and against the papers."""

import csv
import pathlib

import jax
import pytest
from flax import nnx

from mobilenet.networks.architecture import create_architecture, mobilenet_v2
from mobilenet.networks.cost import count_cost, walk
from mobilenet.networks.models import MobileNet

# Every published width and resolution, 1000 and 1001 classes, and V1's ablations. Each total was
# also compared with Keras, torchvision, Gluon or slim where they print one.
with (pathlib.Path(__file__).parents[1] / "golden" / "counts.csv").open() as file:
    COUNTS = list(csv.DictReader(file))


def _architecture(row):
    knobs = dict([row["knobs"].split("=")]) if row["knobs"] else {}
    return create_architecture(
        row["model"],
        width=float(row["width"]),
        resolution=int(row["resolution"]),
        num_classes=int(row["num_classes"]),
        **knobs,
    )


def test_counts_cover_everything_published():
    published = {(row["model"], row["width"], row["resolution"]) for row in COUNTS}
    assert {("mobilenet_v1", w, r) for w in ("0.25", "0.5", "0.75", "1.0") for r in
            ("128", "160", "192", "224")} <= published  # fmt: skip
    assert {("mobilenet_v2", w, r) for w in ("0.35", "0.5", "0.75", "1.0", "1.3", "1.4") for r in
            ("96", "128", "160", "192", "224")} <= published  # fmt: skip
    assert {row["knobs"] for row in COUNTS} == {"", "convolution=full", "depth=shallow"}


@pytest.mark.parametrize("row", COUNTS, ids=lambda row: "-".join(filter(None, row.values())))
def test_counts_are_exact(row):
    cost = count_cost(_architecture(row))
    assert cost.params == int(row["params"])
    assert cost.madds == int(row["madds"])
    if row["params_with_statistics"]:
        assert cost.params_with_statistics == int(row["params_with_statistics"])


@pytest.mark.parametrize(
    ("name", "knobs"),
    [
        *[("mobilenet_v1", {"width": w}) for w in (0.25, 0.5, 0.75, 1.0)],
        *[("mobilenet_v2", {"width": w}) for w in (0.25, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4)],
        ("mobilenet_v1", {"convolution": "full"}),
        ("mobilenet_v1", {"depth": "shallow"}),
        ("mobilenet_v1", {"head": 1024}),
        ("mobilenet_v2", {"depth_multiplier": 1.4}),
        ("mobilenet_v2", {"expansion": 1}),
        ("mobilenet_v2", {"expansion": 4.5, "shortcut": "expansion"}),
        ("mobilenet_v2", {"num_classes": 0}),
    ],
)
def test_counts_equal_what_the_built_module_holds(name, knobs):
    architecture = create_architecture(name, **knobs)
    model, cost = MobileNet(architecture), count_cost(architecture)

    def size(kind):
        return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, kind)))

    assert size(nnx.Param) == cost.params
    assert size((nnx.Param, nnx.BatchStat)) == cost.params_with_statistics


def test_shapes_equal_those_of_the_running_network():
    architecture = mobilenet_v2(0.35, (33, 47), 10, output_stride=16, padding="symmetric")
    model = MobileNet(architecture)
    model.eval()
    graph, state = nnx.split(model)
    images = jax.ShapeDtypeStruct((2, 33, 47, 3), "float32")
    shapes = jax.eval_shape(lambda state, x: nnx.merge(graph, state).endpoints(x), state, images)
    for layer in walk(architecture):
        shape = layer.output_shape
        shape = shape[2:] if layer.operator in ("pool", "dense") else shape
        assert shapes[layer.name].shape == (2, *shape), layer.name


def test_peak_memory_is_that_of_the_first_strided_block():
    # V2 1.0 at 224: 112x112x96 into 56x56x96, at two bytes a value.
    assert count_cost(mobilenet_v2()).peak_activation_bytes == 2 * 96 * (112**2 + 56**2)
    assert count_cost(mobilenet_v2(), bytes_per_value=4).peak_activation_bytes == 12_042_240 // 2


def test_a_shortcut_waits_in_memory():
    by_name = {layer.name: layer for layer in walk(mobilenet_v2())}
    # Block 3 is 56x56x24 with an inner width of 144.
    assert by_name["block_3/expand"].activations == 56**2 * (24 + 144)
    assert by_name["block_3/depthwise"].activations == 56**2 * (24 + 144 + 144)
    assert by_name["block_3/project"].activations == 56**2 * (24 + 144 + 24)

    by_name = {layer.name: layer for layer in walk(mobilenet_v2(shortcut="expansion"))}
    # The expansion of block 3 is joined to that of block 4.
    assert by_name["block_3/depthwise"].activations == 56**2 * (144 + 144)
    assert by_name["block_3/project"].activations == 56**2 * (144 + 144 + 24)
    assert by_name["block_4/expand"].activations == 56**2 * (144 + 24 + 144)


def test_output_stride_raises_the_cost_and_keeps_the_parameters():
    coarse, fine = (count_cost(mobilenet_v2(0.35, output_stride=s)) for s in (32, 8))
    assert fine.params == coarse.params
    assert fine.madds > 2 * coarse.madds


@pytest.mark.parametrize(
    ("name", "knobs", "params"),
    [
        # The sums over timm 1.0.31's modules mobilenetv2_110d, mobilenetv2_120d, mobilenetv1_100h.
        ("mobilenet_v2_110", {"depth_multiplier": 1.2}, 4_516_520),
        ("mobilenet_v2_120", {"depth_multiplier": 1.4}, 5_831_144),
        ("mobilenet_v1_100", {"head": 1024}, 5_282_600),
    ],
)
def test_networks_of_timm_have_as_many_parameters(name, knobs, params):
    assert count_cost(create_architecture(name, **knobs)).params == params
