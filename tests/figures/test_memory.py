"""V2 table 3 and the memory of blocks, against values worked out by hand."""

import pytest

from mobilenet.figures.memory import PUBLISHED_KB, block_memory, draw, largest_outputs
from mobilenet.networks.architecture import mobilenet_v1, mobilenet_v2

# V2 1.0 at 224 pixels, 16-bit: input plus output of all 17 blocks, from V2 table 2.
_V2_BLOCKS = [
    *(1204.2, 551.9, 301.1, 200.7, 100.4, 100.4, 75.3, 50.2, 50.2, 50.2),
    *(62.7, 75.3, 75.3, 53.3, 31.4, 31.4, 47.0),
]


def test_v1_has_the_sizes_that_table_3_prints_but_for_one():
    largest = largest_outputs(mobilenet_v1())
    printed = PUBLISHED_KB["mobilenet_v1"]
    for side in (112, 56, 28, 14):
        assert largest[side] == pytest.approx(printed[side], rel=0.005)
    # 7 x 7 x 1024 x 2 bytes; the paper prints 199.
    assert largest[7] == pytest.approx(100.352)
    assert largest[1] == pytest.approx(2.048)


def test_v2_has_the_sizes_of_its_maps():
    largest = largest_outputs(mobilenet_v2())
    channels = {112: 16, 56: 24, 28: 32, 14: 96, 7: 320, 1: 1280}
    assert largest == {
        side: pytest.approx(2 * side * side * width / 1000) for side, width in channels.items()
    }


def test_v2_as_table_3_lists_it_by_the_size_of_the_input():
    # Channels of V2 table 2 by the size of the row's input, as table 3 prints them.
    listed = {112: 16, 56: 32, 28: 64, 14: 160, 7: 320}
    for side, channels in listed.items():
        printed = PUBLISHED_KB["mobilenet_v2"][side]
        assert 2 * side * side * channels / 1000 == pytest.approx(printed, rel=0.025)


def test_blocks_of_v2_in_pieces_and_layer_by_layer():
    memory = block_memory(mobilenet_v2())
    assert [block.name for block in memory[:2]] == ["stem", "block_1"]
    assert memory[-1].name == "head"
    blocks = memory[1:-1]
    assert [block.as_one for block in blocks] == pytest.approx(_V2_BLOCKS, abs=0.05)
    # The depthwise convolution of block 2: 112 x 112 x 96 to 56 x 56 x 96.
    assert blocks[1].by_layer == pytest.approx(3010.56)
    assert max(block.by_layer for block in memory) == blocks[1].by_layer
    # 224 x 224 x 3 to 112 x 112 x 32, in one piece either way.
    assert (memory[0].by_layer, memory[0].as_one) == (1103.872, 1103.872)


def test_blocks_of_v1_have_no_inner_tensor_to_cut():
    memory = block_memory(mobilenet_v1())
    assert len(memory) == 14
    # 112 x 112 x 32 to 112 x 112 x 64
    assert memory[1].by_layer == pytest.approx(2408.448)
    assert all(block.as_one == block.by_layer for block in memory)


def test_the_picture_names_what_is_published():
    sizes, blocks = draw().axes
    legend = [text.get_text() for text in sizes.get_legend().get_texts()]
    assert legend == ["Published, V2 table 3", "MobileNetV1", "MobileNetV2"]
    assert sizes.get_xticklabels()[0].get_text() == "112²\n1,606\n401"
    assert [line.get_label() for line in blocks.lines] == [
        "MobileNetV1, layer by layer",
        "MobileNetV2, layer by layer",
        "MobileNetV2, blocks in pieces",
    ]
