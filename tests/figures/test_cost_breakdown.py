"""Shares of cost by the type of layer, against sums by hand."""

import pytest

from mobilenet.figures.cost_breakdown import draw
from mobilenet.networks.architecture import mobilenet_v2
from mobilenet.papers.tables import layer_shares


def test_v2_by_hand():
    exact = layer_shares(mobilenet_v2(), "kernels")
    shares = {kind: tuple(map(float, pair)) for kind, pair in exact.items()}
    # Stem: 112 x 112 x 3 x 3 x 3 x 32 of 300.8 million; classifier: 1280 x 1000.
    assert shares["Conv 3x3"][0] == pytest.approx(100 * 10_838_016 / 300_774_272, rel=1e-6)
    assert shares["Fully connected"][0] == pytest.approx(100 * 1_280_000 / 300_774_272, rel=1e-6)
    # 3,504,872 parameters, of which 34,112 belong to normalisation and 1000 are biases.
    assert shares["Fully connected"][1] == pytest.approx(100 * 1_280_000 / 3_469_760, rel=1e-6)
    for column in (0, 1):
        assert sum(pair[column] for pair in shares.values()) == pytest.approx(100)


def test_the_picture_names_what_is_published():
    madds, params = draw().axes
    assert madds.get_xlabel() == "Share of multiply-adds (%)"
    assert params.get_xlabel() == "Share of parameters (%)"
    assert [text.get_text() for text in madds.get_yticklabels()] == [
        "Conv 1x1",
        "Conv dw 3x3",
        "Conv 3x3",
        "Fully connected",
    ]
    legend = [text.get_text() for text in params.get_legend().get_texts()]
    assert legend == ["MobileNetV1, published", "MobileNetV1", "MobileNetV2"]
    assert "94.86" in [text.get_text() for text in madds.texts]
