"""V2 table 3 and the memory of blocks, against values worked out by hand."""

import pytest

from mobilenet.figures.memory import block_memory, draw
from mobilenet.networks.architecture import mobilenet_v1, mobilenet_v2

# V2 1.0 at 224 pixels, 16-bit: input plus output of all 17 blocks, from V2 table 2.
_V2_BLOCKS = [
    *(1204.2, 551.9, 301.1, 200.7, 100.4, 100.4, 75.3, 50.2, 50.2, 50.2),
    *(62.7, 75.3, 75.3, 53.3, 31.4, 31.4, 47.0),
]


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
    # V2 table 2 has 16, 24, 32, 96 and 320 channels at these sizes, and V1 table 1 twice 16-bit.
    assert [label.get_text() for label in sizes.get_xticklabels()] == [
        "112²\n1,606\n401",
        "56²\n803\n151",
        "28²\n401\n50",
        "14²\n201\n38",
        "7²\n100\n31",
        "1²\n2.0\n2.6",
    ]
    assert [line.get_label() for line in blocks.lines] == [
        "MobileNetV1, layer by layer",
        "MobileNetV2, layer by layer",
        "MobileNetV2, blocks in pieces",
    ]
