"""The rows against the papers' tables, and every knob."""

import pytest

from mobilenet.errors import UserError
from mobilenet.networks.architecture import (
    ARCHITECTURES,
    create_architecture,
    mobilenet_v1,
    mobilenet_v2,
)
from mobilenet.networks.blocks import round_width_v1, round_width_v2
from mobilenet.networks.cost import count_cost


def _outputs(architecture):
    return [block.out_channels for block in architecture.blocks]


def _shortcuts(architecture, kind):
    return [int(b.name.split("_")[1]) for b in architecture.blocks if b.shortcut == kind]


def test_v1_is_table_1():
    blocks = mobilenet_v1().blocks
    assert _outputs(mobilenet_v1()) == [
        32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024
    ]  # fmt: skip
    assert [block.stride for block in blocks] == [2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
    # 28 layers, depthwise and pointwise apart, with the classifier.
    assert sum(len(block.layers) for block in blocks) + 1 == 28
    assert all(layer.activation == "relu6" for block in blocks for layer in block.layers)


def test_v2_is_table_2():
    blocks = mobilenet_v2().blocks
    stages = [(16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1)]
    expected = [(c, s if i == 0 else 1) for c, n, s in stages for i in range(n)]
    assert [(b.out_channels, b.stride) for b in blocks[1:-1]] == expected
    assert (blocks[0].out_channels, blocks[0].stride) == (32, 2)
    assert (blocks[-1].name, blocks[-1].out_channels) == ("head", 1280)
    for block in blocks[2:-1]:
        expand, depthwise, project = block.layers
        assert expand.out_channels == depthwise.out_channels == 6 * block.in_channels
        assert (expand.activation, depthwise.activation) == ("relu6", "relu6")
        assert project.activation == "linear"
    assert [layer.name for layer in blocks[1].layers] == ["depthwise", "project"]


# The widths of the stem, the seven stages and the last convolution, as Keras and torchvision
# have them.
@pytest.mark.parametrize(
    ("width", "channels"),
    [
        (1.4, [48, 24, 32, 48, 88, 136, 224, 448, 1792]),
        (1.3, [40, 24, 32, 40, 80, 128, 208, 416, 1664]),
        (1.0, [32, 16, 24, 32, 64, 96, 160, 320, 1280]),
        (0.75, [24, 16, 24, 24, 48, 72, 120, 240, 1280]),
        (0.5, [16, 8, 16, 16, 32, 48, 80, 160, 1280]),
        (0.35, [16, 8, 8, 16, 24, 32, 56, 112, 1280]),
        (0.25, [8, 8, 8, 8, 16, 24, 40, 80, 1280]),
    ],
)
def test_v2_widths(width, channels):
    outputs = _outputs(mobilenet_v2(width))
    # The last block of each stage, by the repeats of table 2.
    assert [outputs[i] for i in (0, 1, 3, 6, 10, 13, 16, 17, 18)] == channels


@pytest.mark.parametrize(("channels", "rounded"), [(8.0, 8), (7.9, 8), (22.4, 22), (409.6, 409)])
def test_v1_rounding_truncates(channels, rounded):
    assert round_width_v1(channels) == rounded


# 18 would become 16, more than a tenth less.
@pytest.mark.parametrize(("channels", "rounded"), [(3, 8), (18, 24), (33.6, 32), (44.8, 48)])
def test_v2_rounding_loses_at_most_a_tenth(channels, rounded):
    assert round_width_v2(channels) == rounded


def test_v2_has_ten_residual_blocks():
    expected = [3, 5, 6, 8, 9, 10, 12, 13, 15, 16]
    assert _shortcuts(mobilenet_v2(), "bottleneck") == expected


def test_shortcuts_between_expansions_are_as_many():
    # A block that keeps its shape hands its expansion on to the next one.
    expected = [4, 6, 7, 9, 10, 11, 13, 14, 16, 17]
    assert _shortcuts(mobilenet_v2(shortcut="expansion"), "expansion") == expected
    assert _shortcuts(mobilenet_v2(shortcut="expansion"), "bottleneck") == []


def test_no_shortcuts():
    assert {block.shortcut for block in mobilenet_v2(shortcut="none").blocks} == {"none"}


def test_expansion_leaves_the_first_block_alone():
    blocks = mobilenet_v2(expansion=3).blocks[1:-1]
    assert len(blocks[0].layers) == 2
    assert all(b.layers[0].out_channels == 3 * b.in_channels for b in blocks[1:])
    assert all(len(b.layers) == 2 for b in mobilenet_v2(expansion=1).blocks[1:-1])


def test_bottleneck_relu6_is_behind_every_projection():
    blocks = mobilenet_v2(bottleneck="relu6").blocks[1:-1]
    assert {block.layers[-1].activation for block in blocks} == {"relu6"}


def test_full_convolutions_keep_strides_and_channels():
    separable, full = (mobilenet_v1(convolution=c).blocks for c in ("separable", "full"))
    assert [(b.stride, b.out_channels) for b in separable] == [
        (b.stride, b.out_channels) for b in full
    ]
    assert all(len(b.layers) == 1 and b.layers[0].kernel_size == 3 for b in full)


def test_shallow_leaves_out_five_blocks_at_14():
    blocks = mobilenet_v1(depth="shallow").blocks
    assert [b.out_channels for b in blocks] == [32, 64, 128, 128, 256, 256, 512, 1024, 1024]


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("output_stride", [32, 16, 8])
def test_output_stride_turns_later_strides_into_dilation(name, output_stride):
    blocks = ARCHITECTURES[name](output_stride=output_stride).blocks
    stride = 1
    for block in blocks:
        stride *= block.stride
    assert stride == output_stride
    # The last 3x3 convolution sees the grid of stride 32, whatever the output stride.
    spatial = [layer for block in blocks for layer in block.layers if layer.kernel_size > 1]
    assert spatial[-1].dilation * output_stride == 32
    assert all(layer.dilation == 1 for b in blocks for layer in b.layers if layer.kernel_size == 1)


def test_the_layer_that_loses_its_stride_keeps_the_old_dilation():
    depthwise = [b.layers[1] for b in mobilenet_v2(output_stride=8).blocks[2:-1]]
    # Blocks 8 and 15 have stride 2 in table 2.
    assert [layer.dilation for layer in depthwise] == [*[1] * 6, *[2] * 7, *[4] * 3]


def test_stem_stride_one_halves_all_strides():
    assert mobilenet_v1(stem_stride=1).blocks[0].stride == 1
    assert [b.stride for b in mobilenet_v2(stem_stride=1).blocks[1:]] == [
        b.stride for b in mobilenet_v2().blocks[1:]
    ]


def test_depth_repeats_the_inner_blocks_and_keeps_the_ends():
    # timm's mobilenetv2_120d: channels of blocks.0 to blocks.6, and how many each has.
    stem, *blocks, head = mobilenet_v2(width=1.2, depth_multiplier=1.4).blocks
    channels = [block.out_channels for block in blocks]
    assert [(c, channels.count(c)) for c in sorted(set(channels))] == [
        (24, 1), (32, 3), (40, 5), (80, 6), (112, 5), (192, 5), (384, 1),
    ]  # fmt: skip
    assert (stem.out_channels, head.out_channels) == (32, 1280)


def test_a_head_does_not_shrink():
    for width, channels in ((0.5, 1024), (1.0, 1024), (1.25, 1280)):
        (layer,) = mobilenet_v1(width, head=1024).blocks[-1].layers
        assert (layer.kernel_size, layer.stride, layer.out_channels) == (1, 1, channels)


@pytest.mark.parametrize(
    ("name", "knob", "value"),
    [
        ("mobilenet_v1", "width", 0),
        ("mobilenet_v2", "width", float("nan")),
        ("mobilenet_v2", "resolution", 0),
        ("mobilenet_v2", "num_classes", -1),
        ("mobilenet_v2", "expansion", 0.5),
        ("mobilenet_v2", "bottleneck", "relu"),
        ("mobilenet_v2", "shortcut", "both"),
        ("mobilenet_v1", "convolution", "depthwise"),
        ("mobilenet_v1", "depth", "deep"),
        ("mobilenet_v1", "head", -1),
        ("mobilenet_v2", "depth_multiplier", 0),
        ("mobilenet_v1", "activation", "gelu"),
        ("mobilenet_v2", "padding", "valid"),
        ("mobilenet_v2", "stem_stride", 4),
        ("mobilenet_v2", "output_stride", 4),
        ("mobilenet_v2", "dropout", 1.0),
        ("mobilenet_v2", "norm_epsilon", 0.0),
        ("mobilenet_v2", "norm_momentum", 1.0),
        ("mobilenet_v2", "norm_group_size", 0),
    ],
)
def test_a_bad_knob_is_named_with_what_it_may_be(name, knob, value):
    with pytest.raises(UserError, match=rf"^{knob}=.*: must be "):
        ARCHITECTURES[name](**{knob: value})


def test_any_width_has_a_name():
    assert create_architecture("mobilenet_v2_063").width == 0.63
    assert create_architecture("mobilenet_v2", width=0.63).width == 0.63


@pytest.mark.parametrize(
    ("name", "knobs", "message"),
    [
        ("mobilenet_v3", {}, "'mobilenet_v3' does not exist"),
        ("mobilenet_v2_1.0", {}, "does not exist"),
        ("mobilenet_v2_050", {"width": 1.0}, "width=1.0: the name"),
        ("mobilenet_v1", {"expansion": 6}, "expansion: mobilenet_v1 has no such knob; it has"),
        ("mobilenet_v2", {"expansoin": 6}, "expansoin: mobilenet_v2 has no such knob"),
    ],
)
def test_a_bad_name_or_knob_is_one_sentence(name, knobs, message):
    with pytest.raises(UserError, match=message):
        create_architecture(name, **knobs)


def test_a_resolution_is_a_side_or_height_and_width():
    assert create_architecture("mobilenet_v1", resolution=96).size == (96, 96)
    wide = create_architecture("mobilenet_v1", resolution=(96, 128))
    assert wide.size == (96, 128)
    # Twice the pixels of 96 x 64 in every convolution.
    narrow = create_architecture("mobilenet_v1", resolution=(96, 64))
    madds = [count_cost(each).madds - 1024 * 1000 for each in (narrow, wide)]
    assert madds[1] == 2 * madds[0]
    with pytest.raises(UserError, match="resolution=0: must be a whole number"):
        create_architecture("mobilenet_v1", resolution=(96, 0))
